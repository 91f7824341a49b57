"""The Faust app: two agents, three tables, and the process they run in. The one module of the hub that imports Faust.

One agent feeds both states that come from `ledger.entries`: one position, one acknowledgment. A state is written to its
changelog and confirmed before the events that led to it are acknowledged, and carries the place up to which it counts. So at-least-once delivery gives exact counts, after a kill at any moment. Faust's
`exactly_once` does not (measured: it loses events), and is never used here.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, cast

import structlog
from aiokafka.errors import KafkaError

from hub.errors import RetryLater
from hub.streams import activity, cases, rates
from hub.streams.activity import Activity, StateBehind
from hub.streams.batches import Event, Stream, settle, unacked
from hub.streams.plan import ACTIVITY_TABLE, CASES_TABLE, RATES_TABLE, Names
from hub.streams.position import Partition, next_offsets, require_topics
from schemas.codec import encode
from schemas.records import OpenCase


@contextmanager
def own_command_line() -> Iterator[None]:
    """Hide our arguments: Faust reads `--datadir` and `-L` from the command line of whoever imports it."""
    arguments, sys.argv = sys.argv, sys.argv[:1]
    try:
        yield
    finally:
        sys.argv = arguments


with own_command_line():
    import faust
    from faust.exceptions import ProducerSendError
    from faust.types import TP, StreamT, TopicT
    from faust.types.tables import TableT

ENTRIES_KEY = b"ledger.entries"  # of the place in it, beside keys of cases, which have a slash
SESSION_TIMEOUT_S = 10.0
STANDSTILL_S = (
    30.0  # a new assignment usually takes 3 s; 2 of 30 with two workers never came to an end
)
STOP_WITHIN_S = 10.0

log = structlog.get_logger(__name__)

Failed: TypeAlias = Callable[[Exception], None]
Table: TypeAlias = "TableT[bytes, bytes]"
Effect: TypeAlias = Callable[[Sequence[Event]], Awaitable[None]]
Messages: TypeAlias = Sequence[
    tuple[bytes, bytes | None]
]  # a message without value deletes its key


class Standstill(RetryLater):
    """Faust began to take over partitions and did not get on with it; a new app takes them."""


def build_app(
    bootstrap: str,
    names: Names | None = None,
    instance: str = "1",
    failed: Failed | None = None,
    placed: Callable[[], None] = lambda: None,
) -> faust.App:
    """The app with its agents, not started. `instance` names this process within the group.

    `failed` is called when a processor cannot go on; it stands still then, with what it had in hand unacknowledged, and
    the app must be stopped. `placed` is called when an assignment has been taken over, or found to be empty.
    """
    names = names or Names()
    app = faust.App(
        names.app_id,
        broker=[f"kafka://{address.strip()}" for address in bootstrap.split(",")],
        store="memory://",
        processing_guarantee="at_least_once",
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        stream_wait_empty=False,
        broker_session_timeout=SESSION_TIMEOUT_S,
        broker_heartbeat_interval=2.0,
        consumer_group_instance_id=f"{names.app_id}.{instance}",
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=4 * 1024 * 1024,
        producer_linger=0.02,
        producer_acks=-1,
        producer_max_request_size=4 * 1024 * 1024,
        producer_request_timeout=30.0,
        table_standby_replicas=0,
    )
    register(app, names, failed or _note, placed)
    return app


def _note(error: Exception) -> None:
    log.error("processor_failed", exc_info=error)


def register(app: faust.App, names: Names, failed: Failed, placed: Callable[[], None]) -> None:
    """Give the app its three tables and the two agents that fill them."""
    activity_table = _table(app, ACTIVITY_TABLE)
    rates_table = _table(app, RATES_TABLE)
    cases_table = _table(app, CASES_TABLE)

    async def publish_members(state: Activity, members: Iterable[str]) -> None:
        counts = [state.members[member] for member in sorted(members)]
        await _publish(
            app, names.activity, [(item.member.encode(), encode(item)) for item in counts]
        )

    async def publish_rates(counts: Iterable[rates.Count]) -> None:
        found = [count.rate for count in counts]
        await _publish(app, names.rates, [(rate.topic.encode(), encode(rate)) for rate in found])

    async def count_activity(events: Sequence[Event]) -> None:
        state = activity.from_bytes(activity_table.data.get(ENTRIES_KEY))
        touched: set[str] = set()
        for event in events:
            state, member = activity.take(state, event.message.offset, event.message.value)
            touched |= {member} if member else set()
        await _keep(app, activity_table, [(ENTRIES_KEY, activity.to_bytes(state))])
        await publish_members(state, touched)
        log.info("activity_counted", messages=len(events), members=len(touched), seq=state.head.seq)

    def known_case(key: str) -> OpenCase | None:
        return cases.open_case(cases_table.data.get(key.encode()))

    async def follow_cases(events: Sequence[Event]) -> None:
        place, changed = cases.follow(
            cases.from_bytes(cases_table.data.get(ENTRIES_KEY)),
            ((event.message.offset, event.message.value) for event in events),
            known_case,
        )
        kept = [(key.encode(), encode(case) if case else None) for key, case in changed.items()]
        await _keep_beside_place(
            app, cases_table, names.cases, kept, (ENTRIES_KEY, cases.to_bytes(place))
        )
        log.info("cases_followed", messages=len(events), cases=len(kept), seq=place.head.seq)

    async def follow_ledger(events: Sequence[Event]) -> None:
        await count_activity(events)
        await follow_cases(events)

    async def count_rates(events: Sequence[Event]) -> None:
        counts: dict[str, rates.Count] = {}
        for event in events:
            message = event.message
            count = counts.get(message.topic) or rates.from_bytes(
                rates_table.data.get(message.topic.encode())
            )
            _note_missing(count, message.topic, message.partition, message.offset)
            counts[message.topic] = rates.fold(
                count,
                message.topic,
                message.partition,
                message.offset,
                round(message.timestamp * 1000),
            )
        kept = [(topic.encode(), rates.to_bytes(count)) for topic, count in counts.items()]
        await _keep(app, rates_table, kept)
        await publish_rates(counts.values())
        log.info("rates_counted", messages=len(events), topics=len(counts))

    async def place() -> None:
        if not _has_some_of(app, names.inputs):
            for table in (activity_table, rates_table, cases_table):
                table.data.clear()  # it grows elsewhere now, and is read anew before it is used
            log.info("standing_by")
            placed()
            return
        state = activity.from_bytes(activity_table.data.get(ENTRIES_KEY))
        found = [rates.from_bytes(rates_table.data.get(name.encode())) for name in names.domains]
        counts = [count for count in found if count is not None]
        await publish_members(state, state.members)
        await publish_rates(counts)
        followed = cases.from_bytes(cases_table.data.get(ENTRIES_KEY))
        await _read_from(app, next_offsets(names, state, followed, counts))
        placed()

    # Faust calls it when all tables are read and nothing is processed yet.
    rates_table.on_recover(_or_fail(place, failed))

    @app.agent(_input(app, [names.entries]), name="ledger-entries")
    async def ledger_entries(stream: StreamT[bytes]) -> None:
        await _process(app, stream, follow_ledger, failed)

    @app.agent(_input(app, names.domains), name=RATES_TABLE)
    async def topic_rates(stream: StreamT[bytes]) -> None:
        await _process(app, stream, count_rates, failed)


def _note_missing(count: rates.Count | None, topic: str, partition: int, offset: int) -> None:
    """Kafka may rightly have deleted messages that were never counted, so this is said and not refused."""
    expected = count.next_offsets.get(partition, 0) if count else offset
    if offset > expected:
        log.warning("messages_missing", topic=topic, expected_offset=expected, offset=offset)


def _table(app: faust.App, name: str) -> Table:
    return app.Table(name, partitions=1, key_type=bytes, value_type=bytes)


def _input(app: faust.App, topics: Iterable[str]) -> TopicT:
    return app.topic(*topics, key_serializer="raw", value_serializer="raw")


def _has_some_of(app: faust.App, topics: Sequence[str]) -> bool:
    consumer: Any = app.consumer  # its abstract type lacks the call
    return any(tp.topic in topics for tp in consumer.assignment())


async def _read_from(app: faust.App, places: dict[Partition, int]) -> None:
    """Move the consumer, and the group's committed offsets with it: Faust is about to seek to those.

    It does not seek to a committed 0, hence both. And it starts to fetch before it seeks, lets messages through to the
    agents, clears their queues after the seek, and discards what the seek brings again: single messages were lost
    (measured, 3 of 40 starts under load). With the flow suspended none gets through before the queues are
    cleared; Faust resumes it then.
    """
    consumer: Any = app.consumer  # its abstract type lacks both calls
    assigned = consumer.assignment()
    mine = {TP(*partition): at for partition, at in places.items() if TP(*partition) in assigned}
    await consumer._commit(mine)
    for tp, offset in mine.items():
        await consumer.seek(tp, offset)
    app.flow_control.suspend()
    log.info("reading_from", offsets={f"{tp.topic}/{tp.partition}": at for tp, at in mine.items()})


def _or_fail(place: Callable[[], Awaitable[None]], failed: Failed) -> Callable[[], Awaitable[None]]:
    """Faust drops what a recovery callback raises."""

    async def guarded() -> None:
        try:
            await place()
        except Exception as error:  # noqa: BLE001 (outermost; the caller gets it)
            failed(error)

    return guarded


async def _process(app: faust.App, stream: StreamT[bytes], effect: Effect, failed: Failed) -> None:
    """The body of each agent. After a failure it stands still: what comes next must not be counted before it."""
    try:
        async for batch in unacked(cast(Stream, stream)):
            await settle(batch, effect, lambda: app.consumer_generation_id)
    except Exception as error:  # noqa: BLE001 (outermost loop of the processor; the caller gets it)
        failed(error)
        await asyncio.Event().wait()


async def _keep(app: faust.App, table: Table, states: Sequence[tuple[bytes, bytes]]) -> None:
    """Write states to the table's changelog, and to the table once Kafka has them.

    Setting table keys the usual way would send the changelog without anyone hearing whether it arrived.
    """
    await _publish(app, table.changelog_topic.get_topic_name(), states)
    for key, value in states:
        table.data[key] = value


async def _keep_beside_place(
    app: faust.App, table: Table, output: str, kept: Messages, place: tuple[bytes, bytes]
) -> None:
    """Publish many values, keep them in the changelog, then the place up to which they hold; each step confirmed.

    Whatever the changelog has was published before, so nothing needs to be published again at a start. The table takes
    all of it at once, and only under the assignment the work began under: a recovery meanwhile has read an older
    place, to which newer values would not belong.
    """
    generation = app.consumer_generation_id
    changelog = table.changelog_topic.get_topic_name()
    for topic, messages in ((output, kept), (changelog, kept), (changelog, [place])):
        await _publish(app, topic, messages)
        if app.consumer_generation_id != generation:
            raise RetryLater(f"{output}: the partitions were assigned anew meanwhile", after_s=0.0)
    for key, value in (*kept, place):
        if value is None:
            table.data.pop(key, None)
        else:
            table.data[key] = value


async def _publish(app: faust.App, topic: str, messages: Messages) -> None:
    """Send, and wait until all replicas have it. Raises `RetryLater` when they do not."""
    try:
        sent = [
            await app.producer.send(topic, key, value, 0, None, None) for key, value in messages
        ]
        await asyncio.gather(*sent)
    except (KafkaError, ProducerSendError) as error:
        raise RetryLater(
            f"{topic} does not take messages ({type(error).__name__}: {error})"
        ) from error


async def run_streams(
    bootstrap: str, stop: asyncio.Event, names: Names | None = None, instance: str = "1"
) -> None:
    """Run the processors until `stop` is set.

    Starts again from the state's own place when the state turns out to be behind, and when Faust stands still. Raises `SettingsError` when a topic
    is missing, `RetryLater` when the broker is not there at the start, and whatever a processor failed with.
    """
    names = names or Names()
    await require_topics(bootstrap, names)
    behind = ""
    while not stop.is_set():
        try:
            await _run_once(bootstrap, stop, names, instance)
        except StateBehind as error:
            if str(error) == behind:
                raise  # reading again from there did not help: the records are gone
            behind = str(error)
            log.warning("state_behind", reason=behind)
        except Standstill as error:
            log.warning("standstill", reason=str(error))


async def _run_once(bootstrap: str, stop: asyncio.Event, names: Names, instance: str) -> None:
    failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def failed(error: Exception) -> None:
        if not failure.done():
            failure.set_exception(error)

    taken_over: set[int | None] = set()
    app = build_app(
        bootstrap, names, instance, failed, lambda: taken_over.add(app.consumer_generation_id)
    )
    tables: Any = app.tables  # their abstract type lacks the recovery
    serving = asyncio.create_task(_serve(app))
    stopping = asyncio.create_task(stop.wait())
    moving = asyncio.create_task(
        notice_standstill(
            lambda: app.consumer_generation_id in taken_over and not app.rebalancing,
            lambda: sum(tables.recovery.active_offsets.values()),
        )
    )
    try:
        ends: set[asyncio.Future[Any]] = {serving, stopping, failure, moving}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        serving.cancel()
        moving.cancel()
        await _end(app)
    for ended in (failure, serving, moving):
        if ended.done() and not ended.cancelled():
            ended.result()


async def notice_standstill(
    settled: Callable[[], bool],
    progress: Callable[[], int],
    within_s: float = STANDSTILL_S,
    step_s: float = 1.0,
) -> None:
    """Raise `Standstill` when an assignment is not taken over and nothing moves for `within_s` seconds.

    `progress` is any number that changes while changelogs are read: those may be long. Faust retries nothing here, and
    says nothing.
    """
    still_s, last = 0.0, progress()
    while True:
        await asyncio.sleep(step_s)
        now = progress()
        still_s = 0.0 if settled() or now != last else still_s + step_s
        last = now
        if still_s > within_s:
            raise Standstill(
                f"partitions were assigned anew and nothing has moved for {still_s:.0f} s; starting again"
            )


async def _end(app: faust.App) -> None:
    """Stop Faust; without a broker it would try for ever to flush and commit, and nothing is lost by leaving."""
    try:
        async with asyncio.timeout(STOP_WITHIN_S):
            await app.stop()
    except TimeoutError:
        log.warning("stopped_without_broker", after_s=STOP_WITHIN_S)


async def _serve(app: faust.App) -> None:
    """Run until Faust gives up; it does so on errors of its own, such as a consumer that lost its group."""
    await app.start()
    await app.wait_until_stopped()
    reason = getattr(app, "crash_reason", None)
    raise RetryLater(f"Faust stopped by itself ({type(reason).__name__}: {reason}); start again")
