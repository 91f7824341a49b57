"""Change cursors: values that an API orders its changes by, and how far it is safe to go on from them. Pure.

Owns formats and comparing. A cursor is safe when no change can still appear at or before it: hence never beyond the time
the reading began less `settle_s`, and never beyond what was seen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import total_ordering
from typing import Any, Literal, TypeAlias

from pydantic import Field, model_validator

from connectors.sdk.contract import Options

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SETTLE_S = 120.0  # writers of campus systems commit within two minutes; longer jobs need more
Order: TypeAlias = int | Decimal | str


class CursorTable(Options):
    """`cursor = { field, format, ... }`: an API that lists changes since a value."""

    field: str
    format: Literal["rfc3339", "epoch_ms", "number", "text"] = "rfc3339"
    initial: str
    settle_s: float | None = Field(default=None, ge=0)
    lookback_s: float = Field(default=0, ge=0)
    future: Literal["clamp"] = "clamp"
    remember: int = Field(default=1000, ge=0, le=50_000)

    @property
    def timed(self) -> bool:
        """Whether a cursor is a time."""
        return self.format in ("rfc3339", "epoch_ms")

    @property
    def settle(self) -> float:
        """Seconds before the reading began in which changes may still appear."""
        return _SETTLE_S if self.settle_s is None else self.settle_s

    @model_validator(mode="after")
    def _times_only(self) -> CursorTable:
        if not self.timed and (self.settle_s or self.lookback_s):
            raise ValueError(
                f'settle_s and lookback_s need times; found format = "{self.format}": remove them, or write '
                '"rfc3339" or "epoch_ms"'
            )
        try:
            read(self.initial, self.format)
        except ValueError as error:
            raise ValueError(f"initial: {error}") from error
        return self


@total_ordering
@dataclass(frozen=True, slots=True)
class Mark:
    """A cursor's value: how it compares, and the text the API wrote it in. Microseconds, if it is a time."""

    order: Order
    text: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mark) and self.order == other.order

    def __hash__(self) -> int:
        return hash(self.order)

    def __lt__(self, other: Mark) -> bool:
        return self.order < other.order  # type: ignore[operator] # marks of one format are of one type


def read(value: Any, form: str) -> Mark:
    """A value of an API, or of a stored cursor. Raises `ValueError` with found and wanted."""
    text = str(value)
    if form == "text":
        if isinstance(value, str):
            return Mark(text, text)
        raise ValueError(f"found {type(value).__name__}, wanted a text")
    if form == "rfc3339":
        return Mark(_micros(text), text)
    if isinstance(value, bool):
        raise ValueError("found true or false, wanted a number")
    if form == "epoch_ms":
        if re.fullmatch(r"-?[0-9]{1,17}", text):
            return Mark(int(text) * 1000, text)
        raise ValueError(f"found {text[:40]!r}, wanted milliseconds since 1970")
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"found {text[:40]!r}, wanted a number") from error
    if not number.is_finite():
        raise ValueError(f"found {text[:40]!r}, wanted a number")
    return Mark(number, text)


def _micros(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(
            f"found {text[:40]!r}, wanted a time such as 2026-09-01T08:00:00Z"
        ) from error
    if at.tzinfo is None:
        raise ValueError(f"found {text[:40]!r}, a time without zone; wanted one such as +08:00")
    return micros(at)


def micros(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def moment(mark: Mark) -> datetime:
    """The time of a mark that is one."""
    if not isinstance(mark.order, int):
        raise TypeError("not a time")
    return _EPOCH + timedelta(microseconds=mark.order)


def at_micros(order: int, form: str) -> Mark:
    """A time as the API takes it, in whole seconds before it: not every API reads fractions."""
    seconds = order // 1_000_000
    if form == "epoch_ms":
        return Mark(order // 1000 * 1000, str(order // 1000))
    at = _EPOCH + timedelta(seconds=seconds)
    return Mark(seconds * 1_000_000, at.strftime("%Y-%m-%dT%H:%M:%SZ"))


def since(at: Mark, table: CursorTable) -> Mark:
    """Where the next reading begins: `lookback_s` before the safe cursor."""
    if not table.timed or table.lookback_s == 0 or not isinstance(at.order, int):
        return at
    return at_micros(at.order - int(table.lookback_s * 1e6), table.format)


def safe(before: Mark, top: Mark, started: datetime, table: CursorTable) -> Mark:
    """The cursor after a whole reading that saw values up to `top`; it never goes back."""
    if not table.timed:
        return max(before, top)
    # Just before it: an API that lists changes *after* a time would never list those of that very time.
    bound = at_micros(micros(started) - int(table.settle * 1e6) - 1, table.format)
    return max(before, min(top, bound))
