"""Options of an outbox table, and the refusal of orders that lose rows.

Imports no SQL library: a campus without this kind need not install one.
"""

from __future__ import annotations

from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from connectors.sdk.contract import Context, Options, Source, SourceKind
from connectors.sdk.database import DatabaseOptions, needs_extra

Strategy: TypeAlias = Literal["xid_fence", "mark", "rowversion", "gap_wait"]
After: TypeAlias = Literal["keep", "mark", "delete"]

_STRATEGIES = ("xid_fence", "mark", "rowversion", "gap_wait")
_LOSES = (
    "would lose rows: numbers are given before the commit, so a row that commits late appears behind the cursor and is "
    "never read (tests/integration/test_kind_sql_postgres.py measures it); write xid_fence (PostgreSQL), mark "
    "(any database), rowversion (SQL Server) or gap_wait"
)


class Columns(Options):
    """The outbox's columns. Defaults are Debezium's names, and `position` for the number that orders rows.

    https://debezium.io/documentation/reference/stable/transformations/outbox-event-router.html
    """

    position: str = "position"
    id: str = "id"
    aggregatetype: str | None = "aggregatetype"
    aggregateid: str = "aggregateid"
    type: str = "type"
    payload: str = "payload"
    time: str | None = None
    version: str | None = None
    xid: str = "xid"
    mark: str = "taken_at"
    rowversion: str = "rv"


class Order(Options):
    """How rows are read in an order that loses none. `max_s` is of `gap_wait`: seconds to wait for a missing number."""

    strategy: Strategy
    max_s: float = Field(default=10, gt=0)

    @field_validator("strategy", mode="before")
    @classmethod
    def _loses_none(cls, value: object) -> object:
        if value not in _STRATEGIES:
            raise ValueError(f"found {value!r}: that order {_LOSES}")
        return value


class OutboxOptions(DatabaseOptions):
    """Options of `sql_outbox`. `extra` are further columns to hand to the mapping, `timezone` is of times without one."""

    table: str
    columns: Columns = Columns()
    extra: tuple[str, ...] = ()
    order: Order
    after: After = "keep"
    batch: int = Field(default=500, ge=1, le=10_000)
    timezone: str | None = None

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, value: str | None) -> str | None:
        try:
            return value and ZoneInfo(value).key
        except (LookupError, ValueError, OSError) as error:
            raise ValueError(
                f"found {value!r}: no such time zone; write for example Asia/Shanghai"
            ) from error

    @model_validator(mode="before")
    @classmethod
    def _marks(cls, raw: object) -> object:
        """Marking is what the strategy `mark` does, unless rows are to be deleted."""
        order = raw.get("order") if isinstance(raw, dict) else None
        if isinstance(order, dict) and order.get("strategy") == "mark":
            return {"after": "mark", **raw} if isinstance(raw, dict) else raw
        return raw

    @model_validator(mode="after")
    def _fits(self) -> OutboxOptions:
        strategy = self.order.strategy
        if strategy == "xid_fence" and self.backend != "postgresql":
            raise ValueError(
                f"order: xid_fence needs PostgreSQL, dsn names {self.backend}; write mark or gap_wait"
            )
        if strategy == "rowversion" and self.backend != "mssql":
            raise ValueError(
                f"order: rowversion needs SQL Server, dsn names {self.backend}; write mark or gap_wait"
            )
        if strategy == "rowversion" and self.after == "mark":
            raise ValueError(
                "after: a mark changes the row's rowversion, so it would be read again; write keep or delete"
            )
        if strategy == "mark" and self.after == "keep":
            raise ValueError("after: the order mark needs rows to be marked; write mark or delete")
        return self


def _open(options: OutboxOptions, context: Context) -> Source:
    try:
        from connectors.sql_outbox.source import SqlOutbox
    except ModuleNotFoundError as error:
        raise needs_extra("sql_outbox", error) from error
    return SqlOutbox(options, context)


SOURCE: SourceKind[OutboxOptions] = SourceKind(options=OutboxOptions, open=_open)
