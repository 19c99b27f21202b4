"""Vessels in one file: the shortest way from a raster to a GeoJSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagery.aoi import AreaOfInterest
from imagery.files import replacing
from imagery.geometry import footprint
from imagery.geotiff import open_geotiff
from imagery.products.safe import open_safe
from imagery.surface import map_surface
from models.detections import Detections
from models.detector import detect
from offing.detectors import make_detector
from offing.errors import OutputError
from offing.results import write_geojson
from offing.sources import osm_land_if_installed


@dataclass(frozen=True, kw_only=True)
class FileResult:
    """What one file showed.

    Attributes:
        detections: the vessels.
        out: the GeoJSON written.
        notes: what was assumed or set aside.
    """

    detections: Detections
    out: Path
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        columns = ("id", "kind", "lon", "lat", "length_m", "length_low_m", "length_high_m", "probability", "surface")
        rows = zip(*(getattr(self.detections, c).tolist() for c in columns), strict=True)
        return {
            "detections": [dict(zip(columns, row, strict=True)) for row in rows],
            "calibrated": bool(self.detections.probability_calibrated.all()) if len(self.detections) else False,
            "notes": list(self.notes),
            "out": str(self.out),
        }

    def as_text(self) -> str:
        """A few lines for people."""
        found = self.detections
        ghosts = int((found.kind == "ghost").sum())
        lines = [f"{len(found) - ghosts} vessel(s)" + (f", {ghosts} ghost(s) of brighter ones" if ghosts else "")]
        for i in range(min(len(found), 20)):
            lines.append(
                f"  {found.lat[i]:.5f} {found.lon[i]:.5f}  length {found.length_m[i]:.0f} m "
                f"({found.length_low_m[i]:.0f} to {found.length_high_m[i]:.0f}), {found.surface[i]}, {found.kind[i]}"
            )
        if len(found) > 20:
            lines.append(f"  and {len(found) - 20} more")
        lines += [f"note: {note}" for note in self.notes]
        lines.append(f"written: {self.out}")
        return "\n".join(lines)


def detect_file(path: Path, out: Path, detector: str, progress: Callable[[int, int], None] | None = None) -> FileResult:
    """Find the vessels in one raster file or product and write them as GeoJSON.

    Args:
        path: radar or optical GeoTIFF, COG or other raster; or a SAFE product, as a folder or a zip.
        out: GeoJSON to write, as a whole or not at all.
        detector: see `offing.detectors.DETECTORS`.
        progress: called with (tiles done, tiles in all).

    Returns:
        The detections and notes.

    Raises:
        ImageryError, ModelError: if the file or detector cannot be used.
        OutputError: if the result cannot be written.
    """
    if not out.parent.is_dir():
        raise OutputError(f"there is no folder {out.parent}; make it, or give another file with --out")
    scene = open_safe(path) if path.is_dir() or path.suffix.lower() == ".zip" else open_geotiff(path)
    area = AreaOfInterest(name=path.stem, polygon=footprint(scene.geometry))
    land = osm_land_if_installed(area)
    surface = map_surface(scene, land)
    found = detect(scene, make_detector(detector, scene), surface, land, workers=2, progress=progress)
    try:
        with replacing(out) as partial:
            write_geojson(found.detections.to_geopandas(), partial)
    except OSError as error:
        raise OutputError(
            f"{out} cannot be written: {error.strerror or error}; give another file with --out"
        ) from error
    notes = [*scene.provenance.notes, *found.notes]
    if land is None:
        notes.append("no land polygons are installed: land was not masked; pip install 'offing[land]'")
    return FileResult(detections=found.detections, out=out, notes=tuple(notes))
