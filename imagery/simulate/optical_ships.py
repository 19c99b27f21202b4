"""Ships in an optical scene: painted hulls, shadows and wakes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from imagery.geometry import FloatArray
from imagery.simulate.clouds import shadow_px
from imagery.simulate.fields import Field
from imagery.simulate.ground import PIXEL_M, View
from imagery.simulate.seeding import rng_for
from imagery.simulate.truth import SceneTruth

FINE = 5  # samples per pixel side within which a hull is drawn
PSF_PX = {"fine": 0.45, "coarse": 0.9}  # point-spread of 10 m bands, and of b11 whose pixels are 20 m
# When each band sees a place, seconds after b02 (b02 b03 b04 b08 b11): the detectors lie one behind the other, so
# that a moving ship shows coloured edges. ESA, Sentinel-2 User Handbook; Binet et al. 2022, ISPRS Annals V-1-2022, 57
# find the true delays within 2 % of these.
BAND_DELAY_S = (0.0, 0.527, 1.005, 0.264, 1.525)
# Reflectance of paint and cargo per band (judgement): white, red lead, dark, blue, sand.
PAINTS = {
    "white": (0.38, 0.38, 0.38, 0.36, 0.25),
    "red": (0.07, 0.08, 0.20, 0.24, 0.22),
    "dark": (0.05, 0.05, 0.05, 0.06, 0.07),
    "blue": (0.16, 0.13, 0.10, 0.12, 0.12),
    "sand": (0.13, 0.17, 0.23, 0.27, 0.33),
}
DECKS = {
    "barge": ("sand", "sand", "red"),
    "dredger": ("sand", "red", "white"),
    "fishing": ("white", "blue", "white"),
}
MERCHANT_DECKS = ("red", "red", "blue", "dark", "white")
WAKE_FROM_M_S = 2.0
WAKE_S = 60.0  # a wake fades over this much sailing


@dataclass(frozen=True, kw_only=True)
class Hull:
    """A ship as it lies in the image.

    Attributes:
        row, col: middle, continuous pixels.
        ahead: (row, col) per metre towards the bow.
        length_m, width_m: metres.
    """

    row: float
    col: float
    ahead: FloatArray
    length_m: float
    width_m: float

    def along_across_m(self, rows: FloatArray, cols: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Metres ahead of the middle and to one side of the axis."""
        per_m = float(np.hypot(*self.ahead))
        unit = self.ahead / per_m
        d_row, d_col = rows - self.row, cols - self.col
        return (d_row * unit[0] + d_col * unit[1]) / per_m, (d_row * unit[1] - d_col * unit[0]) / per_m


def add_ships(image: Field, view: View, truth: SceneTruth) -> None:
    """Paint all vessels and fixed structures onto (bands, h, w) reflectance, in place."""
    rows, cols = view.grid.rowcol(truth.lon, truth.lat)
    to_pixels = view.ground.pixels_per_m
    for number, vessel in enumerate(truth.vessels):
        look = rng_for(view.world.seed, "paint", vessel.mmsi)
        bow, course = np.radians(truth.heading_deg[number]), np.radians(truth.course_deg[number])
        speed = float(truth.speed_m_s[number])
        velocity = to_pixels @ [speed * np.sin(course), speed * np.cos(course)]
        hull = Hull(
            row=float(rows[number]),
            col=float(cols[number]),
            ahead=to_pixels @ [np.sin(bow), np.cos(bow)],
            length_m=vessel.length_m,
            width_m=vessel.width_m,
        )
        deck = PAINTS[str(look.choice(DECKS.get(vessel.kind, MERCHANT_DECKS)))]
        height_m = 2.0 + 0.09 * vessel.length_m
        if speed > WAKE_FROM_M_S:
            _wake(image, hull, speed)
        _hull(image, hull, velocity, deck, shadow_px(view, height_m))
    for structure in truth.structures:
        row, col = view.grid.rowcol(structure.lon, structure.lat)
        side = structure.size_m if structure.kind == "platform" else structure.size_m / 4.0
        ahead = to_pixels @ [0.7071, 0.7071]
        hull = Hull(row=float(row), col=float(col), ahead=ahead, length_m=structure.size_m, width_m=side)
        _hull(
            image,
            hull,
            np.zeros(2),
            PAINTS["red" if structure.kind == "platform" else "dark"],
            shadow_px(view, 15.0),
        )


def _hull(image: Field, hull: Hull, velocity: FloatArray, deck: tuple[float, ...], shadow: FloatArray) -> None:
    """Shadow on the water, then deck and white superstructure, each by the share of a pixel that it covers."""
    for band, delay_s in enumerate(BAND_DELAY_S):
        moved = hull_at(hull, velocity * delay_s)
        box = _box(image, moved, 4.0 + float(np.abs(shadow).max()))
        if box is None:
            continue
        blur = PSF_PX["coarse" if band == 4 else "fine"]
        shaded = _coverage(hull_at(moved, shadow), box, blur)
        body, bridge = _coverage(moved, box, blur), _coverage(moved, box, blur, bridge=True)
        patch = image[band][box]
        patch *= 1.0 - 0.6 * shaded * (1.0 - body)
        patch += body * (deck[band] - patch)
        patch += bridge * (PAINTS["white"][band] - patch)


def hull_at(hull: Hull, moved_px: FloatArray) -> Hull:
    """The hull displaced by (row, col) pixels."""
    return Hull(
        row=hull.row + float(moved_px[0]),
        col=hull.col + float(moved_px[1]),
        ahead=hull.ahead,
        length_m=hull.length_m,
        width_m=hull.width_m,
    )


def _box(image: Field, hull: Hull, margin_px: float) -> tuple[slice, slice] | None:
    """Pixels around a hull, within the image."""
    reach = hull.length_m / PIXEL_M / 2.0 + margin_px
    r0, r1 = max(int(hull.row - reach), 0), min(int(hull.row + reach) + 2, image.shape[1])
    c0, c1 = max(int(hull.col - reach), 0), min(int(hull.col + reach) + 2, image.shape[2])
    return (slice(r0, r1), slice(c0, c1)) if r0 < r1 and c0 < c1 else None


def _coverage(hull: Hull, box: tuple[slice, slice], blur_px: float, *, bridge: bool = False) -> Field:
    """Share of each pixel that the hull (or its bridge, aft) covers, seen through the point-spread function."""
    offsets = (np.arange(FINE) + 0.5) / FINE - 0.5
    rows = (np.arange(box[0].start, box[0].stop)[:, None] + offsets).ravel()[:, None]
    cols = (np.arange(box[1].start, box[1].stop)[:, None] + offsets).ravel()[None, :]
    along, across = hull.along_across_m(rows, cols)
    share = along / hull.length_m
    taper = np.clip((0.5 - share) / 0.15, 0.0, 1.0) ** 0.6  # the bow
    covered = (np.abs(share) <= 0.5) & (np.abs(across) <= hull.width_m / 2.0 * taper)
    if bridge:
        covered &= (share < -0.3) & (share > -0.45) & (np.abs(across) < 0.4 * hull.width_m)
    soft = ndimage.gaussian_filter(covered.astype(np.float32), blur_px * FINE)
    height, width = box[0].stop - box[0].start, box[1].stop - box[1].start
    return np.asarray(soft.reshape(height, FINE, width, FINE).mean(axis=(1, 3)), np.float32)


def _wake(image: Field, hull: Hull, speed_m_s: float) -> None:
    """The white turbulent trail astern: as wide as the ship and widening, fading with distance."""
    length_m = WAKE_S * speed_m_s
    box = _box(image, hull, 3.0 * length_m / PIXEL_M)
    if box is None:
        return
    rows, cols = np.arange(box[0].start, box[0].stop)[:, None], np.arange(box[1].start, box[1].stop)[None, :]
    along, across = hull.along_across_m(rows.astype(float), cols.astype(float))
    astern = np.maximum(-along - hull.length_m / 2.0, 0.0)
    spread = 0.4 * hull.width_m + 4.0 + 0.02 * astern
    share = np.minimum(1.0, 0.5 * hull.width_m / spread)
    bright = 0.05 * min(1.0, (speed_m_s / 6.0) ** 2) * share * np.exp(-astern / length_m - 0.5 * (across / spread) ** 2)
    bright = np.where(along < -0.4 * hull.length_m, bright, 0.0).astype(np.float32)
    for band in range(image.shape[0]):
        image[band][box] += bright * (0.25 if band == 4 else 1.0)
