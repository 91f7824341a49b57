"""A campus's API in a process of its own, so that its work is not in the figures: HTTP/1.1 on the loopback address."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import parse_qs, urlsplit

from connectors.ooapi.conformance import offering6
from connectors.sdk.testing import offering_row

FIELDS = ("at", "version", "id", "titles", "start", "credits")
_PAGE = 250


class _Campus(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    rows: list[dict[str, Any]] = []  # noqa: RUF012, of the one server of this process
    offerings: list[dict[str, Any]] = []  # noqa: RUF012, the same

    def do_GET(self) -> None:
        """A page of changes, or of offerings."""
        url = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path.startswith("/associations/"):
            self._say({}, 404)  # each enrollment is a new one
        elif url.path == "/changes":
            start = int(asked["after"])
            page = self.rows[start : start + _PAGE]
            self._say({"items": page, "hasMore": start + _PAGE < len(self.rows)})
        else:
            size = int(asked["pageSize"])
            start = (int(asked["pageNumber"]) - 1) * size
            page = self.offerings[start : start + size]
            self._say({"items": page, "hasNextPage": start + size < len(self.offerings)})

    def do_POST(self) -> None:
        """A batch: all is well."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/associations/external/me":
            self._say({"associationId": body["associationId"]}, 201)
            return
        said = [
            {"eventId": i["eventId"], "status": "applied", "message": ""} for i in body["items"]
        ]
        self._say({"results": said})

    def _say(self, data: Any, status: int = 200) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _serve(count: int, told: Connection) -> None:
    _Campus.rows = [offering_row(n) for n in range(1, count + 1)]
    _Campus.offerings = [offering6(n) for n in range(1, count + 1)]
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Campus)
    told.send(server.server_address[1])
    server.serve_forever()


@contextmanager
def served(count: int) -> Iterator[str]:
    """The URL of a campus with so many changes and offerings, while this lasts."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(count, theirs), daemon=True
    )
    process.start()
    try:
        if not ours.poll(30):
            raise TimeoutError("the measured campus did not start in 30 s")
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()
