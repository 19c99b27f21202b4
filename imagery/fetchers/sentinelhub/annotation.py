"""Annotation of Sentinel-1 products, file by file, from the Copernicus Data Space.

Tiles from Sentinel Hub carry no azimuth time, no slant range and no word of the noise that was subtracted. The
products' annotation, calibration and noise files do, and the Copernicus Data Space gives single files of a product:
look the product up by its name, list the folder, fetch the file (documentation.dataspace.copernicus.eu, OData, "Listing
product nodes" and "Downloading products"). A product of two polarisations takes eight requests: one to look it up, one
for each of two folders, and one for each of five files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import requests

from imagery.errors import FetchError, SourceError
from imagery.fetchers.sentinelhub.client import Client, UnreadableAnswerError, json_object
from imagery.map_noise import TableFiles

# An annotation of 210 grid points has 2 MB; anything far beyond is not one.
_MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class ProductFiles:
    """Single files of one product.

    Its methods raise `FetchError` where a file is not there or no answer comes, `QuotaError` where nothing more can be
    had for now, and `CredentialsError` where access is refused.

    Attributes:
        client: sends the requests.
        name: full name of the product.
        url: address of the product's folder.
    """

    client: Client
    name: str
    url: str

    @classmethod
    def look_up(cls, client: Client, name: str) -> ProductFiles:
        """The files of a product.

        Args:
            client: sends the requests.
            name: with or without ``.SAFE`` and the last part that tells processings of one slice apart.

        Raises:
            SourceError: the deployment gives no single files.
            FetchError: the product is not there, or no answer.
            QuotaError: nothing more can be had for now.
        """
        catalogue_url, download_url = client.deployment.product_catalogue_url, client.deployment.product_download_url
        if catalogue_url is None or download_url is None:
            raise SourceError(f"{client.deployment.name} gives no single files of products")
        product_id, full_name = _look_up(client, catalogue_url, name)
        url = f"{download_url.rstrip('/')}/Products({product_id})/Nodes({quote(full_name)})"
        return cls(client=client, name=full_name, url=url)

    def annotation(self, band: str = "vv") -> bytes:
        """The XML file ``annotation/*.xml`` of a polarisation; each has the times, ranges and angles of all."""
        folder = f"{self.url}/Nodes(annotation)"
        return self._file(folder, self._names(folder), "", band, "product")

    def tables(self, bands: tuple[str, ...]) -> tuple[TableFiles, ...]:
        """The XML files ``annotation/calibration/*.xml`` of each polarisation."""
        folder = f"{self.url}/Nodes(annotation)/Nodes(calibration)"
        names = self._names(folder)
        return tuple(
            TableFiles(
                calibration=self._file(folder, names, "calibration-", band, "calibration"),
                noise=self._file(folder, names, "noise-", band, "noise"),
            )
            for band in bands
        )

    def _names(self, folder: str) -> list[str]:
        """What is in a folder, in order."""
        listed = _json(self.client, f"{folder}/Nodes", with_token=True)
        return sorted(str(node.get("Name", "")) for node in _entries(listed, "result"))

    def _file(self, folder: str, names: list[str], prefix: str, band: str, root: str) -> bytes:
        """The XML file whose name begins so and holds the band; its root element tells whether it came whole."""
        found = [
            name
            for name in names
            if name.lower().startswith(prefix) and f"-{band}-" in name.lower() and name.lower().endswith(".xml")
        ]
        if not found:
            what = prefix.removesuffix("-") or "annotation"
            raise FetchError(f"product {self.name} has no {what} of {band}")
        return _file(self.client, f"{folder}/Nodes({quote(found[0])})/$value", root)


def _look_up(client: Client, catalogue_url: str, name: str) -> tuple[str, str]:
    """Identifier and full name of a product: the one of this very name, else another processing of its slice."""
    slice_name = "_".join(name.removesuffix(".SAFE").split("_")[:8])
    query = urlencode({"$filter": f"startswith(Name,'{slice_name}')", "$top": "20"}, quote_via=quote)
    answer = _json(client, f"{catalogue_url.rstrip('/')}/Products?{query}", with_token=False)
    found = sorted(
        (str(entry.get("Name", "")), str(entry.get("Id", "")))
        for entry in _entries(answer, "value")
        if entry.get("Id") and str(entry.get("Name", "")).startswith(slice_name)
    )
    if not found:
        raise FetchError(f"the product catalogue of {client.deployment.name} has no {name}")
    stem = name.removesuffix(".SAFE")
    best = next((entry for entry in found if entry[0].removesuffix(".SAFE") == stem), found[0])
    return best[1], best[0]


def _entries(answer: dict[str, Any], key: str) -> list[dict[str, Any]]:
    entries = answer.get(key)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise FetchError(f"the product service answers without a list {key!r}")
    return entries


def _json(client: Client, url: str, *, with_token: bool) -> dict[str, Any]:
    answers: list[dict[str, Any]] = []
    client.get(url, lambda response: answers.append(json_object(response)), with_token=with_token)
    return answers[-1]


def _file(client: Client, url: str, root: str) -> bytes:
    bodies: list[bytes] = []

    def check(response: requests.Response) -> None:
        body = response.content
        if len(body) > _MOST_BYTES or not body.rstrip().endswith(f"</{root}>".encode()):
            raise UnreadableAnswerError("not a whole annotation")
        bodies.append(body)

    client.get(url, check, with_token=True)
    return bodies[-1]
