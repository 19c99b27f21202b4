"""What MarineCadastre calls its columns, and how its values become the canonical ones.

Three layouts are one here, told apart by their header alone:

- 2015 to 2023: ``MMSI,BaseDateTime,LAT,LON,SOG,COG,Heading,VesselName,...`` (the last column came later, at first
  spelt ``TranscieverClass``);
- the same names with LON before LAT;
- 2024 on: ``mmsi,base_date_time,longitude,latitude,...,transceiver``, a blank between date and time.

Reference: MarineCadastre data dictionary, https://coast.noaa.gov/data/marinecadastre/ais/data-dictionary.pdf
"""

from __future__ import annotations

import polars as pl

from offing.ais.schema import SCHEMA

# Our column -> its names in the layouts, in lower case and without underscores.
NAMES: dict[str, tuple[str, ...]] = {
    "mmsi": ("mmsi",),
    "t": ("basedatetime",),
    "lat": ("lat", "latitude"),
    "lon": ("lon", "longitude"),
    "sog_kn": ("sog",),
    "cog_deg": ("cog",),
    "heading_deg": ("heading",),
    "nav_status": ("status",),
    "ais_class": ("transceiverclass", "transcieverclass", "transceiver"),
    "imo": ("imo",),
    "name": ("vesselname",),
    "callsign": ("callsign",),
    "ship_type": ("vesseltype",),
    "length_m": ("length",),
    "width_m": ("width",),
    "draught_m": ("draft",),
}
# Our column -> its usual name, of those without which a file is of no use.
REQUIRED = {"mmsi": "MMSI", "t": "BaseDateTime", "lat": "LAT", "lon": "LON", "sog_kn": "SOG", "cog_deg": "COG"}

# Navigational status was spelt out before 2018; codes of ITU-R M.1371-5 table 45.
_STATUS_WORDS = {
    "under way using engine": 0,
    "at anchor": 1,
    "not under command": 2,
    "restricted maneuverability": 3,
    "constrained by her draught": 4,
    "moored": 5,
    "aground": 6,
    "engaged in fishing": 7,
    "under way sailing": 8,
    "power-driven vessel towing astern": 11,
    "power-driven vessel pushing ahead or towing alongside": 12,
    "ais-sart is active": 14,
}

# Course was written as a signed 12-bit count of 0.1 degree in some files: 204.8 and more came out 409.6 too low
# (51 % of the rows of New York 2020-06-30; adding 409.6 brings the median of |COG - heading| from 49 to 2 degrees).
COG_WRAP_DEG = 409.6
# The share of negative courses from which on a whole file is taken to be written so; a sound file has none.
COG_WRAP_MIN_SHARE = 0.05
# In such a file 'not available' (360.0) is -49.6, and nothing lies between that and zero; in a file that counts
# courses from -180 to 180, values there are common.
COG_WRAP_GAP_DEG = (-49.5, -0.05)
COG_WRAP_GAP_MAX_SHARE = 0.01

# Ranges of the AIS fields (M.1371-5 tables 45 to 48): speed up to 102.2 kn, hull up to 511 + 511 by 63 + 63 metres,
# draught up to 25.5 m. Outside them, and at 0 for sizes, a value means 'not available'.
_SOG_MAX_KN, _LENGTH_MAX_M, _WIDTH_MAX_M, _DRAUGHT_MAX_M = 102.25, 1022.0, 126.0, 25.5


def repaired_cog(text: pl.Series, name: str) -> tuple[pl.Series, list[str]]:
    """Courses in degrees as text again, wrapped ones repaired; and a note about it."""
    cog = text.cast(pl.Float64, strict=False)
    negative = int((cog < 0).sum())
    if not negative or negative < COG_WRAP_MIN_SHARE * cog.count():
        return text, []
    in_gap = int(cog.is_between(*COG_WRAP_GAP_DEG).sum())
    wrapped = in_gap <= COG_WRAP_GAP_MAX_SHARE * negative
    step = COG_WRAP_DEG if wrapped else 360.0
    why = "a signed 12-bit overflow" if wrapped else "they are counted from -180 to 180"
    repaired = pl.Series("cog_deg", cog.to_numpy() + step * (cog.to_numpy() < 0)).round(1)
    note = f"{name}: {negative} negative courses ({negative / cog.count():.0%}) were raised by {step} degrees ({why})"
    return repaired.fill_nan(None).cast(pl.String), [note]


def canonical(raw: pl.DataFrame, source: str) -> pl.DataFrame:
    """The canonical table with one column more: why a row cannot be kept, or null."""
    have = set(raw.columns)

    def text(name: str) -> pl.Expr:
        return pl.col(name) if name in have else pl.lit(None, dtype=pl.String)

    def number(name: str, low: float, high: float) -> pl.Expr:
        value = text(name).cast(pl.Float64, strict=False)
        return pl.when(value.is_between(low, high)).then(value)

    def code(name: str, dtype: pl.DataType, high: int) -> pl.Expr:
        return number(name, 0, high).cast(dtype)

    stamp = text("t").str.replace("T", " ", literal=True).str.replace(r"(Z|\+00:?00)$", "")
    status = text("nav_status").str.to_lowercase().replace(_STATUS_WORDS).cast(pl.Float64, strict=False)
    exact = {
        "mmsi": number("mmsi", 1, 2**30 - 1).cast(pl.UInt32()),
        "t": stamp.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False).dt.replace_time_zone("UTC"),
        "lat": text("lat").cast(pl.Float64, strict=False),
        "lon": text("lon").cast(pl.Float64, strict=False),
        "sog_kn": number("sog_kn", 0.0, _SOG_MAX_KN),
        "cog_deg": number("cog_deg", 0.0, 359.95),
        "heading_deg": number("heading_deg", 0.0, 360.0) % 360.0,
        "nav_status": pl.when(status.is_between(0, 14)).then(status).cast(pl.UInt8()),
        "ais_class": pl.when(text("ais_class").is_in(["A", "B"])).then(text("ais_class")),
        "imo": text("imo")
        .str.extract(r"(?i)^(?:IMO)?\s*(\d+)(?:\.0)?$")
        .cast(pl.UInt32(), strict=False)
        .replace(0, None),
        "name": text("name").str.strip_chars("@ ").replace("", None),
        "callsign": text("callsign").str.strip_chars("@ ").replace("", None),
        "ship_type": code("ship_type", pl.UInt16(), 65535).replace(0, None),
        "length_m": number("length_m", 1.0, _LENGTH_MAX_M),
        "width_m": number("width_m", 1.0, _WIDTH_MAX_M),
        "draught_m": number("draught_m", 0.05, _DRAUGHT_MAX_M),
        "source": pl.lit(source),
    }
    columns = [exact.get(name, pl.lit(None, dtype=dtype)).cast(dtype).alias(name) for name, dtype in SCHEMA.items()]
    return raw.select(columns).with_columns(_reason().alias("reason"))


def _reason() -> pl.Expr:
    """Why a row is dropped, the first that applies, or null."""
    lat, lon = pl.col("lat"), pl.col("lon")
    return (
        pl.when(pl.col("mmsi").is_null())
        .then(pl.lit("no readable MMSI"))
        .when(pl.col("t").is_null())
        .then(pl.lit("no readable time"))
        .when(lat.is_null() | lon.is_null() | lat.is_nan() | lon.is_nan())
        .then(pl.lit("no readable position"))
        .when((lat == 91.0) | (lon == 181.0))
        .then(pl.lit("position not available"))
        .when((lat.abs() > 90.0) | (lon.abs() > 180.0))
        .then(pl.lit("position outside the globe"))
        .when((lat == 0.0) & (lon == 0.0))
        .then(pl.lit("position exactly 0 N 0 E"))
    )
