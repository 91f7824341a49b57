"""The few encodings all formats share: base64, decimal numbers, hashes. Leaves every line format to its own module.

Each reader accepts exactly one spelling per value, so that whatever was read is written back byte for byte.
"""

from __future__ import annotations

import base64
import re

from schemas.tlog.errors import Malformed

HASH_BYTES = 32  # SHA-256
SIZE_LIMIT = (
    2**63
)  # exclusive. Ours: no specification states one; signed 64-bit counters hold it everywhere.
_DECIMAL = re.compile("0|[1-9][0-9]{0,18}")
_SHOWN_CHARACTERS = 60


def shown(found: object) -> str:
    """A found value as it may stand in a message: quoted, on one line, not longer than a line."""
    text = ascii(found)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def to_base64(data: bytes) -> str:
    """Standard alphabet, padded. Source: RFC 4648 section 4."""
    return base64.b64encode(data).decode("ascii")


def from_base64(text: str, place: str) -> bytes:
    """The bytes, if `text` is their only spelling: padded, no stray bits, no white space."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise Malformed(place, shown(text), "standard base64") from None
    if to_base64(data) != text:
        raise Malformed(place, shown(text), f"its canonical form {shown(to_base64(data))}")
    return data


def hash_from_base64(text: str, place: str) -> bytes:
    """One SHA-256 hash."""
    return checked_hash(from_base64(text, place), place)


def checked_hash(data: bytes, place: str) -> bytes:
    """`data` itself, if it has the length of a hash."""
    if len(data) != HASH_BYTES:
        raise Malformed(place, f"{len(data)} bytes", f"{HASH_BYTES} bytes")
    return data


def from_decimal(text: str, place: str, *, limit: int = SIZE_LIMIT) -> int:
    """A number below `limit`: ASCII digits, no sign, no leading zero."""
    if not _DECIMAL.fullmatch(text):
        raise Malformed(place, shown(text), "a decimal number without leading zeroes")
    return checked_number(int(text), place, limit=limit)


def checked_number(number: int, place: str, *, limit: int = SIZE_LIMIT) -> int:
    """`number` itself, if it counts something."""
    if not 0 <= number < limit:
        raise Malformed(place, number, f"a number from 0 to {limit - 1}")
    return number


def utf8(data: bytes, place: str) -> str:
    """The text of valid UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as broken:
        raise Malformed(
            place, f"byte {data[broken.start]:#04x} at {broken.start}", "UTF-8"
        ) from None


def encodable(text: str, place: str) -> bytes:
    """`text` as UTF-8, if it has one (a lone surrogate has none)."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise Malformed(place, shown(text), "text that UTF-8 can spell") from None
