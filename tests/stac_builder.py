"""Scenes as files and items of a STAC catalogue, written by rio-stac and rio-cogeo's own means."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import rasterio
import shapely
from affine import Affine
from rio_stac import create_stac_item
from shapely.geometry import MultiPolygon, box, mapping

from imagery.geometry import footprint
from imagery.scene import Scene
from imagery.sensors import is_ancillary

NOON = datetime(2023, 6, 11, 4, 30, tzinfo=UTC)
MISSIONS = {"sentinel-1-grd": "sentinel-1", "sentinel-1-rtc": "sentinel-1", "sentinel-2-l2a": "sentinel-2"}


def collection(name, **fields):
    """A collection that covers the Earth."""
    extent = {
        "spatial": {"bbox": [[-180, -90, 180, 90]]},
        "temporal": {"interval": [["2014-01-01T00:00:00Z", None]]},
    }
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": name,
        "description": name,
        "license": "proprietary",
        "links": [],
        "extent": extent,
        **fields,
    }


def bare_item(name, shape, time=NOON, *, collection="sentinel-1-grd", assets=None, geometry=..., **properties):
    """An item without files behind it.

    Args:
        name: its id.
        shape: its outline, degrees.
        time: its datetime; None for none.
        collection: its collection, which decides the mission.
        assets: keys of its assets, or the assets themselves.
        geometry: GeoJSON instead of the outline.
        properties: more of them; ``sar__instrument_mode`` becomes ``sar:instrument_mode``.
    """
    mission = MISSIONS.get(collection)
    more = {key.replace("__", ":"): value for key, value in properties.items()}
    if mission == "sentinel-1":
        more = {"sar:instrument_mode": "IW", "sar:product_type": "GRD", **more}
    keys = {"sentinel-1": ("vv", "vh"), "sentinel-2": ("B02", "B03", "B04", "B08", "B11")}.get(mission, ())
    assets = keys if assets is None else assets
    if not isinstance(assets, dict):
        assets = {key: {"href": f"https://far.example/{name}/{key}.tif", "type": "image/tiff"} for key in assets}
    if mission == "sentinel-2":
        more = {"s2:processing_baseline": "05.09", **more}
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": name,
        "collection": collection,
        "geometry": mapping(shape) if geometry is ... else geometry,
        "bbox": list(shape.bounds),
        "properties": {
            "datetime": time.isoformat().replace("+00:00", "Z") if time else None,
            "platform": f"{mission}a",
            **{key: value for key, value in more.items() if value is not None},
        },
        "links": [],
        "assets": assets,
    }


def write_cog(path, data, *, transform, crs="EPSG:32651", nodata=0, blocksize=512, tags=None, **more):
    """One band as a COG with overviews."""
    profile = {
        "driver": "COG",
        "dtype": data.dtype,
        "count": 1,
        "height": data.shape[0],
        "width": data.shape[1],
        "crs": crs,
        "transform": transform,
        "nodata": nodata,
        "blocksize": blocksize,
        "compress": "deflate",
        **more,
    }
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(data, 1)
        dataset.update_tags(**(tags or {}))
    return path


def item_of_files(name, files, base, *, time=NOON, collection="sentinel-1-grd", root, stated=None, **properties):
    """An item over COGs that lie in a served folder.

    Args:
        name: its id.
        files: path by asset key.
        base: address of the served folder.
        time: its datetime.
        collection: its collection.
        root: the served folder.
        stated: scale, offset, unit and nodata for ``raster:bands``, the same for each asset or by key.
        properties: see `bare_item`.
    """
    item = None
    for key, path in files.items():
        href = f"{base}/{Path(path).relative_to(root).as_posix()}"
        made = create_stac_item(
            str(path), input_datetime=time, id=name, collection=collection, asset_name=key, asset_href=href,
            with_proj=True, with_raster=True,
        ).to_dict()  # fmt: skip
        band = made["assets"][key]["raster:bands"][0]
        told = (stated or {}).get(key, stated or {})
        band.update({k: v for k, v in told.items() if k in ("scale", "offset", "unit", "nodata")})
        if item is None:
            item = made
        item["assets"][key] = made["assets"][key]
    bare = bare_item(name, box(0, 0, 1, 1), time, collection=collection, **properties)
    item["properties"] = {**item["properties"], **bare["properties"]}
    return item


def export_scene(scene: Scene, root: Path, base: str, *, form="float", collection=None, **properties):
    """A scene as COGs on its map grid, one per band, and its item.

    Args:
        scene: radar in sigma0, or reflectance.
        root: the served folder; files go into a folder of their own there.
        base: its address.
        form: ``float`` as they are; ``amplitude`` or ``db`` as uint16 with scale and offset (radar); reflectance is
            always uint16 with scale 1e-4 and offset -0.1 unless ``float``.
        collection: None takes the one of the mission.
        properties: see `bare_item`.
    """
    collection = collection or ("sentinel-1-grd" if scene.sensor.kind == "sar" else "sentinel-2-l2a")
    folder = root / scene.id
    folder.mkdir(parents=True, exist_ok=True)
    pixels = scene.read()
    files, stated = {}, {}
    for band, data, valid in zip(scene.bands, pixels.data, pixels.valid, strict=True):
        if is_ancillary(band):
            continue
        numbers, stated[band] = encode(data, valid, form if scene.sensor.kind == "sar" or form == "float" else "refl")
        nodata = 0 if numbers.dtype.kind == "u" else float("nan")
        stated[band].setdefault("unit", scene.unit)
        files[band] = write_cog(
            folder / f"{band}.tif",
            numbers,
            transform=scene.geometry.transform,
            crs=scene.geometry.crs_wkt,
            nodata=nodata,
        )
    item = item_of_files(
        scene.id, files, base, time=scene.time, collection=collection, root=root, stated=stated, **properties
    )
    item["geometry"] = mapping(footprint(scene.geometry))
    item["bbox"] = list(shapely.bounds(shapely.geometry.shape(item["geometry"])))
    return item


def encode(data, valid, form):
    """Numbers of a file, and what an item states of them.

    Returns:
        (numbers, {scale, offset, unit}) with value = number * scale + offset.
    """
    if form == "float":
        return np.where(valid, data, np.nan).astype(np.float32), {"scale": 1.0, "offset": 0.0}
    if form == "amplitude":
        scale, offset, unit, values = 1e-3, 0.0, "amplitude", np.sqrt(np.maximum(data, 0.0))
    elif form == "db":
        scale, offset, unit = 0.01, -60.0, "sigma0_db"
        values = 10.0 * np.log10(np.maximum(data, 1e-5))
    else:
        scale, offset, unit, values = 1e-4, -0.1, "reflectance", data
    numbers = np.clip(np.rint((np.where(valid, values, 0.0) - offset) / scale), 1, 65534)
    return np.where(valid, numbers, 0).astype(np.uint16), {"scale": scale, "offset": offset, "unit": unit}


def write_items(path, items):
    """An ItemCollection as JSON."""
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}), encoding="utf-8")
    return path


def passes(place, *, count=3, hours=12.0, collection="sentinel-1-grd", first=NOON):
    """Items over one place, some hours apart, ascending and descending in turn."""
    states = ("descending", "ascending")
    return [
        bare_item(
            f"PASS-{i:03d}",
            place,
            first + timedelta(hours=hours * i),
            collection=collection,
            sat__orbit_state=states[i % 2],
        )
        for i in range(count)
    ]


def multi(*parts):
    """A MultiPolygon of boxes (west, south, east, north)."""
    return MultiPolygon([box(*part) for part in parts])


UTM51 = Affine(10, 0, 380000, 0, -10, 4200000)
