import csv
from datetime import UTC, datetime

import numpy as np
import pytest

from imagery.errors import AnnotationError, UnitError
from imagery.products.landsat import (
    LEVEL2_OFFSET,
    LEVEL2_SCALE,
    LandsatAsset,
    decode,
    decode_qa_pixel,
    landsat_acquisition,
    landsat_assets,
    landsat_notes,
    landsat_sensor,
    parse_mtl,
    qa_confidence,
    toa_scaling,
)
from imagery.sensors import (
    LANDSAT_OLI,
    LANDSAT_OLI_L1,
    LANDSAT_TM,
    LANDSAT_TM_L1,
    SENSORS,
    is_ancillary,
    measured_bands,
)

SR = (0.0000275, -0.2)
COMMON = ("coastal", "blue", "green", "red", "nir08", "swir16", "swir22", "qa_pixel", "qa_radsat", "lwir11")
BANDS = ("b02", "b03", "b04", "b08", "b11", "b12")

# LC08_L1TP, Collection 2: an extract of the groups that matter
MTL = """GROUP = LANDSAT_METADATA_FILE
  GROUP = PRODUCT_CONTENTS
    LANDSAT_PRODUCT_ID = "LC08_L1TP_116034_20190512_20200829_02_T1"
    PROCESSING_LEVEL = "L1TP"
  END_GROUP = PRODUCT_CONTENTS
  GROUP = IMAGE_ATTRIBUTES
    SPACECRAFT_ID = "LANDSAT_8"
    DATE_ACQUIRED = 2019-05-12
    SCENE_CENTER_TIME = "02:09:29.1234560Z"
    SUN_ELEVATION = 30.00000000
  END_GROUP = IMAGE_ATTRIBUTES
  GROUP = LEVEL1_RADIOMETRIC_RESCALING
    REFLECTANCE_MULT_BAND_2 = 2.0000E-05
    REFLECTANCE_ADD_BAND_2 = -0.100000
    REFLECTANCE_MULT_BAND_3 = 2.0000E-05
    REFLECTANCE_ADD_BAND_3 = -0.100000
    REFLECTANCE_MULT_BAND_4 = 2.0000E-05
    REFLECTANCE_ADD_BAND_4 = -0.100000
    REFLECTANCE_MULT_BAND_5 = 2.0000E-05
    REFLECTANCE_ADD_BAND_5 = -0.100000
    REFLECTANCE_MULT_BAND_6 = 2.0000E-05
    REFLECTANCE_ADD_BAND_6 = -0.100000
    REFLECTANCE_MULT_BAND_7 = 2.0000E-05
    REFLECTANCE_ADD_BAND_7 = -0.100000
  END_GROUP = LEVEL1_RADIOMETRIC_RESCALING
END_GROUP = LANDSAT_METADATA_FILE
END
"""


def assets(names, *, stated=None, name="LC08_L2SP_116034_20190512_20200829_02_T1"):
    extra = {"raster:bands": [{"scale": stated[0], "offset": stated[1]}]} if stated else {}
    return {key: {"href": f"https://landsatlook.usgs.gov/data/{name}/{name}_{key}.TIF", **extra} for key in names}


@pytest.mark.parametrize(
    ("properties", "names", "stated", "keys"),
    [
        # Earth Search: common names and raster:bands
        ({"platform": "landsat-8", "landsat:correction": "L2SP"}, COMMON, SR, COMMON[1:8]),
        # USGS: common names, upper-case platform, nothing stated
        ({"platform": "LANDSAT_9", "landsat:correction": "L2SR"}, COMMON, None, COMMON[1:8]),
        # Planetary Computer: Landsat 7 has no coastal band
        ({"platform": "landsat-7", "landsat:correction": "L2SP"}, COMMON[1:], SR, COMMON[1:8]),
        # older USGS items: by file, level told by the addresses
        (
            {"eo:platform": "LANDSAT_8"},
            ("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7", "QA_PIXEL"),
            None,
            ("SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7", "QA_PIXEL"),
        ),
        (
            {"platform": "LANDSAT_5", "landsat:correction": "L2SP"},
            ("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B7", "QA_PIXEL"),
            None,
            ("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B7", "QA_PIXEL"),
        ),
    ],
)
def test_every_catalogues_assets_are_found(properties, names, stated, keys):
    found = landsat_assets(properties, assets(names, stated=stated))
    assert tuple(found) == (*BANDS, "qa_pixel")
    assert tuple(asset.key for asset in found.values()) == keys
    assert {(found[band].scale, found[band].offset) for band in BANDS} == {SR}
    assert found["qa_pixel"] == LandsatAsset(key=keys[-1])


def test_a_scale_of_one_states_nothing():
    found = landsat_assets({"platform": "landsat-8", "landsat:correction": "L2SP"}, assets(COMMON, stated=(1.0, 0.0)))
    assert (found["b03"].scale, found["b03"].offset) == SR


def test_absent_bands_are_left_out():
    found = landsat_assets({"platform": "landsat-8", "landsat:correction": "L2SP"}, assets(("green", "nir08")))
    assert tuple(found) == ("b03", "b08")


@pytest.mark.parametrize(
    ("platform", "correction", "sensor"),
    [
        ("landsat-5", "L2SP", LANDSAT_TM),
        ("LANDSAT_7", "L2SR", LANDSAT_TM),
        ("landsat-8", "L2SP", LANDSAT_OLI),
        ("LANDSAT_9", "L2SP", LANDSAT_OLI),
        ("landsat-5", "L1TP", LANDSAT_TM_L1),
        ("landsat-9", "L1GT", LANDSAT_OLI_L1),
    ],
)
def test_platform_and_correction_tell_the_sensor(platform, correction, sensor):
    assert landsat_sensor({"platform": platform, "landsat:correction": correction}) == sensor
    assert SENSORS[sensor.name] is sensor
    assert sensor.reflectance == ("top of atmosphere" if correction.startswith("L1") else "surface")
    assert {"b03", "b08", "b11"} <= set(sensor.bands)  # what the detectors ask for


@pytest.mark.parametrize("platform", ["", "landsat-4", "landsat-10", "sentinel-2a", "landsat"])
def test_other_platforms_are_refused(platform):
    with pytest.raises(UnitError, match="none that offing reads"):
        landsat_sensor({"platform": platform, "landsat:correction": "L2SP"})


def test_a_level_that_nobody_states_is_refused():
    with pytest.raises(UnitError, match="does not say its level"):
        landsat_sensor({"platform": "landsat-8"}, {"blue": {"href": "https://x/blue.tif"}})


def test_level_1_needs_its_mtl():
    with pytest.raises(UnitError, match="only with its MTL file"):
        landsat_assets({"platform": "landsat-8", "landsat:correction": "L1TP"}, assets(COMMON))


def test_top_of_atmosphere_reflectance_is_the_usgs_formula():
    # (2e-5 * 10000 - 0.1) / sin(30 deg) = 0.2
    scale, offset = toa_scaling(parse_mtl(MTL), 3)
    assert decode([10000], scale, offset) == pytest.approx([0.2], abs=1e-7)
    found = landsat_assets(
        {"platform": "landsat-8", "landsat:correction": "L1TP"}, assets(COMMON, stated=SR), parse_mtl(MTL)
    )
    assert (found["b08"].scale, found["b08"].offset) == pytest.approx((4e-5, -0.2), rel=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("REFLECTANCE_ADD_BAND_3", "X", "no number REFLECTANCE_ADD_BAND_3"),
        ("= 30.00000000", "= high", "no number SUN_ELEVATION"),
        ("= 30.00000000", "= -3.0", "at night nothing reflects"),
        ("= 30.00000000", "= nan", "not finite"),
    ],
)
def test_a_bad_mtl_is_refused(old, new, told):
    with pytest.raises(AnnotationError, match=told):
        toa_scaling(parse_mtl(MTL.replace(old, new)), 3)


def test_mtl_as_json_says_the_same():
    text = """{"LANDSAT_METADATA_FILE": {"IMAGE_ATTRIBUTES": {"SUN_ELEVATION": "30.0", "SPACECRAFT_ID": "LANDSAT_8"},
      "LEVEL1_RADIOMETRIC_RESCALING": {"REFLECTANCE_MULT_BAND_3": "2.0000E-05", "REFLECTANCE_ADD_BAND_3": "-0.1"}}}"""
    assert toa_scaling(parse_mtl(text), 3) == pytest.approx(toa_scaling(parse_mtl(MTL), 3), rel=1e-12)
    assert parse_mtl(MTL)["SPACECRAFT_ID"] == "LANDSAT_8"
    with pytest.raises(AnnotationError, match="not well-formed JSON"):
        parse_mtl("{")
    with pytest.raises(AnnotationError, match="holds no KEY"):
        parse_mtl("<html>")


def test_level_2_numbers_decode_as_the_product_guide_says():
    # LSDS-1619: valid reflectance 7273 to 43636, that is 0 to 1; fill 0
    values = decode(np.array([0, 1, 7273, 43636, 65535], np.uint16), *SR)
    np.testing.assert_allclose(values, [np.nan, -0.1999725, 0.0000075, 0.99999, np.nan], atol=1e-6)
    assert values.dtype == np.float32


def test_slc_off_stripes_are_no_data():
    scene = np.full((30, 30), 8000, np.uint16)
    scene[::14] = 0
    assert np.isnan(decode(scene, *SR)).any(axis=1).sum() == len(range(0, 30, 14))


def test_pixel_quality_is_decoded_bit_by_bit():
    # built from the bit table: 0 fill, 1 dilated cloud, 2 cirrus, 3 cloud, 4 shadow, 5 snow, 6 clear, 7 water
    order = ("fill", "dilated_cloud", "cirrus", "cloud", "cloud_shadow", "snow", "clear", "water")
    for bit, flag in enumerate(order):
        flags = decode_qa_pixel(np.array([1 << bit], np.uint16))
        assert {name for name, mask in flags.items() if mask[0]} == {flag}
    assert tuple(decode_qa_pixel([0])) == order


@pytest.mark.parametrize(
    ("value", "flag", "cloud_confidence"),
    [
        (21824, "clear", 1),
        (21952, "water", 1),
        (22280, "cloud", 3),
        (23888, "cloud_shadow", 1),
        (30048, "snow", 1),
        (54596, "cirrus", 1),
        (22080, "clear", 2),
    ],
)
def test_values_of_the_product_guide_mean_what_it_says(value, flag, cloud_confidence):
    assert decode_qa_pixel(np.array([value], np.uint16))[flag][0]
    assert qa_confidence(np.array([value], np.uint16), "cloud")[0] == cloud_confidence


def test_confidences_have_their_own_bits():
    high = {"cloud": 22280, "cloud_shadow": 23888, "snow": 30048, "cirrus": 54596}
    for what, value in high.items():
        assert qa_confidence([value], what)[0] == 3
        others = [qa_confidence([value], other)[0] for other in high if other != what]
        assert set(others) == {1}
    with pytest.raises(ValueError, match="no confidence in 'water'"):
        qa_confidence([1], "water")


def test_a_scenes_quality_band_decodes_as_it_is():
    flags = decode_qa_pixel(np.array([np.nan, 22280.0, 65534.0], np.float32))
    assert flags["fill"].tolist() == [True, False, False]
    assert flags["cloud"].tolist() == [False, True, True]


def test_the_time_is_that_of_the_scenes_centre():
    acquisition = landsat_acquisition({"datetime": "2019-05-12T02:09:29.123456Z"})
    assert acquisition.time == datetime(2019, 5, 12, 2, 9, 29, 123456, tzinfo=UTC)
    # 180 km at 6.7 km/s, uniform: 27 s / sqrt(12)
    assert acquisition.time_sigma_s == pytest.approx(180.0 / 6.7 / np.sqrt(12.0), abs=0.3)
    assert not np.isfinite(acquisition.at(0, 0).incidence_deg)


def test_a_date_alone_is_a_whole_day_unless_the_mtl_knows():
    vague = landsat_acquisition({"datetime": "2019-05-12T00:00:00Z"})
    assert vague.time == datetime(2019, 5, 12, 12, tzinfo=UTC)
    assert vague.time_sigma_s == pytest.approx(86400 / np.sqrt(12))
    known = landsat_acquisition({"datetime": "2019-05-12T00:00:00Z"}, parse_mtl(MTL))
    assert known.time == datetime(2019, 5, 12, 2, 9, 29, 123456, tzinfo=UTC)


@pytest.mark.parametrize("stated", [None, "", "yesterday"])
def test_no_time_is_refused(stated):
    with pytest.raises(AnnotationError, match="states no time"):
        landsat_acquisition({"datetime": stated})


def test_only_tier_1_needs_no_note():
    assert landsat_notes({"landsat:collection_category": "T1"}) == ()
    assert "tier T2" in landsat_notes({"landsat:collection_category": "T2"})[0]
    assert "tier RT" in landsat_notes({"landsat:collection_category": "RT"})[0]


def test_pixel_quality_is_an_ancillary_band():
    assert is_ancillary("qa_pixel")
    assert measured_bands((*BANDS, "qa_pixel")) == BANDS


def test_real_surface_reflectances_are_whole_numbers_in_these_units(real_data):
    # People's labels with Collection 2 surface reflectance, nearly all the mean of one or two pixels: undone by scale
    # and offset, twice the value is a whole number. Over open water some are negative, which is why they are kept.
    with real_data("optical/superior_labels/LS5_LS7.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["class"] == "openWater"]
    red = np.array([float(row["Red"]) for row in rows if row["Red"] != "NA"])
    assert len(red) > 100
    numbers = 2.0 * (red - LEVEL2_OFFSET) / LEVEL2_SCALE
    assert (np.abs(numbers - np.round(numbers)) < 0.01).mean() > 0.95
    assert 0.0 < np.median(red) < 0.05
    assert (red < 0.0).any()
    np.testing.assert_allclose(decode(numbers / 2.0, LEVEL2_SCALE, LEVEL2_OFFSET), red, atol=1e-6)
