"""The scheduler process: starts what is due, deals out what may leave, settles what is over."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import nats.errors
import nats.js.errors
import psycopg
import structlog

from semalink.application.bus import NotReady
from semalink.application.campaign_keeping import CampaignKeeper, Scheduler
from semalink.application.dealing import Dealer
from semalink.application.ledger import LedgerUnavailable
from semalink.application.submission import Policy
from semalink_adapters.jetstream.marks import read_marks
from semalink_adapters.jetstream.streams import SMS_BULK
from semalink_adapters.postgres.dealing_book import PostgresDealingBook
from semalink_adapters.postgres.partition_keeping import ensure_partitions
from semalink_adapters.postgres.schedule_book import CAMPAIGN_CHANNEL, PostgresScheduleBook
from semalink_adapters.postgres.sessions import BOUNDED, CONNECT_TIMEOUT_SECONDS, KEEPALIVES
from semalink_ops.bootstrap import Core
from semalink_ops.content_keeping import load_rules
from semalink_ops.observability.campaign_metrics import CampaignMetrics
from semalink_ops.runtime import FINISH_SECONDS, background, new_request_id, utc_now, wait_for_stop

RETRY_SECONDS = 0.5
#: A standby looks so often whether the dealer's place is free.
STANDBY_SECONDS = 2.0
REPAIR_SECONDS = 5.0
PARTITIONS_SECONDS = 6 * 3_600.0
#: A dealer that takes longer gives its lock up to another one.
STEP_SECONDS_MAX = 30.0

_LOST = (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError)

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Wakers:
    """What wakes each loop before its time."""

    events: dict[str, asyncio.Event] = field(default_factory=dict)

    def of(self, name: str) -> asyncio.Event:
        """Return the event of a loop."""
        return self.events.setdefault(name, asyncio.Event())

    def wake(self) -> None:
        """Wake every loop."""
        for event in self.events.values():
            event.set()


async def run_scheduler(core: Core, stop: asyncio.Event) -> None:
    """Schedule, deal out and settle until the stop; any number of schedulers may run."""
    metrics = CampaignMetrics(core.metrics)
    wakers = Wakers()
    async with background(
        _start_due(core, metrics, wakers.of("start"), stop),
        _keep(core, metrics, wakers.of("keep"), stop),
        _deal(core, metrics, wakers.of("deal"), stop),
        _make_partitions(core, stop),
        finish_seconds=FINISH_SECONDS,
    ):
        await _listen(core, wakers, stop)


async def _start_due(
    core: Core, metrics: CampaignMetrics, woken: asyncio.Event, stop: asyncio.Event
) -> None:
    settings = core.settings
    shared = (*settings.shared_senders, *settings.shared_promotional_senders)
    book = PostgresScheduleBook(core.pool, shared_senders=shared, on_query=metrics.queried)
    scheduler = Scheduler(book, core.ledger, new_request_id=_request_id)
    while not stop.is_set():
        woken.clear()
        seconds = await _tried("scheduling_postponed", scheduler.start_due)
        metrics.started(count=scheduler.started_count, sent_back_count=scheduler.sent_back_count)
        metrics.stuck(scheduler.stuck_count)
        scheduler.started_count = scheduler.sent_back_count = scheduler.stuck_count = 0
        await _sleep(seconds, woken, stop)


async def _keep(
    core: Core, metrics: CampaignMetrics, woken: asyncio.Event, stop: asyncio.Event
) -> None:
    book = PostgresScheduleBook(core.pool, on_query=metrics.queried)
    keeper = CampaignKeeper(
        book,
        core.ledger,
        now=utc_now,
        new_request_id=_request_id,
        policy=Policy(unknown_after=timedelta(seconds=core.settings.unknown_after_seconds)),
    )
    while not stop.is_set():
        woken.clear()
        seconds = await _tried("campaign_keeping_postponed", keeper.step)
        metrics.under_way(keeper.under_way_count)
        metrics.stuck(keeper.stuck_count)
        keeper.stuck_count = 0
        await _sleep(seconds, woken, stop)


async def _tried(complaint: str, step: Callable[[], Awaitable[float]]) -> float:
    try:
        return await step()
    except (NotReady, LedgerUnavailable):
        _log.warning(complaint)
        return RETRY_SECONDS


async def _make_partitions(core: Core, stop: asyncio.Event) -> None:
    """Make the months of the logs ahead, as the relay does: either may be away for weeks."""
    seconds = 0.0
    while not await wait_for_stop(stop, seconds):
        try:
            url = core.settings.database_url.reveal()
            made = await asyncio.to_thread(ensure_partitions, url, utc_now())
        except psycopg.OperationalError:
            _log.warning("partitions_postponed")
            seconds = RETRY_SECONDS * 20
        else:
            if made:
                _log.info("partitions_made", count=len(made))
            seconds = PARTITIONS_SECONDS


async def _deal(
    core: Core, metrics: CampaignMetrics, woken: asyncio.Event, stop: asyncio.Event
) -> None:
    while not stop.is_set():
        try:
            async with _connected(core, "semalink-dealer") as connection:
                await _lead(core, PostgresDealingBook(connection), metrics, (woken, stop))
        except _LOST:
            _log.warning("dealer_lost_database")
            await _sleep(RETRY_SECONDS, asyncio.Event(), stop)


async def _lead(
    core: Core,
    book: PostgresDealingBook,
    metrics: CampaignMetrics,
    events: tuple[asyncio.Event, asyncio.Event],
) -> None:
    woken, stop = events
    while not await book.try_lead():
        await _sleep(STANDBY_SECONDS, asyncio.Event(), stop)
        if stop.is_set():
            return
    _log.info("dealer_leads")
    dealer = Dealer(
        book,
        core.bus,
        new_id=core.new_id,
        opens_at=load_rules(core.settings).windows.earliest_legal_start,
        count_outstanding=_outstanding_of(core),
    )
    loop = asyncio.get_running_loop()
    repair_at = 0.0
    while not stop.is_set():
        if not core.connection.ready:
            await _sleep(RETRY_SECONDS, asyncio.Event(), stop)
            continue
        woken.clear()
        with contextlib.suppress(nats.errors.Error, nats.js.errors.Error):
            async with asyncio.timeout(STEP_SECONDS_MAX):
                count = await dealer.step()
                metrics.dealt(count, blocked_seconds=dealer.blocked_seconds)
                # When no campaign sends, there is nothing to be repaired either.
                if dealer.is_busy and loop.time() >= repair_at:
                    repair_at = loop.time() + REPAIR_SECONDS
                    for mark in await read_marks(core.connection.js, (SMS_BULK,)):
                        await dealer.repair(mark)
        await _sleep(dealer.sleep_seconds, woken, stop)


def _outstanding_of(core: Core) -> Callable[[], Awaitable[int]]:
    async def count() -> int:
        marks = await read_marks(core.connection.js, (SMS_BULK,))
        return sum(mark.waiting_count for mark in marks)

    return count


async def _listen(core: Core, wakers: Wakers, stop: asyncio.Event) -> None:
    """Wake the loops when a campaign changed; what is missed is found within half a minute."""
    while not stop.is_set():
        try:
            async with _connected(core, "semalink-scheduler") as connection:
                await connection.execute(f"LISTEN {CAMPAIGN_CHANNEL}")
                # What changed while nobody listened.
                wakers.wake()
                await _hear(connection, wakers, stop)
        except _LOST:
            _log.warning("scheduler_lost_database")
            await _sleep(RETRY_SECONDS, asyncio.Event(), stop)


async def _hear(
    connection: psycopg.AsyncConnection[Any], wakers: Wakers, stop: asyncio.Event
) -> None:
    while not stop.is_set():
        async for _ in connection.notifies(timeout=1.0, stop_after=1):
            wakers.wake()


@contextlib.asynccontextmanager
async def _connected(core: Core, name: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    connection = await psycopg.AsyncConnection.connect(
        core.settings.database_url.reveal(),
        autocommit=True,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        application_name=name,
        options=BOUNDED,
        **KEEPALIVES,
    )
    try:
        yield connection
    finally:
        # Not as a context, which would ask a server that hangs to roll back.
        await connection.close()


async def _sleep(seconds: float, woken: asyncio.Event, stop: asyncio.Event) -> None:
    """Sleep so long, unless woken or stopped before."""
    waits = [asyncio.ensure_future(event.wait()) for event in (woken, stop)]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def _request_id() -> str:
    return new_request_id("job_")
