"""The call add-checkpoint over HTTP, for logs that ask their witnesses themselves. Owns the transport alone.

The server is uvicorn, which comes with the extras `sandbox` and `hub`; a campus without it answers over Kafka only.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Any

from connectors.sdk.contract import ConfigError
from connectors.sdk.runtime.serving import Receive, Send, serve
from connectors.sdk.trust.witness import Cosigner
from schemas.tlog.witness import ADD_CHECKPOINT

_PLAIN = "text/plain; charset=utf-8"
_LONGEST_BODY = 256 * 1024  # bytes; a checkpoint with 64 lines and 63 hashes is far below


def witness_app(cosigner: Cosigner) -> Callable[[Any, Receive, Send], Awaitable[None]]:
    """The one path of a witness, as an ASGI application."""

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        status, body, content_type = await _answer(cosigner, scope, receive)
        headers = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


async def _answer(cosigner: Cosigner, scope: Any, receive: Receive) -> tuple[int, bytes, str]:
    if scope["path"] != f"/{ADD_CHECKPOINT}":
        return 404, f"no such path; this witness has /{ADD_CHECKPOINT}\n".encode(), _PLAIN
    if scope["method"] != "POST":
        return 405, f"POST a request to /{ADD_CHECKPOINT}\n".encode(), _PLAIN
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > _LONGEST_BODY:
            return 413, f"more than {_LONGEST_BODY} bytes\n".encode(), _PLAIN
    return cosigner.post(body)


async def serve_witness(cosigner: Cosigner, address: tuple[str, int]) -> None:
    """Answer until cancelled. Raises `ConfigError` when uvicorn is not installed or the port is taken."""
    try:
        listener = socket.create_server(address)
    except OSError as error:
        raise ConfigError(
            f"trust.witness_http: cannot listen on {address[0]}:{address[1]}: {error.strerror}; name another port"
        ) from error
    await serve(witness_app(cosigner), listener, "trust.witness_http")
