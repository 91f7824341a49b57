"""The hub in memory: it admits, decides, answers and delivers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from connectors.sdk.contract import Transient
from connectors.sdk.runtime.kafka import Inbox, Incoming, Message
from connectors.sdk.runtime.outgoing import envelope_of, event_of
from connectors.sdk.testing.fuse import Fuse
from connectors.sdk.testing.log import FakeLog
from connectors.sdk.testing.names import START
from schemas import envelope, topics
from schemas.codec import decode, encode
from schemas.records import Heartbeat, Outcome, Promise, Receipts, Record
from schemas.signing import Signer


class FakeHub:
    """The hub in memory, as a `Bus`: admits, decides, answers and delivers like the real one, at once.

    `decide` says the outcome of an event the first time it is seen. `silent` keeps answers back, `repeats` puts every
    message into the inbox twice, as a hub that crashed would. With a `log` it enters what it decides, promises it before
    and sends receipts after it; `withhold` keeps the receipts back.
    """

    def __init__(
        self, decide: Callable[[Record], str] = lambda _: "applied", log: FakeLog | None = None
    ) -> None:
        self.decide = decide
        self.log = log
        self.withhold = False
        self.cosignatures: list[Message] = []
        self.answers: list[Any] = []  # to commands of ours
        self.silent = False
        self.repeats = False
        self.down = False
        self.published: list[Record] = []  # every copy that reached a member's outbox topic
        self.applied: list[str] = []  # event ids, each once, in the order of the ledger
        self.heartbeats: list[Heartbeat] = []
        self.payloads: dict[str, bytes] = {}
        self.fuse = Fuse()
        self._inboxes: dict[str, list[Incoming]] = {}
        self._news_of: tuple[asyncio.AbstractEventLoop, asyncio.Condition] | None = None
        self._known: dict[str, bytes] = {}
        self._bytes: dict[str, bytes] = {}
        self._seq = 0

    @property
    def news(self) -> asyncio.Condition:
        """What readers of inboxes wait for; one for each event loop, since a test may run several lives in turn."""
        loop = asyncio.get_running_loop()
        if self._news_of is None or self._news_of[0] is not loop:
            self._news_of = loop, asyncio.Condition()
        return self._news_of[1]

    async def publish(self, topic: str, messages: Sequence[Message]) -> None:
        """Take messages one by one: a kill may come between any two."""
        self.fuse.point("before publish")
        await asyncio.sleep(0)
        if self.down:
            raise Transient("no broker answers; it is down for this test")
        if topic == topics.COSIGNATURES:
            for message in messages:
                self.cosignatures.append(message)
                self.fuse.point("while publishing")
            return
        if topic == topics.COMMAND_ANSWERS:
            for message in messages:
                self.answers.append(decode(message.value))
                self.fuse.point("while publishing")
            return
        if topic == topics.PRIVATE:
            await self._keep_payloads(messages)
            return
        for message in messages:
            record = decode(message.value)
            if isinstance(record, Heartbeat):
                self.heartbeats.append(record)
            else:
                self.published.append(record)
                await self._admit(topics.owner(topic) or "", record, message)
            self.fuse.point("while publishing")

    async def _keep_payloads(self, messages: Sequence[Message]) -> None:
        """The private topic, as it was written; `payloads` is what compaction leaves of it."""
        box = self._inboxes.setdefault(topics.PRIVATE, [])
        for message in messages:
            box.append(Incoming(len(box), message.value, []))
            self.payloads[message.key.decode()] = message.value
            self.fuse.point("while publishing")
        async with self.news:
            self.news.notify_all()

    async def _admit(self, member: str, record: Record, message: Message) -> None:
        event_id = envelope_of(record).event_id
        self._bytes[event_id] = message.value
        known = self._known.setdefault(event_id, message.value)
        if known is not message.value:
            outcome = "duplicate" if known == message.value else "conflict"
        else:
            outcome = self.decide(record)
        if outcome == "applied":
            self.applied.append(event_id)
        if self.log is not None and outcome != "refused":
            said = self.log.promise(member, [message.value])
            await self._put(member, encode(said), [(envelope.KIND, b"promise")])
        if not self.silent:
            await self.answer(member, record, outcome)

    async def answer(self, member: str, record: Record, outcome: str) -> None:
        """Put an outcome (or a refusal) into a member's inbox."""
        about = envelope_of(record)
        refused = outcome == "refused"
        if not refused:
            await self._enter(member, record, self._bytes[about.event_id], outcome)
        said = Outcome(
            event_id=about.event_id,
            event_type=record.EVENT,
            subject=about.subject,
            outcome=outcome,
            seq=None if refused else self._seq,
            refers_to=None,
            about_seq=None,
            about_version=None,
            reason=None if outcome == "applied" else "TEST",
            developer_message="",
            user_message_zh="",
            user_message_en="",
            next_actor=None,
            retryable=False,
            retry_when="",
            source_topic=topics.outbox(member),
            source_partition=0,
            source_offset=len(self.published) - 1,
            decided_at=START,
        )
        headers = [(envelope.KIND, b"refusal" if refused else b"outcome")]
        if not refused:
            headers.append((envelope.LEDGER_SEQ, str(self._seq).encode()))
        await self._put(member, encode(said), headers)
        if self.log is not None and not refused and not self.withhold:
            await self.receipts(member, self.log.receipts([self._seq - 1]))

    async def command(self, asked: Record) -> None:
        """Ask connectors for something."""
        box = self._inboxes.setdefault(topics.COMMANDS, [])
        box.append(Incoming(len(box), encode(asked), []))
        async with self.news:
            self.news.notify_all()

    async def receipts(self, member: str, receipts: Receipts) -> None:
        """Put receipts into a member's inbox, whatever they prove."""
        await self._put(member, encode(receipts), [(envelope.KIND, b"receipts")])

    async def promise(self, member: str, said: Promise) -> None:
        """Put a promise into a member's inbox, whoever made it."""
        await self._put(member, encode(said), [(envelope.KIND, b"promise")])

    async def _enter(self, member: str, record: Record, value: bytes, outcome: str) -> None:
        """The next entry of the ledger, and its checkpoint for the witnesses."""
        self._seq += 1
        if self.log is not None:
            self.log.enter(member, record, value, outcome)
            await self.checkpoint(self.log.publish())

    async def checkpoint(self, body: bytes) -> None:
        """Publish a checkpoint for the witnesses, whatever it says."""
        box = self._inboxes.setdefault(topics.CHECKPOINTS, [])
        box.append(Incoming(len(box), body, [(envelope.KIND, b"checkpoint")]))
        async with self.news:
            self.news.notify_all()

    async def deliver(self, member: str, record: Record, signer: Signer) -> None:
        """Put another member's event into a member's inbox, signed by `signer`."""
        event = event_of(record, signer)
        await self._enter(envelope_of(record).member, record, event.value, "applied")
        headers = [
            *event.headers,
            (envelope.KIND, b"event"),
            (envelope.LEDGER_SEQ, str(self._seq).encode()),
        ]
        await self._put(member, event.value, headers)

    async def flag(self, member: str, event_id: str, record: Record, kind: bytes = b"flag") -> None:
        """Put the flag of a case into a member's inbox; under another `kind`, something newer than this SDK."""
        await self._enter("", record, encode(record), "applied")
        headers = [
            ("ce_id", event_id.encode()),
            (envelope.KIND, kind),
            (envelope.LEDGER_SEQ, str(self._seq).encode()),
        ]
        await self._put(member, encode(record), headers)

    async def _put(self, member: str, value: bytes, headers: envelope.Headers) -> None:
        box = self._inboxes.setdefault(topics.inbox(member), [])
        for _ in range(2 if self.repeats else 1):
            box.append(Incoming(len(box), value, headers))
        async with self.news:
            self.news.notify_all()

    def delivered(self, member: str) -> int:
        """How many messages a member's inbox holds."""
        return len(self._inboxes.get(topics.inbox(member), ()))

    def inbox(self, topic: str, position: int) -> Inbox:
        """Open a member's inbox at a position."""
        return _FakeInbox(self, self._inboxes.setdefault(topic, []), position)


class _FakeInbox:
    def __init__(self, hub: FakeHub, box: list[Incoming], position: int) -> None:
        self._hub, self._box, self._position = hub, box, position

    async def take(self, limit: int) -> Sequence[Incoming]:
        async with self._hub.news:
            await self._hub.news.wait_for(lambda: len(self._box) > self._position)
        self._hub.fuse.point("inbox taken")
        taken = self._box[self._position : self._position + limit]
        self._position += len(taken)
        return taken
