"""A stand-in for Sentinel Hub over TLS: tokens, catalogue, Process, and single files of products.

It knows both path styles, checks every request body against the providers' own OpenAPI descriptions, fails on demand,
and renders tiles from scenes. In a test: ``with serving(entries_of(scenes), ca_file=...) as server``. On its own:
``python -m tests.servers.sentinelhub FOLDER --seed 3 --from 2019-05-01 --to 2019-05-20``, which writes what a client
needs in its environment to FOLDER/environment.json and runs until it is stopped.
"""

import argparse
import base64
import copy
import json
import os
import re
import signal
import ssl
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import jsonschema
import numpy as np
import rasterio
import shapely
import trustme
import yaml
from affine import Affine

from imagery.aoi import AreaOfInterest
from imagery.errors import ImageryError
from imagery.geometry import Grid, Window, footprint
from imagery.orbit_model import OrbitModel
from imagery.scene import Scene

ROOT = Path(__file__).resolve().parents[2]
SPECS = Path(os.environ.get("OFFING_SPECS", ROOT.parent / "shared" / "specs"))
SPEC_FILES = {"api/v1": "cdse-sentinel-hub-openapi.yaml", "service/v1": "sentinel-hub-openapi.yaml"}
CLIENT_ID, CLIENT_SECRET = "sh-stand-in", "PLANTED-secret-4d1f8c2e"
TOKEN_PATH = "/auth/realms/CDSE/protocol/openid-connect/token"
PATHS = {
    "/api/v1/process": ("process", "api/v1"),
    "/process/v1": ("process", "service/v1"),
    "/api/v1/catalog/1.0.0/search": ("catalogue", "api/v1"),
    "/catalog/v1/search": ("catalogue", "service/v1"),
}
CLOSED = ("ProcessRequest", "ProcessRequestInput", "ProcessRequestInputBounds", "ProcessRequestOutput", "TimeRange")
CLOSED += ("S1Filtering", "S1Processing", "S2L1CFiltering", "S2L2AFiltering", "S2Processing")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A product in the catalogue, and the scene that its pixels are cut from.

    Attributes:
        id: product name.
        collection: such as ``sentinel-1-grd``.
        time: as the catalogue dates it; Process requests are filtered by it.
        geometry: GeoJSON.
        properties: more of the catalogue's.
        scene: pixels; None where the product is never rendered.
    """

    id: str
    collection: str
    time: datetime
    geometry: Mapping[str, Any]
    properties: Mapping[str, Any] = field(default_factory=dict)
    scene: Scene | None = None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What one request gets in place of its answer.

    Attributes:
        status: HTTP status.
        body: text, bytes, or values for JSON.
        headers: more headers.
        cut: part of the right answer's body that is sent before the connection breaks, 0 to 1.
        silent: no answer at all until the client has gone.
    """

    status: int = 500
    body: Any = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: float | None = None
    silent: bool = False


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A request that came in: service, path with query, body (parsed where JSON) and headers without the token."""

    service: str
    path: str
    body: Any
    headers: Mapping[str, str]


def entries_of(scenes):
    """A catalogue entry for each scene: names, orbits and times as the agencies would give them."""
    return [_radar_entry(scene) if scene.sensor.kind == "sar" else _optical_entry(scene) for scene in scenes]


def _radar_entry(scene):
    start = scene.time - timedelta(seconds=12.5)
    stop = start + timedelta(seconds=25)
    height, width = scene.shape_hw
    heading = float(scene.acquisition.at(height / 2, width / 2).heading_deg)
    orbit = 20_000 + (scene.time - datetime(2018, 1, 1, tzinfo=UTC)) // timedelta(minutes=98)
    polarisation = "DV" if len(scene.bands) == 2 else "SV"
    name = f"S1A_IW_GRDH_1S{polarisation}_{start:%Y%m%dT%H%M%S}_{stop:%Y%m%dT%H%M%S}_{orbit:06d}_{orbit:06X}_ABCD"
    return Entry(
        id=name,
        collection="sentinel-1-grd",
        time=start.replace(microsecond=0),
        geometry=shapely.geometry.mapping(footprint(scene.geometry)),
        properties={
            "sat:orbit_state": "ascending" if np.cos(np.radians(heading)) > 0 else "descending",
            "sar:instrument_mode": "IW",
            "s1:polarization": polarisation,
            "s1:resolution": "HIGH",
            "s1:timeliness": "Fast24h",
        },
        scene=scene,
    )


def _optical_entry(scene):
    epsg = rasterio.crs.CRS.from_wkt(scene.geometry.crs_wkt).to_epsg()
    tile = f"{epsg % 100:02d}{'SF'[epsg // 100 == 327]}YB"
    number = _relative_orbit(scene)
    taken = scene.time - timedelta(minutes=9)
    name = f"S2A_MSIL2A_{taken:%Y%m%dT%H%M%S}_N0500_R{number:03d}_T{tile}_{scene.time:%Y%m%dT%H%M%S}"
    return Entry(
        id=name,
        collection="sentinel-2-l2a",
        time=scene.time.replace(microsecond=0),
        geometry=shapely.geometry.mapping(footprint(scene.geometry)),
        properties={"eo:cloud_cover": 10.0},
        scene=scene,
    )


def _relative_orbit(scene) -> int:
    """The Sentinel-2 track that sees a scene at its time of day; 1 where none does."""
    for number in range(1, 144):
        try:
            OrbitModel(platform="sentinel-2", geometry=scene.geometry, time=scene.time, relative_orbit=number)
        except ImageryError:
            continue
        return number
    return 1


class StandIn:
    """The state of one stand-in: what it holds, what it was asked, and what shall go wrong."""

    def __init__(self, entries: Sequence[Entry] = (), *, annotations=None, token_life_s=600.0, page=100, validate=True):
        """Hold entries and files below ``annotation`` by product name, ``{name: {file: bytes}}``.

        Those called ``calibration-*`` and ``noise-*`` lie in the folder ``calibration`` in there.
        """
        self.entries = list(entries)
        self.annotations: dict[str, dict[str, bytes]] = dict(annotations or {})
        self.token_life_s = token_life_s
        self.page = page
        self.validate = validate
        self.recorded: list[Recorded] = []
        self.failures: dict[str, deque[Failure | None]] = defaultdict(deque)
        self.redirect_files_to = ""
        self.stopping = threading.Event()
        self.base_url = ""
        self.faults: list[BaseException] = []
        self._tokens: dict[str, float] = {}
        self._lock = threading.Lock()

    def fail(self, service: str, *failures: Failure | None) -> None:
        """Script what the next requests of a service get; None lets one pass."""
        self.failures[service].extend(failures)

    def expire_tokens(self) -> None:
        """Let every token given so far end now."""
        with self._lock:
            self._tokens.clear()

    def of(self, service: str) -> list[Recorded]:
        """The requests of one service, in order."""
        with self._lock:
            return [request for request in self.recorded if request.service == service]

    def environment(self, ca_file: Path) -> dict[str, str]:
        """What a client needs in its environment."""
        return {
            "SH_BASE_URL": self.base_url,
            "SH_TOKEN_URL": self.base_url + TOKEN_PATH,
            "SH_ODATA_URL": self.base_url + "/odata/v1",
            "SH_CLIENT_ID": CLIENT_ID,
            "SH_CLIENT_SECRET": CLIENT_SECRET,
            "REQUESTS_CA_BUNDLE": str(ca_file),
        }

    def record(self, request: Recorded) -> Failure | None:
        """Keep a request, and what it shall get in place of an answer."""
        with self._lock:
            self.recorded.append(request)
            script = self.failures[request.service]
            return script.popleft() if script else None

    def new_token(self) -> dict[str, Any]:
        """A token like those of the identity service: a JWT with its end."""
        with self._lock:
            end = time.time() + self.token_life_s
            claims = {"azp": CLIENT_ID, "exp": end, "n": len(self._tokens), "at": time.monotonic_ns()}
            parts = [{"alg": "none"}, claims, {"sig": 0}]
            token = ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts)
            self._tokens[token] = end
            return {"access_token": token, "expires_in": self.token_life_s, "token_type": "Bearer"}

    def accepts(self, token: str) -> bool:
        """Whether a token is one of ours and not at its end."""
        with self._lock:
            return self._tokens.get(token, 0.0) > time.time()


# The service's own answers


def search_answer(state: StandIn, body: Mapping[str, Any]) -> dict[str, Any]:
    """A page of the catalogue."""
    start, end = (datetime.fromisoformat(text) for text in body["datetime"].split("/"))
    where = shapely.geometry.shape(body["intersects"]) if "intersects" in body else shapely.box(*body["bbox"])
    found = [
        entry
        for entry in sorted(state.entries, key=lambda e: (e.time, e.id), reverse=True)
        if entry.collection in body["collections"]
        and start <= entry.time <= end
        and shapely.make_valid(shapely.geometry.shape(entry.geometry)).intersects(where)
    ]
    first, limit = int(body.get("next", 0)), min(int(body.get("limit", 10)), state.page)
    page = found[first : first + limit]
    context = {"limit": limit, "returned": len(page)}
    if first + limit < len(found):
        context["next"] = first + limit
    features = [
        {
            "stac_version": "1.0.0",
            "type": "Feature",
            "id": entry.id,
            "geometry": entry.geometry,
            "properties": {"datetime": f"{entry.time:%Y-%m-%dT%H:%M:%SZ}", **entry.properties},
        }
        for entry in page
    ]
    return {"type": "FeatureCollection", "features": features, "links": [], "context": context}


def render(state: StandIn, body: Mapping[str, Any]) -> bytes:
    """The GeoTIFF that a Process request asks for."""
    bounds, output = body["input"]["bounds"], body["output"]
    west, south, east, north = bounds["bbox"]
    width, height = output["width"], output["height"]
    epsg = int(bounds["properties"]["crs"].rpartition("/")[2])
    transform = Affine((east - west) / width, 0.0, west, 0.0, -(north - south) / height, north)
    grid = Grid.from_crs(f"EPSG:{epsg}", transform, (height, width))
    inputs = re.findall(r'"(\w+)"', re.search(r"bands: \[([^\]]*)\]", body["evalscript"])[1])
    out = np.zeros((len(inputs), height, width), np.uint16)
    for entry in sorted(matching(state, body["input"]["data"][0]), key=lambda e: (e.time, e.id)):
        if entry.scene is not None:
            codes, seen = encode(entry.scene, grid, inputs)
            out[:, seen] = codes[:, seen]  # the most recent on top
    profile = {"driver": "GTiff", "dtype": "uint16", "compress": "deflate", "crs": f"EPSG:{epsg}"}
    with rasterio.MemoryFile() as memory:
        with memory.open(**profile, count=len(inputs), height=height, width=width, transform=transform) as dataset:
            dataset.write(out)
        return bytes(memory.read())


def matching(state: StandIn, data: Mapping[str, Any]) -> list[Entry]:
    """Products that the service would mosaic."""
    wanted = data.get("dataFilter", {})
    start, end = (datetime.fromisoformat(wanted["timeRange"][side]) for side in ("from", "to"))
    names = {"polarization": "s1:polarization", "resolution": "s1:resolution", "acquisitionMode": "sar:instrument_mode"}
    names |= {"timeliness": "s1:timeliness", "orbitDirection": "sat:orbit_state"}
    return [
        entry
        for entry in state.entries
        if entry.collection == data["type"]
        and start <= entry.time <= end
        and all(
            str(entry.properties.get(name)).lower() == str(wanted[key]).lower()
            for key, name in names.items()
            if key in wanted
        )
    ]


def encode(scene: Scene, grid: Grid, inputs: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Codes (bands, h, w) by the formulas that the evalscripts state, and where there is data."""
    pixels = cut(scene, grid)
    seen = pixels.valid.all(axis=0)
    codes = np.zeros((len(inputs), *grid.shape_hw), np.uint16)
    for number, name in enumerate(inputs):
        codes[number] = code_of(name, band_of(scene, pixels.data, name))
    return codes, seen


def band_of(scene: Scene, data: np.ndarray, name: str) -> np.ndarray:
    """Values of an input band; what a simulated scene lacks is the same everywhere."""
    ours = {
        "sunZenithAngles": "sun_zenith_deg",
        "sunAzimuthAngles": "sun_azimuth_deg",
        "viewZenithMean": "view_zenith_deg",
        "viewAzimuthMean": "view_azimuth_deg",
    }.get(name, name.lower())
    if ours in scene.bands:
        return data[scene.bands.index(ours)].astype(float)
    constant = {"SCL": 6.0, "sunZenithAngles": 31.5, "sunAzimuthAngles": 142.25, "viewZenithMean": 6.0}
    constant |= {"viewAzimuthMean": 104.5, "dataMask": 1.0}
    return np.full(data.shape[1:], constant.get(name, 0.02))


def code_of(name: str, value: np.ndarray) -> np.ndarray:
    """Sentinel Hub rounds to the nearest whole number and clamps to the sample type."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if name in ("VV", "VH"):
            number = (10.0 * np.log10(np.where(value > 0, value, np.nan)) + 80.0) / 0.002
            number = np.where(value > 0, number, 0.0)
        elif name.endswith(("Angles", "Mean")):
            number = np.where(np.isfinite(value), 100.0 * (value % 360.0), 65535.0)
        elif name in ("SCL", "dataMask"):
            number = value
        else:
            number = 10000.0 * value + 1000.0
    return np.clip(np.floor(np.nan_to_num(number) + 0.5), 0, 65535).astype(np.uint16)


def cut(scene: Scene, grid: Grid) -> Any:
    """Pixels of a scene on a grid: exact on the same lattice, else nearest neighbours."""
    same_crs = rasterio.crs.CRS.from_wkt(scene.geometry.crs_wkt) == rasterio.crs.CRS.from_wkt(grid.crs_wkt)
    if same_crs:
        col, row = ~scene.geometry.transform @ (grid.transform.c, grid.transform.f)
        if abs(col - round(col)) > 1e-6 or abs(row - round(row)) > 1e-6:
            raise ValueError(f"the tile at {grid.transform.c}, {grid.transform.f} is off the scene's lattice")
        height, width = grid.shape_hw
        return scene.read(Window(row=round(row), col=round(col), height=height, width=width))
    rows, cols = np.indices(grid.shape_hw)
    at_rows, at_cols = (np.rint(v).astype(int) for v in scene.geometry.rowcol(*grid.lonlat(rows, cols)))
    around = Window(
        row=int(at_rows.min()),
        col=int(at_cols.min()),
        height=int(np.ptp(at_rows)) + 1,
        width=int(np.ptp(at_cols)) + 1,
    )
    whole = scene.read(around)
    place = at_rows - around.row, at_cols - around.col
    return type(whole)(data=whole.data[:, *place], valid=whole.valid[:, *place])


def units_of(body: Mapping[str, Any]) -> float:
    """Processing units of a request, by the provider's rule."""
    inputs = re.findall(r'"(\w+)"', re.search(r"bands: \[([^\]]*)\]", body["evalscript"])[1])
    bands = len([name for name in inputs if name != "dataMask"])
    return max(0.005, max(0.01, body["output"]["width"] * body["output"]["height"] / 512**2) * bands / 3)


# Checking requests


def specs_present() -> bool:
    """Whether the providers' OpenAPI descriptions are on this machine."""
    return all((SPECS / name).is_file() for name in SPEC_FILES.values())


@cache
def validator(service: str, style: str) -> Any:
    """A validator of the request bodies of a service, from the provider's own description.

    Two faults of the description are mended by what its own texts say: a response may be called after any output of the
    evalscript, not ``<identifier>`` alone, and collections of one's own have names that begin with byoc, batch or zarr,
    without which every collection is also one of these. And it is made stricter: what it does not name is refused.
    """
    with (SPECS / SPEC_FILES[style]).open(encoding="utf-8") as file:
        spec = copy.deepcopy(_load(file.read()))
    schemas = spec["components"]["schemas"]
    identifier = schemas["ProcessRequestOutputResponse"]["properties"]["identifier"]
    assert identifier["enum"] == ["<identifier>", "userdata"]
    del identifier["enum"]
    schemas["BYOCDataset"]["allOf"][0]["properties"]["type"]["pattern"] = "^(byoc|batch|zarr)-"
    for name in CLOSED:
        schemas[name]["unevaluatedProperties"] = False
    path = next(path for path, (name, of) in PATHS.items() if (name, of) == (service, style))
    schema = spec["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return jsonschema.Draft202012Validator({**schema, "components": spec["components"]})


@cache
def _load(text: str) -> Any:
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def why_invalid(service: str, style: str, body: Any) -> str:
    """What is wrong with a request body; empty where nothing is."""
    error = jsonschema.exceptions.best_match(validator(service, style).iter_errors(body))
    if error is not None:
        return f"{'/'.join(str(part) for part in error.absolute_path)}: {error.message[:400]}"
    if service == "process":
        script = body["evalscript"]
        names = set(re.findall(r'\bid: "(\w+)"', script)) or {"default"}
        for response in body.get("output", {}).get("responses", []):
            if response.get("identifier", "default") not in names | {"userdata"}:
                return f"no output {response['identifier']} in the evalscript"
        if not script.startswith("//VERSION=3"):
            return "the evalscript does not say its version"
    return ""


# HTTP


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one piece, and none waits for an acknowledgement of the one before
    disable_nagle_algorithm = True
    state: StandIn

    def log_message(self, format, *args):  # noqa: A002  # the base class has it so
        """Keep quiet."""

    def do_GET(self):  # the base class has it so
        """Product catalogue and files."""
        self._serve(b"")

    def do_POST(self):  # the base class has it so
        """Tokens, catalogue and Process."""
        self._serve(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _serve(self, raw: bytes) -> None:
        path = urlsplit(self.path).path
        service, style = PATHS.get(path, ("products", ""))
        service = "token" if path == TOKEN_PATH else service
        body = json.loads(raw) if service in ("process", "catalogue") else parse_qs(raw.decode())
        headers = {name: value for name, value in self.headers.items() if name != "Authorization"}
        headers["had-token"] = str("Authorization" in self.headers)
        failure = self.state.record(Recorded(service=service, path=self.path, body=body, headers=headers))
        if failure is not None and failure.cut is None:
            return self._fail(failure)
        if service == "token":
            status, answer, more = self._token(body)
        elif service == "products":
            status, answer, more = self._products()
        elif not self._authorised():
            status, answer, more = 401, _error(401, "Unauthorized", "COMMON_UNAUTHORIZED", "The token is expired"), {}
        elif self.state.validate and (wrong := why_invalid(service, style, body)):
            status, answer, more = 400, _error(400, "Bad Request", "COMMON_BAD_PAYLOAD", wrong), {}
        elif service == "catalogue":
            status, answer, more = 200, search_answer(self.state, body), {}
        else:
            status, answer, more = 200, render(self.state, body), {"x-processingunits-spent": str(units_of(body))}
        return self._send(status, answer, more, cut=failure.cut if failure else None)

    def _authorised(self) -> bool:
        return self.state.accepts((self.headers.get("Authorization") or "").removeprefix("Bearer "))

    def _token(self, form: Mapping[str, list[str]]):
        given = {name: values[0] for name, values in form.items()}
        if given != {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}:
            return 401, {"error": "invalid_client", "error_description": "Invalid client or client credentials"}, {}
        return 200, self.state.new_token(), {}

    def _products(self):
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        ids = {name: f"{number:08d}-0000-4000-8000-000000000000" for number, name in enumerate(self.state.annotations)}
        if path == "/odata/v1/Products":
            start = re.fullmatch(r"startswith\(Name,'([^']*)'\)", query["$filter"][0])[1]
            return 200, {"value": [{"Id": ids[n], "Name": n} for n in ids if n.startswith(start)]}, {}
        if not self._authorised():
            return 401, {"detail": "Unauthorized"}, {}
        if path.startswith("/files/"):
            name, file = unquote(path).removeprefix("/files/").split("/")
            return 200, self.state.annotations[name][file], {}
        found = re.fullmatch(
            r"/odata/v1/Products\(([^)]*)\)/Nodes\(([^)]*)\)/Nodes\(annotation\)(/Nodes\(calibration\))?"
            r"(?:/Nodes|/Nodes\(([^)]*)\)/\$value)",
            unquote(path),
        )
        if not found or ids.get(found[2]) != found[1]:
            return 404, {"detail": "not found"}, {}
        tables = found[3] is not None
        held = self.state.annotations[found[2]].items()
        files = {name: data for name, data in held if name.startswith(("calibration-", "noise-")) == tables}
        if found[4] is None:
            return 200, {"result": [{"Name": name} for name in ["folder" if tables else "calibration", *files]]}, {}
        if self.state.redirect_files_to:
            return 302, b"", {"Location": f"{self.state.redirect_files_to}/files/{found[2]}/{found[4]}"}
        return (200, files[found[4]], {}) if found[4] in files else (404, {"detail": "not found"}, {})

    def _fail(self, failure: Failure) -> None:
        if failure.silent:
            self.close_connection = True
            self.state.stopping.wait(20.0)
            return None
        return self._send(failure.status, failure.body, failure.headers)

    def _send(self, status: int, body: Any, headers: Mapping[str, str], cut: float | None = None) -> None:
        kind = "application/octet-stream"
        if isinstance(body, Mapping | list):
            body, kind = json.dumps(body), "application/json"
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in {"Content-Type": kind, **headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if cut is not None:
            data = data[: int(cut * len(data))]
            self.close_connection = True
        self.wfile.write(data)


def _error(status: int, reason: str, code: str, message: str) -> dict[str, Any]:
    return {"error": {"status": status, "reason": reason, "message": message, "code": code}}


QUOTA = Failure(
    status=403,
    body=_error(
        403,
        "Forbidden",
        "ACCESS_INSUFFICIENT_PROCESSING_UNITS",
        "Insufficient processing units or requests available in your account.",
    ),
)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that went away is none of our business; a fault of the stand-in is told when it ends."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self.RequestHandlerClass.state.faults.append(error)


@contextmanager
def serving(entries: Sequence[Entry] = (), *, ca_file: Path, port: int = 0, **options: Any):
    """A stand-in on a free loopback port until the block ends.

    Args:
        entries: what it holds.
        ca_file: gets the certificate that its clients must trust.
        port: 0 takes a free one.
        options: see `StandIn`.
    """
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    state = StandIn(entries, **options)
    server = _Server(("127.0.0.1", port), type("BoundHandler", (Handler,), {"state": state}))
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    state.base_url = f"https://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()
    if state.faults:
        raise RuntimeError("the stand-in failed") from state.faults[0]


def main() -> None:
    """Serve a simulated season until stopped."""
    from imagery.simulate import HAEJU, SimulatedSource

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="gets ca.pem and environment.json")
    parser.add_argument("--bbox", help="W,S,E,N of the simulated area (default: Haeju)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--from", dest="start", type=datetime.fromisoformat, default=datetime(2019, 5, 1))
    parser.add_argument("--to", dest="end", type=datetime.fromisoformat, default=datetime(2019, 6, 1))
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    area = AreaOfInterest.from_bbox("area", *map(float, given.bbox.split(","))) if given.bbox else HAEJU
    span = given.start.replace(tzinfo=UTC), given.end.replace(tzinfo=UTC)
    source = SimulatedSource(area=area, seed=given.seed, start=span[0], end=span[1])
    scenes = [source.fetch(ref, area) for ref in source.search(area, *span)]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with serving(
        entries_of(scenes), ca_file=given.folder / "ca.pem", port=given.port, validate=specs_present()
    ) as state:
        told = given.folder / "environment.json"
        partial = told.with_suffix(".partial")
        partial.write_text(json.dumps(state.environment(given.folder / "ca.pem")))
        partial.replace(told)
        stop.wait()


if __name__ == "__main__":
    main()
