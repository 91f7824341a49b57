"""The options of `http_poll`: which question is asked, and how its answers are read."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from connectors.http_poll.cursors import CursorTable
from connectors.http_poll.paging import ByPage, Paging
from connectors.sdk.http import ClientOptions
from connectors.sdk.mapping.expressions import compile_path

Cursor: TypeAlias = Annotated[
    Annotated[str, Tag("number")] | Annotated[CursorTable, Tag("value")],
    Discriminator(lambda given: "number" if isinstance(given, str) else "value"),
]


class PollOptions(ClientOptions):
    """Options of `http_poll`; times in seconds, expressions in JMESPath."""

    path: str
    params: dict[str, str] = Field(default_factory=dict)
    records: str = "@"
    more: str | None = None
    cursor: Cursor | None = None
    initial: str = ""
    paging: Paging | None = None
    id: str | None = None
    key: str | None = None
    allow_hosts: tuple[str, ...] = ()
    timeout_s: float = Field(default=5, gt=0)

    @field_validator("records", "more", "cursor", "id", "key")
    @classmethod
    def _compiles(cls, value: str | CursorTable | None) -> str | CursorTable | None:
        path = value.field if isinstance(value, CursorTable) else value
        compile_path(path or "@")
        return value

    @model_validator(mode="after")
    def _one_way(self) -> PollOptions:
        table = isinstance(self.cursor, CursorTable)
        neither = self.cursor is None and self.paging is None
        if neither or (self.paging is not None and isinstance(self.cursor, str)):
            raise ValueError(
                'write either cursor = "..." (an API of numbered changes), cursor = { field = "...", ... } (changes '
                'since a value) or paging = { type = "page", ... } (a collection)'
            )
        if table and isinstance(self.paging, ByPage):
            raise ValueError(
                "page numbers skip records when the list changes while it is read, and a change cursor never comes back "
                'for them; write paging = { type = "offset", ... }, "cursor", "next_link" or "link_header"'
            )
        if table and not any("{cursor}" in value for value in self.params.values()):
            raise ValueError(
                'no parameter has {cursor}; write one, such as params = { changedSince = "{cursor}" }'
            )
        if self.id and not table:
            raise ValueError("id tells changes of a cursor = { ... } apart; remove it")
        if self.initial and table:
            raise ValueError("initial stands inside cursor = { ... }; move it there")
        return self
