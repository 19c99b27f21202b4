"""STAC items as scenes whose pixels lie far away: radar as delivered or on a map grid, optical on the finest grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import cast
from urllib.parse import urlsplit

import numpy as np
from affine import Affine

from imagery.acquisition import Acquisition, StatedAcquisition
from imagery.errors import AnnotationError, FetchError, ImageryError, UnitError
from imagery.fetchers.remote import RemoteFiles, in_parallel
from imagery.fetchers.signing import without_query
from imagery.fetchers.stac.bands import (
    BandAsset,
    class_assets,
    granule_href,
    is_terrain_corrected,
    measured_assets,
    mtl_href,
    mtl_is_needed,
)
from imagery.fetchers.stac.grd import delivered_scene
from imagery.fetchers.stac.grid import RemoteBand, RemoteGridReader, open_band
from imagery.fetchers.stac.items import StacItem, centred_model, orbit_model
from imagery.geometry import Grid
from imagery.labels import read_labels
from imagery.orbit import Platform
from imagery.products.landsat import ATTRIBUTION as USGS
from imagery.products.landsat import landsat_acquisition, landsat_notes, parse_mtl
from imagery.products.sentinel2 import offset_is_doubtful, offset_taken_twice, states_mean_time
from imagery.products.sentinel2_metadata import TileMetadata, read_tile_metadata
from imagery.products.xml import parse_xml
from imagery.scene import Provenance, Scene, Unit
from imagery.sensors import is_ancillary

_ALIGNED_PX = 0.01
_GAMMA0 = "gamma0, corrected for the terrain: not sigma0, over the sea it is higher by 1 / cos(incidence)"
_COPERNICUS = "Contains modified Copernicus Sentinel data {year}"


def scene_of_item(item: StacItem, files: RemoteFiles, source: str) -> Scene:
    """An item as a scene; headers are read now, pixels when asked for.

    Args:
        item: the item.
        files: how its files are read.
        source: where it was found, for the provenance.

    Raises:
        FetchError: a file cannot be had, or the files do not fit together.
        QuotaError, CredentialsError: see `RemoteFiles.use`.
        SourceError: the item has no bands that can be used.
        AnnotationError, UnitError: what comes with the pixels cannot be read, or nothing tells their unit.
    """
    mtl = _mtl(item, files)
    assets = measured_assets(item, mtl)
    attribution = USGS if item.mission == "landsat" else _COPERNICUS.format(year=item.ref.time.year)
    provenance = Provenance(source=source, ids=(item.ref.id,), attribution=attribution)
    first = files.use([assets[0].href], lambda paths: _look(paths[0], assets[0]))
    if first.grid is None:
        if item.mission != "sentinel-1":
            raise FetchError(f"{without_query(assets[0].href)} does not say where it lies; other scenes may be well")
        return delivered_scene(item, assets, files, provenance)
    return _gridded(item, assets, first, files, provenance)


def _mtl(item: StacItem, files: RemoteFiles) -> dict[str, str] | None:
    """The MTL file of an item whose scale stands only there."""
    href = mtl_href(item) if mtl_is_needed(item) else None
    return None if href is None else parse_mtl(files.download(href).decode("utf-8", errors="replace"))


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What a file says of itself."""

    grid: Grid | None
    unit: Unit
    scale: float
    offset: float
    invalid: tuple[float, ...]
    clip_value: float | None = None
    notes: tuple[str, ...] = ()


def _gridded(
    item: StacItem, assets: Sequence[BandAsset], first: _Look, files: RemoteFiles, provenance: Provenance
) -> Scene:
    """Bands on map grids that fit into each other."""
    classes = class_assets(item)

    def look(asset: BandAsset) -> _Look:
        return files.use([asset.href], lambda paths: _look(paths[0], asset))

    looks = [first, *in_parallel(look, (*assets[1:], *classes))]
    measured = looks[: len(assets)]
    grid = _finest(looks)
    bands = tuple(_on_grid(asset, look, grid) for asset, look in zip((*assets, *classes), looks, strict=True))
    if len({(look.unit, look.clip_value) for look in measured}) > 1:
        raise UnitError(
            f"the bands of {item.ref.id} have different units: {', '.join(sorted({m.unit for m in measured}))}"
        )
    notes = list(dict.fromkeys(note for look in measured for note in look.notes))
    if item.mission == "landsat":
        notes += landsat_notes(item.properties)
    if is_terrain_corrected(item):
        notes.append(_GAMMA0)
    bands = _checked_offset(item, bands, files, notes)
    tile = _tile_metadata(item, files, grid)
    angles = {"sun": tile.sun, "view": tile.view} if tile is not None else {}
    acquisition = _acquisition(item, grid, tile, notes)
    names = [band.band for band in bands]
    for name, angle in angles.items():
        names += [f"{name}_zenith_deg", f"{name}_azimuth_deg"] if angle is not None else []
    return Scene(
        id=item.ref.id,
        sensor=item.sensor,
        bands=tuple(names),
        unit=first.unit,
        geometry=grid,
        acquisition=acquisition,
        time=item.ref.time,
        reader=RemoteGridReader(files=files, bands=bands, angles=tuple(a for a in angles.values() if a is not None)),
        provenance=replace(provenance, notes=tuple(notes)),
        clip_value=first.clip_value,
    )


def _look(path: str, asset: BandAsset) -> _Look:
    """Grid, unit and scale of a file; what the catalogue states of the numbers goes before what the file does."""
    with open_band(path) as file:
        if file.crs is None:
            return _Look(grid=None, unit="amplitude", scale=1.0, offset=0.0, invalid=())
        grid = Grid(crs_wkt=file.crs.to_wkt(), transform=file.transform, shape_hw=(file.height, file.width))
        nodata = file.nodatavals[0]
        stated = (float(nodata),) if nodata is not None and not np.isnan(nodata) else ()
        invalid = asset.invalid or stated
        if asset.unit == "reflectance" and file.dtypes[0].startswith("float"):
            invalid = stated  # the special numbers of a product are none of its floats
        if is_ancillary(asset.band):
            invalid = ()
        if asset.unit is not None or is_ancillary(asset.band):
            scale = 1.0 if asset.scale is None else asset.scale
            unit = asset.unit or "reflectance"
            return _Look(grid=grid, unit=unit, scale=scale, offset=asset.offset or 0.0, invalid=invalid)
        stem = PurePosixPath(urlsplit(asset.href).path).stem
        labels = read_labels(file, Path(f"{stem}_{asset.band}.tif"))
        scaled = labels.scale != 1.0 or labels.offset != 0.0
        return _Look(
            grid=grid,
            unit=labels.unit,
            scale=labels.scale if scaled or asset.scale is None else asset.scale,
            offset=labels.offset if scaled or asset.offset is None else asset.offset,
            invalid=invalid,
            clip_value=labels.clip_value,
            notes=tuple(note for note in labels.notes if "acquired" not in note),
        )


def _finest(looks: Sequence[_Look]) -> Grid:
    grids = [look.grid for look in looks if look.grid is not None]
    return min(grids, key=lambda grid: abs(grid.transform.determinant))


def _on_grid(asset: BandAsset, look: _Look, grid: Grid) -> RemoteBand:
    """A band's place on the scene's grid.

    Raises:
        FetchError: if its pixels are not whole blocks of the grid's.
    """
    own = look.grid
    fits = own is not None and own.crs_wkt == grid.crs_wkt
    repeat = max(1, round(abs(own.transform.determinant / grid.transform.determinant) ** 0.5)) if own is not None else 1
    if own is not None and fits:
        expected = grid.transform @ Affine.scale(repeat)
        pixel = abs(grid.transform.determinant) ** 0.5
        fits = bool(np.allclose(tuple(own.transform)[:6], tuple(expected)[:6], rtol=0.0, atol=_ALIGNED_PX * pixel))
        fits &= tuple(-(-side // repeat) for side in grid.shape_hw) == own.shape_hw
    if not fits:
        raise FetchError(
            f"{without_query(asset.href)} does not lie on the grid of the other bands; other scenes may be well"
        )
    return RemoteBand(
        band=asset.band,
        href=asset.href,
        repeat=repeat,
        scale=look.scale,
        offset=look.offset,
        invalid=look.invalid,
    )


def _checked_offset(
    item: StacItem, bands: tuple[RemoteBand, ...], files: RemoteFiles, notes: list[str]
) -> tuple[RemoteBand, ...]:
    """The bands, their offset taken back where pixels show that it was subtracted already."""
    probe = next((band for band in bands if band.band == "b03"), None)
    asset = next((a for a in item.assets.values() if probe is not None and a["href"] == probe.href), None)
    if item.mission != "sentinel-2" or probe is None or asset is None or not offset_is_doubtful(item.properties, asset):
        return bands
    if not offset_taken_twice(files.use([probe.href], lambda paths: probe.sample(paths[0]))):
        return bands
    notes.append("the catalogue states an offset of the reflectance that its pixels no longer hold; it was left out")
    return tuple(band if is_ancillary(band.band) else replace(band, offset=0.0) for band in bands)


def _tile_metadata(item: StacItem, files: RemoteFiles, grid: Grid) -> TileMetadata | None:
    """The metadata of a Sentinel-2 tile, where the item has them."""
    href = granule_href(item) if item.mission == "sentinel-2" else None
    if href is None:
        return None
    what = f"the tile's metadata of {item.ref.id}"
    tile = read_tile_metadata(parse_xml(files.download(href), what), what)
    if tile.grid.shape_hw != grid.shape_hw or not np.allclose(tuple(tile.grid.transform), tuple(grid.transform)):
        raise AnnotationError(f"{what} are of another tile than its bands; other scenes may be well")
    return tile


def _acquisition(item: StacItem, grid: Grid, tile: TileMetadata | None, notes: list[str]) -> Acquisition:
    """An orbit model where the mission's orbit is known; the time alone where that contradicts the item."""
    if item.mission == "landsat":
        return landsat_acquisition(item.properties)
    platform = cast("Platform", item.mission)
    try:
        if tile is not None and tile.level1_baseline is not None and states_mean_time(tile.level1_baseline):
            return centred_model(item, platform, grid, tile.sensing_time, 1.0)
        return orbit_model(item, platform, grid)
    except ImageryError as error:
        notes.append(f"the item's time, place and track contradict each other, so that angles are not known: {error}")
        return StatedAcquisition(time=item.ref.time, time_sigma_s=30.0)
