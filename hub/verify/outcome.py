"""What a check may find. Each class of finding has an exit code of its own, so that scripts need not read sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any
from urllib.error import URLError

from hub.errors import HubError, LedgerCorrupt
from schemas.members import AllianceFileError
from schemas.tlog.errors import BadProof, BadSignature, BadTile, Forged, Unsigned

SHOWN_CHARS = 400  # of a value found or wanted; both may be as long as an entry


class Code(IntEnum):
    """Exit codes. 1 is left to Python: it means that this program is wrong, not the ledger."""

    OK = 0
    USAGE = 2
    UNREADABLE = 3
    MALFORMED = 4
    OTHER_RULES = 5
    SIGNATURE = 10
    PROOF = 11
    ENTRY = 12
    INVARIANT = 13
    EQUIVOCATION = 14
    MISSING = 15
    STATEMENT = 16
    ERASURE = 17


MEANING = {
    Code.OK: "all that was asked was checked and is right",
    Code.USAGE: "the command is not one of these",
    Code.UNREADABLE: "something to read is missing or cannot be read; nothing was found to be false",
    Code.MALFORMED: "bytes do not follow their format",
    Code.OTHER_RULES: "the entries were made by other rules than this installation has",
    Code.SIGNATURE: "a signature is false or missing, or its key did not count (I9)",
    Code.PROOF: "hashes do not lead to the signed root",
    Code.ENTRY: "an entry is not what the rules make of the signed event",
    Code.INVARIANT: "an invariant of the ledger is broken",
    Code.EQUIVOCATION: "one log signed two stories; both signatures are shown",
    Code.MISSING: "an event has no receipt although its time is over, or the hub showed another",
    Code.STATEMENT: "a statement of account does not close or is not of this ledger",
    Code.ERASURE: "a student's data is not erased as it was said",
}


class Failure(HubError):
    """A check did not hold: the place, what was found there, what was wanted, what to do next."""

    def __init__(
        self, code: Code, place: str, found: object, wanted: object, advice: str = ""
    ) -> None:
        self.code = code
        self.place = place
        self.found = shortened(found)
        self.wanted = shortened(wanted)
        self.advice = advice
        tail = f"; {advice}" if advice else ""
        super().__init__(f"{place}: found {self.found}, wanted {self.wanted}{tail}")

    def values(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "place": self.place,
            "found": self.found,
            "wanted": self.wanted,
            "next": self.advice,
            "detail": str(self),
        }


def shortened(value: object) -> str:
    """A value in one line; bytes in hex."""
    text = value.hex() if isinstance(value, bytes) else str(value)
    if len(text) <= SHOWN_CHARS:
        return text
    return f"{text[:SHOWN_CHARS]}... ({len(text)} characters)"


def failure_of(error: Exception, place: str = "") -> Failure:
    """The failure that an error of another package stands for. Raises `TypeError` for one nobody expects here."""
    prefix = f"{place}: " if place else ""
    if isinstance(error, Failure):
        return error
    if isinstance(error, Forged):
        code = Code.MALFORMED
        if isinstance(error, (BadSignature, Unsigned)):
            code = Code.SIGNATURE
        elif isinstance(error, (BadProof, BadTile)):
            code = Code.PROOF
        return Failure(code, f"{prefix}{error.place}", error.found, error.wanted)
    if isinstance(error, LedgerCorrupt):
        return Failure(Code.ENTRY, place or "ledger", error, "what the rules make of it")
    if isinstance(error, AllianceFileError):
        return Failure(Code.UNREADABLE, place or "alliance configuration", error, "a usable file")
    if isinstance(error, (OSError, URLError)):
        name = getattr(error, "filename", None) or place or "input"
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or error
        return Failure(
            Code.UNREADABLE, str(name), str(reason), "a file that is there and can be read"
        )
    raise TypeError(f"{type(error).__name__} is no finding") from error


@contextmanager
def reading(place: str) -> Iterator[None]:
    """What goes wrong inside is told with the name of the file it is about."""
    try:
        yield
    except (Forged, AllianceFileError, OSError) as error:
        raise failure_of(error, place) from error
