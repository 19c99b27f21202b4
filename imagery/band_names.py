"""Which bands a raster holds: by what the user says, the file says, its name says, and how many there are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from imagery.errors import RasterError
from imagery.hints import COLOURS, Hints, band_name, words
from imagery.labels import SAR_BANDS, SCENE_TAG, read_labels
from imagery.pixel_evidence import sample
from imagery.sensors import SENTINEL2

_GREY_TOLERANCE = 3.0  # JPEG leaves the three colours of a grey picture so far apart at most


@dataclass(frozen=True, kw_only=True)
class Bands:
    """The bands of a file that are read.

    Attributes:
        indexes: 1-based place in the file by name.
        alpha: place of the band that is 0 where no pixel is valid, None where there is none.
        notes: what was taken for granted.
        named: False where the file does not name its radar bands.
    """

    indexes: dict[str, int]
    alpha: int | None = None
    notes: tuple[str, ...] = ()
    named: bool = True

    @property
    def is_optical(self) -> bool:
        """Whether they are not radar polarisations."""
        return not set(self.indexes) <= set(SAR_BANDS)


def name_bands(dataset: Any, path: Path, hints: Hints) -> Bands:
    """Which bands to read, by what the user says, the file says, its name says, and how many there are.

    Raises:
        RasterError: if that does not settle it.
    """
    if SCENE_TAG in dataset.tags():
        stored = read_labels(dataset, path)
        return Bands(indexes=dict(zip(stored.bands, stored.band_indexes, strict=True)))
    colours = [interpretation.name for interpretation in dataset.colorinterp]
    if "palette" in colours:
        raise RasterError(f"{path} is a picture with a colour table; write it in grey or true colour (gdal_translate)")
    alpha = colours.index("alpha") + 1 if "alpha" in colours else None
    places = [i for i in range(1, dataset.count + 1) if i != alpha]
    found = _said_bands(hints, places, path) or _described(dataset, places) or _unnamed(dataset, path, places, hints)
    bands = replace(found, alpha=alpha)
    kinds = {"sar" if name in SAR_BANDS else "optical" for name in bands.indexes}
    if len(kinds) > 1:
        raise RasterError(
            f"{path} has radar and optical bands ({', '.join(bands.indexes)}); leave some out with - in --bands"
        )
    if hints.sensor is not None and hints.sensor not in kinds:
        raise RasterError(
            f"{path} has the bands {', '.join(bands.indexes)}, which are not {hints.sensor}; leave out --sensor, or "
            "name its bands with --bands"
        )
    return bands


def _said_bands(hints: Hints, places: list[int], path: Path) -> Bands | None:
    if hints.bands is None:
        return None
    if len(hints.bands) != len(places):
        raise RasterError(
            f"{path} has {len(places)} band(s), --bands names {len(hints.bands)}; name each, and - for one to leave out"
        )
    names = [band_name(text) for text in hints.bands]
    return Bands(indexes={n: i for n, i in zip(names, places, strict=True) if n is not None and n != "-"})


def _described(dataset: Any, places: list[int]) -> Bands | None:
    """Bands by their descriptions, such as VV, Sigma0_VH_db, B8 or red; radar ones where there are both."""
    found: dict[str, int] = {}
    for index in places:
        parts = words(dataset.descriptions[index - 1] or "")
        names = [n for n in map(band_name, parts) if n not in (None, "-")]
        if len(names) == 1 and names[0] is not None:
            found.setdefault(names[0], index)
    sar = {name: index for name, index in found.items() if name in SAR_BANDS}
    optical = {name: index for name, index in found.items() if name in SENTINEL2.bands}
    chosen = sar or optical
    return Bands(indexes=chosen) if chosen else None


def _unnamed(dataset: Any, path: Path, places: list[int], hints: Hints) -> Bands:
    """Bands by their number and colour, the name of the file, and the pixels.

    Raises:
        RasterError: if these do not settle it.
    """
    in_name = [w for w in words(path.stem) if w in SAR_BANDS]
    if len(places) == 1 and hints.sensor != "optical":
        if len(set(in_name)) == 1:
            return Bands(indexes={in_name[0]: places[0]})
        note = "the file does not name its band; taken as VV of an unknown radar"
        return Bands(indexes={"vv": places[0]}, notes=(note,), named=False)
    if len(places) == 2 and hints.sensor != "optical":
        return Bands(indexes={"vv": places[0], "vh": places[1]}, named=False)
    if len(places) in (3, 4):
        return _colours(dataset, path, places, hints)
    raise RasterError(
        f"{path} has {len(places)} band(s) that do not say what they are; name them in the file's order with --bands, "
        "for example B02,B03,B04,B08 and - for a band to leave out"
    )


def _colours(dataset: Any, path: Path, places: list[int], hints: Hints) -> Bands:
    """Three equal bands are a grey picture of one; else red, green, blue, and near infrared where the file says so."""
    kinds = [dataset.colorinterp[i - 1].name for i in places]
    names = {COLOURS[kind]: index for kind, index in zip(kinds, places, strict=True) if kind in COLOURS}
    if len(places) == 4:
        rest = [i for kind, i in zip(kinds, places, strict=True) if kind not in COLOURS]
        if len(names) == 4:
            return Bands(indexes=names)
        if len(names) == 3 and len(rest) == 1 and not _is_mask(dataset, rest[0]):
            note = "the fourth band does not say what it is; taken as near infrared"
            return Bands(indexes=names | {"b08": rest[0]}, notes=(note,))
        raise RasterError(
            f"{path} has 4 bands that do not say what they are; name them in the file's order with --bands, for "
            "example R,G,B,NIR or B02,B03,B04,B08"
        )
    if hints.sensor != "optical" and _is_grey(dataset, places):
        note = "three equal bands: a grey picture, taken as VV of an unknown radar"
        return Bands(indexes={"vv": places[0]}, notes=(note,), named=False)
    if hints.sensor == "sar":
        raise RasterError(f"{path} is in colour, which no radar image is; leave out --sensor, or name bands by --bands")
    if len(names) == 3:
        return Bands(indexes=names)
    note = "the three bands do not say what they are; taken as red, green and blue"
    return Bands(indexes=dict(zip(("b04", "b03", "b02"), places, strict=True)), notes=(note,))


def _is_grey(dataset: Any, places: list[int]) -> bool:
    windows = sample(dataset, tuple(places), None)
    spread = windows.max(axis=0) - windows.min(axis=0)
    seen = spread[np.isfinite(spread)]
    tolerance = _GREY_TOLERANCE if dataset.dtypes[0] == "uint8" else 0.0
    return bool(seen.size) and float(seen.max()) <= tolerance


def _is_mask(dataset: Any, index: int) -> bool:
    values = sample(dataset, (index,), None)
    return len(np.unique(values[np.isfinite(values)])) <= 2
