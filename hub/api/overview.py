"""The whole system at one moment: broker, read model and alliance put together and judged.

Owns the judgement: how far each stage is behind, what state a member is in. `Watch` makes at most one overview per
refresh for all who look, and remembers since when a stage has not moved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hub.api.kafka_view import Broker, KafkaView, TopicOffsets
from hub.api.log_view import LogView, LogWatch
from hub.api.rhythms import Rhythms
from hub.flow.admission import GROUP as ADMISSION_GROUP
from hub.flow.delivery import GROUP as DELIVERY_GROUP
from hub.ledger.head import GENESIS, Head
from hub.store.fold import READ_TOPICS, Key, Position
from hub.store.queries import (
    Beat,
    OutcomeCount,
    Reader,
    StoredEntry,
    StoredLetter,
    StoreUnavailable,
    Turns,
)
from hub.watch.silence import Rhythm
from schemas import topics
from schemas.members import Alliance, Member
from schemas.records import Heartbeat, MemberActivity, TopicRate

REFRESH_S = 2.0
SILENT_AFTER_S = 15.0  # connectors say how they are every 2 s; broker fail-over may take several
BEHIND_BEATS = 200  # heartbeats unread before the states they carry are too old to judge by (10 s of twenty members)
STALLED_AFTER_S = 15.0
QUORUM_AFTER_S = 60.0  # a campus may restart its connector and nobody need know
SHOWN_ENTRIES = 40
SHOWN_LETTERS = 5
PULSE_WINDOW = timedelta(minutes=10)

ADMISSION, SEQUENCER, DELIVERY = "admission", "sequencer", "delivery"
READ_MODEL, CONNECTORS = "read_model", "connectors"
STAGES = (ADMISSION, SEQUENCER, DELIVERY, READ_MODEL, CONNECTORS)
SIGNER, RECEIPTS = "signer", "receipts"  # beside an event's way, which never waits for them

# Worst first: a member is as well as its worst connector.
STATES = ("failed", "silent", "degraded", "stopped", "paused", "unknown", "running", "absent")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the read model said in one go; `error` instead, when it did not."""

    error: str = ""
    head: Head = GENESIS
    positions: Mapping[Key, Position] = field(default_factory=dict)
    outcomes: tuple[OutcomeCount, ...] = ()
    pulse: tuple[Beat, ...] = ()
    last: StoredEntry | None = None  # the entry that `head` names
    newest: tuple[StoredEntry, ...] = ()  # without ticks
    heartbeats: tuple[Heartbeat, ...] = ()
    activity: Mapping[str, MemberActivity] = field(default_factory=dict)
    topic_rates: Mapping[str, TopicRate] = field(default_factory=dict)
    dead_letters: int = 0
    newest_letters: tuple[StoredLetter, ...] = ()
    still_parked: int = 0
    turns: tuple[Turns, ...] = ()


def read_facts(reader: Reader, now: datetime) -> Facts:
    """Ask the read model everything the overview shows. Blocks; never raises for an absent store."""
    try:
        positions = reader.positions()
        head = positions.get((topics.LEDGER_ENTRIES, 0), Position()).head
        return Facts(
            head=head,
            last=reader.entry(head.seq),
            positions=positions,
            outcomes=tuple(reader.outcomes()),
            pulse=tuple(reader.pulse(now - PULSE_WINDOW)),
            newest=tuple(reader.newest(SHOWN_ENTRIES)),
            heartbeats=tuple(reader.heartbeats()),
            activity=reader.activity(),
            topic_rates=reader.topic_rates(),
            dead_letters=reader.dead_letter_count(),
            newest_letters=tuple(reader.newest_dead_letters(SHOWN_LETTERS)),
            still_parked=reader.still_parked(),
            turns=tuple(reader.turns(now)),
        )
    except StoreUnavailable as error:
        return Facts(error=str(error))


@dataclass(frozen=True, slots=True)
class Lag:
    """How far one stage is behind on one topic. `position` and `lag_messages` are None where nobody knows."""

    stage: str
    topic: str
    end: int
    position: int | None

    @property
    def lag_messages(self) -> int | None:
        return None if self.position is None else max(0, self.end - self.position)


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage over all its topics. `stalled_s`: for how long it has had work and not moved."""

    name: str
    position: int
    lag_messages: int | None
    stalled_s: float = 0.0


@dataclass(frozen=True, slots=True)
class TopicView:
    """A topic, who reads it, and how fast it grows (measured, else the last counted minute)."""

    offsets: TopicOffsets
    rate_per_s: float | None
    lags: tuple[Lag, ...]


@dataclass(frozen=True, slots=True)
class ConnectorView:
    """A connector as its last heartbeat says, judged by that heartbeat's age."""

    heartbeat: Heartbeat
    state: str
    age_s: float


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member, what it did so far, and how its connectors are."""

    member: Member
    state: str
    activity: MemberActivity | None
    connectors: tuple[ConnectorView, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything the console shows, at one moment."""

    at: datetime
    alliance: Alliance
    broker: Broker
    facts: Facts
    members: tuple[MemberView, ...]
    topics: tuple[TopicView, ...]
    stages: tuple[Stage, ...]
    log: LogView | None = None  # None where the log has no key yet
    rhythms: Mapping[str, Rhythm] = field(default_factory=dict)  # how members used to speak

    def all_stages(self) -> tuple[Stage, ...]:
        """Those on an event's way, then the two that make it provable; these count entries."""
        log = self.log
        if log is None or log.error or log.policy_error:
            return self.stages
        return (
            *self.stages,
            Stage(SIGNER, log.signed_size, log.unsigned, log.unsigned_s),
            Stage(RECEIPTS, log.witnessed_size, log.unwitnessed, log.unwitnessed_s),
        )

    def totals(self) -> dict[str, int]:
        """Entries by outcome."""
        found: dict[str, int] = {}
        for count in self.facts.outcomes:
            found[count.outcome] = found.get(count.outcome, 0) + count.entries
        return found


def lags(broker: Broker, facts: Facts) -> list[Lag]:
    """What every stage has still to read, topic by topic. Source: committed offsets, store positions, heartbeats."""
    found: list[Lag] = []
    for name, offsets in broker.topics.items():
        if topics.owner(name) is not None:
            found.append(_group_lag(broker, ADMISSION, ADMISSION_GROUP, offsets))
        if name == topics.LEDGER_IN and not facts.error:
            found.append(_sequencer_lag(broker, facts))
        if name == topics.LEDGER_ENTRIES:
            found.append(_group_lag(broker, DELIVERY, DELIVERY_GROUP, offsets))
        if name in READ_TOPICS and not facts.error:
            at = facts.positions.get((name, 0), Position()).next_offset
            found.append(_lag(READ_MODEL, offsets, max(at, sum(offsets.first.values()))))
    for beat in facts.heartbeats:
        inbox = broker.topics.get(topics.inbox(beat.member))
        if inbox is not None:
            found.append(_lag(CONNECTORS, inbox, beat.inbox_position))
    return found


def _lag(stage: str, offsets: TopicOffsets, position: int | None) -> Lag:
    return Lag(stage, offsets.name, sum(offsets.end.values()), position)


def _group_lag(broker: Broker, stage: str, group: str, offsets: TopicOffsets) -> Lag:
    committed = broker.committed.get(group)
    if committed is None:
        return _lag(stage, offsets, None)
    at = sum(
        committed.get((offsets.name, number), first) for number, first in offsets.first.items()
    )
    return _lag(stage, offsets, at)


def _sequencer_lag(broker: Broker, facts: Facts) -> Lag:
    """The last entry tells which input it accounts for. Entries the store has not read yet are taken as inputs done."""
    accounted = facts.last.entry.input_offset + 1 if facts.last else 0
    read = facts.positions.get((topics.LEDGER_ENTRIES, 0), Position()).next_offset
    unread = max(0, (broker.end(topics.LEDGER_ENTRIES) or 0) - read)
    end = broker.end(topics.LEDGER_IN) or 0
    return Lag(SEQUENCER, topics.LEDGER_IN, end, min(end, accounted + unread))


def by_stage(found: Iterable[Lag]) -> list[Stage]:
    """Lags added up by stage, in the order of an event's way."""
    known = list(found)
    stages = []
    for name in STAGES:
        of_stage = [lag for lag in known if lag.stage == name]
        messages = [lag.lag_messages for lag in of_stage if lag.lag_messages is not None]
        stages.append(
            Stage(
                name,
                sum(lag.position or 0 for lag in of_stage),
                sum(messages) if messages else None,
            )
        )
    return stages


def member_views(
    alliance: Alliance, facts: Facts, now: datetime, *, trusted: bool
) -> list[MemberView]:
    """Every member in the file's order. `trusted` is False when heartbeats cannot reach us: then nobody is called silent."""
    by_member: dict[str, list[ConnectorView]] = {}
    for beat in facts.heartbeats:
        age_s = max(0.0, (now - beat.at).total_seconds())
        state = beat.state
        if age_s > SILENT_AFTER_S and state != "stopped":  # a paused one goes on beating
            state = "silent" if trusted else "unknown"
        by_member.setdefault(beat.member, []).append(ConnectorView(beat, state, age_s))
    views = []
    for member in alliance.members.values():
        connectors = tuple(by_member.get(member.code, ()))
        state = min((c.state for c in connectors), key=_badness, default="absent")
        views.append(MemberView(member, state, facts.activity.get(member.code), connectors))
    return views


def _badness(state: str) -> int:
    return STATES.index(state) if state in STATES else STATES.index("unknown")


def make_overview(alliance: Alliance, broker: Broker, facts: Facts, now: datetime) -> Overview:
    """Put together what was gathered. Pure."""
    found = lags(broker, facts) if broker.reachable else []  # old offsets would look like progress
    unread = [lag.lag_messages or 0 for lag in found if lag.topic == topics.HEARTBEATS]
    trusted = broker.reachable and sum(unread) <= BEHIND_BEATS
    return Overview(
        at=now,
        alliance=alliance,
        broker=broker,
        facts=facts,
        members=tuple(member_views(alliance, facts, now, trusted=trusted)),
        topics=tuple(
            TopicView(
                offsets,
                _rate(offsets, facts.topic_rates.get(name)),
                tuple(lag for lag in found if lag.topic == name),
            )
            for name, offsets in broker.topics.items()
        ),
        stages=tuple(by_stage(found)),
    )


def _rate(offsets: TopicOffsets, counted: TopicRate | None) -> float | None:
    if offsets.rate_per_s is not None or counted is None:
        return offsets.rate_per_s
    return counted.in_minute / 60


class Watch:
    """Overviews for all who look, made when asked for and kept for `REFRESH_S`."""

    def __init__(
        self,
        reader: Reader,
        alliance: Alliance,
        kafka_view: KafkaView,
        clock: Callable[[], datetime],
        log_watch: LogWatch | None = None,
    ) -> None:
        self._reader, self._alliance, self._kafka_view = reader, alliance, kafka_view
        self._clock, self._log_watch = clock, log_watch
        self._rhythms = Rhythms(reader, tuple(alliance.members))
        self._lock = asyncio.Lock()
        self._newest: Overview | None = None
        self._waiting: dict[str, tuple[int, datetime]] = {}  # stages with work left

    def now(self) -> datetime:
        """The time by which the overview, too, judges what is late."""
        return self._clock()

    async def current(self) -> Overview:
        """The overview of now, at most `REFRESH_S` old."""
        async with self._lock:
            now = self._clock()
            fresh = self._newest
            if fresh is None or (now - fresh.at).total_seconds() >= REFRESH_S * 0.9:
                facts = await asyncio.to_thread(read_facts, self._reader, now)
                broker = self._kafka_view.snapshot()
                log = await asyncio.to_thread(self._log, facts, broker, now)
                overview = make_overview(self._alliance, broker, facts, now)
                rhythms = await asyncio.to_thread(self._rhythms.at, now, facts.activity)
                fresh = self._newest = replace(self._timed(overview), log=log, rhythms=rhythms)
            return fresh

    def _log(self, facts: Facts, broker: Broker, now: datetime) -> LogView | None:
        if self._log_watch is None:
            return None
        head = None if facts.error else facts.head.seq
        return self._log_watch.view(head, broker.cosigned, now, moving=broker.reachable)

    def _timed(self, overview: Overview) -> Overview:
        """The overview with each stage's stall: work left, and no step since it was first seen there."""
        stages = []
        for stage in overview.stages:
            position, since = self._waiting.get(stage.name, (None, overview.at))
            if position != stage.position:
                since = overview.at
            if stage.lag_messages and overview.broker.reachable:
                self._waiting[stage.name] = (stage.position, since)
            else:
                self._waiting.pop(stage.name, None)
                since = overview.at
            stages.append(replace(stage, stalled_s=(overview.at - since).total_seconds()))
        return replace(overview, stages=tuple(stages))
