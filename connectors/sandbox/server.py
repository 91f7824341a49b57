"""The HTTP interface of a campus, and all campuses of a sandbox on one event loop.

Each campus has a port of its own; one uvicorn server listens on all of them and passes a request to the campus whose
port it came in by. Owns paths, status codes and the simulated faults; the campus owns what happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from connectors.sandbox.campus import Campus, UnknownPhase
from connectors.sandbox.folders import Place, SandboxError
from connectors.sandbox.offices.catalog import Unfit

log = structlog.get_logger()

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]

MODES = ("ok", "500", "timeout", "html", "half_json")
HANG_S = 60.0  # longer than any connector waits
MAX_PAGE = 500
LONGEST_PAGE = 2000  # rows of the change feed in one answer


class Faults:
    """The next `left` requests of the connector's two paths go wrong.

    `500` and `html` (a gateway's error page with status 200) do nothing else. `timeout` and `half_json` do the work and
    lose the answer: the case that makes idempotence necessary.
    """

    def __init__(self) -> None:
        self.mode = "ok"
        self.left = 0
        self.path = ""

    def set(self, mode: str, requests: int, path: str) -> None:
        """`path` limits the fault to one of the two paths; empty means both."""
        self.mode, self.left, self.path = mode, requests, path

    def take(self, path: str) -> str:
        """The mode for one request."""
        if self.left <= 0 or self.path not in ("", path):
            return "ok"
        self.left -= 1
        return self.mode


def problem(status: int, title: str, detail: str) -> Response:
    """An error in the form of RFC 9457."""
    body = {"status": status, "title": title, "detail": detail}
    return JSONResponse(body, status, media_type="application/problem+json")


def campus_app(campus: Campus) -> Starlette:
    """The interface of one campus."""
    faults = Faults()
    endpoints = _Endpoints(campus, faults)
    return Starlette(
        routes=[
            Route("/health", endpoints.health),
            Route("/changes", _faulty(faults, endpoints.changes)),
            Route("/inbox", _faulty(faults, endpoints.inbox), methods=["POST"]),
            Route("/holdings", endpoints.holdings),
            Route("/courses", endpoints.courses),
            Route("/courses/{id}", endpoints.course),
            Route("/courses/{id}", endpoints.put_course, methods=["PUT"]),
            Route("/offerings", endpoints.offerings),
            Route("/offerings/{id}", endpoints.offering),
            Route("/offerings/{id}", endpoints.put_offering, methods=["PUT"]),
            Route("/students", endpoints.students),
            Route("/sim/status", endpoints.status),
            Route("/sim/phase", endpoints.phase, methods=["POST"]),
            Route("/sim/fault", endpoints.fault, methods=["PUT"]),
        ]
    )


def _faulty(faults: Faults, handler: Handler) -> Handler:
    async def answer(request: Request) -> Response:
        mode = faults.take(request.url.path)
        if mode == "500":
            return problem(500, "Internal Server Error", "simulated fault; nothing was done")
        if mode == "html":
            return HTMLResponse("<html><body><h1>Maintenance</h1>系统维护中</body></html>")
        response = await handler(request)
        if mode == "timeout":
            await asyncio.sleep(HANG_S)
        if mode == "half_json":
            body = bytes(response.body)
            return Response(body[: len(body) // 2], media_type="application/json")
        return response

    return answer


class _Endpoints:
    """One method for each path. Bodies are those of the Open Education API where it has them."""

    def __init__(self, campus: Campus, faults: Faults) -> None:
        self._campus = campus
        self._faults = faults

    async def health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def changes(self, request: Request) -> Response:
        try:
            after = int(request.query_params.get("after", "0"))
            limit = int(request.query_params.get("limit", "500"))
        except ValueError:
            return problem(
                400, "Bad Request", "after and limit are whole numbers: /changes?after=0&limit=500"
            )
        page = self._campus.store.changes_json(after, max(1, min(limit, LONGEST_PAGE)))
        return Response(page, media_type="application/json")

    async def inbox(self, request: Request) -> Response:
        body = await _object(request)
        items = body.get("items") if body else None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            return problem(
                400, "Bad Request", 'wanted {"items": [{"kind": ..., "eventId": ...}, ...]}'
            )
        began = time.perf_counter()
        answers = self._campus.inbox(items)
        statuses = [answer.status for answer in answers]
        log.info(
            "inbox_taken",
            member=self._campus.code,
            items=len(items),
            duplicate=statuses.count("duplicate"),
            rejected=statuses.count("rejected"),
            took_ms=round((time.perf_counter() - began) * 1000, 1),
        )
        return JSONResponse(
            {
                "results": [
                    {"eventId": answer.event_id, "status": answer.status, "message": answer.message}
                    for answer in answers
                ]
            }
        )

    async def holdings(self, request: Request) -> Response:
        return JSONResponse(self._campus.holdings())

    async def status(self, request: Request) -> Response:
        return JSONResponse(self._campus.status())

    async def courses(self, request: Request) -> Response:
        return self._collection(request, "SELECT count(*) FROM course", _COURSES)

    async def offerings(self, request: Request) -> Response:
        return self._collection(request, "SELECT count(*) FROM offering", _OFFERINGS)

    async def students(self, request: Request) -> Response:
        return self._collection(request, "SELECT count(*) FROM student", _STUDENTS)

    async def course(self, request: Request) -> Response:
        return self._one(request, "SELECT body FROM course WHERE course_id = ?")

    async def offering(self, request: Request) -> Response:
        return self._one(request, "SELECT body FROM offering WHERE offering_id = ?")

    async def put_course(self, request: Request) -> Response:
        return await self._put(request, "courseId", self._campus.put_course)

    async def put_offering(self, request: Request) -> Response:
        return await self._put(request, "offeringId", self._campus.put_offering)

    async def phase(self, request: Request) -> Response:
        name = str((await _object(request) or {}).get("phase"))
        try:
            made = self._campus.phase(name)
        except UnknownPhase as error:
            return problem(404, "Not Found", str(error))
        log.info("phase_begun", member=self._campus.code, phase=name, changes=made)
        return JSONResponse({"phase": name, "changes": made})

    async def fault(self, request: Request) -> Response:
        body = await _object(request) or {}
        mode, requests, path = body.get("mode"), body.get("requests", 1), body.get("path", "")
        if (
            mode not in MODES
            or not isinstance(requests, int)
            or path not in ("", "/changes", "/inbox")
        ):
            return problem(
                400,
                "Bad Request",
                f"mode is one of {', '.join(MODES)}; requests is a number; path is /changes, /inbox or left out",
            )
        self._faults.set(mode, 0 if mode == "ok" else requests, path)
        return JSONResponse({"mode": mode, "requests": self._faults.left, "path": path})

    def _collection(self, request: Request, count: str, select: str) -> Response:
        """A page as the Open Education API has it: pageSize, pageNumber, hasNextPage, items."""
        try:
            size = max(1, min(int(request.query_params.get("pageSize", "10")), MAX_PAGE))
            number = max(1, int(request.query_params.get("pageNumber", "1")))
        except ValueError:
            return problem(400, "Bad Request", "pageSize and pageNumber are whole numbers from 1")
        total = self._campus.store.count(count)
        rows = self._campus.store.all(select, size, (number - 1) * size)
        return JSONResponse(
            {
                "pageSize": size,
                "pageNumber": number,
                "hasPreviousPage": number > 1,
                "hasNextPage": number * size < total,
                "totalPages": -(-total // size),
                "items": [json.loads(row[0]) for row in rows],
            }
        )

    def _one(self, request: Request, select: str) -> Response:
        row = self._campus.store.one(select, request.path_params["id"])
        if row is None:
            return problem(404, "Not Found", f"{request.url.path} is not at this campus")
        return Response(row[0], media_type="application/json")

    async def _put(
        self, request: Request, key: str, put: Callable[[Mapping[str, Any]], bool]
    ) -> Response:
        body = await _object(request)
        if body is None or body.get(key) != request.path_params["id"]:
            return problem(
                400, "Bad Request", f"wanted an object whose {key} is {request.path_params['id']}"
            )
        try:
            changed = put(body)
        except Unfit as error:
            return problem(422, "Unprocessable Content", str(error))
        return JSONResponse(body, 201 if changed else 200)


_COURSES = "SELECT body FROM course ORDER BY course_id LIMIT ? OFFSET ?"
_OFFERINGS = "SELECT body FROM offering ORDER BY offering_id LIMIT ? OFFSET ?"
_STUDENTS = (
    "SELECT json_object('personId', student_id, 'studentNumber', number, 'displayName', name, 'level', level, "
    "'majorCode', major) FROM student ORDER BY number LIMIT ? OFFSET ?"
)


async def _object(request: Request) -> dict[str, Any] | None:
    """The request's JSON object, or None when there is none."""
    try:
        body = json.loads(await request.body())
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def by_port(apps: Mapping[int, ASGIApp]) -> ASGIApp:
    """One application that passes each request to that of the port it came in by."""

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        await apps[scope["server"][1]](scope, receive, send)

    return dispatch


class _Server(uvicorn.Server):
    """Leaves signals to `serve`, and says when its ports answer."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _bound(place: Place) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", place.port))
    except OSError as error:
        listener.close()
        raise SandboxError(
            f"port {place.port} of campus {place.code} is taken ({error.strerror}); "
            "end the other process or run init with another --base-port"
        ) from error
    return listener


async def serve(places: Sequence[Place], ready: Callable[[], None] = lambda: None) -> None:
    """Serve campuses until SIGTERM or SIGINT. Raises `SandboxError` when a port is taken.

    `ready` is called once all ports answer.
    """
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(_bound(place)) for place in places]
        campuses = [
            opened.enter_context(contextlib.closing(Campus(place.database))) for place in places
        ]
        apps: dict[int, ASGIApp] = {
            place.port: campus_app(campus) for place, campus in zip(places, campuses, strict=True)
        }
        config = uvicorn.Config(
            by_port(apps),
            lifespan="off",
            ws="none",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        server = _Server(config, ready)
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign, setattr, server, "should_exit", True)  # noqa: FBT003
        await server.serve(sockets)
