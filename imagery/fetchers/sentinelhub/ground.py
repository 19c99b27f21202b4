"""Times, angles and thermal noise of a pass on its grid: from the products' own files, else modelled or not known."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from imagery.acquisition import Acquisition
from imagery.errors import CredentialsError, ImageryError, NoAnswerError, QuotaError
from imagery.fetchers.sentinelhub.annotation import ProductFiles
from imagery.fetchers.sentinelhub.catalogue import SENTINEL1, Pass
from imagery.fetchers.sentinelhub.client import Client
from imagery.geometry import Grid
from imagery.ground_acquisition import AnnotatedGround, annotated_ground
from imagery.map_noise import MapNoise, map_noise
from imagery.orbit_model import OrbitModel

# How well the middle of the products' times is that of their ground: lines for Sentinel-1, whole tiles for Sentinel-2.
_SENTINEL1_TIME_SIGMA_S = 1.0
_SENTINEL2_TIME_SIGMA_S = 8.0

_NO_ANNOTATION = "no annotation (%s): azimuth time, range and incidence are modelled from the orbit"
_NO_NOISE = "the service subtracted thermal noise and how much is not known (%s): faint vessels may be missed"

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What is known of a pass on a grid besides its pixels.

    Attributes:
        acquisition: times, ranges and angles.
        noise: thermal noise that the service subtracts; None where it subtracts none, or nobody knows how much.
        notes: what was assumed, a sentence each.
    """

    acquisition: Acquisition
    noise: MapNoise | None = None
    notes: tuple[str, ...] = ()


def ground_of(client: Client, look: Pass, grid: Grid, refused: dict[str, str]) -> Ground:
    """Acquisition geometry and thermal noise of a part of a pass.

    Args:
        client: sends the requests.
        look: the pass.
        grid: the scene's.
        refused: what the deployment will not give and why, remembered from scene to scene; written to.

    Returns:
        For Sentinel-1, what the products' files say, or else a note that says what is missing and what that means.

    Raises:
        NoAnswerError: the files may be had later.
        QuotaError: nothing more can be had for now.
    """
    notes: list[str] = []
    if look.collection != SENTINEL1:
        acquisition = _modelled(look, grid, notes)
        return Ground(acquisition=acquisition, notes=tuple(notes))

    def or_note(note: str, get: Callable[[], _T]) -> _T | None:
        """What files tell, or None with a note."""
        if note not in refused:
            try:
                return get()
            except (NoAnswerError, QuotaError):
                raise  # later it may go well; what is noted now is kept with the scene for good
            except ImageryError as error:
                reason = str(error)
                if isinstance(error, CredentialsError) or client.deployment.product_download_url is None:
                    refused[note] = reason  # the next scene would be refused too
                _log.warning("%s: %s", look.ref.id, note % reason)
                notes.append(note % reason)
                return None
        notes.append(note % refused[note])
        return None

    annotated = or_note(_NO_ANNOTATION, lambda: _annotated(client, look, grid))
    if annotated is None:
        notes.append(_NO_NOISE % "no annotation")
        return Ground(acquisition=_modelled(look, grid, notes), notes=tuple(notes))
    files, ground = annotated
    noise = or_note(_NO_NOISE, lambda: _noise(look, files, ground))
    return Ground(acquisition=ground, noise=noise, notes=tuple(notes))


def _annotated(client: Client, look: Pass, grid: Grid) -> tuple[list[ProductFiles], AnnotatedGround]:
    files = [ProductFiles.look_up(client, product.id) for product in look.products]
    return files, annotated_ground(grid, [product.annotation() for product in files])


def _noise(look: Pass, files: list[ProductFiles], ground: AnnotatedGround) -> MapNoise:
    grids = [grid for grid, _ in ground.products]
    tables = [product.tables(look.products[0].bands) for product in files]
    return map_noise(ground.geometry, grids, tables)


def _modelled(look: Pass, grid: Grid, notes: list[str]) -> OrbitModel:
    """The orbit model of a part of a pass, by the track's number unless that contradicts place and time."""
    number = look.products[0].relative_orbit
    try:
        return _centred_model(look, grid, number)
    except ImageryError as error:
        if number is None:
            raise
        notes.append(f"the relative orbit in the product's name is not used ({error})")
        return _centred_model(look, grid, None)


def _centred_model(look: Pass, grid: Grid, relative_orbit: int | None) -> OrbitModel:
    """The catalogue dates the middle of whole products, the model wants the time of the middle of the grid."""
    is_radar = look.collection == SENTINEL1

    def model(time: datetime) -> OrbitModel:
        return OrbitModel(
            platform="sentinel-1" if is_radar else "sentinel-2",
            geometry=grid,
            time=time,
            time_sigma_s=_SENTINEL1_TIME_SIGMA_S if is_radar else _SENTINEL2_TIME_SIGMA_S,
            direction=look.products[0].direction,
            relative_orbit=relative_orbit,
        )

    first = model(look.ref.time)
    height, width = grid.shape_hw
    middle = look.zone.metres(look.ref.footprint).centroid
    col, row = ~grid.transform @ (middle.x, middle.y)
    late = first.at(row - 0.5, col - 0.5).time - first.at((height - 1) / 2.0, (width - 1) / 2.0).time
    return model(look.ref.time - late.astype("timedelta64[us]").item())
