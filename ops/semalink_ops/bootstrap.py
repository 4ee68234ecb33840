"""Wires the parts that several processes share."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import aiohttp
import psycopg
from nats.js import JetStreamContext
from psycopg_pool import AsyncConnectionPool
from uuid_utils.compat import uuid7

from semalink.application.ports import Aggregator
from semalink.application.relaying import POKE_SUBJECT
from semalink.domain.routing import TEST_ROUTE
from semalink_adapters.aggregators.africas_talking import AfricasTalking, AfricasTalkingSettings
from semalink_adapters.aggregators.celcom import Celcom, CelcomSettings
from semalink_adapters.aggregators.exchange import new_session
from semalink_adapters.jetstream.broker_check import check_server
from semalink_adapters.jetstream.bus import JetStreamBus
from semalink_adapters.jetstream.connection import BusConnection
from semalink_adapters.jetstream.streams import Topology, check_drift, ensure
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.queries import open_pool
from semalink_adapters.postgres.reads import PostgresReads
from semalink_ops.archiving.reading import archived_events
from semalink_ops.dedicated_routes import DedicatedRoute, load_dedicated_routes
from semalink_ops.observability import tracing
from semalink_ops.observability.bus_observer import BusMetrics
from semalink_ops.observability.metrics import Metrics, watch_loop
from semalink_ops.observability.tracing import Tracing
from semalink_ops.settings import Settings

#: The sandbox knows messages of test keys by these; they open nothing else.
SANDBOX_PARTNER_ID = "sandbox"
SANDBOX_API_KEY = "sandbox"

#: Shorter than what a health page waits for, so that a part that hangs is named by itself.
CHECK_SECONDS_MAX = 1.0


@dataclass(frozen=True, slots=True)
class Core:
    """What most processes are made of."""

    settings: Settings
    metrics: Metrics
    tracing: Tracing
    pool: AsyncConnectionPool[Any]
    reads: PostgresReads
    ledger: GroupCommit
    connection: BusConnection
    bus: JetStreamBus
    bus_metrics: BusMetrics
    new_id: Callable[[], UUID] = uuid7

    async def check(self) -> dict[str, bool]:
        """Say of each part that the process needs whether it is there."""
        return {
            "database": await self._database_answers(),
            # It has a connection of its own, which may be away or stuck by itself.
            "ledger": self.ledger.is_available,
            "broker": self.connection.ready,
        }

    async def _database_answers(self) -> bool:
        try:
            async with asyncio.timeout(CHECK_SECONDS_MAX), self.pool.connection() as connection:
                await connection.execute("SELECT 1")
        except (psycopg.Error, TimeoutError):
            return False
        return True


class Poker:
    """Wakes the relay and the projector; a poke under way stands for those that follow."""

    def __init__(self, bus: JetStreamBus, subject: str = POKE_SUBJECT) -> None:
        self._bus = bus
        self._subject = subject
        self._poking: asyncio.Task[None] | None = None

    def poke(self) -> None:
        """Poke soon, and forget about it."""
        if self._poking is None or self._poking.done():
            self._poking = asyncio.ensure_future(self._bus.poke(self._subject))


@asynccontextmanager
async def open_core(
    settings: Settings, process: str, *, makes_work: bool = False
) -> AsyncIterator[Core]:
    """Open the database, the ledger and the broker; neither has to be there yet.

    A process that ``makes_work`` wakes the relay after each commit.
    """
    metrics = Metrics()
    bus_metrics = BusMetrics(metrics)
    traces = tracing.configure(
        f"semalink-{process}",
        ratio=settings.trace_ratio,
        exporter=tracing.choose_exporter(_trace_environment(settings)),
    )
    database_url = settings.database_url.reveal()
    pool = open_pool(database_url, size=settings.database_pool_size)
    await pool.open(wait=False)
    async with AsyncExitStack() as stack:
        stack.callback(traces.shut_down)
        stack.push_async_callback(pool.close)
        connection = await stack.enter_async_context(open_connection(settings, process))
        bus = JetStreamBus(connection, observer=bus_metrics)
        ledger = await stack.enter_async_context(
            GroupCommit(
                database_url,
                on_commit=Poker(bus).poke if makes_work else None,
                on_batch=metrics.batch_committed,
                application_name=f"semalink-{process}",
            )
        )
        metrics.watch_ledger(lambda: ledger.waiting_count)
        watching = asyncio.create_task(watch_loop(metrics))
        stack.callback(watching.cancel)
        yield Core(
            settings, metrics, traces, pool,
            PostgresReads(pool, archived=archived_events(settings, pool)), ledger, connection, bus,
            bus_metrics,
        )  # fmt: skip


@asynccontextmanager
async def open_connection(settings: Settings, process: str) -> AsyncIterator[BusConnection]:
    """Connect to the broker in the background and keep its streams as declared."""
    topology = Topology(settings.nats_replicas, settings.nats_bytes_divisor)
    connection = BusConnection(settings.nats_url.reveal(), f"semalink-{process}")

    async def prepare(js: JetStreamContext) -> None:
        await check_server(connection.client, monitor_urls=settings.nats_monitor_urls)
        await ensure(js, topology)
        await check_drift(js, topology)

    connection.prepare_with(prepare)
    connection.start()
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def open_aggregators(settings: Settings) -> AsyncIterator[dict[str, Aggregator]]:
    """Open a session to each aggregator that is set up, and to the sandbox for test keys."""
    limit = settings.sms_concurrency * 2
    async with AsyncExitStack() as stack:
        sandbox_session = await stack.enter_async_context(new_session(limit))
        sandbox = CelcomSettings(
            partner_id=SANDBOX_PARTNER_ID, api_key=SANDBOX_API_KEY, base_url=settings.sandbox_url
        )
        aggregators: dict[str, Aggregator] = {
            TEST_ROUTE: Celcom(sandbox, sandbox_session, name=TEST_ROUTE)
        }
        if settings.celcom_partner_id and settings.celcom_api_key:
            celcom = CelcomSettings(
                partner_id=settings.celcom_partner_id,
                api_key=settings.celcom_api_key.reveal(),
                base_url=settings.celcom_url,
            )
            session = await stack.enter_async_context(new_session(limit))
            aggregators["celcom"] = Celcom(celcom, session)
        if settings.africastalking_username and settings.africastalking_api_key:
            africas_talking = AfricasTalkingSettings(
                username=settings.africastalking_username,
                api_key=settings.africastalking_api_key.reveal(),
                base_url=settings.africastalking_url,
            )
            session = await stack.enter_async_context(new_session(limit))
            aggregators["africastalking"] = AfricasTalking(africas_talking, session)
        for own in load_dedicated_routes(settings):
            session = await stack.enter_async_context(new_session(limit))
            aggregators[own.name] = _open_dedicated(own, session)
        yield aggregators


def _open_dedicated(own: DedicatedRoute, session: aiohttp.ClientSession) -> Aggregator:
    key = own.api_key.reveal()
    if own.provider == "celcom":
        celcom = CelcomSettings(partner_id=own.user, api_key=key, base_url=own.url)
        return Celcom(celcom, session, name=own.name)
    africas_talking = AfricasTalkingSettings(username=own.user, api_key=key, base_url=own.url)
    return AfricasTalking(africas_talking, session, name=own.name)


def _trace_environment(settings: Settings) -> dict[str, str]:
    return {**os.environ, "SEMALINK_TRACES": settings.traces or ""}
