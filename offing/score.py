"""The main path: an area goes in; scenes are found, read, searched and held against AIS; findings come out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from imagery.errors import FetchError
from imagery.fetchers.base import Fetcher, SceneRef
from imagery.geometry import Window, dense_rowcol, offset_m
from imagery.land import Land, check_has_water
from imagery.pictures import Picture, picture
from imagery.scene import Scene
from imagery.surface import Surface, map_surface
from models.detections import Detections
from models.detector import Found, detect
from models.errors import NoWaterError
from offing.ais.cross_check import cross_check
from offing.ais.schema import AisData
from offing.ais.verdict import CrossCheck, VesselTable
from offing.areas import AreaConfig, Period, search_bounds
from offing.detectors import DetectorChoice, make_detector
from offing.persistence import fixed_places
from offing.sources import check_found, is_remote, open_land, open_source, skipped_by
from offing.status import DetectionStatus
from offing.water import Look, TileGrid, seen_by, tile_grid, tile_table, unseen_table

SceneProgress = Callable[[str, int, int], None]

# Scenes of one sensor this near in time are pieces of one pass: slices of Sentinel-1 follow one another every 25 s,
# tiles of Sentinel-2 overlap by 10 km. A ship in two of them is one ship, seen once.
_ONE_PASS_S = 60.0
_SEAM_M = 20.0  # pixels of a hull that the edge between two images swallows


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """What to score.

    Attributes:
        config: the area.
        period: dates, None = all that the source has.
        source: see `offing.sources.open_source`.
        ais: reports to hold against the detections, None = not searched.
        workers: threads for detection; results do not depend on it.
    """

    config: AreaConfig
    period: Period | None
    source: str = field(repr=False)  # may hold a name and password
    ais: AisData | None
    workers: int = 2


@dataclass(frozen=True, kw_only=True)
class SceneScore:
    """What one scene showed.

    Attributes:
        look: the scene, its pixels still readable, and what they show; nothing where no water could be judged.
        findings: a row per detection inside the area: the columns of `models.Detections` and of the cross-check.
        ais_vessels: a row per AIS vessel that should have been in the scene.
        tiles: a row per tile of the area.
        picture: the area as this scene shows it.
        notes: what was assumed, set aside or missing.
    """

    look: Look
    findings: gpd.GeoDataFrame
    ais_vessels: pd.DataFrame
    tiles: gpd.GeoDataFrame
    picture: Picture
    notes: tuple[str, ...]

    @property
    def scene(self) -> Scene:
        """The scene."""
        return self.look.scene


@dataclass(frozen=True, kw_only=True)
class MissedScene:
    """A scene that exists and could not be had.

    Attributes:
        ref: which.
        why: one sentence.
        tiles: a row per tile of the area, none observed.
    """

    ref: SceneRef
    why: str
    tiles: gpd.GeoDataFrame


@dataclass(frozen=True, kw_only=True)
class Score:
    """What all scenes of an area showed.

    Attributes:
        settings: what was asked.
        scenes: one per scene that was searched, in order of time.
        missed: scenes that could not be had, in order of time.
        skipped: a sentence for each scene that a source far away lists and cannot give.
        findings: all findings, with structures told apart from ships by persistence.
        land_source: where land came from, empty where it was not masked.
        attributions: credits that the data's licences ask for.
        notes: what concerns the whole run.
    """

    settings: ScoreSettings
    scenes: tuple[SceneScore, ...]
    missed: tuple[MissedScene, ...]
    skipped: tuple[str, ...]
    findings: gpd.GeoDataFrame
    land_source: str
    attributions: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """True where every scene of the area that is known of was had, without holes."""
        return not self.missed and not self.skipped and not any(s.scene.provenance.missing for s in self.scenes)


def score(settings: ScoreSettings, progress: SceneProgress | None = None) -> Score:
    """Score an area.

    Args:
        settings: area, dates, source and AIS.
        progress: called with (scene id, scenes done, scenes in all).

    Returns:
        The findings and what could not be observed.

    Raises:
        ImageryError, ModelError, OffingError: with one sentence for the user.
    """
    area = settings.config.area
    source = open_source(settings.source, area, settings.period)
    land = open_land(settings.config, source)
    if land is not None:
        check_has_water(area, land)
    grid = tile_grid(area)
    refs = source.search(area, *search_bounds(settings.period, needed=is_remote(source)))
    check_found(refs, source, settings.source, area, _in_words(settings.period))
    scenes: list[SceneScore] = []
    missed: list[MissedScene] = []
    notes: list[str] = []
    for done, ref in enumerate(refs, start=1):
        try:
            scene = source.fetch(ref, area)
        except FetchError as error:
            missed.append(MissedScene(ref=ref, why=str(error), tiles=unseen_table(ref, grid, land)))
        else:
            region = _window_of(scene, grid)
            if region is None:
                notes.append(f"scene {ref.id} only touches the area's edge and was left out")
            else:
                look = Look(scene=scene, surface=map_surface(scene, land, region))
                earlier = [other for other in scenes if _one_pass(other.scene, scene)]
                scenes.append(score_look(look, earlier, settings, land, grid, region))
        if progress is not None:
            progress(ref.id, done, len(refs))
    findings = _tell_structures(scenes, grid)
    return Score(
        settings=settings,
        scenes=tuple(_with_counts(s, findings, grid) for s in scenes),
        missed=tuple(missed),
        skipped=skipped_by(source) if is_remote(source) else (),
        findings=findings,
        land_source=land.source if land else "",
        attributions=tuple(dict.fromkeys(a for a in _attributions(scenes, land) if a)),
        notes=(*_gaps(missed, scenes, len(refs)), *_run_notes(land, settings, source), *notes),
    )


def score_look(
    look: Look,
    earlier: Sequence[SceneScore],
    settings: ScoreSettings,
    land: Land | None,
    grid: TileGrid,
    region: Window,
) -> SceneScore:
    """Search one scene and hold what it shows against AIS.

    Args:
        look: the scene.
        earlier: scenes of the same pass, searched before: what they hold is theirs.
        settings: what was asked.
        land: the area's land.
        grid: the area's tiles.
        region: the scene's pixels around the area.
    """
    area, scene, before = settings.config.area, look.scene, [other.look for other in earlier]
    try:
        found = detect(
            scene, make_detector(DetectorChoice(), scene), look.surface, land, region=region, workers=settings.workers
        )
    except NoWaterError as error:
        look = Look(scene=scene, surface=look.surface.unseen())
        found = Found(detections=Detections.empty(), notes=(f"not observed: {error}",))

    def mine(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.bool_]:
        return np.asarray(area.contains(lon, lat) & ~seen_by(before, lon, lat))

    def observed(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.bool_]:
        return np.asarray((look.at(lon, lat) == Surface.SEA) & mine(lon, lat))

    inside = found.detections.take(mine(found.detections.lon, found.detections.lat))
    cut = _cut_by_a_seam(inside, look, earlier)
    inside = inside.take(~cut)
    view = scene.acquisition.at(inside.row, inside.col) if scene.sensor.kind == "sar" else None
    check = cross_check(inside, settings.ais, view, observed=observed, scene_time=scene.time)
    return SceneScore(
        look=look,
        findings=_join(inside, check, scene.sensor.name),
        ais_vessels=_vessel_frame(check.vessels, scene),
        tiles=tile_table(look, grid, before),
        picture=picture(scene, region),
        notes=(
            *scene.provenance.missing,
            *scene.provenance.notes,
            f"acquisition geometry: {scene.acquisition.source}",
            *found.notes,
            *(
                [f"{cut.sum()} found at the seam with another image of this pass are counted there"]
                if cut.any()
                else ()
            ),
        ),
    )


def _cut_by_a_seam(found: Detections, look: Look, earlier: Sequence[SceneScore]) -> NDArray[np.bool_]:
    """Detections that continue one of an earlier image of the pass beyond the edge between the two.

    Slices of Sentinel-1 abut, so that a hull across their edge shows a part of itself in each.
    """
    cut = np.zeros(len(found), bool)
    for other in earlier:
        theirs = other.findings
        beyond = look.at(theirs["lon"], theirs["lat"]) == Surface.NO_DATA
        lon, lat, most_m = (theirs[name].to_numpy()[np.newaxis, beyond] for name in ("lon", "lat", "length_high_m"))
        east, north = offset_m(found.lon[:, np.newaxis], found.lat[:, np.newaxis], lon, lat)
        reach_m = (found.length_high_m[:, np.newaxis] + most_m) / 2.0 + _SEAM_M
        cut |= (np.hypot(east, north) <= reach_m).any(axis=1)
    return cut


def _one_pass(scene: Scene, other: Scene) -> bool:
    """True for two pieces of one pass of one sensor."""
    if scene.time is None or other.time is None or scene.sensor != other.sensor:
        return False
    return abs((scene.time - other.time).total_seconds()) <= _ONE_PASS_S


def _in_words(period: Period | None) -> str:
    if period is None:
        return "at any time"
    return f"from {period.start:%Y-%m-%d} to {period.end - timedelta(days=1):%Y-%m-%d}"


def _window_of(scene: Scene, grid: TileGrid) -> Window | None:
    """The scene's pixels around the area, cut to the scene; None where there are none."""
    rows, cols = dense_rowcol(scene.geometry, grid.lon, grid.lat)
    row, col = int(np.floor(rows.min())) - 8, int(np.floor(cols.min())) - 8  # 8 px: the area's places lie 100 m apart
    around = Window(row=row, col=col, height=int(rows.max()) + 9 - row, width=int(cols.max()) + 9 - col)
    return around.intersection(scene.window)


def _join(detections: Detections, check: CrossCheck, sensor_name: str) -> gpd.GeoDataFrame:
    """Detections and what AIS says of them, side by side."""
    return detections.to_geopandas().assign(
        sensor=sensor_name,
        status=[DetectionStatus(s).value for s in check.status],
        status_probability=check.probability,
        status_probability_calibrated=check.probability_calibrated,
        mmsi=check.mmsi,
        ais_name=check.ais_name,
        ais_distance_m=check.ais_distance_m,
        ais_length_m=check.ais_length_m,
        runner_up_mmsi=check.runner_up_mmsi,
        azimuth_shift_m=check.azimuth_shift_m,
        runner_up_distance_m=check.runner_up_distance_m,
        stations_heard=check.stations_heard,
        why=check.why,
    )


def _vessel_frame(vessels: VesselTable, scene: Scene) -> pd.DataFrame:
    """The ships' side of a cross-check as a table."""
    columns = {column.name: getattr(vessels, column.name) for column in fields(vessels)}
    return pd.DataFrame({"scene_id": scene.id, **columns})


def _tell_structures(scenes: list[SceneScore], grid: TileGrid) -> gpd.GeoDataFrame:
    """All findings in order; those that no AIS explains and that stay put become structures."""
    if not scenes:
        nothing = Detections.empty()
        return _join(nothing, cross_check(nothing, None, None, observed=_nowhere, scene_time=None), "")
    findings = pd.concat([s.findings for s in scenes], ignore_index=True)
    unexplained = ~findings["status"].isin([DetectionStatus.MATCHED, DetectionStatus.MATCHED_IDENTITY_DOUBTFUL])
    for sensor in findings["sensor"].unique():
        mine = findings["sensor"] == sensor
        rows = findings.index[mine]
        looks = _looks([s for s in scenes if s.scene.sensor.name == sensor])
        tile = grid.tile_of(findings.loc[rows, "lon"], findings.loc[rows, "lat"])
        stays = fixed_places(
            findings.loc[rows, "lon"].to_numpy(),
            findings.loc[rows, "lat"].to_numpy(),
            findings.loc[rows, "time"],
            np.where(tile >= 0, looks[tile], 0),
        )
        rows = rows[stays & unexplained.loc[rows].to_numpy()]
        findings.loc[rows, "status"] = DetectionStatus.FIXED_STRUCTURE.value
        findings.loc[rows, "why"] = (
            "Something stands here, within 50 m, on half of the dates or more, over two weeks or more."
        )
    return findings


def _nowhere(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.bool_]:
    return np.zeros(np.shape(lon), bool)


def _looks(scenes: Sequence[SceneScore]) -> NDArray[np.int64]:
    """(tiles,) how many passes observed half or more of each tile's water."""
    seen: list[NDArray[np.float64]] = []
    for number, scored in enumerate(scenes):
        share = scored.tiles["observed_fraction"].fillna(0.0).to_numpy()
        if number and _one_pass(scenes[number - 1].scene, scored.scene):
            seen[-1] = seen[-1] + share
        else:
            seen.append(share)
    return np.asarray(np.sum([share >= 0.5 for share in seen], axis=0), np.int64)


def _with_counts(scored: SceneScore, findings: gpd.GeoDataFrame, grid: TileGrid) -> SceneScore:
    """The scene with its final findings, and with vessels and dark candidates counted in its tiles."""
    mine = findings[findings["scene_id"] == scored.scene.id]
    counts = {}
    for name, chosen in (
        ("vessels", mine["status"] != DetectionStatus.FIXED_STRUCTURE.value),
        ("dark_candidates", mine["status"] == DetectionStatus.DARK_CANDIDATE.value),
    ):
        tile = grid.tile_of(mine.loc[chosen, "lon"], mine.loc[chosen, "lat"])
        counts[name] = np.bincount(tile[tile >= 0], minlength=len(grid.names))
    return replace(scored, findings=mine, tiles=scored.tiles.assign(**counts))


def _attributions(scenes: list[SceneScore], land: Land | None) -> list[str]:
    return [s.scene.provenance.attribution for s in scenes] + [land.attribution if land else ""]


def _gaps(missed: Sequence[MissedScene], scenes: Sequence[SceneScore], wanted: int) -> list[str]:
    """What exists and could not be had."""
    gaps = []
    if missed:
        first = missed[0]
        gaps.append(
            f"{len(missed)} of {wanted} scenes could not be had, and their water is not observed; the first, "
            f"{first.ref.id}: {first.why}"
        )
    holes = [s.scene for s in scenes if s.scene.provenance.missing]
    if holes:
        gaps.append(
            f"{len(holes)} of {wanted} scenes have holes, which are not observed; the first, {holes[0].id}: "
            f"{holes[0].provenance.missing[0]}"
        )
    return gaps


def _run_notes(land: Land | None, settings: ScoreSettings, source: Fetcher) -> list[str]:
    notes = []
    if land is None:
        notes.append(
            "no land polygons are installed: land was not masked, tidal ground not flagged and shore distances are "
            "unknown; pip install 'offing[land]'"
        )
    if settings.ais is None:
        notes.append("no AIS was given: every vessel is 'not_searched', and none can be called unreported")
    notes += [f"skipped: {text}" for text in skipped_by(source)]
    return notes
