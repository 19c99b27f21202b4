"""Simulated pixels in a real Sentinel-1 product: its annotation, tables and manifest, and a measurement of full size.

Positions are solved from the annotation's orbit, times and range conversions by the range-Doppler equations with SciPy,
and tables are read by regular expressions: nothing of `imagery` decides what the truth is.
"""

import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.windows import Window
from scipy.interpolate import CubicHermiteSpline
from scipy.optimize import brentq, fsolve

SPEED_OF_LIGHT_M_S = 299_792_458.0
LOOKS = 4.4


def ecef(lon, lat, height_m=0.0):
    """WGS 84 place as Earth-centred, Earth-fixed metres."""
    lon, lat = np.radians(lon), np.radians(lat)
    e2 = 0.00669437999014
    n = 6378137.0 / np.sqrt(1 - e2 * np.sin(lat) ** 2)
    return np.stack(
        [
            (n + height_m) * np.cos(lat) * np.cos(lon),
            (n + height_m) * np.cos(lat) * np.sin(lon),
            (n * (1 - e2) + height_m) * np.sin(lat),
        ],
        axis=-1,
    )


def numbers(text, tag):
    """Every number, or list of numbers, in elements of a name."""
    return [np.array(t.split(), float) for t in re.findall(rf"<{tag}(?: count=\"\d+\")?>([^<]+)</{tag}>", text)]


def seconds_of(text, tag, start):
    """Times in elements of a name, seconds after a start."""
    times = np.array(re.findall(rf"<{tag}>([^<]+)</{tag}>", text), "datetime64[us]")
    return (times - start) / np.timedelta64(1, "s")


@dataclass
class RadarModel:
    """Range and Doppler of one product, from its annotation's text."""

    annotation: str

    def __post_init__(self):
        text = self.annotation
        self.start = np.datetime64(re.search("<productFirstLineUtcTime>([^<]+)<", text)[1], "us")
        orbits = text.split("<orbitList")[1].split("</orbitList>")[0]
        time = seconds_of(orbits, "time", self.start)
        self.span_s = (time[0], time[-1])
        x, y, z = (np.concatenate(numbers(orbits, axis)) for axis in "xyz")
        state = np.column_stack([x, y, z])  # position and velocity in turn
        self.position = CubicHermiteSpline(time, state[0::2], state[1::2])
        self.velocity = self.position.derivative()
        self.line_s = float(numbers(text, "azimuthTimeInterval")[0][0])
        self.spacing_m = float(numbers(text, "rangePixelSpacing")[0][0])
        self.shape_hw = tuple(int(numbers(text, tag)[0][0]) for tag in ("numberOfLines", "numberOfSamples"))
        conversions = text.split("<coordinateConversionList")[1].split("</coordinateConversionList>")[0]
        self.conversion_s = seconds_of(conversions, "azimuthTime", self.start)
        self.sr0 = np.concatenate(numbers(conversions, "sr0"))
        self.srgr = np.stack(numbers(conversions, "srgrCoefficients"))

    def zero_doppler(self, lon, lat, east_m_s=0.0, north_m_s=0.0):
        """(seconds, slant range) at which a radar shows a target that is at a place at its own zero-Doppler time.

        The target moves on the ground; what the radar shows has the range and the Doppler of the moving one.
        """
        place = ecef(lon, lat)
        lo, la = np.radians(lon), np.radians(lat)
        east = np.array([-np.sin(lo), np.cos(lo), 0.0])
        north = np.array([-np.sin(la) * np.cos(lo), -np.sin(la) * np.sin(lo), np.cos(la)])
        drift = east_m_s * east + north_m_s * north

        def doppler(t, moving):
            moved = place + (drift * (t - self.rest_s) if moving else 0.0)
            speed = self.velocity(t) - (drift if moving else 0.0)
            return np.dot(moved - self.position(t), speed)

        self.rest_s = 0.0
        self.rest_s = brentq(doppler, *self.span_s, args=(False,), xtol=1e-12)
        seen_s = brentq(doppler, *self.span_s, args=(True,), xtol=1e-12)
        moved = place + drift * (seen_s - self.rest_s)
        return seen_s, float(np.linalg.norm(moved - self.position(seen_s)))

    def line_pixel(self, lon, lat, east_m_s=0.0, north_m_s=0.0):
        """Continuous line and pixel, whole numbers at sample centres, at which a target is imaged."""
        seen_s, slant_m = self.zero_doppler(lon, lat, east_m_s, north_m_s)
        coefficients = [np.interp(seen_s, self.conversion_s, column) for column in self.srgr.T]
        sr0 = np.interp(seen_s, self.conversion_s, self.sr0)
        ground_m = np.polynomial.polynomial.polyval(slant_m - sr0, coefficients)
        return seen_s / self.line_s, ground_m / self.spacing_m

    def lonlat(self, line, pixel):
        """The place at sea level that is imaged at a line and pixel."""
        text = self.annotation.split("<geolocationGridPointList")[1]
        lines, pixels, lat, lon = (np.concatenate(numbers(text, t)) for t in ("line", "pixel", "latitude", "longitude"))
        near = np.argmin((lines - line) ** 2 + (pixels - pixel) ** 2)
        found = fsolve(
            lambda p: np.subtract(self.line_pixel(p[0], p[1]), (line, pixel)), [lon[near], lat[near]], xtol=1e-10
        )
        return float(found[0]), float(found[1])


def lut_at(text, tag, vector, line, pixels):
    """Values of a table along range at a line: linear along pixels, then between the two vectors beside the line."""
    rows, profiles = [], []
    for block in re.findall(rf"<{vector}>(.*?)</{vector}>", text, re.S):
        nodes, values = numbers(block, "pixel")[0], numbers(block, tag)[0]
        kept = values > 0
        if kept.any():
            rows.append(float(numbers(block, "line")[0][0]))
            profiles.append(np.interp(pixels, nodes[kept], values[kept]))
    k = int(np.clip(np.searchsorted(rows, line, side="right") - 1, 0, len(rows) - 2))
    share = np.clip((line - rows[k]) / (rows[k + 1] - rows[k]), 0, 1)
    return (1 - share) * profiles[k] + share * profiles[k + 1]


def noise_at(text, line, pixels):
    """Noise power in DN^2 at a line: table along range times that along azimuth."""
    power = lut_at(text, "noiseRangeLut", "noiseRangeVector", line, pixels)
    for block in re.findall("<noiseAzimuthVector>(.*?)</noiseAzimuthVector>", text, re.S):
        first, last, left, right = (
            numbers(block, t)[0][0]
            for t in ("firstAzimuthLine", "lastAzimuthLine", "firstRangeSample", "lastRangeSample")
        )
        if first <= line <= last:
            factor = np.interp(line, numbers(block, "line")[0], numbers(block, "noiseAzimuthLut")[0])
            power = np.where((pixels >= left) & (pixels <= right), power * factor, power)
    return power


@dataclass
class Ship:
    """A bright oblong at a place, which it has at its own zero-Doppler time."""

    lon: float
    lat: float
    length_m: float
    angle_deg: float = 30.0
    east_m_s: float = 0.0
    north_m_s: float = 0.0


@dataclass
class SafeProduct:
    """The parts of a zipped product."""

    path: Path
    members: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self):
        with zipfile.ZipFile(self.path) as archive:
            self.members = {n: archive.read(n) for n in archive.namelist() if not n.endswith("/")}

    @property
    def folder(self):
        return next(iter(self.members)).split("/")[0]

    @property
    def name(self):
        return self.folder.removesuffix(".SAFE")

    def text(self, kind, band):
        """Text of an annotation, calibration or noise file."""
        folder = "annotation/" if kind == "" else "annotation/calibration/"
        pattern = rf"{re.escape(self.folder)}/{folder}{kind}s1.-iw-grd-{band}-.*\.xml$"
        return next(v for n, v in self.members.items() if re.match(pattern, n)).decode()

    def measurement(self, band):
        """Path of a measurement inside the product, as the manifest has it."""
        manifest = self.members[f"{self.folder}/manifest.safe"].decode()
        return re.search(rf'href="\./(measurement/[^"]*-{band}-[^"]*)"', manifest)[1]

    def write_zip(self, path, measurements, *, without=()):
        """Zip the product with measurement files given by path inside it."""
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in self.members.items():
                if "/measurement/" not in name and not any(word in name for word in without):
                    archive.writestr(name, content)
            for inside, file in measurements.items():
                archive.write(file, f"{self.folder}/{inside}")
        return path

    def unpack(self, folder, measurements=None):
        """The product as a folder."""
        for name, content in self.members.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        for inside, file in (measurements or {}).items():
            target = folder / self.folder / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(Path(file).read_bytes())
        return folder / self.folder


def write_measurement(path, annotation, pieces=(), *, shape_hw=None, gcps=True, software="Sentinel-1 IPF 003.52"):
    """A measurement as ESA writes it: uint16, control points at the tie points' own line and pixel, zeros and pieces.

    Args:
        path: file to write.
        annotation: text whose size and tie points it takes.
        pieces: (row, col, array) of digital numbers.
        shape_hw: another size than the annotation's.
        gcps: False = without control points.
        software: what the processor calls itself.
    """
    text = annotation.split("<geolocationGridPointList")[1]
    columns = [np.concatenate(numbers(text, t)) for t in ("line", "pixel", "longitude", "latitude", "height")]
    points = [GroundControlPoint(r, c, x, y, z) for r, c, x, y, z in zip(*columns, strict=True)] if gcps else []
    height, width = shape_hw or RadarModel(annotation).shape_hw
    placed = {"gcps": points, "crs": "EPSG:4326"} if gcps else {"transform": rasterio.Affine(1, 0, 0, 0, 1, 1e-9)}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=1,
        height=height,
        width=width,
        dtype="uint16",
        tiled=True,
        compress="deflate",
        zlevel=1,
        sparse_ok=True,
        **placed,
    ) as dataset:
        for row, col, data in pieces:
            dataset.write(data, 1, window=Window(col, row, data.shape[1], data.shape[0]))
        if software:
            dataset.update_tags(TIFFTAG_SOFTWARE=software)
    return path


def digital_numbers(product, band, sigma0, row, col, seed):
    """A patch of sigma0 as the processor would write it: the product's gain and noise, one speckle over both."""
    calibration, noise = product.text("calibration-", band), product.text("noise-", band)
    pixels = np.arange(col, col + sigma0.shape[1], dtype=float)
    speckle = np.random.default_rng(seed).gamma(LOOKS, 1 / LOOKS, sigma0.shape)
    gains, noises = [], []
    for r in (row, row + sigma0.shape[0] - 1):
        gains.append(lut_at(calibration, "sigmaNought", "calibrationVector", r, pixels))
    for r in range(row, row + sigma0.shape[0], 50):
        noises.append(noise_at(noise, r, pixels))
    share = np.linspace(0, 1, sigma0.shape[0])[:, None]
    gain = (1 - share) * gains[0] + share * gains[1]
    power = (sigma0 * gain**2 + np.repeat(noises, 50, axis=0)[: sigma0.shape[0]]) * speckle
    return np.clip(np.round(np.sqrt(power)), 1, 65535).astype(np.uint16)


def paint(model, ships, row, col, shape_hw, sea, hull):
    """Mean sigma0 of a patch of sea with ships, without speckle."""
    out = np.full(shape_hw, sea)
    rows, cols = np.mgrid[row : row + shape_hw[0], col : col + shape_hw[1]].astype(float)
    for ship in ships:
        line, pixel = model.line_pixel(ship.lon, ship.lat, ship.east_m_s, ship.north_m_s)
        angle = np.radians(ship.angle_deg)
        near = (np.abs(rows - line) < 60) & (np.abs(cols - pixel) < 60)
        along = ((rows[near] - line) * np.cos(angle) + (cols[near] - pixel) * np.sin(angle)) * 10.0
        across = ((cols[near] - pixel) * np.cos(angle) - (rows[near] - line) * np.sin(angle)) * 10.0
        blur_m = 9.6  # sigma of a 22.6 m resolution cell
        inside = np.clip((ship.length_m / 2 - np.abs(along)) / blur_m, -6, 0)
        beside = np.clip((ship.length_m / 12 - np.abs(across)) / blur_m, -6, 0)
        out[near] += hull * np.exp(-(inside**2 + beside**2) / 2)
    return out


ROW, COL, SIDE = 10000, 7800, 1400  # over the border of two sub-swaths of the product at sea, calm water


@dataclass
class SimulatedSea:
    """A patch of -18 dB in VV and -26 dB in VH with 25 ships, every fourth of them under way, in a product.

    Attributes:
        model: range and Doppler of the product.
        ships: all of them.
        patches: digital numbers by band, their first pixel at (ROW, COL).
        bbox: W, S, E, N inside the patch.
    """

    model: RadarModel
    ships: list[Ship]
    patches: dict[str, np.ndarray]
    bbox: tuple[float, float, float, float]

    @property
    def ships_inside(self):
        """Those in the bbox."""
        west, south, east, north = self.bbox
        return [s for s in self.ships if west < s.lon < east and south < s.lat < north]


def simulated_sea(product):
    """The same patch at every call."""
    model = RadarModel(product.text("", "vv"))
    rng = np.random.default_rng(1)
    ships = []
    for row in np.linspace(150, SIDE - 150, 5):
        for col in np.linspace(150, SIDE - 150, 5):
            lon, lat = model.lonlat(ROW + row + rng.uniform(-40, 40), COL + col + rng.uniform(-40, 40))
            moving = len(ships) % 4 == 0
            east, north = rng.uniform(-9, 9, 2) if moving else (0.0, 0.0)
            ships.append(Ship(lon, lat, float(rng.uniform(70, 250)), float(rng.uniform(0, 180)), east, north))
    patches = {}
    for k, (band, water, hull) in enumerate((("vv", 10**-1.8, 3.0), ("vh", 10**-2.6, 0.3))):
        clean = paint(model, ships, ROW, COL, (SIDE, SIDE), water, hull)
        patches[band] = digital_numbers(product, band, clean, ROW, COL, seed=k)
    corners = np.array([model.lonlat(ROW + r, COL + c) for r in (40, SIDE - 40) for c in (40, SIDE - 40)])
    (west, east), (south, north) = (np.sort(corners[:, k])[1:3] for k in (0, 1))
    return SimulatedSea(model, ships, patches, (west, south, east, north))
