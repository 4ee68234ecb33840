"""The feed's loop: beside the read models, with a place, a lock and failures of its own."""

import asyncio
from contextlib import closing
from typing import Any

import psycopg
import structlog

from semalink.application.relaying import POKE_SUBJECT
from semalink.application.webhook_dispatching import DISPATCH_POKE_SUBJECT
from semalink.domain.cause import Cause
from semalink_adapters.postgres.feed import PAGE_SIZE, FeedPage, FeedWriter, connect
from semalink_ops.bootstrap import Core, Poker
from semalink_ops.observability.feed_metrics import FeedMetrics
from semalink_ops.runtime import new_request_id, utc_now, wait_for_stop

#: After a step that read something, for what was not readable yet or comes in a moment.
ROUND_SECONDS = 0.05
POLL_SECONDS = 1.0
ROUNDS_AFTER_NEWS = 10
RETRY_SECONDS = 0.5
FAILURE_PAUSE_SECONDS = 0.5
FAILURE_PAUSE_SECONDS_MAX = 30.0

_log = structlog.get_logger(__name__)


async def run_feed(core: Core, stop: asyncio.Event) -> None:
    """Follow the logs with the feed until the stop; a second one stands by."""
    poked = asyncio.Event()
    await core.bus.on_poke(POKE_SUBJECT, poked.set)
    wake = Poker(core.bus, DISPATCH_POKE_SUBJECT)
    metrics = FeedMetrics(core.metrics)
    while not stop.is_set():
        try:
            connection = await asyncio.to_thread(connect, core.settings.database_url.reveal())
            with closing(connection):
                await Feeding(connection, metrics, wake).follow(poked, stop)
        except (psycopg.OperationalError, psycopg.InterfaceError):
            _log.warning("feed_lost_database")
            await wait_for_stop(stop, RETRY_SECONDS)


class Feeding:
    """Steps again and again; a step that fails is made smaller, down to the event at fault."""

    def __init__(
        self, connection: psycopg.Connection[Any], metrics: FeedMetrics, wake: Poker | None = None
    ) -> None:
        self._writer = FeedWriter(connection)
        self._metrics = metrics
        self._wake = wake
        self._failure_count = 0

    async def follow(self, poked: asyncio.Event, stop: asyncio.Event) -> None:
        """Step until the stop or the loss of the database."""
        rounds_left = ROUNDS_AFTER_NEWS
        while not stop.is_set():
            page = await self._step(stop)
            if page.has_more:
                continue
            if page.row_count or poked.is_set():
                poked.clear()
                rounds_left = ROUNDS_AFTER_NEWS
            rounds_left -= 1
            if rounds_left > 0:
                await wait_for_stop(stop, ROUND_SECONDS)
            else:
                await _wait_for_poke(poked, stop)

    async def _step(self, stop: asyncio.Event) -> FeedPage:
        cause = Cause("worker:feed", utc_now(), new_request_id("job_"))
        # As a value: what one event throws must not end the process.
        [outcome] = await asyncio.gather(
            asyncio.to_thread(self._writer.step, cause), return_exceptions=True
        )
        if isinstance(outcome, FeedPage):
            self._went_well(outcome)
            return outcome
        if isinstance(outcome, psycopg.OperationalError | psycopg.InterfaceError):
            raise outcome
        if not isinstance(outcome, Exception):
            raise outcome
        if self._writer.page_size > 1:
            self._writer.page_size //= 2
        else:
            self._failed(outcome)
            await wait_for_stop(stop, self._pause_seconds())
        return FeedPage()

    def _went_well(self, page: FeedPage) -> None:
        self._metrics.moved(
            event_count=page.item_count,
            delivery_count=page.delivery_count,
            lag_seconds=page.lag_seconds,
        )
        if page.row_count:
            self._writer.page_size = min(PAGE_SIZE, self._writer.page_size * 2)
            self._failure_count = 0
        self._metrics.failing(failing=self._failure_count > 0)
        if page.delivery_count and self._wake is not None:
            self._wake.poke()

    def _failed(self, error: Exception) -> None:
        self._failure_count += 1
        topic, originator_id, version = self._writer.began_at or (None, None, None)
        # The class of the error only: what it says may repeat what the event says.
        _log.error(
            "feed_failed",
            error_class=type(error).__name__,
            topic=topic,
            originator_id=originator_id,
            version=version,
        )
        self._metrics.failing(failing=True)

    def _pause_seconds(self) -> float:
        doubled = FAILURE_PAUSE_SECONDS * 2.0 ** min(self._failure_count - 1, 10)
        return min(doubled, FAILURE_PAUSE_SECONDS_MAX)


async def _wait_for_poke(poked: asyncio.Event, stop: asyncio.Event) -> None:
    if stop.is_set():
        return
    try:
        async with asyncio.timeout(POLL_SECONDS):
            await poked.wait()
    except TimeoutError:
        return
