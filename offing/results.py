"""A run on disk: written beside its final place and moved there whole, so that no half run is ever seen."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from offing.errors import OutputError
from offing.report import render_report
from offing.score import Score

RUN_FILE = "run.json"
_PACKAGES = ("offing", "numpy", "scipy", "rasterio", "shapely", "pyproj", "numba", "polars")


def write_run(score: Score, out: Path, extra: dict[str, bytes] | None = None) -> Path:
    """Write a run: findings, tiles, AIS vessels, manifest and report.

    Args:
        score: the scored area.
        out: folder of the run; an earlier run there is replaced as a whole.
        extra: further files by name.

    Returns:
        The path of the report.

    Raises:
        OutputError: if the folder cannot be written, is full, or holds something that is not a run.
    """
    with whole_folder(out) as folder:
        write_geojson(score.findings, folder / "detections.geojson")
        score.findings.to_parquet(folder / "detections.parquet")
        tiles = pd.concat([s.tiles for s in score.scenes] + [m.tiles for m in score.missed], ignore_index=True)
        tiles.sort_values(["time", "scene_id"], kind="stable", ignore_index=True).to_parquet(folder / "tiles.parquet")
        ais_vessels = [s.ais_vessels for s in score.scenes] or [pd.DataFrame({"scene_id": pd.Series(dtype=str)})]
        pd.concat(ais_vessels, ignore_index=True).to_parquet(folder / "ais_vessels.parquet")
        (folder / "report.html").write_text(render_report(score), encoding="utf-8")
        for name, content in (extra or {}).items():
            (folder / name).write_bytes(content)
        (folder / RUN_FILE).write_text(json.dumps(manifest(score), indent=2) + "\n", encoding="utf-8")
    return out / "report.html"


def manifest(score: Score) -> dict[str, Any]:
    """What a run was made of: settings, inputs with their checksums, versions, notes, counts."""
    settings = score.settings
    period = settings.period
    return {
        "area": settings.config.area.name,
        "bounds": settings.config.area.bounds,
        "area_km2": round(settings.config.area.area_km2, 3),
        "from": period.start.date().isoformat() if period else None,
        "to": (period.end - timedelta(days=1)).date().isoformat() if period else None,
        "source": settings.source.partition(":")[0],
        "ais": list(settings.ais.sources) if settings.ais is not None else None,
        "ais_dropped": dict(settings.ais.dropped) if settings.ais is not None else None,
        "land": score.land_source or None,
        "versions": {name: version(name) for name in _PACKAGES},
        "notes": list(score.notes),
        "attributions": list(score.attributions),
        "counts": score.findings["status"].value_counts().sort_index().to_dict(),
        "scenes": [
            {
                "id": s.scene.id,
                "sensor": s.scene.sensor.name,
                "time": s.scene.time.isoformat() if s.scene.time else None,
                "files": list(s.scene.provenance.ids),
                "sha256": list(s.scene.provenance.sha256),
                "notes": list(s.notes),
                "missing": list(s.scene.provenance.missing),
                "water_km2": round(float(s.tiles["water_km2"].sum()), 2),
                "observed_km2": round(float(s.tiles["observed_km2"].sum()), 2),
            }
            for s in score.scenes
        ],
        "missed_scenes": [
            {
                "id": m.ref.id,
                "sensor": m.ref.sensor_name,
                "time": m.ref.time.isoformat(),
                "why": m.why,
                "water_km2": round(float(m.tiles["water_km2"].sum()), 2),
            }
            for m in score.missed
        ],
    }


def write_geojson(table: gpd.GeoDataFrame, path: Path) -> None:
    """Write points as GeoJSON (RFC 7946: longitude and latitude); what is not finite becomes null."""
    plain = table.copy()
    for name in plain.select_dtypes("number").columns:
        plain[name] = plain[name].astype(object).where(np.isfinite(plain[name].astype(float)), None)
    plain["time"] = [t.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if not pd.isna(t) else None for t in plain["time"]]
    path.write_text(plain.to_json(drop_id=True, allow_nan=False) + "\n", encoding="utf-8")


def check_output(out: Path) -> None:
    """Refuse a folder that results could not be written to, before any work is done.

    Raises:
        OutputError: if it is a file, holds something that is not a run, or cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; give a folder with --out")
    if out.is_dir() and any(out.iterdir()) and not (out / RUN_FILE).is_file():
        raise OutputError(f"{out} holds files that are not a run of offing; give another folder with --out")
    with _os_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent)).rmdir()


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder that appears whole or not at all.

    Args:
        out: where it shall be; an earlier run is replaced only once the new one is complete.

    Yields:
        A folder beside it to write to.

    Raises:
        OutputError: see `check_output`; also when the disk fills up on the way.
    """
    check_output(out)
    with _os_errors(out):
        staging = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            yield staging
            staging.chmod(0o755)
            if out.exists():
                old = staging.with_name(staging.name + ".old")
                out.rename(old)
                staging.rename(out)
                shutil.rmtree(old)
            else:
                staging.rename(out)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def _os_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"results cannot be written to {out}: {error.strerror or error}; "
            "give a folder with room that you may write to"
        ) from error
