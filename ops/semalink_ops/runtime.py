"""How a long-running process starts, hears of its end, and stops."""

import asyncio
import gc
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import structlog
import uvloop
from uuid_utils.compat import uuid7

#: What is in hand when the stop comes has so long to end.
STOP_SECONDS_MAX = 20.0
#: A process that still has not stopped ends what it does, wherever it is.
_GIVE_UP_SECONDS = 24.0
#: What runs beside the work of a process has so long to end after it.
FINISH_SECONDS = 5.0
#: The readiness check that fails from the stop on, so that nothing new is sent here.
IN_SERVICE = "in_service"

Checks = Callable[[], Awaitable[dict[str, bool]]]

_log = structlog.get_logger(__name__)


def utc_now() -> datetime:
    """Return the time as events record it."""
    return datetime.now(UTC)


def new_request_id(prefix: str) -> str:
    """Return an id for a unit of work, such as "job_…"."""
    return prefix + uuid7().hex


def run_until_stopped(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run ``main`` on uvloop; SIGTERM and SIGINT set the event that it is given."""

    async def supervised() -> None:
        _tune_the_interpreter()
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        if not await ends_after_stop(main(stop), stop, _GIVE_UP_SECONDS):
            raise StopTookTooLong

    uvloop.run(supervised())


class StopTookTooLong(Exception):
    """The process was cut off in what it did; what it had in hand is done again by another."""

    def __init__(self) -> None:
        super().__init__(
            f"It had not stopped {_GIVE_UP_SECONDS:g} s after it was asked to, and was cut off. "
            "What it had in hand is done again by another process."
        )


async def ends_after_stop(
    work: Coroutine[Any, Any, None], stop: asyncio.Event, seconds: float
) -> bool:
    """Do the work, which from the stop on may take so long; False when it was cut off."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({working}, timeout=seconds)
        if not working.done():
            _log.error("stop_took_too_long", seconds=seconds)
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.wait({working, stopping})
    if working.cancelled():
        return False
    working.result()
    return True


def until_stop(check: Checks, stop: asyncio.Event) -> Checks:
    """Return the readiness check that also fails from the stop on."""

    async def answer() -> dict[str, bool]:
        return {**await check(), IN_SERVICE: not stop.is_set()}

    return answer


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
async def background(*loops: Awaitable[None], finish_seconds: float = 0.0) -> AsyncIterator[None]:
    """Run loops beside the block; the first one that fails ends it, and its end ends them.

    Loops that hear of the stop as the block does may take so long after it to end by themselves.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_as_coroutine(loop)) for loop in loops]
        try:
            yield
            if finish_seconds > 0:
                await asyncio.wait(tasks, timeout=finish_seconds)
        finally:
            for task in tasks:
                task.cancel()


async def _as_coroutine(loop: Awaitable[None]) -> None:
    await loop
