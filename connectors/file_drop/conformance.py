"""Campuses for the conformance suite: one that drops files of changes, one with a growing log, one with full exports."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from connectors.file_drop.folder import Entry
from connectors.file_drop.kind import Substitute
from connectors.sdk.contract import NoPermission, Transient
from connectors.sdk.testing import OFFERING_MAPPING, Case, offering_row

_TITLES = 'titles = { each = "[{lang: \'zh\', value: title}]", fields = { lang = "lang", value = "value" } }'
ROW_MAPPING = OFFERING_MAPPING.replace(
    'titles = { each = "titles", fields = { lang = "lang", value = "value" } }', _TITLES
).replace('"version"', '"to_number(version)"')
SNAPSHOT_MAPPING = (
    ROW_MAPPING.replace('"eventId"', '"_change.eventId"')
    .replace('"to_number(version)"', '"_change.version"')
    .replace('"at"', '"_change.at"')
)
FAULTS = ("away", "cut off", "401")


def flat_row(number: int, **changes: str) -> dict[str, str]:
    """A campus's row as a file has it: texts only."""
    row = offering_row(number)
    row["title"] = f"课程 {number}"
    del row["titles"]
    return {name: str(value) for name, value in row.items()} | changes


def csv_of(rows: Sequence[Mapping[str, str]], *, header: bool = True) -> str:
    """Rows as CSV with line feeds."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


async def inline(function: Callable[..., Any], /, *args: object) -> Any:
    """In place of a thread, so that a test's clock cannot run ahead of the work."""
    return function(*args)


class Share:
    """A folder in memory that can misbehave: no disk, no network, nothing that takes time."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self._mtimes: dict[str, float] = {}
        self._number = 0
        self._faults: list[str] = []

    def put(self, name: str, data: bytes) -> None:
        """A file appears, complete, in place of one of that name."""
        self._number += 1
        self.files[name] = data
        self._mtimes[name] = float(self._number)

    def fault(self, mode: str, times: int) -> None:
        """Answer the next requests in this way."""
        self._faults = [mode] * times

    def names(self, inner: str = "") -> list[str]:
        """The files of a folder."""
        prefix = f"{inner}/" if inner else ""
        found = [name.removeprefix(prefix) for name in self.files if name.startswith(prefix)]
        return sorted(name for name in found if "/" not in name)

    async def check(self) -> str:
        self._misbehave()
        return f"{len(self.names())} files"

    async def entries(self, inner: str = "") -> list[Entry]:
        self._misbehave()
        at = f"{inner}/" if inner else ""
        return [
            Entry(name, len(self.files[at + name]), self._mtimes[at + name])
            for name in self.names(inner)
        ]

    async def fetch(
        self, name: str, target: Path, start: int = 0, count: int | None = None
    ) -> None:
        data = self.files[name][start:]
        data = data if count is None else data[:count]
        if self._faults and self._faults[-1] == "cut off":
            target.write_bytes(data[: len(data) // 2])  # noqa: ASYNC240, tiny
        self._misbehave()
        target.write_bytes(data)  # noqa: ASYNC240, tiny

    async def move(self, name: str, to: str) -> None:
        if name in self.files:
            self.files[to] = self.files.pop(name)
            self._mtimes[to] = self._mtimes.pop(name)

    async def write(self, name: str, text: str) -> None:
        self.put(name, text.encode())

    async def remove(self, name: str) -> None:
        self.files.pop(name, None)
        self._mtimes.pop(name, None)

    async def close(self) -> None:
        """Nothing is held open."""

    def _misbehave(self) -> None:
        if not self._faults:
            return
        mode = self._faults.pop()
        if mode == "401":
            raise NoPermission("the share refuses our key")
        raise Transient(f"the share is {mode}")


def _case(
    share: Share, tables: str, mapping: str, drop: Callable[[list[dict[str, str]]], None]
) -> Case:
    rows: list[dict[str, str]] = []

    def happen(count: int) -> None:
        new = [flat_row(len(rows) + 1 + i) for i in range(count)]
        rows.extend(new)
        drop(new)

    def spoil() -> None:
        rows.append(flat_row(len(rows) + 1, credits="many"))
        drop(rows[-1:])

    return Case(
        f'[source.campus]\nkind = "file_drop"\nlocation = "drop"\nmapping = "mapping/offering.toml"\n{tables}',
        mappings={"offering.toml": mapping},
        transport=Substitute(share, inline),
        happen=happen,
        spoil=spoil,
        to_tell=lambda: sum(row["credits"] != "many" for row in rows),
        faults=FAULTS,
        fault=share.fault,
    )


def changes() -> Case:
    """A file for each batch of changes, named by number; rows of two make a page."""
    share = Share()
    number = [0]

    def drop(new: list[dict[str, str]]) -> None:
        number[0] += 1
        share.put(f"changes_{number[0]:04}.csv", csv_of(new).encode("gb18030"))

    tables = (
        'pattern = "changes_*.csv"\nmode = "changes"\nready = { type = "rename" }\nbatch = 2\n'
        'format = { type = "csv", encoding = "gb18030" }\n'
    )
    case = _case(share, tables, ROW_MAPPING, drop)
    # The campus sends its first file once more, under a new name.
    case.tricks = {"renamed": lambda: drop([flat_row(1)])}
    return case


def append() -> Case:
    """A log in JSON Lines that grows, and now and then is rotated."""
    share = Share()
    grown = [0]

    def drop(new: list[dict[str, str]]) -> None:
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in new)
        if len(share.files.get("log.jsonl", b"")) > 700:
            grown[0] += 1
            share.put(f"log.{grown[0]}.jsonl", share.files["log.jsonl"])
            share.files["log.jsonl"] = b""
        share.put("log.jsonl", share.files.get("log.jsonl", b"") + lines.encode())

    tables = 'pattern = "log*.jsonl"\nmode = "append"\nbatch = 2\nformat = { type = "jsonl" }\n'
    return _case(share, tables, ROW_MAPPING, drop)


def full_snapshot() -> Case:
    """Each time all that is, under one name."""
    share = Share()
    all_rows: list[dict[str, str]] = []

    def drop(new: list[dict[str, str]]) -> None:
        all_rows.extend(new)
        known = [
            {k: v for k, v in row.items() if k not in ("eventId", "version", "at")}
            for row in all_rows
        ]
        share.put("courses.csv", csv_of(known).encode())

    tables = 'pattern = "courses.csv"\nmode = "full_snapshot"\nkey = "id"\nready = { type = "rename" }\nbatch = 2\n'
    return _case(share, tables, SNAPSHOT_MAPPING, drop)


CASES = {"changes": changes, "append": append, "full_snapshot": full_snapshot}
