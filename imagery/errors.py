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


class FetchError(SourceError):
    """A scene, or a part of one, that its source could not give: not observed, and the next one may go well."""


class NoAnswerError(FetchError):
    """A server that did not answer, however often it was asked: later it may."""


class QuotaError(SourceError):
    """The source gives nothing more for now: stop cleanly; what was fetched is kept and the next run goes on."""


class CredentialsError(SourceError):
    """Credentials that are missing, refused, or kept in a file that others can read."""
