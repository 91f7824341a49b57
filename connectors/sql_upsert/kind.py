"""Options of a database to write to: which table an event goes to, and which column holds what.

Imports no SQL library: a campus without this kind need not install one.
"""

from __future__ import annotations

import difflib
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from connectors.sdk.contract import Context, Options, Sink, SinkKind
from connectors.sdk.database import DatabaseOptions, needs_extra
from connectors.sdk.mapping.expressions import compile_path
from schemas.catalogue import catalogue

OUTCOME, FLAG = "outcome", "flag"  # names in `tables` beside those of events


class Deletes(Options):
    """What becomes of the row when `when`, a JMESPath over the delivery, is true. `column` is what `soft` sets."""

    when: str
    how: Literal["soft", "hard", "ignore"] = "soft"
    column: str | None = None

    @field_validator("when")
    @classmethod
    def _compiles(cls, value: str) -> str:
        compile_path(value)
        return value

    @model_validator(mode="after")
    def _soft_has_column(self) -> Deletes:
        if (self.how == "soft") != (self.column is not None):
            raise ValueError(
                "column: name the column that soft sets, and none for hard and ignore; "
                "a time column gets the time, a boolean one true"
            )
        return self


class TableOptions(Options):
    """One table. `columns` are JMESPaths over the delivery's JSON form, a mapping file (`mapping/in-request.toml`), or `*`:
    the record's fields by their names.
    """

    table: str
    key: tuple[str, ...] = Field(min_length=1)
    columns: dict[str, str] | str = "*"
    version: str | None = None
    deletes: Deletes | None = None

    @property
    def file(self) -> str | None:
        """The mapping file, if the columns are in one."""
        return self.columns if isinstance(self.columns, str) and self.columns != "*" else None

    @model_validator(mode="after")
    def _fits(self) -> TableOptions:
        if isinstance(self.columns, str):
            if self.columns != "*" and not self.columns.endswith(".toml"):
                raise ValueError(
                    f"columns: found {self.columns!r}; write a table of columns, a mapping file or *"
                )
            return self
        for path in self.columns.values():
            compile_path(path)
        missing = sorted({*self.key, *filter(None, [self.version])} - set(self.columns))
        if missing:
            raise ValueError(
                f"columns: {', '.join(missing)} is in key or version; say what it holds"
            )
        return self


class UpsertOptions(DatabaseOptions):
    """Options of `sql_upsert`. `table` takes what has no table of its own; empty, there is no such table.

    `timezone` is that of time columns without one.
    """

    table: str = "hub_in"
    applied: str = "hub_applied"
    tables: dict[str, TableOptions] = Field(default_factory=dict)
    create: bool = False
    timezone: str = "UTC"

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        try:
            return ZoneInfo(value).key
        except (LookupError, ValueError, OSError) as error:
            raise ValueError(
                f"found {value!r}: no such time zone; write for example Asia/Shanghai"
            ) from error

    @field_validator("tables")
    @classmethod
    def _known_events(cls, value: dict[str, TableOptions]) -> dict[str, TableOptions]:
        known = [OUTCOME, FLAG, *(schema.event for schema in catalogue().events())]
        for name in value:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                advice = f"did you mean {near[0]}?" if near else "see: alliance schemas list"
                raise ValueError(f"found {name!r}: no event has this name; {advice}")
        return value


def _open(options: UpsertOptions, context: Context) -> Sink:
    try:
        from connectors.sql_upsert.sink import SqlUpsert
    except ModuleNotFoundError as error:
        raise needs_extra("sql_upsert", error) from error
    return SqlUpsert(options, context)


SINK: SinkKind[UpsertOptions] = SinkKind(options=UpsertOptions, open=_open)
