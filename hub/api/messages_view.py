"""Messages of a topic as people may see them: decoded, masked, or with the reason why they cannot be decoded.

Owns what is shown of a message. What names a person, what people write freely, grades and private parts are masked before
anything else happens, so that a filter finds nothing that the page hides. Kafka is in `hub.api.kafka_messages`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, TypeAlias
from urllib.parse import urlencode

from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hub.api.kafka_messages import Ask, KafkaMessages, Messages
from hub.api.overview import Overview, Watch
from hub.api.problems import Problem
from hub.api.sentences import Text
from hub.flow.kafka import Message
from hub.flow.personal import FREE_TEXT, PERSON_FIELDS
from schemas import topics
from schemas.catalogue import catalogue
from schemas.codec import FRAME_BYTES, Unreadable, decode, schema_of, to_json
from schemas.envelope import from_millis, rfc3339

Json: TypeAlias = dict[str, Any]

MASK = "•••"
NEWEST = "newest"
DEFAULT_LIMIT, MOST_LIMIT = 50, 200
FIRST_BYTES = 8  # the frame and three more: enough to tell the format, too few to tell a name
_SHORTEST_SECRET = 4  # characters; shorter ones would blot out words by chance

# Beside names of people: what a campus may know and an operator of the hub need not.
HIDDEN = PERSON_FIELDS | FREE_TEXT | {"grade", "result"}
# Bytes that hold a record of their own, and bytes that may hold anything, by record.
_FRAMED = {"hub.admitted": {"event"}, "ledger.entry": {"event"}, "hub.receipts": {"entry"}}
_ANYTHING = {
    "hub.dead-letter": {"key", "value"},
    "hub.private-payload": {"nonce", "ciphertext", "sealed", "wrapped"},
}
# Formats of their own, meant for everybody.
_TEXTS = frozenset({topics.CHECKPOINTS, topics.COSIGNATURES, topics.SCHEMAS})
# Headers that say how to read a message, shown even where it cannot be read.
_TELLING = frozenset(
    {
        "ce_specversion", "ce_id", "ce_type", "ce_time", "content-type", "alliance_keyid", "alliance_kind",
        "alliance_ledgerseq", "alliance_publishedat",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a value is not decoded. `schema_id` is None where its frame has none, `known` whether this installation has it."""

    size_bytes: int
    prefix: str
    schema_id: int | None
    known: bool
    newest_known: int
    first_bytes: str
    detail: str
    next_step: Text


@dataclass(frozen=True, slots=True)
class Shown:
    """A message. One of `value`, `text` and `fault` is there, none of them for a message without value."""

    offset: int
    at: datetime
    key: str | None
    headers: tuple[tuple[str, str], ...]
    size_bytes: int | None
    schema: str = ""
    schema_id: int | None = None
    value: Json | None = None
    text: str | None = None
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a partition found: `shown` of the messages `read`, oldest first."""

    topic: str
    partition: int
    first: int
    end: int
    start: int
    limit: int
    words: str
    read: int
    whole: bool
    shown: tuple[Shown, ...]

    @property
    def following(self) -> int | None:
        """Where the next look begins, None at the end."""
        then = self.start + self.limit
        return then if then < self.end else None


class MessagesView:
    """Looks at topics that the newest poll of the broker knows; others are not asked for, since asking may make them."""

    def __init__(self, watch: Watch, messages: Messages | None = None) -> None:
        self._watch, self._messages = watch, messages or KafkaMessages()

    def routes(self) -> list[BaseRoute]:
        return [Route("/api/v1/messages", self.api)]

    async def api(self, request: Request) -> Response:
        """`topic`, `partition`, `offset` (or `newest`), `limit`, `filter`."""
        query = dict(request.query_params)
        found = await self.look(query)
        more = None
        if found.following is not None:
            more = f"{request.url.path}?{urlencode(query | {'offset': str(found.following)})}"
        return JSONResponse(look_json(found) | {"next": more})

    async def look(self, query: Mapping[str, str]) -> Look:
        """One look. Raises `Problem` for a parameter that does not fit, an unknown topic or an absent broker."""
        unknown = sorted(query.keys() - {"topic", "partition", "offset", "limit", "filter"})
        if unknown:
            raise Problem(
                "INVALID_PARAMETER",
                f"unknown {', '.join(unknown)}, wanted topic, partition, offset, limit, filter",
            )
        topic, offset = query.get("topic", ""), query.get("offset") or NEWEST
        partition = whole(query, "partition", 0, 0, 2**31 - 1)
        limit = whole(query, "limit", DEFAULT_LIMIT, 1, MOST_LIMIT)
        start = None if offset == NEWEST else whole(query, "offset", 0, 0, 2**63 - 1)
        now = await self._watch.current()
        must_exist(now, topic, partition)
        ask = Ask(topic, partition, limit, offset=start)
        try:
            (got,) = await self._messages.read(now.broker.bootstrap, [ask])
        except (KafkaError, OSError, TimeoutError) as error:
            raise broker_away(error) from error
        words = query.get("filter", "")
        found = [shown(message) for message in got.messages]
        kept = tuple(one for one in found if not words or words.casefold() in searched(one))
        return Look(
            topic, partition, got.first, got.end, got.start, limit, words, len(found), got.whole, kept
        )  # fmt: skip


def must_exist(now: Overview, topic: str, partition: int) -> None:
    """Raises `Problem` for a topic or partition that the newest poll does not know."""
    known = now.broker.topics.get(topic)
    if known is None:
        why = "" if now.broker.reachable else f"; the broker is unreachable ({now.broker.error})"
        raise Problem("NOT_FOUND", f"topic {topic[:80]!r} is not known{why}; see /api/v1/topics")
    if partition not in known.end:
        raise Problem("NOT_FOUND", f"{topic} has partitions {sorted(known.end)}, not {partition}")


def broker_away(error: Exception) -> Problem:
    """The broker did not answer a look."""
    return Problem("BROKER_UNAVAILABLE", f"{type(error).__name__}: {error}".rstrip(": "))


def whole(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """A whole number of the query. Raises `Problem`."""
    raw = query.get(name) or str(default)
    if not (raw.isascii() and raw.isdecimal()) or len(raw) > 19 or not least <= int(raw) <= most:
        raise Problem(
            "INVALID_PARAMETER",
            f"{name} is {raw[:40]!r}, wanted a whole number from {least} to {most}",
        )
    return int(raw)


def shown(message: Message) -> Shown:
    """A message as people may see it. Never raises for what the message holds."""
    at, value = from_millis(max(0, message.timestamp_ms)), message.value
    size = None if value is None else len(value)
    if value is None or message.topic in _TEXTS:
        text = None if value is None else value.decode(errors="replace")
        key = MASK if message.topic == topics.PRIVATE else _text(message.key)
        return Shown(message.offset, at, key, _headers(message, ()), size, text=text)
    try:
        record = decode(value)
    except Unreadable as error:
        key = None if message.key is None else _unshown(message.key)
        return Shown(
            message.offset, at, key, _headers(message, None), size, fault=_fault(value, str(error))
        )
    schema = schema_of(value)
    opened = _opened(to_json(record), schema.event)
    secrets = sorted(set(_secrets(opened)), key=len, reverse=True)
    key = _text(message.key)
    return Shown(
        offset=message.offset,
        at=at,
        key=None if key is None else _without(key, secrets),
        headers=_headers(message, secrets),
        size_bytes=size,
        schema=f"{schema.event}/{schema.version}",
        schema_id=catalogue().schema_id(schema),
        value=_masked(opened, secrets),
    )


def searched(one: Shown) -> str:
    """What a filter looks at: the message as shown, without regard to case."""
    return json.dumps(shown_json(one), ensure_ascii=False).casefold()


def _fault(value: bytes, detail: str) -> Fault:
    known = catalogue().by_id
    framed = len(value) >= FRAME_BYTES and value[0] == 0
    schema_id = struct.unpack_from(">I", value, 1)[0] if framed else None
    return Fault(
        size_bytes=len(value),
        prefix=value[:1].hex(),
        schema_id=schema_id,
        known=schema_id in known,
        newest_known=max(known),
        first_bytes=value[:FIRST_BYTES].hex(" "),
        detail=detail,
        next_step=_next_step(value, schema_id, known=schema_id in known),
    )


def _next_step(value: bytes, schema_id: int | None, *, known: bool) -> Text:
    if known:
        return Text(
            "The frame names a schema we have, the bytes follow another. The sender encodes with the schema it names.",
            "报文头所指模式已登记，但内容并不符合。请发送方按所指模式编码。",
        )
    if schema_id is not None:
        return Text(
            "Upgrade the hub if a release has this schema; else the sender uses a registered one, see /registry/subjects.",
            "若新版本已含该模式，请升级枢纽；否则请发送方改用已登记的模式，见 /registry/subjects。",
        )
    if value[:1] in (b"{", b"["):
        return Text(
            "This looks like JSON. The sender encodes with Avro, behind a zero byte and the schema's id.",
            "内容似为 JSON。请发送方改用 Avro 编码，并以零字节与模式编号开头。",
        )
    return Text(
        "This is not in the registry's wire format. The sender puts a zero byte and the schema's 4-byte id before the record.",
        "内容不是注册中心的线上格式。请发送方在记录前加一个零字节与 4 字节模式编号。",
    )


def _opened(value: Any, event: str, name: str = "") -> Any:
    """The record with records inside it decoded, and bytes that may hold anything replaced by their length."""
    if isinstance(value, dict):
        return {key: _opened(item, event, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_opened(item, event, name) for item in value]
    if not isinstance(value, str):
        return value
    if name in _FRAMED.get(event, ()):
        raw = bytes.fromhex(value)
        try:
            record = decode(raw)
        except Unreadable:
            return _unshown(raw)
        return {"schema": record.EVENT} | _opened(to_json(record), record.EVENT)
    return _unshown(bytes.fromhex(value)) if name in _ANYTHING.get(event, ()) else value


def _secrets(value: Any, *, hidden: bool = False) -> Iterator[str]:
    """What names people: it may stand elsewhere in the message, too, in its key or in the name of an account."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _secrets(item, hidden=hidden or name in PERSON_FIELDS)
    elif isinstance(value, list):
        for item in value:
            yield from _secrets(item, hidden=hidden)
    elif hidden and isinstance(value, str) and len(value) >= _SHORTEST_SECRET:
        yield value


def _masked(value: Any, secrets: list[str], *, hidden: bool = False) -> Any:
    if isinstance(value, dict):
        return {
            name: _masked(item, secrets, hidden=hidden or name in HIDDEN)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_masked(item, secrets, hidden=hidden) for item in value]
    if hidden and value is not None:
        return MASK
    return _without(value, secrets) if isinstance(value, str) else value


def _without(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


def _headers(
    message: Message, secrets: list[str] | tuple[()] | None
) -> tuple[tuple[str, str], ...]:
    """Header values as text; of a message that cannot be read (`secrets` None) only those that say how to read it."""
    found = []
    for name, held in message.headers:
        raw = held or b""
        text = _text(raw)
        if (secrets is None and name not in _TELLING) or text is None or not text.isprintable():
            text = _unshown(raw)
        found.append((name, _without(text, list(secrets or ()))))
    return tuple(found)


def _text(raw: bytes | None) -> str | None:
    if raw is None:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return _unshown(raw)


def _unshown(raw: bytes) -> str:
    return f"[{len(raw)} bytes]"


def look_json(found: Look) -> Json:
    """A look as JSON values."""
    return {
        "topic": found.topic,
        "partition": found.partition,
        "first_offset": found.first,
        "end_offset": found.end,
        "start": found.start,
        "read": found.read,
        "whole": found.whole,
        "items": [shown_json(one) for one in found.shown],
    }


def shown_json(one: Shown) -> Json:
    """A message as JSON values."""
    return {
        "offset": one.offset,
        "at": rfc3339(one.at),
        "key": one.key,
        "headers": [{"name": name, "value": value} for name, value in one.headers],
        "size_bytes": one.size_bytes,
        "schema": one.schema or None,
        "schema_id": one.schema_id,
        "value": one.value,
        "text": one.text,
        "fault": asdict(one.fault) | {"next_step": one.fault.next_step._asdict()} if one.fault else None,
    }  # fmt: skip
