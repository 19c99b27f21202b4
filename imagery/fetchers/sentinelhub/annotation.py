"""Annotation of Sentinel-1 products, file by file, from the Copernicus Data Space.

Tiles from Sentinel Hub carry no azimuth time and no slant range; the products' annotation has both, and the Copernicus
Data Space gives single files of a product: look the product up by its name, list the folder, fetch the file
(documentation.dataspace.copernicus.eu, OData, "Listing product nodes" and "Downloading products").
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import requests

from imagery.errors import FetchError, SourceError
from imagery.fetchers.sentinelhub.client import Client, UnreadableAnswerError

# An annotation of 210 grid points has 2 MB; anything far beyond is not one.
_MOST_BYTES = 64 * 1024 * 1024


def product_annotation(client: Client, name: str, band: str = "vv") -> bytes:
    """The annotation of one product.

    Args:
        client: sends the requests.
        name: product name, with or without ``.SAFE`` and the last part that tells processings of one slice apart.
        band: polarisation, such as ``vv``.

    Returns:
        The XML file.

    Raises:
        SourceError: the deployment gives no single files.
        FetchError: the product or its annotation is not there, or no answer.
        QuotaError: nothing more can be had for now.
        CredentialsError: access is refused.
    """
    catalogue_url, download_url = client.deployment.product_catalogue_url, client.deployment.product_download_url
    if catalogue_url is None or download_url is None:
        raise SourceError(f"{client.deployment.name} gives no single files of products")
    product_id, product_name = _look_up(client, catalogue_url, name)
    folder = f"{download_url.rstrip('/')}/Products({product_id})/Nodes({quote(product_name)})/Nodes(annotation)"
    listed = _json(client, f"{folder}/Nodes", with_token=True)
    names = sorted(str(node.get("Name", "")) for node in _entries(listed, "result"))
    files = [file for file in names if f"-{band}-" in file.lower() and file.lower().endswith(".xml")]
    if not files:
        raise FetchError(f"product {product_name} has no annotation of {band}")
    return _file(client, f"{folder}/Nodes({quote(files[0])})/$value")


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

    def check(response: requests.Response) -> None:
        try:
            answer = response.json()
        except ValueError as error:
            raise UnreadableAnswerError("not JSON") from error
        if not isinstance(answer, dict):
            raise UnreadableAnswerError("not a JSON object")
        answers.append(answer)

    client.get(url, check, with_token=with_token)
    return answers[-1]


def _file(client: Client, url: str) -> bytes:
    bodies: list[bytes] = []

    def check(response: requests.Response) -> None:
        body = response.content
        if len(body) > _MOST_BYTES or not body.rstrip().endswith(b"</product>"):
            raise UnreadableAnswerError("not a whole annotation")
        bodies.append(body)

    client.get(url, check, with_token=True)
    return bodies[-1]
