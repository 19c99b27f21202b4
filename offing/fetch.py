"""Fill the cache with an area's scenes, so that scoring needs no network, and tell what could not be had."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from imagery.errors import FetchError, QuotaError
from imagery.fetchers.base import SceneRef
from offing.areas import AreaConfig, Period, search_bounds
from offing.sources import check_found, is_remote, open_source, skipped_by

State = Literal["whole", "holes", "missed", "not_asked"]


@dataclass(frozen=True, kw_only=True)
class FetchedScene:
    """How one scene went.

    Attributes:
        ref: which.
        state: ``whole``; ``holes`` where parts could not be had; ``missed`` where nothing could; ``not_asked`` where
            the quota was spent before its turn.
        why: what could not be had, empty if nothing.
    """

    ref: SceneRef
    state: State
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class FetchSummary:
    """How fetching an area went.

    Attributes:
        area: its name.
        scenes: in order of time.
        stopped: why it stopped before the end, empty if it did not.
        skipped: a sentence for each scene that the source lists and cannot give.
    """

    area: str
    scenes: tuple[FetchedScene, ...]
    stopped: str = ""
    skipped: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """True where everything was had."""
        return not self.skipped and all(scene.state == "whole" for scene in self.scenes)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "area": self.area,
            "whole": self._count("whole"),
            "scenes": [
                {"id": s.ref.id, "sensor": s.ref.sensor_name, "time": s.ref.time.isoformat(), "state": s.state}
                | ({"why": s.why} if s.why else {})
                for s in self.scenes
            ],
            "stopped": self.stopped or None,
            "skipped": list(self.skipped),
        }

    def as_text(self) -> str:
        """A few lines for people."""
        lines = [f"{self.area}: {self._count('whole')} of {len(self.scenes)} scene(s) kept whole"]
        words = {"holes": "with holes", "missed": "could not be had"}
        for scene in self.scenes:
            if scene.state in words:
                lines.append(f"  {scene.ref.time:%Y-%m-%d %H:%M} {scene.ref.id}, {words[scene.state]}: {scene.why}")
        if left := self._count("not_asked"):
            lines.append(f"  {left} scene(s) not asked for")
        lines += [f"  skipped: {text}" for text in self.skipped]
        if self.stopped:
            lines.append(f"stopped: {self.stopped}")
        return "\n".join(lines)

    def _count(self, state: State) -> int:
        return sum(scene.state == state for scene in self.scenes)


def fetch(
    config: AreaConfig,
    period: Period | None,
    source_text: str,
    progress: Callable[[str, int, int], None] | None = None,
) -> FetchSummary:
    """Fetch every scene of an area into the cache.

    Args:
        config: the area.
        period: the dates.
        source_text: see `offing.sources.open_source`.
        progress: called with (scene and tile in words, scenes done, scenes in all).

    Returns:
        What was had and what not; a spent quota ends it early, and the next call goes on from there.

    Raises:
        ConfigError: if dates are missing.
        SourceError: if the source has no scene or cannot be searched.
        CredentialsError: if it refuses access.
    """
    done, total = 0, 0

    def on_tile(scene_id: str, tile: int, tiles: int) -> None:
        if progress is not None:
            progress(f"{scene_id} tile {tile}/{tiles}", done, total)

    source = open_source(source_text, config.area, period, on_tile)
    refs = source.search(config.area, *search_bounds(period, needed=is_remote(source)))
    check_found(refs, source, source_text, config.area, "on these dates")
    total, skipped = len(refs), skipped_by(source)
    scenes: list[FetchedScene] = []
    for ref in refs:
        try:
            missing = source.fetch(ref, config.area).provenance.missing
        except FetchError as error:
            scenes.append(FetchedScene(ref=ref, state="missed", why=str(error)))
        except QuotaError as error:
            rest = [FetchedScene(ref=r, state="not_asked") for r in refs[len(scenes) :]]
            return FetchSummary(area=config.area.name, scenes=(*scenes, *rest), stopped=str(error), skipped=skipped)
        else:
            scenes.append(FetchedScene(ref=ref, state="holes" if missing else "whole", why="; ".join(missing)))
        done += 1
        if progress is not None:
            progress(ref.id, done, total)
    return FetchSummary(area=config.area.name, scenes=tuple(scenes), skipped=skipped)
