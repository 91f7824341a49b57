"""Real brokers for tests: one for the whole session, or one of your own to kill."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hub.broker import kafka
from hub.broker.errors import NoBroker
from hub.broker.resolve import Broker, BrokerSettings, Rung, resolve_broker

TEST_STATE = Path(__file__).parents[2] / ".state" / "test"


@contextmanager
def shared_broker(state: Path = TEST_STATE) -> Iterator[Broker]:
    """A live broker; skips with the reason when there is none, and fails instead where CI=true.

    Sessions that run at the same time share it: each holds a shared lock for as long as it needs
    it. The last one out deletes it with its data, unless it was started by hand.
    """
    state.mkdir(parents=True, exist_ok=True)
    with (state / "sessions.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        broker = _resolve_or_skip(BrokerSettings.read(state=state))
        started_by_tests = state / "started-by-tests"
        if broker.rung is Rung.JAVA:
            started_by_tests.write_text(str(broker.pid))
        try:
            yield broker
        finally:
            if broker.owned and _last_one_out(lock.fileno()) and started_by_tests.exists():
                if started_by_tests.read_text() == str(broker.pid):
                    kafka.reset(state)
                started_by_tests.unlink()


@contextmanager
def private_broker(state: Path) -> Iterator[Broker]:
    """A Kafka node of this test's own, to be killed and restarted at will; deleted afterwards."""
    environ = {**os.environ, "ALLIANCE_BROKER": "java", "ALLIANCE_BOOTSTRAP": ""}
    broker = _resolve_or_skip(BrokerSettings.read(environ, state=state))
    try:
        yield broker
    finally:
        kafka.reset(state)


def _resolve_or_skip(settings: BrokerSettings) -> Broker:
    try:
        return resolve_broker(settings)
    except NoBroker as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


def _last_one_out(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
