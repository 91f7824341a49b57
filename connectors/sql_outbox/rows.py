"""A row of the outbox as the mapping sees it: plain JSON values, whatever the driver made of them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, tzinfo
from decimal import Decimal
from typing import Any, NoReturn

from connectors.sdk.contract import Item
from schemas import envelope


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `position` orders it among all, `xid` and `rowversion` are of the strategies that have them."""

    position: int
    values: Mapping[str, Any]
    xid: int = 0
    rowversion: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """What is told of each row beside its values: where it stands, whose it is, and the zone of times without one."""

    table: str
    owner: str
    zone: tzinfo | None

    def item(self, row: Row) -> Item:
        """The change a row tells of. Its key is the aggregate's id: the changes of one aggregate stay in order."""
        values = {name: self._plain(value) for name, value in row.values.items()}
        key = values.pop("aggregateid")
        key = None if key is None else str(key)
        given = values.pop("id")
        is_uuid = isinstance(row.values["id"], uuid.UUID)
        data = {
            "id": given,
            "eventId": given if is_uuid else self._event_id(given),
            "key": key,
            "type": values.pop("type"),
            "payload": payload(values.pop("payload")),
            **values,
        }
        return Item(data, f"{self.table}#{row.position}", key)

    def _event_id(self, given: Any) -> str:
        """The row's id if it is a UUID; else a UUID made of it, the same whenever the row is read."""
        try:
            return str(uuid.UUID(str(given)))
        except ValueError:
            return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.owner}/{self.table}/{given}"))

    def _plain(self, value: Any) -> Any:
        """A value that JSON can hold. Times get their zone, if there is one to give."""
        if value is None or isinstance(value, (str, int, float, dict, list)):
            return value
        if isinstance(value, datetime):
            if value.tzinfo is None and self.zone is not None:
                value = value.replace(tzinfo=self.zone)
            return value.isoformat() if value.tzinfo is None else envelope.rfc3339(value)
        if isinstance(value, (date, time)):
            return value.isoformat()
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value).decode("utf-8", "replace")
        if isinstance(value, Decimal) and value == value.to_integral_value():
            return int(value)  # Oracle has no other integers
        return str(value)


def payload(value: Any) -> Any:
    """The payload as data. What is no JSON stays text, so that the mapping parks this row and says what it misses."""
    if not isinstance(value, str):
        return value
    try:
        return _DECODER.decode(value)
    except (ValueError, RecursionError):
        return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(
    parse_constant=_no_number
)  # made once: `json.loads` makes one for each row
