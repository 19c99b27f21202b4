"""Real radar scenes without labels as background: sea, coast and land, bright spots at sea left out of the loss."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imagery.geometry import pixel_size_m
from imagery.geotiff import open_geotiff
from imagery.radiometry import linear_intensity
from imagery.scene import Scene
from imagery.surface import map_surface
from models.cfar_config import CfarConfig
from models.detector import detect
from models.errors import NoWaterError, TrainingError
from models.sar_cfar import SarCfar
from models.train.images import FloatArray, LabelledImage

# Loose: what might be a ship, one pixel in 1e5, is not taught to be none.
_IGNORED = CfarConfig(clutter="k", trimmed=True, false_alarm_rate=1e-5)
_MARGIN_PX = 4.0


def read_background(paths: Sequence[Path], columns: Sequence[str], bands: tuple[str, ...]) -> list[LabelledImage]:
    """Scenes whose file name holds one of these columns (such as ``c2``), as images of linear sigma0.

    Args:
        paths: GeoTIFFs.
        columns: parts of the names, between underscores, that are wanted.
        bands: of the images, in order; one that a scene lacks holds no data.

    Raises:
        TrainingError: if there is none.
        ImageryError: if a scene cannot be read.
    """
    wanted = [path for path in paths if set(path.stem.split("_")) & set(columns)]
    if not wanted:
        raise TrainingError(
            f"no scene of columns {', '.join(columns)} was found; give the folder of the data with --data"
        )
    out = []
    for path in wanted:
        scene = open_geotiff(path)
        pixels = scene.read()
        sigma0 = linear_intensity(pixels.data, scene.unit)
        nothing = np.full(scene.shape_hw, np.nan, np.float32)
        values = np.stack([sigma0[scene.bands.index(b)] if b in scene.bands else nothing for b in bands])
        outlines = _bright_spots(scene)
        out.append(
            LabelledImage(
                name=path.name, values=values, outlines=outlines, ignored=(True,) * len(outlines), group=path.stem
            )
        )
    return out


def _bright_spots(scene: Scene) -> tuple[FloatArray, ...]:
    """Boxes about what a loose CFAR marks at sea."""
    try:
        found = detect(scene, SarCfar(kind="cfar-trimmed", config=_IGNORED), map_surface(scene, None), None).detections
    except NoWaterError:
        return ()
    reach = found.length_high_m / min(pixel_size_m(scene.geometry)) / 2.0 + _MARGIN_PX
    steps = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    return tuple(np.array([c, r]) + n * steps for r, c, n in zip(found.row, found.col, reach, strict=True))
