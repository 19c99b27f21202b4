import json
import logging
import re
import shutil
import traceback
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from shapely.geometry import Polygon, box, mapping

from imagery.acquisition import StatedAcquisition
from imagery.aoi import AreaOfInterest
from imagery.credentials import Secret
from imagery.errors import CredentialsError, FetchError, SourceError
from imagery.fetchers.cache import CachedFetcher
from imagery.fetchers.cache.store import TileStore
from imagery.fetchers.retry import RetryPolicy
from imagery.fetchers.signing import SasTokens
from imagery.fetchers.stac import StacSource
from imagery.fetchers.stac.items import orbit_model, read_item
from imagery.geometry import GcpGrid, Grid, Window
from imagery.orbit_model import OrbitModel
from imagery.products.sentinel1 import GrdPolarisation, grd_scene
from imagery.products.sentinel2_safe import open_sentinel2_safe
from imagery.scene import MemoryReader, Pixels, Provenance
from imagery.simulate import SimulatedSource
from tests.fetcher_contract import check_fetcher, check_scene
from tests.safe_builder import SafeProduct, write_measurement
from tests.sentinel2_builder import Safe
from tests.servers.process import HOST, free_port
from tests.servers.scripted import scripted
from tests.stac_builder import (
    NOON,
    UTM51,
    bare_item,
    collection,
    export_scene,
    item_of_files,
    multi,
    passes,
    write_cog,
)

pytest_plugins = ["tests.servers.nginx", "tests.servers.stac", "tests.servers.s3"]
pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

QUICK = RetryPolicy(attempts=2, first_wait_s=0.02, timeout_s=(2.0, 5.0))
DAY = timedelta(days=1)
HERE = box(121.6, 37.2, 122.4, 37.8)
AREA = AreaOfInterest(name="here", polygon=multi((121.7, 37.3, 122.0, 37.6)))
ELSEWHERE = AreaOfInterest(name="elsewhere", polygon=multi((10.0, 50.0, 11.0, 51.0)))

# Areas that cross the antimeridian, and where the same lies half a turn away.
BERING = AreaOfInterest.from_bbox("Bering Strait", 177.0, 63.0, -171.0, 67.0)
FIJI = AreaOfInterest.from_bbox("Fiji", 176.5, -20.0, -178.0, -15.0)


def half_a_turn(area):
    """The same area around the Greenwich meridian."""
    moved = [shapely.transform(p, lambda xy: xy - [[180.0, 0.0]] * np.sign(xy[:, :1])) for p in area.polygon.geoms]
    return AreaOfInterest(name="shifted", polygon=shapely.MultiPolygon(moved))


def around_180():
    """Scenes along both areas, as catalogues write them, and the same half a turn away."""
    items = []
    for area, name in ((BERING, "BERING"), (FIJI, "FIJI")):
        west, south, east, north = area.unwrapped.bounds
        for i, left in enumerate(np.arange(west - 4.0, east + 4.0, 1.7)):
            right, time = left + 2.5, NOON + timedelta(hours=i)
            plain = box(left - 180, south + 1, right - 180, north - 1)
            if right <= 180:
                shape = box(left, south + 1, right, north - 1)
            elif left >= 180:
                shape = box(left - 360, south + 1, right - 360, north - 1)
            elif i % 2:  # split, as RFC 7946 wants it
                shape = multi((left, south + 1, 180, north - 1), (-180, south + 1, right - 360, north - 1))
            else:  # a ring that jumps from 179 to -179, as many catalogues have it
                corners = [(left, south + 1), (right - 360, south + 1), (right - 360, north - 1), (left, north - 1)]
                shape = Polygon(corners)
            items.append(bare_item(f"{name}-{i:02d}", shape, time))
            items.append(bare_item(f"{name}-SHIFTED-{i:02d}", plain, time))
    return items


SEARCHED = [
    *passes(HERE, count=4),
    bare_item("EW", HERE, NOON, sar__instrument_mode="EW", sar__product_type="GRD"),
    bare_item("SLC", HERE, NOON, sar__product_type="SLC"),
    bare_item("UNSTATED", HERE, NOON + timedelta(hours=5), sar__instrument_mode=None, sar__product_type=None),
    bare_item(
        "INTERVAL",
        HERE,
        None,
        start_datetime="2023-06-11T09:00:00Z",
        end_datetime="2023-06-11T09:00:25Z",
    ),
    bare_item(
        "START",  # as Copernicus Data Space has it: datetime is the start
        HERE,
        datetime(2023, 6, 11, 10, 59, 50, tzinfo=UTC),
        start_datetime="2023-06-11T10:59:50Z",
        end_datetime="2023-06-11T11:00:15Z",
    ),
    bare_item("B-SAME", HERE, NOON + timedelta(hours=3)),
    bare_item("A-SAME", HERE, NOON + timedelta(hours=3)),
    bare_item("BESIDE", box(122.5, 37.2, 123.4, 37.8), NOON),
    bare_item("NOASSET", HERE, NOON, assets={"thumbnail": {"href": "https://far.example/t.png"}}),
    bare_item(
        "S2A_MSIL2A_20230611T023531_N0509_R089_T51SUC_20230611T080000",
        HERE,
        datetime(2023, 6, 11, 2, 50, 31, tzinfo=UTC),
        collection="sentinel-2-l2a",
    ),
    *(bare_item(f"MANY-{i:03d}", box(140, 30, 141, 31), NOON + timedelta(minutes=i)) for i in range(137)),
    *around_180(),
]
COLLECTIONS = [collection(name) for name in ("sentinel-1-grd", "sentinel-2-l2a", "cop-dem-glo-30")]


@pytest.fixture(scope="module", params=["rustac", "pgstac"])
def api(request):
    return request.getfixturevalue(request.param)(SEARCHED, COLLECTIONS)


def source(url, **options):
    return StacSource(url=url, **{"policy": QUICK, **options})


def ids(found):
    return [ref.id for ref in found]


# ------------------------------------------------------------------------------------------------------- search


def test_scenes_are_found_in_order_once_and_by_their_own_time(api):
    stac = source(api)
    found = stac.search(AREA, NOON - DAY, NOON + 3 * DAY)
    assert ids(found) == [
        "S2A_MSIL2A_20230611T023531_N0509_R089_T51SUC_20230611T080000",
        "PASS-000",
        "A-SAME",
        "B-SAME",
        "INTERVAL",
        "UNSTATED",
        "START",
        "PASS-001",
        "PASS-002",
        "PASS-003",
    ]
    times = {ref.id: ref.time for ref in found}
    assert times["INTERVAL"] == datetime(2023, 6, 11, 9, 0, 12, 500000, tzinfo=UTC)
    assert times["START"] == datetime(2023, 6, 11, 11, 0, 2, 500000, tzinfo=UTC)
    assert len(stac.skipped) == 1
    assert re.fullmatch(r"sentinel-1-grd/NOASSET has no asset vv, vh, hh or hv; it has thumbnail", stac.skipped[0])


def test_passes_of_one_day_are_scenes_of_their_own_half_a_day_apart(api):
    found = [ref for ref in source(api).search(AREA, NOON, NOON + DAY) if ref.id.startswith("PASS")]
    assert ids(found) == ["PASS-000", "PASS-001"]
    assert found[1].time - found[0].time == timedelta(hours=12)


def test_the_interval_is_half_open_at_a_scene_s_own_time(api):
    stac = source(api, collections=("sentinel-1-grd",))
    middle = datetime(2023, 6, 11, 11, 0, 2, 500000, tzinfo=UTC)
    assert ids(stac.search(AREA, middle, middle + timedelta(microseconds=1))) == ["START"]
    assert stac.search(AREA, middle - timedelta(seconds=10), middle) == []
    assert stac.search(AREA, middle, middle) == []
    assert stac.search(AREA, NOON + DAY, NOON) == []


def test_the_same_condition_holds_on_the_server_and_here(api, request):
    stac = source(api, collections=("sentinel-1-grd",))
    assert not {"EW", "SLC"} & set(ids(stac.search(AREA, NOON - DAY, NOON + DAY)))
    assert stac._api.filters is ("pgstac" in request.node.callspec.id)


def test_every_page_is_read(api):
    area = AreaOfInterest(name="many", polygon=multi((140.2, 30.2, 140.4, 30.4)))
    found = source(api, page_items=10).search(area, NOON - DAY, NOON + DAY)
    assert ids(found) == [f"MANY-{i:03d}" for i in range(137)]


@pytest.mark.parametrize("area", [BERING, FIJI], ids=lambda area: area.name)
def test_an_area_across_the_antimeridian_equals_its_copy_half_a_turn_away(api, area):
    stac = source(api)
    name = area.name.split()[0].upper()
    found = stac.search(area, NOON - DAY, NOON + 2 * DAY)
    copy = stac.search(half_a_turn(area), NOON - DAY, NOON + 2 * DAY)
    assert ids(found) == [ref.id.replace("-SHIFTED", "") for ref in copy]
    assert len(found) >= 3
    assert all(ref.id.startswith(name) for ref in found)
    for ref, other in zip(found, copy, strict=True):
        assert ref.footprint.area == pytest.approx(other.footprint.area)


def test_an_area_of_very_many_corners_is_searched_and_told_apart_here(api):
    ring = shapely.Point(121.2, 37.5).buffer(0.39, quad_segs=400)  # ends 0.01 degrees west of the scenes
    near = AreaOfInterest(name="near", polygon=shapely.MultiPolygon([ring]))
    hook = shapely.union(ring, shapely.Point(121.2, 38.1).buffer(0.6, quad_segs=400))
    both = AreaOfInterest(name="both", polygon=shapely.MultiPolygon([hook]))
    assert source(api).search(near, NOON - DAY, NOON + DAY) == []
    assert "PASS-000" in ids(source(api).search(both, NOON - DAY, NOON + DAY))


def test_a_collection_that_is_not_there_is_told_with_those_that_are(api):
    stac = source(api, collections=("landsat-c2-l2",))
    with pytest.raises(SourceError, match="has no collection landsat-c2-l2; it has cop-dem-glo-30, sentinel-1-grd, s"):
        stac.search(AREA, NOON, NOON + DAY)


def test_an_unknown_scene_is_refused_by_name(api):
    ref = source(api).search(AREA, NOON, NOON + DAY)[0]
    with pytest.raises(SourceError, match="has no scene no-such-scene; search it first"):
        source(api).fetch(type(ref)(**{**vars(ref), "id": "no-such-scene"}), AREA)


def test_an_api_with_neither_mission_says_what_it_has(rustac):
    with pytest.raises(SourceError, match=r"has no collection of Sentinel-1 or Sentinel-2; it has cop-dem-glo-30"):
        source(rustac([], [collection("cop-dem-glo-30")])).search(AREA, NOON, NOON + DAY)


def test_second_choices_are_taken_where_there_is_no_first(rustac):
    url = rustac([], [collection("sentinel-1-rtc"), collection("sentinel-2-l1c"), collection("other")])
    assert source(url)._wanted == ("sentinel-1-rtc", "sentinel-2-l1c")


def test_addresses_without_a_stac_api_are_refused_in_one_sentence(nginx):
    (nginx.root / "page.html").write_text("<html>hello</html>")
    (nginx.root / "catalog.json").write_text(
        json.dumps({"type": "Catalog", "stac_version": "1.0.0", "id": "c", "description": "d", "links": []})
    )
    for url, says in [
        (f"{nginx.plain}/page.html", r"does not answer as a STAC API does|is no STAC API"),
        (f"{nginx.plain}/nothing", r"refuses the request \(404"),
        (f"{nginx.plain}/catalog.json", r"is a STAC catalogue without a search"),
        (f"http://{HOST}:{free_port()}", r"gave no answer in 2 tries \(ConnectionError\)"),
    ]:
        with pytest.raises(SourceError, match=says) as caught:
            source(url).search(AREA, NOON, NOON + DAY)
        assert "\n" not in str(caught.value)
    with pytest.raises(SourceError, match="needs the address of an API"):
        source("stac.example/v1")
    with pytest.raises(SourceError, match="needs different collections"):
        source("https://stac.example/v1", collections=("a", "a"))


# --------------------------------------------------------------------------------- an API that behaves as it should not


LANDING = {
    "type": "Catalog",
    "stac_version": "1.0.0",
    "id": "c",
    "description": "d",
    "conformsTo": ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"],
}


def scripted_api(pages, *, fail=()):
    """Answers like a STAC API that gives these pages of items to every search."""
    failures = list(fail)

    def answer(method, path, headers):
        base = f"http://{headers['Host']}"
        links = [
            {"rel": "self", "href": base},
            {"rel": "root", "href": base},
            {"rel": "data", "href": f"{base}/collections"},
            {"rel": "search", "href": f"{base}/search", "method": "POST", "type": "application/geo+json"},
        ]
        if path == "/":
            return 200, {}, json.dumps({**LANDING, "links": links}).encode()
        if path.startswith("/collections"):
            return 200, {}, json.dumps({"collections": [collection("sentinel-1-grd")], "links": []}).encode()
        if failures:
            return failures.pop(0)
        page = int(path.partition("page=")[2] or 0)
        more = [{"rel": "next", "href": f"{base}/search?page={page + 1}"}] if page + 1 < len(pages) else []
        return 200, {}, json.dumps({"type": "FeatureCollection", "features": pages[page], "links": more}).encode()

    return answer


def test_what_cannot_be_used_is_skipped_with_a_sentence_and_the_rest_is_found():
    good = bare_item("GOOD", HERE)
    bad = {
        "has no geometry": {**good, "id": "A", "geometry": None},
        r"has a geometry that cannot be used": {**good, "id": "B", "geometry": {"type": "Polygon", "coordinates": []}},
        "does not say when it was taken": {**good, "id": "C", "properties": {"platform": "sentinel-1a"}},
        "has a time 'yesterday', which is none": {
            **good,
            "id": "D",
            "properties": {"platform": "sentinel-1a", "datetime": "yesterday"},
        },
        "says of no known satellite": {
            **good,
            "id": "E",
            "collection": "x",
            "properties": {"platform": "noaa-20", "datetime": "2023-06-11T04:30:00Z"},
        },
        "has no properties": {**good, "id": "F", "properties": None},
        "has no assets": {**good, "id": "G", "assets": None},
        "contradicts itself": {
            **bare_item(
                "S2A_MSIL2A_20230611T023531_N0509_R003_T51SUC_20230611T080000", HERE, collection="sentinel-2-l2a"
            ),
            "properties": {"platform": "sentinel-2a", "datetime": "2023-06-11T02:35:31Z"},
        },
    }
    with scripted(scripted_api([[*bad.values(), good]])) as server:
        stac = source(server.url)
        assert ids(stac.search(AREA, NOON - DAY, NOON + DAY)) == ["GOOD"]
    assert len(stac.skipped) == len(bad)
    for says in bad:
        assert any(re.search(says, sentence) for sentence in stac.skipped), (says, stac.skipped)


def test_an_item_that_comes_twice_is_one_scene():
    items = passes(HERE, count=3)
    with scripted(scripted_api([items[:2], items[1:], items[:1]])) as server:
        assert ids(source(server.url).search(AREA, NOON - DAY, NOON + 3 * DAY)) == ["PASS-000", "PASS-001", "PASS-002"]


def test_one_id_in_two_collections_is_one_scene_of_the_first(rustac):
    first = bare_item("ONCE", HERE)
    second = {**bare_item("ONCE", HERE, NOON + timedelta(hours=1)), "collection": "sentinel-1-more"}
    names = ("sentinel-1-grd", "sentinel-1-more")
    stac = source(rustac([first, second], [collection(name) for name in names]), collections=names)
    (ref,) = stac.search(AREA, NOON - DAY, NOON + DAY)
    assert (ref.id, ref.time) == ("ONCE", NOON)
    assert stac._item(ref).collection == "sentinel-1-grd"


def test_paging_in_a_circle_is_an_error():
    with scripted(scripted_api([passes(HERE)] * 50)) as server:
        with pytest.raises(FetchError, match="gives the same items page after page"):
            source(server.url).search(AREA, NOON - DAY, NOON + DAY)
        assert len(server.asked) < 20


@pytest.mark.parametrize("failure", [(429, {"Retry-After": "0.01"}, b""), (503, {}, b""), (500, {}, b"")])
def test_a_search_is_asked_again_after_a_passing_failure(failure):
    with scripted(scripted_api([passes(HERE)], fail=[failure])) as server:
        assert len(source(server.url).search(AREA, NOON - DAY, NOON + 3 * DAY)) == 3


def test_a_search_that_is_refused_is_an_error_not_an_empty_list():
    for failure, says in [
        ((400, {}, b'{"code": "Bad", "description": "no"}'), r"refuses the request \(400: Bad no\)"),
        ((200, {}, b"<html>"), "does not answer as a STAC API does"),
    ]:
        answers = scripted_api([passes(HERE)], fail=[failure])
        with scripted(answers) as server, pytest.raises(SourceError, match=says):
            source(server.url).search(AREA, NOON - DAY, NOON + DAY)


# ----------------------------------------------------------------------------------------------------- map grids


@pytest.fixture(scope="module")
def simulated():
    """A radar and an optical scene of a small simulated sea."""
    area = AreaOfInterest.from_bbox("sea", 125.50, 37.80, 125.56, 37.85)
    start = datetime(2019, 5, 1, tzinfo=UTC)
    season = SimulatedSource(area=area, seed=1, start=start, end=start + 14 * DAY)
    refs = season.search(area, season.start, season.end)
    scenes = {kind: next(r for r in refs if kind in r.id) for kind in ("S1", "S2")}
    return area, {kind: season.fetch(ref) for kind, ref in scenes.items()}


@pytest.fixture(scope="module", params=["rustac", "pgstac"])
def exported(request, simulated, nginx):
    """Both scenes in a catalogue: radar as float, and as amplitudes and dB in uint16; optical as uint16."""
    area, scenes = simulated
    root = nginx.root / f"exported-{request.param}"
    items = []
    for form in ("float", "amplitude", "db"):
        base = f"{nginx.plain}/{root.name}/{form}"
        item = export_scene(scenes["S1"], root / form, base, form=form, sat__orbit_state="descending")
        items.append({**item, "id": f"{item['id']}-{form}"})
    items.append(export_scene(scenes["S2"], root / "optical", f"{nginx.plain}/{root.name}/optical", form="uint16"))
    names = [collection(name) for name in ("sentinel-1-grd", "sentinel-2-l2a")]
    return source(request.getfixturevalue(request.param)(items, names)), area


def test_a_catalogue_of_simulated_scenes_holds_to_the_contract(exported):
    stac, area = exported
    refs = check_fetcher(stac, area, elsewhere=ELSEWHERE, at_least=4)
    for ref in refs[2:]:
        check_scene(stac, area, ref)
    assert stac.skipped == ()


@pytest.mark.parametrize(
    ("form", "unit", "rtol", "atol"),
    [("float", "sigma0", 0.0, 0.0), ("amplitude", "amplitude", 0.0, 5.1e-4), ("db", "sigma0_db", 0.0, 0.0051)],
)
def test_simulated_radar_comes_back_in_its_unit(exported, simulated, form, unit, rtol, atol):
    stac, area = exported
    truth = simulated[1]["S1"]
    ref = next(r for r in stac.search(area, truth.time, truth.time + DAY) if r.id.endswith(f"-{form}"))
    scene = stac.fetch(ref, area)
    assert (scene.unit, scene.bands, scene.time) == (unit, ("vv", "vh"), truth.time)
    pixels, expected = scene.read(), truth.read()
    np.testing.assert_array_equal(pixels.valid, expected.valid)
    values = {
        "sigma0": expected.data,
        "amplitude": np.sqrt(expected.data),
        "sigma0_db": 10 * np.log10(np.maximum(expected.data, 1e-5)),
    }[unit]
    np.testing.assert_allclose(pixels.data, values, rtol=rtol, atol=atol)
    seen = scene.acquisition.at(10.0, 10.0)
    assert isinstance(scene.acquisition, OrbitModel)
    assert abs(seen.time - truth.acquisition.at(10.0, 10.0).time) < np.timedelta64(15, "s")


def test_simulated_reflectance_comes_back(exported, simulated):
    stac, area = exported
    truth = simulated[1]["S2"]
    scene = stac.fetch(next(r for r in stac.search(area, truth.time, truth.time + DAY)), area)
    assert (scene.unit, scene.bands, scene.sensor.name) == ("reflectance", truth.bands, "sentinel-2-l2a")
    np.testing.assert_allclose(scene.read().data, truth.read().data, atol=5.1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")  # odc-geo's
def test_windows_equal_rasterios_and_odc_stacs(exported, simulated, nginx):
    odc_stac, pystac = pytest.importorskip("odc.stac"), pytest.importorskip("pystac")
    from odc.geo.geobox import GeoBox

    stac, area = exported
    for ref in stac.search(area, *[simulated[1]["S1"].time + s * DAY for s in (-30, 30)]):
        scene = stac.fetch(ref, area)
        json_item = stac._seen[ref.id]
        item = pystac.Item.from_dict(stac._api.item(ref.id, (json_item.collection,)))
        box_of_scene = GeoBox(scene.shape_hw, scene.geometry.transform, scene.geometry.crs_wkt)
        peer = odc_stac.load([item], bands=list(scene.bands), geobox=box_of_scene, groupby="id", fail_on_error=True)
        window = Window(row=101, col=57, height=300, width=211)
        pixels = scene.read(window)
        rows, cols = slice(101, 401), slice(57, 268)
        for index, band in enumerate(scene.bands):
            asset = next(a for k, a in json_item.assets.items() if k.lower() == band)
            path = nginx.root / asset["href"].removeprefix(f"{nginx.plain}/")
            with rasterio.open(path) as dataset:
                numbers = dataset.read(1, window=rasterio.windows.Window(57, 101, 211, 300))
            np.testing.assert_array_equal(peer[band].values[0][rows, cols], numbers)
            remote = scene.reader.bands[index]
            valid = pixels.valid[index]
            expected = numbers.astype(float) * remote.scale + remote.offset
            np.testing.assert_allclose(pixels.data[index][valid], expected[valid], rtol=1e-6)
            np.testing.assert_array_equal(
                valid, np.isfinite(numbers) & (numbers != 0) if "u" in numbers.dtype.kind else valid
            )


def test_reflectance_in_floating_point_keeps_its_zeros(simulated, rustac, nginx):
    area, scenes = simulated
    truth = scenes["S2"]
    data = truth.read().data.copy()
    data[:, 3, 4] = 0.0
    zeros = replace(truth, reader=MemoryReader(pixels=Pixels(data=data, valid=np.isfinite(data))))
    item = export_scene(zeros, nginx.root / "floats", f"{nginx.plain}/floats", form="float")
    stac = source(rustac([item], [collection("sentinel-2-l2a")]))
    scene = stac.fetch(stac.search(area, truth.time, truth.time + DAY)[0], area)
    np.testing.assert_array_equal(scene.read().data, data)


def test_a_scene_found_by_another_process_is_fetched_by_its_name_alone(exported):
    stac, area = exported
    refs = stac.search(area, NOON - 3000 * DAY, NOON)
    for ref in refs:
        scene, again = stac.fetch(ref, area), source(stac.url).fetch(ref, area)
        assert (again.geometry, again.bands, again.unit, again.time) == (
            scene.geometry,
            scene.bands,
            scene.unit,
            ref.time,
        )
        np.testing.assert_array_equal(again.read().data, scene.read().data)


def test_units_that_the_catalogue_does_not_state_are_read_from_the_file(rustac, nginx):
    root = nginx.root / "tagged"
    root.mkdir()
    numbers = np.random.default_rng(3).integers(1, 9000, (600, 500)).astype(np.uint16)
    formula = {"UNIT": "dB = DN * 0.01 - 60"}
    files = {
        "tagged": write_cog(root / "t_vv.tif", numbers, transform=UTM51, tags=formula),
        "untold": write_cog(root / "u_vv.tif", numbers, transform=UTM51),
    }
    items = []
    for i, (name, path) in enumerate(files.items()):
        item = item_of_files(name, {"VV": path}, nginx.plain, root=nginx.root, time=NOON + timedelta(hours=i))
        del item["assets"]["VV"]["raster:bands"]
        items.append(item)
    stac = source(rustac(items, [collection("sentinel-1-grd")]))
    area = AreaOfInterest.from_geojson("x", items[0]["geometry"])
    tagged, untold = (stac.fetch(ref, area) for ref in stac.search(area, NOON - DAY, NOON + DAY))
    assert (tagged.unit, tagged.provenance.notes) == ("sigma0_db", ())
    np.testing.assert_allclose(tagged.read().data[0], numbers * 0.01 - 60, atol=1e-5)
    assert untold.unit == "amplitude"
    assert "unit assumed to be amplitude" in untold.provenance.notes[0]


def test_terrain_corrected_radar_is_marked_as_such(rustac, nginx):
    root = nginx.root / "rtc"
    root.mkdir()
    numbers = np.random.default_rng(3).gamma(4, 0.01, (600, 500)).astype(np.float32)
    numbers[:50] = -32768
    path = write_cog(root / "iw-vv.rtc.tif", numbers, transform=UTM51, nodata=None)
    item = item_of_files("RTC", {"vv": path}, nginx.plain, root=nginx.root, collection="sentinel-1-rtc")
    item["properties"]["sar:product_type"] = "GRD"
    item["assets"]["vv"]["raster:bands"] = [{"data_type": "float32", "nodata": -32768}]
    stac = source(rustac([item], [collection("sentinel-1-rtc")]))
    area = AreaOfInterest.from_geojson("x", item["geometry"])
    scene = stac.fetch(stac.search(area, NOON - DAY, NOON + DAY)[0], area)
    assert scene.unit == "intensity"
    assert "gamma0, corrected for the terrain" in scene.provenance.notes[0]
    pixels = scene.read()
    assert not pixels.valid[:, :50].any()
    np.testing.assert_array_equal(pixels.data[0, 50:], numbers[50:])


# ---------------------------------------------------------------------------------------------------- Sentinel-2


@pytest.fixture(scope="module")
def tile(tmp_path_factory, nginx):
    """A Level-2A product as a SAFE folder that nginx serves, and what its own reader makes of it."""
    rng = np.random.default_rng(5)
    from imagery.products.sentinel2 import RESOLUTION_M

    numbers = {
        band: rng.integers(1000, 9000, (6000 // m, 6000 // m)).astype(np.uint16)
        for band, m in RESOLUTION_M.items()
        if band != "b10"
    }
    numbers["b03"][:40, :60] = 0
    numbers["b08"][5:9, 5:9] = 65535
    scl = rng.integers(0, 12, (300, 300)).astype(np.uint8)
    root = Safe(numbers=numbers, scl=scl).write(nginx.root / "safe")
    return root, open_sentinel2_safe(root)


def tile_item(root, base, style, **properties):
    """The item of a tile as a provider writes it."""
    granule = next(root.glob("GRANULE/*"))
    images = {p.stem.split("_", 2)[2]: p for p in sorted(granule.glob("IMG_DATA/**/*.jp2"))}  # B02_10m, SCL_20m
    name = root.name.removesuffix(".SAFE")
    outline = json.loads(json.dumps(mapping(shapely.box(-9.0, 53.18, -8.91, 53.24))))
    keys = {key: key for key in images} if style == "cdse" else {key.partition("_")[0]: key for key in images}
    href = {key: f"{base}/{images[file].relative_to(root.parent.parent).as_posix()}" for key, file in keys.items()}
    xml = f"{base}/{(granule / 'MTD_TL.xml').relative_to(root.parent.parent).as_posix()}"
    assets = {key: {"href": value, "type": "image/jp2", "roles": ["data"]} for key, value in href.items()}
    if style == "cdse":
        for asset in assets.values():
            asset.update({"raster:scale": 0.0001, "raster:offset": -0.1})
    else:
        assets["granule-metadata"] = {"href": xml}
        name = re.sub(r"_N\d{4}", "", name)
    item = bare_item(
        name,
        shapely.geometry.shape(outline),
        datetime(2022, 10, 5, 11, 54, 11, 24000, tzinfo=UTC),
        collection="sentinel-2-l2a",
        assets=assets,
        s2__processing_baseline="04.00",
        **properties,
    )
    item["geometry"] = outline
    return item


@pytest.mark.parametrize(
    ("style", "properties"),
    [("cdse", {"sat:relative_orbit": 23, "sat:orbit_state": "descending"}), ("pc", {"sat:orbit_state": "descending"})],
)
def test_a_tile_equals_its_safe_product(tile, rustac, nginx, style, properties):
    root, product = tile
    item = tile_item(root, f"{nginx.plain}", style)
    item["properties"].update(properties)
    stac = source(rustac([item], [collection("sentinel-2-l2a")]))
    area = AreaOfInterest.from_geojson("tile", item["geometry"])
    (ref,) = stac.search(area, product.time - timedelta(minutes=1), product.time + timedelta(minutes=1))
    assert abs(ref.time - product.time) < timedelta(seconds=20)  # not that of the datatake, 158 s earlier
    scene = stac.fetch(ref, area)
    assert scene.sensor == product.sensor
    assert scene.geometry.transform == product.geometry.transform
    window = Window(row=3, col=5, height=211, width=123)
    pixels, expected = scene.read(window), product.read(window)
    bands = product.bands if style == "pc" else product.bands[:-4]
    assert scene.bands == bands
    np.testing.assert_array_equal(pixels.data, expected.data[: len(bands)])
    np.testing.assert_array_equal(pixels.valid, expected.valid[: len(bands)])
    ours, theirs = scene.acquisition.at(300.0, 300.0), product.acquisition.at(300.0, 300.0)
    within = np.timedelta64(3 if style == "pc" else 20, "s")
    assert abs(ours.time - theirs.time) < within
    assert ours.incidence_deg == pytest.approx(float(theirs.incidence_deg), abs=0.2)


@pytest.mark.parametrize("part", [(0.0, 0.2), (0.8, 1.0)])
def test_a_tile_s_time_is_that_of_the_middle_of_its_data(part):
    """16 s pass from end to end of a tile; the stated time of one with little data is not that of its centre."""
    grid = Grid.from_crs("EPSG:32651", Affine(100, 0, 300000, 0, -100, 4200000), (1098, 1098))
    rows = np.array([part[0], part[0], part[1], part[1]]) * 1098
    lon, lat = grid.lonlat(rows, [0, 1098, 1098, 0])
    shape = Polygon(np.column_stack([lon, lat]))
    time = datetime(2023, 6, 11, 2, 47, 30, tzinfo=UTC)
    item = read_item(
        bare_item("S2A_51SUC_20230611_0_L2A", shape, time, collection="sentinel-2-l2a", sat__relative_orbit=89)
    )
    model = orbit_model(item, "sentinel-2", grid)
    row, col = grid.rowcol(*(float(c) for c in shape.centroid.coords[0]))
    stated = np.datetime64(time.replace(tzinfo=None), "us")
    assert abs(model.at(row, col).time - stated) < np.timedelta64(50, "ms")
    assert abs(model.at(549.0, 549.0).time - stated) > np.timedelta64(4, "s")


def test_a_datatake_without_its_orbit_is_skipped(rustac):
    item = bare_item("x", HERE, collection="sentinel-2-l2a", s2__product_uri="S2A_OPER_PRD_MSIL1C_PDMC_20160101T000000")
    item["properties"]["title"] = "S2A_USER_PRD_MSIL2A_PDMC_20160101T000000_R003_V20230611T043000_20230611T043000"
    del item["properties"]["s2:product_uri"]
    stac = source(rustac([item], [collection("sentinel-2-l2a")]))
    assert stac.search(AREA, NOON - DAY, NOON + DAY) == []
    assert "contradicts itself" in stac.skipped[0]


def earth_search_item(nginx, folder, *, flag, offset, time):
    """An item as Earth Search v1 writes it, over dark water of reflectance 0.02 stored with or without the offset."""
    root = nginx.root / folder
    root.mkdir()
    rng = np.random.default_rng(7)
    keys = {"blue": 1, "green": 1, "red": 1, "rededge1": 2, "nir": 1, "nir08": 2, "swir16": 2, "swir22": 2, "scl": 2}
    files, assets = {}, {}
    for key, repeat in keys.items():
        shape = (600 // repeat, 500 // repeat)
        water = rng.integers(150, 250, shape).astype(np.uint16) + (1000 if offset else 0)
        data = np.full(shape, 6, np.uint8) if key == "scl" else water.astype(np.uint16)
        files[key] = write_cog(root / f"{key}.tif", data, transform=UTM51 @ Affine.scale(repeat), blocksize=256)
        band = {"data_type": str(data.dtype), "nodata": 0}
        if key != "scl":
            band |= {"scale": 0.0001, "offset": -0.1}
        assets[key] = {"href": f"{nginx.plain}/{folder}/{key}.tif", "roles": ["data"], "raster:bands": [band]}
    item = item_of_files("x", {"blue": files["blue"]}, nginx.plain, root=nginx.root, collection="sentinel-2-l2a")
    return {
        **item,
        "id": f"S2A_51SUC_{time:%Y%m%d}_0_L2A",
        "assets": assets,
        "properties": {
            "datetime": time.isoformat(),
            "platform": "sentinel-2a",
            "s2:processing_baseline": "05.09",
            "s2:product_uri": f"S2A_MSIL2A_{time:%Y%m%d}T023531_N0509_R089_T51SUC_{time:%Y%m%d}T080000.SAFE",
            "earthsearch:boa_offset_applied": flag,
        },
    }, files


@pytest.mark.parametrize(
    ("flag", "stored_with_offset", "noted"), [(True, False, False), (False, True, False), (False, False, True)]
)
def test_the_offset_is_taken_once_whatever_earth_search_says(rustac, nginx, flag, stored_with_offset, noted):
    time = datetime(2023, 6, 11, 2, 50, 31, tzinfo=UTC)
    folder = f"es-{flag}-{stored_with_offset}"
    item, files = earth_search_item(nginx, folder, flag=flag, offset=stored_with_offset, time=time)
    stac = source(rustac([item], [collection("sentinel-2-l2a")]))
    area = AreaOfInterest.from_geojson("x", item["geometry"])
    (ref,) = stac.search(area, time, time + timedelta(seconds=1))
    scene = stac.fetch(ref, area)
    assert scene.bands == ("b02", "b03", "b04", "b05", "b08", "b8a", "b11", "b12", "scl")
    assert any("no longer hold" in note for note in scene.provenance.notes) is noted
    assert scene.time == time  # Earth Search gives the tile's own
    pixels = scene.read()
    assert pixels.valid.all()
    assert 0.015 <= pixels.data[:8].min() <= pixels.data[:8].max() <= 0.025
    with rasterio.open(files["rededge1"]) as dataset:
        coarse = dataset.read(1)
    part = scene.read(Window(row=7, col=11, height=31, width=22)).data[3]
    where = np.ix_(np.arange(7, 38) // 2, np.arange(11, 33) // 2)
    np.testing.assert_allclose(part, coarse[where] * 1e-4 - (0.1 if stored_with_offset else 0.0), atol=1e-7)
    assert (pixels.data[8] == 6).all()


# ------------------------------------------------------------------------------------------------------- Landsat


def landsat_item(nginx, folder, *, level):
    root = nginx.root / folder
    root.mkdir()
    rng = np.random.default_rng(9)
    grid = Affine(30, 0, 380000, 0, -30, 4200000)
    keys = ("blue", "green", "red", "nir08", "swir16", "swir22")
    numbers = {key: rng.integers(7000, 12000, (400, 300)).astype(np.uint16) for key in keys}
    for each in numbers.values():
        each[:20] = 0
    quality = rng.integers(2, 60000, (400, 300)).astype(np.uint16) & 0xFFFE
    quality[:20] = 1
    files = {key: write_cog(root / f"{key}.tif", n, transform=grid) for key, n in numbers.items()}
    files["qa_pixel"] = write_cog(root / "qa_pixel.tif", quality, transform=grid, nodata=1)
    item = item_of_files("x", files, nginx.plain, root=nginx.root, collection=f"landsat-c2-{level}")
    correction = "L2SP" if level == "l2" else "L1TP"
    for asset in item["assets"].values():
        del asset["raster:bands"]
    item["id"] = f"LC09_{correction}_121033_20230611_02_T1"
    item["properties"] = {
        "datetime": "2023-06-11T02:34:56.789Z",
        "platform": "landsat-9",
        "landsat:correction": correction,
        "landsat:collection_category": "T1",
    }
    if level == "l1":
        lines = ["SUN_ELEVATION = 64.5"]
        for band in range(1, 10):
            lines += [f"REFLECTANCE_MULT_BAND_{band} = 2.0000E-05", f"REFLECTANCE_ADD_BAND_{band} = -0.100000"]
        (root / "MTL.txt").write_text("GROUP = X\n" + "\n".join(lines) + "\nEND\n")
        item["assets"]["mtl.txt"] = {"href": f"{nginx.plain}/{folder}/MTL.txt"}
    return item, numbers, quality


@pytest.mark.parametrize("level", ["l2", "l1"])
def test_landsat_comes_as_reflectance_with_its_quality(rustac, nginx, level):
    item, numbers, quality = landsat_item(nginx, f"landsat-{level}", level=level)
    name = f"landsat-c2-{level}"
    stac = source(rustac([item], [collection(name)]), collections=(name,))
    area = AreaOfInterest.from_geojson("x", item["geometry"])
    (ref,) = stac.search(area, NOON - DAY, NOON + DAY)
    scene = check_scene(stac, area, ref)
    assert scene.bands == ("b02", "b03", "b04", "b08", "b11", "b12", "qa_pixel")
    assert scene.sensor.name == ("landsat-8-9-oli" if level == "l2" else "landsat-8-9-oli-l1")
    assert scene.time == datetime(2023, 6, 11, 2, 34, 56, 789000, tzinfo=UTC)
    assert isinstance(scene.acquisition, StatedAcquisition)
    scale, offset = (2.75e-5, -0.2) if level == "l2" else np.array([2e-5, -0.1]) / np.sin(np.radians(64.5))
    pixels = scene.read()
    assert not pixels.valid[:, :20].any()
    for index, key in enumerate(("blue", "green", "red", "nir08", "swir16", "swir22")):
        np.testing.assert_allclose(pixels.data[index, 20:], numbers[key][20:] * scale + offset, rtol=1e-6)
    np.testing.assert_array_equal(pixels.data[6, 20:], quality[20:])
    cost = stac.cost(ref, area)
    assert (cost.tiles, cost.processing_units) == (1, 0.0)


def test_level_1_of_landsat_without_its_metadata_is_skipped(rustac, nginx):
    item, _, _ = landsat_item(nginx, "landsat-bare", level="l1")
    del item["assets"]["mtl.txt"]
    stac = source(rustac([item], [collection("landsat-c2-l1")]), collections=("landsat-c2-l1",))
    assert stac.search(AreaOfInterest.from_geojson("x", item["geometry"]), NOON - DAY, NOON + DAY) == []
    assert "has no MTL file" in stac.skipped[0]


# --------------------------------------------------------------------------------------- Sentinel-1 as it is delivered


SEA = "sar/safe/S1A_IW_GRDH_1SDV_20221014T205126_20221014T205155_045443_056F2D_861B.SAFE.zip"


@pytest.fixture(scope="module")
def product(real_data, nginx):
    """A real product's annotation around made-up pixels, unpacked where nginx serves it."""
    safe = SafeProduct(real_data(SEA))
    rng = np.random.default_rng(11)
    piece = (9000, 8300, rng.integers(40, 4000, (700, 900)).astype(np.uint16))
    folder = nginx.root / "grd" / "annotation" / "calibration"
    folder.mkdir(parents=True)
    for band in ("vv", "vh"):
        write_measurement(nginx.root / "grd" / f"iw-{band}.tiff", safe.text("", band), [piece])
        (folder.parent / f"iw-{band}.xml").write_text(safe.text("", band))
        for kind in ("calibration-", "noise-"):
            (folder / f"{kind}iw-{band}.xml").write_text(safe.text(kind, band))
    return safe


def grd_item(base, *, style, time=datetime(2022, 10, 14, 20, 51, 26, tzinfo=UTC), without=(), folder="grd"):
    prefix = {"long": "schema-", "short": ""}[style]
    place = f"{base}/{folder}"
    assets = {}
    for band in ("vv", "vh"):
        assets[band] = {"href": f"{place}/iw-{band}.tiff", "roles": ["data"]}
        rfi = "rfi/rfi-" if style == "long" else ""
        assets[f"{prefix}product-{band}"] = {"href": f"{place}/annotation/{rfi}iw-{band}.xml"}
        for kind in ("calibration", "noise"):
            assets[f"{prefix}{kind}-{band}"] = {"href": f"{place}/annotation/calibration/{kind}-iw-{band}.xml"}
    return bare_item(
        "S1A_IW_GRDH_1SDV_20221014T205126_20221014T205155_045443_056F2D_861B",
        box(121.0, 30.0, 124.5, 32.5),
        time,
        assets={key: value for key, value in assets.items() if not any(word in key for word in without)},
        start_datetime="2022-10-14T20:51:26Z",
        end_datetime="2022-10-14T20:51:55Z",
    )


def local_scene(product, root, **missing):
    return grd_scene(
        "local",
        [
            GrdPolarisation(
                **{
                    "band": band,
                    "measurement": str(root / "grd" / f"iw-{band}.tiff"),
                    "annotation": product.text("", band).encode(),
                    "calibration": product.text("calibration-", band).encode(),
                    "noise": product.text("noise-", band).encode(),
                    **missing,
                }
            )
            for band in ("vv", "vh")
        ],
        provenance=Provenance(source="x", ids=("y",)),
        fallback_time=datetime(2022, 10, 14, 20, 51, 40, 500000, tzinfo=UTC),
    )


GRD_WINDOW = Window(row=8900, col=8200, height=300, width=400)
GRD_SPAN = (datetime(2022, 10, 14, tzinfo=UTC), datetime(2022, 10, 15, tzinfo=UTC))


def grd_area(product):
    lon, lat = local_scene_centre(product)
    return AreaOfInterest.from_bbox("sea", lon - 0.05, lat - 0.05, lon + 0.05, lat + 0.05)


def local_scene_centre(product):
    text = product.text("", "vv")
    lats, lons = (
        np.array(re.findall(rf"<{t}>([^<]+)</{t}>", text.split("geolocationGrid>")[1]), float)
        for t in ("latitude", "longitude")
    )
    return float(lons.mean()), float(lats.mean())


def outlined(item, product):
    lon, lat = local_scene_centre(product)
    shape = box(lon - 1.2, lat - 0.8, lon + 1.2, lat + 0.8)
    return {**item, "geometry": mapping(shape), "bbox": list(shape.bounds)}


@pytest.mark.parametrize("style", ["long", "short"])
def test_a_delivered_product_equals_the_local_one(product, rustac, nginx, style):
    item = outlined(grd_item(nginx.plain, style=style), product)
    stac = source(rustac([item], [collection("sentinel-1-grd")]))
    area = grd_area(product)
    (ref,) = stac.search(area, *GRD_SPAN)
    scene, local = check_scene(stac, area, ref), local_scene(product, nginx.root)
    assert (scene.unit, scene.bands, scene.geometry) == ("sigma0", ("vv", "vh"), local.geometry)
    assert isinstance(scene.geometry, GcpGrid)
    assert scene.reader.tile_px == 2048
    np.testing.assert_array_equal(scene.read(GRD_WINDOW).data, local.read(GRD_WINDOW).data)
    ours, theirs = (each.acquisition.at(9000.0, 8400.0) for each in (scene, local))
    assert (ours.time, ours.incidence_deg) == (theirs.time, theirs.incidence_deg)
    assert "orbit" not in " ".join(scene.provenance.notes)


def test_a_product_without_its_tables_says_so(product, rustac, nginx):
    item = outlined(grd_item(nginx.plain, style="short", without=("calibration", "noise")), product)
    stac = source(rustac([item], [collection("sentinel-1-grd")]))
    area = grd_area(product)
    scene = stac.fetch(stac.search(area, *GRD_SPAN)[0], area)
    assert scene.unit == "amplitude"
    assert any("no calibration" in note for note in scene.provenance.notes)


def test_a_product_whose_files_are_gone_or_cut_is_an_error(product, rustac, nginx):
    item = outlined(grd_item(nginx.plain, style="short", folder="cut"), product)
    folder = nginx.root / "cut"
    shutil.copytree(nginx.root / "grd", folder)
    stac = source(rustac([item], [collection("sentinel-1-grd")]))
    area = grd_area(product)
    (ref,) = stac.search(area, *GRD_SPAN)
    scene = stac.fetch(ref, area)
    whole = (folder / "iw-vh.tiff").read_bytes()
    (folder / "iw-vh.tiff").unlink()
    with pytest.raises(FetchError, match=r"iw-vh\.tiff is not there \(404\)"):
        scene.read(GRD_WINDOW)
    (folder / "iw-vh.tiff").write_bytes(whole)
    np.testing.assert_array_equal(scene.read(GRD_WINDOW).data, local_scene(product, nginx.root).read(GRD_WINDOW).data)
    (folder / "cut.tiff").write_bytes(whole[:-200_000])
    stac._seen[ref.id].assets["vh"]["href"] = f"{nginx.plain}/cut/cut.tiff"
    with pytest.raises(FetchError, match=r"cut\.tiff cannot be read though the server answers: truncated or damaged"):
        stac.fetch(ref, area)
    stac._seen[ref.id].assets["vh"]["href"] = f"{nginx.plain}/cut/iw-vh.tiff"
    (folder / "annotation" / "iw-vv.xml").write_text("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>")
    with pytest.raises(FetchError, match="DTD or entities"):
        stac.fetch(ref, area)
    (folder / "annotation" / "iw-vv.xml").unlink()
    with pytest.raises(FetchError, match=r"annotation/iw-vv\.xml is not there \(404\)"):
        stac.fetch(ref, area)


def test_a_product_is_read_from_s3(product, rustac, nginx, s3, monkeypatch, tmp_path):
    for name, value in {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "key",
        "AWS_S3_ENDPOINT": s3.endpoint,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OFFING_CREDENTIALS", str(tmp_path / "none.toml"))
    item = outlined(grd_item("s3://eodata", style="short"), product)
    for path in (p for p in (nginx.root / "grd").rglob("*") if p.is_file()):
        s3.put(f"grd/{path.relative_to(nginx.root / 'grd').as_posix()}", path)
    stac = source(rustac([item], [collection("sentinel-1-grd")]))
    area = grd_area(product)
    scene = stac.fetch(stac.search(area, *GRD_SPAN)[0], area)
    np.testing.assert_array_equal(scene.read(GRD_WINDOW).data, local_scene(product, nginx.root).read(GRD_WINDOW).data)


def test_a_signed_product_goes_on_after_its_token_dies_and_shows_it_nowhere(product, rustac, nginx, caplog):
    caplog.set_level(logging.DEBUG)
    given = []
    folder = nginx.tokens

    def answer(method, path, headers):
        given.append(f"PLANTED-{len(given)}")
        (folder / given[-1]).touch()
        return 200, {}, json.dumps({"token": f"sig={given[-1]}", "msft:expiry": "2100-01-01T00:00:00Z"}).encode()

    item = outlined(grd_item(nginx.signed, style="long"), product)
    area = grd_area(product)
    with scripted(answer) as server:
        tokens = SasTokens(endpoint=server.url, hosts=(HOST,), key=Secret("PLANTED-KEY"), policy=QUICK)
        stac = source(rustac([item], [collection("sentinel-1-grd")]), tokens=tokens)
        (ref,) = stac.search(area, *GRD_SPAN)
        scene = stac.fetch(ref, area)
        for token in folder.iterdir():
            token.unlink()
        expected = local_scene(product, nginx.root)
        np.testing.assert_array_equal(scene.read(GRD_WINDOW).data, expected.read(GRD_WINDOW).data)
        assert len(given) == 2
        told = [repr(scene), repr(stac), stac.identity, *scene.provenance.notes, *scene.provenance.ids]
        stac._seen[ref.id].assets["vv"]["href"] += ".gone"
        with pytest.raises(FetchError, match=r"iw-vv\.tiff\.gone is not there") as caught:
            stac.fetch(ref, area)
    told += [*traceback.format_exception(caught.value), caplog.text, *stac.skipped]
    assert "PLANTED" not in "".join(told)


def test_a_catalogue_s_own_signatures_are_told_nowhere(rustac, nginx, caplog):
    caplog.set_level(logging.DEBUG)
    item, _ = earth_search_item(
        nginx, "presigned", flag=True, offset=False, time=datetime(2023, 6, 11, 2, 50, tzinfo=UTC)
    )
    for asset in item["assets"].values():
        asset["href"] = asset["href"].replace(nginx.plain, nginx.signed) + "?sig=PLANTED"
    (nginx.tokens / "PLANTED").touch()
    stac = source(rustac([item], [collection("sentinel-2-l2a")]))
    area = AreaOfInterest.from_geojson("x", item["geometry"])
    (ref,) = stac.search(area, NOON - DAY, NOON + DAY)
    caplog.clear()  # of the catalogue's own answer, which holds the addresses
    scene = stac.fetch(ref, area)
    assert scene.read().valid.all()
    stac._seen[ref.id].assets["nir"]["href"] += "-OLD"  # a signature that nginx has never let pass
    with pytest.raises(CredentialsError, match=r"nir\.tif\?\.\.\. refuses access") as caught:
        stac.fetch(ref, area)
    told = [repr(scene), repr(stac), repr(stac._seen), caplog.text, *traceback.format_exception(caught.value)]
    assert "PLANTED" not in "".join(told)


# --------------------------------------------------------------------------------------------------- all the rest


def test_a_cache_before_it_keeps_what_came_and_names_what_did_not(rustac, nginx, tmp_path):
    item, _ = earth_search_item(nginx, "cached", flag=True, offset=False, time=datetime(2023, 6, 11, 2, 50, tzinfo=UTC))
    stac = source(rustac([item], [collection("sentinel-2-l2a")]))
    area = AreaOfInterest.from_geojson("x", item["geometry"])
    cached = CachedFetcher(inner=stac, store=TileStore(folder=tmp_path, limit_bytes=10**9))
    (ref,) = check_fetcher(cached, area)
    expected = stac.fetch(ref, area).read().data
    shutil.rmtree(nginx.root / "cached")
    again = CachedFetcher(inner=source(stac.url), store=cached.store).fetch(ref, area)
    np.testing.assert_array_equal(again.read().data, expected)
    assert again.acquisition.at(0.0, 0.0).time == stac.fetch(ref, area).acquisition.at(0.0, 0.0).time
    stac._seen[ref.id].assets["nir"]["href"] += ".gone"
    with pytest.raises(FetchError, match="is not there"):
        CachedFetcher(inner=stac, store=TileStore(folder=tmp_path / "new", limit_bytes=10**9)).fetch(ref, area)


def test_identity_holds_what_decides_pixels_and_no_secret():
    plain = source("https://stac.example/v1/")
    assert plain.identity == source("https://someone:PLANTED@stac.example/v1?key=PLANTED").identity
    assert "PLANTED" not in source("https://someone:PLANTED@stac.example/v1?key=PLANTED").identity
    assert plain.identity != source("https://stac.example/v1", collections=("a",)).identity
    assert plain.identity != source("https://stac.example/v2").identity


def test_cost_is_told_without_a_request():
    item = bare_item("PASS", box(121.0, 36.0, 124.0, 38.0))
    with scripted(scripted_api([[item]])) as server:
        stac = source(server.url)
        (ref,) = stac.search(AREA, NOON - DAY, NOON + DAY)
        asked = len(server.asked)
        small, large = (
            stac.cost(ref, AREA),
            stac.cost(ref, AreaOfInterest(name="all", polygon=multi((121, 36, 124, 38)))),
        )
        assert len(server.asked) == asked
    # 27 x 33 km with a margin of 1 km touches 2 x 2 to 3 x 3 tiles of 20.5 km
    assert 4 <= small.tiles <= 9
    # 270 x 222 km in tiles of 20.5 km
    assert 14 * 11 <= large.tiles <= 15 * 13
    assert large.bytes == pytest.approx(2 * 1.4 * 27_000 * 22_200, rel=0.15)
    assert small.requests < large.requests


def test_missing_bands_of_a_scene_are_an_error_not_no_ships(rustac, nginx):
    item, _ = earth_search_item(nginx, "gone", flag=True, offset=False, time=datetime(2023, 6, 11, 2, 50, tzinfo=UTC))
    item["assets"]["nir"]["href"] += ".gone"
    stac = source(rustac([item], [collection("sentinel-2-l2a")]))
    area = AreaOfInterest.from_geojson("x", item["geometry"])
    (ref,) = stac.search(area, NOON - DAY, NOON + DAY)
    with pytest.raises(FetchError, match=r"nir\.tif\.gone is not there \(404\)"):
        stac.fetch(ref, area)


def test_bands_that_lie_elsewhere_are_refused(rustac, nginx):
    item, _ = earth_search_item(nginx, "moved", flag=True, offset=False, time=datetime(2023, 6, 11, 2, 50, tzinfo=UTC))
    numbers = np.full((300, 250), 200, np.uint16)
    write_cog(
        nginx.root / "moved" / "swir16.tif", numbers, transform=UTM51 @ Affine.translation(1, 0) @ Affine.scale(2)
    )
    stac = source(rustac([item], [collection("sentinel-2-l2a")]))
    area = AreaOfInterest.from_geojson("x", item["geometry"])
    (ref,) = stac.search(area, NOON - DAY, NOON + DAY)
    with pytest.raises(FetchError, match=r"swir16\.tif does not lie on the grid of the other bands"):
        stac.fetch(ref, area)


def test_s3_without_keys_asks_for_them(rustac, monkeypatch, tmp_path):
    monkeypatch.setenv("OFFING_CREDENTIALS", str(tmp_path / "none.toml"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_NO_SIGN_REQUEST"):
        monkeypatch.delenv(name, raising=False)
    item = bare_item("CDSE", HERE, assets={"vv": {"href": "s3://eodata/Sentinel-1/vv.tiff"}})
    stac = source(rustac([item], [collection("sentinel-1-grd")]))
    (ref,) = stac.search(AREA, NOON - DAY, NOON + DAY)
    with pytest.raises(CredentialsError, match="reading s3://eodata needs AWS_ACCESS_KEY_ID"):
        stac.fetch(ref, AREA)
