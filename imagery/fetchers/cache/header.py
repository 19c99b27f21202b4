"""All of a scene but its pixels, as plain values and back."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from imagery.acquire import from_json, to_json
from imagery.errors import ImageryError, SourceError
from imagery.scene import PixelReader, Provenance, Scene
from imagery.sensors import SENSORS
from imagery.stored_geometry import geometry_from_json, geometry_to_json


def header_to_json(scene: Scene) -> dict[str, Any]:
    """A scene without its pixels.

    Raises:
        SourceError: its sensor is not one of `imagery.sensors.SENSORS`.
        RasterError: its geometry is neither a grid nor control points.
    """
    if SENSORS.get(scene.sensor.name) != scene.sensor:
        raise SourceError(f"scene {scene.id} has an unknown sensor {scene.sensor.name!r} and cannot be stored")
    return {
        "id": scene.id,
        "sensor": scene.sensor.name,
        "bands": list(scene.bands),
        "unit": scene.unit,
        "geometry": geometry_to_json(scene.geometry),
        "acquisition": to_json(scene.acquisition, scene.shape_hw),
        "time": scene.time.isoformat() if scene.time else None,
        "clip_value": None if scene.clip_value is None else float(scene.clip_value),
        "provenance": {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(scene.provenance).items()},
    }


def scene_from_json(stored: dict[str, Any], reader: PixelReader) -> Scene:
    """The scene that `header_to_json` stored.

    Args:
        stored: its values.
        reader: gives its pixels.

    Raises:
        SourceError: a part is missing or damaged.
    """
    try:
        known: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in stored["provenance"].items()
        }
        return Scene(
            id=stored["id"],
            sensor=SENSORS[stored["sensor"]],
            bands=tuple(stored["bands"]),
            unit=stored["unit"],
            geometry=geometry_from_json(stored["geometry"]),
            acquisition=from_json(stored["acquisition"]),
            time=datetime.fromisoformat(stored["time"]) if stored["time"] else None,
            reader=reader,
            provenance=Provenance(**known),
            clip_value=stored["clip_value"],
        )
    except (KeyError, TypeError, ValueError, AttributeError, ImageryError) as error:
        raise SourceError(f"a stored scene is damaged: {error!r}") from error
