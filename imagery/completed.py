"""The labels of a file after its bands and unit were told by somebody else than the file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from imagery.band_names import Bands
from imagery.labels import Labels, read_labels
from imagery.sensors import UNKNOWN_OPTICAL, UNKNOWN_SAR

# Grey levels of true colour are about linear in top-of-atmosphere reflectance, 255 for 0.3558 (Sentinel-2 TCI).
TRUE_COLOUR = "reflectance = DN * 0.3558 / 255"


@dataclass(frozen=True, kw_only=True)
class Told:
    """Labels, and values that stand for no data beside those that the file states."""

    labels: Labels
    no_data: tuple[float, ...] = ()


@dataclass(frozen=True)
class _Completed:
    """A dataset as `read_labels` sees it, with names and a unit that it does not have itself."""

    dataset: Any
    names: dict[str, int]
    unit: str | None

    @property
    def descriptions(self) -> tuple[str, ...]:
        by_index = {index: name for name, index in self.names.items()}
        return tuple(by_index.get(i, "") for i in range(1, self.dataset.count + 1))

    def tags(self) -> dict[str, str]:
        tags: dict[str, str] = self.dataset.tags()
        return tags if self.unit is None else tags | {"UNIT": self.unit}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.dataset, name)


def completed_labels(dataset: Any, path: Path, bands: Bands, unit: str | None, notes: tuple[str, ...] = ()) -> Labels:
    """Labels of the completed file; a sensor is only taken for known where the file has a place and names its bands."""
    labels = read_labels(_Completed(dataset, bands.indexes, unit), path)
    placed = dataset.crs is not None or bool(dataset.gcps[0])
    known = bands.named and placed and labels.unit != "dn8" and (not bands.is_optical or unit != TRUE_COLOUR)
    sensor = labels.sensor_name if known else (UNKNOWN_OPTICAL if bands.is_optical else UNKNOWN_SAR).name
    names = tuple(name for name in bands.indexes if name in labels.bands)
    return replace(
        labels,
        bands=names,
        band_indexes=tuple(bands.indexes[name] for name in names),
        sensor_name=sensor,
        notes=(*labels.notes, *bands.notes, *notes),
    )


def unit_by_tag(dataset: Any, path: Path, bands: Bands) -> Labels:
    """Labels by the file's own UNIT tag, once its bands are known."""
    return read_labels(_Completed(dataset, bands.indexes, None), path)
