import contextlib
import importlib.util
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from shapely import Point, Polygon

from imagery.geometry import Grid
from models.metrics.coco import decode_rle, read_coco, read_results
from models.metrics.scene_truth import read_scene_truth
from tests.conftest import ROOT
from tests.support import UTM, scene_of_array, write_tif


def load_script():
    spec = importlib.util.spec_from_file_location("evaluate_vessel", ROOT / "scripts" / "evaluate_vessel.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


script = load_script()


def run(capsys, *arguments):
    """Exit status, standard output and standard error of one call."""
    status = script.main([str(a) for a in arguments])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def scores(capsys, *arguments):
    status, out, err = run(capsys, *arguments, "--json")
    assert (status, err) == (0, "")
    return json.loads(out)


def hull(centre_xy, length, width, axis_deg):
    """Corners of a ship; the axis is clockwise from up."""
    along = np.array([np.sin(np.radians(axis_deg)), -np.cos(np.radians(axis_deg))])
    across = np.array([-along[1], along[0]])
    steps = ((1, 1), (1, -1), (-1, -1), (-1, 1))
    return np.array([np.asarray(centre_xy) + s * length / 2 * along + t * width / 2 * across for s, t in steps])


def annotation(number, image_id, corners, **more):
    low, high = corners.min(axis=0), corners.max(axis=0)
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 7,
        "bbox": [*low.tolist(), *(high - low).tolist()],
        "area": float(np.prod(high - low)),
        "iscrowd": 0,
        "segmentation": [corners.ravel().tolist()],
    } | more


def coco_set(images, annotations, **more):
    return {"info": {}, "categories": [{"id": 7, "name": "ship"}], "images": images, "annotations": annotations} | more


def image(number, *, size=(320, 300), **more):
    return {"id": number, "file_name": f"{number:03}.png", "width": size[0], "height": size[1]} | more


@pytest.fixture
def constructed(tmp_path):
    """Three images; results with 3 true detections, 2 false ones at .6, and a true one at .3 that .5 leaves out."""
    ships = [
        hull((60, 50), 40, 10, 30),
        hull((200, 200), 60, 12, 90),
        hull((150, 90), 24, 8, 0),
        hull((250, 250), 12, 6, 45),
    ]
    truth = coco_set(
        [
            image(1, scene_group=0, land_fraction=0.0),
            image(2, scene_group=1, land_fraction=0.3),
            image(3, scene_group=1, land_fraction=0.01),
        ],
        [annotation(i + 1, n, s) for i, (n, s) in enumerate(zip([1, 1, 2, 3], ships, strict=True))],
        info={"data_kind": "simulated"},
    )

    def result(number, image_id, score):
        return {
            "image_id": image_id,
            "category_id": 7,
            "bbox": truth["annotations"][number - 1]["bbox"],
            "score": score,
        }

    stray = {"category_id": 7, "bbox": [5.0, 280.0, 10.0, 10.0], "score": 0.6}
    results = [
        result(1, 1, 0.9) | {"oriented_box": [60, 50, 44, 10, 40]},
        result(2, 1, 0.8) | {"oriented_box": [200, 200, 60, 12, 88]},
        result(3, 2, 0.7),
        result(4, 3, 0.3),
        stray | {"image_id": 2},
        stray | {"image_id": 3},
    ]
    paths = tmp_path / "truth.json", tmp_path / "results.json"
    for path, content in zip(paths, (truth, results), strict=True):
        path.write_text(json.dumps(content))
    return paths


def pycocotools_ap50(truth, results, image_ids=None):
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(truth))
        evaluation = COCOeval(coco, coco.loadRes(str(results)), "bbox")
        if image_ids is not None:
            evaluation.params.imgIds = image_ids
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[1]


def test_scores_of_a_results_file_by_hand(constructed, capsys):
    truth, results = constructed
    report = scores(capsys, "--coco", truth, "--detector", f"coco-results:{results}", "--bootstrap", 200)
    assert report["precision"] == pytest.approx(3 / 5)
    assert report["recall"] == pytest.approx(3 / 4)
    assert report["f1"] == pytest.approx(2 * 3 / (5 + 4))
    assert (report["threshold"], report["data_kind"]) == (0.5, "simulated")
    assert (report["n_images"], report["n_ships"], report["n_detections"], report["n_detections_all"]) == (3, 4, 5, 6)
    assert report["ap50"] == pytest.approx(pycocotools_ap50(truth, results), abs=1e-9)
    offshore, inshore = report["strata"]["offshore"], report["strata"]["inshore"]  # a land fraction of .01 is offshore
    assert (offshore["n_images"], offshore["n_ships"], inshore["n_images"]) == (2, 3, 1)
    assert offshore["f1"] == pytest.approx(2 * 2 / (3 + 3))
    assert inshore["f1"] == pytest.approx(2 * 1 / (2 + 1))
    assert offshore["ap50"] == pytest.approx(pycocotools_ap50(truth, results, [1, 3]), abs=1e-9)
    assert report["strata"]["lengths"][1]["n_ships"] == 1  # 12 px
    assert report["strata"]["lengths"][1]["recall"] == 0.0
    assert set(report["intervals"]) == {"f1", "precision", "recall", "ap50"}
    for name, (low, high) in report["intervals"].items():
        assert low <= report[name] <= high
    # lengths 44 of 40 and 60 of 60, axes 10 and 2 degrees off
    assert report["shape"]["n"] == 2
    assert report["shape"]["length_accuracy"] == pytest.approx(0.95)
    assert report["shape"]["axis_error_median_deg"] == pytest.approx(6.0, abs=1e-6)
    assert report["best_threshold"]["threshold"] == 0.7
    assert report["best_threshold"]["f1"] == pytest.approx(6 / 7)


def test_threshold_seed_and_unit_can_be_chosen(constructed, capsys):
    truth, results = constructed
    call = ("--coco", truth, "--detector", f"coco-results:{results}")
    low = scores(capsys, *call, "--threshold", 0.1, "--bootstrap", 0)
    assert low["recall"] == 1.0
    assert low["intervals"] == {}
    one = scores(capsys, *call, "--bootstrap", 50)
    assert one == scores(capsys, *call, "--bootstrap", 50)
    assert one["intervals"] != scores(capsys, *call, "--bootstrap", 50, "--seed", 3)["intervals"]
    grouped = scores(capsys, *call, "--bootstrap", 50, "--bootstrap-unit", "group")
    assert grouped["bootstrap_unit"] == "group"
    high = scores(capsys, *call, "--threshold", 0.95)
    assert (high["precision"], high["recall"], high["n_detections"]) == (None, 0.0, 0)


def test_detections_are_written_whatever_their_score(constructed, capsys, tmp_path):
    truth, results = constructed
    out = tmp_path / "out.json"
    call = ("--coco", truth, "--bootstrap", 0, "--detector")
    first = scores(capsys, *call, f"coco-results:{results}", "--detections", out)
    written = json.loads(out.read_text())
    assert len(written) == 6
    assert min(entry["score"] for entry in written) == 0.3
    assert pycocotools_ap50(truth, out) == pytest.approx(first["ap50"], abs=1e-9)
    box = next(entry for entry in written if entry["score"] == 0.9)
    assert box["centre_xy"] == pytest.approx([60, 50])
    assert box["oriented_box"] == [60, 50, 44, 10, 40]
    assert next(entry for entry in written if entry["score"] == 0.7)["oriented_box"] is None
    again = scores(capsys, *call, f"coco-results:{out}")
    assert {k: v for k, v in again.items() if k != "detector"} == {k: v for k, v in first.items() if k != "detector"}


def test_boxes_alone_and_masks_serve_as_outlines(constructed, capsys, tmp_path):
    truth, results = constructed
    data = json.loads(truth.read_text())
    wanted = scores(capsys, "--coco", truth, "--detector", f"coco-results:{results}", "--bootstrap", 0)
    call = ("--detector", f"coco-results:{results}", "--bootstrap", 0)
    for a in data["annotations"]:
        encoded = rle.merge(rle.frPyObjects(a["segmentation"], 300, 320))
        a["segmentation"] = {"size": encoded["size"], "counts": encoded["counts"].decode()}
    masks = tmp_path / "masks.json"
    masks.write_text(json.dumps(data))
    assert scores(capsys, "--coco", masks, *call)["f1"] == wanted["f1"]
    for a in data["annotations"]:
        del a["segmentation"], a["iscrowd"]
    for i in data["images"]:
        del i["scene_group"], i["land_fraction"]
    del data["info"]
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps(data))
    report = scores(capsys, "--coco", boxes, *call)
    assert report["f1"] == wanted["f1"]
    assert set(report["strata"]) == {"lengths"}
    assert (report["data_kind"], report["matching"]) == ("not stated", "centre in outline or box + 3 px")
    assert scores(capsys, "--coco", boxes, *call, "--data-kind", "real")["data_kind"] == "real"


def test_crowds_and_what_is_no_vessel_are_not_counted(constructed, capsys):
    truth, results = constructed
    data, found = json.loads(truth.read_text()), json.loads(results.read_text())
    data["annotations"][1]["iscrowd"] = 1
    found[4]["is_vessel"] = False
    truth.write_text(json.dumps(data))
    results.write_text(json.dumps(found))
    report = scores(capsys, "--coco", truth, "--detector", f"coco-results:{results}", "--bootstrap", 0)
    assert (report["n_ships"], report["precision"]) == (3, pytest.approx(2 / 3))
    assert report["recall"] == pytest.approx(2 / 3)


def test_run_lengths_are_those_of_pycocotools():
    rng = np.random.default_rng(0)
    for shape in ((5, 7), (40, 3), (64, 100)):
        for share in (0.0, 0.02, 0.5, 1.0):
            mask = rng.random(shape) < share
            encoded = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
            assert (decode_rle({"size": encoded["size"], "counts": encoded["counts"].decode()}) == mask).all()
    assert decode_rle({"size": [2, 3], "counts": [1, 2, 3]}).tolist() == [[False, True, False], [True, False, False]]


@pytest.fixture
def painted(tmp_path):
    """Two 8-bit chips of speckle with bright hulls, one with a bright half that a sea mask leaves out."""
    rng = np.random.default_rng(1)
    (tmp_path / "images").mkdir()
    (tmp_path / "sea").mkdir()
    hulls = [[hull((80, 70), 40, 10, 30), hull((220, 200), 50, 12, 90)], [hull((90, 150), 36, 10, 0)]]
    rows, cols = np.mgrid[:300, :320] + 0.5
    for number, ships in enumerate(hulls, start=1):
        amplitude = 25 * np.sqrt(rng.gamma(4.0, 0.25, (300, 320)))
        for corners in ships:
            polygon = Polygon(corners)
            low, high = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int)
            for r in range(low[1], high[1]):
                for c in range(low[0], high[0]):
                    if polygon.contains(Point(cols[r, c], rows[r, c])):
                        amplitude[r, c] = 230
        sea = np.ones((300, 320), bool)
        if number == 2:
            sea[:, 230:] = False
            land = rng.random((300, 90)) < 0.2
            amplitude[:, 230:][land] = 240
        Image.fromarray(np.clip(amplitude, 0, 255).astype(np.uint8)).convert("RGB").save(
            tmp_path / "images" / f"{number:03}.png"
        )
        Image.fromarray(np.where(sea, 255, 0).astype(np.uint8)).save(tmp_path / "sea" / f"{number:03}.png")
    numbered = [(n, s) for n, ships in enumerate(hulls, start=1) for s in ships]
    data = coco_set([image(1), image(2)], [annotation(i, n, s) for i, (n, s) in enumerate(numbered, start=1)])
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(data))
    return path, tmp_path / "images", tmp_path / "sea"


@pytest.mark.parametrize("detector", ["cfar-k", "cfar-trimmed", "cfar-gamma", "cfar-g0"])
def test_cfar_finds_bright_hulls_and_a_sea_mask_keeps_it_off_the_land(painted, capsys, tmp_path, detector):
    truth, images, sea = painted
    out = tmp_path / "found.json"
    call = ("--coco", truth, "--images", images, "--detector", detector, "--bootstrap", 0)
    report = scores(capsys, *call, "--sea-masks", sea, "--detections", out)
    assert (report["recall"], report["precision"], report["ap50"]) == (1.0, 1.0, pytest.approx(1.0))
    assert report["shape"]["length_accuracy"] > 1 - 5 / 36  # smoothed over 5 px, the shortest hull has 36
    assert report["shape"]["axis_error_median_deg"] < 4
    for entry in json.loads(out.read_text()):
        centre = np.array(entry["centre_xy"])
        assert 0 <= centre[0] < 320
        if entry["score"] >= 0.5:
            offsets = [np.abs(centre - place).max() for place in ((80, 70), (220, 200), (90, 150))]
            assert min(offsets) < 1.0  # the convention of half pixels holds
    assert len(scores(capsys, *call)) == len(report)


def test_cfar_rates_can_be_printed_again(painted, capsys):
    truth, images, _ = painted
    status, out, _ = run(capsys, "--coco", truth, "--images", images, "--detector", "cfar-gamma", "--tune")
    rates = json.loads(out)["rates"]
    assert status == 0
    assert [row["false_alarm_rate"] for row in rates] == list(script.TUNING_RATES)
    assert max(row["f1"] for row in rates) == 1.0


BAD_SETS = {
    "not JSON": (lambda data: "{", "is not JSON"),
    "a list": (lambda data: [], "is not a COCO annotation file"),
    "no annotations": (lambda data: {"images": []}, "needs the lists 'images' and 'annotations'"),
    "no images": (lambda data: data | {"images": [], "annotations": []}, "lists no images"),
    "no width": (lambda data: data["images"][0].pop("width") and data, "lacks the field 'width'"),
    "a box outside": (
        lambda data: data["annotations"][0].update(bbox=[300, 10, 40, 20]) or data,
        "reaches outside image",
    ),
    "a flat box": (lambda data: data["annotations"][0].update(bbox=[30, 10, 0, 20]) or data, "positive size"),
    "a stranger": (lambda data: data["annotations"][0].update(image_id=99) or data, "which is not listed"),
    "a short ring": (lambda data: data["annotations"][0].update(segmentation=[[1, 2, 3]]) or data, "3 or more corners"),
    "a wrong mask": (
        lambda data: data["annotations"][0].update(segmentation={"size": [2, 2], "counts": [1, 2]}) or data,
        "sum to 3",
    ),
    "two categories": (
        lambda data: data | {"categories": [{"id": 7, "name": "ship"}, {"id": 8, "name": "buoy"}]},
        "say with --category",
    ),
    "text for a number": (lambda data: data["images"][0].update(width="wide") or data, "is not a COCO annotation file"),
}


@pytest.mark.parametrize("case", BAD_SETS)
def test_bad_sets_end_with_one_sentence_and_2(constructed, capsys, case):
    truth, results = constructed
    change, words = BAD_SETS[case]
    content = change(json.loads(truth.read_text()))
    truth.write_text(content if isinstance(content, str) else json.dumps(content))
    status, out, err = run(capsys, "--coco", truth, "--detector", f"coco-results:{results}")
    assert (status, out) == (2, "")
    assert words in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_a_category_can_be_named(constructed, capsys):
    truth, results = constructed
    data = json.loads(truth.read_text())
    data["categories"].append({"id": 8, "name": "buoy"})
    data["annotations"][3]["category_id"] = 8
    truth.write_text(json.dumps(data))
    call = ("--coco", truth, "--detector", f"coco-results:{results}", "--bootstrap", 0)
    assert scores(capsys, *call, "--category", "ship")["n_ships"] == 3


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[", "is not JSON"),
        ("{}", "is not a COCO results file"),
        ('[{"image_id": 1}]', "lacks the field 'category_id'"),
        ('[{"image_id": 44, "category_id": 7, "bbox": [1, 1, 2, 2], "score": 1}]', "image 44 is not in"),
        ('[{"image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2], "score": 1}]', "ships are category 7"),
        ('[{"image_id": 1, "category_id": 7, "bbox": [1, 1, 2], "score": 1}]', "is not a COCO results file"),
        ('[{"image_id": 1, "category_id": 7, "bbox": [1, 1, 2, 2], "score": "high"}]', "is not a COCO results file"),
    ],
)
def test_bad_results_end_with_one_sentence_and_2(constructed, capsys, content, words):
    truth, results = constructed
    results.write_text(content)
    status, out, err = run(capsys, "--coco", truth, "--detector", f"coco-results:{results}")
    assert (status, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_bad_files_end_with_one_sentence_and_2(painted, capsys, tmp_path):
    truth, images, _ = painted
    cfar = ("--detector", "cfar-k")
    (tmp_path / "text").mkdir()
    for name in ("001.png", "002.png"):
        (tmp_path / "text" / name).write_text("no picture")
    (tmp_path / "small").mkdir()
    for name in ("001.png", "002.png"):
        Image.new("L", (10, 10)).save(tmp_path / "small" / name)
    cases = [
        (("--coco", tmp_path / "none.json", "--images", images, *cfar), "does not exist"),
        (("--coco", truth, *cfar), "--images"),
        (("--coco", truth, "--images", tmp_path, *cfar), "does not exist"),
        (("--coco", truth, "--images", tmp_path / "text", *cfar), "is not an image that can be read"),
        (("--coco", truth, "--images", tmp_path / "small", *cfar), "its COCO file says"),
        (("--coco", truth, "--images", images, "--sea-masks", tmp_path, *cfar), "sea mask"),
        (("--coco", truth, "--images", images, "--sea-masks", tmp_path / "small", *cfar), "rows and columns"),
        (("--coco", truth, "--images", images, "--detector", "yolo"), "there is no detector 'yolo'"),
        (("--coco", truth, "--images", images, "--weights", tmp_path / "none"), "does not exist"),
        (("--coco", truth, "--images", images, "--tune"), "--tune is for"),
        (("--coco", truth, "--detector", f"coco-results:{tmp_path / 'none.json'}"), "does not exist"),
        (("--scene", tmp_path / "none.tif", "--truth", truth), "does not exist"),
        (("--coco", truth, "--images", images, "--bootstrap-unit", "group", *cfar), "scene_group"),
        (("--coco", truth, "--images", images, "--detections", tmp_path / "no" / "x.json", *cfar), "cannot be written"),
    ]
    for arguments, words in cases:
        status, out, err = run(capsys, *arguments)
        assert (status, out) == (2, ""), arguments
        assert words in err, arguments
        assert err.count("\n") == 1, arguments


def test_geotiff_chips_are_read_without_a_georeference(painted, capsys, tmp_path):
    truth, images, _ = painted
    data = json.loads(truth.read_text())
    for i in data["images"]:
        with Image.open(images / i["file_name"]) as opened:
            pixels = np.asarray(opened.convert("L"))
        i["file_name"] = i["file_name"].replace("png", "tif")
        Image.fromarray(pixels).save(tmp_path / i["file_name"])
    both = tmp_path / "tif.json"
    both.write_text(json.dumps(data))
    call = ("--detector", "cfar-gamma", "--bootstrap", 0)
    found = scores(capsys, "--coco", both, "--images", tmp_path, *call)
    assert found["f1"] == scores(capsys, "--coco", truth, "--images", images, *call)["f1"]
    Image.fromarray(pixels.astype(np.float32)).save(tmp_path / "001.tif")
    status, _, err = run(capsys, "--coco", both, "--images", tmp_path, *call)
    assert status == 2
    assert "needs 8-bit images" in err


def test_a_chip_too_small_for_its_background_is_not_called_empty(tmp_path, capsys):
    Image.new("L", (60, 60), 30).save(tmp_path / "001.png")
    (tmp_path / "t.json").write_text(json.dumps(coco_set([image(1, size=(60, 60))], [])))
    status, _, err = run(capsys, "--coco", tmp_path / "t.json", "--images", tmp_path, "--detector", "cfar-k")
    assert status == 2
    assert "too small" in err


def test_command_line_runs_by_itself_and_prints_a_table(constructed):
    truth, results = constructed
    command = [sys.executable, str(ROOT / "scripts" / "evaluate_vessel.py"), "--coco", str(truth)]
    done = subprocess.run(
        [*command, "--detector", f"coco-results:{results}", "--bootstrap", "20"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "data: simulated" in done.stdout
    assert "0.667" in done.stdout
    assert "inshore" in done.stdout


# -------------------------------------------------------------------------------------------------------------- scenes

GRID = Grid.from_crs("EPSG:32651", UTM, (400, 420))
SCENE_SHIPS = [(100, 120, 20), (250, 300, 12), (330, 80, 8)]  # row, col, pixels of length; along the row


@pytest.fixture
def scene_files(tmp_path):
    """A dB scene with three ships and a bright spot that no label knows, and its instances."""
    data = np.random.default_rng(2).gamma(4.4, 0.01 / 4.4, (400, 420))
    instances = np.zeros((400, 420), np.uint16)
    for number, (row, col, length) in enumerate(SCENE_SHIPS, start=3):
        where = np.s_[row : row + 3, col : col + length]
        data[where], instances[where] = 2.0, number
    data[30:33, 350:356] = 2.0
    decibels = (10 * np.log10(data)).astype(np.float32)
    scene = write_tif(
        tmp_path / "scene_20190512T093800.tif", decibels, descriptions=("VV",), tags={"UNIT": "sigma0_db"}
    )
    return scene, write_tif(tmp_path / "vessels.tif", instances, tags={"DATA_KIND": "constructed"})


def test_a_scene_against_instances(scene_files, capsys, tmp_path):
    scene, mask = scene_files
    out = tmp_path / "found.json"
    call = ("--scene", scene, "--truth", mask, "--detector", "cfar-k", "--bootstrap", 200)
    report = scores(capsys, *call, "--detections", out)
    assert (report["n_ships"], report["n_detections"], report["recall"]) == (3, 4, 1.0)
    assert report["precision"] == pytest.approx(3 / 4)
    assert report["data_kind"] == "constructed"
    assert report["observed_km2"] == pytest.approx(400 * 420 * 1e-4, rel=2e-3)  # UTM scale 0.9996..1.0004
    assert report["false_alarms_per_1000_km2"] == pytest.approx(1000 / report["observed_km2"])
    assert [row["n_ships"] for row in report["strata"]["lengths"]] == [0, 0, 0, 1, 2]
    assert report["shape"]["axis_error_median_deg"] < 5
    entries = json.loads(out.read_text())
    for entry in entries:
        x, y, length, width, axis = entry["oriented_box"]
        corners = hull((x, y), length, width, axis)
        box = [*corners.min(axis=0), *np.ptp(corners, axis=0)]
        assert entry["bbox"] == pytest.approx(box, abs=0.6)  # boxes are at least one pixel wide
    centres = np.array([entry["centre_xy"] for entry in entries])
    for row, col, length in SCENE_SHIPS:
        assert np.abs(centres - (col + length / 2, row + 1.5)).max(axis=1).min() < 1.0
    status, table, _ = run(capsys, *call)
    assert status == 0
    assert "false alarms per 1000 km2" in table


def test_a_scene_against_places(scene_files, capsys, tmp_path):
    scene, _ = scene_files
    places = [GRID.lonlat(row + 1, col + length / 2) for row, col, length in SCENE_SHIPS]
    far = GRID.lonlat(390, 410)
    doubtful = GRID.lonlat(31, 352.5)
    features = [
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [float(lon), float(lat)]}, "properties": more}
        for (lon, lat), more in zip(
            [*places, far, doubtful],
            [{"length_m": 200}, {"length_m": 120}, {"length_m": 80}, {"length_m": 30}, {"confidence": "LOW"}],
            strict=True,
        )
    ]
    truth = tmp_path / "truth.geojson"
    truth.write_text(json.dumps({"type": "FeatureCollection", "data_kind": "simulated", "features": features}))
    call = ("--scene", scene, "--detector", "cfar-k", "--bootstrap", 0, "--truth")
    report = scores(capsys, *call, truth)
    assert (report["n_ships"], report["recall"], report["precision"]) == (4, 0.75, 1.0)
    assert (report["ap50"], report["matching"], report["data_kind"]) == (None, "within 200 m", "simulated")
    assert report["f1_within_m"]["50"] == pytest.approx(6 / 7)
    assert report["ap_within_m"]["200"] == pytest.approx(76 / 101)  # recalls 0 .. .75 at precision 1
    table = tmp_path / "truth.csv"
    rows = [f"{lat},{lon},200,HIGH,one" for lon, lat in places] + [f"{doubtful[1]},{doubtful[0]},,LOW,one"]
    table.write_text("\n".join(["detect_lat,detect_lon,vessel_length_m,confidence,scene_id", *rows]))
    report = scores(capsys, *call, table)
    assert (report["n_ships"], report["f1"]) == (3, 1.0)


def test_truth_of_another_scene_is_refused(scene_files, capsys, tmp_path):
    scene, _ = scene_files
    bad = {
        "far.csv": ("lat,lon\n10.0,10.0\n", "lies in"),
        "blank.csv": ("lat,lon\n,10.0\n", "needs its place"),
        "words.csv": ("lat,lon\nnorth,10.0\n", "not a number"),
        "many.csv": ("lat,lon,scene_id\n1,1,a\n1,1,b\n", "none of them named"),
        "line.geojson": (
            '{"features": [{"geometry": {"type": "LineString", "coordinates": []}, "properties": {}}]}',
            "needs points",
        ),
        "no.geojson": ("{}", "is not a GeoJSON"),
        "cut.geojson": ("{", "is not JSON"),
        "text.tif": ("no raster", "neither GeoJSON, CSV nor a raster"),
    }
    for name, (content, words) in bad.items():
        (tmp_path / name).write_text(content)
        status, _, err = run(capsys, "--scene", scene, "--truth", tmp_path / name, "--detector", "cfar-k")
        assert status == 2, name
        assert words in err, name
    small = write_tif(tmp_path / "small.tif", np.ones((10, 10), np.uint8))
    moved = write_tif(tmp_path / "moved.tif", np.ones((400, 420), np.uint8), transform=UTM @ UTM.translation(5, 0))
    floating = write_tif(tmp_path / "floating.tif", np.ones((400, 420), np.float32))
    for path, words in ((small, "need one grid"), (moved, "does not lie on"), (floating, "whole numbers")):
        status, _, err = run(capsys, "--scene", scene, "--truth", path, "--detector", "cfar-k")
        assert status == 2, path
        assert words in err
    status, _, err = run(capsys, "--scene", scene, "--truth", path, "--detector", "yolo")
    assert status == 2
    with pytest.raises(SystemExit) as usage:
        script.main(["--scene", str(scene)])
    assert usage.value.code == 2


def test_instances_give_lengths_and_axes_on_the_ground(tmp_path):
    # EPSG:3857 at 60 N: a pixel of 10 m on the map is 5 m on the ground (the ellipsoid adds under 0.5 %).
    from affine import Affine

    grid = Grid.from_crs("EPSG:3857", Affine(10, 0, 0, 0, -10, 8_399_738), (60, 60))
    values = np.zeros((60, 60), np.uint8)
    values[10:40, 20:24] = 9
    values[50:53, 5:25] = 4
    path = write_tif(tmp_path / "m.tif", values, crs="EPSG:3857", transform=grid.transform)
    truth = read_scene_truth(path, scene_of_array(grid, np.ones((1, 60, 60))))
    assert truth.length_m == pytest.approx([100, 150], rel=5e-3)
    assert truth.axis_deg == pytest.approx([90, 0], abs=0.1) or truth.axis_deg % 180 == pytest.approx(
        [90, 180], abs=0.1
    )
    assert truth.row.tolist() == [51, 24.5]
    assert truth.col.tolist() == [14.5, 21.5]


# ------------------------------------------------------------------------------------------------------------ real data


def test_real_annotations_are_read_and_scored_against_themselves(real_data, capsys, tmp_path):
    path = real_data("sar/ssdd/val.json")
    data = json.loads(path.read_text())
    truth = read_coco(path)
    assert len(truth.images) == 142
    assert sum(len(image.outlines) for image in truth.images) == 243
    assert truth.has_polygons
    perfect = [
        {"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 0.9}
        for a in data["annotations"]
    ]
    results = tmp_path / "perfect.json"
    results.write_text(json.dumps(perfect))
    assert sum(len(chip) for chip in read_results(results, truth)) == 243
    report = scores(capsys, "--coco", path, "--detector", f"coco-results:{results}", "--bootstrap", 0)
    assert report["f1"] == 1.0
    assert report["ap50"] == pytest.approx(1.0)
    assert (report["strata"]["inshore"]["n_images"], report["strata"]["inshore"]["n_ships"]) == (44, 92)


def test_real_ports_are_read(real_data):
    from imagery.geotiff import open_geotiff

    counts = {"algiers_2023-08-17": 27, "gdynia_2023-06-11": 20, "honolulu_2023-01-08": 12}
    for port, count in counts.items():
        scene = open_geotiff(real_data(f"optical/sen2ships/{port}.tif"))
        truth = read_scene_truth(real_data(f"optical/sen2ships/{port}_vessels.tif"), scene)
        assert len(truth.row) == count
        assert (truth.length_m > 10).all()
        assert (truth.length_m < 450).all()
