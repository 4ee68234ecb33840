"""Reports in bundles between a real database and a real broker: only the bad one ends."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from psycopg_pool import AsyncConnectionPool
from tests.chaos.waiting import until
from uuid_utils.compat import uuid7

from semalink.domain.routing import TEST_ROUTE
from semalink_adapters.jetstream.streams import DLR_INBOUND
from semalink_adapters.postgres.raw_reports import RawReportWriter
from semalink_ops.bootstrap import Core, open_core
from semalink_ops.settings import Settings
from semalink_ops.workers import run_dlr_worker, run_relay

GOOD = b"""{"messageid": "%d", "description": "DeliveredToTerminal",
    "timestamp": "2026-11-25 10:16:10"}"""
GARBLED = b"{"
SHELF = "SELECT report_id FROM report_shelf ORDER BY 1"
LETTERS = "SELECT about, error_type FROM dead_letters"


@pytest.fixture
def settings(database_url: str, nats_url: str) -> Settings:
    return Settings.from_environment(
        {
            "SEMALINK_DATABASE_URL": database_url,
            "SEMALINK_NATS_URL": nats_url,
            "SEMALINK_NATS_BYTES_DIVISOR": "64",
            "SEMALINK_KEY_PEPPER": "a-pepper-of-at-least-thirty-two-characters",
        }
    )


@pytest.fixture
async def core(settings: Settings) -> AsyncIterator[Core]:
    """A relay at work."""
    stop = asyncio.Event()
    async with open_core(settings, "relay") as core:
        relaying = asyncio.create_task(run_relay(core, stop))
        assert await core.connection.wait_ready(10)
        yield core
        stop.set()
        await relaying


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[None]:
    """A worker that applies reports."""
    stop = asyncio.Event()
    async with open_core(settings, "worker-dlr") as core:
        working = asyncio.create_task(run_dlr_worker(core, stop))
        yield
        stop.set()
        await working


async def store(pool: AsyncConnectionPool[Any], bodies: Sequence[bytes]) -> list[UUID]:
    """Store reports in one transaction, so that the relay finds them together."""
    ids = [uuid7() for _ in bodies]
    fresh = iter(ids)
    writer = RawReportWriter(pool, now=lambda: datetime.now(UTC), new_id=lambda: next(fresh))
    await asyncio.gather(*(writer.store_raw(TEST_ROUTE, "application/json", one) for one in bodies))
    return ids


async def test_garbled_report_in_a_bundle_is_one_dead_letter_and_the_others_are_applied(
    core: Core, settings: Settings, pool: AsyncConnectionPool[Any], books: Any
) -> None:
    ids = await store(pool, [GOOD % 1, GARBLED, GOOD % 3])

    async def is_done() -> bool:
        return len(books.all(SHELF)) == 2 and len(books.all(LETTERS)) == 1

    async with worker(settings):
        await until(is_done, "each report ended", within_seconds=15)

    assert books.all(SHELF) == [(ids[0],), (ids[2],)]
    assert books.all(LETTERS) == [(f"rpt_{ids[1].hex}", "PoisonMessage")]
    assert books.all("SELECT report_id FROM pending_reports") == []


async def test_bundles_are_put_back_that_the_broker_lost(
    core: Core, settings: Settings, pool: AsyncConnectionPool[Any], books: Any
) -> None:
    ids = await store(pool, [GOOD % number for number in range(1, 6)])
    js = core.connection.js

    async def is_published() -> bool:
        known = books.all("SELECT FROM broker_streams WHERE stream = %s", DLR_INBOUND.stream)
        return bool(known) and (await js.stream_info(DLR_INBOUND.stream)).state.messages > 0

    async def is_done() -> bool:
        return len(books.all(SHELF)) == len(ids)

    await until(is_published, "the broker has them", within_seconds=10)
    await js.delete_stream(DLR_INBOUND.stream)
    async with worker(settings):
        await until(is_done, "each report was applied", within_seconds=15)

    assert books.all(SHELF) == [(one,) for one in ids]
    assert books.all("SELECT report_id FROM pending_reports") == []
