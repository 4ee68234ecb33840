"""Reports that do not come, from the question to what it changes."""

import importlib
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool
from uuid_utils.compat import uuid7

from semalink.application.awaited_reports import ReportPoller, ReportTimeouts
from semalink.application.ports import DeliveryReport, ReportState
from semalink.application.relaying import ReportPayload
from semalink.application.reporting import ReportProcessor
from semalink_adapters.memory_aggregator import MemoryAggregator
from semalink_adapters.memory_observer import MemoryPollObserver
from semalink_adapters.postgres.awaited_reports import PostgresAwaitedReports
from semalink_adapters.postgres.raw_reports import RawReportWriter
from semalink_adapters.postgres.reports import PostgresReports

MIGRATION = "semalink_adapters.postgres.migrations.versions.0011_pre_awaited_reports"


def _now() -> datetime:
    return datetime.now(UTC)


async def test_report_that_was_asked_for_ends_the_message(
    desk: Any, pool: AsyncConnectionPool[Any], connection: psycopg.Connection[Any]
) -> None:
    job = await desk.accept_job(await desk.open_account(message_count=1))
    await desk.submit(job, "ref-1")
    connection.execute("UPDATE awaited_reports SET next_poll_at = now()")
    celcom = MemoryAggregator("celcom")
    celcom.reports["ref-1"] = DeliveryReport("ref-1", ReportState.DELIVERED, "Delivered")
    awaited = PostgresAwaitedReports(pool)
    writer = RawReportWriter(pool, now=_now, new_id=uuid7)
    poller = ReportPoller(
        celcom, awaited, writer, polls_per_second=5, now=_now, observer=MemoryPollObserver()
    )
    processor = ReportProcessor(
        desk.ledger, PostgresReports(pool), {"celcom": celcom}, now=_now, observe=lambda _, __: None
    )

    assert await poller.poll() == 1
    [(report_id,)] = connection.execute("SELECT report_id FROM pending_reports").fetchall()
    await processor.process([ReportPayload(report_id)])

    assert await awaited.count() == {}
    assert celcom.questions == ["ref-1"]
    steps = connection.execute("SELECT topic FROM message_events ORDER BY originator_version")
    assert steps.fetchall()[-1] == ("message.delivered.1",)


async def test_message_without_a_report_ends_and_is_awaited_no_more(
    desk: Any, pool: AsyncConnectionPool[Any], connection: psycopg.Connection[Any]
) -> None:
    job = await desk.accept_job(await desk.open_account(message_count=1))
    await desk.submit(job, "ref-1")
    awaited = PostgresAwaitedReports(pool)
    observer = MemoryPollObserver()
    timeouts = ReportTimeouts(
        desk.ledger, awaited, wait=timedelta(seconds=-60), now=_now, observer=observer
    )
    before = await awaited.count()

    assert await timeouts.sweep() == 1

    assert (before, await awaited.count()) == ({"celcom": 1}, {})
    assert observer.time_outs == ["celcom"]


# As the list of messages has them, late: it does not know of the end of one.
LISTED = """
INSERT INTO messages (
    message_id, account_id, status, mode, recipient, sender, lane, country, network, encoding,
    segments, price_micros, metadata, accepted_at, submitted_at, expires_at, version, cost_micros)
SELECT message_id, account_id, %s, 'live', '+254712345678', 'DESK', 'normal', 'KE', network,
       'GSM-7', 1, 1, '{}', now(), submitted_at, now(), 1, 1 FROM awaited_reports"""

AWAITED = """
SELECT message_id, account_id, billing_account_id, aggregator, network, reference, submitted_at,
       polls, next_poll_at >= submitted_at + interval '2 minutes'
FROM awaited_reports ORDER BY message_id"""


async def test_upgrade_lists_what_was_submitted_before_it(
    desk: Any, connection: psycopg.Connection[Any]
) -> None:
    account_id = await desk.open_account(message_count=3)
    jobs = [await desk.accept_job(account_id) for _ in range(3)]
    for number, job in enumerate(jobs):
        await desk.submit(job, f"ref-{number}")
    connection.execute(LISTED, ("submitted",))
    await desk.report(jobs[0], "ref-0", ReportState.DELIVERED)
    before = connection.execute(AWAITED).fetchall()
    connection.execute("DELETE FROM awaited_reports")
    connection.execute(
        "UPDATE messages SET submitted_at = now() - interval '3 hours' WHERE message_id = %s",
        (jobs[2].message_id,),
    )

    connection.execute(importlib.import_module(MIGRATION).BACKFILL)

    after = connection.execute(AWAITED).fetchall()
    assert len(before) == len(after) == 2
    assert after[0] == before[0]
    # The questions of two minutes, ten and an hour are not asked any more.
    assert after[1][:6] == before[1][:6]
    assert after[1][7:] == (3, True)
