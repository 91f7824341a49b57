"""Options of `file_drop`, each refused with the fix when it makes no sense. What they mean for people is in README.md."""

from __future__ import annotations

import codecs
import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator, model_validator

from connectors.sdk.contract import Options

# Encodings in which a line feed is one byte that is part of no other character, so that lines can be cut before they are
# decoded. UTF-16 and the stateful ones (HZ, ISO 2022) are not among them.
_LINEWISE = re.compile(
    r"ascii|utf-8|utf-8-sig|gb2312|gbk|gb18030|big5|big5hkscs|euc_(jp|kr)|shift_jis|cp(8|9|12)\d{1,2}|iso8859-\d{1,2}"
)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:-]*")  # never an option of ssh
_NOT_GROWING = {"on_done", "on_error", "ready", "order", "guard", "max_bad_rows"}


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_several)]


class Format(Options):
    """How a file's rows are written. `line_bytes` bounds what one line may take in memory."""

    type: Literal["csv", "jsonl"] = "csv"
    encoding: str = "utf-8"
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    quote: str = Field(default='"', min_length=1, max_length=1)
    header: bool = True
    columns: tuple[str, ...] = ()
    null: tuple[str, ...] = ()
    final_newline: bool = False
    line_bytes: int = Field(default=1_048_576, ge=64)

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            name = codecs.lookup(value).name
        except LookupError:
            raise ValueError(
                f"found {value!r}, wanted an encoding such as utf-8, gb18030, big5 or cp1252; correct it"
            ) from None
        if not _LINEWISE.fullmatch(name):
            raise ValueError(
                f"found {value!r}, in which lines cannot be told apart byte by byte; export as utf-8 or gb18030"
            )
        return name

    @model_validator(mode="after")
    def _columns_somewhere(self) -> Format:
        if self.type == "csv" and not self.header and not self.columns:
            raise ValueError("columns is missing and header = false; list the columns")
        if len(set(self.columns)) < len(self.columns):
            raise ValueError("columns names one twice; give each its own name")
        return self


class Ready(Options):
    """When a file is complete: unchanged for `for_s` seconds, named by a second file, or as soon as it appears."""

    type: Literal["stable", "marker", "rename"] = "stable"
    for_s: float = Field(default=30, ge=0)
    suffix: str = Field(default=".done", min_length=1)


class Guard(Options):
    """What a full export may do without a person. `max_delete` is a share of the keys published before."""

    max_delete: float = Field(default=0.05, ge=0, le=1)
    min_rows: int = Field(default=1, ge=0)


class DropOptions(Options):
    """Options of `file_drop`; times in seconds, shares between 0 and 1."""

    location: str
    pattern: str
    mode: Literal["changes", "append", "full_snapshot"]
    format: Format = Format()
    ready: Ready = Ready()
    order: Literal["name", "mtime"] = "name"
    key: Names = ()
    compare_without: Names = ()
    deletes: Literal["tell", "ignore"] = "tell"
    guard: Guard = Guard()
    max_bad_rows: float = Field(default=0, ge=0, lt=1)
    batch: int = Field(default=200, ge=1, le=5000)
    on_done: str = "archive/{date}/"
    on_error: str = "rejected/"
    identity: str | None = None
    known_hosts: str | None = None
    timeout_s: float = Field(default=30, gt=0)

    @field_validator("location")
    @classmethod
    def _place(cls, value: str) -> str:
        if "://" in value:
            server_of(value)
        return value

    @field_validator("pattern")
    @classmethod
    def _one_folder(cls, value: str) -> str:
        if "/" in value or not value:
            raise ValueError(f"found {value!r}, wanted a pattern of names such as courses_*.csv")
        return value

    @field_validator("on_done", "on_error")
    @classmethod
    def _inside(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ValueError(f"found {value!r}, wanted a folder inside location; correct it")
        if re.sub(r"\{date\}", "", value).count("{"):
            raise ValueError(f"found {value!r}; only {{date}} is replaced, correct it")
        return value

    @model_validator(mode="after")
    def _fits(self) -> DropOptions:
        if self.mode == "full_snapshot" and not self.key:
            raise ValueError(
                'key is missing and full_snapshot needs it; write key = "course_id" or a list of columns'
            )
        if self.mode != "full_snapshot" and (self.compare_without or self.deletes == "ignore"):
            raise ValueError(
                "compare_without and deletes are for mode = full_snapshot; remove them"
            )
        if self.mode == "append" and _NOT_GROWING & self.model_fields_set:
            raise ValueError(
                f"{', '.join(sorted(_NOT_GROWING))} are not for mode = append, where files stay; remove them"
            )
        if self.on_error == "delete":
            raise ValueError('on_error = "delete" would lose the file; name a folder, or "keep"')
        return self


class Server(Options):
    """An SFTP location in its parts. A `path` without leading slash starts at the login's own folder."""

    user: str | None
    host: str
    port: int | None
    path: str


def server_of(location: str) -> Server:
    """The parts of `sftp://user@host:port/path`; `/~/` stands for the login's own folder. Raises `ValueError`."""
    parts = urlsplit(location)
    said = f"location: found {location.partition('://')[0]}://..."
    if parts.scheme != "sftp" or not parts.hostname:
        raise ValueError(f"{said}, wanted a folder or sftp://user@host/path; correct it")
    if parts.password is not None:
        raise ValueError(f"{said} with a password in it; use a key and name it in identity")
    for name in (parts.hostname, parts.username):
        if name is not None and not _NAME.fullmatch(name):
            raise ValueError(f"{said}, whose host or user ssh would not take; correct it")
    path = parts.path or "/~/"
    path = path[3:] or "." if path.startswith("/~/") else path
    return Server(user=parts.username, host=parts.hostname, port=parts.port, path=path)
