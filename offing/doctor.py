"""What this machine has that offing can use, and what it lacks."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Names that Sentinel Hub and the Copernicus Data Space use for their OAuth clients.
_CREDENTIALS = ("SH_CLIENT_ID", "SH_CLIENT_SECRET")
_REQUIRED = ("torch", "torchvision", "rasterio", "numpy", "scikit-image", "sentinelhub", "numba", "polars", "geopandas")


def examine() -> dict[str, Any]:
    """Versions, extras, credentials (present or not, never their values) and room."""
    import rasterio

    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "free_gb": round(shutil.disk_usage(Path.cwd()).free / 1e9, 1),
        "gdal": rasterio.__gdal_version__,
        "packages": {name: _version(name) for name in ("offing", *_REQUIRED)},
        "extras": {"land": find_spec("roaring_landmask") is not None},
        "credentials": {name: bool(os.environ.get(name)) for name in _CREDENTIALS},
    }


def as_text(found: dict[str, Any]) -> str:
    """The findings as lines, each lack with its remedy."""
    lines = [f"python {found['python']}, {found['cores']} cores, {found['free_gb']} GB free, GDAL {found['gdal']}"]
    lines += [f"{name} {v or 'MISSING: pip install offing'}" for name, v in found["packages"].items()]
    land = "installed" if found["extras"]["land"] else "not installed: land is not masked; pip install 'offing[land]'"
    lines.append(f"land polygons (extra 'land'): {land}")
    lines += [f"{name}: {'set' if there else 'not set'}" for name, there in found["credentials"].items()]
    return "\n".join(lines)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
