"""SAFE products, zipped and not: what they say, what is refused, and simulated ships through the whole of offing."""

import hashlib
import json
import re
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from pyproj import Geod

from imagery.acquisition import azimuth_shift_m
from imagery.aoi import AreaOfInterest
from imagery.errors import AnnotationError, ImageryError, RasterError
from imagery.geometry import Window, footprint, offset_m
from imagery.products.safe import open_safe, safe_info
from offing.ais.reader import read_ais
from offing.areas import AreaConfig
from offing.score import ScoreSettings, score
from tests.safe_builder import COL, ROW, SafeProduct, simulated_sea, write_measurement

SEA = "sar/safe/S1A_IW_GRDH_1SDV_20221014T205126_20221014T205155_045443_056F2D_861B.SAFE.zip"
ALPS = "sar/safe/S1B_IW_GRDH_1SDV_20210401T052623_20210401T052648_026269_032297_ECC8.SAFE.zip"
ITALY = "sar/safe/S1B_IW_GRDH_1SDV_20211223T051122_20211223T051147_030148_039993_5371.SAFE.zip"
FAR_LAND = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {},
            "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]},
        }
    ],
}
MIDDLE = datetime(2022, 10, 14, 20, 51, 26, 965862, tzinfo=UTC) + timedelta(seconds=29.003390) / 2


@pytest.fixture(scope="module")
def sea(real_data):
    return SafeProduct(real_data(SEA))


@pytest.fixture(scope="module")
def measurements(sea, tmp_path_factory):
    """Two small patches of numbers, by path inside the product."""
    folder = tmp_path_factory.mktemp("measurements")
    patch = np.random.default_rng(0).integers(50, 3000, (100, 120)).astype(np.uint16)
    return {
        sea.measurement(band): write_measurement(folder / f"{band}.tiff", sea.text("", band), [(5000, 6000, patch + k)])
        for k, band in enumerate(("vv", "vh"))
    }


def sentence(error):
    """The message of an error, which must be one line."""
    text = str(error.value)
    assert "\n" not in text
    return text


# ------------------------------------------------------------------------------------------------------------ reading


def test_a_zip_and_its_folder_are_the_same_scene(sea, measurements, tmp_path):
    zipped = sea.write_zip(tmp_path / "any name.zip", measurements)
    folder = sea.unpack(tmp_path, measurements)
    one, other = open_safe(zipped), open_safe(folder)
    there = Window(row=4990, col=5990, height=120, width=140)
    for scene in (one, other):
        assert scene.id == sea.name
        assert (scene.bands, scene.unit) == (("vv", "vh"), "sigma0")
        assert scene.time == MIDDLE
        assert scene.acquisition.source == "annotation"
        assert scene.provenance.ids == (sea.name,)
        assert scene.provenance.attribution == "Contains modified Copernicus Sentinel data 2022"
        assert scene.read(there).valid.sum() == 2 * 100 * 120
    np.testing.assert_array_equal(one.read(there).data, other.read(there).data)
    np.testing.assert_array_equal(one.geometry.lonlat(100, 200), other.geometry.lonlat(100, 200))
    assert one.provenance.sha256 == (hashlib.sha256(zipped.read_bytes()).hexdigest(),)
    manifest = (folder / "manifest.safe").read_bytes()
    assert other.provenance.sha256 == (hashlib.sha256(manifest).hexdigest(),)
    assert any("manifest" in note for note in other.provenance.notes)


def test_the_manifest_alone_tells_time_and_outline(sea, measurements, tmp_path):
    path = sea.write_zip(tmp_path / "x.zip", measurements)
    with_text = tmp_path / "text.tiff"
    with_text.write_text("no raster")
    info = safe_info(sea.write_zip(tmp_path / "y.zip", dict.fromkeys(measurements, with_text)))
    assert (info.name, info.sensor_name, info.time) == (sea.name, "sentinel-1-iw-grd", MIDDLE)
    scene = open_safe(path)
    outline = footprint(scene.geometry)
    assert info.time == scene.time
    assert outline.intersection(info.footprint).area > 0.99 * outline.union(info.footprint).area


def test_real_products_with_parts_missing_are_read_and_say_so(real_data):
    alps, italy = open_safe(real_data(ALPS)), open_safe(real_data(ITALY))
    assert (alps.bands, alps.unit) == (("vv",), "amplitude")
    assert (alps.read(Window(row=8000, col=8000, height=5, width=5)).data == 1).all()
    assert any("no vh" in note for note in alps.provenance.notes)
    assert any("lacks annotation/calibration/calibration-" in note for note in alps.provenance.notes)
    assert (italy.bands, italy.unit) == (("vv",), "sigma0")
    assert not italy.read(Window(row=8000, col=8000, height=5, width=5)).valid.any()


def test_a_footprint_over_the_antimeridian_is_split(sea, measurements, tmp_path):
    manifest = f"{sea.folder}/manifest.safe"
    corners = "6.5,-179.5 7.0,178.3 8.7,178.7 8.3,-179.1"
    moved = re.sub(rb"(coordinates>)[^<]+", rb"\g<1>" + corners.encode(), sea.members[manifest])
    changed = SafeProduct(sea.path)
    changed.members[manifest] = moved
    outline = safe_info(changed.write_zip(tmp_path / "x.zip", measurements)).footprint
    assert len(outline.geoms) == 2
    west, _, east, _ = outline.bounds
    assert (west, east) == (-180.0, 180.0)
    assert outline.area == pytest.approx(2.2 * 1.75, rel=0.15)


# ----------------------------------------------------------------------------------------------------------- refusals


def test_products_without_pixels_are_refused(sea, real_data, tmp_path):
    for path in (real_data(SEA), sea.unpack(tmp_path)):
        with pytest.raises(RasterError, match=r"holds no pixels: it lacks measurement/s1a-iw-grd-vv-.*\.tiff") as error:
            open_safe(path)
        sentence(error)
        with pytest.raises(RasterError, match="holds no pixels"):
            safe_info(path)


def test_a_measurement_of_the_wrong_size_is_refused(sea, tmp_path):
    small = write_measurement(tmp_path / "vv.tiff", sea.text("", "vv"), shape_hw=(500, 600))
    with pytest.raises(RasterError, match="500 x 600 pixels, its annotation says 19488 x 25117") as error:
        open_safe(sea.write_zip(tmp_path / "x.zip", {sea.measurement("vv"): small}))
    sentence(error)


@pytest.mark.parametrize(
    ("member", "change", "says"),
    [
        ("manifest.safe", lambda t: b"<!DOCTYPE a [<!ENTITY b 'c'>]>" + t[t.index(b"<xfdu") :], "DTD"),
        ("manifest.safe", lambda t: t[:3000], "not well-formed"),
        ("manifest.safe", lambda t: t.replace(b"./measurement/", b"../../measurement/"), "outside the product"),
        ("manifest.safe", lambda t: t.replace(b"./measurement/", b"/vsicurl/http://x/"), "outside the product"),
        ("manifest.safe", lambda t: t.replace(b"startTime>2022", b"startTime>yes"), "no startTime"),
        ("manifest.safe", lambda t: t.replace(b"6.552611,134", b"96.552611,134"), "no outline on the Earth"),
        ("manifest.safe", lambda t: t.replace(b"gml:coordinates", b"gml:other"), "no footprint"),
        ("manifest.safe", lambda t: t + b" " * (64 * 2**20), "larger than 64 MB"),
        ("-001.xml", lambda t: b"<!DOCTYPE a [<!ENTITY b 'c'>]>" + t[t.index(b"<p") :], "DTD"),
    ],
)
def test_hostile_and_damaged_members_are_refused(member, change, says, sea, measurements, tmp_path):
    changed = SafeProduct(sea.path)
    name = next(n for n in changed.members if n.endswith(f"/{member}") or (n.count("/") == 2 and n.endswith(member)))
    changed.members[name] = change(changed.members[name])
    with pytest.raises((AnnotationError, RasterError), match=says) as error:
        open_safe(changed.write_zip(tmp_path / "x.zip", measurements))
    sentence(error)


def test_zips_that_are_no_products_are_refused(sea, measurements, tmp_path):
    whole = sea.write_zip(tmp_path / "whole.zip", measurements)
    content = whole.read_bytes()
    (tmp_path / "half.zip").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.zip").write_text("no zip")
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as archive:
        archive.writestr("a/b.txt", "x")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for name in ("S1A_IW_GRDH_1SDV_X.SAFE", "S1A_IW_GRDH_1SDV_Y.SAFE"):
            archive.writestr(f"{name}/manifest.safe", "<x/>")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("holiday.SAFE/manifest.safe", "<x/>")
    with zipfile.ZipFile(tmp_path / "slc.zip", "w") as archive:
        archive.writestr("S1A_IW_SLC__1SDV_20221014T205126.SAFE/manifest.safe", "<x/>")
    (tmp_path / "empty.SAFE").mkdir()
    for name, says in {
        "half.zip": "not a whole zip",
        "text.zip": "not a whole zip",
        "none.zip": "holds no such product",
        "two.zip": "holds 2 products",
        "other.zip": "no name of a Sentinel-1 or Sentinel-2 product",
        "slc.zip": "only IW ground-range products",
        "empty.SAFE": "holds no such product",
        "absent.zip": "does not exist",
    }.items():
        for opener in (open_safe, safe_info):
            with pytest.raises(RasterError, match=says) as error:
                opener(tmp_path / name)
            assert name in sentence(error)


def test_a_damaged_byte_in_a_zip_is_an_error(sea, measurements, tmp_path):
    path = sea.write_zip(tmp_path / "x.zip", measurements)
    with zipfile.ZipFile(path) as archive:
        entry = next(e for e in archive.infolist() if "/calibration-" in e.filename)
    content = bytearray(path.read_bytes())
    content[entry.header_offset + 1000 : entry.header_offset + 1010] = b"0123456789"
    path.write_bytes(bytes(content))
    with pytest.raises(ImageryError, match="cannot be read") as error:
        open_safe(path)
    sentence(error)


def test_the_commands_refuse_in_a_sentence_and_with_exit_code_2(sea, real_data, tmp_path):
    folder = tmp_path / "season"
    folder.mkdir()
    area = tmp_path / "area.toml"
    land = tmp_path / "land.geojson"
    land.write_text(json.dumps(FAR_LAND))
    area.write_text(f'name = "patch"\nbbox = [133.5, 7.0, 133.7, 7.2]\nland = "{land}"\n')
    (folder / "half.zip").write_bytes(real_data(SEA).read_bytes()[:100_000])
    broken = _offing("score", str(area), "--source", f"folder:{folder}", "--out", str(tmp_path / "run"))
    (folder / "half.zip").unlink()
    (folder / real_data(SEA).name).symlink_to(real_data(SEA))
    empty = _offing("score", str(area), "--source", f"folder:{folder}", "--out", str(tmp_path / "run"))
    for done, says in ((broken, "not a whole zip"), (empty, "holds no pixels")):
        assert done.returncode == 2, done.stderr
        assert says in done.stderr
        assert "Traceback" not in done.stderr


def _offing(*arguments):
    return subprocess.run(
        [sys.executable, "-c", "from offing.cli import app; app()", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# ------------------------------------------------------------------------------------------ simulated ships, end to end


@pytest.fixture(scope="module")
def season(sea, tmp_path_factory):
    """A folder with the zipped product, an area inside the simulated patch, its ships, and AIS of one that moves."""
    folder = tmp_path_factory.mktemp("season")
    simulated = simulated_sea(sea)
    files = {}
    for band, patch in simulated.patches.items():
        path = write_measurement(folder / f"{band}.tiff", sea.text("", band), [(ROW, COL, patch)])
        files[sea.measurement(band)] = path
    sea.write_zip(folder / f"{sea.folder}.zip", files)
    for path in files.values():
        path.unlink()
    land = folder / "land.geojson"
    land.write_text(json.dumps(FAR_LAND))
    area = AreaOfInterest.from_bbox("patch", *simulated.bbox)
    ships, model = simulated.ships_inside, simulated.model
    mover = max(ships, key=lambda s: abs(s.east_m_s))
    seen = model.start + np.timedelta64(int(model.zero_doppler(mover.lon, mover.lat)[0] * 1e6), "us")
    ais = folder / "ais.csv"
    ais.write_text("\n".join(_track(mover, seen.item().replace(tzinfo=UTC))))
    config = AreaConfig(area=area, land=str(land))
    return folder, config, ships, mover, ais


def _track(ship, time):
    """MarineCadastre rows of a ship that has its place at a time, every 30 s for 10 minutes to either side."""
    speed = np.hypot(ship.east_m_s, ship.north_m_s)
    course = np.degrees(np.arctan2(ship.east_m_s, ship.north_m_s)) % 360
    yield "MMSI,BaseDateTime,LAT,LON,SOG,COG,Heading,VesselName,VesselType,Length,Width,TransceiverClass"
    for step in range(-20, 21):
        # whole seconds in the file: the place is that of the second written
        at = (time + timedelta(seconds=30 * step)).replace(microsecond=0)
        lon, lat, _ = Geod(ellps="WGS84").fwd(ship.lon, ship.lat, course, speed * (at - time).total_seconds())
        yield (
            f"366123450,{at:%Y-%m-%dT%H:%M:%S},{lat:.6f},{lon:.6f},{speed / 0.514444:.1f},{course:.1f},"
            f"{course:.0f},MOVER,70,{ship.length_m:.0f},30,A"
        )


@pytest.fixture(scope="module")
def scored(season):
    folder, config, _, _, ais = season
    return score(ScoreSettings(config=config, period=None, source=f"folder:{folder}", ais=read_ais(ais)))


def test_simulated_ships_are_found_within_20_m_of_truth(season, scored):
    _, _, ships, _, _ = season
    assert len(ships) >= 10
    scene, found = scored.scenes[0].scene, scored.findings
    assert any("annotation" in note for note in scored.scenes[0].notes)
    lon, lat = found["lon"].to_numpy(), found["lat"].to_numpy()
    for ship in ships:
        where = scene.geometry.rowcol(ship.lon, ship.lat)
        shift = azimuth_shift_m(scene.acquisition.at(*where), ship.east_m_s, ship.north_m_s)
        apart = np.array(offset_m(ship.lon, ship.lat, lon, lat)) - np.reshape(shift, (2, 1))
        assert np.hypot(*apart).min() < 20.0
    assert len(found) == len(ships)  # and nothing else
    assert any(ship.east_m_s for ship in ships)


def test_ais_of_a_moving_ship_finds_it_where_the_radar_shows_it(season, scored):
    _, _, _, mover, _ = season
    matched = scored.findings[scored.findings["status"] == "matched"]
    assert matched["mmsi"].tolist() == [366123450]
    shown = matched.iloc[0]
    east, north = offset_m(mover.lon, mover.lat, shown["lon"], shown["lat"])
    assert np.hypot(east, north) > 50.0  # it is not where it is
    assert shown["azimuth_shift_m"] == pytest.approx(np.hypot(east, north), abs=20.0)
    assert (scored.findings["status"] == "matched").sum() == 1
