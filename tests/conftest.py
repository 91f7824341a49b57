"""Fixtures every suite may use."""

from collections.abc import Iterator

import pytest
import structlog

from tests.support.broker import shared_broker


@pytest.fixture(scope="session")
def broker() -> Iterator[str]:
    """Bootstrap address of a real broker on this machine (or of ALLIANCE_BOOTSTRAP).

    Topics and groups outlive a test: give each test its own names.
    """
    with shared_broker() as found:
        yield found.bootstrap


@pytest.fixture(autouse=True)
def fresh_logs() -> Iterator[None]:
    """Commands configure logging for their process; tests share one, whose standard error changes with each test."""
    yield
    structlog.reset_defaults()
