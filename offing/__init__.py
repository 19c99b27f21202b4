"""What it means: AIS, cross-check, scoring, results, report, command line."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("offing")
