"""COCO files: instance annotations as truth, and results files in and out.

Format: https://cocodataset.org/#format-data and #format-results. As in pycocotools, ``iscrowd`` marks what is not
scored, and the field ``ignore`` of an annotation is not read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.chip_detections import ChipDetections
from models.metrics.errors import TruthError
from models.metrics.outlines import Outline, PixelOutline, PolygonOutline

FloatArray = NDArray[np.float64]

_OVERHANG_PX = 1.0  # rounding may put a box's edge this far outside its image


@dataclass(frozen=True, kw_only=True)
class CocoImage:
    """One image and its true ships (m of them, by annotation id).

    Attributes:
        id: image id.
        file_name: as in the file.
        shape_hw: (height, width) in pixels.
        box_xywh: (m, 4) boxes.
        outlines: m outlines; the box where the file gives no segmentation.
        crowd: (m,) bool, True: not scored.
        scene_group: label of images that share pixels, None where the file has none.
        land_fraction: share of land in 0..1, None where the file has none.
    """

    id: int
    file_name: str
    shape_hw: tuple[int, int]
    box_xywh: FloatArray
    outlines: tuple[Outline, ...]
    crowd: NDArray[np.bool_]
    scene_group: str | None
    land_fraction: float | None


@dataclass(frozen=True, kw_only=True)
class CocoTruth:
    """A set of images with true ships.

    Attributes:
        path: the file.
        category_id: the category that means ship.
        images: by id.
        data_kind: ``info.data_kind`` of the file, such as ``real`` or ``simulated``; None where it does not say.
        has_polygons: True where every scored ship has a segmentation.
    """

    path: Path
    category_id: int
    images: tuple[CocoImage, ...]
    data_kind: str | None
    has_polygons: bool


def read_coco(path: Path, *, category: str | None = None) -> CocoTruth:
    """Read instance annotations.

    Args:
        path: the file.
        category: name of the category that means ship; None if the file has one category only.

    Returns:
        The truth.

    Raises:
        TruthError: if the file is missing, not COCO, or holds boxes that cannot be.
    """
    data = _json(path)
    if not isinstance(data, dict) or not all(isinstance(data.get(key), list) for key in ("images", "annotations")):
        raise TruthError(f"{path} is not a COCO annotation file: it needs the lists 'images' and 'annotations'")
    try:
        category_id = _category(data, path, category)
        records = {int(image["id"]): image for image in data["images"]}
        by_image: dict[int, list[Mapping[str, Any]]] = {i: [] for i in records}
        for annotation in sorted(data["annotations"], key=lambda a: int(a["id"])):
            image_id = int(annotation["image_id"])
            if image_id not in by_image:
                raise TruthError(f"{path}: annotation {annotation['id']} is of image {image_id}, which is not listed")
            if int(annotation["category_id"]) == category_id:
                by_image[image_id].append(annotation)
        if len(records) != len(data["images"]):
            raise TruthError(f"{path}: two images have one id; give each its own")
        if not records:
            raise TruthError(f"{path} lists no images; nothing can be scored")
        images = tuple(_image(records[i], by_image[i], path) for i in sorted(records))
        ships = [a for annotations in by_image.values() for a in annotations if not a.get("iscrowd")]
        return CocoTruth(
            path=path,
            category_id=category_id,
            images=images,
            data_kind=_text_or_none((data.get("info") or {}).get("data_kind")),
            has_polygons=bool(ships) and all(a.get("segmentation") for a in ships),
        )
    except KeyError as error:
        raise TruthError(f"{path} is not a COCO annotation file: an entry lacks the field {error}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise TruthError(f"{path} is not a COCO annotation file: {error}") from error


def read_results(path: Path, truth: CocoTruth) -> list[ChipDetections]:
    """Read a COCO results file made by any detector.

    Of each entry ``image_id``, ``category_id``, ``bbox`` and ``score`` are needed; ``centre_xy``, ``oriented_box`` and
    ``is_vessel`` are read where they are there, otherwise the centre is the box's. Entries of other categories are left
    out.

    Args:
        path: the file.
        truth: the images it is about.

    Returns:
        Detections of each image of the truth, in its order.

    Raises:
        TruthError: if the file is missing, is not a COCO results file, or does not fit the truth.
    """
    data = _json(path)
    if not isinstance(data, list):
        raise TruthError(f"{path} is not a COCO results file: it needs to be a list of detections")
    index = {image.id: i for i, image in enumerate(truth.images)}
    rows: list[list[Mapping[str, Any]]] = [[] for _ in truth.images]
    others = set()
    try:
        for entry in data:
            if int(entry["image_id"]) not in index:
                raise TruthError(
                    f"{path}: image {entry['image_id']} is not in {truth.path}; score what it was made for"
                )
            if int(entry["category_id"]) == truth.category_id:
                rows[index[int(entry["image_id"])]].append(entry)
            else:
                others.add(int(entry["category_id"]))
        if others and not any(rows):
            raise TruthError(
                f"{path} holds only category {sorted(others)}, but ships are category {truth.category_id} in "
                f"{truth.path}; write that number as category_id"
            )
        return [_results_of(entries) for entries in rows]
    except KeyError as error:
        raise TruthError(f"{path} is not a COCO results file: an entry lacks the field {error}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise TruthError(f"{path} is not a COCO results file: {error}") from error


def results_entries(image_id: int, category_id: int, found: ChipDetections) -> list[dict[str, Any]]:
    """Detections of one image as entries of a COCO results file, with our own further fields.

    ``centre_xy`` is in the coordinates of ``bbox`` (the first pixel covers [0, 1]); ``oriented_box`` is
    [centre x, centre y, length, width, axis] in pixels and degrees clockwise from up, null where not known.
    """
    return [
        {
            "image_id": image_id,
            "category_id": category_id,
            "bbox": found.box_xywh[i].tolist(),
            "score": float(found.score[i]),
            "centre_xy": found.centre_xy[i].tolist(),
            "oriented_box": found.oriented[i].tolist() if np.isfinite(found.oriented[i]).all() else None,
            "is_vessel": bool(found.is_vessel[i]),
        }
        for i in range(len(found))
    ]


def decode_rle(segmentation: Mapping[str, Any]) -> NDArray[np.bool_]:
    """The mask of a run-length encoded segmentation, (h, w) bool.

    Args:
        segmentation: ``size`` [height, width] and ``counts``: run lengths, zeros first, down the columns; a list, or
            the compressed text of the COCO API (``maskApi.c``, rleFrString).
    """
    height, width = (int(n) for n in segmentation["size"])
    counts = segmentation["counts"]
    runs = _uncompressed(counts) if isinstance(counts, str) else [int(n) for n in counts]
    if min(runs, default=0) < 0 or sum(runs) != height * width:
        raise ValueError(f"run lengths of a mask of {height} x {width} pixels sum to {sum(runs)}")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(width, height).T


def _uncompressed(text: str) -> list[int]:
    """Run lengths: 5 bits a character, low first, bit 6: more follow; from the fourth on, less the one two before."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    return runs


def _json(path: Path) -> Any:
    if not path.is_file():
        raise TruthError(f"{path} does not exist; give the path of a COCO file")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise TruthError(f"{path} is not JSON: {error}") from error


def _category(data: Mapping[str, Any], path: Path, name: str | None) -> int:
    categories = {int(c["id"]): str(c.get("name", c["id"])) for c in data.get("categories") or []}
    if not categories:
        categories = {int(a["category_id"]): str(a["category_id"]) for a in data["annotations"]} or {1: "1"}
    chosen = [i for i, label in categories.items() if name in (None, label)]
    if len(chosen) != 1:
        listed = ", ".join(sorted(categories.values()))
        raise TruthError(f"{path} has the categories {listed}; say with --category which one means ship")
    return chosen[0]


def _image(record: Mapping[str, Any], annotations: Sequence[Mapping[str, Any]], path: Path) -> CocoImage:
    height, width = int(record["height"]), int(record["width"])
    land, group = record.get("land_fraction"), record.get("scene_group")
    boxes = [_box(a, record, path) for a in annotations]
    return CocoImage(
        id=int(record["id"]),
        file_name=str(record["file_name"]),
        shape_hw=(height, width),
        box_xywh=np.array(boxes, np.float64).reshape(-1, 4),
        outlines=tuple(_outline(a, box, path, (height, width)) for a, box in zip(annotations, boxes, strict=True)),
        crowd=np.array([bool(a.get("iscrowd", 0)) for a in annotations], bool),
        scene_group=_text_or_none(group),
        land_fraction=None if land is None else float(land),
    )


def _box(annotation: Mapping[str, Any], record: Mapping[str, Any], path: Path) -> list[float]:
    box = [float(value) for value in annotation["bbox"]]
    name = f"{path}: box {box} of annotation {annotation['id']}"
    if len(box) != 4 or not all(map(math.isfinite, box)) or min(box[2:]) <= 0:
        raise TruthError(f"{name} is not [left, top, width, height] with a positive size")
    if (
        min(box[:2]) < -_OVERHANG_PX
        or box[0] + box[2] > int(record["width"]) + _OVERHANG_PX
        or box[1] + box[3] > int(record["height"]) + _OVERHANG_PX
    ):
        size = f"{record['width']} x {record['height']}"
        raise TruthError(f"{name} reaches outside image {record['file_name']} of {size} pixels; correct it")
    return box


def _outline(
    annotation: Mapping[str, Any], box: list[float], path: Path, shape_hw: tuple[int, int]
) -> PolygonOutline | PixelOutline:
    segmentation = annotation.get("segmentation")
    if not segmentation:
        return PolygonOutline.of_box(box)
    if isinstance(segmentation, dict):
        mask = decode_rle(segmentation)
        if mask.shape != shape_hw or not mask.any():
            raise TruthError(f"{path}: the mask of annotation {annotation['id']} is empty or not of its image's size")
        row, col = np.nonzero(mask)
        return PixelOutline(row=row, col=col)
    if not all(isinstance(ring, list) and len(ring) >= 6 and len(ring) % 2 == 0 for ring in segmentation):
        raise TruthError(f"{path}: a polygon of annotation {annotation['id']} is not x, y pairs of 3 or more corners")
    return PolygonOutline(rings=tuple(np.array(ring, np.float64).reshape(-1, 2) for ring in segmentation))


def _results_of(entries: Sequence[Mapping[str, Any]]) -> ChipDetections:
    if not entries:
        return ChipDetections.empty()
    boxes = np.array([[float(value) for value in e["bbox"]] for e in entries])
    centre = np.array([e.get("centre_xy") or b[:2] + b[2:] / 2.0 for e, b in zip(entries, boxes, strict=True)])
    return ChipDetections(
        row=centre[:, 1] - 0.5,
        col=centre[:, 0] - 0.5,
        score=np.array([float(e["score"]) for e in entries]),
        box_xywh=boxes,
        oriented=np.array([e.get("oriented_box") or [np.nan] * 5 for e in entries], np.float64),
        is_vessel=np.array([bool(e.get("is_vessel", True)) for e in entries]),
    )


def _text_or_none(value: object) -> str | None:
    return None if value is None else str(value)
