"""A folder of GeoTIFFs as a source of scenes; files of one pass are one scene."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

import shapely

from imagery.acquire import acquisition_for
from imagery.aoi import AreaOfInterest
from imagery.errors import ImageryError, SourceError
from imagery.fetchers.base import SceneRef
from imagery.geometry import footprint
from imagery.geotiff import RasterFile, check_has_pixels, open_raster, scene_of
from imagery.mosaic import mosaic
from imagery.scene import Provenance, Scene
from imagery.sensors import SENSORS

_log = logging.getLogger(__name__)

# Tiles cut from one pass carry one time; separate slices of a pass (12 s apart and more) stay separate scenes.
_SAME_PASS_S = 1.0


@dataclass(frozen=True)
class FolderSource:
    """Scenes from the GeoTIFFs directly inside a folder.

    Attributes:
        folder: the folder.
    """

    folder: Path

    def __post_init__(self) -> None:
        """Refuse a folder that is not there."""
        if not self.folder.is_dir():
            raise SourceError(f"{self.folder} is not a folder; give folder:DIR with the GeoTIFFs of your scenes")

    @cached_property
    def _files(self) -> tuple[tuple[RasterFile, ...], tuple[str, ...]]:
        """Files that can be used, and a sentence for each that cannot."""
        opened, skipped = [], []
        for path in sorted(p for p in self.folder.iterdir() if p.suffix.lower() in (".tif", ".tiff")):
            try:
                file = open_raster(path)
            except ImageryError as error:
                skipped.append(str(error))
                continue
            if file.labels.time is None:
                skipped.append(f"{path} does not say when it was acquired; name it ..._YYYYMMDDTHHMMSS.tif")
                continue
            opened.append(file)
        if not opened:
            why = f": {skipped[0]}" if skipped else ""
            raise SourceError(f"{self.folder} holds no GeoTIFF that can be used as a scene{why}")
        for text in skipped:
            _log.warning("skipped: %s", text)
        return tuple(opened), tuple(skipped)

    @cached_property
    def _passes(self) -> dict[str, tuple[RasterFile, ...]]:
        """Files by scene id."""
        return _group_by_pass(self._files[0])

    @property
    def skipped(self) -> tuple[str, ...]:
        """A sentence for each file that could not be used."""
        return self._files[1]

    def search(self, area: AreaOfInterest, start: datetime, end: datetime) -> list[SceneRef]:
        """Passes that touch the area with start <= time < end, ordered by (time, id)."""
        refs = []
        for scene_id, files in self._passes.items():
            labels = files[0].labels
            assert labels.time is not None  # files without a time were skipped
            outline = shapely.union_all([footprint(f.geometry) for f in files])
            outline = shapely.MultiPolygon([p for p in shapely.get_parts(outline) if p.geom_type == "Polygon"])
            if start <= labels.time < end and outline.intersects(area.polygon):
                refs.append(SceneRef(id=scene_id, sensor_name=labels.sensor_name, time=labels.time, footprint=outline))
        return sorted(refs, key=lambda ref: (ref.time, ref.id))

    def fetch(self, ref: SceneRef, area: AreaOfInterest) -> Scene:
        """The scene of a pass, whole.

        Raises:
            SourceError: if the folder has no such pass.
            RasterError: if its files do not fit together or hold no valid pixel.
        """
        files = self._passes.get(ref.id)
        if files is None:
            raise SourceError(f"{self.folder} has no scene {ref.id}; search it first")
        if len(files) == 1:
            check_has_pixels(files[0])
        return _one_scene(ref.id, files)


def _group_by_pass(files: Sequence[RasterFile]) -> dict[str, tuple[RasterFile, ...]]:
    """Files of one sensor, unit and CRS whose times agree within a second, chained; keyed by scene id."""
    by_kind: dict[tuple[str, str, str], list[RasterFile]] = defaultdict(list)
    for file in files:
        crs = getattr(file.geometry, "crs_wkt", f"points of {file.path.name}")
        by_kind[file.labels.sensor_name, file.labels.unit, crs].append(file)
    passes: dict[str, tuple[RasterFile, ...]] = {}
    for members in by_kind.values():
        members.sort(key=lambda f: (f.labels.time, f.path.name))
        group: list[RasterFile] = []
        for file in members:
            if group and (file.labels.time - group[-1].labels.time).total_seconds() > _SAME_PASS_S:  # type: ignore[operator]  # times are set here
                passes[_scene_id(group, passes)] = tuple(group)
                group = []
            group.append(file)
        passes[_scene_id(group, passes)] = tuple(group)
    return passes


def _scene_id(group: Sequence[RasterFile], taken: dict[str, tuple[RasterFile, ...]]) -> str:
    """A name from sensor and time; the first file's name where that is not unique or the file names its scene."""
    labels = group[0].labels
    if len(group) == 1:
        return labels.scene_id or group[0].path.stem
    assert labels.time is not None
    name = f"{labels.sensor_name}_{labels.time:%Y%m%dT%H%M%SZ}"
    return name if name not in taken else f"{name}_{group[0].path.stem}"


def _one_scene(scene_id: str, files: tuple[RasterFile, ...]) -> Scene:
    if len(files) == 1:
        return scene_of(files[0], scene_id=scene_id)
    laid = mosaic(files)
    labels = files[0].labels
    notes = dict.fromkeys(note for f in files for note in f.labels.notes)
    if not laid.is_exact:
        notes[f"{len(files)} files have different pixel grids; laid on the finest by nearest neighbour"] = None
    return Scene(
        id=scene_id,
        sensor=SENSORS[labels.sensor_name],
        bands=laid.bands,
        unit=labels.unit,
        geometry=laid.grid,
        acquisition=acquisition_for(labels.sensor_name, labels.time, labels.time_sigma_s, laid.grid),
        time=labels.time,
        reader=laid,
        clip_value=labels.clip_value,
        provenance=Provenance(
            source="folder",
            ids=tuple(f.path.name for f in files),
            sha256=tuple(f.sha256 for f in files),
            attribution=labels.attribution,
            notes=tuple(notes),
        ),
    )
