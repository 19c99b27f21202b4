"""From a seed to a scene: the sea and its shores are painted, ships and structures set in, and the radar looks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imagery.errors import ImageryError
from imagery.second_sea import fields, optics, sea, shore, structures
from imagery.second_sea.canvas import Canvas
from imagery.second_sea.fleet import FleetPlan, draw_fleet
from imagery.second_sea.optics import NATIVE_PIXEL_M, Echoes
from imagery.second_sea.ships import Ship, add_wake, draw_rcs_db, echoes_of
from imagery.second_sea.truth import POLARISATIONS, EvaluationScene, Ghosts, ShipTruth, Structures
from imagery.second_sea.viewing import azimuth_shift_m, noise_floor, swath

FloatArray = NDArray[np.float64]

# xView3 counts some 6 objects over 1000 km2 of a whole scene; scenes of 400 km2 are peopled more densely than that so
# that each says something of recall, and a caller may set its own density.
_PLANS = {
    "open": FleetPlan(per_1000_km2=35.0),
    "coast": FleetPlan(per_1000_km2=60.0, shore_scale_m=3000.0),
    "port": FleetPlan(per_1000_km2=180.0, moored=0.5, shore_scale_m=3000.0),
    "tidal_flat": FleetPlan(per_1000_km2=50.0, length_tilt=0.7, anchored=0.3, shore_scale_m=8000.0),
    "stakes": FleetPlan(per_1000_km2=80.0, length_tilt=0.5, shore_scale_m=4000.0),
    "ice": FleetPlan(per_1000_km2=25.0, length_tilt=1.3),
    "anchorage": FleetPlan(per_1000_km2=200.0, length_tilt=2.0, anchored=0.8),
    "farm": FleetPlan(per_1000_km2=45.0),
}
KINDS = tuple(_PLANS)

_SEED_WORD = 20_541  # keeps these streams apart from any other use of the same seed
_RADIAL_BLUR_PX = 0.8  # an ambiguity's range migration is not matched by the processor: it is smeared
_ALONG_BLUR_PX = 2.5


def evaluation_scene(
    seed: int,
    *,
    kind: str = "open",
    shape_hw: tuple[int, int] = (2048, 2048),
    pixel_size_m: float = 10.0,
    ships_per_1000_km2: float | None = None,
    wind_m_s: float | None = None,
) -> EvaluationScene:
    """One simulated Sentinel-1 IW GRDH picture with its truth.

    The radar always sees native 10 m pixels; larger ones are area means of these, so time and memory grow with the
    square of ``pixel_size_m``.

    Args:
        seed: of every draw: the same arguments give the same bytes.
        kind: one of KINDS.
        shape_hw: (rows, columns) of the result, 64 or more each.
        pixel_size_m: 10 to 30.
        ships_per_1000_km2: mean number of ships over 1000 km2 of water; None draws it about the kind's own.
        wind_m_s: mean wind speed at 10 m, 1 to 25; None draws it.

    Raises:
        ImageryError: if an argument is outside what is simulated.
    """
    _check(seed, kind, shape_hw, pixel_size_m, ships_per_1000_km2, wind_m_s)
    ratio = pixel_size_m / NATIVE_PIXEL_M
    native = int(np.ceil(shape_hw[0] * ratio)), int(np.ceil(shape_hw[1] * ratio))
    streams = np.random.default_rng([_SEED_WORD, KINDS.index(kind), seed]).spawn(6)
    setting, ground, fleet_draws, ship_draws, ghost_draws, radar = streams

    wind = float(np.clip(setting.gamma(6.0, 1.15), 1.5, 17.0)) if wind_m_s is None else float(wind_m_s)
    near_deg = float(setting.uniform(30.5, 45.8 - np.degrees(native[1] * NATIVE_PIXEL_M / 1.05e6)))
    view = swath(near_deg, native[1], NATIVE_PIXEL_M)
    family = "G0" if setting.random() < 0.2 else "K"
    noise = noise_floor(setting, view, native[0], NATIVE_PIXEL_M)

    canvas = _painted(ground, kind, sea.open_sea(ground, view, native[0], wind))
    fleet = draw_fleet(fleet_draws, canvas, _PLANS[kind], ships_per_1000_km2)
    ships = _ship_table(ship_draws, canvas, fleet)
    hulls = [echoes_of(ship_draws, ship, rcs, canvas) for ship, rcs in zip(fleet, ships.rcs_db, strict=True)]
    for ship, true_row in zip(fleet, ships.true_row, strict=True):
        add_wake(ship_draws, canvas, ship, float(true_row))

    surface = canvas.sigma + noise
    clutter_mean = np.stack([optics.blurred(surface[0]), optics.blurred(surface[1])])
    land_ghost = _land_ambiguity(ghost_draws, canvas)
    sources = [(f"ship {i}", float(s.row), float(s.col), e) for i, (s, e) in enumerate(zip(fleet, hulls, strict=True))]
    sources += [
        (f"structure {i}", row, col, canvas.echoes[place])
        for i, (row, col, kind_of, place) in enumerate(canvas.structures)
        if place is not None and kind_of not in ("raft", "stakes")
    ]
    ghosts, ghost_echoes = _ship_ambiguities(ghost_draws, canvas, sources, clutter_mean)
    multiplier, order = _texture(radar, canvas, noise, family)
    sigma0 = optics.imaged(
        radar, surface + land_ghost, multiplier, [*canvas.echoes, *hulls, *ghost_echoes], float(noise.min())
    )
    ghosts = _with_land(ghosts, land_ghost, clutter_mean, canvas.land)

    incidence = np.broadcast_to(view.incidence_deg.astype(np.float32), native)
    if ratio != 1.0:
        sigma0, clutter_mean, order, incidence = (
            fields.area_averaged(np.asarray(image), ratio, shape_hw)
            for image in (sigma0, clutter_mean, order, incidence)
        )
        canvas.land = fields.area_averaged(canvas.land.astype(np.float32), ratio, shape_hw) > 0.5
    return EvaluationScene(
        sigma0=sigma0,
        polarisations=POLARISATIONS,
        land=canvas.land,
        incidence_deg=np.ascontiguousarray(incidence),
        pixel_size_m=float(pixel_size_m),
        wind_m_s=wind,
        kind=kind,
        seed=seed,
        ships=_scaled_ships(ships, ratio),
        structures=_structure_table(canvas, ratio),
        ghosts=Ghosts(
            row=_scaled(ghosts.row, ratio),
            col=_scaled(ghosts.col, ratio),
            source=ghosts.source,
            level_db=ghosts.level_db,
        ),
        clutter_mean=clutter_mean,
        clutter_order=order,
        clutter_family=family,
        enl=optics.enl_after_averaging(ratio),
    )


def _check(
    seed: int,
    kind: str,
    shape_hw: tuple[int, int],
    pixel_size_m: float,
    ships_per_1000_km2: float | None,
    wind_m_s: float | None,
) -> None:
    if kind not in KINDS:
        raise ImageryError(f"unknown kind of evaluation scene {kind!r}: choose one of {', '.join(KINDS)}")
    if seed < 0:
        raise ImageryError(f"the seed of an evaluation scene must not be negative, got {seed}")
    if min(shape_hw) < 64:
        raise ImageryError(f"an evaluation scene needs 64 or more rows and columns, got {shape_hw}")
    if not 10.0 <= pixel_size_m <= 30.0:
        raise ImageryError(f"evaluation scenes have pixels of 10 to 30 m, got {pixel_size_m:g}")
    if shape_hw[1] * pixel_size_m > 200e3:
        raise ImageryError(f"an evaluation scene is at most 200 km wide, got {shape_hw[1] * pixel_size_m / 1e3:g} km")
    if ships_per_1000_km2 is not None and not 0.0 <= ships_per_1000_km2 <= 2000.0:
        raise ImageryError(f"give 0 to 2000 ships over 1000 km2, got {ships_per_1000_km2:g}")
    if wind_m_s is not None and not 1.0 <= wind_m_s <= 25.0:
        raise ImageryError(f"evaluation scenes have winds of 1 to 25 m/s, got {wind_m_s:g}")


def _painted(rng: np.random.Generator, kind: str, canvas: Canvas) -> Canvas:
    """The kind's land and fixed objects, painted on the sea."""
    if kind in ("coast", "port", "tidal_flat", "stakes"):
        fraction = float(rng.uniform(0.15, 0.45))
        seaward_deg = shore.add_coast(rng, canvas, fraction, towns=int(rng.integers(1, 7)))
        if kind == "port":
            shore.add_port(rng, canvas, seaward_deg)
        if kind == "tidal_flat":
            shore.add_flats(rng, canvas, width_px=float(rng.uniform(120.0, 450.0)))
        if kind == "stakes" and rng.random() < 0.4:
            shore.add_flats(rng, canvas, width_px=float(rng.uniform(30.0, 120.0)))
        area = canvas.shape_hw[0] * canvas.shape_hw[1] / 2048**2
        if kind == "stakes":
            structures.add_aquaculture(rng, canvas, blocks=max(2, round(area * rng.uniform(10.0, 30.0))))
        elif kind == "tidal_flat" and rng.random() < 0.5:
            structures.add_aquaculture(rng, canvas, blocks=max(1, round(area * rng.uniform(1.0, 6.0))))
    elif kind == "ice":
        if rng.random() < 0.4:
            shore.add_coast(rng, canvas, float(rng.uniform(0.05, 0.25)), towns=int(rng.integers(0, 3)))
        sea.add_ice(rng, canvas)
    elif kind == "anchorage" and rng.random() < 0.5:
        shore.add_coast(rng, canvas, float(rng.uniform(0.03, 0.12)), towns=1)
    elif kind == "farm":
        structures.add_farm(rng, canvas)
    structures.add_platforms(rng, canvas, count=int(rng.poisson(0.7)))
    return canvas


def _at(values: FloatArray, cols: FloatArray) -> FloatArray:
    return values[np.clip(np.rint(cols).astype(np.intp), 0, len(values) - 1)]


def _ship_table(rng: np.random.Generator, canvas: Canvas, fleet: Sequence[Ship]) -> ShipTruth:
    """The fleet as a table in native pixels: a ship lies where its displacement, taken back, puts it."""
    row, col, length, width, heading, speed = (
        np.array([getattr(ship, name) for ship in fleet], float)
        for name in ("row", "col", "length_m", "width_m", "heading_deg", "speed_m_s")
    )
    incidence = _at(canvas.view.incidence_deg, col)
    away = speed * np.sin(np.radians(heading))
    shift_m = azimuth_shift_m(_at(canvas.view.shift_s, col), incidence, away)
    rcs = [draw_rcs_db(rng, *each) for each in zip(length, incidence, heading, strict=True)]
    clear = fields.shore_distance_px(canvas.land) * NATIVE_PIXEL_M
    places = np.rint(row).astype(np.intp), np.rint(col).astype(np.intp)
    return ShipTruth(
        row=row,
        col=col,
        true_row=row + shift_m / NATIVE_PIXEL_M,  # rows count against the flight
        true_col=col.copy(),
        length_m=length,
        width_m=width,
        axis_deg=heading % 180.0,
        heading_deg=heading,
        speed_m_s=speed,
        rcs_db=np.array(rcs, float).reshape(-1, 2),
        shore_distance_m=clear[places].astype(float),
        moored=np.array([ship.moored for ship in fleet], bool),
    )


def _texture(
    rng: np.random.Generator, canvas: Canvas, noise: NDArray[np.float32], family: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What multiplies the speckle's intensity, and the order of it where the noise has diluted it, both (2, H, W).

    Texture runs along the wind over 4-12 pixels; VV and VH share most of it.
    """
    across = rng.uniform(1.5, 4.0)
    lengths, axis = (across * rng.uniform(1.0, 3.0), across), canvas.wind_from_deg + 90.0 * rng.integers(2)
    own = fields.gaussian(rng, canvas.shape_hw, lengths, axis)
    other = fields.gaussian(rng, canvas.shape_hw, lengths, axis)
    multiplier, order = [], []
    for polarisation, normal in enumerate((own, np.float32(0.9) * own + np.float32(np.sqrt(0.19)) * other)):
        texture = np.empty(canvas.shape_hw, np.float32)
        for value in np.unique(canvas.order):
            where = canvas.order == value
            texture[where] = fields.texture(normal[where], float(value), family)
        signal = canvas.sigma[polarisation] / (canvas.sigma[polarisation] + noise[polarisation])
        multiplier.append(signal * (texture - 1.0) + 1.0)
        order.append(canvas.order / np.maximum(signal, np.float32(1e-3)) ** 2)
    return np.stack(multiplier), np.stack(order)


def _land_ambiguity(rng: np.random.Generator, canvas: Canvas) -> NDArray[np.float32]:
    """(2, H, W) what the azimuth ambiguities of land add: land moved by one ambiguity, 21-29 dB down and smeared."""
    added = np.zeros_like(canvas.sigma)
    shift_px = np.rint(canvas.view.ambiguity_m / NATIVE_PIXEL_M).astype(np.intp)
    levels_db = [rng.uniform(-29.0, -21.0) for _ in (-1, 1)]
    if not canvas.land.any():
        return added
    cols = np.arange(canvas.shape_hw[1])
    bright = np.where(canvas.land, canvas.sigma, 0.0)
    for sign, level_db in zip((-1, 1), levels_db, strict=True):
        rows = np.arange(canvas.shape_hw[0])[:, None] + sign * shift_px[None, :]
        inside = (rows >= 0) & (rows < canvas.shape_hw[0])
        moved = np.where(inside, bright[:, np.clip(rows, 0, canvas.shape_hw[0] - 1), cols], 0.0)
        smear = (0.0, _ALONG_BLUR_PX, _RADIAL_BLUR_PX)
        added += 10.0 ** (level_db / 10.0) * ndimage.gaussian_filter(moved, smear, mode="nearest")
    return added


def _ship_ambiguities(
    rng: np.random.Generator,
    canvas: Canvas,
    sources: Sequence[tuple[str, float, float, Echoes]],
    clutter_mean: NDArray[np.float32],
) -> tuple[Ghosts, list[Echoes]]:
    """First ambiguities on both sides of every target, 21-29 dB down and smeared; kept where they top the clutter."""
    levels_db = {sign: rng.uniform(-29.0, -21.0) for sign in (-1, 1)}
    top = float(optics.response(0.0, 0) * optics.response(0.0, 1)) ** 2
    rows, cols, names, levels, echoes = [], [], [], [], []
    for name, row, col, source in sources:
        distance_px = float(_at(canvas.view.ambiguity_m, np.array([col]))[0]) / NATIVE_PIXEL_M
        for sign in (-1, 1):
            level_db = levels_db[sign] + rng.normal(0.0, 1.0)
            ghost_row = row + sign * distance_px
            spread = (
                rng.normal(0.0, _ALONG_BLUR_PX, len(source.rows)),
                rng.normal(0.0, _RADIAL_BLUR_PX, len(source.rows)),
            )
            if not (0 <= ghost_row < canvas.shape_hw[0] and 0 <= col < canvas.shape_hw[1]):
                continue
            ghost = source.attenuated(level_db, source.rows + sign * distance_px + spread[0], source.cols + spread[1])
            peak = ghost.rcs_m2.max(axis=1) / NATIVE_PIXEL_M**2 * top
            place = min(round(ghost_row), canvas.shape_hw[0] - 1), min(round(col), canvas.shape_hw[1] - 1)
            if np.all(peak < 0.3 * clutter_mean[:, place[0], place[1]]):
                continue
            echoes.append(ghost)
            if np.any(peak > clutter_mean[:, place[0], place[1]]):
                rows.append(ghost_row)
                cols.append(col)
                names.append(name)
                levels.append(level_db)
    table = Ghosts(row=np.array(rows, float), col=np.array(cols, float), source=tuple(names), level_db=np.array(levels))
    return table, echoes


def _with_land(
    ghosts: Ghosts, land_ghost: NDArray[np.float32], clutter_mean: NDArray[np.float32], land: NDArray[np.bool_]
) -> Ghosts:
    """Ghosts and the peaks of the land's ambiguity over water, the 50 highest of those that double the clutter."""
    contrast = np.where(land, 0.0, (land_ghost / clutter_mean).max(axis=0))
    if float(contrast.max(initial=0.0)) <= 1.0:
        return ghosts
    peak = (contrast == ndimage.maximum_filter(contrast, size=25)) & (contrast > 1.0)
    rows, cols = np.nonzero(peak)
    best = np.argsort(-contrast[rows, cols], kind="stable")[:50]
    level_db = 10.0 * np.log10(contrast[rows[best], cols[best]])
    return Ghosts(
        row=np.append(ghosts.row, rows[best].astype(float)),
        col=np.append(ghosts.col, cols[best].astype(float)),
        source=ghosts.source + ("land",) * len(best),
        level_db=np.append(ghosts.level_db, level_db),
    )


def _scaled(place: FloatArray, ratio: float) -> FloatArray:
    return np.asarray((place + 0.5) / ratio - 0.5, float)


def _scaled_ships(ships: ShipTruth, ratio: float) -> ShipTruth:
    values = {name: getattr(ships, name) for name in ShipTruth.__dataclass_fields__}
    for name in ("row", "col", "true_row", "true_col"):
        values[name] = _scaled(values[name], ratio)
    return ShipTruth(**values)


def _structure_table(canvas: Canvas, ratio: float) -> Structures:
    return Structures(
        row=_scaled(np.array([entry[0] for entry in canvas.structures], float), ratio),
        col=_scaled(np.array([entry[1] for entry in canvas.structures], float), ratio),
        kind=tuple(entry[2] for entry in canvas.structures),
    )
