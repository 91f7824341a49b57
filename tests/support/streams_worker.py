"""A stream worker as its own process, to be killed: `python -m tests.support.streams_worker BOOTSTRAP PREFIX INSTANCE`."""

import asyncio
import signal
import sys

import structlog

from hub.streams.plan import Names
from hub.streams.worker import run_streams


async def main(bootstrap: str, prefix: str, instance: str) -> None:
    """Run until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print("ready", flush=True)  # noqa: T201 (whoever started it waits for this line)
    await run_streams(bootstrap, stop, Names(prefix), instance)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(*sys.argv[1:4]))
