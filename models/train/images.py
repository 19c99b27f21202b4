"""Labelled images and the crops that training takes from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import shapely
import torch
from numpy.typing import NDArray
from skimage.draw import polygon
from torch.nn.functional import grid_sample

from models.vessel.hulls import Hulls, rectangle

FloatArray = NDArray[np.float64]

LEAST_VISIBLE = 0.3  # of a hull cut by a crop's edge: less than that is ignored, more is labelled as far as it is seen


@dataclass(frozen=True, kw_only=True)
class LabelledImage:
    """One image with its hulls.

    Attributes:
        name: for messages and for hard negatives.
        values: (bands, h, w), NaN where there is no data.
        outlines: per hull its outline, (k, 2) in (col, row), pixel centres at whole numbers.
        ignored: per hull True where it is neither to be found nor missed; empty = none.
        sea: (h, w) True on water; None where not known.
        group: images that share pixels share it.
    """

    name: str
    values: NDArray[np.float32]
    outlines: tuple[FloatArray, ...]
    ignored: tuple[bool, ...] = ()
    sea: NDArray[np.bool_] | None = None
    group: str = ""

    @property
    def shape_hw(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.values.shape[1], self.values.shape[2]

    def is_ignored(self, hull: int) -> bool:
        """Whether a hull counts neither as found nor as missed."""
        return bool(self.ignored) and self.ignored[hull]

    def around(self, centre_xy: FloatArray, reach_px: float) -> tuple[LabelledImage, FloatArray]:
        """The part within reach of a place, with the hulls that touch it, and where that place lies in it."""
        low = np.clip(np.floor(centre_xy - reach_px).astype(int), 0, None)
        high = np.clip(np.ceil(centre_xy + reach_px).astype(int) + 1, None, self.shape_hw[::-1])
        part = np.s_[low[1] : high[1], low[0] : high[0]]
        touching = [
            i
            for i, outline in enumerate(self.outlines)
            if (outline.max(axis=0) >= low).all() and (outline.min(axis=0) <= high).all()
        ]
        cut = replace(
            self,
            values=self.values[:, *part],
            outlines=tuple(self.outlines[i] - low for i in touching),
            ignored=tuple(self.is_ignored(i) for i in touching),
            sea=None if self.sea is None else self.sea[part],
        )
        return cut, centre_xy - low


@dataclass(frozen=True, kw_only=True)
class Crop:
    """What one training step sees of one place.

    Attributes:
        values: (bands, h, w), NaN where there is no data.
        hulls: labels in its pixels.
        hull_mask: (h, w) 1 on hulls, 0 elsewhere, NaN where not known; None = nowhere known.
        land: (h, w) 1 on land, 0 on water, NaN where not known; None = nowhere known.
    """

    values: NDArray[np.float32]
    hulls: Hulls
    hull_mask: NDArray[np.float32] | None = None
    land: NDArray[np.float32] | None = None


class Source(Protocol):
    """Endless crops."""

    def crop(self, rng: np.random.Generator) -> Crop:
        """The next one that these random numbers make."""
        ...


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """A shift, a turn, a mirror and a scale: from an image's pixels to a crop's.

    Attributes:
        matrix: (2, 2), applied to (col, row) about `centre_xy`.
        centre_xy: the place in the image that comes to the crop's middle.
        side_px: of the crop.
    """

    matrix: FloatArray
    centre_xy: FloatArray
    side_px: int

    @classmethod
    def drawn(
        cls,
        rng: np.random.Generator,
        centre_xy: FloatArray,
        side_px: int,
        *,
        scale: tuple[float, float],
        turn_deg: float,
        quarter_turns: bool,
    ) -> Similarity:
        """A random one.

        Args:
            rng: where from.
            centre_xy: see above.
            side_px: see above.
            scale: (least, largest) magnification, drawn evenly by its logarithm.
            turn_deg: largest turn to either side.
            quarter_turns: True where a sensor's geometry does not tell up from right; False keeps rows rows (half turns
                and mirrors only: azimuth stays azimuth).
        """
        factor = np.exp(rng.uniform(*np.log(scale)))
        angle = np.radians(rng.uniform(-turn_deg, turn_deg) + 90.0 * rng.integers(4) * (1 if quarter_turns else 2))
        mirror = np.diag([rng.choice([-1.0, 1.0]), 1.0])
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return cls(matrix=factor * turn @ mirror, centre_xy=np.asarray(centre_xy, float), side_px=side_px)

    def points(self, xy: FloatArray) -> FloatArray:
        """Places (k, 2) of the image in the crop."""
        return np.asarray((xy - self.centre_xy) @ self.matrix.T + (self.side_px - 1) / 2.0)

    def image(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The crop's pixels (bands, side, side), bilinear; NaN where the image holds no data or ends."""
        height, width = values.shape[1:]
        at = np.arange(self.side_px) - (self.side_px - 1) / 2.0
        back = np.linalg.inv(self.matrix)
        x = back[0, 0] * at + back[0, 1] * at[:, None] + self.centre_xy[0]
        y = back[1, 0] * at + back[1, 1] * at[:, None] + self.centre_xy[1]
        grid = np.stack([(2.0 * x + 1.0) / width - 1.0, (2.0 * y + 1.0) / height - 1.0], axis=-1)
        valid = np.isfinite(values)
        stacked = np.concatenate([np.where(valid, values, 0.0), valid.astype(np.float32)])
        warped = grid_sample(
            torch.from_numpy(stacked)[None], torch.from_numpy(grid.astype(np.float32))[None], align_corners=False
        )[0].numpy()
        bands = len(values)
        return np.where(warped[bands:] > 0.999, warped[:bands], np.float32(np.nan)).astype(np.float32)


def take_crop(image: LabelledImage, similarity: Similarity) -> Crop:
    """A crop with the hulls that lie in it; one cut by its edge is labelled as far as it is seen."""
    side = similarity.side_px
    inside = shapely.box(-0.5, -0.5, side - 0.5, side - 0.5)
    corners, ignored = [], []
    hull_mask = np.zeros((side, side), np.float32)
    for number, outline in enumerate(image.outlines):
        placed = similarity.points(outline)
        low, high = placed.min(axis=0), placed.max(axis=0)
        if (high < -0.5).any() or (low > side - 0.5).any():
            continue
        covered = polygon(placed[:, 1], placed[:, 0], shape=hull_mask.shape)  # type: ignore[no-untyped-call]
        hull_mask[covered] = np.nan if image.is_ignored(number) else 1.0
        seen = 1.0
        if (low < -0.5).any() or (high > side - 0.5).any():
            whole = shapely.convex_hull(shapely.MultiPoint(placed))
            part = whole.intersection(inside)
            seen = part.area / max(whole.area, 1e-9)
            if part.geom_type != "Polygon" or part.is_empty:
                continue
            placed = np.asarray(part.exterior.coords)
        corners.append(rectangle(placed))
        ignored.append(seen < LEAST_VISIBLE or image.is_ignored(number))
    hulls = Hulls.of_corners(np.reshape(corners, (-1, 4, 2)), ignored=np.array(ignored, bool))
    if image.sea is None:
        return Crop(values=similarity.image(image.values), hulls=hulls, hull_mask=hull_mask)
    warped = similarity.image(np.concatenate([image.values, ~image.sea[None]]).astype(np.float32))
    return Crop(values=warped[:-1], hulls=hulls, hull_mask=hull_mask, land=warped[-1])


def split_groups(
    images: Sequence[LabelledImage], share: float, seed: int
) -> tuple[list[LabelledImage], list[LabelledImage]]:
    """Two parts that share no group: (the larger, the smaller with about this share of the hulls).

    Groups are drawn in a seeded order; one without hulls, or one that would take the smaller part beyond its share, is
    left in the larger.
    """
    groups = sorted({image.group for image in images})
    hulls = {g: sum(len(i.outlines) for i in images if i.group == g) for g in groups}
    wanted = share * sum(hulls.values())
    taken: set[str] = set()
    for group in np.random.default_rng(seed).permutation(groups):
        if hulls[str(group)] and sum(hulls[g] for g in taken) + hulls[str(group)] <= wanted:
            taken.add(str(group))
    return [i for i in images if i.group not in taken], [i for i in images if i.group in taken]
