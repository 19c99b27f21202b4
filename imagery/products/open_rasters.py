"""Rasters that stay open between the reads of one thread.

A member of a zip cannot be entered in the middle: opening it anew for every window would decompress it from its start
each time, while an open one goes on from where it was.
"""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import rasterio
from rasterio.errors import NotGeoreferencedWarning

_MOST_OPEN = 4  # per thread


class _OpenRasters(threading.local):
    """The datasets of one thread, the longest unused first."""

    def __init__(self) -> None:
        self.datasets: OrderedDict[Hashable, Any] = OrderedDict()


_open = _OpenRasters()


def open_geotiff_only(path: str) -> Any:
    """Open a TIFF, and nothing that merely has its name: other formats can refer to other files.

    Args:
        path: what rasterio opens: a file, ``/vsizip/{...}``, an ``https`` or ``s3`` address.

    Returns:
        The rasterio dataset.

    Raises:
        rasterio.errors.RasterioError: if it is none, or cannot be read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # the annotation may know where the pixels lie
        return rasterio.open(path, driver="GTiff")


def kept_open(owner: Hashable, path: str) -> Any:
    """The dataset at a path, opened once per owner and thread; at most a few stay open.

    Args:
        owner: whoever reads it; another one gets another dataset, so that a replaced file is opened anew.
        path: see `open_geotiff_only`.

    Returns:
        The rasterio dataset, for use in this thread only.

    Raises:
        rasterio.errors.RasterioError: see `open_geotiff_only`.
    """
    key = (owner, path)
    if key in _open.datasets:
        _open.datasets.move_to_end(key)
    else:
        _open.datasets[key] = open_geotiff_only(path)
        while len(_open.datasets) > _MOST_OPEN:
            _open.datasets.popitem(last=False)[1].close()
    return _open.datasets[key]
