"""Constructed files of known truth: each is read as what it is, or refused in a sentence that names the remedy."""

import numpy as np
import pytest
import rasterio
from affine import Affine

from imagery.errors import RasterError, UnitError
from imagery.geometry import pixel_size_m
from imagery.geotiff import write_geotiff
from imagery.hints import Hints
from imagery.pixel_grid import PixelGrid, has_places
from imagery.radiometry import is_calibrated, linear_intensity
from imagery.recognise import open_recognised
from tests.support import UTM, noise_scene, write_tif
from tests.test_geotiff import GRID

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
SIDE = 256


def sea(rng, level_db=-18.0, *, looks=4.4, order=10.0, side=SIDE, ships=6, land=False):
    """Linear sigma0 of K clutter with ships and, on the right, land."""
    texture = rng.gamma(order, 1 / order, (side, side)) if np.isfinite(order) else 1.0
    sigma0 = 10 ** (level_db / 10) * rng.gamma(looks, 1 / looks, (side, side)) * texture
    if land:
        width = side // 3
        sigma0[:, -width:] = 10 ** (-0.8) * rng.gamma(looks, 1 / looks, (side, width)) * rng.gamma(3, 1 / 3)
    for row, col in rng.integers(0, side - 8, (ships, 2)):
        sigma0[row : row + 3, col : col + 7] = 10 ** rng.uniform(0, 1.5)
    return sigma0


def db(sigma0):
    return 10 * np.log10(sigma0)


def f4(data):
    return np.asarray(data, np.float32)


def image(path, data, **options):
    return write_tif(path, data, **options)


def opened(tmp_path, data, name="image.tif", hints=None, **options):
    return open_recognised(image(tmp_path / name, data, **options), hints)


def unit_or_refusal(path):
    try:
        return open_recognised(path).unit, ""
    except UnitError as error:
        return None, str(error)


@pytest.mark.parametrize(
    ("make", "unit"),
    [
        (lambda s: f4(s), "sigma0"),
        (lambda s: f4(db(s)), "sigma0_db"),
        (lambda s: f4(300 * np.sqrt(s)), "amplitude"),
        (lambda s: np.clip(500 * np.sqrt(s), 0, 65535).astype(np.uint16), "amplitude"),
        (lambda s: np.clip(200 * np.sqrt(s), 0, 255).astype(np.uint8), "dn8"),
    ],
)
def test_units_are_told_by_the_pixels(tmp_path, make, unit):
    scene = opened(tmp_path, make(sea(np.random.default_rng(1))))
    assert (scene.unit, scene.bands, scene.sensor.kind) == (unit, ("vv",), "sar")
    assert is_calibrated(scene) == (unit in ("sigma0", "sigma0_db"))
    assert any("does not name its band" in note for note in scene.provenance.notes)


def test_no_sea_is_read_in_a_wrong_unit(tmp_path):
    """A sweep over levels, looks, spikiness, ships and land: refusal is allowed, a misreading is not."""
    rng = np.random.default_rng(20260101)
    right = refused = 0
    for i in range(60):
        looks = float(rng.choice([4.4, 5.0, 10.0, 40.0]))
        order = float(rng.choice([1.0, 2.0, 4.4, 10.0, np.inf]))
        sigma0 = sea(
            rng, rng.uniform(-30, -5), looks=looks, order=order, ships=int(rng.integers(0, 12)), land=i % 3 == 0
        )
        gain = rng.uniform(100, 3000)
        files = {
            "sigma0": f4(sigma0),
            "sigma0_db": f4(db(sigma0)),
            "amplitude": f4(np.sqrt(sigma0) * (1.0 if i % 2 else gain)),
        }
        for unit, data in files.items():
            got, why = unit_or_refusal(image(tmp_path / "x.tif", data))
            if got is None:
                assert "--unit" in why
                assert unit != "sigma0_db", why
                refused += 1
                continue
            assert got == unit, (i, looks, order)
            right += 1
    assert right > 2 * refused


@pytest.mark.parametrize("said", ["db", "linear", "amplitude", "dn8"])
@pytest.mark.parametrize("true", ["db", "linear", "amplitude"])
def test_a_unit_that_the_pixels_contradict_is_refused(tmp_path, said, true):
    sigma0 = sea(np.random.default_rng(3), -19.0)
    data = {"db": f4(db(sigma0)), "linear": f4(sigma0), "amplitude": f4(400 * np.sqrt(sigma0))}[true]
    if said == true:
        unit = {"db": "sigma0_db", "linear": "sigma0", "amplitude": "amplitude"}[true]
        assert opened(tmp_path, data, hints=Hints(unit=said)).unit == unit
        return
    with pytest.raises(UnitError, match="as --unit says") as caught:
        opened(tmp_path, data, hints=Hints(unit=said))
    assert "\n" not in str(caught.value)
    assert "image.tif" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "tags", "descriptions"),
    [
        ("scene_db.tif", {}, None),
        ("scene.tif", {"UNIT": "sigma0_db"}, None),
        ("scene.tif", {}, ["Sigma0_VV_db"]),
    ],
)
def test_what_a_file_says_of_its_unit_is_held_against_the_pixels(tmp_path, name, tags, descriptions):
    sigma0 = sea(np.random.default_rng(4))
    scene = opened(tmp_path, f4(db(sigma0)), name, tags=tags, descriptions=descriptions)
    assert (scene.unit, scene.bands) == ("sigma0_db", ("vv",))
    with pytest.raises(UnitError, match="--unit"):
        opened(tmp_path, f4(sigma0), name, tags=tags, descriptions=descriptions)


def test_a_square_root_of_sigma0_is_refused_rather_than_guessed_and_taken_when_said(tmp_path):
    data = f4(np.sqrt(sea(np.random.default_rng(5), -16.0)))
    with pytest.raises(UnitError, match="--unit"):
        opened(tmp_path, data)
    assert opened(tmp_path, data, hints=Hints(unit="amplitude")).unit == "amplitude"


def test_scaled_whole_numbers_are_asked_for_and_a_stated_scale_is_used(tmp_path):
    sigma0 = sea(np.random.default_rng(6))
    numbers = np.round(100 * db(sigma0)).astype(np.int16)
    with pytest.raises(UnitError, match="DN / 100"):
        opened(tmp_path, numbers)
    path = image(tmp_path / "scaled_db.tif", numbers)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (0.01,), (0.0,)
    scene = open_recognised(path)
    assert scene.unit == "sigma0_db"
    np.testing.assert_allclose(scene.read().data[0], db(sigma0), atol=0.006)


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("unit", ["linear", "db", "amplitude"])
def test_unnamed_polarisations_are_told_apart_by_level(tmp_path, unit, swap):
    rng = np.random.default_rng(7)
    pair = [sea(rng, -17.0), sea(rng, -26.0)]
    convert = {"linear": f4, "db": lambda s: f4(db(s)), "amplitude": lambda s: f4(500 * np.sqrt(s))}[unit]
    scene = opened(tmp_path, np.stack([convert(s) for s in (pair[::-1] if swap else pair)]))
    assert scene.bands == ("vv", "vh")
    np.testing.assert_array_equal(scene.read().data, np.stack([convert(s) for s in pair]))


def test_unnamed_polarisations_of_one_level_are_asked_for(tmp_path):
    rng = np.random.default_rng(8)
    data = f4(np.stack([sea(rng, -22.0), sea(rng, -23.5)]))
    with pytest.raises(RasterError, match="--bands VV,VH or --bands VH,VV"):
        opened(tmp_path, data)
    scene = opened(tmp_path, data, hints=Hints(bands=("VV", "VH")))
    assert scene.bands == ("vv", "vh")


@pytest.mark.parametrize("hints", [None, Hints(bands=("VH", "VV"))])
def test_swapped_polarisations_are_refused_with_the_right_order(tmp_path, hints):
    rng = np.random.default_rng(9)
    data = f4(np.stack([sea(rng, -17.0), sea(rng, -26.0)]))
    descriptions = None if hints else ["VH", "VV"]
    with pytest.raises(RasterError, match=r"brighter than VV by .* --bands VV,VH"):
        opened(tmp_path, data, hints=hints, descriptions=descriptions)


def test_a_band_is_named_by_its_description_or_the_file(tmp_path):
    data = f4(sea(np.random.default_rng(10), -24.0))
    assert opened(tmp_path, data, "s1_vh_20190512.tif").bands == ("vh",)
    assert opened(tmp_path, data, descriptions=["Sigma0_VH"]).bands == ("vh",)
    assert opened(tmp_path, data, hints=Hints(bands=("HH",))).bands == ("hh",)


def test_no_data_by_zero_by_nan_and_by_numbers_that_nothing_can_be(tmp_path):
    sigma0 = f4(sea(np.random.default_rng(11)))
    truth = np.ones(sigma0.shape, bool)
    truth[:64, :100] = False
    for data, nothing in [(sigma0, 0.0), (sigma0, np.nan), (f4(db(sigma0)), 0.0), (f4(db(sigma0)), -9999.0)]:
        holed = np.where(truth, data, np.float32(nothing))
        np.testing.assert_array_equal(opened(tmp_path, holed).read().valid[0], truth)


def test_a_zero_among_clamped_noise_is_dark_water_and_not_a_hole(tmp_path):
    data = f4(np.maximum(sea(np.random.default_rng(12), -24.0) - 0.003, 0.0))
    assert 0.2 < (data == 0).mean() < 0.8
    scene = opened(tmp_path, data, "vh_sigma0.tif")
    assert scene.read().valid.all()


def test_a_decibel_scale_cut_at_zero_keeps_its_ships(tmp_path):
    data = db(sea(np.random.default_rng(13)))
    data[100:140, 100:200] = np.random.default_rng(0).uniform(-3, 0.3, (40, 100))
    data[60:76, 60:76] = 5.0
    scene = opened(tmp_path, f4(np.clip(data, -30, 0)))
    assert scene.read().valid.all()


def test_subtracted_noise_marks_a_power(tmp_path):
    data = f4(sea(np.random.default_rng(14), -24.0) - 0.003)
    assert opened(tmp_path, data).unit == "sigma0"


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
@pytest.mark.parametrize("bands", [1, 3])
def test_grey_chips_without_a_place_are_radar_in_pixels(tmp_path, suffix, bands):
    grey = np.clip(180 * np.sqrt(sea(np.random.default_rng(15))), 0, 255).astype(np.uint8)
    path = tmp_path / f"chip.{suffix}"
    driver = {"jpg": "JPEG", "png": "PNG", "tif": "GTiff"}[suffix]
    with rasterio.open(path, "w", driver=driver, width=SIDE, height=SIDE, count=bands, dtype="uint8") as dataset:
        dataset.write(np.stack([grey] * bands))
    scene = open_recognised(path)
    assert (scene.unit, scene.bands, scene.sensor.name) == ("dn8", ("vv",), "sar")
    assert not is_calibrated(scene)
    assert not has_places(scene.geometry)
    assert np.isnan(scene.geometry.lonlat(3, [1, 2])).all()
    assert any("lengths in pixels" in note for note in scene.provenance.notes)
    if suffix != "jpg":
        np.testing.assert_array_equal(scene.read().data[0], grey)


def test_grey_levels_are_of_an_amplitude_and_none_has_no_power():
    levels = np.array([0.0, 1.0, 255.0, np.nan], np.float32)
    np.testing.assert_allclose(linear_intensity(levels, "dn8"), [0.25, 2.25, 255.5**2, np.nan])


def test_black_patches_of_a_chip_are_not_observed(tmp_path):
    grey = np.clip(180 * np.sqrt(sea(np.random.default_rng(16))), 0, 255).astype(np.uint8)
    assert opened(tmp_path, grey).clip_value is None
    grey[:64, :64] = 0
    assert opened(tmp_path, grey).clip_value == 0.0


def test_a_plane_for_measuring_has_pixels_of_one_unit():
    assert pixel_size_m(PixelGrid(shape_hw=(800, 600)).plane()) == pytest.approx((1.0, 1.0), rel=1e-5)
    assert pixel_size_m(PixelGrid(shape_hw=(800, 600), pixel_m=12.5).plane()) == pytest.approx((12.5, 12.5), rel=1e-5)


@pytest.mark.parametrize("side_m", [0.5, 90.0])
def test_pixels_too_small_or_too_large_are_refused(tmp_path, side_m):
    data = f4(sea(np.random.default_rng(17)))
    with pytest.raises(RasterError, match="gdalwarp"):
        opened(tmp_path, data, transform=Affine(side_m, 0, 380000, 0, -side_m, 4200000))


def test_web_mercator_pixels_are_measured_on_the_ground(tmp_path):
    data = f4(sea(np.random.default_rng(18)))
    x, y = 1_900_000.0, 7_273_000.0  # 54.5 N
    scene = opened(tmp_path, data, crs="EPSG:3857", transform=Affine(10, 0, x, 0, -10, y))
    latitude = scene.geometry.lonlat(SIDE / 2, SIDE / 2)[1]
    assert pixel_size_m(scene.geometry) == pytest.approx([10 * np.cos(np.radians(latitude))] * 2, rel=0.005)
    large = Affine(100, 0, x, 0, -100, y)  # 58 m on the ground
    assert opened(tmp_path, data, crs="EPSG:3857", transform=large).unit == "sigma0"


def test_a_pixel_size_is_taken_where_there_is_none_and_refused_where_it_is_wrong(tmp_path):
    data = f4(sea(np.random.default_rng(19)))
    scene = opened(tmp_path, data, crs=None, transform=None, hints=Hints(pixel_size_m=12.5))
    assert scene.geometry.pixel_m == 12.5
    assert opened(tmp_path, data, hints=Hints(pixel_size_m=10.0)).unit == "sigma0"
    with pytest.raises(RasterError, match="leave out --pixel-size"):
        opened(tmp_path, data, hints=Hints(pixel_size_m=20.0))


def coast(rng, side=SIDE):
    """Reflectance (b02, b03, b04, b08): water on the left, vegetation on the right."""
    water, green = [0.06, 0.05, 0.03, 0.01], [0.05, 0.08, 0.06, 0.35]
    out = np.empty((4, side, side))
    for band in range(4):
        out[band, :, : side // 2], out[band, :, side // 2 :] = water[band], green[band]
    return out * rng.normal(1, 0.05, out.shape)


@pytest.mark.parametrize(
    ("make", "dtype", "tolerance"),
    [
        (lambda r: r, np.float32, 1e-6),
        (lambda r: np.round(r * 10000), np.uint16, 6e-5),
        (lambda r: np.round(r * 10000 + 1000), np.uint16, 6e-5),
        (lambda r: np.round(r * 10000), np.int16, 6e-5),
    ],
)
def test_reflectance_and_its_scale_are_told_by_the_pixels(tmp_path, make, dtype, tolerance):
    truth = coast(np.random.default_rng(20))
    scene = opened(tmp_path, make(truth).astype(dtype), descriptions=["B2", "green", "Red", "NIR"])
    assert (scene.unit, scene.bands) == ("reflectance", ("b02", "b03", "b04", "b08"))
    np.testing.assert_allclose(scene.read().data, truth, atol=tolerance)


def test_numbers_between_the_two_scales_are_asked_for(tmp_path):
    data = np.round(coast(np.random.default_rng(21)) * 10000 + 770).astype(np.uint16)
    with pytest.raises(UnitError, match="UNIT tag"):
        opened(tmp_path, data, descriptions=["B02", "B03", "B04", "B08"])


def test_true_colour_with_alpha(tmp_path):
    truth = coast(np.random.default_rng(22))[[2, 1, 0]]
    alpha = np.full((1, SIDE, SIDE), 255, np.uint8)
    alpha[:, :50] = 0
    data = np.concatenate([np.clip(np.round(truth * 255 / 0.3558), 0, 255).astype(np.uint8), alpha])
    scene = opened(tmp_path, data, photometric="RGB", alpha="YES")
    assert (scene.bands, scene.unit, scene.sensor.kind) == (("b04", "b03", "b02"), "reflectance", "optical")
    pixels = scene.read()
    np.testing.assert_array_equal(pixels.valid, np.broadcast_to(alpha != 0, pixels.valid.shape))
    np.testing.assert_allclose(pixels.data[:, 50:], truth[:, 50:], atol=0.0008)
    assert any("approximate" in note for note in scene.provenance.notes)


def test_four_unnamed_bands_are_asked_for_and_taken_when_named(tmp_path):
    data = f4(coast(np.random.default_rng(23)))
    with pytest.raises(RasterError, match="--bands"):
        opened(tmp_path, data)
    assert opened(tmp_path, data, hints=Hints(bands=("B", "G", "R", "NIR"))).bands == ("b02", "b03", "b04", "b08")
    assert opened(tmp_path, data, hints=Hints(bands=("-", "G", "-", "NIR"))).bands == ("b03", "b08")


def refused():
    rng = np.random.default_rng(24)
    radar = f4(sea(rng))
    optical = f4(coast(rng))
    land = f4(np.stack([rng.gamma(4.4, 0.2 / 4.4, (SIDE, SIDE)), rng.gamma(4.4, 0.06 / 4.4, (SIDE, SIDE))]))
    named = {"descriptions": ["B02", "B03", "B04", "B08"]}
    return [
        ("nan", np.full((64, 64), np.nan, np.float32), {}, None, "no valid pixel"),
        ("zero", np.zeros((64, 64), np.uint16), {}, None, "no valid pixel"),
        ("seven bands", np.ones((7, 9, 9), np.uint16), {}, None, "--bands"),
        ("too few names", radar, {}, Hints(bands=("VV", "VH")), "has 1 band"),
        ("mixed", np.stack([radar, radar]), {}, Hints(bands=("VV", "B08")), "radar and optical"),
        ("classes", rng.integers(1, 9, (SIDE, SIDE)).astype(np.uint16), {}, None, "mask or a map of classes"),
        ("radar land", land, {"descriptions": ["VV", "VH"], "tags": {"UNIT": "sigma0"}}, None, "shows no water"),
        ("optical land", optical[:, :, SIDE // 2 :], named, None, "shows no water"),
        ("wrong bands", optical[[3, 2, 1, 0]][:, :, SIDE // 2 + 1 :], named, Hints(sensor="sar"), "leave out --sensor"),
        ("unit of radar", optical, named, Hints(unit="db"), "--unit db is for radar"),
        (
            "not reflectance",
            optical * 1000,
            named | {"tags": {"UNIT": "reflectance"}},
            None,
            "cannot be in reflectance",
        ),
        ("colour as radar", (optical[:3] * 700).astype(np.uint8), {}, Hints(sensor="sar"), "in colour"),
    ]


@pytest.mark.parametrize(("name", "data", "options", "hints", "words"), refused(), ids=[r[0] for r in refused()])
def test_what_cannot_be_used_is_refused_in_one_sentence(tmp_path, name, data, options, hints, words):
    with pytest.raises((RasterError, UnitError), match=words) as caught:
        opened(tmp_path, data, hints=hints, **options)
    assert "image.tif" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "hints",
    [{"unit": "furlongs"}, {"bands": ("VV", "VV")}, {"bands": ("X",)}, {"pixel_size_m": 0.0}, {"pixel_size_m": np.nan}],
)
def test_hints_that_mean_nothing_are_refused(hints):
    with pytest.raises((RasterError, UnitError), match=r"--(unit|bands|pixel-size)"):
        Hints(**hints)


def test_a_file_of_our_own_says_everything(tmp_path):
    scene = noise_scene(GRID)
    write_geotiff(scene, tmp_path / "own.tif")
    again = open_recognised(tmp_path / "own.tif")
    assert (again.unit, again.bands, again.sensor) == (scene.unit, scene.bands, scene.sensor)
    for hints in (Hints(unit="db"), Hints(bands=("VH", "VV"))):
        with pytest.raises((RasterError, UnitError), match="leave out --"):
            open_recognised(tmp_path / "own.tif", hints)


def test_a_large_image_is_judged_by_windows_all_over_it(tmp_path):
    data = f4(sea(np.random.default_rng(25), -19.0, side=1500, ships=50))
    assert opened(tmp_path, data, tiled=True, transform=UTM).unit == "sigma0"


@pytest.mark.parametrize(
    ("path", "unit", "bands"),
    [
        ("sar/arabian_sea_amplitude.tif", "amplitude", ("vv",)),
        ("sar/irish_sea/S1_IW_VV_20230615T180704Z_c0_r1.tif", "sigma0_db", ("vv",)),
        ("sar/ssdd/images/000002.jpg", "dn8", ("vv",)),
        ("sar/ls_ssdd_sample/history/01_1_10.jpg", "dn8", ("vv",)),
        ("optical/sen2ships/gdynia_2023-06-11.tif", "reflectance", ("b02", "b03", "b04", "b08", "b11")),
        ("optical/s2_anchorage_timeseries/houston_T15RUN_20190409T164849_TCI_rgba.tif", "reflectance", None),
        ("optical/s2_coastal_chips/accra.tif", "reflectance", ("b02", "b03", "b04", "b08", "b11")),
    ],
)
def test_real_files_are_what_their_sources_say(real_data, path, unit, bands):
    scene = open_recognised(real_data(path))
    assert scene.unit == unit
    assert scene.bands == (bands or ("b04", "b03", "b02"))


def test_the_amplitude_of_a_real_radar_is_told_without_its_name(real_data, tmp_path):
    with rasterio.open(real_data("sar/arabian_sea_amplitude.tif")) as dataset:
        data, transform = dataset.read(1), dataset.transform
    assert opened(tmp_path, data, "image.tif", crs="EPSG:4326", transform=transform).unit == "amplitude"
