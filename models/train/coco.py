"""Images and outlines of a COCO folder, and of folders of images without any ship."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.errors import TrainingError
from models.metrics.coco import read_coco
from models.train.images import LabelledImage


def read_chips(annotations: Path, images: Path, sea_masks: Path | None = None) -> list[LabelledImage]:
    """All images of a COCO file in order of their ids; outlines are its polygons, or boxes where there are none.

    Args:
        annotations: COCO JSON; images that share a ``scene_group`` stay together wherever images are divided.
        images: folder of 8-bit images; colour becomes grey.
        sea_masks: folder of masks by image name (.png), 255 on water.

    Raises:
        ModelError: if a file is missing or is not what it should be.
    """
    return [
        LabelledImage(
            name=image.file_name,
            values=_grey(images / image.file_name).astype(np.float32)[None],
            outlines=tuple(outline.corners - 0.5 for outline in image.outlines),
            sea=None if sea_masks is None else _grey(sea_masks / f"{Path(image.file_name).stem}.png") > 127,
            group=image.scene_group or image.file_name,
        )
        for image in read_coco(annotations).images
    ]


def read_empty_chips(paths: Sequence[Path]) -> list[LabelledImage]:
    """8-bit images that show no ship."""
    return [
        LabelledImage(name=path.name, values=_grey(path).astype(np.float32)[None], outlines=(), group=path.name)
        for path in paths
    ]


def _grey(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as opened:
            return np.asarray(opened.convert("L"))
    except OSError as error:
        raise TrainingError(f"{path} cannot be read as an image: {error}; give its folder") from error
