"""Where Sentinel Hub runs, and how each place spells its addresses."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from imagery.errors import SourceError

Service = Literal["process", "catalogue"]
PathStyle = Literal["api/v1", "service/v1"]

# Copernicus Data Space and sentinelhub-py have the version before the service; Sentinel Hub's own OpenAPI description
# has it after (documentation.dataspace.copernicus.eu and docs.sentinel-hub.com, API reference).
_PATHS: Mapping[PathStyle, Mapping[Service, str]] = {
    "api/v1": {"process": "/api/v1/process", "catalogue": "/api/v1/catalog/1.0.0"},
    "service/v1": {"process": "/process/v1", "catalogue": "/catalog/v1"},
}


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One place where Sentinel Hub runs.

    Attributes:
        name: for messages and provenance.
        base_url: of the service.
        token_url: where client credentials are exchanged for a token.
        path_style: where the version stands in the service's paths.
        product_catalogue_url: OData service that finds a product's identifier by its name; None where there is none.
        product_download_url: OData service that gives single files of a product; None where there is none.

    Raises:
        SourceError: an address is not https, or holds a user name or password.
    """

    name: str
    base_url: str
    token_url: str
    path_style: PathStyle = "api/v1"
    product_catalogue_url: str | None = None
    product_download_url: str | None = None

    def __post_init__(self) -> None:
        """Refuse addresses over which a secret would travel in the open."""
        for url in (self.base_url, self.token_url, self.product_catalogue_url, self.product_download_url):
            parts = urlsplit(url or "https://none")
            if parts.scheme != "https" or not parts.hostname or parts.username or parts.password:
                raise SourceError(
                    f"{self.name} has an address on {parts.hostname or 'no host'} that is not https, or holds a name "
                    "or password; give an https:// address, and credentials in SH_CLIENT_ID and SH_CLIENT_SECRET"
                )

    @property
    def host(self) -> str:
        """Host of the service."""
        return urlsplit(self.base_url).hostname or ""

    def url(self, service: Service) -> str:
        """Address of a service: the only place that knows the paths."""
        return self.base_url.rstrip("/") + _PATHS[self.path_style][service]


CDSE = Deployment(
    name="Copernicus Data Space",
    base_url="https://sh.dataspace.copernicus.eu",
    token_url="https://identity.dataspace.copernicus.eu/auth/realms/CDSE/protocol/openid-connect/token",
    product_catalogue_url="https://catalogue.dataspace.copernicus.eu/odata/v1",
    product_download_url="https://download.dataspace.copernicus.eu/odata/v1",
)

COMMERCIAL = Deployment(
    name="Sentinel Hub",
    base_url="https://services.sentinel-hub.com",
    token_url="https://services.sentinel-hub.com/auth/realms/main/protocol/openid-connect/token",
    path_style="service/v1",
)


def deployment_from_environment(environ: Mapping[str, str] | None = None) -> Deployment:
    """The deployment that the environment names, else the Copernicus Data Space.

    ``SH_BASE_URL`` and ``SH_TOKEN_URL`` go together. ``SH_ODATA_URL`` adds a service of single product files, at a
    deployment that has one.

    Args:
        environ: the environment; None takes the process's own.

    Raises:
        SourceError: only one of the two is set, or an address cannot be used.
    """
    environ = os.environ if environ is None else environ
    base_url, token_url = environ.get("SH_BASE_URL"), environ.get("SH_TOKEN_URL")
    if not base_url and not token_url:
        return CDSE
    if not base_url or not token_url:
        missing = "SH_TOKEN_URL" if base_url else "SH_BASE_URL"
        raise SourceError(f"the source sentinelhub needs {missing} too; set both SH_BASE_URL and SH_TOKEN_URL or none")
    for known in (CDSE, COMMERCIAL):
        if (base_url.rstrip("/"), token_url) == (known.base_url, known.token_url):
            return known
    products = environ.get("SH_ODATA_URL") or None
    return Deployment(
        name="Sentinel Hub at SH_BASE_URL",
        base_url=base_url,
        token_url=token_url,
        path_style=COMMERCIAL.path_style if base_url.rstrip("/") == COMMERCIAL.base_url else "api/v1",
        product_catalogue_url=products,
        product_download_url=products,
    )
