"""Errors of the offing package."""


class OffingError(Exception):
    """Base of every error that offing raises on purpose."""


class ConfigError(OffingError):
    """An area file or option that cannot be used."""


class AisError(OffingError):
    """AIS data that cannot be read."""


class OutputError(OffingError):
    """A place that results cannot be written to."""
