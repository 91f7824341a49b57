"""An alliance without a broker: simulated campuses, the real mappings and the real ledger rules, joined in memory.

Plays connector and hub for `connectors.sandbox`. Deliveries may be cut into batches, repeated and interleaved at random
by a seed, as real ones are; the order of one member's inbox is the ledger's, as the hub guarantees.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from connectors.sandbox import seeds
from connectors.sandbox.campus import Campus
from connectors.sandbox.folders import Place, seed_campus, write_connector
from connectors.sandbox.offices.directory import PHASES
from connectors.sandbox.term import unsettled
from connectors.sdk.mapping.event import EventMapping, load_mapping
from hub.events import rules
from hub.ledger.apply import apply
from hub.ledger.state import Input, State
from schemas.codec import decode, encode, to_json
from schemas.members import load_alliance
from schemas.records import Entry, Tick

ALLIANCE = load_alliance(Path(__file__).parents[2] / "alliance.toml")


class Ticks:
    """A clock that only tests move: each look is a millisecond later."""

    def __init__(self) -> None:
        self.at = datetime(2026, 6, 15, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at


def numbered_ids(code: str) -> Callable[[], str]:
    """Event ids that repeat from run to run."""
    count = 0

    def next_id() -> str:
        nonlocal count
        count += 1
        return seeds.make_id("test-event", code, str(count))

    return next_id


class Campuses:
    """All campuses over one ledger state. `shuffle` is the randomness of deliveries."""

    def __init__(
        self, folder: Path, *, seed: int = 7, students: int = 200, shuffle: int = 1
    ) -> None:
        self.random = random.Random(shuffle)
        self.codes = list(ALLIANCE.members)
        self.now = Ticks()
        self.paths = {code: folder / "campuses" / code / "campus.db" for code in self.codes}
        self.ids = {code: numbered_ids(code) for code in self.codes}
        self.mappings: dict[str, Mapping[str, EventMapping]] = {}
        for code in self.codes:
            share = students // len(self.codes)
            seed_campus(
                self.paths[code], seeds.site(seed, ALLIANCE.members[code]), self.codes, seed, share
            )
            connector = folder / "connectors" / code
            write_connector(connector, Place(code, self.paths[code], 1), ALLIANCE, "127.0.0.1:1")
            self.mappings[code] = mappings(connector, code)
        self.open = {code: self.opened(code) for code in self.codes}
        self.state = State(frozenset(self.codes))
        self.cursor = dict.fromkeys(self.codes, 0)
        self.inboxes: dict[str, deque[dict[str, Any]]] = {code: deque() for code in self.codes}
        self.private: dict[str, dict[str, Any]] = {}  # parts by event id
        self.answers: Counter[str] = Counter()
        self.rejected: list[str] = []  # messages of items that a campus would not take
        self.entries: list[Entry] = []  # of the ledger: outcomes of members' events, and flags
        self.campus_s = 0.0  # seconds spent inside campuses

    def opened(self, code: str) -> Campus:
        return Campus(self.paths[code], self.now, self.ids[code])

    def reopen(self, code: str) -> None:
        """As after a kill of the process: all that was committed is there, nothing else."""
        self.open[code].close()
        self.open[code] = self.opened(code)

    def close(self) -> None:
        for campus in self.open.values():
            campus.close()

    def run(self, phase: str) -> None:
        """Begin a phase everywhere and deliver until all is quiet."""
        for campus in self.open.values():
            self._timed(lambda campus=campus: campus.phase(phase))  # type: ignore[misc]
        self.settle()

    def term(self) -> None:
        for phase in PHASES:
            self.run(phase)

    def settle(self) -> None:
        while self.fetch() + self.deliver():
            pass
        open_points = unsettled([campus.status() for campus in self.open.values()])
        assert not open_points, "\n".join(open_points)

    def tick(self, later: timedelta = timedelta()) -> None:
        """The ledger looks at its clock, which shows so much more than the time of the last event."""
        self.now.at += later
        self._input(encode(Tick("clock-1", self.state.next_input, 14 * 86400)))

    def _waits_for_the_clock(self) -> bool:
        """Whether all is delivered, and an office still has a case that no message will close."""
        return not any(self.inboxes.values()) and any(
            campus.status()["work"] for campus in self.open.values()
        )

    def fetch(self) -> int:
        """What the connectors and the sequencer do: new changes to events, events to entries, entries to inboxes.

        The ledger looks at its clock when nothing else is left to do.
        """
        fetched = 0
        for code in self.random.sample(self.codes, len(self.codes)):
            limit = self.random.randint(1, 200)
            page = json.loads(
                self._timed(
                    lambda: self.open[code].store.changes_json(self.cursor[code], limit)  # noqa: B023
                )
            )
            for item in page["items"]:
                self.cursor[code] = item["changeNumber"]
                self._sequence(code, item)
            fetched += len(page["items"])
        if not fetched and self._waits_for_the_clock():
            self.tick(timedelta(minutes=1))
        return fetched

    def _sequence(self, code: str, item: dict[str, Any]) -> None:
        mapping = self.mappings[code][item["resource"]]
        record = mapping.record(item)
        self.private[item["eventId"]] = mapping.part(item)
        self._input(encode(record))

    def _input(self, value: bytes) -> None:
        at = round(self.now().timestamp() * 1000)
        record = decode(value)
        given = Input(self.state.next_input, at, record, record.EVENT, value, "", b"", "", 0, 0, at)
        for written in apply(self.state, given, rules()):
            self.entries.append(written.entry)
            self._address(written.entry)

    def _address(self, entry: Entry) -> None:
        if entry.member:  # the ledger's own entries have no sender to answer
            self.inboxes[entry.member].append(
                {
                    "kind": "outcome",
                    "event": entry.event_type,
                    "eventId": entry.event_id,
                    "ledgerSeq": entry.seq,
                    "outcome": entry.outcome,
                    "reason": entry.reason,
                    "developerMessage": entry.detail,
                    "userMessageZh": "",
                    "userMessageEn": "",
                    "retryable": False,
                }
            )
        if entry.outcome != "applied":
            return
        record = to_json(decode(entry.event))
        kind = "flag" if entry.event_type == "hub.case-flagged" else "event"
        for member in entry.audience:
            self.inboxes[member].append(
                {
                    "kind": kind,
                    "event": entry.event_type,
                    "eventId": entry.event_id,
                    "ledgerSeq": entry.seq,
                    "record": record,
                    "private": self._private(entry, member, record),
                }
            )

    def _private(self, entry: Entry, member: str, record: dict[str, Any]) -> dict[str, Any] | None:
        """The private part as the connectors of home and host hand it over."""
        part = self.private.get(entry.event_id)
        return part if part and member in (record["home"], record["host"]) else None

    def deliver(self) -> int:
        """Bring each campus a batch; now and then the answer is lost and the batch comes again."""
        delivered = 0
        for code in self.random.sample(self.codes, len(self.codes)):
            inbox = self.inboxes[code]
            batch = [inbox[i] for i in range(min(len(inbox), self.random.randint(1, 200)))]
            if not batch:
                continue
            answers = self._timed(lambda: self.open[code].inbox(batch))  # noqa: B023
            self.answers.update(answer.status for answer in answers)
            self.rejected += [answer.message for answer in answers if answer.status == "rejected"]
            if self.random.random() < 0.1:
                continue
            for _ in batch:
                inbox.popleft()
            delivered += len(batch)
        return delivered + sum(len(inbox) for inbox in self.inboxes.values())

    def _timed(self, call: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        try:
            return call()
        finally:
            self.campus_s += time.perf_counter() - began

    def holdings(self) -> dict[str, dict[str, Any]]:
        return {code: campus.holdings() for code, campus in self.open.items()}

    def sent(self) -> list[Entry]:
        """The entries of members' events."""
        return [entry for entry in self.entries if entry.member]

    def by_type(self) -> Counter[tuple[str, str, str | None]]:
        """Outcome entries counted by event type, outcome and reason."""
        return Counter((entry.event_type, entry.outcome, entry.reason) for entry in self.sent())


def mappings(connector: Path, code: str) -> dict[str, EventMapping]:
    """The compiled mappings of a connector folder, by resource."""
    return {
        path.stem: load_mapping(path, connector / "codes", member=code, connector="campus")
        for path in sorted((connector / "mapping").glob("*.toml"))
    }


def facts(holdings: Mapping[str, Any]) -> dict[str, Any]:
    """What a campus holds without the ids and numbers that differ from run to run."""
    return {name: rows for name, rows in holdings.items() if name not in ("sent", "applied")}


def differences(alliance: Campuses) -> list[str]:
    """Where a campus holds something else than the ledger, or lacks what concerns it."""
    found: list[str] = []
    for code, holdings in alliance.holdings().items():
        for name, (held, booked) in _compared(alliance, code, holdings).items():
            found += [f"{code} {name}: campus {row}" for row in sorted(held - booked, key=str)]
            found += [f"{code} {name}: ledger {row}" for row in sorted(booked - held, key=str)]
        decided = {entry.event_id: entry for entry in alliance.entries if entry.outcome != "parked"}
        found += [
            f"{code} sent: {row} is {decided[row['eventId']].outcome} in the ledger"
            for row in holdings["sent"]
            if (row["outcome"], row["ledgerSeq"])
            != (decided[row["eventId"]].outcome, decided[row["eventId"]].seq)
        ]
    return found


def _compared(
    alliance: Campuses, code: str, holdings: Mapping[str, Any]
) -> dict[str, tuple[set[Any], set[Any]]]:
    def held(name: str, *keys: str) -> set[Any]:
        return {tuple(row[key] for key in keys) for row in holdings[name]}

    things = {kind: list(known.values()) for kind, known in alliance.state.things.items()}
    seats = Counter(
        e.offering_id
        for e in things["enrollment"]
        if e.state in ("associated", "active", "finished", "withdrawn")
    )
    partners = {p.id: p.members for p in things.get("project", [])}
    return {
        "enrollments": (
            held("enrollments", "enrollmentId", "studentId", "home", "host", "offeringId", "state"),
            {
                (e.enrollment_id, e.student_id, e.home, e.host, e.offering_id, e.state)
                for e in things["enrollment"]
                if code in (e.home, e.host)
            },
        ),
        "offerings": (
            held("offerings", "offeringId", "capacity", "seatsTaken"),
            {(o.id, o.capacity, seats[o.id]) for o in things["offering"] if o.host == code},
        ),
        "awards": (
            held(
                "awards", "awardId", "studentId", "home", "host", "scheme", "creditMilli", "state"
            ),
            {
                (a.award_id, a.student_id, a.home, a.host, a.scheme, a.milli, a.state)
                for a in things.get("award", [])
                if code in (a.home, a.host)
            },
        ),
        "recognitions": (
            held("recognitions", "recognitionId", "studentId", "state", "recognizedMilli"),
            {
                (r.recognition_id, r.student_id, r.state, r.recognized_milli)
                for r in things.get("recognition", [])
                if r.home == code
            },
        ),
        "projects": (
            held("projects", "projectId", "lead", "status"),
            {
                (p.project_id, p.lead, p.state)
                for p in things.get("project", [])
                if code in p.members
            },
        ),
        "projectMembers": (
            held("projectMembers", "projectId", "personId", "employer", "state"),
            {
                (p.project_id, p.person_id, p.employer, p.state)
                for p in things.get("participant", [])
                if code in partners[p.project_id]
            },
        ),
    }
