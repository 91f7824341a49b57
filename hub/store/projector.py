"""The process that follows the topics and keeps the read model: `alliance run projector`.

Owns fetching, retrying and starting over. What a record changes stands in `fold`. The consumer is in no group: the
position lives in the store, in the transaction of the rows, and nowhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from sqlalchemy import Engine

from hub.errors import RetryLater
from hub.store.fold import READ_TOPICS, Key, LogReplaced, Position, Taken, fold, load_positions
from hub.store.tables import StoreError, clear, open_engine, prepare
from schemas import topics

log = structlog.get_logger()

BATCH_RECORDS = 2000
POLL_MS = 500
RETRY_S = 1.0
NEW_TOPICS_S = 5.0  # how often topics that were missing are looked for


async def run_projector(bootstrap: str, database_url: str, stop: asyncio.Event) -> None:
    """Follow the topics until `stop` is set. Survives an absent broker or database by trying again.

    Raises `SettingsError` for an unusable database URL, `HubError` when the ledger was written by a newer hub.
    """
    engine = open_engine(database_url)
    try:
        while not stop.is_set():
            try:
                await _follow(bootstrap, engine, stop)
            except LogReplaced as error:
                log.warning("read_model_rebuilt", reason=str(error))
                await asyncio.to_thread(clear, engine)
            except (KafkaError, StoreError, RetryLater, TimeoutError) as error:
                log.warning("projector_retries", after_s=RETRY_S, error=str(error))
                await _sleep(stop, RETRY_S)
    finally:
        engine.dispose()


async def _follow(bootstrap: str, engine: Engine, stop: asyncio.Event) -> None:
    """One session: load the positions, then fetch and fold until stopped or something breaks."""
    if await asyncio.to_thread(prepare, engine):
        log.info("read_model_made", database=engine.dialect.name)
    positions: Mapping[Key, Position] = await asyncio.to_thread(_load, engine)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="none",  # a position the broker does not have is our business
        fetch_max_bytes=16 * 2**20,
        max_partition_fetch_bytes=4 * 2**20,
    )
    try:
        await consumer.start()
        loop = asyncio.get_running_loop()
        assigned: set[str] = set()
        look_again = loop.time()
        while not stop.is_set():
            if len(assigned) < len(READ_TOPICS) and loop.time() >= look_again:
                present = await consumer.topics() & set(READ_TOPICS)
                if present - assigned:
                    await _assign(consumer, present, positions)
                    assigned = present
                look_again = loop.time() + NEW_TOPICS_S
            if not assigned:
                await _sleep(stop, RETRY_S)
                continue
            positions = await _take(consumer, engine, positions)
    finally:
        await consumer.stop()


async def _assign(
    consumer: AIOKafkaConsumer, present: set[str], positions: Mapping[Key, Position]
) -> None:
    """Take partition 0 of each topic and go to where the store stands.

    The ledger starts at the head's own record, which proves that it is still the same ledger. Where retention was
    faster than this store, reading goes on at the oldest record there is. Raises `LogReplaced` for a topic that ends
    before the store's position.
    """
    partitions = [TopicPartition(name, 0) for name in sorted(present)]
    first = await consumer.beginning_offsets(partitions)
    end = await consumer.end_offsets(partitions)
    consumer.assign(partitions)
    for partition in partitions:
        at = positions.get((partition.topic, 0), Position())
        if at.next_offset > end[partition]:
            raise LogReplaced(
                f"{partition.topic} ends at {end[partition]}, this store has read up to {at.next_offset}; "
                "the store is emptied and read again"
            )
        is_ledger = partition.topic == topics.LEDGER_ENTRIES
        start = at.head_offset if is_ledger else at.next_offset
        consumer.seek(partition, max(start, first[partition]))


async def _take(
    consumer: AIOKafkaConsumer, engine: Engine, positions: Mapping[Key, Position]
) -> Mapping[Key, Position]:
    fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=BATCH_RECORDS)
    batch = [
        Taken(record.topic, record.partition, record.offset, record.value, record.key)
        for records in fetched.values()
        for record in records
    ]
    if not batch:
        return positions
    after = await asyncio.to_thread(fold, engine, positions, batch)
    ledger = (topics.LEDGER_ENTRIES, 0)
    if after.get(ledger) != positions.get(ledger):  # heartbeats alone would fill the log
        log.info("batch_folded", records=len(batch), head_seq=after[ledger].head.seq)
    return after


def _load(engine: Engine) -> Mapping[Key, Position]:
    with engine.connect() as connection:
        return load_positions(connection)


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
