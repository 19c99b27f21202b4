"""Crops of labelled images: warped, relit, and with ships of other images pasted onto their water."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from skimage.draw import polygon

from models.train.images import Crop, LabelledImage, Similarity, take_crop

FloatArray = NDArray[np.float64]

_MARGIN_PX = 3  # of a pasted ship around its outline, feathered
_TRIES = 12
_TURN_DEG = 10.0
_SHORE_PX = 40.0  # pasted alongside: the centre at most this far from land

Relight = Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class ImageSource:
    """Crops of labelled images.

    Attributes:
        images: the images, all of the same bands.
        relight: changes the pixels of a crop as another scene might, see `models.train.light`.
        side_px: of a crop.
        scale: (least, largest) magnification.
        quarter_turns: see `Similarity.drawn`.
        hard_xy: (index of the image, col, row) of places once taken for ships.
        hard_share: of crops that show one of those.
        object_share: of the rest, crops that show an object.
        land_factor: how much more often a chip with land is taken than one without.
        paste_share: of crops with pasted ships.
    """

    images: Sequence[LabelledImage]
    relight: Relight
    side_px: int = 256
    scale: tuple[float, float] = (0.65, 1.5)
    quarter_turns: bool = True
    hard_xy: tuple[tuple[int, float, float], ...] = ()
    hard_share: float = 0.12
    object_share: float = 0.8
    land_factor: float = 2.0
    paste_share: float = 0.4
    _chance: FloatArray = field(init=False, repr=False)
    _bank: list[tuple[int, int]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Count what may be drawn."""
        land = np.array([i.sea is not None and (~i.sea).mean() > 0.01 for i in self.images])
        chance = np.where(land, self.land_factor, 1.0)
        object.__setattr__(self, "_chance", chance / chance.sum())
        bank = [
            (i, k)
            for i, image in enumerate(self.images)
            for k in range(len(image.outlines))
            if _can_be_pasted(image, k)
        ]
        object.__setattr__(self, "_bank", bank)

    def crop(self, rng: np.random.Generator) -> Crop:
        """See `Source`."""
        if self.hard_xy and rng.random() < self.hard_share:
            index, x, y = self.hard_xy[rng.integers(len(self.hard_xy))]
            image, centre = self.images[index], np.array([x, y])
        else:
            image = self.images[rng.choice(len(self.images), p=self._chance)]
            if image.outlines and rng.random() < self.object_share:
                centre = image.outlines[rng.integers(len(image.outlines))].mean(axis=0)
            else:
                centre = rng.random(2) * image.shape_hw[::-1]
        centre = centre + rng.uniform(-0.3, 0.3, 2) * self.side_px
        # Where the image is larger than the crop, no more of its outside is shown than must be.
        half = np.minimum(self.side_px / 2.0, np.array(image.shape_hw[::-1]) / 2.0)
        centre = np.clip(centre, half, np.array(image.shape_hw[::-1]) - half)
        image, centre = image.around(centre, self.side_px / self.scale[0] / np.sqrt(2.0) + 1.0)
        if self._bank and rng.random() < self.paste_share:
            image = self._with_pasted(image, rng)
        warp = Similarity.drawn(
            rng, centre, self.side_px, scale=self.scale, turn_deg=_TURN_DEG, quarter_turns=self.quarter_turns
        )
        crop = take_crop(image, warp)
        return replace(crop, values=self.relight(crop.values, rng))

    def _with_pasted(self, image: LabelledImage, rng: np.random.Generator) -> LabelledImage:
        values, outlines = image.values.copy(), list(image.outlines)
        height, width = image.shape_hw
        taken = np.asarray(~np.isfinite(values).all(axis=0))
        if image.sea is not None:
            taken |= ~image.sea
        to_land = None if image.sea is None or image.sea.all() else distance_transform_edt(image.sea)
        for outline in outlines:
            taken[polygon(outline[:, 1], outline[:, 0], shape=(height, width))] = True  # type: ignore[no-untyped-call]
        shore = None if to_land is None else np.argwhere((to_land > 0) & (to_land < _SHORE_PX))
        for _ in range(rng.integers(1, 5)):
            patch, alpha, outline, level = self._cutout(rng)
            h, w = alpha.shape
            if h >= height or w >= width:
                continue
            for _ in range(_TRIES):
                if to_land is not None and shore is not None and len(shore) and rng.random() < 0.6:
                    row, col = shore[rng.integers(len(shore))]
                    if to_land[row, col] > min(h, w) / 2.0 + 8.0:  # alongside: as near as the hull allows
                        continue
                    row, col = row - h // 2, col - w // 2
                    if row < 0 or col < 0 or row + h > height or col + w > width:
                        continue
                else:
                    row, col = rng.integers(height - h), rng.integers(width - w)
                part = np.s_[row : row + h, col : col + w]
                if taken[part][alpha > 0.5].mean() > 0.04:
                    continue
                under = values[:, *part]
                around = np.nanmedian(under, axis=(1, 2), keepdims=True)
                spare = 0.04 * np.nanmax(patch)  # keeps the ratio of two dark seas near one
                gain = rng.uniform(0.8, 1.25) * np.clip((around + spare) / (level + spare), 0.7, 1.4)
                values[:, *part] = alpha * gain * patch + (1.0 - alpha) * under
                taken[part] |= alpha > 0.5
                outlines.append(outline + np.array([col, row]))
                break
        ignored = tuple(i < len(image.outlines) and image.is_ignored(i) for i in range(len(outlines)))
        return replace(image, values=values, outlines=tuple(outlines), ignored=ignored)

    def _cutout(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """A ship of the bank, mirrored and turned by quarters.

        Returns:
            Its pixels (bands, h, w), their opacity (h, w), its outline (k, 2), and the level around it (bands, 1, 1).
        """
        index, k = self._bank[rng.integers(len(self._bank))]
        image = self.images[index]
        outline = image.outlines[k]
        low = np.maximum(np.floor(outline.min(axis=0)).astype(int) - _MARGIN_PX, 0)
        high = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + _MARGIN_PX + 1, image.shape_hw[::-1])
        patch = image.values[:, low[1] : high[1], low[0] : high[0]].astype(float)
        outline = outline - low
        hull = np.zeros(patch.shape[1:], bool)
        hull[polygon(outline[:, 1], outline[:, 0], shape=hull.shape)] = True  # type: ignore[no-untyped-call]
        alpha = np.clip(1.0 - (distance_transform_edt(~hull) - 1.0) / (_MARGIN_PX - 1.0), 0.0, 1.0)
        around = patch[:, ~hull]
        level = np.nanmedian(around, axis=1) if around.size else np.zeros(len(patch))
        if rng.random() < 0.5:
            outline = np.column_stack([patch.shape[2] - 1 - outline[:, 0], outline[:, 1]])
            patch, alpha = patch[:, :, ::-1], alpha[:, ::-1]
        if self.quarter_turns:
            for _ in range(rng.integers(4)):  # anticlockwise: (x, y) goes to (y, w - 1 - x)
                outline = np.column_stack([outline[:, 1], patch.shape[2] - 1 - outline[:, 0]])
                patch, alpha = np.rot90(patch, axes=(1, 2)), np.rot90(alpha)
        return patch, alpha, outline, level[:, None, None]


def _can_be_pasted(image: LabelledImage, k: int) -> bool:
    """Whether the ship is a sure one, does not touch the image's edge and covers the middle of some pixel."""
    if image.is_ignored(k):
        return False
    outline = image.outlines[k]
    low, high = outline.min(axis=0), outline.max(axis=0)
    inside = (low > 1.0).all() and (high < np.array(image.shape_hw[::-1]) - 2.0).all()
    return bool(inside and len(polygon(outline[:, 1], outline[:, 0])[0]))  # type: ignore[no-untyped-call]
