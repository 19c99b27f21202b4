"""STAC APIs as a source of scenes."""

from imagery.fetchers.stac.source import StacSource

__all__ = ["StacSource"]
