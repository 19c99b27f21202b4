import contextlib
import csv
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from models.metrics.average_precision import ImageBoxes, average_precision, average_precision_of_points, match_boxes
from models.metrics.bootstrap import bootstrap_interval, detection_intervals, percentile_interval, resample_weights
from models.metrics.matching import precision_recall_f1
from models.metrics.reliability import (
    binomial_share,
    brier_score,
    expected_calibration_error,
    interval_coverage,
    reliability_table,
)
from models.metrics.strata import axis_error_deg, false_alarm_rate, length_accuracy, neighbour_distance, recall_by
from models.metrics.xview3 import SceneLabels, ScenePredictions, XView3Score, xview3_score

AREA_LIMIT = 1e6  # true boxes of a larger area are what pycocotools ignores here


def random_images(rng, n_images, *, most=8, levels=20):
    """Images with jittered, missed, doubled and invented boxes; scores in few levels, so that many are equal."""
    images = []
    for _ in range(n_images):
        m = int(rng.integers(0, most))
        truth = np.column_stack([rng.uniform(0, 200, (m, 2)), rng.uniform(5, 60, (m, 2))])
        copies = truth[rng.integers(0, m, int(rng.integers(0, 2 * m)))] if m else truth
        jittered = copies + rng.normal(0, 4, copies.shape)
        stray = np.column_stack([rng.uniform(0, 200, (3, 2)), rng.uniform(5, 60, (3, 2))])
        found = np.concatenate([jittered, stray])
        found[:, 2:] = np.maximum(found[:, 2:], 1.0)
        crowd = rng.random(m) < 0.15
        images.append(
            ImageBoxes(
                found_xywh=found,
                score=rng.integers(0, levels, len(found)) / levels,
                truth_xywh=truth,
                crowd=crowd,
                ignored=rng.random(m) < 0.15,
            )
        )
    return images


def pycocotools_ap(images, thresholds, *, max_detections=100):
    annotations, results = [], []
    for i, image in enumerate(images, start=1):
        for box, crowd, ignored in zip(image.truth_xywh, image.crowd, image.ignored, strict=True):
            area = 2 * AREA_LIMIT if ignored else 1.0
            annotations.append(
                {"id": len(annotations) + 1, "image_id": i, "category_id": 1, "bbox": box.tolist(), "area": area}
                | {"iscrowd": int(crowd)}
            )
        for box, score in zip(image.found_xywh, image.score, strict=True):
            results.append({"image_id": i, "category_id": 1, "bbox": box.tolist(), "score": float(score)})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": i + 1} for i in range(len(images))],
            "annotations": annotations,
            "categories": [{"id": 1, "name": "ship"}],
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.params.iouThrs = np.asarray(thresholds)
        evaluation.params.areaRng = [[0, AREA_LIMIT]]
        evaluation.params.areaRngLbl = ["all"]
        evaluation.params.maxDets = [max_detections]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][:, :, 0, 0, 0].mean(axis=1)


@pytest.mark.parametrize("seed", range(12))
def test_average_precision_is_that_of_pycocotools(seed):
    images = random_images(np.random.default_rng(seed), 15)
    thresholds = np.arange(0.5, 1.0, 0.05)
    assert np.abs(average_precision(images, thresholds) - pycocotools_ap(images, thresholds)).max() < 1e-9


def test_only_the_surest_hundred_of_an_image_are_looked_at():
    rng = np.random.default_rng(100)
    images = random_images(rng, 4, most=150, levels=1000)
    assert max(len(image.score) for image in images) > 100
    assert abs(average_precision(images)[0] - pycocotools_ap(images, [0.5])[0]) < 1e-9
    ten = average_precision(images, max_detections=10)[0]
    assert abs(ten - pycocotools_ap(images, [0.5], max_detections=10)[0]) < 1e-9
    assert ten < average_precision(images)[0]


def test_equal_boxes_and_perfect_overlap_are_judged_as_pycocotools_does():
    box = np.array([[10.0, 10.0, 20.0, 20.0]])
    images = [
        ImageBoxes(
            found_xywh=np.repeat(box, 3, axis=0),
            score=np.array([0.5, 0.5, 0.9]),
            truth_xywh=np.repeat(box, 2, axis=0),
            crowd=np.array(crowd),
            ignored=np.array(ignored),
        )
        for crowd, ignored in (
            ([False, False], [False, False]),
            ([True, False], [False, False]),
            ([False] * 2, [True, False]),
        )
    ]
    for image in images:
        assert abs(average_precision([image], [0.5, 1.0]) - pycocotools_ap([image], [0.5, 1.0])).max() < 1e-9


def test_average_precision_without_objects_is_not_a_number():
    nothing = random_images(np.random.default_rng(0), 1, most=1)
    assert np.isnan(average_precision(nothing)).all()
    assert np.isnan(average_precision([])).all()


def test_average_precision_of_points_by_hand():
    # By descending score: true, false, true of 4: precision 1 up to recall .25, 2/3 up to .5, 0 beyond.
    wanted = (26 * 1.0 + 25 * 2 / 3) / 101
    assert average_precision_of_points([0.2, 0.9, 0.5], [True, True, False], 4) == pytest.approx(wanted, abs=1e-12)
    assert average_precision_of_points([], [], 2) == 0.0


def test_weighted_average_precision_is_that_of_repeated_images():
    rng = np.random.default_rng(7)
    images = random_images(rng, 8, levels=10_000_000)  # hardly an equal score: repeats stay together
    weights = rng.integers(0, 4, (5, 8))
    found = match_boxes(images).average_precision(weights)
    for row, value in zip(weights, found, strict=True):
        repeated = [image for image, times in zip(images, row, strict=True) for _ in range(times)]
        assert value == pytest.approx(pycocotools_ap(repeated, [0.5])[0], abs=1e-9)


def test_resamples_draw_whole_groups_and_come_from_the_seed():
    weights = resample_weights([3, 3, 8, 1, 8, 8], n_resamples=400, seed=1)
    assert weights.shape == (400, 6)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 2] == weights[:, [4, 5]].T).all()
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert (weights == resample_weights([3, 3, 8, 1, 8, 8], n_resamples=400, seed=1)).all()
    assert (weights != resample_weights([3, 3, 8, 1, 8, 8], n_resamples=400, seed=2)).any()


def test_interval_of_a_mean_is_that_of_scipy():
    rng = np.random.default_rng(3)
    values = rng.gamma(2.0, 1.0, 80)
    weights = resample_weights(np.arange(80), n_resamples=20_000, seed=0)
    low, high = bootstrap_interval(values[:, None], lambda sums: sums[:, 0] / 80, weights)
    peer = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(9)
    ).confidence_interval
    spread = peer.high - peer.low
    assert abs(low - peer.low) < 0.03 * spread
    assert abs(high - peer.high) < 0.03 * spread


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(4)
    covered = 0
    for trial in range(200):
        # 60 images of 4 ships, each found with probability .8, and one false alarm in every second image
        found = rng.binomial(4, 0.8, 60)
        counts = np.column_stack([found, rng.binomial(1, 0.5, 60), 4 - found])
        weights = resample_weights(np.arange(60), n_resamples=400, seed=trial)
        low, high = detection_intervals(counts, weights)["recall"]
        covered += low <= 0.8 <= high
    assert stats.binomtest(covered, 200, 0.95).pvalue > 0.01


def test_detection_intervals_are_quantiles_of_repeated_images():
    rng = np.random.default_rng(5)
    images = random_images(rng, 10)
    counts = rng.integers(0, 5, (10, 3))
    weights = resample_weights(np.arange(10), n_resamples=60, seed=2)
    boxes = match_boxes(images)
    found = detection_intervals(counts, weights, boxes=boxes)
    assert set(found) == {"f1", "precision", "recall", "ap50"}
    f1 = [precision_recall_f1(*counts[np.repeat(np.arange(10), row)].sum(axis=0))[2] for row in weights]
    assert found["f1"] == pytest.approx(np.percentile(f1, [2.5, 97.5]))
    ap = [float(boxes.average_precision(row)) for row in weights]
    assert found["ap50"] == pytest.approx(np.percentile(ap, [2.5, 97.5]))
    assert np.isnan(percentile_interval([np.nan, np.nan])).all()


@pytest.mark.parametrize(("bins", "strategy"), [("equal-width", "uniform"), ("equal-mass", "quantile")])
def test_reliability_is_that_of_scikit_learn(bins, strategy):
    rng = np.random.default_rng(6)
    p = np.round(rng.beta(0.7, 0.7, 3000), 2)  # many equal probabilities
    hit = rng.random(3000) < p**1.3
    table = reliability_table(p, hit, bins=bins, n_bins=12)
    frequency, mean = calibration_curve(hit, p, n_bins=12, strategy=strategy)
    assert table.frequency == pytest.approx(frequency)
    assert table.mean_probability == pytest.approx(mean)
    assert table.count.sum() == 3000
    wanted = np.sum(table.count * np.abs(frequency - mean)) / 3000
    assert expected_calibration_error(p, hit, bins=bins, n_bins=12) == pytest.approx(wanted)
    assert brier_score(p, hit) == pytest.approx(brier_score_loss(hit, p))


def test_calibration_error_by_hand():
    # two bins: ten at .25 of which 5 come true, thirty at .75 of which 21 do
    p = np.repeat([0.25, 0.75], [10, 30])
    hit = np.concatenate([np.arange(10) < 5, np.arange(30) < 21])
    error = expected_calibration_error(p, hit, bins="equal-width", n_bins=2)
    assert error == pytest.approx((10 * 0.25 + 30 * 0.05) / 40)


def test_band_holds_calibrated_forecasts_and_not_others():
    rng = np.random.default_rng(8)
    inside = together = 0
    for _ in range(200):
        p = rng.random(1000)
        hit = rng.random(1000) < p
        inside += int(reliability_table(p, hit).inside.sum())
        together += bool(reliability_table(p, hit, simultaneous=True).inside.all())
    assert 0.95 <= inside / 2000 <= 0.99  # a discrete band holds at least its level
    assert together >= 188
    p = rng.random(4000)
    assert not reliability_table(p, rng.random(4000) < p**2).inside.all()
    band = reliability_table(np.full(50, 0.3), np.arange(50) < 15)
    assert (band.band_low[0], band.band_high[0]) == pytest.approx(np.array(stats.binom(50, 0.3).interval(0.95)) / 50)


def test_probabilities_outside_0_to_1_are_refused():
    with pytest.raises(ValueError, match=r"0\.\.1"):
        brier_score([1.2], [True])
    with pytest.raises(ValueError, match="bins must be"):
        reliability_table([0.5], [True], bins="quantile")


@pytest.mark.parametrize(("k", "n"), [(0, 7), (3, 7), (7, 7), (180, 200)])
def test_binomial_interval_is_that_of_scipy(k, n):
    share = binomial_share(k, n)
    peer = stats.binomtest(k, n).proportion_ci(0.95, method="exact")
    assert (share.share, share.low, share.high) == pytest.approx((k / n, peer.low, peer.high))


def test_coverage_counts_ends_and_leaves_out_the_unknown():
    covered = interval_coverage([1, 1, 1, 1], [2, 2, 2, 2], [1, 2, 2.01, np.nan])
    assert (covered.share, covered.n) == (pytest.approx(2 / 3), 3)
    rng = np.random.default_rng(9)
    truth = rng.normal(size=2000)
    z = stats.norm.ppf(0.95)
    kept = interval_coverage(np.full(2000, -z), np.full(2000, z), truth)
    assert kept.low <= 0.9 <= kept.high
    with pytest.raises(ValueError, match="NaN"):
        interval_coverage([np.nan], [1], [0])


def test_recall_by_length_by_hand():
    strata = recall_by([5, 15, 15, 40, np.nan, 300], [True, True, False, False, True, True], (0, 15, 50, np.inf))
    assert [(s.recall.n, s.recall.share) for s in strata] == [(1, 1.0), (3, pytest.approx(1 / 3)), (1, 1.0)]
    assert np.isnan(recall_by([1.0], [True], (5, 6))[0].recall.share)


def test_neighbours_are_the_nearest_others():
    rng = np.random.default_rng(10)
    xy = rng.uniform(0, 1000, (40, 2))
    apart = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1)) + np.diag(np.full(40, np.inf))
    assert neighbour_distance(xy) == pytest.approx(apart.min(axis=1))
    assert np.isinf(neighbour_distance([[1.0, 2.0]])).all()


def test_false_alarm_rate_has_the_poisson_interval():
    rate = false_alarm_rate(6, 3000.0)
    low, high = rate.low * 3, rate.high * 3
    assert rate.per_1000_km2 == pytest.approx(2.0)
    assert stats.poisson.sf(5, low) == pytest.approx(0.025)
    assert stats.poisson.cdf(6, high) == pytest.approx(0.025)
    assert false_alarm_rate(0, 1000.0).low == 0.0
    assert false_alarm_rate(0, 1000.0).high == pytest.approx(-np.log(0.025))


def test_axes_know_no_bow():
    assert axis_error_deg([1, 179, 90, 10, 350], [179, 1, 0, 190, 5]) == pytest.approx([2, 2, 90, 0, 15])


def test_length_accuracy_by_hand():
    # errors 10/100, 0 (both over 500 m), 50/100; one unknown
    assert length_accuracy([90, 700, 150, 30], [100, 600, 100, np.nan]) == pytest.approx(1 - 0.6 / 3)
    assert length_accuracy([1000], [10]) == 0.0
    assert length_accuracy([], []) == 0.0


@pytest.mark.parametrize(
    ("published", "parts"),
    [
        (0.60318, (0.75494, 0.52500, 0.94196, 0.83441, 0.69353)),  # BloodAxe
        (0.59345, (0.75155, 0.47267, 0.93807, 0.80342, 0.73400)),  # selim_sef
        (0.57596, (0.72980, 0.46696, 0.93216, 0.82832, 0.71857)),  # Allen Institute for AI
        (0.57138, (0.72613, 0.42869, 0.95379, 0.82194, 0.72996)),  # Tumen
        (0.56588, (0.72499, 0.46067, 0.93962, 0.79675, 0.70561)),  # Kohei
        (0.56154, (0.71306, 0.51078, 0.96643, 0.82289, 0.63743)),  # SI Analytics
    ],
)
def test_aggregate_is_the_published_one_of_the_published_parts(published, parts):
    names = ("detection_f1", "shore_f1", "vessel_f1", "fishing_f1", "length_accuracy")
    assert XView3Score(**dict(zip(names, parts, strict=True))).aggregate == pytest.approx(published, abs=1.5e-5)


def labels(rows):
    """Labels of (x, low, vessel, fishing, length, shore distance)."""
    table = np.array(rows, float).reshape(-1, 6)
    return SceneLabels(
        xy_m=np.column_stack([table[:, 0], np.zeros(len(table))]),
        is_low=table[:, 1] == 1,
        is_vessel=table[:, 2],
        is_fishing=table[:, 3],
        length_m=table[:, 4],
        shore_distance_m=table[:, 5],
    )


def predictions(rows):
    """Predictions of (x, vessel, fishing, length, shore distance)."""
    table = np.array(rows, float).reshape(-1, 5)
    return ScenePredictions(
        xy_m=np.column_stack([table[:, 0], np.zeros(len(table))]),
        is_vessel=table[:, 1] == 1,
        is_fishing=table[:, 2] == 1,
        length_m=table[:, 3],
        shore_distance_m=table[:, 4],
    )


def test_xview3_score_by_hand():
    nan = np.nan
    truth = labels(
        [
            (0, 0, 1, 1, 20, 1500),  # found; fishing, said so; length 30: error .5; close to shore
            (1000, 0, 1, 0, 100, 9000),  # found; not fishing, said fishing; length 100: error 0
            (2000, 0, 0, nan, nan, 500),  # found; a platform, said vessel; close to shore
            (3000, 0, 1, nan, 50, 1000),  # missed; close to shore
            (4000, 1, 1, 0, 60, 100),  # LOW: what finds it is dropped
            (5000, 0, nan, nan, 80, nan),  # found; nothing known but its length 60: error .25
        ]
    )
    found = predictions(
        [
            (50, 1, 1, 30, 1550),
            (1100, 1, 1, 100, 9000),
            (2010, 1, 0, 40, 2100),
            (4050, 1, 0, 60, 100),
            (5000, 1, 0, 60, 9000),
            (9000, 1, 0, 10, 2150),  # a false alarm within 2.2 km of the shore
        ]
    )
    score = xview3_score([(truth, found)])
    assert score.detection_f1 == pytest.approx(2 * 4 / (2 * 4 + 1 + 1))
    assert score.shore_f1 == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert score.vessel_f1 == pytest.approx(2 * 2 / (2 * 2 + 1))
    assert score.fishing_f1 == pytest.approx(2 * 1 / (2 * 1 + 1))
    assert score.length_accuracy == pytest.approx(1 - 0.75 / 3)
    assert score.aggregate == pytest.approx(0.8 * (1 + 0.75 + 0.8 + 2 / 3 + 2 / 3) / 5)


def test_real_labels_predicted_as_they_are_score_one(real_data):
    path = real_data("tables/xview3_validation_labels.csv")
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    flags = {"True": 1.0, "False": 0.0, "": np.nan}
    scenes = []
    for scene in sorted({row["scene_id"] for row in rows})[:4]:
        here = [row for row in rows if row["scene_id"] == scene]
        truth = SceneLabels(
            xy_m=10.0 * np.array([(int(r["detect_scene_row"]), int(r["detect_scene_column"])) for r in here]),
            is_low=np.array([r["confidence"] == "LOW" for r in here]),
            is_vessel=np.array([flags[r["is_vessel"]] for r in here]),
            is_fishing=np.array([flags[r["is_fishing"]] for r in here]),
            length_m=np.array([float(r["vessel_length_m"] or "nan") for r in here]),
            shore_distance_m=np.array([1000.0 * float(r["distance_from_shore_km"]) for r in here]),
        )
        said = ScenePredictions(
            xy_m=truth.xy_m,
            is_vessel=truth.is_vessel == 1.0,
            is_fishing=truth.is_fishing == 1.0,
            length_m=truth.length_m,
            shore_distance_m=truth.shore_distance_m,
        )
        scenes.append((truth, said))
    assert sum(truth.is_low.sum() for truth, _ in scenes) > 20
    score = xview3_score(scenes)
    assert (score.detection_f1, score.vessel_f1, score.fishing_f1, score.length_accuracy) == (1.0, 1.0, 1.0, 1.0)
    # predictions between 2 and 2.2 km from the shore have no label there
    close, closer = (
        sum(int((~truth.is_low & (truth.shore_distance_m <= limit_m)).sum()) for truth, _ in scenes)
        for limit_m in (2200.0, 2000.0)
    )
    assert score.shore_f1 == pytest.approx(2 * closer / (close + closer))


def test_xview3_scenes_without_predictions_or_shore_do_not_stop_it():
    ship = labels([(0, 0, 1, 0, 50, 9000)])
    hit = predictions([(0, 1, 0, 50, 9000)])
    nothing = predictions([])
    assert xview3_score([(ship, nothing)]) == XView3Score(
        detection_f1=0.0, shore_f1=0.0, vessel_f1=0.0, fishing_f1=0.0, length_accuracy=0.0
    )
    both = xview3_score([(ship, nothing), (ship, hit), (labels([]), hit)])
    assert both.detection_f1 == pytest.approx(2 / (2 + 1 + 1))
    assert both.shore_f1 == 0.0
    assert both.length_accuracy == 1.0
    assert xview3_score([]).aggregate == 0.0
