"""Vessels in one file: the shortest way from a raster to a GeoJSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from imagery.aoi import AreaOfInterest
from imagery.files import replacing
from imagery.geometry import Window, footprint
from imagery.hints import Hints
from imagery.land import Land
from imagery.pixel_grid import PixelGrid
from imagery.products.safe import open_safe
from imagery.recognise import open_recognised
from imagery.scene import Scene
from imagery.surface import SurfaceMap, map_surface
from models.detections import Detections
from models.detector import detect, testable
from models.errors import NoWaterError
from offing.detectors import DetectorChoice, make_detector
from offing.errors import ConfigError, OutputError
from offing.pixel_results import in_pixels, pixel_columns, write_pixel_geojson
from offing.results import write_geojson
from offing.sources import osm_land_if_installed

_COLUMNS = ("id", "kind", "lon", "lat", "length_m", "length_low_m", "length_high_m", "probability", "surface")
_STRIP_PX = 512


@dataclass(frozen=True, kw_only=True)
class FileResult:
    """What one file showed.

    Attributes:
        detections: the vessels. Of an image without a georeference longitudes and latitudes are not numbers.
        scene: the file as it was understood.
        out: the GeoJSON written.
        notes: what was assumed or set aside.
    """

    detections: Detections
    scene: Scene
    out: Path
    notes: tuple[str, ...]

    @property
    def _grid(self) -> PixelGrid | None:
        return self.scene.geometry if isinstance(self.scene.geometry, PixelGrid) else None

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``. Without a georeference ``row`` and ``col`` stand for ``lon`` and ``lat``."""
        found = self.detections
        if self._grid is None:
            columns = {name: getattr(found, name).tolist() for name in _COLUMNS}
        else:
            columns = pixel_columns(found, self._grid)
        return {
            "detections": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
            "calibrated": bool(found.probability_calibrated.all()) if len(found) else False,
            "read_as": self._read_as(),
            "notes": list(self.notes),
            "out": str(self.out),
        }

    def _read_as(self) -> dict[str, Any]:
        scene = self.scene
        return {"sensor": scene.sensor.name, "bands": list(scene.bands), "unit": scene.unit}

    def as_text(self) -> str:
        """A few lines for people."""
        found = self.detections
        ghosts = int((found.kind == "ghost").sum())
        lines = [f"{len(found) - ghosts} vessel(s)" + (f", {ghosts} ghost(s) of brighter ones" if ghosts else "")]
        length_unit = "px" if in_pixels(self._grid) else "m"
        for i in range(min(len(found), 20)):
            place = f"{found.lat[i]:.5f} {found.lon[i]:.5f}"
            if self._grid is not None:
                place = f"row {found.row[i]:.1f} column {found.col[i]:.1f}"
            lines.append(
                f"  {place}  length {found.length_m[i]:.0f} {length_unit} "
                f"({found.length_low_m[i]:.0f} to {found.length_high_m[i]:.0f}), {found.surface[i]}, {found.kind[i]}"
            )
        if len(found) > 20:
            lines.append(f"  and {len(found) - 20} more")
        lines.append(f"read as: {self.scene.sensor.name}, {', '.join(self.scene.bands)}, {self.scene.unit}")
        lines += [f"note: {note}" for note in self.notes]
        lines.append(f"written: {self.out}")
        return "\n".join(lines)


def detect_file(
    path: Path,
    out: Path,
    detector: DetectorChoice,
    progress: Callable[[int, int], None] | None = None,
    hints: Hints | None = None,
) -> FileResult:
    """Find the vessels in one raster file or product and write them as GeoJSON.

    Args:
        path: radar or optical GeoTIFF, COG or other raster; or a SAFE product, as a folder or a zip.
        out: GeoJSON to write, as a whole or not at all.
        detector: which, and how it runs.
        progress: called with (tiles done, tiles in all).
        hints: what the user says of a raster that does not say it itself.

    Returns:
        The detections and notes. Without a georeference, points are (column, row) of pixel centres and lengths are in
        pixels, or in metres where the hints give the size of a pixel; both the file and the notes say so.

    Raises:
        ImageryError, ModelError: if the file or detector cannot be used, or the scene shows no water.
        ConfigError: if hints are given for a SAFE product.
        OutputError: if the result cannot be written.
    """
    if not out.parent.is_dir():
        raise OutputError(f"there is no folder {out.parent}; make it, or give another file with --out")
    scene = _open(path, hints or Hints())
    grid = scene.geometry if isinstance(scene.geometry, PixelGrid) else None
    measured = scene if grid is None else replace(scene, geometry=grid.plane())
    land = None if grid is not None else _land(path, scene)
    surface = map_surface(measured, land)
    _require_water(measured, surface, path)
    found = detect(measured, make_detector(detector, scene), surface, land, workers=2, progress=progress)
    detections = found.detections
    notes = [*scene.provenance.notes, *found.notes]
    if grid is not None:
        nowhere = np.full(len(detections), np.nan)
        detections = replace(detections, lon=nowhere, lat=nowhere)
    elif land is None:
        notes.append("no land polygons are installed: land was not masked; pip install 'offing[land]'")
    try:
        with replacing(out) as partial:
            if grid is None:
                write_geojson(detections.to_geopandas(), partial)
            else:
                write_pixel_geojson(detections, grid, partial)
    except OSError as error:
        raise OutputError(
            f"{out} cannot be written: {error.strerror or error}; give another file with --out"
        ) from error
    return FileResult(detections=detections, scene=scene, out=out, notes=tuple(notes))


def _open(path: Path, hints: Hints) -> Scene:
    if not (path.is_dir() or path.suffix.lower() == ".zip"):
        return open_recognised(path, hints)
    if hints != Hints():
        raise ConfigError(
            f"{path} is a SAFE product, which says everything itself; leave out --unit, --bands, --pixel-size, --sensor"
        )
    return open_safe(path)


def _land(path: Path, scene: Scene) -> Land | None:
    return osm_land_if_installed(AreaOfInterest(name=path.stem, polygon=footprint(scene.geometry)))


def _require_water(scene: Scene, surface: SurfaceMap, path: Path) -> None:
    """Refuse a scene in which nothing can be sought: 'no vessels' would be a claim about water that nobody saw.

    Raises:
        NoWaterError: if no pixel is open water, tidal ground or near cloud.
    """
    height, width = scene.shape_hw
    for row in range(0, height, _STRIP_PX):
        strip = Window(row=row, col=0, height=min(_STRIP_PX, height - row), width=width)
        if testable(surface.classes(strip, np.ones(strip.shape_hw, bool))).any():
            return
    raise NoWaterError(f"{path} shows no open water (all land, cloud or no data); give a scene of the sea")
