"""Sentinel-1 products as they are delivered, their measurements and annotations far away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagery.fetchers.remote import TILE_PX, RemoteFiles, in_parallel
from imagery.fetchers.stac.bands import BandAsset, grd_xml_hrefs
from imagery.fetchers.stac.items import StacItem
from imagery.geometry import Window
from imagery.products.sentinel1 import GrdPolarisation, GrdReader, grd_scene
from imagery.scene import Pixels, Provenance, Scene


@dataclass(frozen=True, kw_only=True, eq=False)
class RemoteGrdReader:
    """Pixels of a Sentinel-1 product far away, read and calibrated by `imagery.products.sentinel1`.

    Attributes:
        files: how its measurements are read.
        hrefs: addresses of the measurements as the catalogue has them.
        build: the product's scene from the paths under which the measurements can be read now.
    """

    files: RemoteFiles = field(repr=False)
    hrefs: tuple[str, ...] = field(repr=False)  # a catalogue may sign its addresses itself
    build: Callable[[tuple[str, ...]], Scene] = field(repr=False)
    _built: dict[tuple[str, ...], Scene] = field(default_factory=dict, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @property
    def tile_px(self) -> int:
        """Side of the tiles in which reading is cheapest."""
        return TILE_PX

    def scene(self) -> Scene:
        """The product's own scene."""
        return self.files.use(self.hrefs, self._scene)

    def read(self, window: Window) -> Pixels:
        """Pixels of a window inside the scene.

        Raises:
            FetchError, QuotaError, CredentialsError: see `RemoteFiles.use`.
        """
        return self.files.use(self.hrefs, lambda paths: self._scene(paths).reader.read(window))

    def noise_sigma0(self, window: Window) -> NDArray[np.float32]:
        """The thermal noise that `read` subtracts, see `imagery.thermal_noise`.

        Raises:
            FetchError, QuotaError, CredentialsError: see `RemoteFiles.use`.
        """

        def noise(paths: tuple[str, ...]) -> NDArray[np.float32]:
            reader = self._scene(paths).reader
            assert isinstance(reader, GrdReader)  # as `grd_scene` builds it
            return reader.noise_sigma0(window)

        return self.files.use(self.hrefs, noise)

    def _scene(self, paths: tuple[str, ...]) -> Scene:
        """Built once for each signature."""
        with self._lock:
            if paths not in self._built:
                built = self.build(paths)
                self._built.clear()
                self._built[paths] = built
            return self._built[paths]


def delivered_scene(item: StacItem, assets: Sequence[BandAsset], files: RemoteFiles, provenance: Provenance) -> Scene:
    """A product as the radar saw it, with ground control points.

    Args:
        item: the item.
        assets: its measurements, one per polarisation.
        files: how its files are read.
        provenance: where it came from.

    Raises:
        FetchError, QuotaError, CredentialsError: see `RemoteFiles`.
    """
    wanted = [(asset.band, part, href) for asset in assets for part, href in grd_xml_hrefs(item, asset.band).items()]
    contents = in_parallel(lambda each: files.download(each[2]), wanted)
    xml: dict[str, dict[str, bytes]] = {asset.band: {} for asset in assets}
    for (band, part, _), content in zip(wanted, contents, strict=True):
        xml[band][part] = content

    def build(paths: tuple[str, ...]) -> Scene:
        return grd_scene(
            item.ref.id,
            [
                GrdPolarisation(band=asset.band, measurement=path, **xml[asset.band])
                for asset, path in zip(assets, paths, strict=True)
            ],
            provenance=provenance,
            fallback_time=item.ref.time,
            fallback_time_sigma_s=item.time_sigma_s,
            ipf_version=_ipf_version(item.properties),
        )

    reader = RemoteGrdReader(files=files, hrefs=tuple(asset.href for asset in assets), build=build)
    return replace(reader.scene(), reader=reader)


def _ipf_version(properties: Mapping[str, Any]) -> float | None:
    """Version of ESA's processor where the item tells it."""
    software = properties.get("processing:software")
    for name, version in software.items() if isinstance(software, Mapping) else ():
        if "IPF" in str(name).upper():
            try:
                return float(str(version))
            except ValueError:
                return None
    return None
