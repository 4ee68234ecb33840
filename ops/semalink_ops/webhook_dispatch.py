"""The loop of the dispatcher: one at a time, woken when something became due or room was made."""

import asyncio
from contextlib import suppress
from datetime import datetime

import nats.errors
import nats.js.errors
import psycopg
import structlog

from semalink.application.webhook_dispatching import DISPATCH_POKE_SUBJECT, Dispatcher
from semalink_adapters.jetstream.queue_age import find_oldest
from semalink_adapters.jetstream.streams import WEBHOOKS_OUTBOUND
from semalink_adapters.postgres.sessions import BOUNDED, CONNECT_TIMEOUT_SECONDS, KEEPALIVES
from semalink_adapters.postgres.webhook_dispatch import PostgresDispatch
from semalink_ops.bootstrap import Core
from semalink_ops.runtime import new_request_id, utc_now, wait_for_stop

POLL_SECONDS = 0.1
#: Between two steps: what becomes due or ends meanwhile is taken together, which costs less.
LINGER_SECONDS = 0.02
RETRY_SECONDS = 0.5
REPAIR_SECONDS = 5.0
COUNT_SECONDS = 15.0
#: A dispatcher that takes longer gives its lock up to another one.
STEP_SECONDS_MAX = 30.0

_log = structlog.get_logger(__name__)


async def dispatch_webhooks(core: Core, stop: asyncio.Event) -> None:
    """Issue what is due until the stop; a second dispatcher stands by."""
    poked = asyncio.Event()
    await core.bus.on_poke(DISPATCH_POKE_SUBJECT, poked.set)
    while not stop.is_set():
        try:
            connection = await psycopg.AsyncConnection.connect(
                core.settings.database_url.reveal(),
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                application_name="semalink-webhook-dispatcher",
                options=BOUNDED,
                **KEEPALIVES,
            )
            try:
                await _Lead(core, PostgresDispatch(connection), poked).run(stop)
            finally:
                # Not as a context, which would ask a server that hangs to roll back.
                await connection.close()
        except (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError):
            _log.warning("webhook_dispatcher_lost_database")
            await wait_for_stop(stop, RETRY_SECONDS)


class _Lead:
    """One dispatcher, from taking the lock to losing its connection."""

    def __init__(self, core: Core, book: PostgresDispatch, poked: asyncio.Event) -> None:
        self._core = core
        self._book = book
        self._metrics = core.metrics.webhooks
        self._poked = poked
        self._dispatcher = Dispatcher(
            book,
            core.bus,
            core.ledger,
            now=utc_now,
            new_request_id=lambda: new_request_id("job_"),
            observer=core.metrics.webhooks,
        )
        #: When the broker's store was made; None before it was seen.
        self._store_made_at: datetime | None = None
        self._repair_at = 0.0
        self._count_at = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        while not await self._book.try_lead():
            if await wait_for_stop(stop, RETRY_SECONDS):
                return
        _log.info("webhook_dispatcher_leads")
        while not stop.is_set():
            if not self._core.connection.ready:
                await wait_for_stop(stop, RETRY_SECONDS)
                continue
            self._poked.clear()
            async with asyncio.timeout(STEP_SECONDS_MAX):
                await self._repair()
                issued = await self._dispatcher.step()
            if not issued:
                await self._wait(stop)
            await wait_for_stop(stop, LINGER_SECONDS)

    async def _repair(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._repair_at:
            return
        self._repair_at = now + REPAIR_SECONDS
        js = self._core.connection.js
        await self._dispatcher.repair(await find_oldest(js, WEBHOOKS_OUTBOUND))
        if now >= self._count_at:
            self._count_at = now + COUNT_SECONDS
            self._metrics.held(await self._book.count_held())
        made_at = await self._find_store()
        if made_at is not None and made_at != self._store_made_at:
            # New to us, or to everybody: what was issued before may not be in it.
            count = await self._dispatcher.publish_again()
            self._store_made_at = made_at
            if count:
                _log.info("webhooks_published_again", count=count)

    async def _find_store(self) -> datetime | None:
        with suppress(nats.errors.Error, nats.js.errors.Error, TimeoutError):
            return (await self._core.connection.js.stream_info(WEBHOOKS_OUTBOUND.stream)).created
        return None

    async def _wait(self, stop: asyncio.Event) -> None:
        if stop.is_set():
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._poked.wait()
