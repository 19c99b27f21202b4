import json
from datetime import UTC, datetime

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj.aoi import AreaOfInterest
from pyproj.database import query_utm_crs_info

from imagery.errors import UnitError
from imagery.products.sentinel2 import (
    BANDS,
    LEVEL_SENSORS,
    Sentinel2Id,
    decode,
    has_offset,
    offset_is_doubtful,
    offset_taken_twice,
    parse_id,
    reflectance_scaling,
    stac_reflectance_scaling,
    states_mean_time,
    tile_epsg,
)
from imagery.sensors import SENTINEL2_L1C, SENTINEL2_L2A


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


# Names as published: Copernicus Data Space, Planetary Computer, Earth Search, ESA's product specification.
PUBLISHED = {
    "S2B_MSIL2A_20250302T095029_N0511_R079_T33UXP_20250302T104753": Sentinel2Id(
        level="L2A",
        mission="S2B",
        datatake_time=utc(2025, 3, 2, 9, 50, 29),
        baseline="05.11",
        relative_orbit=79,
        mgrs_tile="33UXP",
    ),
    "S2A_MSIL1C_20170105T013442_N0204_R031_T53NMJ_20170105T013443.SAFE": Sentinel2Id(
        level="L1C",
        mission="S2A",
        datatake_time=utc(2017, 1, 5, 1, 34, 42),
        baseline="02.04",
        relative_orbit=31,
        mgrs_tile="53NMJ",
    ),
    # Collection 1: a date before the offset came, a baseline after it
    "S2B_MSIL2A_20200322T074609_N0500_R135_T36NYH_20230612T214223.SAFE.zip": Sentinel2Id(
        level="L2A",
        mission="S2B",
        datatake_time=utc(2020, 3, 22, 7, 46, 9),
        baseline="05.00",
        relative_orbit=135,
        mgrs_tile="36NYH",
    ),
    # Planetary Computer leaves the baseline out
    "S2A_MSIL2A_20160327T204522_R128_T01CCV_20210214T042702": Sentinel2Id(
        level="L2A",
        mission="S2A",
        datatake_time=utc(2016, 3, 27, 20, 45, 22),
        relative_orbit=128,
        mgrs_tile="01CCV",
    ),
    "S2A_OPER_PRD_MSIL1C_PDMC_20160929T193912_R051_V20160929T154622_20160929T154622.SAFE": Sentinel2Id(
        level="L1C", mission="S2A", datatake_time=utc(2016, 9, 29, 15, 46, 22), relative_orbit=51
    ),
    "S2A_OPER_MSI_L2A_TL_2APS_20230101T025803_A039309_T55GFL_N05.09": Sentinel2Id(
        level="L2A", mission="S2A", baseline="05.09", absolute_orbit=39309, mgrs_tile="55GFL"
    ),
    "S2A_OPER_MSI_L1C_TL_SGS__20181231T203637_A018414_T10SDG_N02.07": Sentinel2Id(
        level="L1C", mission="S2A", baseline="02.07", absolute_orbit=18414, mgrs_tile="10SDG"
    ),
    "L2A_T36NYH_A015891_20200322T075811": Sentinel2Id(level="L2A", absolute_orbit=15891, mgrs_tile="36NYH"),
    "S2B_33UXP_20250302_0_L2A": Sentinel2Id(level="L2A", mission="S2B", mgrs_tile="33UXP"),
    "S2B_T43QDB_20200110T053549_L2A": Sentinel2Id(level="L2A", mission="S2B", mgrs_tile="43QDB"),
    "/eodata/Sentinel-2/MSI/L2A_N0500/2020/03/22/S2B_MSIL2A_20200322T074609_N0500_R135_T36NYH_20230612T214223.SAFE/"
    "GRANULE/L2A_T36NYH_A015891_20200322T075811/IMG_DATA/R10m/T36NYH_20200322T074609_B02_10m.jp2": Sentinel2Id(
        level="L2A",
        mission="S2B",
        datatake_time=utc(2020, 3, 22, 7, 46, 9),
        baseline="05.00",
        relative_orbit=135,
        mgrs_tile="36NYH",
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_names_are_read(name):
    assert parse_id(name) == PUBLISHED[name]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "S1A_IW_GRDH_1SDV_20221014T205126_20221014T205155_045443_056F2D_861B",
        "LC08_L2SP_030034_20201111_20201212_02_T1",
        "S2A_MSIL2A_20250302T095029_N0511_R079_T33IXP_20250302T104753",  # no latitude band I
        "XS2B_MSIL2A_20250302T095029_N0511_R079_T33UXP_20250302T104753",
    ],
)
def test_other_names_are_none(text):
    assert parse_id(text) is None


@pytest.mark.parametrize(
    ("tile", "epsg"),  # HORIZONTAL_CS_CODE of published tiles
    [("29UNU", 32629), ("T01WCP", 32601), ("46RER", 32646), ("55GFL", 32755), ("34LBP", 32734), ("01KAB", 32701)],
)
def test_a_tile_lies_on_its_published_grid(tile, epsg):
    assert tile_epsg(tile) == epsg


@settings(max_examples=30, deadline=None)
@given(zone=st.integers(1, 60), band=st.sampled_from("CDEFGHJKLMNPQRSTUVWX"))
def test_a_tile_lies_on_the_utm_grid_that_proj_gives_for_its_place(zone, band):
    lat = -80.0 + 8.0 * "CDEFGHJKLMNPQRSTUVWX".index(band) + 4.0
    lon = -180.0 + 6.0 * zone - 3.0
    here = AreaOfInterest(lon, lat, lon, lat)
    codes = {int(info.code) for info in query_utm_crs_info(datum_name="WGS 84", area_of_interest=here)}
    assert tile_epsg(f"{zone:02d}{band}AA") in codes


@pytest.mark.parametrize("tile", ["", "33UX", "61UXP", "00UXP", "33IXP", "33UIP", "33UXW", "33UXP1"])
def test_what_is_no_tile_is_refused(tile):
    with pytest.raises(UnitError, match="not the name of a Sentinel-2 tile"):
        tile_epsg(tile)


# ESA and the mission performance centre (forum.step.esa.int/t/35431): -1000 at Level-1C and Level-2A from 04.00 on.
@pytest.mark.parametrize("level", ["L1C", "L2A"])
@pytest.mark.parametrize(
    ("baseline", "offset_dn"),
    [
        ("02.04", 0),
        ("N0207", 0),
        ("02.14", 0),
        ("03.01", 0),
        ("N0301", 0),
        ("04.00", -1000),
        ("N0400", -1000),
        ("05.00", -1000),
        ("05.09", -1000),
        ("N0510", -1000),
        ("05.12", -1000),
    ],
)
def test_the_offset_follows_the_baseline(level, baseline, offset_dn):
    assert reflectance_scaling(baseline, level) == pytest.approx((1e-4, offset_dn / 10000), abs=1e-15)
    assert has_offset(baseline) == (offset_dn != 0)


def test_the_worked_example_of_the_step_forum_comes_out():
    scale, offset = reflectance_scaling("04.00", "L2A")  # forum.step.esa.int/t/34760: (1452 - 1000) / 10000 = 0.0452
    assert decode([1452], scale, offset) == pytest.approx([0.0452], abs=1e-7)


def test_products_of_2015_may_be_quantified_by_a_thousand():
    assert reflectance_scaling("01.02", "L1C", 1000.0) == (0.001, 0.0)


@pytest.mark.parametrize("baseline", ["", "5", "N05", "five", "05.11.1", "N99999"])
def test_what_is_no_baseline_is_refused(baseline):
    with pytest.raises(UnitError, match="not a Sentinel-2 processing baseline"):
        reflectance_scaling(baseline, "L2A")


def test_a_users_own_sen2cor_run_tells_no_offset():
    with pytest.raises(UnitError, match=r"99\.99 .* does not tell the offset"):
        reflectance_scaling("N9999", "L2A")
    assert not has_offset("99.99")


def test_other_levels_are_refused():
    with pytest.raises(UnitError, match="level 'L1B'"):
        reflectance_scaling("05.11", "L1B")


def test_sensing_times_are_means_from_baseline_02_07_on():
    told = {baseline: states_mean_time(baseline) for baseline in ("02.04", "02.06", "02.07", "03.01", "05.11", "99.99")}
    assert [baseline for baseline, mean in told.items() if mean] == ["02.07", "03.01", "05.11"]


def test_negative_reflectance_is_kept_and_special_numbers_are_not():
    dn = np.array([[0, 1, 700], [1000, 11000, 65535]], np.uint16)
    values = decode(dn, 1e-4, -0.1)
    expected = [[np.nan, -0.0999, -0.03], [0.0, 1.0, np.nan]]
    np.testing.assert_allclose(values, expected, atol=1e-7)
    assert values.dtype == np.float32


def test_levels_have_their_sensors():
    assert LEVEL_SENSORS == {"L1C": SENTINEL2_L1C, "L2A": SENTINEL2_L2A}
    assert {s.bands for s in LEVEL_SENSORS.values()} == {BANDS}
    assert (SENTINEL2_L1C.reflectance, SENTINEL2_L2A.reflectance) == ("top of atmosphere", "surface")


COG = "image/tiff; application=geotiff; profile=cloud-optimized"
EARTH_SEARCH = [{"nodata": 0, "data_type": "uint16", "bits_per_sample": 15, "scale": 0.0001, "offset": -0.1}]
CDSE_HREF = (
    "s3://eodata/Sentinel-2/MSI/L2A/2025/03/02/S2B_MSIL2A_20250302T095029_N0511_R079_T33UXP_20250302T104753.SAFE/"
    "GRANULE/L2A_T33UXP_A041718_20250302T095031/IMG_DATA/R10m/T33UXP_20250302T095029_B04_10m.jp2"
)
# properties and asset as the catalogues give them, and what makes their numbers reflectance
CATALOGUES = {
    # Earth Search v1, sentinel-2-l2a: offset added to the COG, raster:bands states it nevertheless
    "earth search, applied": (
        {"s2:processing_baseline": "05.12", "earthsearch:boa_offset_applied": True},
        {"href": "https://x/B04.tif", "type": COG, "raster:bands": EARTH_SEARCH},
        -0.0,
    ),
    "earth search, applied, original file": (
        {"s2:processing_baseline": "05.12", "earthsearch:boa_offset_applied": True},
        {"href": "s3://sentinel-s2-l2a/tiles/52/S/FA/2022/1/26/0/R10m/B04.jp2", "raster:bands": EARTH_SEARCH},
        -0.1,
    ),
    "earth search, 26 January 2022, not applied": (
        {"s2:processing_baseline": "04.00", "earthsearch:boa_offset_applied": False},
        {"href": "https://x/B04.tif", "type": COG, "raster:bands": EARTH_SEARCH},
        -0.1,
    ),
    "earth search, before the offset came": (
        {"s2:processing_baseline": "02.14", "earthsearch:boa_offset_applied": False},
        {"href": "https://x/B04.tif", "type": COG, "raster:bands": [{"scale": 0.0001, "offset": 0}]},
        0.0,
    ),
    "earth search, before the offset came, stated wrongly": (
        {"s2:processing_baseline": "02.14", "earthsearch:boa_offset_applied": False},
        {"href": "https://x/B04.tif", "type": COG, "raster:bands": EARTH_SEARCH},
        0.0,
    ),
    "earth search, collection 1": (
        {"s2:processing_baseline": "05.00"},
        {"href": "https://x/B04.tif", "type": COG, "raster:bands": EARTH_SEARCH},
        -0.1,
    ),
    "earth search v2": (
        {"s2:processing_baseline": "05.11"},
        {"href": "https://x/B04.tif", "bands": [{"name": "red", "raster:scale": 0.0001, "raster:offset": -0.1}]},
        -0.1,
    ),
    "planetary computer, 2023": (
        {"s2:processing_baseline": "05.09", "s2:product_uri": "S2A_MSIL2A_20230101T.SAFE"},
        {"href": "https://x/T55GFL_B04_10m.tif", "type": COG},
        -0.1,
    ),
    "planetary computer, 2018": ({"s2:processing_baseline": "02.12"}, {"href": "https://x/B04_10m.tif"}, 0.0),
    "copernicus data space": (
        {"processing:version": "05.11"},
        {"href": CDSE_HREF, "type": "image/jp2", "data_type": "uint16", "raster:scale": 0.0001, "raster:offset": -0.1},
        -0.1,
    ),
    "copernicus data space, nothing but the name": ({}, {"href": CDSE_HREF}, -0.1),
    "any, product name in the properties": (
        {"s2:product_uri": "S2A_MSIL2A_20210908T042701_N0301_R133_T46RER_20210908T075506.SAFE"},
        {"href": "https://x/B04.tif"},
        0.0,
    ),
    # the datatake's identifier ends in the baseline of the Level-1 processing
    "planetary computer, reprocessed from an older level 1": (
        {"s2:datatake_id": "GS2A_20160327T204522_003983_N02.04", "s2:processing_baseline": "05.00"},
        {"href": "https://x/B04_10m.tif"},
        -0.1,
    ),
    # rio-stac writes what the TIFF's own tags say: scale 1, offset 0
    "private, written without knowing": (
        {"s2:processing_baseline": "05.11"},
        {"href": "https://x/B04.tif", "raster:bands": [{"data_type": "uint16", "scale": 1.0, "offset": 0.0}]},
        -0.1,
    ),
    "private, harmonised and said so": (
        {"s2:processing_baseline": "05.11"},
        {"href": "https://x/B04.tif", "raster:bands": [{"data_type": "uint16", "scale": 0.0001, "offset": 0.0}]},
        0.0,
    ),
    "scale without offset": (
        {"s2:processing_baseline": "05.11"},
        {"href": "https://x/B04.tif", "data_type": "uint16", "raster:scale": 0.0001},
        -0.1,
    ),
}


@pytest.mark.parametrize("case", CATALOGUES)
def test_every_catalogues_offset_is_told(case):
    properties, asset, offset = CATALOGUES[case]
    assert stac_reflectance_scaling(properties, asset) == pytest.approx((1e-4, offset), abs=1e-12)


def test_floating_point_pixels_are_reflectance_already():
    asset = {"href": "https://x/B04.tif", "data_type": "float32", "raster:scale": 1.0, "raster:offset": 0.0}
    assert stac_reflectance_scaling({"s2:processing_baseline": "05.11"}, asset) == (1.0, 0.0)


@pytest.mark.parametrize("properties", [{}, {"processing:version": "v1.2"}, {"s2:processing_baseline": "99.99"}])
def test_an_offset_that_nobody_states_is_refused(properties):
    with pytest.raises(UnitError, match=r"open by 0\.1"):
        stac_reflectance_scaling(properties, {"href": "https://x/B04.tif"})


def test_only_the_flag_that_was_seen_wrong_is_doubtful():
    doubtful = [name for name, (properties, asset, _) in CATALOGUES.items() if offset_is_doubtful(properties, asset)]
    assert doubtful == ["earth search, 26 January 2022, not applied"]


def chips(real_data):
    for name in ("accra", "limassol"):
        folder = real_data("optical/s2_coastal_chips")
        with rasterio.open(folder / f"{name}.tif") as dataset:
            yield name, dict(zip(dataset.descriptions, dataset.read(), strict=True)), dataset.tags(), folder


def test_real_water_has_plausible_reflectance_with_the_offset_and_not_without(real_data):
    for name, bands, _, folder in chips(real_data):
        assert json.loads((folder / f"{name}.json").read_text())  # the sidecar names the scene; baseline after 04.00
        water = bands["SCL"] == 6
        assert water.sum() > 1000
        right = {b: np.nanmedian(decode(bands[b], *reflectance_scaling("05.10", "L2A"))[water]) for b in ("B03", "B08")}
        wrong = {b: np.nanmedian(decode(bands[b], *reflectance_scaling("03.01", "L2A"))[water]) for b in ("B03", "B08")}
        assert 0.0 < right["B03"] < 0.12
        assert -0.01 < right["B08"] < 0.05
        assert wrong["B08"] > 0.09  # no water is that bright in the near infrared


def test_an_offset_taken_twice_shows_in_real_pixels(real_data):
    for _, bands, _, _ in chips(real_data):
        for band in ("B02", "B03", "B04"):
            once = decode(bands[band], 1e-4, -0.1)
            assert not offset_taken_twice(once)
            assert offset_taken_twice(once - np.float32(0.1))


def test_nothing_valid_shows_nothing():
    assert not offset_taken_twice(np.full((3, 3), np.nan))
