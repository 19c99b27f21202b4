"""Errors of the metrics package."""

from models.errors import ModelError


class TruthError(ModelError):
    """Truth, or detections to be scored, that cannot be read or do not belong together."""
