"""Errors of the models package."""


class ModelError(Exception):
    """Base of every error that models raises on purpose."""


class DetectorError(ModelError):
    """A detector that does not exist or cannot run on this scene."""


class NoWaterError(DetectorError):
    """A scene that shows no open water: nothing can be sought in it, and nothing was observed."""


class WeightsError(ModelError):
    """Weights that are missing, damaged or do not fit the scene or the network."""


class TrainingError(ModelError):
    """Training data or a training run that cannot be used."""
