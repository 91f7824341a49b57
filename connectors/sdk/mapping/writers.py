"""Writers: the alliance's notation of days, times, numbers and truth in that of a campus. The way back of converters.

Pure functions of one JSON value of a delivery; each raises `ValueError` with value, what was wanted and the next step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sdk.mapping.codes import shown
from connectors.sdk.mapping.converters import Change, Number, separators, zone_of
from connectors.sdk.mapping.file import LocalFieldTable

# Which ways of writing read which option.
READERS: Mapping[str, tuple[str, ...]] = {
    "format": ("date", "datetime"),
    "zone": ("datetime",),
    "number": ("decimal",),
    "decimals": ("decimal",),
    "yes": ("bool",),
    "no": ("bool",),
}


def writer(table: LocalFieldTable) -> Change | None:
    """What a field does with its value, or None when it takes it as it is. Raises `ValueError` for options that do not
    belong together, and for an unknown zone."""
    for option, readers in READERS.items():
        if option in table.model_fields_set and table.write not in readers:
            raise ValueError(
                f"{option} is for write = {' or '.join(readers)}; add it, or remove {option}"
            )
    if (table.yes is None) != (table.no is None):
        raise ValueError("yes and no go together; give the words for both")
    match table.write:
        case None:
            return None
        case "date":
            return _day_writer(table.format)
        case "datetime":
            return _time_writer(table.format, zone_of(table.zone))
        case "decimal":
            return _decimal_writer(table.number or "1234.5", table.decimals)
        case "bool":
            return _truth_writer(table.yes, table.no)
        case _:
            return _PLAIN[table.write]


def _day_writer(layout: str | None) -> Change:
    def write(value: Any) -> str:
        try:
            day = date.fromisoformat(str(value)[:10])
        except ValueError:
            raise ValueError(
                f"value {shown(value)} is no day such as 2026-09-01; correct the path"
            ) from None
        return day.strftime(layout) if layout else day.isoformat()

    return write


def _time_writer(layout: str | None, zone: ZoneInfo) -> Change:
    """The campus's clock; without a format in ISO 8601 with its offset."""

    def write(value: Any) -> str:
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            raise ValueError(
                f"value {shown(value)} is no time such as 2026-09-01T08:00:00Z; correct the path"
            ) from None
        if moment.tzinfo is None:
            raise ValueError(f"value {shown(value)} has no offset; correct the path")
        there = moment.astimezone(zone)
        return there.strftime(layout) if layout else there.isoformat()

    return write


def _number(value: Any) -> Decimal:
    try:
        if isinstance(value, bool):
            raise InvalidOperation
        return Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"value {shown(value)} is no number; correct the path") from None


def _decimal_writer(number: Number, decimals: int | None) -> Change:
    """A text in the campus's notation, with `decimals` filled up to so many: more are refused, not rounded away."""
    group, point = separators(number)

    def write(value: Any) -> str:
        found = _number(value)
        if decimals is not None:
            exact = found.quantize(Decimal(1).scaleb(-decimals))
            if exact != found:
                raise ValueError(
                    f"value {shown(value)} has more than {decimals} decimals; allow more"
                )
            found = exact
        text = format(found, ",f" if group else "f")
        whole, _, rest = text.partition(".")
        return whole.replace(",", group) + (point + rest if rest else "")

    return write


def _truth_writer(yes: str | None, no: str | None) -> Change:
    def write(value: Any) -> Any:
        if not isinstance(value, bool):
            raise ValueError(f"value {shown(value)} is neither true nor false; correct the path")
        return value if yes is None else yes if value else no

    return write


def _int(value: Any) -> int:
    found = _number(value)
    if found != found.to_integral_value():
        raise ValueError(f"value {shown(value)} is no whole number; write it as decimal")
    return int(found)


def _float(value: Any) -> float:
    return float(_number(value))


def _string(value: Any) -> str:
    if isinstance(value, (dict, list)):
        raise ValueError(
            f"value {shown(value)} is no text; name a path inside it, or write it as json"
        )
    return str(value).lower() if isinstance(value, bool) else str(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


_PLAIN: Mapping[str, Callable[[Any], Any]] = {
    "int": _int,
    "float": _float,
    "string": _string,
    "json": _json,
}
