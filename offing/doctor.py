"""What this machine has that offing can use, and what it lacks."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from imagery.credentials import NAMES, default_file, read_credentials
from imagery.errors import CredentialsError
from models.vessel.engines import engine_report

_REQUIRED = ("torch", "torchvision", "rasterio", "numpy", "scikit-image", "sentinelhub", "numba", "polars", "geopandas")

_EXTRAS = {"land": "roaring_landmask", "fast": "openvino"}


def examine() -> dict[str, Any]:
    """Versions, extras, engines, credentials (present or not, never their values) and room."""
    import rasterio

    try:
        credentials, problem = read_credentials(), ""
    except CredentialsError as error:
        credentials, problem = None, str(error)
    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "free_gb": round(shutil.disk_usage(Path.cwd()).free / 1e9, 1),
        "gdal": rasterio.__gdal_version__,
        "packages": {name: _version(name) for name in ("offing", *_REQUIRED)},
        "extras": {name: find_spec(package) is not None for name, package in _EXTRAS.items()},
        "engines": {row.name: {"available": row.available, "why": row.why} for row in engine_report()},
        "credentials": {name: credentials is not None and credentials.get(name) is not None for name in NAMES},
        "credentials_file": str(default_file()),
        "credentials_problem": problem,
    }


def as_text(found: dict[str, Any]) -> str:
    """The findings as lines, each lack with its remedy."""
    lines = [f"python {found['python']}, {found['cores']} cores, {found['free_gb']} GB free, GDAL {found['gdal']}"]
    lines += [f"{name} {v or 'MISSING: pip install offing'}" for name, v in found["packages"].items()]
    land = "installed" if found["extras"]["land"] else "not installed: land is not masked; pip install 'offing[land]'"
    lines.append(f"land polygons (extra 'land'): {land}")
    lines.append("engines of the vessel network:")
    lines += [
        f"  {name}: {'yes' if row['available'] else 'no'}, {row['why']}" for name, row in found["engines"].items()
    ]
    lines.append(f"credentials, from the environment or {found['credentials_file']}:")
    lines += [f"  {name}: {'set' if there else 'not set'}" for name, there in found["credentials"].items()]
    if found["credentials_problem"]:
        lines.append(f"  PROBLEM: {found['credentials_problem']}")
    return "\n".join(lines)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
