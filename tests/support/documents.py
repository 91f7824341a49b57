"""Campuses of XML documents without a connector around them: what a source finds goes straight before the ledger."""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.ewp.kind import SOURCE as EWP
from connectors.sdk.contract import Context, Delivery, Item, Permanent, Seen, SinkKind, SourceKind
from connectors.sdk.mapping.event import EventMapping, load_mapping
from connectors.sdk.testing import FakeClock
from schemas.catalogue import catalogue, example
from schemas.codec import from_json
from tests.support.ledger import HOME

ROOT = Path(__file__).parents[2]
SAMPLES = Path(os.environ.get("DOCUMENT_SAMPLES") or ROOT.parent / "shared" / "fixtures")
INSTITUTIONS = "local,alliance,title,country,url\na.example,10610,A,CN,https://a.example\nb.example,10611,B,CN,https://b.example\n"


def sample(name: str) -> bytes:
    """A public sample, where the machine has it."""
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"no public sample at {path}; DOCUMENT_SAMPLES names another folder")
    return path.read_bytes()


class Told:
    """A source's memory: what was stored with its pages."""

    def __init__(self, path: Path) -> None:
        self.rows: dict[str, Seen] = {}
        self._path = path

    def get(self, key: str) -> Seen | None:
        return self.rows.get(key)

    def path(self) -> Path:
        return self._path


class Campus:
    """A folder with documents, and the mappings that make events of them. `parked` are the reasons of what has none."""

    def __init__(self, folder: Path, kind: SourceKind[Any], member: str, **options: Any) -> None:
        self.folder = folder
        self.out = folder / "out"
        for inner in ("out", "in", "codes", "mapping"):
            (folder / inner).mkdir(parents=True, exist_ok=True)
        (folder / "codes" / "institution.csv").write_text(INSTITUTIONS, "utf-8")
        self.clock = FakeClock()
        self.told = Told(folder / "state.db")
        self.context = Context(folder, member, "campus", self.clock, memory=self.told)
        self.parked: list[str] = []
        self._kind = kind
        self._options = kind.options.model_validate({"folder": "out"} | options)
        self._source: Any = None
        self._cursor: str | None = None

    def mapping(self, name: str) -> EventMapping:
        """A mapping file of the folder."""
        return load_mapping(
            self.folder / "mapping" / f"{name}.toml", self.folder / "codes", member=self.context.member, connector="campus"
        )  # fmt: skip

    def write(self, name: str, data: bytes | str) -> None:
        """A document, whole."""
        (self.out / name).write_bytes(data if isinstance(data, bytes) else data.encode())

    def restart(self) -> None:
        """Forget what only a running process knows."""
        self._source = None

    def items(self) -> list[Item]:
        """What is new; taken for stored, whether or not an event can be made of it."""
        found: list[Item] = []
        for page in self._pages(lambda _: True):
            found += page
        return found

    def events(self) -> list[Any]:
        """The events of what is new. What cannot be mapped is parked and not remembered."""
        records: list[Any] = []

        def mapped(item: Item) -> bool:
            try:
                if item.fault is not None:
                    raise item.fault
                name = item.data["event"]
                if not (self.folder / "mapping" / f"{name}.toml").exists():
                    raise Permanent(f"no mapping for {name}")
                records.append(self.mapping(name).record(item.data))
            except Permanent as error:
                self.parked.append(str(error))
                return False
            return True

        list(self._pages(mapped))
        return records

    def _pages(self, take: Any) -> Any:
        if self._source is None:
            self._source = self._kind.open(self._options, self.context)
        more = True
        while more:
            page = asyncio.run(self._source.page(self._cursor))
            for item in page.items:
                if take(item) and item.seen is not None:
                    self.told.rows[item.seen.key] = item.seen
            self._cursor, more = page.cursor, page.more
            yield page.items


def bring(kind: SinkKind[Any], campus: Campus, deliveries: list[Delivery], **options: Any) -> Any:
    """Bring deliveries to a campus's folder `in`; the verdicts."""
    sink = kind.open(kind.options.model_validate({"folder": "in"} | options), campus.context)
    try:
        return asyncio.run(sink.apply(deliveries))
    finally:
        asyncio.run(sink.close())


def delivered(record: Any, seq: int = 1, **more: Any) -> Delivery:
    """An event of another member, as a sink gets it."""
    return Delivery("event", record.EVENT, record.envelope.event_id, seq, record, **more)


def an_event(event: str, **changes: Any) -> Any:
    """The schema's example with other values."""
    return replace(from_json(event, example(catalogue().newest[event])), **changes)


def ewp_campus(folder: Path, member: str, api: str, **options: Any) -> Campus:
    """A campus with the mappings and code tables that come with the kind; pseudonyms are left out."""
    hei_id = "a.example" if member == HOME else "b.example"
    made = Campus(folder, EWP, member, api=api, **({"hei_id": hei_id, "settle_s": 0} | options))
    shutil.copytree(ROOT / "connectors/ewp/mapping", made.folder / "mapping", dirs_exist_ok=True)
    for path in (ROOT / "connectors/ewp/codes").glob("*.csv"):
        if path.name != "institution.csv":
            shutil.copy(path, made.folder / "codes")
    for name in ("nominated", "plan-proposed"):
        path = made.folder / "mapping" / f"{name}.toml"
        text = path.read_text("utf-8").replace(', pseudonym = { host = "host" }', "")
        path.write_text(text, "utf-8")
    (made.folder / "codes" / "exchange_offering.csv").write_text(
        "local,alliance\nb.example/2026-2027,calculus\n", "utf-8"
    )
    return made
