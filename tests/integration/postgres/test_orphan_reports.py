"""What lies on the shelf, given to a message by hand."""

from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool
from uuid_utils.compat import uuid7

from semalink.application.orphan_reports import AttachReport, OrphanPlace
from semalink.application.ports import DeliveryReport, ReportState
from semalink.application.reporting import ParsedReport
from semalink.domain.status import Status
from semalink_adapters.postgres.orphan_reports import PostgresOrphans
from semalink_adapters.postgres.reports import PostgresReports


@pytest.fixture
def orphans(pool: AsyncConnectionPool[Any]) -> PostgresOrphans:
    """The shelf as operators see it."""
    return PostgresOrphans(pool)


async def test_attach_takes_the_report_off_the_shelf_with_what_it_changes(
    desk: Any,
    orphans: PostgresOrphans,
    pool: AsyncConnectionPool[Any],
    connection: psycopg.Connection[Any],
) -> None:
    job = await desk.accept_job(await desk.open_account(message_count=1))
    await desk.submit(job, "ref-1")
    parsed = [
        ParsedReport(uuid7(), part, "celcom", DeliveryReport("lost", ReportState.DELIVERED, "ok"))
        for part in (0, 3)
    ]
    await PostgresReports(pool).finish([], parsed)
    place = OrphanPlace(parsed[1].report_id, 3)
    orphan = await orphans.orphan(place)
    payer_id = await orphans.billing_account_of(job.message_id)
    assert orphan is not None
    assert payer_id == job.billing_account_id

    answer = await desk.ledger.execute(
        AttachReport(orphan.parsed, job.message_id, payer_id, "known", desk.cause())
    )

    assert answer.value is Status.DELIVERED
    assert await orphans.orphan(place) is None
    rows = connection.execute("SELECT report_id FROM report_shelf").fetchall()
    assert rows == [(parsed[0].report_id,)]
    assert await orphans.billing_account_of(uuid7()) is None
