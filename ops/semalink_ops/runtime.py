"""How a long-running process starts, hears of its end, and stops."""

import asyncio
import gc
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import uvloop
from uuid_utils.compat import uuid7

#: A process that has not stopped by then is ended by whoever asked it to.
STOP_SECONDS_MAX = 20.0


def utc_now() -> datetime:
    """Return the time as events record it."""
    return datetime.now(UTC)


def new_request_id(prefix: str) -> str:
    """Return an id for a unit of work, such as "job_…"."""
    return prefix + uuid7().hex


def run_until_stopped(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run ``main`` on uvloop; SIGTERM and SIGINT set the event that it is given."""

    async def supervised() -> None:
        _tune_the_interpreter()
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await main(stop)

    uvloop.run(supervised())


def _tune_the_interpreter() -> None:
    # What was imported lives as long as the process; walking it at each full collection stopped
    # everything for 50 to 70 ms.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    # The ledger's writer thread waits for the loop's turn to end after each answer of the database:
    # at the default of 5 ms, throughput at 256 connections was 15 % lower.
    sys.setswitchinterval(0.0005)


async def wait_for_stop(stop: asyncio.Event, seconds: float) -> bool:
    """Wait so long, or until the stop; True when it came."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True


@asynccontextmanager
async def background(*loops: Awaitable[None]) -> AsyncIterator[None]:
    """Run loops beside the block; the first one that fails ends it, and its end ends them."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_as_coroutine(loop)) for loop in loops]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _as_coroutine(loop: Awaitable[None]) -> None:
    await loop
