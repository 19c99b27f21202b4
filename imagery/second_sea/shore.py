"""Land and what lies before it: a fractal coast with hills and towns, ports, and tidal flats."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imagery.second_sea import fields
from imagery.second_sea.canvas import Canvas, Quay, place_at, rotated_coordinates
from imagery.second_sea.optics import Echoes

FloatArray = NDArray[np.float64]
_LAND_ORDER = 12.0  # vegetation and fields; towns are spread pixel by pixel in their mean


def add_coast(rng: np.random.Generator, canvas: Canvas, fraction: float, towns: int) -> float:
    """Land over a fraction of the picture with a fractal edge, islands, hills, fields and towns.

    Args:
        rng: source of the draws.
        canvas: painted on.
        fraction: of the picture that becomes land.
        towns: how many towns there are, most of them on the shore.

    Returns:
        Direction from land to sea, degrees clockwise from image up.
    """
    shape_hw = canvas.shape_hw
    seaward_deg = float(rng.uniform(0.0, 360.0))
    middle = shape_hw[0] / 2.0, shape_hw[1] / 2.0
    out, _ = rotated_coordinates(shape_hw, middle, seaward_deg)
    # Slope 1.75 gives a shore of fractal dimension about 1.25, that of Britain's west coast (Mandelbrot 1967,
    # doi:10.1126/science.156.3775.636).
    relief = fields.fractal(rng, shape_hw, 1.75, 0.35 * max(shape_hw))
    height = -out / (0.25 * max(shape_hw)) + rng.uniform(0.15, 0.5) * relief
    height = height - np.quantile(height, 1.0 - fraction)
    land = height > 0.0
    _paint_land(rng, canvas, land, np.maximum(height, 0.0).astype(np.float32))
    for _ in range(towns):
        _add_town(rng, canvas)
    return seaward_deg


def _paint_land(rng: np.random.Generator, canvas: Canvas, land: NDArray[np.bool_], height: NDArray[np.float32]) -> None:
    """Vegetated land at -13..-8 dB in VV and 6-7 dB lower in VH; slopes that face the radar are bright."""
    shape_hw = canvas.shape_hw
    cover = np.round(1.4 * fields.fractal(rng, shape_hw, 1.6, 60.0)) + 0.4 * fields.fractal(rng, shape_hw, 0.9, 40.0)
    hills = fields.fractal(rng, shape_hw, 2.1, 120.0) * fields.smoothstep(height, 0.02, 0.4)
    facing = ndimage.sobel(hills, axis=1) / 8.0
    facing /= max(float(facing.std()), 1e-6)
    level_db = rng.uniform(-12.0, -8.5) + 1.2 * cover + rng.uniform(0.5, 2.5) * np.clip(facing, -4.0, 4.0)
    ratio_db = rng.uniform(5.5, 7.5) + 0.5 * fields.fractal(rng, shape_hw, 1.2, 40.0)
    canvas.set_land(land, (0.0, 0.0), _LAND_ORDER)
    canvas.sigma[0][land] = 10.0 ** (level_db[land] / 10.0)
    canvas.sigma[1][land] = 10.0 ** ((level_db - ratio_db)[land] / 10.0)
    shore_rock = land & ~ndimage.binary_erosion(land, iterations=2, border_value=1)
    canvas.sigma[:, shore_rock] *= np.exp(rng.normal(0.3, 0.7, np.count_nonzero(shore_rock))).astype(np.float32)


def _add_town(rng: np.random.Generator, canvas: Canvas) -> None:
    """Blocks on a street grid; each building is a double bounce of its own strength, strongest on streets along track.

    Urban pixels at 20 m spread over some 30 dB; walls along the flight return up to 10 dB more (the cardinal effect,
    Raney 1998 in the Manual of Remote Sensing).
    """
    inland_px = ndimage.distance_transform_edt(canvas.land)
    near = np.flatnonzero(canvas.land & (inland_px < 40.0))
    if len(near) == 0:
        return
    origin = np.divmod(int(rng.choice(near)), canvas.shape_hw[1])
    radius_px = float(np.exp(rng.uniform(np.log(12.0), np.log(160.0))))
    reach = int(2.5 * radius_px) + 1
    top, left = max(0, origin[0] - reach), max(0, origin[1] - reach)
    rows, cols = slice(top, origin[0] + reach), slice(left, origin[1] + reach)
    land = canvas.land[rows, cols]
    grid_deg = float(rng.uniform(0.0, 90.0))
    along, across = rotated_coordinates(land.shape, (origin[0] - top, origin[1] - left), grid_deg)
    block = rng.uniform(8.0, 20.0)
    street = ((along % block) < 1.6) | ((across % (1.6 * block)) < 1.6)
    ragged = 0.4 * fields.fractal(rng, (land.shape[0], land.shape[1]), 1.5, radius_px)
    density = fields.smoothstep(-(np.hypot(along, across) / radius_px) + ragged, -1.4, -0.3)
    built = land & ~street & (rng.random(land.shape) < 0.55 * density)
    off_track = min(grid_deg % 90.0, 90.0 - grid_deg % 90.0)
    level_db = -5.0 + 7.0 * np.exp(-((off_track / 10.0) ** 2))
    spread_db = rng.normal(level_db, 6.0, land.shape)
    flash = built & (rng.random(land.shape) < 0.012)
    spread_db = np.where(flash, spread_db + rng.uniform(10.0, 22.0, land.shape), spread_db)
    for polarisation, ratio_db in enumerate((np.zeros(land.shape), rng.normal(8.0, 3.0, land.shape))):
        part = canvas.sigma[polarisation][rows, cols]
        part[built] = np.maximum(part, 10.0 ** ((spread_db - ratio_db) / 10.0))[built]


def add_port(rng: np.random.Generator, canvas: Canvas, seaward_deg: float) -> None:
    """An apron with straight quays, finger piers, a basin, breakwaters with beacons, cranes and stacks."""
    rows, cols = canvas.shape_hw
    inland_px = ndimage.distance_transform_edt(canvas.land)
    parts, _ = ndimage.label(canvas.land)
    mainland = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]) if canvas.land.any() else canvas.land
    shore = np.flatnonzero(mainland & (inland_px < 2.0))
    if len(shore) == 0:
        return
    at = np.stack(np.divmod(shore, cols), -1)
    central = np.all(np.abs(at - (rows / 2.0, cols / 2.0)) < (0.3 * rows, 0.3 * cols), axis=1)
    at = at[central] if central.any() else at
    # The seaward-most of some shore points faces open water.
    angle = np.radians(seaward_deg)
    draw = at[rng.integers(len(at), size=12)]
    origin = tuple(draw[np.argmax(-draw[:, 0] * np.cos(angle) + draw[:, 1] * np.sin(angle))].astype(float))
    axis_deg = seaward_deg + float(rng.normal(0.0, 15.0))
    out, side = rotated_coordinates(canvas.shape_hw, (origin[0], origin[1]), axis_deg)
    half, front = rng.uniform(70.0, 160.0), rng.uniform(10.0, 35.0)
    reach = rng.uniform(20.0, 55.0)
    far = front + reach + rng.uniform(25.0, 60.0)
    sea = _sea_level(canvas)
    basin = (np.abs(side) < half) & (out > front) & (out < far)
    canvas.land[basin] = False
    canvas.sigma[:, basin] = (sea * rng.uniform(0.25, 0.8))[:, None]
    canvas.order[basin] = canvas.order[~canvas.land].max(initial=10.0)
    apron = (np.abs(side) < half) & (out > -rng.uniform(50.0, 120.0)) & (out <= front)
    canvas.set_land(apron, (rng.uniform(-16.0, -11.0), rng.uniform(-24.0, -19.0)), _LAND_ORDER)
    stacks = fields.fractal(rng, canvas.shape_hw, 1.3, 30.0)[apron]
    canvas.sigma[:, apron] *= np.exp(1.6 * stacks + rng.normal(0.0, 0.8, stacks.shape)).astype(np.float32)
    edges = [((front, -half), (front, half), (1.0, 0.0))]
    for centre in np.arange(-half + 25.0, half - 20.0, rng.uniform(35.0, 80.0)):
        half_pier, tip = rng.uniform(2.0, 6.0), front + reach * rng.uniform(0.6, 1.0)
        pier = (np.abs(side - centre) < half_pier) & (out > front - 1.0) & (out < tip)
        canvas.set_land(pier, (rng.uniform(-12.0, -7.0), rng.uniform(-19.0, -14.0)), _LAND_ORDER)
        edges.append(((front + 1.0, centre - half_pier), (tip, centre - half_pier), (0.0, -1.0)))
        edges.append(((front + 1.0, centre + half_pier), (tip, centre + half_pier), (0.0, 1.0)))
    port = (origin[0], origin[1])
    for start, end, outward in edges:
        canvas.quays.append(_quay(port, axis_deg, start, end, outward))
    _add_breakwaters(rng, canvas, port, axis_deg, (out, side), (half, far))
    _add_cranes(rng, canvas, port, axis_deg, edges)
    for _ in range(int(rng.integers(0, 6))):  # dolphins and buoys off the port
        row, col = place_at(port, axis_deg, np.array(far + rng.uniform(10.0, 120.0)), np.array(rng.normal(0.0, half)))
        if canvas.is_water(float(row), float(col)):
            echoes = _points(rng, np.array([row]), np.array([col]), np.array([rng.uniform(12.0, 24.0)]))
            canvas.add_structure(float(row), float(col), str(rng.choice(["dolphin", "beacon"])), echoes)


def _sea_level(canvas: Canvas) -> NDArray[np.float32]:
    """(2,) median brightness of the water, or a quiet sea's where there is none."""
    water = ~canvas.land
    if not water.any():
        return np.array([0.01, 0.0006], np.float32)
    return np.asarray(np.median(canvas.sigma[:, water][:, ::17], axis=1), np.float32)


def _quay(
    origin: tuple[float, float],
    axis_deg: float,
    start: tuple[float, float],
    end: tuple[float, float],
    outward: tuple[float, float],
) -> Quay:
    rows, cols = place_at(origin, axis_deg, np.array([start[0], end[0]]), np.array([start[1], end[1]]))
    to_row, to_col = place_at((0.0, 0.0), axis_deg, np.array(outward[0]), np.array(outward[1]))
    return Quay(
        start=(float(rows[0]), float(cols[0])),
        end=(float(rows[1]), float(cols[1])),
        outward=(float(to_row), float(to_col)),
    )


def _add_breakwaters(
    rng: np.random.Generator,
    canvas: Canvas,
    origin: tuple[float, float],
    axis_deg: float,
    axes: tuple[NDArray[np.float32], NDArray[np.float32]],
    size: tuple[float, float],
) -> None:
    """Two rubble-mound arms around the basin with a beacon at each head."""
    out, side = axes
    half, far = size
    gap, thick = rng.uniform(12.0, 30.0), rng.uniform(1.2, 2.2)
    for sign in (-1.0, 1.0):
        reach = half * rng.uniform(1.0, 1.25)
        arm = (np.abs(side - sign * reach) < thick) & (out > -20.0) & (out < far)
        head = (np.abs(out - far) < thick) & (sign * side > gap) & (sign * side < reach + thick)
        rubble = arm | head
        canvas.set_land(rubble, (0.0, 0.0), _LAND_ORDER)
        level_db = rng.normal(-6.0, 2.5, np.count_nonzero(rubble))
        canvas.sigma[0][rubble] = 10.0 ** (level_db / 10.0)
        canvas.sigma[1][rubble] = 10.0 ** ((level_db - 8.0) / 10.0)
        row, col = place_at(origin, axis_deg, np.array(far), np.array(sign * (gap - 1.0)))
        if canvas.is_water(float(row), float(col)):
            echoes = _points(rng, np.array([row]), np.array([col]), np.array([rng.uniform(10.0, 22.0)]))
            canvas.add_structure(float(row), float(col), "beacon", echoes)


def _add_cranes(
    rng: np.random.Generator,
    canvas: Canvas,
    origin: tuple[float, float],
    axis_deg: float,
    edges: list[tuple[tuple[float, float], tuple[float, float], tuple[float, float]]],
) -> None:
    """Corner reflectors of cranes, sheds and stacks on the land side of the quays, 8-45 dBsm each."""
    along, across = [], []
    for start, end, outward in edges:
        length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
        part = rng.random(int(length / rng.uniform(3.0, 9.0)))
        inward = rng.gamma(1.2, 4.0 if outward[0] else 1.0, len(part))
        along.append(start[0] + part * (end[0] - start[0]) - inward * outward[0])
        across.append(start[1] + part * (end[1] - start[1]) - inward * outward[1])
    rows, cols = place_at(origin, axis_deg, np.concatenate(along), np.concatenate(across))
    if len(rows):
        canvas.echoes.append(_points(rng, rows, cols, np.clip(rng.normal(26.0, 7.5, len(rows)), 8.0, 45.0)))


def _points(rng: np.random.Generator, rows: FloatArray, cols: FloatArray, rcs_db: FloatArray) -> Echoes:
    """Point scatterers whose VH lies 5-13 dB below VV."""
    vv = 10.0 ** (rcs_db / 10.0)
    return Echoes(rows=rows, cols=cols, rcs_m2=np.stack([vv, vv * 10.0 ** (-rng.uniform(0.5, 1.3, len(vv)))]))


def add_flats(rng: np.random.Generator, canvas: Canvas, width_px: float) -> None:
    """Bare mud and sand before the shore, cut by winding creeks; their edge at the water is ragged.

    Bare flats at C band lie near -20..-13 dB in VV by their wetness and ripples, so they are now darker and now
    brighter than the sea (Gade et al. 2008, Remote Sensing of Environment 112, doi:10.1016/j.rse.2007.08.009).
    """
    if not canvas.land.any():
        return
    shape_hw = canvas.shape_hw
    from_shore = fields.shore_distance_px(canvas.land)
    relief = fields.fractal(rng, shape_hw, 1.7, 300.0)
    height = 1.0 - from_shore / width_px + 0.45 * relief
    # Creeks are the zero line of a field; they widen to the sea.
    bed = fields.fractal(rng, shape_hw, 1.75, 150.0)
    bed = ndimage.gaussian_filter(bed, 3.0)
    creek_px = np.clip(6.0 * (1.0 - height), 0.5, 14.0)
    creek = np.abs(bed) < creek_px * np.hypot(*np.gradient(bed))
    flat = (height > 0.0) & ~creek & ~canvas.land
    wet = fields.fractal(rng, shape_hw, 1.4, 120.0)
    ripples = fields.swell(rng, shape_hw, rng.uniform(8.0, 20.0), rng.uniform(0.0, 180.0), 0.3)
    sea_db = 10.0 * np.log10(_sea_level(canvas)[0])
    brighter = rng.random() < np.interp(sea_db, (-20.0, -15.0), (0.9, 0.0))
    level_db = np.clip(sea_db + (1.0 if brighter else -1.0) * rng.uniform(2.5, 7.0), -22.0, -12.0)
    level_db = level_db + 1.5 * wet + 0.5 * ripples
    edge = np.exp(-((height / 0.05) ** 2))  # the swash
    level_db = level_db + rng.uniform(0.0, 3.0) * edge
    canvas.sigma[0][flat] = 10.0 ** (level_db[flat] / 10.0)
    canvas.sigma[1][flat] = 10.0 ** ((level_db - rng.uniform(8.0, 12.0))[flat] / 10.0)
    canvas.order[flat] = float(rng.uniform(5.0, 12.0))
    canvas.flats = flat
