"""One event hop by hop: campus, outbox, admission, ledger, inboxes, receipt, with times between them.

Owns the search. What the read model knows leads to places in Kafka; where it knows no offset, `MOST` messages from the
hop's time on are looked at, never a whole topic, and what is not among them is said to be not found there. Times are
those of the clock that stamped them, so two hops may lie apart by less than nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeAlias

from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hub.api.kafka_messages import Ask, Got, KafkaMessages, Messages
from hub.api.messages_view import broker_away
from hub.api.overview import Overview, Watch
from hub.api.problems import Problem
from hub.api.sentences import Text, sentence
from hub.flow.delivery import deliveries
from hub.flow.kafka import Message
from hub.store.fold import Position
from hub.store.queries import Reader, StoredEntry, StoredLetter
from schemas import topics
from schemas.catalogue import catalogue
from schemas.codec import Unreadable, decode
from schemas.envelope import KIND, LEDGER_SEQ, from_millis, header, rfc3339, to_millis
from schemas.records import Admitted, Entry, Receipts

Json: TypeAlias = dict[str, Any]

MOST = 1000  # messages looked at in one topic
AROUND = (
    250  # entries looked at before the place where the entry should be: void records lie between
)
BEFORE_MS = 5000  # clocks of hub and broker may differ
LETTERS = 500  # newest dead letters looked at
DECISIONS = 20  # entries about one event; parked ones have two, repeats one each


@dataclass(frozen=True, slots=True)
class Hop:
    """One station. `since_ms` counts from the hop before that has a time."""

    name: str
    at: datetime | None
    said: Text
    topic: str = ""
    partition: int = 0
    offset: int | None = None
    member: str = ""
    found: bool = True
    since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Path:
    """An event's way. `decided` are its entries, oldest first; the hops follow the newest that is no repeat."""

    event_id: str
    event_type: str
    member: str
    decided: tuple[StoredEntry, ...]
    hops: tuple[Hop, ...]
    letter: StoredLetter | None = None


class EventPath:
    """Finds paths. `reader` blocks, so it is asked in threads."""

    def __init__(self, reader: Reader, watch: Watch, messages: Messages | None = None) -> None:
        self._reader, self._watch = reader, watch
        self._messages = messages or KafkaMessages()

    def routes(self) -> list[BaseRoute]:
        return [Route("/api/v1/events/{event_id:path}", self.api)]

    async def api(self, request: Request) -> Response:
        now = await self._watch.current()
        return JSONResponse(path_json(await self.find(request.path_params["event_id"]), now))

    async def find(self, event_id: str) -> Path:
        """The event's way. Raises `Problem` when neither ledger nor dead letters know it, or the broker is away."""
        now = await self._watch.current()
        decided = await asyncio.to_thread(self._decided, event_id)
        if not decided:
            return await asyncio.to_thread(self._refused, event_id, now)
        entry = _leading(decided).entry
        asks = [ask for ask in _asks(entry, now) if _exists(now, ask)]
        try:
            found = {got.ask.topic: got for got in await self._messages.read(now.broker.bootstrap, asks)}  # fmt: skip
        except (KafkaError, OSError, TimeoutError) as error:
            raise broker_away(error) from error
        return Path(
            event_id,
            entry.event_type,
            entry.member,
            tuple(decided),
            _timed(_hops(entry, found, now)),
        )

    def _decided(self, event_id: str) -> list[StoredEntry]:
        """All entries about the event, oldest first, at most the newest `DECISIONS`."""
        found: list[StoredEntry] = []
        seq = self._reader.seq_of(event_id)
        while seq is not None and len(found) < DECISIONS:
            stored = self._reader.entry(seq)
            if stored is not None:
                found.append(stored)
            seq = self._reader.seq_of(event_id, seq - 1)
        return found[::-1]

    def _refused(self, event_id: str, now: Overview) -> Path:
        letters = self._reader.newest_dead_letters(LETTERS)
        stored = next((one for one in letters if one.letter.event_id == event_id), None)
        if stored is None:
            behind = sum(s.lag_messages or 0 for s in now.stages)
            raise Problem(
                "NOT_FOUND",
                f"event {event_id[:80]!r} has no entry up to {now.facts.head.seq} and is not among the newest {len(letters)} dead "
                f"letters; {behind} messages are still on their way, else it is still at its campus: alliance connector status DIR",
            )
        letter = stored.letter
        hops = (
            Hop("outbox", letter.published_at, Text("Kafka took it", "已写入 Kafka"),
                letter.source_topic, letter.source_partition, letter.source_offset, letter.member),
            Hop("refused", letter.refused_at, Text(letter.user_message_en, letter.user_message_zh), topics.DEAD_LETTERS, 0, stored.offset),
        )  # fmt: skip
        return Path(event_id, letter.event_type or "", letter.member, (), _timed(hops), stored)


def _leading(decided: Sequence[StoredEntry]) -> StoredEntry:
    """What was decided about the event: not the repeats that came after."""
    told = [one for one in decided if one.entry.outcome not in ("duplicate", "conflict")]
    return (told or list(decided))[-1]


def _asks(entry: Entry, now: Overview) -> list[Ask]:
    """Where to look, by offset where the entry tells it, else from its time on."""
    near = to_millis(entry.ledger_at) - BEFORE_MS
    asks = [
        Ask(topics.LEDGER_IN, 0, 1, offset=entry.input_offset),
        Ask(topics.LEDGER_ENTRIES, 0, AROUND + 1, offset=_entry_offset(entry, now)),
    ]
    if topics.owner(entry.source_topic):
        asks.append(Ask(entry.source_topic, entry.source_partition, 1, offset=entry.source_offset))
    asks += [Ask(topic, 0, MOST, at_ms=near) for topic in _told(entry, now)]
    return asks


def _entry_offset(entry: Entry, now: Overview) -> int:
    """From where to look. An entry lies no further from its number than the newest one does: void records only add up."""
    at = now.facts.positions.get((topics.LEDGER_ENTRIES, 0), Position())
    return max(0, entry.seq + at.head_offset - at.head.seq - AROUND)


def _told(entry: Entry, now: Overview) -> list[str]:
    return list(dict.fromkeys(topic for topic, _ in deliveries(entry, now.alliance.members)))


def _exists(now: Overview, ask: Ask) -> bool:
    found = now.broker.topics.get(ask.topic)
    return found is not None and ask.partition in found.end


def _hops(entry: Entry, found: Mapping[str, Got], now: Overview) -> list[Hop]:
    return [
        *_campus(entry, found),
        _admitted(entry, found.get(topics.LEDGER_IN)),
        Hop(
            "decided",
            entry.ledger_at,
            sentence(entry, now.alliance.members),
        ),
        _written(entry, found.get(topics.LEDGER_ENTRIES)),
        *(_delivered(entry, topic, found.get(topic)) for topic in _told(entry, now)),
        *_proof(entry, found.get(topics.inbox(entry.member)), now),
    ]


def _campus(entry: Entry, found: Mapping[str, Got]) -> list[Hop]:
    """What the event says of its campus, and the outbox. The hub's own entries have neither."""
    member, hops = entry.member, []
    try:
        told = getattr(decode(entry.event), "envelope", None)
    except Unreadable:
        told = None
    if told is not None:
        hops = [
            Hop("occurred", told.occurred_at, Text("happened, says the campus", "业务发生（校方所述）"), member=member),
            Hop("recorded", told.recorded_at, Text("recorded in the campus system, says the campus", "录入校内系统（校方所述）"), member=member),
        ]  # fmt: skip
    if not topics.owner(entry.source_topic):
        return hops
    got = found.get(entry.source_topic)
    there = got is not None and any(m.offset == entry.source_offset for m in got.messages)
    said = Text("Kafka took it", "已写入 Kafka")
    if not there:
        said = Text(
            "Kafka took it; the message is no longer there, the time is the ledger's",
            "已写入 Kafka；该消息现已不在，时间以账本为准",
        )
    hops.append(
        Hop("outbox", entry.published_at, said, entry.source_topic,
            entry.source_partition, entry.source_offset, member, found=there)
    )  # fmt: skip
    return hops


def _admitted(entry: Entry, got: Got | None) -> Hop:
    """The record of `ledger.in` that the entry accounts for."""
    message = (
        next((m for m in got.messages if m.offset == entry.input_offset), None) if got else None
    )
    place = (topics.LEDGER_IN, 0, entry.input_offset)
    if message is None:
        return Hop(
            "admitted", None, _not_there(topics.LEDGER_IN, entry.input_offset), *place, found=False
        )
    said = Text("signature and authority were in order", "签名与权限核验通过")
    if not isinstance(_read(message.value), Admitted):
        said = Text("written by the hub itself", "由枢纽自身写入")
    return Hop("admitted", _at(message), said, *place)


def _written(entry: Entry, got: Got | None) -> Hop:
    for message in got.messages if got else ():
        held = _read(message.value)
        if isinstance(held, Entry) and (held.seq, held.event_hash) == (entry.seq, entry.event_hash):
            said = Text(f"entry {entry.seq}", f"第 {entry.seq} 条")
            return Hop("written", _at(message), said, message.topic, 0, message.offset)
    return Hop(
        "written", None, _not_near(topics.LEDGER_ENTRIES, got), topics.LEDGER_ENTRIES, found=False
    )


def _delivered(entry: Entry, topic: str, got: Got | None) -> Hop:
    """One inbox or domain topic. Receipts carry no number, so they are not taken for it."""
    member = _inbox_of(topic)
    for message in got.messages if got else ():
        if header(message.headers, LEDGER_SEQ) == str(entry.seq).encode():
            kind = (header(message.headers, KIND) or b"event").decode(errors="replace")
            return Hop("delivered", _at(message), Text(kind, _KINDS_ZH.get(kind, kind)), topic, 0, message.offset, member)  # fmt: skip
    return Hop("delivered", None, _not_near(topic, got), topic, member=member, found=False)


_KINDS_ZH = {"event": "事件", "outcome": "处理结果", "flag": "提醒"}


def _proof(entry: Entry, inbox: Got | None, now: Overview) -> list[Hop]:
    """Whether the log with this entry is witnessed, and the receipt in the sender's inbox if it came soon."""
    hops = []
    log = now.log
    if log is not None and not log.error:
        done = log.witnessed_size >= entry.seq
        said = Text(
            f"the witnessed checkpoint has {log.witnessed_size} entries",
            f"已见证的检查点含 {log.witnessed_size} 条",
        )
        hops.append(Hop("witnessed", None, said, topics.CHECKPOINTS, found=done))
    if not topics.owner(entry.source_topic):
        return hops
    for message in inbox.messages if inbox else ():
        if header(message.headers, KIND) != b"receipts":
            continue
        record = _read(message.value)
        if isinstance(record, Receipts) and any(_is_about(one.entry, entry) for one in record.proofs):  # fmt: skip
            said = Text("proof of the entry in the sender's inbox", "条目证明已送达发送方")
            return [*hops, Hop("receipt", _at(message), said, message.topic, 0, message.offset, entry.member)]  # fmt: skip
    topic = topics.inbox(entry.member)
    return [
        *hops,
        Hop("receipt", None, _not_near(topic, inbox), topic, member=entry.member, found=False),
    ]


def _is_about(proved: bytes, entry: Entry) -> bool:
    held = _read(proved)
    return isinstance(held, Entry) and held.seq == entry.seq and held.event_hash == entry.event_hash


def _read(value: bytes | None) -> Any:
    try:
        return decode(value or b"")
    except Unreadable:
        return None


def _at(message: Message) -> datetime:
    return from_millis(max(0, message.timestamp_ms))


def _inbox_of(topic: str) -> str:
    parts = topic.split(".")
    return parts[1] if len(parts) == 3 and parts[0] == "member" else ""


def _not_there(topic: str, offset: int) -> Text:
    return Text(f"not found at {topic} offset {offset}", f"在 {topic} 位点 {offset} 处未找到")


def _not_near(topic: str, got: Got | None) -> Text:
    if got is None:
        return Text(f"{topic} is not known to the broker", f"代理上没有 {topic}")
    if not got.messages:
        return Text(
            f"not found in {topic}: nothing from that time on", f"{topic} 中该时刻之后没有消息"
        )
    first, last = got.messages[0].offset, got.messages[-1].offset
    return Text(
        f"not found near: looked at {topic} offsets {first} to {last}",
        f"附近未找到：已查 {topic} 位点 {first} 至 {last}",
    )


def _timed(hops: Sequence[Hop]) -> tuple[Hop, ...]:
    """Hops with the time since the one before. Deliveries all count from the entry, for they happen side by side."""
    found: list[Hop] = []
    before: datetime | None = None
    for hop in hops:
        if hop.at is not None and before is not None:
            hop = replace(hop, since_ms=to_millis(hop.at) - to_millis(before))
        if hop.at is not None and hop.name != "delivered":
            before = hop.at
        found.append(hop)
    return tuple(found)


def path_json(path: Path, now: Overview) -> Json:
    """A path as JSON values."""
    return {
        "event_id": path.event_id,
        "event_type": path.event_type,
        "schema_known": path.event_type in catalogue().newest,
        "member": path.member,
        "entries": [
            {
                "seq": one.entry.seq,
                "outcome": one.entry.outcome,
                "reason": one.entry.reason,
                "detail": one.entry.detail,
                "at": rfc3339(one.entry.ledger_at),
                "sentence": sentence(one.entry, now.alliance.members)._asdict(),
            }
            for one in path.decided
        ],
        "dead_letter": path.letter.offset if path.letter else None,
        "hops": [
            {
                "hop": hop.name,
                "at": rfc3339(hop.at) if hop.at else None,
                "found": hop.found,
                "since_ms": hop.since_ms,
                "topic": hop.topic or None,
                "partition": hop.partition if hop.topic else None,
                "offset": hop.offset,
                "member": hop.member or None,
                "said": hop.said._asdict(),
            }
            for hop in path.hops
        ],
    }
