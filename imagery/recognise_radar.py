"""Unit, no data and order of polarisations of a radar image, by what is said of it and what its pixels show."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagery.band_names import Bands
from imagery.completed import Told, completed_labels, unit_by_tag
from imagery.errors import RasterError, UnitError
from imagery.hints import Hints, units_meant, words
from imagery.pixel_evidence import Evidence, block_means, evidence_of, without
from imagery.radar_units import band_ratio_db, contradiction, no_data_values, unit_of
from imagery.scene import Unit

_UNIT_WORDS: dict[str, Unit] = {
    "db": "sigma0_db",
    "decibel": "sigma0_db",
    "amplitude": "amplitude",
    "intensity": "intensity",
    "sigma0": "sigma0",
    "gamma0": "gamma0",
}
# Over the sea VV is brighter than VH by 5 dB and more, except where both are noise; over land by 4 to 8 dB.
_UNNAMED_APART_DB = 4.0
_SWAPPED_DB = 3.0
_CROSS = (("vv", "vh"), ("hh", "hv"))
# Cross-polarised sea stays below -18 dB in hurricanes' outskirts too; forest and towns do not.
_LAND_VH_DB = -15.0


def tell_radar(dataset: Any, path: Path, hints: Hints, bands: Bands, windows: NDArray[np.float32]) -> Told:
    """Unit, no data and order of the polarisations.

    Raises:
        UnitError: if the unit is in doubt, or the pixels contradict what is said of it.
        RasterError: if the bands stand in the wrong order, or all is land.
    """
    tag = dataset.tags().get("UNIT", "").strip()
    if "=" in tag:
        return _radar_by_formula(dataset, path, hints, bands, windows)
    said, source = _said_unit(dataset, path, hints, bands, tag)
    dtype = dataset.dtypes[next(iter(bands.indexes.values())) - 1]
    expected: Unit | None = "dn8" if said is None and dtype == "uint8" else said
    no_data = sorted({v for band in windows for v in no_data_values(band, expected)})
    scale, offset = _scaled(dataset, bands, path)
    values = without(windows, *no_data)
    if (scale, offset) != (1.0, 0.0):
        values = values * np.float32(scale) + np.float32(offset)
    seen = [evidence_of(band) for band in values]
    unit = _settled_unit(path, dtype, seen, said, source)
    text: str = unit
    if (scale, offset) != (1.0, 0.0):
        text = f"{'db' if unit == 'sigma0_db' else unit} = DN * {scale!r} + {offset!r}"
    notes = [] if said is not None and source != "name" else [_how(unit, said, seen)]
    if no_data:
        notes.append(f"pixels of value {', '.join(f'{v:g}' for v in no_data)} taken as no data: the file does not say")
    bands, values, order_note = _ordered(path, bands, values, unit)
    _refuse_land(path, bands, values, unit)
    labels = completed_labels(dataset, path, bands, text, (*notes, *order_note))
    if unit == "dn8" and any(e.solid_zeros for e in seen):
        labels = replace(
            labels,
            clip_value=0.0,
            notes=(*labels.notes, "whole patches are 0: dark water or no data, so they count as not observed"),
        )
    return Told(labels=labels, no_data=tuple(no_data))


def _radar_by_formula(dataset: Any, path: Path, hints: Hints, bands: Bands, windows: NDArray[np.float32]) -> Told:
    """A UNIT tag with a formula settles unit and scale; the order of the bands is still looked at."""
    labels = completed_labels(dataset, path, bands, None)
    if hints.unit is not None and labels.unit not in units_meant(hints.unit):
        raise UnitError(f"{path} says by its UNIT tag that it is in {labels.unit}; leave out --unit, or mend the tag")
    values = windows * np.float32(labels.scale) + np.float32(labels.offset)
    if labels.clip_value is not None:
        values[values <= labels.clip_value] = np.nan
    for band in values:
        seen = evidence_of(band)
        if seen.levels and (why := contradiction(labels.unit, seen)):
            raise UnitError(f"{path} cannot be in {labels.unit}, as its UNIT tag says: it has {why}; mend the tag")
    bands, values, note = _ordered(path, bands, values, labels.unit)
    _refuse_land(path, bands, values, labels.unit)
    return Told(labels=replace(labels, notes=(*labels.notes, *note)))


def _scaled(dataset: Any, bands: Bands, path: Path) -> tuple[float, float]:
    """The scale and offset that the file states for its numbers.

    Raises:
        UnitError: if they differ between bands.
    """
    stated = {(float(dataset.scales[i - 1]), float(dataset.offsets[i - 1])) for i in bands.indexes.values()}
    if len(stated) > 1:
        raise UnitError(
            f"{path} has bands of different scale and offset; write them with one (gdal_translate -unscale)"
        )
    return stated.pop()


def _said_unit(dataset: Any, path: Path, hints: Hints, bands: Bands, tag: str) -> tuple[Unit | None, str]:
    """What is said of the unit, and who says it: ``option``, ``tag``, ``description``, ``name`` or nobody."""
    if hints.unit is not None:
        return units_meant(hints.unit)[0], "option"
    if tag:
        return unit_by_tag(dataset, path, bands).unit, "tag"
    descriptions = " ".join(dataset.descriptions[i - 1] or "" for i in bands.indexes.values())
    for text, source in ((descriptions, "description"), (path.stem, "name")):
        found = set(words(text))
        for word, unit in _UNIT_WORDS.items():  # db comes first: Sigma0_VV_db
            if word in found:
                return unit, source
    return None, ""


def _settled_unit(path: Path, dtype: str, seen: list[Evidence], said: Unit | None, source: str) -> Unit:
    """The unit that is said, where no band contradicts it; else the one that the pixels show.

    Raises:
        UnitError: if they contradict, or leave a doubt.
    """
    measured = [e for e in seen if e.levels]
    if not measured:
        if said is None:
            raise RasterError(f"{path} holds no valid pixel (all no-data or NaN); there is nothing to look at")
        return said
    brightest = max(measured, key=lambda e: e.median)
    if said is None:
        unit = unit_of(brightest, dtype)
        if unit is None:
            raise UnitError(f"{path} does not say its unit and its pixels leave a doubt {_doubt(brightest, dtype)}")
    elif source == "option" and said == "sigma0" and brightest.median > 1.0:
        unit = "intensity"
    else:
        unit = said
    for band in measured:
        if why := contradiction(unit, band):
            raise UnitError(f"{path} cannot be in {unit}{_source_text(said, source)}: it has {why}; {_remedy(source)}")
    return unit


def _source_text(said: Unit | None, source: str) -> str:
    where = {"option": "as --unit says", "tag": "as its UNIT tag says", "name": "as its name says"}
    return "" if said is None else f", {where.get(source, 'as its band description says')}"


def _remedy(source: str) -> str:
    if source == "option":
        return "give another --unit, or leave it out"
    return "give its true unit with --unit db, linear, amplitude or dn8"


def _doubt(seen: Evidence, dtype: str) -> str:
    values = f"(values from {seen.lowest:.4g} to {seen.highest:.4g}, median {seen.median:.4g}, {dtype})"
    if seen.levels < 32:
        return f"{values}: it looks like a mask or a map of classes; give a radar or optical image, or --unit"
    if dtype.startswith("int"):
        return f"{values}; if they are scaled dB, write the scale in its UNIT tag, such as 'dB = DN / 100', else --unit"
    return f"{values}; give --unit db, linear, amplitude or dn8"


def _how(unit: Unit, said: Unit | None, seen: list[Evidence]) -> str:
    if said is not None:
        return f"unit {unit} taken from the file's name, and the pixels do not contradict it"
    if unit == "dn8":
        return "8-bit grey: taken as uncalibrated grey levels of an amplitude"
    return f"unit {unit} told by the pixels (median {max(e.median for e in seen if e.levels):.3g})"


def _ordered(
    path: Path, bands: Bands, values: NDArray[np.float32], unit: Unit
) -> tuple[Bands, NDArray[np.float32], tuple[str, ...]]:
    """Bands with the co-polarised one told from the cross-polarised one.

    Raises:
        RasterError: if named bands stand the wrong way round, or unnamed ones cannot be told apart.
    """
    names = list(bands.indexes)
    pair = next((p for p in _CROSS if set(p) <= set(names)), None)
    if pair is None:
        return bands, values, ()
    apart_db = band_ratio_db(values[names.index(pair[0])], values[names.index(pair[1])], unit)
    if bands.named:
        if apart_db < -_SWAPPED_DB:
            swapped = ",".join(pair[1 - pair.index(n)] if n in pair else n for n in names).upper()
            raise RasterError(
                f"{path} has {pair[1].upper()} brighter than {pair[0].upper()} by {-apart_db:.1f} dB over its darker "
                f"half, which no sea is: its bands seem to be swapped; give --bands {swapped}"
            )
        return bands, values, ()
    if not abs(apart_db) >= _UNNAMED_APART_DB:
        raise RasterError(
            f"{path} has two bands that do not say what they are and differ by only {abs(apart_db):.1f} dB; name them "
            "in the file's order with --bands VV,VH or --bands VH,VV"
        )
    note = f"bands do not say what they are; the one brighter by {abs(apart_db):.1f} dB taken as VV, the other as VH"
    if apart_db < 0.0:
        bands = replace(bands, indexes={"vv": bands.indexes["vh"], "vh": bands.indexes["vv"]})
        values = values[::-1]
    return bands, values, (note,)


def _refuse_land(path: Path, bands: Bands, values: NDArray[np.float32], unit: Unit) -> None:
    """Refuse a calibrated scene that is as bright in VH as no sea is, everywhere.

    Raises:
        RasterError: if it is.
    """
    if "vh" not in bands.indexes or unit not in ("sigma0", "sigma0_db"):
        return
    band = values[list(bands.indexes).index("vh")]
    means = block_means(np.power(10.0, band / 10.0).astype(np.float32) if unit == "sigma0_db" else band)
    if means.size and 10.0 * math.log10(max(float(np.percentile(means, 1.0)), 1e-9)) > _LAND_VH_DB:
        raise RasterError(
            f"{path} shows no water: VH is above {_LAND_VH_DB:g} dB all over it, as only land is; give a scene of the "
            "sea, or the true order of its bands with --bands"
        )
