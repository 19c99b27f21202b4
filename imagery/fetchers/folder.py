"""A folder of GeoTIFFs and SAFE products as a source of scenes; GeoTIFFs of one pass are one scene."""

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
from imagery.errors import ImageryError, RasterError, SourceError
from imagery.fetchers.base import SceneRef
from imagery.geometry import Window, footprint
from imagery.geotiff import RasterFile, open_raster, scene_of
from imagery.mosaic import mosaic
from imagery.products.safe import SafeInfo, open_safe, safe_info
from imagery.scene import Provenance, Scene
from imagery.sensors import SENSORS

_log = logging.getLogger(__name__)

# Tiles cut from one pass carry one time; separate slices of a pass (12 s apart and more) stay separate scenes.
_SAME_PASS_S = 1.0

_STRIP_PX = 512


@dataclass(frozen=True)
class FolderSource:
    """Scenes from the GeoTIFFs and SAFE products (folders named ``.SAFE``, or zips) directly inside a folder.

    Attributes:
        folder: the folder.
    """

    folder: Path

    def __post_init__(self) -> None:
        """Refuse a folder that is not there."""
        if not self.folder.is_dir():
            raise SourceError(f"{self.folder} is not a folder; give folder:DIR with your GeoTIFFs or SAFE products")

    @cached_property
    def _listing(self) -> _Listing:
        """What can be used, and a sentence for each thing that cannot."""
        found = _Listing(files=[], products={}, skipped=[])
        for path in sorted(self.folder.iterdir()):
            try:
                _add(path, found)
            except ImageryError as error:
                found.skipped.append(str(error))
        if not found.files and not found.products:
            why = f": {found.skipped[0]}" if found.skipped else ""
            raise SourceError(f"{self.folder} holds no GeoTIFF and no SAFE product that can be used as a scene{why}")
        for text in found.skipped:
            _log.warning("skipped: %s", text)
        return found

    @cached_property
    def _passes(self) -> dict[str, tuple[RasterFile, ...]]:
        """GeoTIFFs by scene id."""
        return _group_by_pass(self._listing.files)

    @property
    def skipped(self) -> tuple[str, ...]:
        """A sentence for each file or product that could not be used."""
        return tuple(self._listing.skipped)

    def search(self, area: AreaOfInterest, start: datetime, end: datetime) -> list[SceneRef]:
        """Passes and products that touch the area with start <= time < end, ordered by (time, id)."""
        refs = [
            SceneRef(id=name, sensor_name=info.sensor_name, time=info.time, footprint=info.footprint)
            for name, (_, info) in self._listing.products.items()
        ]
        for scene_id, files in self._passes.items():
            labels = files[0].labels
            assert labels.time is not None  # files without a time were skipped
            outline = shapely.union_all([footprint(f.geometry) for f in files])
            outline = shapely.MultiPolygon([p for p in shapely.get_parts(outline) if p.geom_type == "Polygon"])
            refs.append(SceneRef(id=scene_id, sensor_name=labels.sensor_name, time=labels.time, footprint=outline))
        inside = [ref for ref in refs if start <= ref.time < end and ref.footprint.intersects(area.polygon)]
        return sorted(inside, key=lambda ref: (ref.time, ref.id))

    def fetch(self, ref: SceneRef, area: AreaOfInterest) -> Scene:
        """The scene of a pass or product, whole.

        Raises:
            SourceError: if the folder has no such scene.
            RasterError: if its files do not fit together or hold no valid pixel.
            AnnotationError: if a product's metadata are hostile or damaged.
        """
        if ref.id in self._listing.products:
            path, _ = self._listing.products[ref.id]
            scene = open_safe(path)
        elif ref.id in self._passes:
            scene = _one_scene(ref.id, self._passes[ref.id])
        else:
            raise SourceError(f"{self.folder} has no scene {ref.id}; search it first")
        _check_has_pixels(scene, self.folder)
        return scene


@dataclass(frozen=True)
class _Listing:
    """GeoTIFFs that can be used, SAFE products by name, and sentences on the rest."""

    files: list[RasterFile]
    products: dict[str, tuple[Path, SafeInfo]]
    skipped: list[str]


def _add(path: Path, found: _Listing) -> None:
    """Add what lies at a path, if it is a GeoTIFF or a SAFE product.

    Raises:
        ImageryError: if it is one that cannot be used.
    """
    suffix = path.suffix.lower()
    if (suffix == ".safe" and path.is_dir()) or (suffix == ".zip" and path.is_file()):
        info = safe_info(path)
        if info.name in found.products:
            found.skipped.append(f"{path} holds the same product as {found.products[info.name][0]}")
        else:
            found.products[info.name] = (path, info)
    elif suffix in (".tif", ".tiff"):
        file = open_raster(path)
        if file.labels.time is None:
            found.skipped.append(f"{path} does not say when it was acquired; name it ..._YYYYMMDDTHHMMSS.tif")
        else:
            found.files.append(file)


def _check_has_pixels(scene: Scene, folder: Path) -> None:
    """Refuse a scene in which nothing was measured; stops reading at the first valid pixel.

    Raises:
        RasterError: if no pixel is valid, or the pixels cannot be read.
    """
    height, width = scene.shape_hw
    for row in range(0, height, _STRIP_PX):
        if scene.read(Window(row=row, col=0, height=min(_STRIP_PX, height - row), width=width)).valid.any():
            return
    raise RasterError(
        f"scene {scene.id} of {folder} holds no valid pixel (all no-data or NaN); there is nothing to look at"
    )


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
