"""Wires the parts that several processes share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from psycopg_pool import AsyncConnectionPool

from semalink.application.ports import Aggregator
from semalink.application.relaying import POKE_SUBJECT
from semalink.domain.routing import TEST_ROUTE
from semalink_adapters.aggregators.africas_talking import AfricasTalking, AfricasTalkingSettings
from semalink_adapters.aggregators.celcom import Celcom, CelcomSettings
from semalink_adapters.aggregators.session import new_session
from semalink_adapters.jetstream.broker_check import check_server
from semalink_adapters.jetstream.bus import JetStreamBus
from semalink_adapters.jetstream.connection import BusConnection
from semalink_adapters.jetstream.streams import Topology, check_drift, ensure
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.reads import PostgresReads, open_pool
from semalink_ops.observability.metrics import Metrics
from semalink_ops.settings import Settings

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Core:
    """What most processes are made of."""

    settings: Settings
    metrics: Metrics
    pool: AsyncConnectionPool[Any]
    reads: PostgresReads
    ledger: GroupCommit
    connection: BusConnection
    bus: JetStreamBus


@asynccontextmanager
async def open_core(settings: Settings, process: str) -> AsyncIterator[Core]:
    """Open the database, the ledger and the broker; neither has to be there yet."""
    metrics = Metrics()
    pool = open_pool(settings.database_url.reveal())
    await pool.open(wait=False)
    async with (
        open_bus(settings, process, metrics) as (connection, bus),
        GroupCommit(
            settings.database_url.reveal(),
            on_commit=lambda: bus.poke_soon(POKE_SUBJECT),
            on_batch=metrics.ledger_batch,
            application_name=f"semalink-{process}",
        ) as ledger,
    ):
        try:
            yield Core(settings, metrics, pool, PostgresReads(pool), ledger, connection, bus)
        finally:
            await pool.close()


@asynccontextmanager
async def open_bus(
    settings: Settings, process: str, metrics: Metrics
) -> AsyncIterator[tuple[BusConnection, JetStreamBus]]:
    """Connect to the broker in the background and keep its streams as declared."""
    topology = Topology(settings.nats_replicas, settings.nats_bytes_divisor)
    connection = BusConnection(settings.nats_url.reveal(), f"semalink-{process}")

    async def prepare(js: Any) -> None:
        await check_server(connection.client, monitor_urls=settings.nats_monitor_urls)
        await ensure(js, topology)
        await check_drift(js, topology)

    connection.prepare_with(prepare)
    connection.start()
    try:
        yield connection, JetStreamBus(connection, observer=metrics.bus)
    finally:
        await connection.close()


@asynccontextmanager
async def open_aggregators(settings: Settings) -> AsyncIterator[dict[str, Aggregator]]:
    """Open a session to each aggregator, and to the sandbox for messages of test keys."""
    raise NotImplementedError
