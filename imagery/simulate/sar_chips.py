"""Labelled chips like Sentinel-1 IW GRD, drawn from a seed: an endless source to train a vessel detector with.

Nothing here is an observation. A chip's kind is its theme; weather, ships and nuisances vary within it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from imagery.geometry import FloatArray
from imagery.simulate.fields import Field
from imagery.simulate.sar_clutter import QUIETEST, draw_sea, mean_sea, noise_floor
from imagery.simulate.sar_coast import Shore, draw_shore, paint_ground
from imagery.simulate.sar_echoes import Echo, add_rough, paint
from imagery.simulate.sar_look import Look, draw_look
from imagery.simulate.sar_scenery import add_farms, add_ice, add_interference, add_land_ghosts, no_data
from imagery.simulate.sar_speckle import draw_speckle
from imagery.simulate.sar_vessels import (
    UNSEEN_DB,
    Target,
    at_berth,
    at_sea,
    distant_ghosts,
    draw_wakes,
    ghost_of,
    structures,
)
from imagery.simulate.seeding import rng_for

# Kinds, how often they come, and the mean number of ship groups in 2.56 x 2.56 km. Real seas hold .04 objects in such
# an area (xView3 validation labels): chips are far denser, so that every one teaches something.
KINDS: dict[str, tuple[float, float]] = {
    "open_sea": (0.20, 3.0),
    "anchorage": (0.12, 7.0),
    "coast": (0.14, 2.5),
    "harbour": (0.15, 2.0),
    "tidal_flat": (0.05, 2.0),
    "aquaculture": (0.05, 2.0),
    "ice": (0.03, 1.5),
    "wind_farm": (0.05, 1.5),
    "platforms": (0.03, 1.5),
    "rain": (0.03, 2.0),
    "front": (0.03, 2.0),
    "low_wind": (0.03, 2.5),
    "interference": (0.03, 2.0),
    "seam": (0.03, 2.5),
    "ghosts": (0.03, 2.0),
}
CHIP_M, LEAST_PX = 2560.0, 16
TOWN_BACKGROUND = 0.03  # sigma0 down to which sidelobes of towns are followed
WITH_LAND = ("coast", "harbour", "tidal_flat")
EMPTY_SHARE = 0.15  # of chips without a ship at sea
CROWD = {"anchorage": 0.25}  # share of groups that are more than one ship
CROWD_ELSEWHERE = 0.12
GHOST_FROM_M2 = 3000.0  # weaker targets leave no ghost above the sea


@dataclass(frozen=True, kw_only=True)
class ChipTargets:
    """Labels of a chip, one entry per target whose apparent centre lies in it.

    Attributes:
        row, col: apparent centre (n,), pixels; pixel centres are whole numbers.
        length_m, width_m: size (n,); NaN for a ghost.
        axis_deg: direction of the long axis (n,), clockwise from image up, [0, 180).
        direction_known: (n,) True where a wake tells bow from stern.
        heading_deg: where the bow points (n,), clockwise from image up, [0, 360); NaN where not known.
        kind: (n,) 'vessel', 'fixed_structure' or 'ghost'.
        snr_db: peak of the echo over the mean around it (n,), the larger of both bands.
        ignore: (n,) True where nobody could see the target: a loss should neither ask for it nor punish it.
    """

    row: FloatArray
    col: FloatArray
    length_m: FloatArray
    width_m: FloatArray
    axis_deg: FloatArray
    direction_known: NDArray[np.bool_]
    heading_deg: FloatArray
    kind: NDArray[np.str_]
    snr_db: FloatArray
    ignore: NDArray[np.bool_]

    def __len__(self) -> int:
        """Number of targets."""
        return int(self.row.size)


@dataclass(frozen=True, kw_only=True)
class VesselChip:
    """A simulated image with its truth.

    Attributes:
        sigma0: (2, h, w) float32, linear; NaN where there is no data.
        polarisations: names of the two bands.
        pixel_size_m: pixel size.
        kind: theme, a key of `KINDS`.
        land: (h, w) True on land, quays and broad piers among it; thin moles, rocks and tidal flats are not in it.
        ships: labels.
    """

    sigma0: Field = field(repr=False)
    polarisations: tuple[str, str]
    pixel_size_m: float
    kind: str
    land: NDArray[np.bool_] = field(repr=False)
    ships: ChipTargets = field(repr=False)


def vessel_chip(
    seed: int,
    *,
    shape_hw: tuple[int, int] = (256, 256),
    pixel_size_m: float | None = None,
    kind: str | None = None,
    crowding: float = 1.0,
) -> VesselChip:
    """Draw a chip.

    Args:
        seed: integer >= 0 that decides everything; other seeds share no pixels.
        shape_hw: rows and columns, at least 16 each; density of what is in it does not depend on them.
        pixel_size_m: 10 to 40 m; None draws it, mostly 10 m.
        kind: key of `KINDS`; None draws it.
        crowding: share of the ships that there would be: chips hold many times more than real seas.

    Returns:
        The chip.

    Raises:
        ValueError: a size, seed or kind that cannot be.
    """
    _check(seed, shape_hw, pixel_size_m, kind, crowding)
    rng = rng_for(seed, "vessel-chip")
    share = np.array([often for often, _ in KINDS.values()])
    drawn = str(rng.choice(list(KINDS), p=share / share.sum()))
    theme = drawn if kind is None else kind
    look, sea = draw_look(rng, shape_hw, pixel_size_m), draw_sea(rng, theme)
    shore, height = _shore(look, rng, theme)
    mean = mean_sea(look, sea, rng)
    _add_cover(mean, look, rng, theme, shore)
    targets = _targets(look, rng, theme, shore, crowding)
    wakes = draw_wakes(mean, look, rng, targets, sea.wind_m_s)
    if height is not None:
        paint_ground(mean, shore, height, look, rng)
    for points in shore.rough:
        add_rough(mean, look, points[:, 0], points[:, 1], points[:, 2], 7.0)
    _add_nuisances(mean, look, rng, theme)
    floor = noise_floor(look, sea, rng)
    mean += floor
    image = np.empty_like(mean)
    for band in (0, 1):
        np.multiply(mean[band], draw_speckle(shape_hw, rng, look.pixel_size_m, averaged=look.averaged), out=image[band])
    _add_bright(image, look, rng, shore)
    peaks = [paint(image, look, target.echo, _around(mean, target)[0], rng) for target in targets]
    if sea.denoised:
        image -= floor
    np.maximum(image, QUIETEST, out=image)
    if theme == "seam" and not (sea.seam and rng.random() < 0.4):
        image[:, no_data(look, rng)] = np.nan
    return VesselChip(
        sigma0=image,
        polarisations=("VV", "VH"),
        pixel_size_m=look.pixel_size_m,
        kind=theme,
        land=shore.land,
        ships=_labels(image, mean, targets, wakes, peaks),
    )


def _check(seed: int, shape_hw: tuple[int, int], pixel_size_m: float | None, kind: str | None, crowding: float) -> None:
    if seed < 0:
        raise ValueError(f"a chip's seed must be >= 0, got {seed}")
    if min(shape_hw) < LEAST_PX:
        raise ValueError(f"a chip needs at least {LEAST_PX} rows and columns, got {shape_hw}")
    if pixel_size_m is not None and not 10.0 <= pixel_size_m <= 40.0:
        raise ValueError(f"a chip's pixels must measure 10 to 40 m, got {pixel_size_m}")
    if kind is not None and kind not in KINDS:
        raise ValueError(f"no chips of kind {kind!r}; there are {', '.join(KINDS)}")
    if not 0.0 <= crowding <= 1.0:
        raise ValueError(f"crowding must be a share from 0 to 1, got {crowding}")


def _shore(look: Look, rng: np.random.Generator, theme: str) -> tuple[Shore, Field | None]:
    if theme in WITH_LAND:
        return draw_shore(look, rng, theme)
    nothing = np.zeros(look.shape_hw, bool)
    return Shore(land=nothing, flats=nothing), None


def _add_cover(mean: Field, look: Look, rng: np.random.Generator, theme: str, shore: Shore) -> None:
    """What floats or stands in the water over wide areas."""
    if theme == "ice":
        add_ice(mean, look, rng, ~shore.land)
    if theme == "aquaculture" or (theme in WITH_LAND and rng.random() < 0.12):
        add_farms(mean, look, rng, shore)


def _add_nuisances(mean: Field, look: Look, rng: np.random.Generator, theme: str) -> None:
    """What the instrument adds."""
    if theme == "interference" or rng.random() < 0.02:
        add_interference(mean, look, rng)
    if rng.random() < (0.5 if theme == "ghosts" else 0.06):
        add_land_ghosts(mean, look, rng)


def _targets(look: Look, rng: np.random.Generator, theme: str, shore: Shore, crowding: float) -> list[Target]:
    """Everything to paint that has a label, strongest causes first, then their ghosts."""
    area = look.shape_hw[0] * look.shape_hw[1] * (look.pixel_size_m / CHIP_M) ** 2
    empty = area < 4.0 and rng.random() < EMPTY_SHARE
    groups = 0.0 if empty else KINDS[theme][1] * area
    # Larger pixels would fill with ships: no more than a few times as many.
    groups *= min(1.0, (20.0 / look.pixel_size_m) ** 1.5) * crowding
    targets = at_sea(look, rng, shore, groups, crowd=CROWD.get(theme, CROWD_ELSEWHERE))
    berthed = at_berth(look, rng, shore)
    targets += berthed if crowding == 1.0 else [t for t in berthed if rng.random() < crowding]
    targets += structures(look, rng, shore, theme)
    sources = [t for t in targets if float(t.echo.rcs_m2.sum()) > GHOST_FROM_M2]
    targets += [ghost_of(look, rng, source, order) for source in sources for order in (-1, 1)]
    targets += distant_ghosts(look, rng, shore, area * (4.0 if theme == "ghosts" else 0.08))
    return targets


def _add_bright(image: Field, look: Look, rng: np.random.Generator, shore: Shore) -> None:
    """Cranes, sheds and corners of towns, whose sidelobes reach over the water."""
    for points in shore.bright:
        for row, col, rcs in points:
            echo = Echo(rows=np.array([row]), cols=np.array([col]), rcs_m2=np.array([rcs]), vh_db=7.0)
            paint(image, look, echo, TOWN_BACKGROUND, rng)


def _around(mean: Field, target: Target) -> tuple[float, float]:
    """Mean sigma0 about a target's centre in both bands; that of the nearest edge where it lies outside."""
    _, height, width = mean.shape
    row, col = (min(max(round(at), 0), size - 1) for at, size in ((target.row, height), (target.col, width)))
    part = mean[:, max(row - 3, 0) : row + 4, max(col - 3, 0) : col + 4].mean(axis=(1, 2))
    return float(part[0]), float(part[1])


def _labels(
    image: Field, mean: Field, targets: list[Target], wakes: list[bool], peaks: list[tuple[float, float]]
) -> ChipTargets:
    """Labels of the targets whose centre lies in the image."""
    _, height, width = image.shape
    kept, snr_db, gone = [], [], []
    for number, target in enumerate(targets):
        row, col = round(target.row), round(target.col)
        if not (0 <= row < height and 0 <= col < width):
            continue
        ratio = max(peak / around for peak, around in zip(peaks[number], _around(mean, target), strict=True))
        kept.append(number)
        snr_db.append(10.0 * float(np.log10(max(ratio, 1e-6))))
        gone.append(bool(np.isnan(image[0, row, col])))
    table = [targets[number] for number in kept]
    known = np.array([wakes[number] for number in kept], bool)
    heading = np.array([t.heading_deg for t in table], float)
    return ChipTargets(
        row=np.array([t.row for t in table], float),
        col=np.array([t.col for t in table], float),
        length_m=np.array([t.length_m for t in table], float),
        width_m=np.array([t.width_m for t in table], float),
        axis_deg=np.array([t.axis_deg for t in table], float),
        direction_known=known,
        heading_deg=np.where(known, heading, np.nan),
        kind=np.array([t.kind for t in table], dtype="<U15"),
        snr_db=np.array(snr_db, float),
        ignore=(np.array(snr_db, float) < UNSEEN_DB) | np.array(gone, bool),
    )
