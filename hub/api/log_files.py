"""The log's files under `/log/`, and receipts made from them. Reading only.

A path is served only if it is one of the log's: whatever else stands in the folder, or beside it, cannot be named.
Source of paths, content types and caching: C2SP tlog-tiles.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.api.problems import Problem
from hub.store.queries import Reader
from hub.transparency.files import CHECKPOINT, WITNESSED, LogFiles
from hub.transparency.proofs import log_proof, witnessed_checkpoint
from schemas.tlog.errors import Forged
from schemas.tlog.tiles import parse_path

TEXT = "text/plain; charset=utf-8"
BINARY = "application/octet-stream"
FOR_EVER = "public, max-age=31536000, immutable"  # a tile of a path and width never changes


class LogPages:
    """The handlers. They touch files and database, so they are plain functions: Starlette runs those in a thread."""

    def __init__(self, folder: Path, reader: Reader) -> None:
        self._files, self._reader = LogFiles(folder), reader

    def routes(self) -> list[BaseRoute]:
        """All routes, with their full paths."""
        return [
            Route("/log/{path:path}", self.file),
            Route("/api/v1/receipts/{event_id:path}", self.receipt),
        ]

    def file(self, request: Request) -> Response:
        """A checkpoint, a tile or a bundle."""
        path = request.path_params["path"]
        if path in (CHECKPOINT, WITNESSED):
            return self._checkpoint(request, path)
        try:
            found = self._files.read_if_there(parse_path(path).path)
        except Forged as error:
            raise Problem(
                "NOT_FOUND", f"/log/ has {CHECKPOINT}, {WITNESSED} and tiles; {error}"
            ) from error
        if found is None:
            raise Problem(
                "NOT_FOUND",
                f"/log/{path} is not there; where it is a part, the full tile may have replaced it",
            )
        return Response(found, media_type=BINARY, headers={"cache-control": FOR_EVER})

    def _checkpoint(self, request: Request, path: str) -> Response:
        found = self._files.read_if_there(path)
        if found is None:
            raise Problem(
                "NOT_FOUND",
                f"/log/{path} is not there yet; see that alliance run signer and receipts run",
            )
        headers = {"cache-control": "no-cache", "etag": f'"{sha256(found).hexdigest()[:32]}"'}
        if headers["etag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(found, media_type=TEXT, headers=headers)

    def receipt(self, request: Request) -> Response:
        """The proof (C2SP tlog-proof) of an event's newest entry under the newest witnessed checkpoint."""
        event_id = request.path_params["event_id"]
        held = witnessed_checkpoint(self._files)
        seq = self._reader.seq_of(event_id, held[0].size) if held else None
        if held is None or seq is None:
            self._refuse(event_id, held[0].size if held else 0)
            raise Problem("NOT_FOUND", f"event {event_id[:80]!r} has no entry in the ledger")
        checkpoint, note = held
        try:
            proof = log_proof(self._files, checkpoint, note, seq - 1)
        except (Forged, FileNotFoundError) as error:
            raise Problem("LOG_UNREADABLE", str(error)) from error
        headers = {
            "cache-control": "no-cache",
            "content-disposition": f'inline; filename="entry-{seq}.tlog-proof"',
        }
        return Response(proof.to_bytes(), media_type=TEXT, headers=headers)

    def _refuse(self, event_id: str, size: int) -> None:
        newest = self._reader.seq_of(event_id)
        if newest is not None:
            raise Problem(
                "NOT_WITNESSED",
                f"the entry of event {event_id[:80]!r} is number {newest}, members have cosigned {size} entries",
            )
