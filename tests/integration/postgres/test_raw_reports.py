import asyncio
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool
from uuid_utils.compat import uuid7

from semalink.application.bus import NotReady
from semalink_adapters.postgres import raw_reports
from semalink_adapters.postgres.queries import open_pool
from semalink_adapters.postgres.raw_reports import RawReportWriter


def _writer(pool: AsyncConnectionPool[Any]) -> RawReportWriter:
    return RawReportWriter(pool, now=lambda: datetime.now(UTC), new_id=uuid7, seconds_max=0.3)


async def test_store_raw_keeps_each_report_and_puts_it_on_the_work_list(database_url: str) -> None:
    bodies = [f"report {number}".encode() for number in range(700)]
    pool = open_pool(database_url)
    await pool.open()

    async with pool:
        writer = _writer(pool)
        await asyncio.gather(*(writer.store_raw("celcom", "text/plain", body) for body in bodies))

    with psycopg.connect(database_url) as connection:
        stored = connection.execute("SELECT body FROM inbound_reports").fetchall()
        pending = connection.execute("SELECT count(*) FROM pending_reports").fetchone()
    assert sorted(row[0] for row in stored) == sorted(bodies)
    assert pending == (700,)


async def test_store_raw_says_not_ready_when_the_database_hangs(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_reports, "WAITING_MAX", 3)
    monkeypatch.setattr(raw_reports, "BATCH_MAX", 1)
    pool = open_pool(database_url)
    await pool.open()
    async with pool:
        writer = _writer(pool)
        with psycopg.connect(database_url) as blocker:
            blocker.execute("LOCK TABLE pending_reports")
            first = asyncio.ensure_future(writer.store_raw("celcom", "text/plain", b"1"))
            await asyncio.sleep(0)
            others = [writer.store_raw("celcom", "text/plain", b"2") for _ in range(4)]
            async with asyncio.timeout(1):
                outcomes = await asyncio.gather(first, *others, return_exceptions=True)

        await writer.store_raw("celcom", "text/plain", b"later")

    with psycopg.connect(database_url) as connection:
        stored = connection.execute("SELECT body FROM inbound_reports").fetchall()
    assert [type(outcome) for outcome in outcomes] == [NotReady] * 5
    assert "Too many" in str(outcomes[-1])
    # What hung may still be stored: processing a report twice changes nothing.
    assert {(b"later",)} <= set(stored) <= {(b"1",), (b"later",)}


async def test_store_raw_says_not_ready_when_the_database_refuses(database_url: str) -> None:
    pool = open_pool(database_url)
    await pool.open()
    async with pool:
        writer = _writer(pool)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("ALTER TABLE pending_reports RENAME TO elsewhere")

        with pytest.raises(NotReady):
            await writer.store_raw("celcom", "text/plain", b"report")

    with psycopg.connect(database_url) as connection:
        stored = connection.execute("SELECT count(*) FROM inbound_reports").fetchone()
    assert stored == (0,)
