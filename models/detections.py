"""What every detector returns: one row per object, the same columns whatever found it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import geopandas as gpd


# Metadata of the columns: the dtype that each is brought to.
_TEXT = {"dtype": "U"}
_TIME = {"dtype": "datetime64[us]"}
_NUMBER = {"dtype": "f8"}
_FLAG = {"dtype": "?"}


@dataclass(frozen=True, kw_only=True)
class Detections:
    """Objects found in one scene or many; every column has shape (n,), rows in order of (time, scene_id, row, col).

    Attributes:
        id: unique and stable: the scene's id and the pixel, ``<scene>/r<row>c<col>``.
        scene_id: the scene it was found in.
        detector: name of the detector, with its settings' short hash.
        time: UTC instant at which this pixel was imaged (SAR: zero-Doppler time), datetime64[us].
        time_sigma_s: one-sigma error of that time, seconds.
        row, col: place in the scene, pixel centres at whole numbers.
        lon, lat: place in degrees, WGS 84, as imaged: a moving ship in SAR is not corrected for its azimuth shift.
        var_east_m2, cov_east_north_m2, var_north_m2: covariance of the place, m2.
        length_m, length_low_m, length_high_m: hull length and its interval (the detector's page says which).
        width_m, width_low_m, width_high_m: hull width and its interval.
        heading_deg, heading_low_deg, heading_high_deg: hull axis, degrees clockwise from north in [0, 180): bow and
            stern are not told apart. Interval ends may leave [0, 180); a full 180 wide means unknown.
        kind: ``vessel``, ``fixed_structure`` or ``ghost`` (a sidelobe or other image of something elsewhere).
        probability: that there is such an object here.
        probability_calibrated: True where that number was calibrated on held-out scenes.
        contrast_db: radar: peak over the background around it (CFAR: its mean, network: its median); optical: peak
            excess over the background, over 0.01 reflectance; both as 10 log10.
        shore_distance_m: metres to the nearest land, positive at sea, negative on land, NaN where no land is known;
            values at `imagery.land.SHORE_LIMIT_M` mean 'at least'.
        surface: ``sea``, ``intertidal`` (ground that the tide covers, or unmapped works joined to the shore), ``shore``
            (within `imagery.surface.SHORE_MARGIN_M` of land), ``land``, ``near_cloud`` (may be part of a cloud), or
            ``unknown`` where no land is known. Off the sea a bright spot may not be a ship.
    """

    id: NDArray[np.str_] = field(metadata=_TEXT)
    scene_id: NDArray[np.str_] = field(metadata=_TEXT)
    detector: NDArray[np.str_] = field(metadata=_TEXT)
    time: NDArray[np.datetime64] = field(metadata=_TIME)
    time_sigma_s: NDArray[np.float64] = field(metadata=_NUMBER)
    row: NDArray[np.float64] = field(metadata=_NUMBER)
    col: NDArray[np.float64] = field(metadata=_NUMBER)
    lon: NDArray[np.float64] = field(metadata=_NUMBER)
    lat: NDArray[np.float64] = field(metadata=_NUMBER)
    var_east_m2: NDArray[np.float64] = field(metadata=_NUMBER)
    cov_east_north_m2: NDArray[np.float64] = field(metadata=_NUMBER)
    var_north_m2: NDArray[np.float64] = field(metadata=_NUMBER)
    length_m: NDArray[np.float64] = field(metadata=_NUMBER)
    length_low_m: NDArray[np.float64] = field(metadata=_NUMBER)
    length_high_m: NDArray[np.float64] = field(metadata=_NUMBER)
    width_m: NDArray[np.float64] = field(metadata=_NUMBER)
    width_low_m: NDArray[np.float64] = field(metadata=_NUMBER)
    width_high_m: NDArray[np.float64] = field(metadata=_NUMBER)
    heading_deg: NDArray[np.float64] = field(metadata=_NUMBER)
    heading_low_deg: NDArray[np.float64] = field(metadata=_NUMBER)
    heading_high_deg: NDArray[np.float64] = field(metadata=_NUMBER)
    kind: NDArray[np.str_] = field(metadata=_TEXT)
    probability: NDArray[np.float64] = field(metadata=_NUMBER)
    probability_calibrated: NDArray[np.bool_] = field(metadata=_FLAG)
    contrast_db: NDArray[np.float64] = field(metadata=_NUMBER)
    shore_distance_m: NDArray[np.float64] = field(metadata=_NUMBER)
    surface: NDArray[np.str_] = field(metadata=_TEXT)

    def __post_init__(self) -> None:
        """Bring each column to its type; refuse columns of different lengths and probabilities outside 0..1."""
        length = None
        for column in fields(self):
            values = np.asarray(getattr(self, column.name))
            dtype = column.metadata["dtype"]
            values = values.astype(str) if dtype == "U" else values.astype(dtype, copy=False)
            if values.ndim != 1 or (length is not None and len(values) != length):
                raise ValueError(f"column {column.name} has shape {values.shape}; expected ({length},)")
            length = len(values)
            object.__setattr__(self, column.name, values)
        if not np.all((self.probability >= 0) & (self.probability <= 1)):
            raise ValueError("probabilities must lie in 0..1")

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.id)

    @classmethod
    def empty(cls) -> Detections:
        """No rows."""
        return cls(**{c.name: np.empty(0, dtype=c.metadata["dtype"]) for c in fields(cls)})

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(c.name for c in fields(cls))

    def take(self, rows: NDArray[Any]) -> Detections:
        """The rows named by an index array or a mask."""
        return Detections(**{name: getattr(self, name)[rows] for name in self.columns()})

    @classmethod
    def concatenate(cls, parts: Iterable[Detections]) -> Detections:
        """All rows of all parts, ordered by (time, scene_id, row, col)."""
        parts = list(parts)
        if not parts:
            return cls.empty()
        joined = {name: np.concatenate([getattr(p, name) for p in parts]) for name in cls.columns()}
        order = np.lexsort((joined["col"], joined["row"], joined["scene_id"], joined["time"]))
        return cls(**joined).take(order)

    def to_geopandas(self) -> gpd.GeoDataFrame:
        """A GeoDataFrame in EPSG:4326, a point per row, times aware in UTC."""
        import geopandas as gpd
        import pandas as pd

        columns = {name: getattr(self, name) for name in self.columns()}
        columns["time"] = pd.to_datetime(columns["time"]).tz_localize("UTC")
        return gpd.GeoDataFrame(columns, geometry=gpd.points_from_xy(self.lon, self.lat), crs="EPSG:4326")
