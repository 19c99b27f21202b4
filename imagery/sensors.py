"""What each sensor is: kind, bands, looks, geolocation error, each with its source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["sar", "optical"]
Reflectance = Literal["surface", "top of atmosphere"]

# Bands that a scene may carry after those in its unit. They say how a pixel was seen or what the provider takes it for;
# where no band in the scene's unit is valid they are not valid either, so they never make a pixel observed.
ANCILLARY: Mapping[str, str] = {
    "scl": "Sentinel-2 scene classification, ESA's class numbers 0 to 11 (imagery.products.sentinel2.SCL_CLASSES)",
    "qa_pixel": "Landsat Collection 2 pixel quality, 16 bits as a number (imagery.products.landsat.decode_qa_pixel)",
    "sun_zenith_deg": "angle of the sun from the zenith, degrees",
    "sun_azimuth_deg": "direction to the sun, degrees clockwise from north",
    "view_zenith_deg": "angle of the satellite from the zenith, degrees",
    "view_azimuth_deg": "direction to the satellite, degrees clockwise from north",
}


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
        reflectance: whether the air has been corrected for; None for radar, and where a file does not say.
    """

    name: str
    kind: Kind
    bands: tuple[str, ...]
    looks: float | None = None
    resolution_m: tuple[float, float] | None = None
    geolocation_sigma_m: float
    speckle_factor: float = 1.0
    reflectance: Reflectance | None = None


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
# This one is for files that do not say their level, and for simulations.
SENTINEL2 = Sensor(
    name="sentinel-2",
    kind="optical",
    bands=("b02", "b03", "b04", "b08", "b11"),
    resolution_m=(10.0, 10.0),
    geolocation_sigma_m=10.0,
)

_SENTINEL2_BANDS = ("b02", "b03", "b04", "b05", "b08", "b8a", "b11", "b12")  # imagery.products.sentinel2.BANDS
SENTINEL2_L2A = replace(SENTINEL2, name="sentinel-2-l2a", bands=_SENTINEL2_BANDS, reflectance="surface")
SENTINEL2_L1C = replace(SENTINEL2, name="sentinel-2-l1c", bands=_SENTINEL2_BANDS, reflectance="top of atmosphere")

# Landsat bands carry the names of the Sentinel-2 bands at about their wavelengths, so that the detectors find them:
# blue b02, green b03, red b04, near infrared b08 (OLI: narrow as b8a), short-wave infrared b11 and b12; the sensor says
# whose they are. Pixels of 30 m. Geolocation: scenes of Tier 1 are registered to 12 m radial root mean square error or
# better (USGS, Landsat Collection 2 Level-1 Data); the same per axis is cautious, and needed for the few control points
# of sea and coast.
LANDSAT_OLI = Sensor(
    name="landsat-8-9-oli",
    kind="optical",
    bands=("b02", "b03", "b04", "b08", "b11", "b12"),
    resolution_m=(30.0, 30.0),
    geolocation_sigma_m=12.0,
    reflectance="surface",
)
LANDSAT_TM = replace(LANDSAT_OLI, name="landsat-5-7-tm")  # TM of Landsat 5 and ETM+ of Landsat 7
LANDSAT_OLI_L1 = replace(LANDSAT_OLI, name="landsat-8-9-oli-l1", reflectance="top of atmosphere")
LANDSAT_TM_L1 = replace(LANDSAT_TM, name="landsat-5-7-tm-l1", reflectance="top of atmosphere")

# A GeoTIFF that says neither its sensor nor its quality.
UNKNOWN_SAR = Sensor(name="sar", kind="sar", bands=("pan",), geolocation_sigma_m=50.0)
UNKNOWN_OPTICAL = Sensor(name="optical", kind="optical", bands=("red", "green", "blue"), geolocation_sigma_m=50.0)

SENSORS = {
    s.name: s
    for s in (
        SENTINEL1_IW_GRD,
        SENTINEL2,
        SENTINEL2_L2A,
        SENTINEL2_L1C,
        LANDSAT_OLI,
        LANDSAT_OLI_L1,
        LANDSAT_TM,
        LANDSAT_TM_L1,
        UNKNOWN_SAR,
        UNKNOWN_OPTICAL,
    )
}


def is_ancillary(band: str) -> bool:
    """Whether a band of a scene is one of `ANCILLARY`, and so not in the scene's unit."""
    return band in ANCILLARY


def measured_bands(bands: Iterable[str]) -> tuple[str, ...]:
    """The bands of a scene that are in its unit, in order: all but the ancillary ones."""
    return tuple(band for band in bands if not is_ancillary(band))
