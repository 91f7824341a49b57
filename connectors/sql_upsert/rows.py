"""From a delivery to the row it makes, and from JSON values to those of a column's type. Pure: no database is asked."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

import sqlalchemy as sa

from connectors.sdk.contract import Delivery
from connectors.sdk.mapping.expressions import MISSING, compile_path
from connectors.sdk.mapping.local import LocalMapping
from connectors.sql_upsert.kind import TableOptions
from schemas.codec import to_json
from schemas.records import Envelope

_LARGEST = 2**63  # integers of databases have at most 64 bits


class Unfit(ValueError):
    """A value does not fit its column. Named with the value: this stays on this machine."""


@dataclass(frozen=True, slots=True)
class Target:
    """A table as the database has it, and how a delivery becomes a row of it."""

    table: sa.Table
    key: Sequence[str]
    version: str | None
    values: Callable[[Delivery, datetime], dict[str, Any]]
    gone: Callable[[Any], bool] = field(default=lambda _: False)
    how: str = ""
    soft: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What a delivery does to one row: its values by column, and whether the row goes."""

    target: Target
    values: Mapping[str, Any]
    gone: bool

    @property
    def removes(self) -> bool:
        """Whether the row is deleted."""
        return self.gone and self.target.how == "hard"

    @property
    def key(self) -> dict[str, Any]:
        """The values of the key's columns."""
        return {name: self.values[name] for name in self.target.key}


def runs(changes: Iterable[Change | None], largest: int) -> list[list[Change | None]]:
    """Neighbors that one statement may write: of one table and the same columns, no row twice, none to be removed."""
    found: list[list[Change | None]] = []
    keys: set[tuple[Any, ...]] = set()
    for change in changes:
        before = found[-1][-1] if found else None
        if (
            change is not None
            and before is not None
            and change.target is before.target
            and change.values.keys() == before.values.keys()
            and not (change.removes or before.removes)
            and tuple(change.key.values()) not in keys
            and len(found[-1]) < largest
        ):
            found[-1].append(change)
        else:
            found.append([change])
            keys = set()
        if change is not None:
            keys.add(tuple(change.key.values()))
    return found


def change_of(target: Target, delivery: Delivery, now: datetime, zone: tzinfo) -> Change | None:
    """The change a delivery makes; None where the options ignore it. Raises `Unfit`, or a mapping's `Permanent`."""
    gone = bool(target.how) and target.gone(delivery.to_json())
    if gone and target.how == "ignore":
        return None
    values = target.values(delivery, now)
    if target.soft is not None:
        is_flag = isinstance(target.table.c[target.soft].type, sa.Boolean)
        values[target.soft] = gone if is_flag else (now if gone else None)
    fitted = {}
    for name, value in values.items():
        try:
            fitted[name] = fit(value, target.table.c[name].type, zone)
        except (ValueError, TypeError, InvalidOperation) as error:
            kind = target.table.c[name].type
            raise Unfit(
                f"{target.table.name}.{name}: {value!r} is no {kind!r}; correct columns"
            ) from error
    needed = [*target.key, *([target.version] if target.version else [])]
    empty = [name for name in needed if fitted.get(name) is None]
    if empty:
        raise Unfit(
            f"{target.table.name}: {', '.join(empty)} of key or version is empty; correct columns"
        )
    return Change(target, fitted, gone)


def target_of(table: sa.Table, options: TableOptions, mapping: LocalMapping | None) -> Target:
    """A table of the options, its columns by a mapping file if there is one. `*` takes what record and table both have, so that a new field stops nobody."""
    deletes = options.deletes
    gone = compile_path(deletes.when) if deletes else None
    return Target(
        table,
        options.key,
        options.version,
        _values(table, options) if mapping is None else lambda delivery, _: mapping.row(delivery),
        (lambda data: gone(data) is True) if gone else (lambda _: False),
        deletes.how if deletes else "",
        deletes.column if deletes else None,
    )


def _values(
    table: sa.Table, options: TableOptions
) -> Callable[[Delivery, datetime], dict[str, Any]]:
    if isinstance(options.columns, str):
        names = {column.name for column in table.columns}
        return lambda delivery, now: {
            name: value for name, value in whole(delivery, now).items() if name in names
        }
    paths = {name: compile_path(path) for name, path in options.columns.items()}

    def mapped(delivery: Delivery, now: datetime) -> dict[str, Any]:
        data = delivery.to_json()
        found = {name: path(data) for name, path in paths.items()}
        return {name: None if value is MISSING else value for name, value in found.items()}

    return mapped


def whole(delivery: Delivery, now: datetime) -> dict[str, Any]:
    """What `*` offers: the record's fields, and what the default table holds of every delivery."""
    record = to_json(delivery.record)
    fields = {name: value for name, value in record.items() if name != "envelope"}
    return {**fields, **plain_row(delivery, now)}


def plain_row(delivery: Delivery, now: datetime) -> dict[str, Any]:
    """A delivery as the default table holds it."""
    about = getattr(delivery.record, "envelope", None)
    return {
        "delivery_key": delivery.key,
        "kind": delivery.kind,
        "event": delivery.event,
        "event_id": delivery.event_id,
        "outcome": delivery.outcome or None,
        "subject": delivery.order_key,
        "version": about.aggregate_version if isinstance(about, Envelope) else None,
        "ledger_seq": delivery.ledger_seq,
        "body": delivery.to_json(),
        "brought_at": now,
    }


def fit(value: Any, kind: sa.types.TypeEngine[Any], zone: tzinfo) -> Any:
    """A JSON value as a column of this type takes it. Raises `ValueError`, `TypeError` or `InvalidOperation`.

    What is no single value goes into text columns as JSON.
    """
    if value is None or isinstance(kind, (sa.JSON, sa.ARRAY)):
        return value
    if isinstance(value, (dict, list)):
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(kind, sa.DateTime):
        return _time(value, zone, aware=getattr(kind, "timezone", True))
    if isinstance(kind, sa.Date):
        return date.fromisoformat(str(value)[:10])
    if isinstance(kind, sa.Boolean):
        if isinstance(value, bool):
            return value
        raise ValueError("neither true nor false")
    if isinstance(kind, sa.Integer):
        whole_number = int(value)
        if Decimal(str(value if not isinstance(value, bool) else whole_number)) != whole_number:
            raise ValueError("not whole")
        if not -_LARGEST <= whole_number < _LARGEST:
            raise ValueError("too large")
        return whole_number
    if isinstance(kind, sa.Numeric):
        return Decimal(str(value))
    if isinstance(kind, sa.Uuid):
        return uuid.UUID(str(value)) if kind.as_uuid else str(value)
    if isinstance(kind, sa.LargeBinary):
        return str(value).encode()
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value if isinstance(value, str) else json.dumps(value)


def _time(value: Any, zone: tzinfo, *, aware: bool) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return moment if aware else moment.astimezone(zone).replace(tzinfo=None)
