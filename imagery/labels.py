"""What a raster file says of itself: bands, unit, scale, time, sensor. What it leaves open is assumed aloud."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np

from imagery.errors import RasterError, UnitError
from imagery.scene import UNITS, Provenance, Unit
from imagery.sensors import SENTINEL1_IW_GRD, SENTINEL2, UNKNOWN_SAR

SCENE_TAG = "OFFING_SCENE"  # one JSON object, written by `imagery.geotiff.write_geotiff`

SAR_BANDS = ("vv", "vh", "hh", "hv")
_OPTICAL_BAND = re.compile(r"b(0?[1-9]|8a|1[0-2])$")
_NAME_TIME = re.compile(r"(?<!\d)(\d{8}T\d{6})Z?(?!\d)")
_NAME_DATE = re.compile(r"(?<!\d)(\d{4}-\d{2}-\d{2})(?!\d)")
_FORMULA = re.compile(
    r"^\s*(db|reflectance|sigma0|amplitude|intensity)\s*=\s*([-+*/(). 0-9dneDNE]+?)\s*(?:\(clipped.*)?$", re.I
)

# A date without a time of day: noon, uniform over the day, has a standard deviation of 24 h / sqrt(12).
_DAY_SIGMA_S = 86400.0 / np.sqrt(12.0)


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What is known of a file's numbers.

    Attributes:
        bands: names of the bands that are read, lower case.
        band_indexes: their 1-based places in the file.
        unit: unit of the values after scaling.
        scale, offset: value = number in the file * scale + offset.
        clip_value: see `imagery.scene.Scene`.
        sensor_name: key of `imagery.sensors.SENSORS`.
        time: UTC of acquisition, None if unknown.
        time_sigma_s: its one-sigma error, seconds; infinite if unknown.
        attribution: credit that the file asks for.
        notes: what was assumed.
        scene_id, provenance, acquisition: as `write_geotiff` stored them; None in files by others.
    """

    bands: tuple[str, ...]
    band_indexes: tuple[int, ...]
    unit: Unit
    scale: float = 1.0
    offset: float = 0.0
    clip_value: float | None = None
    sensor_name: str
    time: datetime | None
    time_sigma_s: float
    attribution: str = ""
    notes: tuple[str, ...] = ()
    scene_id: str | None = None
    provenance: Provenance | None = None
    acquisition: dict[str, Any] | None = None


def read_labels(dataset: Any, path: Path) -> Labels:
    """Read a file's labels.

    Args:
        dataset: an open rasterio dataset.
        path: its path, whose name may tell bands and time.

    Returns:
        Its labels, with a note for each thing assumed.

    Raises:
        RasterError: if no band can be recognised.
        UnitError: if the unit cannot be told.
    """
    tags = dataset.tags()
    if SCENE_TAG in tags:
        return _own_labels(json.loads(tags[SCENE_TAG]), path)
    bands, indexes = _bands(dataset, path)
    optical = bands[0].startswith("b")
    time, sigma_s, time_note = _time(tags, path.name)
    unit, scale, offset, clipped, unit_note = _unit(dataset, tags, path, optical=optical)
    sensor = UNKNOWN_SAR if bands == ("pan",) else SENTINEL2 if optical else SENTINEL1_IW_GRD
    notes = [note for note in (time_note, unit_note) if note]
    if bands == ("pan",):
        notes.append("the file does not name its band; taken as one radar polarisation of an unknown sensor")
    if "GEOREFERENCE" in tags:
        notes.append(f"georeference: {tags['GEOREFERENCE']}")
    return Labels(
        bands=bands,
        band_indexes=indexes,
        unit=unit,
        scale=scale,
        offset=offset,
        clip_value=float(np.float32(offset)) if clipped else None,
        sensor_name=sensor.name,
        time=time,
        time_sigma_s=sigma_s,
        attribution=tags.get("ATTRIBUTION", ""),
        notes=tuple(notes),
    )


def _own_labels(stored: dict[str, Any], path: Path) -> Labels:
    try:
        known = stored["provenance"]
        return Labels(
            bands=tuple(stored["bands"]),
            band_indexes=tuple(range(1, len(stored["bands"]) + 1)),
            unit=stored["unit"],
            clip_value=stored["clip_value"],
            sensor_name=stored["sensor"],
            time=datetime.fromisoformat(stored["time"]) if stored["time"] else None,
            time_sigma_s=stored["acquisition"]["time_sigma_s"] or np.inf,
            scene_id=stored["id"],
            acquisition=stored["acquisition"],
            provenance=Provenance(
                source=known["source"],
                ids=tuple(known["ids"]),
                sha256=tuple(known["sha256"]),
                attribution=known["attribution"],
                notes=tuple(known["notes"]),
                missing=tuple(known["missing"]),
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RasterError(f"{path} has a damaged {SCENE_TAG} tag ({error!r}); write the file again") from error


def _bands(dataset: Any, path: Path) -> tuple[tuple[str, ...], tuple[int, ...]]:
    found: dict[str, int] = {}
    for index, text in enumerate(dataset.descriptions, start=1):
        name = (text or "").strip().lower()
        if name in SAR_BANDS or _OPTICAL_BAND.match(name):
            name = f"b{int(name[1:]):02d}" if name[1:].isdigit() else name
            found.setdefault(name, index)
    sar = {b: i for b, i in found.items() if b in SAR_BANDS}
    if sar or found:
        chosen = sar or {b: i for b, i in found.items() if b in SENTINEL2.bands}
        if chosen:
            return tuple(chosen), tuple(chosen.values())
    if dataset.count == 1:
        tokens = set(re.split(r"[^a-z0-9]+", path.stem.lower()))
        named = [b for b in SAR_BANDS if b in tokens]
        if len(named) == 1:
            return (named[0],), (1,)
        if dataset.dtypes[0].startswith("float"):
            return ("pan",), (1,)
    raise RasterError(
        f"{path} has {dataset.count} band(s) that do not say what they are; name them in the band descriptions "
        "(vv, vh, hh, hv for radar; b02, b03, b04, b08, b11 for Sentinel-2)"
    )


def _time(tags: dict[str, str], name: str) -> tuple[datetime | None, float, str]:
    for tag in ("ACQUIRED", "ACQUIRED_DATE"):
        if tag in tags:
            try:
                time = datetime.fromisoformat(tags[tag])
            except ValueError:
                break
            time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
            return _with_sigma(time, is_date="T" not in tags[tag] and " " not in tags[tag])
    if match := _NAME_TIME.search(name):
        return datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC), 5.0, ""
    if match := _NAME_DATE.search(name):
        return _with_sigma(datetime.fromisoformat(match[1]).replace(tzinfo=UTC), is_date=True)
    return None, float("inf"), "the file does not say when it was acquired; AIS cannot be searched for it"


def _with_sigma(time: datetime, *, is_date: bool) -> tuple[datetime, float, str]:
    if not is_date:
        return time, 5.0, ""  # seconds are given, but which line of the image they belong to is not
    note = "only the date of acquisition is known; the time is taken as noon UTC with a standard error of 6.9 h"
    return time.replace(hour=12), _DAY_SIGMA_S, note


def _unit(dataset: Any, tags: dict[str, str], path: Path, *, optical: bool) -> tuple[Unit, float, float, bool, str]:
    """Unit, scale, offset, whether the low end is clipped, and a note on what was assumed."""
    text = tags.get("UNIT", "")
    if text.strip().lower() in UNITS:
        return cast("Unit", text.strip().lower()), 1.0, 0.0, False, ""
    if match := _FORMULA.match(text):
        scale, offset = _linear_formula(match[2], path)
        name = "sigma0_db" if match[1].lower() == "db" else match[1].lower()
        return cast("Unit", name), scale, offset, "clipped" in text.lower(), ""
    if text:
        raise UnitError(
            f"{path} has the UNIT tag {text!r}, which is not understood; write a unit ({', '.join(UNITS)}) or a "
            "formula such as 'reflectance = DN / 10000'"
        )
    is_float = dataset.dtypes[0].startswith("float")
    if optical:
        if is_float:
            return "reflectance", 1.0, 0.0, False, "unit assumed to be reflectance"
        raise UnitError(
            f"{path} holds optical bands as {dataset.dtypes[0]} without a unit; set the UNIT tag, for example "
            "'reflectance = DN / 10000' or 'reflectance = (DN - 1000) / 10000'"
        )
    name = path.stem.lower()
    for word, unit in (
        ("sigma0_db", "sigma0_db"),
        ("db", "sigma0_db"),
        ("sigma0", "sigma0"),
        ("intensity", "intensity"),
    ):
        if word in re.split(r"[^a-z0-9]+", name) or (word == "sigma0_db" and word in name):
            return cast("Unit", unit), 1.0, 0.0, False, f"unit {unit} taken from the file's name"
    if "amplitude" in name:
        return "amplitude", 1.0, 0.0, False, "unit amplitude taken from the file's name"
    sample = dataset.read(1, out_shape=(min(512, dataset.height), min(512, dataset.width))).astype(float)
    sample = sample[np.isfinite(sample)]
    if is_float and len(sample) and np.median(sample) < 0:
        return "sigma0_db", 1.0, 0.0, False, "unit assumed to be dB, since the values are negative"
    return "amplitude", 1.0, 0.0, False, "unit assumed to be amplitude (no calibration): the file does not say"


def _linear_formula(text: str, path: Path) -> tuple[float, float]:
    """Scale and offset of a formula that is linear in DN."""
    try:
        tree = ast.parse(text.strip().upper(), mode="eval").body
        at_0, at_1, at_2 = (_evaluate(tree, dn) for dn in (0.0, 1.0, 2.0))
    except (SyntaxError, ZeroDivisionError, KeyError, AttributeError) as error:
        raise UnitError(f"{path} has an unreadable formula {text!r} in its UNIT tag") from error
    if not np.isclose(at_2 - at_1, at_1 - at_0) or at_1 == at_0:
        raise UnitError(f"{path} has a formula {text!r} in its UNIT tag that is not linear in DN")
    return at_1 - at_0, at_0


def _evaluate(node: ast.AST, dn: float) -> float:
    match node:
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.Name(id="DN"):
            return dn
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand, dn)
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _evaluate(left, dn), _evaluate(right, dn)
            return {ast.Add: a + b, ast.Sub: a - b, ast.Mult: a * b, ast.Div: a / b if b else float("nan")}[type(op)]
    raise KeyError(ast.dump(node))
