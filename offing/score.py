"""The main path: an area goes in; scenes are found, read, searched and held against AIS; findings come out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from imagery.errors import SourceError
from imagery.fetchers.base import Fetcher
from imagery.geometry import Window
from imagery.land import Land, check_has_water
from imagery.pictures import Picture, picture
from imagery.scene import Scene
from imagery.surface import Surface, map_surface
from models.detector import detect
from offing.ais.cross_check import cross_check
from offing.ais.schema import AisData
from offing.ais.verdict import CrossCheck, VesselTable
from offing.areas import AreaConfig, Period
from offing.detectors import make_detector
from offing.persistence import fixed_places
from offing.sources import open_land, open_source
from offing.status import DetectionStatus
from offing.water import TileGrid, surface_at, tile_grid, tile_table

SceneProgress = Callable[[str, int, int], None]


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
    source: str
    ais: AisData | None
    workers: int = 2


@dataclass(frozen=True, kw_only=True)
class SceneScore:
    """What one scene showed.

    Attributes:
        scene: the scene, its pixels still readable.
        findings: a row per detection inside the area: the columns of `models.Detections` and of the cross-check.
        ais_vessels: a row per AIS vessel that should have been in the scene.
        tiles: a row per tile of the area.
        picture: the area as this scene shows it.
        notes: what was assumed, set aside or missing.
    """

    scene: Scene
    findings: gpd.GeoDataFrame
    ais_vessels: pd.DataFrame
    tiles: gpd.GeoDataFrame
    picture: Picture
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Score:
    """What all scenes of an area showed.

    Attributes:
        settings: what was asked.
        scenes: one per scene, in order of time.
        findings: all findings, with structures told apart from ships by persistence.
        land_source: where land came from, empty where it was not masked.
        attributions: credits that the data's licences ask for.
        notes: what concerns the whole run.
    """

    settings: ScoreSettings
    scenes: tuple[SceneScore, ...]
    findings: gpd.GeoDataFrame
    land_source: str
    attributions: tuple[str, ...]
    notes: tuple[str, ...]


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
    refs = source.search(area, *_bounds(settings.period))
    if not refs:
        raise SourceError(f"the source {settings.source} has no scene of {area.name!r} {_in_words(settings.period)}")
    scenes = []
    for done, ref in enumerate(refs, start=1):
        scenes.append(score_scene(source.fetch(ref, area), settings, land, grid))
        if progress is not None:
            progress(ref.id, done, len(refs))
    findings = _tell_structures(scenes)
    return Score(
        settings=settings,
        scenes=tuple(_with_counts(s, findings) for s in scenes),
        findings=findings,
        land_source=land.source if land else "",
        attributions=tuple(dict.fromkeys(a for a in _attributions(scenes, land) if a)),
        notes=_run_notes(land, settings, source),
    )


def score_scene(scene: Scene, settings: ScoreSettings, land: Land | None, grid: TileGrid) -> SceneScore:
    """Search one scene and hold what it shows against AIS."""
    area = settings.config.area
    surface = map_surface(scene, land)
    region = _window_of(scene, grid)
    found = detect(scene, make_detector("auto", scene), surface, land, region=region, workers=settings.workers)
    inside = found.detections.take(area.contains(found.detections.lon, found.detections.lat))

    def observed(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.bool_]:
        return np.asarray((surface_at(scene, surface, lon, lat) == Surface.SEA) & area.contains(lon, lat))

    view = scene.acquisition.at(inside.row, inside.col) if scene.sensor.kind == "sar" else None
    check = cross_check(inside, settings.ais, view, observed=observed, scene_time=scene.time)
    return SceneScore(
        scene=scene,
        findings=_join(inside.to_geopandas(), check, scene),
        ais_vessels=_vessel_frame(check.vessels, scene),
        tiles=tile_table(scene, surface, grid),
        picture=picture(scene, region),
        notes=(*scene.provenance.notes, f"acquisition geometry: {scene.acquisition.source}", *found.notes),
    )


def _bounds(period: Period | None) -> tuple[datetime, datetime]:
    if period is None:
        return datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    return period.start, period.end


def _in_words(period: Period | None) -> str:
    if period is None:
        return "at any time"
    return f"from {period.start:%Y-%m-%d} to {period.end - timedelta(days=1):%Y-%m-%d}"


def _window_of(scene: Scene, grid: TileGrid) -> Window:
    """The scene's pixels around the area, cut to the scene."""
    rows, cols = scene.geometry.rowcol(grid.lon, grid.lat)
    row, col = int(np.floor(rows.min())) - 8, int(np.floor(cols.min())) - 8  # 8 px: the area's places lie 100 m apart
    around = Window(row=row, col=col, height=int(rows.max()) + 9 - row, width=int(cols.max()) + 9 - col)
    inside = around.intersection(scene.window)
    if inside is None:
        raise SourceError(f"scene {scene.id} does not touch the area; its footprint and its grid disagree")
    return inside


def _join(findings: gpd.GeoDataFrame, check: CrossCheck, scene: Scene) -> gpd.GeoDataFrame:
    """Detections and what AIS says of them, side by side."""
    return findings.assign(
        sensor=scene.sensor.name,
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


def _tell_structures(scenes: list[SceneScore]) -> gpd.GeoDataFrame:
    """All findings in order; those that no AIS explains and that stay put become structures."""
    findings = pd.concat([s.findings for s in scenes], ignore_index=True)
    unexplained = ~findings["status"].isin([DetectionStatus.MATCHED, DetectionStatus.MATCHED_IDENTITY_DOUBTFUL])
    for sensor in findings["sensor"].unique():
        mine = findings["sensor"] == sensor
        rows = findings.index[mine]
        looks = _looks(findings.loc[rows], [s.tiles for s in scenes if s.scene.sensor.name == sensor])
        stays = fixed_places(
            findings.loc[rows, "lon"].to_numpy(),
            findings.loc[rows, "lat"].to_numpy(),
            findings.loc[rows, "time"],
            looks,
        )
        rows = rows[stays & unexplained.loc[rows].to_numpy()]
        findings.loc[rows, "status"] = DetectionStatus.FIXED_STRUCTURE.value
        findings.loc[rows, "why"] = (
            "Something stands here, within 50 m, on half of the dates or more, over two weeks or more."
        )
    return findings


def _looks(findings: gpd.GeoDataFrame, tiles: list[gpd.GeoDataFrame]) -> NDArray[np.int64]:
    """How many scenes observed half or more of the water of the tile that each finding lies in."""
    joined = gpd.sjoin(findings[["geometry"]], tiles[0][["tile_id", "geometry"]], predicate="within", how="left")
    tile = joined["tile_id"].groupby(level=0).first().reindex(findings.index)
    observed = pd.concat([t.loc[t["observed_fraction"] >= 0.5, "tile_id"] for t in tiles]).value_counts()
    return np.asarray(tile.map(observed).fillna(0), np.int64)


def _with_counts(scored: SceneScore, findings: gpd.GeoDataFrame) -> SceneScore:
    """The scene with its final findings, and with vessels and dark candidates counted in its tiles."""
    mine = findings[findings["scene_id"] == scored.scene.id]
    ships = mine[mine["status"] != DetectionStatus.FIXED_STRUCTURE.value]
    joined = gpd.sjoin(ships[["status", "geometry"]], scored.tiles[["tile_id", "geometry"]], predicate="within")
    per_tile = joined.groupby("tile_id")["status"]
    vessels = per_tile.size().reindex(scored.tiles["tile_id"], fill_value=0).to_numpy()
    dark = per_tile.agg(lambda s: (s == DetectionStatus.DARK_CANDIDATE.value).sum())
    dark = dark.reindex(scored.tiles["tile_id"], fill_value=0).to_numpy(dtype=np.int64)
    return replace(scored, findings=mine, tiles=scored.tiles.assign(vessels=vessels, dark_candidates=dark))


def _attributions(scenes: list[SceneScore], land: Land | None) -> list[str]:
    return [s.scene.provenance.attribution for s in scenes] + [land.attribution if land else ""]


def _run_notes(land: Land | None, settings: ScoreSettings, source: Fetcher) -> tuple[str, ...]:
    notes = []
    if land is None:
        notes.append(
            "no land polygons are installed: land was not masked, tidal ground not flagged and shore distances are "
            "unknown; pip install 'offing[land]'"
        )
    if settings.ais is None:
        notes.append("no AIS was given: every vessel is 'not_searched', and none can be called unreported")
    notes += [f"skipped: {text}" for text in getattr(source, "skipped", ())]
    return tuple(notes)
