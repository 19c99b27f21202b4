"""The main path and what it writes, on a short simulated season."""

import json
import re
from datetime import UTC, datetime

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from affine import Affine
from pyproj import Transformer

from imagery.aoi import AreaOfInterest
from imagery.errors import FetchError, SourceError
from imagery.fetchers.folder import FolderSource
from imagery.geometry import Grid
from imagery.surface import map_surface
from offing.ais.reader import read_ais
from offing.areas import AreaConfig, Period, load_area
from offing.persistence import fixed_places
from offing.report import render_report
from offing.results import write_geojson, write_run
from offing.score import ScoreSettings, score
from offing.status import DETECTION_STATUS_MEANING, DetectionStatus
from offing.water import Look, tile_grid, tile_table
from tests.support import UTM, scene_of_array, write_tif

PERIOD = Period(start=datetime(2019, 5, 11, tzinfo=UTC), end=datetime(2019, 5, 14, tzinfo=UTC))


@pytest.fixture(scope="module")
def scored():
    config = load_area("haeju")
    return score(ScoreSettings(config=config, period=PERIOD, source="simulated:11", ais=None))


def test_without_ais_nothing_is_dark(scored):
    assert len(scored.scenes) == 3
    assert set(scored.findings["status"]) <= {"not_searched", "fixed_structure"}
    assert any("not_searched" in note for note in scored.notes)


def test_workers_do_not_matter(scored):
    one = score(ScoreSettings(config=scored.settings.config, period=PERIOD, source="simulated:11", ais=None, workers=1))
    pd.testing.assert_frame_equal(one.findings, scored.findings)
    for a, b in zip(one.scenes, scored.scenes, strict=True):
        pd.testing.assert_frame_equal(a.tiles, b.tiles)
        assert a.picture.jpeg == b.picture.jpeg


def test_tiles_cover_the_area_once_and_count_its_findings(scored):
    area = scored.settings.config.area
    for scene in scored.scenes:
        assert scene.tiles["area_km2"].sum() == pytest.approx(area.area_km2, rel=0.01)
        assert (scene.tiles["observed_km2"] <= scene.tiles["water_km2"] + 1e-9).all()
        ships = scene.findings["status"] != "fixed_structure"
        assert scene.tiles["vessels"].sum() == ships.sum()
        assert set(scene.tiles["state"]) <= {"observed", "not_observed"}
        told = scene.tiles.loc[scene.tiles["observed_fraction"] < 0.97, "reason"]
        assert (told != "").all()


def test_a_run_is_written_whole_and_reads_back(scored, tmp_path):
    report = write_run(scored, tmp_path / "run")
    assert report.is_file()
    table = gpd.read_parquet(tmp_path / "run" / "detections.parquet")
    assert len(table) == len(scored.findings)
    assert table.crs.to_epsg() == 4326
    geojson = gpd.read_file(tmp_path / "run" / "detections.geojson")
    assert geojson["id"].tolist() == table["id"].tolist()
    np.testing.assert_allclose(geojson.geometry.x, table["lon"], atol=1e-9)
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["source"] == "simulated"
    assert sum(facts["counts"].values()) == len(table)
    tiles = gpd.read_parquet(tmp_path / "run" / "tiles.parquet")
    assert len(tiles) == sum(len(s.tiles) for s in scored.scenes)
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    write_run(scored, tmp_path / "again")
    for name in ("detections.geojson", "detections.parquet", "tiles.parquet", "report.html", "run.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "run" / name).read_bytes(), name


def test_the_report_stands_alone(scored):
    page = render_report(scored)
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:|#)""", page)
    assert not re.findall(r"url\(|@import|fetch\(|XMLHttpRequest|https?://", page)
    assert "Simulated." in page
    assert page.count('<tr id="f') == len(scored.findings)
    for meaning in DETECTION_STATUS_MEANING.values():
        assert meaning.split(".")[0].replace("'", "&#39;") in page


def test_the_report_escapes_what_others_wrote(scored):
    evil = scored.findings.copy()
    evil["ais_name"] = "<script>alert(1)</script>"
    evil["mmsi"] = 1
    evil["ais_distance_m"] = 5.0
    from dataclasses import replace

    page = render_report(replace(scored, findings=evil))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_an_empty_result_is_still_a_report(scored):
    from dataclasses import replace

    none = scored.findings.iloc[:0]
    scenes = tuple(replace(s, findings=none) for s in scored.scenes)
    page = render_report(replace(scored, findings=none, scenes=scenes))
    assert "Nothing was found on the water that was observed" in page


def test_geojson_has_no_numbers_that_are_not_json(tmp_path):
    table = gpd.GeoDataFrame(
        {"time": pd.to_datetime([None, "2019-05-01"]).tz_localize("UTC"), "a": [np.inf, 1.0], "b": [np.nan, 2.0]},
        geometry=gpd.points_from_xy([1, 2], [3, 4]),
        crs="EPSG:4326",
    )
    write_geojson(table, tmp_path / "x.geojson")

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    loaded = json.loads((tmp_path / "x.geojson").read_text(), parse_constant=refuse)
    assert loaded["features"][0]["properties"] == {"time": None, "a": None, "b": None}


def test_no_scene_is_an_error_not_an_empty_sea():
    config = load_area("haeju")
    period = Period(start=datetime(2019, 5, 9, tzinfo=UTC), end=datetime(2019, 5, 10, tzinfo=UTC))
    with pytest.raises(SourceError, match="no scene of 'haeju' from 2019-05-09 to 2019-05-09"):
        score(ScoreSettings(config=config, period=period, source="simulated:1", ais=None))


def two_tiles_of_one_pass(tmp_path, ships):
    """Two overlapping images of one second, in two UTM zones as Sentinel-2's tiles are; ships at (lon, lat)."""
    for name, epsg, west in (("west", 32651, 125.80), ("east", 32652, 125.90)):
        x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(west, 37.80)
        transform = Affine(10, 0, round(x, -1), 0, -10, round(y, -1))
        data = np.random.default_rng(epsg).gamma(4.4, 0.002 / 4.4, (900, 1800)).astype(np.float32)
        rows, cols = Grid.from_crs(f"EPSG:{epsg}", transform, data.shape).rowcol(*np.transpose(ships))
        for row, col in zip(np.round(rows).astype(int), np.round(cols).astype(int), strict=True):
            if 0 < row < 890 and 0 < col < 1780:
                data[row : row + 3, col : col + 12] = 1.0
        tags = {"UNIT": "sigma0", "ACQUIRED": f"2019-05-12T09:38:{0 if name == 'west' else 4:02d}Z"}
        write_tif(
            tmp_path / f"{name}.tif", data, descriptions=["VV"], tags=tags, crs=f"EPSG:{epsg}", transform=transform
        )
    return AreaConfig(area=AreaOfInterest.from_bbox("border", 125.82, 37.735, 126.08, 37.79))


def test_a_ship_in_two_images_of_one_pass_is_one_ship(tmp_path, monkeypatch):
    monkeypatch.setattr("offing.score.open_land", lambda config, source: None)
    ships = [(125.85, 37.76), (125.95, 37.77), (125.98, 37.75), (126.05, 37.76)]  # alone, twice, twice, alone
    config = two_tiles_of_one_pass(tmp_path, ships)
    reports = pd.DataFrame(
        {
            "MMSI": np.repeat([440000001, 440000002], 5),
            "BaseDateTime": [f"2019-05-12T09:{m}:00" for m in (30, 34, 38, 42, 46)] * 2,
            "LAT": np.repeat([37.77, 37.755], 5),  # at the second ship; and where the images show only water
            "LON": np.repeat([125.9507, 125.96], 5),
            "SOG": 0.0,
            "COG": 0.0,
            "Heading": 511,
            "VesselName": "A",
            "IMO": "",
            "CallSign": "",
            "VesselType": 70,
            "Status": 1,
            "Length": 120,
            "Width": 20,
            "Draft": 5,
            "Cargo": 70,
            "TransceiverClass": "A",
        }
    )
    reports.to_csv(tmp_path / "ais.csv", index=False)
    scored = score(
        ScoreSettings(
            config=config, period=None, source=f"folder:{tmp_path}", ais=read_ais([tmp_path / "ais.csv"]), workers=1
        )
    )
    assert len(scored.scenes) == 2
    places = sorted(zip(scored.findings["lon"].round(2), scored.findings["lat"].round(2), strict=True))
    assert places == ships
    told = pd.concat([s.ais_vessels for s in scored.scenes])
    assert (told.loc[told["mmsi"] == 440000001, "state"] != "unseen").all()
    assert (told.loc[told["mmsi"] == 440000002, "state"] == "unseen").sum() == 1
    first, second = (s.tiles.set_index("tile_id") for s in scored.scenes)
    water = first["area_km2"].sum()
    assert first["observed_km2"].sum() + second["observed_km2"].sum() <= water * 1.001
    assert "counted in another scene of the same pass" in set(second["reason"])


def sea_image(path, *, epsg, west, north, shape_hw, ships=(), keep_cols=None, time="2019-05-12T09:38:00Z", seed=0):
    """Speckle on a UTM grid with 120 m hulls at (lon, lat); columns from keep_cols on hold nothing."""
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(west, north)
    transform = Affine(10, 0, round(x, -1), 0, -10, round(y, -1))
    data = np.random.default_rng(seed).gamma(4.4, 0.002 / 4.4, shape_hw).astype(np.float32)
    if ships:
        rows, cols = Grid.from_crs(f"EPSG:{epsg}", transform, shape_hw).rowcol(*np.transpose(ships))
        for row, col in zip(np.round(rows).astype(int), np.round(cols).astype(int), strict=True):
            data[row : row + 3, col : col + 12] = 1.0
    if keep_cols is not None:
        data[:, keep_cols:] = np.nan
    tags = {"UNIT": "sigma0", "ACQUIRED": time}
    return write_tif(path, data, descriptions=["VV"], tags=tags, crs=f"EPSG:{epsg}", transform=transform)


def found_in(folder, area, **settings):
    config = AreaConfig(area=area)
    return score(ScoreSettings(config=config, period=None, source=f"folder:{folder}", ais=None, **settings))


def test_an_image_that_shows_no_water_takes_none_from_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr("offing.score.open_land", lambda config, source: None)
    here = {"epsg": 32651, "west": 125.81, "north": 37.80}
    sea_image(tmp_path / "a.tif", shape_hw=(900, 1500), ships=[(125.86, 37.76)], keep_cols=12, **here)
    later = {**here, "time": "2019-05-12T09:38:20Z", "seed": 1}
    ships = [(125.811, 37.765), (125.90, 37.77)]
    sea_image(tmp_path / "b.tif", shape_hw=(900, 1500), ships=ships, **later)
    area = AreaOfInterest.from_bbox("x", 125.81, 37.74, 125.94, 37.79)
    scored = found_in(tmp_path, area)
    assert any(note.startswith("not observed") for note in scored.scenes[0].notes)
    assert sorted(zip(scored.findings["lon"].round(2), scored.findings["lat"].round(3), strict=True)) == [
        (125.81, 37.765),
        (125.90, 37.77),
    ]
    assert not scored.scenes[1].tiles["reason"].str.contains("another scene").any()


def test_a_hull_cut_by_the_edge_between_two_images_is_one_ship(tmp_path, monkeypatch):
    """Abutting slices, an optical image between them in time, and a hull across the edge."""
    monkeypatch.setattr("offing.score.open_land", lambda config, source: None)
    rng = np.random.default_rng(0)
    whole = rng.gamma(4.4, 0.002 / 4.4, (1200, 1400)).astype(np.float32)
    whole[590:612, 700:703] = 1.0  # a hull of 220 m along the flight, across row 600
    whole[300:303, 200:212] = 1.0
    lattice = Affine(10, 0, 384000, 0, -10, 4190400)
    slices = ((0, 600, "2019-05-12T09:38:00Z"), (600, 1200, "2019-05-12T09:38:25Z"))
    for number, (first, end, time) in enumerate(slices):
        write_tif(
            tmp_path / f"slice{number}.tif",
            whole[first:end],
            descriptions=["VV"],
            tags={"UNIT": "sigma0", "ACQUIRED": time},
            transform=lattice @ Affine.translation(0, first),
        )
    light = np.full((5, 1200, 1400), 0.02, np.float32)
    tags = {"UNIT": "reflectance", "ACQUIRED": "2019-05-12T09:38:10Z"}
    write_tif(
        tmp_path / "light.tif",
        light,
        descriptions=("B02", "B03", "B04", "B08", "B11"),
        tags=tags,
        transform=lattice,
    )
    corners = Grid.from_crs("EPSG:32651", lattice, whole.shape).lonlat([1100, 100], [100, 1300])
    area = AreaOfInterest.from_bbox("x", corners[0][0], corners[1][0], corners[0][1], corners[1][1])
    scored = found_in(tmp_path, area)
    radar = scored.findings[scored.findings["sensor"] == "sentinel-1-iw-grd"]
    assert len(scored.scenes) == 3
    assert len(radar) == 2
    assert any("seam" in note for note in scored.scenes[-1].notes)
    seen = sum(s.tiles["observed_km2"].sum() for s in scored.scenes if s.scene.sensor.kind == "sar")
    assert seen <= area.area_km2 * 1.001


def test_the_antimeridian_changes_nothing(tmp_path, monkeypatch):
    """Fiji across 180 degrees, and its copy ten zones to the west: the same tiles, counts and water."""
    monkeypatch.setattr("offing.score.open_land", lambda config, source: None)
    results = []
    for name, zone, middle in (("fiji", 32701, 180.0), ("copy", 32751, 120.0)):
        folder = tmp_path / name
        folder.mkdir()
        ships = [((middle + d + 180) % 360 - 180, -17.02) for d in (-0.05, -0.003, 0.003, 0.03)]
        west = (middle - 0.12 + 180) % 360 - 180
        sea_image(folder / "vv.tif", epsg=zone, west=west, north=-16.95, shape_hw=(1600, 2500), ships=ships)
        area = AreaOfInterest.from_bbox(
            name, (middle - 0.08 + 180) % 360 - 180, -17.08, (middle + 0.08 + 180) % 360 - 180, -16.97
        )
        scored = found_in(folder, area)
        results.append((scored, scored.scenes[0].tiles))
    (fiji, tiles), (copy, tiles_of_copy) = results
    assert len(fiji.findings) == len(copy.findings) == 4
    assert tiles["vessels"].sum() == 4
    for name in ("area_km2", "observed_km2", "vessels", "state"):
        assert tiles[name].tolist() == tiles_of_copy[name].tolist(), name
    for square in tiles.geometry:
        assert square.bounds[2] - square.bounds[0] < 0.1 or square.geom_type == "MultiPolygon"


def test_what_could_not_be_had_is_not_observed(tmp_path, monkeypatch):
    monkeypatch.setattr("offing.score.open_land", lambda config, source: None)
    config = two_tiles_of_one_pass(tmp_path, [(125.85, 37.76)])
    settings = ScoreSettings(config=config, period=None, source=f"folder:{tmp_path}", ais=None)
    fetch = FolderSource.fetch

    def without_the_first(self, ref, area):
        if ref.id == "west":
            raise FetchError("the server says 404")
        return fetch(self, ref, area)

    monkeypatch.setattr(FolderSource, "fetch", without_the_first)
    scored = score(settings)
    assert not scored.is_whole
    assert [m.ref.id for m in scored.missed] == ["west"]
    assert (scored.missed[0].tiles["observed_km2"] == 0).all()
    assert set(scored.missed[0].tiles["state"]) == {"not_observed"}
    assert "404" in scored.notes[0]
    write_run(scored, tmp_path / "run")
    tiles = gpd.read_parquet(tmp_path / "run" / "tiles.parquet")
    assert set(tiles["scene_id"]) == {"west", "east"}
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["missed_scenes"][0]["why"] == "the server says 404"
    assert "404" in (tmp_path / "run" / "report.html").read_text()

    def nothing(self, ref, area):
        raise FetchError("the server says 404")

    monkeypatch.setattr(FolderSource, "fetch", nothing)
    scored = score(settings)
    assert len(scored.findings) == 0
    assert len(scored.missed) == 2
    write_run(scored, tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text()
    assert "No scene could be searched: no water was observed." in page
    assert "Nothing was found" not in page
    assert len(gpd.read_parquet(tmp_path / "run" / "detections.parquet")) == 0
    assert (gpd.read_parquet(tmp_path / "run" / "tiles.parquet")["state"] == "not_observed").all()


@pytest.mark.parametrize("kind", ["cloud only", "no data over the area", "a strip of water"])
def test_a_scene_that_shows_no_water_is_not_observed(tmp_path, monkeypatch, kind):
    monkeypatch.setattr("offing.score.open_land", lambda config, source: None)
    config = two_tiles_of_one_pass(tmp_path, [(125.85, 37.76)])
    rng = np.random.default_rng(0)
    if kind == "cloud only":
        data = (0.5 + 0.05 * rng.normal(size=(5, 900, 2600))).astype(np.float32)
        names, tags = ("B02", "B03", "B04", "B08", "B11"), {"UNIT": "reflectance"}
    else:
        data = rng.gamma(4.4, 0.002 / 4.4, (1, 900, 2600)).astype(np.float32)
        data[:, :, 10:] = np.nan  # too few pixels to judge the sea by
        names, tags = ("VV",), {"UNIT": "sigma0"}
    west = 125.85 if kind == "a strip of water" else 125.815
    x, y = Transformer.from_crs(4326, 32651, always_xy=True).transform(west, 37.80)
    transform = Affine(10, 0, round(x, -1), 0, -10, round(y, -1))
    tags = {**tags, "ACQUIRED": "2019-05-14T02:20:00Z"}
    write_tif(tmp_path / "useless.tif", data, descriptions=names, tags=tags, transform=transform)
    scored = score(ScoreSettings(config=config, period=None, source=f"folder:{tmp_path}", ais=None))
    assert len(scored.scenes) == 3
    useless = scored.scenes[-1]
    assert useless.scene.id == "useless"
    assert set(useless.tiles["state"]) == {"not_observed"}
    assert (useless.tiles["observed_km2"] == 0).all()
    assert len(useless.findings) == 0
    assert len(scored.findings) == 1  # the others go on
    if kind != "cloud only":
        assert any(note.startswith("not observed: ") for note in useless.notes)


def test_tile_shares_are_those_of_the_pixels():
    grid = Grid.from_crs("EPSG:32651", UTM, (1000, 1000))
    data = np.random.default_rng(0).gamma(4.4, 0.002, (1, 1000, 1000)).astype(np.float32)
    data[0, :, 640:] = np.nan
    scene = scene_of_array(grid, data)
    lon, lat = grid.lonlat([999.5, -0.5], [-0.5, 999.5])
    area = AreaOfInterest.from_bbox("x", lon[0], lat[0], lon[1], lat[1])
    tiles = tile_table(Look(scene=scene, surface=map_surface(scene, None)), tile_grid(area))
    assert tiles["observed_km2"].sum() == pytest.approx(0.64 * area.area_km2, rel=0.03)
    assert set(tiles["state"]) == {"observed", "not_observed"}
    # a tile that lies inside the area and the image whole: its outline is 2 km square on the UTM grid
    whole = tiles[(tiles["observed_fraction"] == 1.0) & (tiles["area_km2"] == 4.0)].to_crs(32651)
    assert len(whole) > 0
    assert whole.geometry.area.to_numpy() == pytest.approx(4e6, rel=1e-3)
    assert not shapely.overlaps(whole.geometry.iloc[0], whole.geometry.iloc[1:]).any() if len(whole) > 1 else True


def days(*numbers):
    return pd.Series(pd.to_datetime([f"2019-05-{n:02d}T09:38:00Z" for n in numbers]))


def test_what_stays_for_weeks_is_fixed_and_what_moves_is_not():
    lat_step = 30 / 111_000
    lat = np.array([37.8, 37.8 + lat_step, 37.8, 37.9])
    lon = np.full(4, 125.7)
    assert fixed_places(lon, lat, days(1, 13, 25, 25), np.full(4, 4)).tolist() == [True, True, True, False]
    # too few days, too short a time, too few of the looks
    assert not fixed_places(lon[:2], lat[:2], days(1, 25), np.full(2, 3)).any()
    assert not fixed_places(lon[:3], lat[:3], days(1, 5, 9), np.full(3, 3)).any()
    assert not fixed_places(lon[:3], lat[:3], days(1, 13, 25), np.full(3, 9)).any()


def test_status_words_are_all_defined():
    assert set(DETECTION_STATUS_MEANING) == set(DetectionStatus)


def test_an_area_of_one_tile():
    config = AreaConfig(area=AreaOfInterest.from_bbox("dot", 125.7, 37.75, 125.705, 37.755), land="osm")
    grid = tile_grid(config.area)
    assert 1 <= len(grid.names) <= 4
    assert grid.area_km2.sum() == pytest.approx(config.area.area_km2, rel=0.15)
