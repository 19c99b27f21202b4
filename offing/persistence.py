"""Objects that stay at one place over many dates are structures, not ships."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from imagery.geometry import metres_per_degree, wrap_lon

# Design note on vessels, section 4: persistent in 3 or more dates within 50 m. A ship at anchor stays days, not weeks,
# so the dates must span two weeks; and a structure is there on half of the looks or more (the tide may hide it).
SAME_PLACE_M = 50.0
MIN_DATES = 3
MIN_SPAN_DAYS = 14.0
MIN_SHARE_OF_LOOKS = 0.5


def fixed_places(
    lon: NDArray[np.float64], lat: NDArray[np.float64], time: pd.Series, looks: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Detections of one sensor that stand where others stood on half of the dates or more.

    Args:
        lon: (n,) degrees.
        lat: (n,) degrees.
        time: (n,) UTC times.
        looks: (n,) scenes of the sensor that observed the water at each detection.

    Returns:
        (n,) bool, True = a fixed object by the constants of this module.
    """
    fixed = np.zeros(len(lon), bool)
    if len(lon) == 0 or time.isna().any():
        return fixed
    lon_m, lat_m = metres_per_degree(float(np.mean(lat)))
    places = np.column_stack([wrap_lon(lon - lon[0]) * lon_m, (lat - lat[0]) * lat_m])
    days = time.dt.floor("D").to_numpy()
    for i, neighbours in enumerate(cKDTree(places).query_ball_point(places, SAME_PLACE_M)):
        dates = np.unique(days[neighbours])
        span_days = (dates[-1] - dates[0]) / np.timedelta64(1, "D")
        enough = len(dates) >= max(MIN_DATES, MIN_SHARE_OF_LOOKS * looks[i])
        fixed[i] = enough and span_days >= MIN_SPAN_DAYS
    return fixed
