"""A small HTTP server in this process whose answers a test scripts."""

import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.servers.process import HOST


@dataclass
class Scripted:
    """A running server.

    Attributes:
        url: its address, without a slash at the end.
        asked: (method, path with query, headers) of every request.
    """

    url: str
    asked: list = field(default_factory=list)


@contextmanager
def scripted(answer):
    """Serve until the block ends.

    Args:
        answer: called with (method, path with query, headers); gives (status, headers, body). The body of a status 200
            is cut to the range that was asked for, with status 206; a Content-Length among the headers is sent as it
            is, and the connection closed, however long the body.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            server.asked.append((self.command, self.path, dict(self.headers)))
            status, headers, body = answer(self.command, self.path, self.headers)
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
            if status == 200 and wanted:
                first, last = int(wanted[1]), min(int(wanted[2] or len(body)), len(body) - 1)
                headers = {"Content-Range": f"bytes {first}-{last}/{len(body)}", **headers}
                status, body = 206, body[first : last + 1]
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), "Accept-Ranges": "bytes", **headers}.items():
                self.send_header(name, value)
            self.close_connection = "Content-Length" in headers
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815  # the name that http.server calls

        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.do_GET()

        def log_message(self, *args):
            pass

    http = ThreadingHTTPServer((HOST, 0), Handler)
    http.daemon_threads = True
    server = Scripted(url=f"http://{HOST}:{http.server_port}")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
