"""A stream worker as its own process, to be killed: `python -m tests.support.streams_worker BOOTSTRAP PREFIX`."""

import asyncio
import signal
import sys

from hub.streams.plan import Names
from hub.streams.worker import run_streams


async def main(bootstrap: str, prefix: str) -> None:
    """Run until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await run_streams(bootstrap, stop, Names(prefix))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
