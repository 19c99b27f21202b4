"""Searching a STAC API: its collections, one condition asked on either side, every page, nothing twice."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
import shapely

from imagery.aoi import AreaOfInterest
from imagery.errors import FetchError, ImageryError, SourceError
from imagery.fetchers.retry import RetryPolicy, send
from imagery.fetchers.signing import without_query

if TYPE_CHECKING:
    from pystac_client import Client
    from pystac_client.stac_api_io import StacApiIO

Json = dict[str, Any]

# An item may carry the time at which its datatake began, up to 45 minutes before its own, or an interval; so a server
# is asked for somewhat more than is wanted.
_TIME_MARGIN = timedelta(hours=1)
_MOST_VERTICES = 300  # of an area as servers get it; some refuse requests of many kilobytes
_IDLE_PAGES = 3  # that bring nothing new; more is a server that goes in a circle


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A property has one of some values, or the item does not state it.

    Attributes:
        name: of the property.
        values: those allowed.
    """

    name: str
    values: tuple[str, ...]

    def holds(self, properties: Mapping[str, Any]) -> bool:
        """Whether an item with these properties is wanted."""
        stated = properties.get(self.name)
        return stated is None or stated in self.values

    def cql2(self) -> Json:
        """The same for a server, OGC 21-065r2 (CQL2 JSON)."""
        place = {"property": self.name}
        equal = [{"op": "=", "args": [place, value]} for value in self.values]
        return {"op": "or", "args": [{"op": "isNull", "args": [place]}, *equal]}


@dataclass(frozen=True, kw_only=True)
class StacApi:
    """A STAC API, asked through one retry policy.

    Attributes:
        url: its landing page.
        policy: how often, how long.
        page_items: items per page to ask for.
    """

    url: str
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    page_items: int = 100

    @property
    def name(self) -> str:
        """The address without whatever might be secret in it."""
        parts = urlsplit(self.url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}{parts.path.rstrip('/')}"

    @cached_property
    def collections(self) -> tuple[str, ...]:
        """Ids of all collections, in order.

        Raises:
            SourceError: there is no STAC API at the address.
            FetchError, QuotaError, CredentialsError: it does not answer.
        """
        with _clear_errors(self.name):
            link = self._client.get_single_link("data")
            href = link.get_absolute_href() if link is not None else None
            pages = self._io.get_pages(href or f"{self.url.rstrip('/')}/collections")
            return tuple(sorted({str(each["id"]) for page in pages for each in page["collections"]}))

    @cached_property
    def filters(self) -> bool:
        """Whether the server filters by properties, in CQL2 JSON."""
        conforms = [str(uri) for uri in self._client.get_conforms_to()]
        return any("item-search#filter" in uri for uri in conforms) and any("cql2-json" in uri for uri in conforms)

    def items(
        self, collection: str, area: AreaOfInterest, start: datetime, end: datetime, conditions: Sequence[Condition]
    ) -> Iterator[Json]:
        """Items of a collection around a time that meet the conditions; somewhat more than lies in area and time.

        Args:
            collection: its id.
            area: where; crossing the antimeridian it is asked for in its two parts.
            start: UTC, aware.
            end: likewise.
            conditions: all must hold.

        Raises:
            FetchError, QuotaError, CredentialsError: the API does not answer.
        """
        query: Json = {
            "collections": [collection],
            "intersects": shapely.geometry.mapping(_simple(area.polygon)),
            "datetime": f"{_rfc3339(start - _TIME_MARGIN)}/{_rfc3339(end + _TIME_MARGIN)}",
            "limit": self.page_items,
        }
        if conditions and self.filters:
            query["filter"] = {"op": "and", "args": [condition.cql2() for condition in conditions]}
            if len(conditions) == 1:
                query["filter"] = conditions[0].cql2()
        for item in self._search(query):
            if all(condition.holds(item.get("properties") or {}) for condition in conditions):
                yield item

    def item(self, scene_id: str, collections: Sequence[str]) -> Json | None:
        """The item of an id, from the first of the collections that has it."""
        found = list(self._search({"collections": list(collections), "ids": [scene_id], "limit": self.page_items}))
        by_collection = {str(item.get("collection")): item for item in reversed(found) if item.get("id") == scene_id}
        return next((by_collection[name] for name in collections if name in by_collection), None)

    def _search(self, query: Json) -> Iterator[Json]:
        seen: set[tuple[str, str]] = set()
        idle = 0
        with _clear_errors(self.name):
            for page in self._client.search(**query).pages_as_dicts():
                fresh = 0
                for item in page.get("features", ()):
                    key = (str(item.get("collection")), str(item.get("id")))
                    if key not in seen:
                        seen.add(key)
                        fresh += 1
                        yield item
                idle = 0 if fresh else idle + 1
                if idle >= _IDLE_PAGES:
                    raise FetchError(f"{self.name} gives the same items page after page; its paging is broken")

    @cached_property
    def _io(self) -> StacApiIO:
        from pystac_client.stac_api_io import StacApiIO

        policy, name = self.policy, self.name

        class Io(StacApiIO):
            """pystac-client's requests under the project's own policy: it would neither retry a POST nor time out."""

            def request(
                self,
                href: str,
                method: str | None = None,
                headers: dict[str, str] | None = None,
                parameters: dict[str, Any] | None = None,
            ) -> str:
                verb = (method or "GET").upper()
                payload = {"json": parameters} if verb == "POST" else {"params": parameters}

                def ask() -> requests.Response:
                    return self.session.request(verb, href, headers=headers, timeout=policy.timeout_s, **payload)  # type: ignore[arg-type]  # a dict of keywords

                return send(ask, policy, name).text

        return Io(max_retries=None)

    @cached_property
    def _client(self) -> Client:
        from pystac_client import Client
        from pystac_client.warnings import NoConformsTo

        with _clear_errors(self.name):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NoConformsTo)  # said below, as an error
                client = Client.open(self.url, stac_io=self._io)
            if not any("item-search" in str(uri) for uri in client.get_conforms_to()):
                raise SourceError(f"{self.name} is a STAC catalogue without a search; give the address of a STAC API")
        return client


@contextmanager
def _clear_errors(name: str) -> Iterator[None]:
    """What pystac and pystac-client raise, as one sentence."""
    from pystac.errors import STACError, STACTypeError
    from pystac_client.exceptions import APIError

    try:
        yield
    except ImageryError:
        raise
    except (APIError, STACError, STACTypeError, NotImplementedError) as error:
        raise SourceError(f"{name} is no STAC API: {without_query(str(error))}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(
            f"{name} does not answer as a STAC API does ({type(error).__name__}); give the address of its landing page"
        ) from error


def _simple(polygon: shapely.MultiPolygon) -> shapely.Geometry:
    """The area, or what holds it where it has very many corners."""
    if shapely.get_num_coordinates(polygon) <= _MOST_VERTICES:
        return polygon if len(polygon.geoms) > 1 else polygon.geoms[0]
    hulls = [shapely.convex_hull(part) for part in _by_side(polygon)]
    small = [h if shapely.get_num_coordinates(h) <= _MOST_VERTICES // 2 else shapely.envelope(h) for h in hulls]
    return shapely.MultiPolygon(small) if len(small) > 1 else small[0]


def _by_side(polygon: shapely.MultiPolygon) -> list[shapely.MultiPolygon]:
    """Parts east and west of each other where the area crosses the antimeridian, else the whole."""
    west, _, east, _ = polygon.bounds
    if east - west < 180.0:
        return [polygon]
    eastern = [part for part in polygon.geoms if part.bounds[0] >= 0]
    western = [part for part in polygon.geoms if part.bounds[0] < 0]
    return [shapely.MultiPolygon(parts) for parts in (eastern, western) if parts]


def _rfc3339(time: datetime) -> str:
    """Whole seconds in UTC."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
