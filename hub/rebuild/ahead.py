"""A second process that looks at log records while the first recomputes: two cores for one start from the log.

The process gets chunks of records and hands back what `hub.ledger.looking` says of them. It knows no state and opens no
connection. One chunk is with it while the one before is recomputed; it is never asked before its last answer was taken, so
neither side can wait for the other for ever. It ends with its standard input.

Where there is one core alone, or no process can be started, `Ahead.start` answers None and the caller looks for itself.
"""

from __future__ import annotations

import json
import marshal
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import IO, Any, NamedTuple

from hub.errors import HubError, LedgerCorrupt
from hub.ledger.entry import Decision
from hub.ledger.head import Head
from hub.ledger.looking import Looked, Looking

# Records. One core recomputes so many in about a second; a process takes 0.3 s to start.
WORTH_IT = 10_000
CHUNK = 1_000
_LENGTH_BYTES = 8
_WAIT_S = 10
# A process of its own needs none of the caller's main module: nothing but the path on which its modules lie.
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from hub.rebuild.ahead import work; work(int(sys.argv[2]), bytes.fromhex(sys.argv[3]))"
)


class AheadEnded(HubError):
    """The second process ended. Nothing was lost: the log is as it was."""


def cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Done(NamedTuple):
    """A chunk with what was found of its records, up to the first that cannot be judged, and why that cannot."""

    values: Sequence[bytes]
    found: list[Looked | None]
    trouble: str

    def check(self) -> None:
        """Raises `LedgerCorrupt` if a record could not be judged."""
        if self.trouble:
            raise LedgerCorrupt(self.trouble)


class Ahead:
    """The second process, as the first sees it. Use it as a context manager."""

    def __init__(self, process: subprocess.Popen[bytes], head: Head) -> None:
        self._process = process
        self._sent: list[Sequence[bytes]] = []  # the chunk that is with the process
        self._first = head.seq + 1

    @classmethod
    def start(cls, head: Head) -> Ahead | None:
        """A process that looks from `head` on; None where a second one is of no use or cannot be had."""
        if cores() < 2 or getattr(sys, "frozen", False) or not sys.executable:
            return None
        path = [str(place) for place in sys.path]
        given = [json.dumps(path), str(head.seq), head.hash.hex()]
        try:
            process = subprocess.Popen(  # noqa: S603  (our own program, by this very Python)
                [sys.executable, *_flags(), "-c", _PROGRAM, *given],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        except OSError:
            return None
        return cls(process, head)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How the process ended; None while it has not."""
        return self._process.returncode

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *_: object) -> None:
        """End the process, also in the middle of a chunk: what it had to say is of no use any more."""
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                _open(pipe).close()
        try:
            self._process.wait(_WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def over(self, chunks: Iterable[Sequence[bytes]]) -> Iterator[Done]:
        """All chunks, each as soon as the next one is handed over. Raises `AheadEnded`."""
        for chunk in chain(chunks, (None,)):
            done = self.turn(chunk)
            if done is not None:
                yield done

    def turn(self, chunk: Sequence[bytes] | None) -> Done | None:
        """Hand over the next chunk, if any, and take what was found in the one before, if any. Raises `AheadEnded`."""
        done = None
        try:
            if self._sent:
                values = self._sent.pop()
                rows, trouble = _read(_open(self._process.stdout))
                done = Done(values, [_looked(row) for row in rows], trouble)
                self._first += sum(row is not None for row in rows)
            if chunk is not None:
                self._sent.append(chunk)
                _write(_open(self._process.stdin), list(chunk))
        except (OSError, EOFError) as error:
            raise self._ended() from error
        return done

    def _ended(self) -> AheadEnded:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_WAIT_S)
        return AheadEnded(
            f"the process {self.pid} that reads the log ahead ended with {self._process.returncode} "
            f"before it had looked at entry {self._first} and those behind it; was it stopped, or memory short? "
            "Start again"
        )


def work(seq: int, digest: bytes) -> None:
    """The second process: chunks from standard input, what is found to standard output, until the input ends."""
    with suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's interrupt is for who started us
    looking = Looking(Head(seq, digest))
    with suppress(EOFError, OSError):  # who started us has all it wants
        while True:
            found, trouble = looking.many(_read(sys.stdin.buffer))
            rows = [None if one is None else _row(one) for one in found]
            _write(sys.stdout.buffer, (rows, trouble))


def _row(one: Looked) -> tuple[Any, ...]:
    decision = one.decision
    return (*one[:-1], None if decision is None else tuple(decision))


def _looked(row: tuple[Any, ...] | None) -> Looked | None:
    if row is None:
        return None
    *rest, decision = row
    return Looked._make((*rest, None if decision is None else Decision._make(decision)))


def _read(pipe: IO[bytes]) -> Any:
    """One message. Raises `EOFError` where the other side ended."""
    head = pipe.read(_LENGTH_BYTES)
    length = int.from_bytes(head, "big")
    body = pipe.read(length) if len(head) == _LENGTH_BYTES else b""
    if not body or len(body) < length:
        raise EOFError
    return marshal.loads(body)  # noqa: S302  (written by the other of our two processes)


def _write(pipe: IO[bytes], message: Any) -> None:
    body = marshal.dumps(message)
    pipe.write(len(body).to_bytes(_LENGTH_BYTES, "big"))
    pipe.write(body)
    pipe.flush()


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise EOFError
    return pipe


def _flags() -> list[str]:
    """Of this Python, those that change what can be imported or what an error is."""
    flags = sys.flags
    wanted = (
        ("-I", flags.isolated), ("-E", flags.ignore_environment), ("-s", flags.no_user_site), ("-P", flags.safe_path),
        ("-O", flags.optimize),
    )  # fmt: skip
    return [flag for flag, on in wanted if on]
