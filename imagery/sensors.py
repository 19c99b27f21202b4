"""What each sensor is: kind, bands, looks, geolocation error, each with its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["sar", "optical"]


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """One kind of image.

    Attributes:
        name: short name used in files and results.
        kind: radar or optical.
        bands: band names that the project reads, in order.
        looks: equivalent number of looks of an intensity pixel; None where it must be estimated from the scene.
        resolution_m: (row, column) resolution on the ground in metres; None if unknown.
        speckle_factor: by how much a CFAR threshold made for independent Gamma looks must be raised for this sensor's
            speckle.
        geolocation_sigma_m: one-sigma position error of a pixel per axis, metres.
    """

    name: str
    kind: Kind
    bands: tuple[str, ...]
    looks: float | None = None
    resolution_m: tuple[float, float] | None = None
    geolocation_sigma_m: float
    speckle_factor: float = 1.0


# Equivalent number of looks 4.4, resolution 20.3 m (range) x 22.6 m (azimuth): ESA, Sentinel-1 Product Definition,
# S1-RS-MDA-52-7440. Geolocation: ESA quotes 7 m (one sigma) for IW GRD; 20 m allows for the height of a ship's
# bright parts and for centroiding. Speckle factor: its looks are weighted and overlap, so that the tail is heavier than
# Gamma; fitted on simulated look-weighted speckle at 1e-7 (scripts/campaign cfar --only speckle).
SENTINEL1_IW_GRD = Sensor(
    name="sentinel-1-iw-grd",
    kind="sar",
    bands=("vv", "vh"),
    looks=4.4,
    resolution_m=(22.6, 20.3),
    geolocation_sigma_m=20.0,
    speckle_factor=1.11,
)

# Absolute geolocation better than 12.5 m at 95 % with GCPs (ESA, S2 Data Quality Report): 10 m one sigma is cautious.
SENTINEL2 = Sensor(
    name="sentinel-2",
    kind="optical",
    bands=("b02", "b03", "b04", "b08", "b11"),
    resolution_m=(10.0, 10.0),
    geolocation_sigma_m=10.0,
)

# A GeoTIFF that says neither its sensor nor its quality.
UNKNOWN_SAR = Sensor(name="sar", kind="sar", bands=("pan",), geolocation_sigma_m=50.0)
UNKNOWN_OPTICAL = Sensor(name="optical", kind="optical", bands=("red", "green", "blue"), geolocation_sigma_m=50.0)

SENSORS = {s.name: s for s in (SENTINEL1_IW_GRD, SENTINEL2, UNKNOWN_SAR, UNKNOWN_OPTICAL)}
