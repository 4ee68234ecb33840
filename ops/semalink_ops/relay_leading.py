"""The relay that leads: one of all carries work from the database to the broker."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import nats.errors
import psycopg
import structlog

from semalink.application.fitting import FittingWindow
from semalink.application.outbox import StreamMark
from semalink.application.relaying import Relay
from semalink.application.sharing_out import Shares
from semalink_adapters.jetstream.marks import read_marks
from semalink_adapters.jetstream.streams import DLR_INBOUND, QUEUES
from semalink_adapters.postgres.outbox import PostgresOutbox
from semalink_adapters.postgres.sessions import BOUNDED, CONNECT_TIMEOUT_SECONDS, KEEPALIVES
from semalink_adapters.postgres.turns import PostgresTurns
from semalink_ops.bootstrap import Core
from semalink_ops.observability.turn_metrics import TurnMetrics
from semalink_ops.runtime import ends_after_stop, utc_now, wait_for_stop

POLL_SECONDS = 0.1
#: Lets a page fill while the one before is on its way, and what is dealt out leave the queue.
LINGER_SECONDS = 0.01
#: Nobody pokes for reports; whoever waits for one does not notice so little.
REPORT_POLL_SECONDS = 0.05
REPAIR_SECONDS = 2.0
#: Half a million rows take a while to count.
COUNT_SECONDS = 15.0
RETRY_SECONDS = 0.5
#: A relay that takes longer gives its lock up to another one.
STEP_SECONDS_MAX = 30.0
#: From the stop on it has so long: the broker may be away, and the page is published again.
STEP_SECONDS_AFTER_STOP = 10.0

_QUEUE_BY_STREAM = {queue.stream: queue.name for queue in QUEUES}

_log = structlog.get_logger(__name__)


async def carry_on(core: Core, poked: asyncio.Event, stop: asyncio.Event) -> None:
    """Lead, or stand by until the one that leads is gone, until the stop."""
    turn_metrics = TurnMetrics(core.metrics)
    while not stop.is_set():
        try:
            connection = await psycopg.AsyncConnection.connect(
                core.settings.database_url.reveal(),
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                application_name="semalink-relay",
                options=BOUNDED,
                **KEEPALIVES,
            )
            try:
                await _Lead(core, connection, turn_metrics).lead(poked, stop)
            finally:
                # Not as a context, which would ask a server that hangs to roll back.
                await connection.close()
        except (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError):
            _log.warning("relay_lost_database")
            await wait_for_stop(stop, RETRY_SECONDS)


class _Lead:
    """One relay with the connection that holds its lock."""

    def __init__(
        self,
        core: Core,
        connection: psycopg.AsyncConnection[Any],
        turn_metrics: TurnMetrics,
    ) -> None:
        self._core = core
        self._turn_metrics = turn_metrics
        self._loop = asyncio.get_running_loop()
        self._outbox = PostgresOutbox(connection)
        self._turns = PostgresTurns(connection)
        window = FittingWindow(core.settings.normal_share, now=self._loop.time)
        self._shares = Shares(self._turns, window)
        self._relay = Relay(self._outbox, core.bus, self._shares)
        self._repair_at = self._count_at = self._ask_age_at = 0.0

    async def lead(self, poked: asyncio.Event, stop: asyncio.Event) -> None:
        """Take the lock, and publish until the stop."""
        while not await self._outbox.try_lead():
            if await wait_for_stop(stop, RETRY_SECONDS):
                return
        _log.info("relay_leads")
        await _together(self._carry_messages(poked, stop), self._carry_reports(stop))

    async def _carry_reports(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            moved = self._core.connection.ready and await _step(self._relay.step_reports, stop)
            await wait_for_stop(stop, LINGER_SECONDS if moved else REPORT_POLL_SECONDS)

    async def _carry_messages(self, poked: asyncio.Event, stop: asyncio.Event) -> None:
        while not stop.is_set():
            if not self._core.connection.ready:
                # What waits for the broker ages; no page is read meanwhile that would tell.
                await self._tell_age(moved=False)
                await wait_for_stop(stop, RETRY_SECONDS)
                continue
            await self._look_after()
            poked.clear()
            moved = await _step(self._relay.step, stop)
            await self._tell_age(moved=moved)
            if moved or self._shares.waiting_accounts:
                await wait_for_stop(stop, LINGER_SECONDS)
            else:
                await _wait_for_poke(poked, stop)

    async def _tell_age(self, *, moved: bool) -> None:
        """Set how old the oldest is that was not published.

        Behind a transaction that stays open nothing can be read, and what waits there ages.
        """
        oldest_at = self._relay.oldest_at
        if oldest_at is None and not moved:
            if self._loop.time() < self._ask_age_at:
                return
            self._ask_age_at = self._loop.time() + POLL_SECONDS
            oldest_at = await self._outbox.oldest_unpublished_at()
        age_seconds = (utc_now() - oldest_at).total_seconds() if oldest_at else 0.0
        self._core.metrics.outbox_aged(age_seconds)

    async def _look_after(self) -> None:
        """Now and then put back what the broker lost, and count what waits."""
        now = self._loop.time()
        if now >= self._repair_at:
            self._repair_at = now + REPAIR_SECONDS
            await self._repair()
        if now >= self._count_at:
            self._count_at = now + COUNT_SECONDS
            self._turn_metrics.seen(self._shares, await self._turns.count_waiting())

    async def _repair(self) -> None:
        try:
            marks = await read_marks(self._core.connection.js)
        except (nats.errors.Error, TimeoutError):
            return
        for mark in marks:
            count = await self._count_waiting(mark)
            self._core.metrics.queue_measured(_QUEUE_BY_STREAM[mark.stream], count)
        await self._relay.repair(marks)

    async def _count_waiting(self, mark: StreamMark) -> int:
        if mark.stream != DLR_INBOUND.stream or not mark.waiting_count:
            return mark.waiting_count
        # Most come in bundles; those that came while the database was away are in the broker only.
        return max(mark.waiting_count, await self._outbox.count_reports())


async def _step(step: Callable[[], Awaitable[bool]], stop: asyncio.Event) -> bool:
    moved = False

    async def take() -> None:
        nonlocal moved
        moved = await step()

    async with asyncio.timeout(STEP_SECONDS_MAX):
        await ends_after_stop(take(), stop, STEP_SECONDS_AFTER_STOP)
    return moved


async def _together(*loops: Coroutine[Any, Any, None]) -> None:
    """Run loops until all end, or one fails, which ends the others."""
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _wait_for_poke(poked: asyncio.Event, stop: asyncio.Event) -> None:
    if stop.is_set():
        return
    try:
        async with asyncio.timeout(POLL_SECONDS):
            await poked.wait()
    except TimeoutError:
        return
