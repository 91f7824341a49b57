"""One real broker for the tests of a session, shared with sessions that run at the same time."""

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

    Whoever started it by hand keeps it. If tests started it, the last session out stops it and
    deletes its data: each session holds a shared lock for as long as it needs the broker.
    """
    state.mkdir(parents=True, exist_ok=True)
    with (state / "sessions.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        broker = _resolve_or_skip(BrokerSettings.read(state=state))
        if broker.rung is Rung.JAVA:
            lock.truncate(0)
            lock.write(str(broker.pid))
            lock.flush()
        try:
            yield broker
        finally:
            if broker.owned and _started_by_tests(broker, state) and _last_one_out(lock.fileno()):
                kafka.reset(state)


def _resolve_or_skip(settings: BrokerSettings) -> Broker:
    try:
        return resolve_broker(settings)
    except NoBroker as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


def _started_by_tests(broker: Broker, state: Path) -> bool:
    return (state / "sessions.lock").read_text() == str(broker.pid)


def _last_one_out(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
