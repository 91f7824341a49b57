"""Witnesses that are asked over HTTP: C2SP tlog-witness, call add-checkpoint. Owns the call and what its answers mean."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from hub.errors import RetryLater
from hub.transparency.quorum import Candidate
from schemas.tlog.errors import Forged
from schemas.tlog.note import Signature
from schemas.tlog.policy import Witness
from schemas.tlog.witness import (
    ADD_CHECKPOINT,
    AddCheckpoint,
    Status,
    parse_conflict_body,
    parse_cosigned_body,
)

TIMEOUT_S = 10.0
ANSWER_BYTES = 64 * 1024
AGAIN_AFTER_S = 10.0

# (candidate, old size) -> consistency proof
Prove = Callable[[Candidate, int], tuple[bytes, ...]]


class HttpWitness:
    """One witness with a URL, and the size it is believed to have cosigned last: it says so itself when we are wrong."""

    def __init__(self, witness: Witness, client: httpx.AsyncClient, prove: Prove) -> None:
        self.name = witness.name
        self._url = f"{witness.url.rstrip('/')}/{ADD_CHECKPOINT}"
        self._client, self._prove = client, prove
        self._known_size = 0

    async def ask(self, candidate: Candidate) -> tuple[Signature, ...]:
        """Its cosignatures, not yet verified; none when it is ahead of this checkpoint.

        Raises `RetryLater` for every answer that gives none, naming witness and answer.
        """
        for _attempt in range(2):  # the second with the size that the first one's conflict told
            if self._known_size > candidate.size:
                return ()
            status, body = await self._post(candidate)
            try:
                if status == Status.COSIGNED:
                    lines = parse_cosigned_body(body)
                    self._known_size = candidate.size
                    return lines
                if status != Status.CONFLICT:
                    raise RetryLater(self._said(status, body), AGAIN_AFTER_S)
                self._known_size = parse_conflict_body(body)
            except Forged as broken:
                raise RetryLater(
                    f"witness {self.name} at {self._url} answers {status} with {broken}; tell its operator",
                    AGAIN_AFTER_S,
                ) from broken
        raise RetryLater(
            f"witness {self.name} at {self._url} was at size {self._known_size} and moved on while asked",
            AGAIN_AFTER_S,
        )

    def _said(self, status: int, body: bytes) -> str:
        known = status in set(Status)
        meaning = Status(status).name if known else "no answer of a witness"
        return (
            f"witness {self.name} at {self._url} answers {status} ({meaning}): {body[:200]!r}; "
            "compare its trusted log key and its record with ours"
        )

    async def _post(self, candidate: Candidate) -> tuple[int, bytes]:
        proof = self._prove(candidate, self._known_size)
        request = AddCheckpoint(self._known_size, proof, candidate.note.to_bytes()).to_bytes()
        try:
            async with self._client.stream(
                "POST", self._url, content=request, timeout=TIMEOUT_S
            ) as answer:
                body = b""
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > ANSWER_BYTES:
                        raise RetryLater(
                            f"witness {self.name} at {self._url} answers more than {ANSWER_BYTES} bytes",
                            AGAIN_AFTER_S,
                        )
                return answer.status_code, body
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RetryLater(
                f"witness {self.name} at {self._url} does not answer: {error!r}; check its address and network",
                AGAIN_AFTER_S,
            ) from error
