"""What the XML of a Sentinel-2 SAFE says: of the product (MTD_MSIL1C.xml, MTD_MSIL2A.xml) and of its tile (MTD_TL.xml).

Reference: ESA, Sentinel-2 Products Specification Document, S2-PDGS-TAS-DI-PSD.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from xml.etree.ElementTree import Element

import numpy as np
import shapely
from affine import Affine
from pyproj.exceptions import CRSError
from shapely.geometry import MultiPolygon, Polygon

from imagery.errors import AnnotationError, RasterError
from imagery.geometry import FloatArray, Grid, split_at_antimeridian, wrap_lon
from imagery.products.sentinel2 import ALL_BANDS, Level, has_offset, parse_id
from imagery.products.sentinel2_angles import AngleGrid, angle_grid
from imagery.products.xml import number

# Viewing angles are those of the band that finds ships; those of the other bands are within 0.5 degrees of them.
VIEW_BAND = "b08"


@dataclass(frozen=True, kw_only=True)
class ProductMetadata:
    """What the product's own XML says.

    Attributes:
        name: of the product, without ``.SAFE``.
        level: processing level.
        baseline: processing baseline, such as ``05.11``.
        scale: reflectance per digital number.
        offsets: reflectance to be added, by band.
        datatake_time: UTC start of the datatake.
        relative_orbit: 1 to 143.
        direction: of the pass.
        footprint: outline of the pixels with data in degrees; None where it is not given or has no area.
    """

    name: str
    level: Level
    baseline: str
    scale: float
    offsets: dict[str, float]
    datatake_time: datetime
    relative_orbit: int
    direction: Literal["ascending", "descending"]
    footprint: MultiPolygon | None


@dataclass(frozen=True, kw_only=True)
class TileMetadata:
    """What the tile's XML says.

    Attributes:
        sensing_time: UTC; from baseline 02.07 on the mean time of the tile's pixels.
        level1_baseline: baseline of the Level-1C processing, which wrote the sensing time; None where not given.
        grid: the grid of 10 m pixels.
        sun: direction to the sun, None where not given.
        view: direction to the satellite in `VIEW_BAND`, None where not given.
    """

    sensing_time: datetime
    level1_baseline: str | None
    grid: Grid
    sun: AngleGrid | None
    view: AngleGrid | None


def read_product_metadata(root: Element, what: str) -> ProductMetadata:
    """Read MTD_MSIL1C.xml or MTD_MSIL2A.xml.

    Args:
        root: its root element.
        what: what it is, for messages.

    Returns:
        What it says.

    Raises:
        AnnotationError: if a part that is needed is missing or contradicts another.
    """
    levels: dict[str, Level] = {"Level-1C": "L1C", "Level-2A": "L2A"}
    stated = _text(root, "PROCESSING_LEVEL", what)
    level = levels.get(stated[: len("Level-2A")])  # products of 2017 say Level-2Ap
    if level is None:
        raise AnnotationError(f"{what} is of {stated}; offing reads Level-1C and Level-2A")
    baseline = _text(root, "PROCESSING_BASELINE", what)
    tags = ("QUANTIFICATION_VALUE",) if level == "L1C" else ("BOA_QUANTIFICATION_VALUE", "L2A_BOA_QUANTIFICATION_VALUE")
    quantification = next((number(root, f".//{tag}", what) for tag in tags if root.find(f".//{tag}") is not None), 0.0)
    if quantification <= 0.0:
        raise AnnotationError(f"{what} has no {tags[0]}, without which its numbers are no reflectance")
    direction = _text(root, "SENSING_ORBIT_DIRECTION", what).lower()
    if direction not in ("ascending", "descending"):
        raise AnnotationError(f"{what} has a SENSING_ORBIT_DIRECTION {direction!r}, which is none")
    return ProductMetadata(
        name=_text(root, "PRODUCT_URI", what).removesuffix(".SAFE"),
        level=level,
        baseline=baseline,
        scale=1.0 / quantification,
        offsets={band: dn / quantification for band, dn in _offsets_dn(root, level, baseline, what).items()},
        datatake_time=_time(root, "DATATAKE_SENSING_START", what),
        relative_orbit=int(number(root, ".//SENSING_ORBIT_NUMBER", what)),
        direction="ascending" if direction == "ascending" else "descending",
        footprint=_footprint(root, what),
    )


def read_tile_metadata(root: Element, what: str) -> TileMetadata:
    """Read MTD_TL.xml.

    Args:
        root: its root element.
        what: what it is, for messages.

    Returns:
        What it says.

    Raises:
        AnnotationError: if a part that is needed is missing.
    """
    size, position = root.find(".//Size[@resolution='10']"), root.find(".//Geoposition[@resolution='10']")
    if size is None or position is None:
        raise AnnotationError(f"{what} does not give the size and place of its 10 m pixels")
    x, y, dx, dy = (number(position, tag, what) for tag in ("ULX", "ULY", "XDIM", "YDIM"))
    shape_hw = (int(number(size, "NROWS", what)), int(number(size, "NCOLS", what)))
    try:
        grid = Grid.from_crs(_text(root, "HORIZONTAL_CS_CODE", what), Affine(dx, 0.0, x, 0.0, dy, y), shape_hw)
    except (CRSError, RasterError) as error:
        raise AnnotationError(f"{what} has an impossible grid: {error}") from error
    level1 = root.findtext(".//L1C_TILE_ID") or root.findtext(".//TILE_ID") or ""
    known = parse_id(level1.strip())
    return TileMetadata(
        sensing_time=_time(root, "SENSING_TIME", what),
        level1_baseline=known.baseline if known else None,
        grid=grid,
        sun=_angles(root.findall(".//Sun_Angles_Grid"), (abs(dx), abs(dy)), what),
        view=_angles(
            root.findall(f".//Viewing_Incidence_Angles_Grids[@bandId='{ALL_BANDS.index(VIEW_BAND)}']"),
            (abs(dx), abs(dy)),
            what,
        ),
    )


def _offsets_dn(root: Element, level: Level, baseline: str, what: str) -> dict[str, float]:
    """Offset of each band as stated; 0 where none is stated and none is due."""
    tag = "RADIO_ADD_OFFSET" if level == "L1C" else "BOA_ADD_OFFSET"
    stated: dict[str, float] = {}
    for element in root.iter(tag):
        band = element.get("band_id", "")
        if not band.isdecimal() or int(band) >= len(ALL_BANDS):
            raise AnnotationError(f"{what} has a {tag} of band_id {band!r}, which is no band")
        stated[ALL_BANDS[int(band)]] = number(element, ".", what)
    if not stated and has_offset(baseline):
        raise AnnotationError(
            f"{what} is of processing baseline {baseline} but gives no {tag}; fetch the product again"
        )
    return stated or dict.fromkeys(ALL_BANDS, 0.0)


def _footprint(root: Element, what: str) -> MultiPolygon | None:
    """Outline of the pixels with data: pairs of latitude and longitude, which may pass the antimeridian."""
    outlines = []
    for element in root.iter("EXT_POS_LIST"):
        try:
            values = np.array((element.text or "").split(), float)
        except ValueError as error:
            raise AnnotationError(f"{what} has a footprint that is not a list of numbers: {error}") from error
        if values.size < 8 or values.size % 2 or not np.isfinite(values).all():
            continue
        lat, lon = values[::2], values[1::2]
        polygon = shapely.make_valid(Polygon(np.column_stack([lon[0] + wrap_lon(lon - lon[0]), lat])))
        parts = [part for part in shapely.get_parts(polygon) if part.geom_type == "Polygon" and part.area > 0.0]
        outlines += [split_at_antimeridian(part) for part in parts]
    whole = shapely.union_all(outlines) if outlines else None
    if whole is None or whole.is_empty:
        return None
    return MultiPolygon([part for part in shapely.get_parts(whole) if part.geom_type == "Polygon"])


def _angles(elements: list[Element], pixel_m: tuple[float, float], what: str) -> AngleGrid | None:
    """One grid from the elements' Zenith and Azimuth, of one step."""
    by_step: dict[tuple[float, float], list[tuple[FloatArray, FloatArray]]] = defaultdict(list)
    for element in elements:
        zenith, azimuth = element.find("Zenith"), element.find("Azimuth")
        if zenith is None or azimuth is None:
            raise AnnotationError(f"{what} has an angle grid without Zenith or Azimuth")
        step = (number(zenith, "ROW_STEP", what), number(zenith, "COL_STEP", what))
        if min(step) <= 0.0:
            raise AnnotationError(f"{what} has an angle grid of step {step} m")
        by_step[step[0] / pixel_m[1], step[1] / pixel_m[0]].append((_values(zenith, what), _values(azimuth, what)))
    if len(by_step) > 1:
        raise AnnotationError(f"{what} has angle grids of different steps for one direction")
    return next((angle_grid(grids, step) for step, grids in by_step.items()), None)


def _values(element: Element, what: str) -> FloatArray:
    """(n, m) numbers of a Values_List, NaN where the file says so."""
    try:
        values = np.array([(row.text or "").split() for row in element.iter("VALUES")], float)
    except ValueError as error:  # not numbers, or rows of different lengths
        raise AnnotationError(f"{what} has a damaged angle grid: {error}") from error
    if values.ndim != 2 or min(values.shape) < 2:
        raise AnnotationError(f"{what} has an angle grid of shape {values.shape}; expected two nodes or more each way")
    return values


def _text(root: Element, tag: str, what: str) -> str:
    text = (root.findtext(f".//{tag}") or "").strip()
    if not text:
        raise AnnotationError(f"{what} has no {tag}")
    return text


def _time(root: Element, tag: str, what: str) -> datetime:
    text = _text(root, tag, what)
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise AnnotationError(f"{what} has a {tag} that is no time: {text!r}") from error
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
