"""Errors of the API as problem details (RFC 9457) with stable codes.

A client branches on `code`; `detail` is for people and may change. Each code is explained at `/api/v1/problems/<code>`,
which is the problem's `type`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hub.store.queries import StoreUnavailable


@dataclass(frozen=True, slots=True)
class Kind:
    """What a code means, always: HTTP status, title, and what the caller does next."""

    status: int
    title: str
    next_step: str


KINDS: Mapping[str, Kind] = {
    "INVALID_PARAMETER": Kind(400, "A query parameter is wrong", "Correct the parameter that `detail` names."),
    "NOT_FOUND": Kind(404, "There is no such thing here", "Check the path; a ledger entry may not be stored yet."),
    "NOT_WITNESSED": Kind(409, "The entry has no receipt yet", "Ask again after the next witnessed checkpoint, /log/checkpoint.witnessed."),
    "LOG_UNREADABLE": Kind(503, "The log's files are not the tree that was signed", "Operators: start the signer again, it makes lost files anew."),
    "BROKER_UNAVAILABLE": Kind(503, "The broker does not answer", "Try again; `alliance broker doctor` says what is wrong with it."),
    "NOT_OPERATED": Kind(403, "This console takes no such order", "Start it with `alliance console --operate`, and order from its own page /connectors."),
    "METHOD_NOT_ALLOWED": Kind(405, "This address is for reading", "Use GET."),
    "STORE_UNAVAILABLE": Kind(503, "The read model does not answer", "Try again after the seconds of Retry-After."),
}  # fmt: skip
_BY_STATUS = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}


class Problem(Exception):
    """A request cannot be answered. `code` is a key of `KINDS`."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def problem_response(code: str, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """A problem as `application/problem+json`."""
    kind = KINDS[code]
    return JSONResponse(
        {
            "type": f"/api/v1/problems/{code}",
            "title": kind.title,
            "status": kind.status,
            "detail": detail,
            "code": code,
            "next_step": kind.next_step,
        },
        status_code=kind.status,
        media_type="application/problem+json",
        headers=headers,
    )


def _on_problem(_request: Request, error: Exception) -> Response:
    code = error.code if isinstance(error, Problem) else "NOT_FOUND"
    return problem_response(code, str(error))


def _on_store(_request: Request, error: Exception) -> Response:
    after_s = error.after_s if isinstance(error, StoreUnavailable) else 1.0
    return problem_response("STORE_UNAVAILABLE", str(error), {"retry-after": f"{after_s:.0f}"})


def _on_http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    headers = error.headers if isinstance(error, HTTPException) else None
    code = _BY_STATUS.get(status, "NOT_FOUND")
    return problem_response(code, f"{request.method} {request.url.path}", headers)


HANDLERS: Mapping[Any, Any] = {
    Problem: _on_problem,
    StoreUnavailable: _on_store,
    HTTPException: _on_http,
}
