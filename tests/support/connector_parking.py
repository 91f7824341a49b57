"""A campus whose changes and deliveries have keys, for tests of parking: it can be poisoned, mended, busy or down."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from connectors.sdk.config import Config
from connectors.sdk.contract import (
    Applied,
    Context,
    Delivery,
    Duplicate,
    Item,
    NotNow,
    Options,
    Page,
    Rejected,
    Seen,
    SinkKind,
    SourceKind,
    Stale,
    Transient,
    Verdict,
)
from connectors.sdk.state.commands import Command
from connectors.sdk.state.file import State
from connectors.sdk.state.parking import Parked
from connectors.sdk.testing import (
    OFFERING_MAPPING,
    THEM,
    US,
    Case,
    FakeHub,
    Fuse,
    Rig,
    offering_row,
    their_request,
)

_LOOK_EVERY = 20
MAPPING = OFFERING_MAPPING.replace(
    'mode = { const = "online" }', 'mode = { path = "mode", codes = "mode" }'
)
TABLES = """
[source.campus]
kind = "http_poll"
base_url = "http://campus.example"
path = "/"
records = "items"
cursor = "number"
initial = "0"
mapping = "mapping/offering.toml"
[sink.campus]
kind = "http_push"
base_url = "http://campus.example"
path = "/"
batch = 50
"""


@dataclass(slots=True)
class KeyedCampus:
    """`told` is what it applied, each once, as (order key, event id). It fails a test that gives it one key twice at once."""

    page_size: int = 4
    items: list[Item] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    offered: list[str] = field(default_factory=list)
    poison: set[str] = field(default_factory=set)
    busy: dict[str, int] = field(default_factory=dict)  # event id: how often still NotNow
    stale: set[str] = field(default_factory=set)
    after_s: float | None = None
    down: bool = False
    read: int = 0

    async def check(self) -> str:
        return "here"

    async def page(self, cursor: str | None) -> Page:
        start = int(cursor or 0)
        items = self.items[start : start + self.page_size]
        self.read = start + len(items)
        return Page(items, str(self.read), more=self.read < len(self.items))

    async def ack(self, cursor: str) -> None:
        """Keeps everything."""

    async def close(self) -> None:
        """Nothing is open."""

    async def apply(self, batch: Sequence[Delivery]) -> Sequence[Verdict]:
        await asyncio.sleep(0)
        if self.down:
            raise Transient("sink.campus: down for this test")
        keys = [delivery.order_key for delivery in batch]
        assert len(set(keys)) == len(keys), "one key twice in a batch"
        return [self._take(delivery) for delivery in batch]

    def _take(self, delivery: Delivery) -> Verdict:
        self.offered.append(delivery.event_id)
        if delivery.event_id in self.poison:
            return Rejected("no such course", "HTTP_422")
        if self.busy.get(delivery.event_id, 0) > 0:
            self.busy[delivery.event_id] -= 1
            return NotNow("the record is being edited", self.after_s)
        if delivery.event_id in self.stale:
            return Stale()
        one = (delivery.order_key, delivery.event_id)
        if one in self.told:
            return Duplicate()
        self.told.append(one)
        return Applied()

    def happen(self, key: str, mode: str = "ok") -> str:
        """A change of a course, number by number; a mode that no code table has makes it poison. Its event id."""
        number = len(self.items) + 1
        version = 1 + sum(item.key == key for item in self.items)
        row = offering_row(number, id=f"course-{key}", version=version, mode=mode)
        self.items.append(Item(row, f"change {number}", key))
        return str(row["eventId"])

    def state_like(self, key: str, version: int, mode: str = "ok") -> None:
        """What a kind that compares contents says of a course now."""
        row = offering_row(int(key), id=f"course-{key}", version=version, mode=mode)
        row["eventId"] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{key}/{version}"))
        contents = f"{key} {mode} {version}".encode()
        self.items.append(Item(row, f"row {len(self.items)}", key, Seen(key, contents, version)))


class ParkingRig(Rig):
    """A connector of a `KeyedCampus` on a fake hub."""

    def __init__(
        self, folder: Path, tables: str = "", hub: FakeHub | None = None, head: str = ""
    ) -> None:
        self.campus = KeyedCampus()
        self._asked = 0
        case = Case(head + TABLES + tables, mappings={"offering.toml": MAPPING})
        (folder / "codes").mkdir(exist_ok=True)
        self.codes = folder / "codes" / "mode.csv"
        self.codes.write_text("local,alliance\nok,online\n", "utf-8")
        super().__init__(folder, case, hub)
        self.config = self._ours(self.config)
        self.requests: dict[str, list[str]] = {}  # order key: event ids in ledger order

    def _ours(self, config: Config) -> Config:
        def source(options: Options, context: Context) -> KeyedCampus:
            return self.campus

        sources = [
            replace(one, kind=SourceKind(Options, source), options=Options())
            for one in config.sources
        ]
        sinks = [
            replace(one, kind=SinkKind(Options, source), options=Options()) for one in config.sinks
        ]
        return replace(config, sources=sources, sinks=sinks)

    def reload(self) -> None:
        super().reload()
        self.config = self._ours(self.config)

    def mend(self, *modes: str) -> None:
        """Add codes to the table; a redrive or the next start reads it."""
        with self.codes.open("a", encoding="utf-8") as file:
            file.writelines(f"{mode},online\n" for mode in modes)

    async def request(self, key: int) -> str:
        """Another member's statement about an enrollment, delivered to us; its event id."""
        record: Any = their_request(key)
        sent = self.requests.setdefault(f"enrollment-{key}", [])
        event_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{key}/{len(sent)}"))
        about = replace(record.envelope, event_id=event_id, aggregate_version=len(sent) + 1)
        await self.hub.deliver(US, replace(record, envelope=about), self.signers[THEM])
        sent.append(event_id)
        return event_id

    def idle(self) -> bool:
        """Whether all changes are read and all messages taken. It opens a file, so not each turn of the loop looks."""
        self._asked += 1
        if self._asked % _LOOK_EVERY:
            return False
        with closing(State(self.config.state_path, readonly=True)) as state:
            return (
                int(state.cursor("campus") or 0) >= len(self.campus.items)
                and state.inbox_position()[0] >= self.hub.delivered(US)
                and state.counts()["outbox_events"] == 0
            )

    async def settle(self, fuse: Fuse | None = None, within_s: float = 600) -> bool:
        """One life until it is idle."""
        return await self.life(self.idle, fuse=fuse, within_s=within_s)

    def parked(self) -> list[Parked]:
        with closing(self.state()) as state:
            return state.parked()

    def ask(self, verb: str, **args: Any) -> str:
        """Write a command, as another process would; its id."""
        with closing(self.state()) as state:
            id = str(uuid.uuid4())
            state.commands.write(Command(id, verb, args, "operator", args.get("why", ""), 0))
            return id

    def answer(self, id: str) -> Command | None:
        """The command, once it is done."""
        with closing(self.state()) as state:
            found = state.commands.get(id)
            return found if found and found.done_at is not None else None

    async def meanwhile(self, work: Callable[[], Any], within_s: float = 600) -> bool:
        """One life in which, once it is idle, `work` is done and everything is idle again; `work` gives the id of a command."""
        asked: list[Any] = []

        def done() -> bool:
            if not self.idle():
                return False
            if not asked:
                asked.append(work())
                return False
            return asked[0] is None or self.answer(asked[0]) is not None

        return await self.life(done, within_s=within_s)

    def told(self, key: int) -> list[str]:
        """Event ids of an enrollment that the campus applied, in its order."""
        return [event for about, event in self.campus.told if about == f"enrollment-{key}"]

    def published(self, key: str) -> list[str]:
        """Event ids of a course in the order of the ledger."""
        ids = [row["eventId"] for row in (item.data for item in self.campus.items) if row["id"] == f"course-{key}"]  # fmt: skip
        return [event for event in self.hub.applied if event in ids]
