"""Errors of the imagery package: each message says what is wrong, where, and what to do."""


class ImageryError(Exception):
    """Base of every error that imagery raises on purpose."""


class AreaError(ImageryError):
    """An area of interest that cannot be used (bad bounds, empty, land only)."""


class RasterError(ImageryError):
    """A file that cannot be read as a georeferenced raster."""


class UnitError(ImageryError):
    """Pixels whose unit is unknown or is not the one an operation needs."""


class AnnotationError(ImageryError):
    """Product annotation that is missing, hostile or incomplete."""


class SourceError(ImageryError):
    """A scene source that does not exist or holds nothing usable."""
