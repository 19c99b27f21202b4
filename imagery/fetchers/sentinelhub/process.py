"""The Process request of one window of one pass, and the check of what comes back."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import numpy as np
import rasterio
import requests
from rasterio.errors import RasterioError
from sentinelhub.api.process import SentinelHubRequest
from sentinelhub.constants import CRS, MimeType, MosaickingOrder
from sentinelhub.data_collections import DataCollection, OrbitDirection
from sentinelhub.download.models import DownloadRequest
from sentinelhub.geometry import BBox

from imagery.fetchers.sentinelhub.catalogue import SENTINEL1, SENTINEL2_L1C, SENTINEL2_L2A, Pass
from imagery.fetchers.sentinelhub.client import Client, UnreadableAnswerError
from imagery.fetchers.sentinelhub.encoding import Encoding, RawArray, optical, radar
from imagery.geometry import Grid
from imagery.utm_tiles import PIXEL_M

# The most pixels on a side of one request (OpenAPI description, ProcessRequestOutput).
MOST_PX = 2500
_BUILT_IN = {
    SENTINEL1: DataCollection.SENTINEL1_IW,
    SENTINEL2_L2A: DataCollection.SENTINEL2_L2A,
    SENTINEL2_L1C: DataCollection.SENTINEL2_L1C,
}
# Collections of sentinelhub-py are members of one enumeration, which grows with each new one.
_DEFINING = threading.Lock()


def encoding_of(collection: str, bands: tuple[str, ...] = ("vv", "vh")) -> Encoding:
    """How pixels of a collection travel; the bands matter for Sentinel-1 only."""
    return radar(bands) if collection == SENTINEL1 else optical(classified=collection == SENTINEL2_L2A)


def process_request(client: Client, look: Pass, encoding: Encoding, grid: Grid, epsg: int) -> DownloadRequest:
    """One request for the pixels of one pass on a grid of 10 m in UTM.

    Sentinel-1 comes as calibrated sigma0 with thermal noise removed, laid on the ellipsoid (at sea level that is where
    it lies) without speckle filter, which would smear ships.

    Args:
        client: what will send it.
        look: the pass.
        encoding: of its collection.
        grid: where, at most 2500 px on a side.
        epsg: of the grid's CRS.
    """
    left, top = grid.transform.c, grid.transform.f
    height, width = grid.shape_hw
    request = SentinelHubRequest(
        evalscript=encoding.evalscript,
        input_data=[
            SentinelHubRequest.input_data(
                _collection(client.deployment.base_url, look),
                time_interval=(_whole_second(look.from_time), _whole_second(look.to_time)),
                mosaicking_order=MosaickingOrder.MOST_RECENT,
                other_args=_other_arguments(look),
            )
        ],
        responses=[SentinelHubRequest.output_response("default", MimeType.TIFF)],
        bbox=BBox((left, top - height * PIXEL_M, left + width * PIXEL_M, top), CRS(str(epsg))),
        size=(width, height),
        config=client.config,
    ).download_list[0]
    request.url = client.deployment.url("process")
    return request


def raw_pixels(client: Client, request: DownloadRequest, shape: tuple[int, int, int]) -> RawArray:
    """Send a request and read the codes that come back.

    Args:
        client: sends it.
        request: from `process_request`.
        shape: (bands, height, width) that were asked for.

    Raises:
        FetchError, QuotaError, CredentialsError: see `Client.ask`.
    """
    received: list[RawArray] = []
    client.ask(request, lambda response: received.append(_read_tiff(response, shape)))
    return received[-1]


def _read_tiff(response: requests.Response, shape: tuple[int, int, int]) -> RawArray:
    """Every pixel of the body, read to the end."""
    if not response.content:
        raise UnreadableAnswerError("nothing")
    try:
        with rasterio.MemoryFile(response.content) as memory, memory.open(driver="GTiff") as dataset:
            found = (dataset.count, dataset.height, dataset.width)
            if found != shape or set(dataset.dtypes) != {"uint16"}:
                raise UnreadableAnswerError(f"a raster of {found} {dataset.dtypes[0]}, not of {shape} uint16")
            raw: RawArray = np.asarray(dataset.read())
    except (RasterioError, ValueError) as error:
        raise UnreadableAnswerError("not a whole GeoTIFF") from error
    return raw


def _whole_second(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(microsecond=0)


def _collection(base_url: str, look: Pass) -> DataCollection:
    """sentinelhub-py's collection at this deployment; its built-in ones are bound to the commercial service."""
    parameters: dict[str, Any] = {}
    product = look.products[0]
    if look.collection == SENTINEL1:
        parameters["polarization"] = "DV" if len(product.bands) == 2 else "SV"
        parameters["orbit_direction"] = (product.direction or OrbitDirection.BOTH).upper()
        parameters["timeliness"] = look.timeliness or None
    kind = "_".join(str(value) for value in parameters.values())
    with _DEFINING:
        return _BUILT_IN[look.collection].define_from(
            f"OFFING {look.collection} {kind} {base_url}", service_url=base_url, **parameters
        )


def _other_arguments(look: Pass) -> dict[str, Any]:
    if look.collection == SENTINEL1:
        return {"processing": {"backCoeff": "SIGMA0_ELLIPSOID", "orthorectify": False}}
    return {"processing": {"harmonizeValues": False}}
