"""What the user may say of a file that does not say it itself, and the names that bands go by."""

from __future__ import annotations

import re
from dataclasses import dataclass

from imagery.errors import RasterError, UnitError
from imagery.labels import SAR_BANDS
from imagery.scene import Unit
from imagery.sensors import SENTINEL2, Kind

PIXEL_RANGE_M = (1.0, 60.0)
UNIT_OPTIONS = ("db", "linear", "amplitude", "dn8")

# Names that bands go by, beside vv, vh, hh, hv and Sentinel-2's own.
COLOURS = {"red": "b04", "r": "b04", "green": "b03", "g": "b03", "blue": "b02", "b": "b02", "nir": "b08", "n": "b08"}
_OPTICAL = re.compile(r"b(0?[1-9]|8a|1[0-2])$")


@dataclass(frozen=True, kw_only=True)
class Hints:
    """What the user says of a file; None leaves it to the file.

    Attributes:
        unit: one of `UNIT_OPTIONS`.
        bands: a name per band of the file, in its order; ``-`` for one that is not to be read.
        pixel_size_m: metres, for a file without a georeference.
        sensor: radar or optical.
    """

    unit: str | None = None
    bands: tuple[str, ...] | None = None
    pixel_size_m: float | None = None
    sensor: Kind | None = None

    def __post_init__(self) -> None:
        """Refuse values that mean nothing.

        Raises:
            UnitError, RasterError: if one does.
        """
        if self.unit is not None and self.unit not in UNIT_OPTIONS:
            raise UnitError(f"there is no unit {self.unit!r}; give --unit {', '.join(UNIT_OPTIONS)}")
        if self.pixel_size_m is not None and not PIXEL_RANGE_M[0] <= self.pixel_size_m <= PIXEL_RANGE_M[1]:
            raise RasterError(f"--pixel-size {self.pixel_size_m:g} is outside 1 to 60 m; give the true size of a pixel")
        names = [name for name in map(band_name, self.bands or ()) if name != "-"]
        if self.bands is not None and (not names or None in names or len(set(names)) != len(names)):
            raise RasterError(
                f"--bands {','.join(self.bands)} does not name different bands; give for example VV,VH or R,G,B,NIR, "
                "and - for a band to leave out"
            )


def band_name(text: str) -> str | None:
    """The project's name of a band: ``b08`` for B8 and NIR, ``vv`` for VV; None if it is none."""
    word = text.strip().lower()
    if word in (*SAR_BANDS, "-"):
        return word
    if word in COLOURS:
        return COLOURS[word]
    if _OPTICAL.match(word):
        name = f"b{int(word[1:]):02d}" if word[1:].isdigit() else word
        return name if name in SENTINEL2.bands else None
    return None


def words(text: str) -> list[str]:
    """Words of a file name or a band description, lower case."""
    return [word for word in re.split(r"[^a-z0-9]+", text.lower()) if word]


def units_meant(option: str) -> tuple[Unit, ...]:
    """Units that a value of ``--unit`` may stand for."""
    meant: dict[str, tuple[Unit, ...]] = {
        "db": ("sigma0_db",),
        "linear": ("sigma0", "gamma0", "intensity"),
        "amplitude": ("amplitude",),
        "dn8": ("dn8",),
    }
    return meant[option]
