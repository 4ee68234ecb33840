"""Delivery reports: stored raw, matched by reference, or by the only number that fits."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool
from uuid_utils.compat import uuid7

from semalink.application.ports import DeliveryReport, ReportState
from semalink.application.relaying import ReportPayload
from semalink.application.reporting import Owner, ParsedReport, RawReport
from semalink.application.submission import Policy
from semalink_adapters.postgres.outbox import PostgresOutbox
from semalink_adapters.postgres.raw_reports import RawReportWriter
from semalink_adapters.postgres.reports import PostgresReports

OVERDUE = Policy(unknown_after=timedelta(seconds=-1))


@pytest.fixture
def reports(pool: AsyncConnectionPool[Any]) -> PostgresReports:
    """The report book."""
    return PostgresReports(pool)


@pytest.fixture
def writer(pool: AsyncConnectionPool[Any]) -> RawReportWriter:
    """What stores reports as they come."""
    return RawReportWriter(pool, now=lambda: datetime.now(UTC), new_id=uuid7)


def _parsed(
    reference: str, to: str | None = None, state: ReportState = ReportState.DELIVERED
) -> ParsedReport:
    report = DeliveryReport(reference, state, 'Deliver"ed\0', to=to)
    return ParsedReport(uuid7(), 0, "celcom", report)


async def _shelve(
    reports: PostgresReports,
    connection: psycopg.Connection[Any],
    *parsed: ParsedReport,
    age_seconds: int = 61,
) -> None:
    """Put reports on the shelf, and let time pass for everything that waits."""
    await reports.finish([report.report_id for report in parsed], parsed)
    back = "now() - make_interval(secs => %s)"
    for report in parsed:
        connection.execute(
            f"UPDATE report_shelf SET shelved_at = {back} WHERE report_id = %s",
            (age_seconds, report.report_id),
        )
    connection.execute(f"UPDATE pending_submissions SET queued_at = {back}", (90,))


async def test_raw_report_is_stored_with_its_place_on_the_work_list(
    reports: PostgresReports, writer: RawReportWriter, books: Any
) -> None:
    await writer.store_raw("celcom", "application/json", b'{"raw": "\xff"}')

    [(report_id,)] = books.all("SELECT report_id FROM pending_reports")
    loaded = await reports.load([ReportPayload(report_id)])
    assert loaded == [RawReport(report_id, "celcom", "application/json", b'{"raw": "\xff"}')]


async def test_inline_report_is_stored_once(reports: PostgresReports, books: Any) -> None:
    inline = ReportPayload(uuid7(), "celcom", "text/plain", b"raw", datetime.now(UTC))

    loaded = await reports.load([inline, ReportPayload(uuid7())])
    again = await reports.load([inline])

    assert loaded == again == [RawReport(inline.report_id, "celcom", "text/plain", b"raw")]
    assert books.one("SELECT count(*) FROM inbound_reports") == 1
    assert books.one("SELECT count(*) FROM pending_reports WHERE refilled_at IS NOT NULL") == 1


@pytest.mark.parametrize("is_done", [True, False])
async def test_finish_and_set_aside_strike_reports_off(
    reports: PostgresReports, writer: RawReportWriter, books: Any, *, is_done: bool
) -> None:
    await writer.store_raw("celcom", "application/json", b"1")
    await writer.store_raw("celcom", "application/json", b"2")
    [(first,), (second,)] = books.all("SELECT report_id FROM pending_reports ORDER BY 1")

    await (reports.finish([first], []) if is_done else reports.set_aside([first]))

    assert books.all("SELECT report_id FROM pending_reports") == [(second,)]
    assert len(await reports.load([ReportPayload(first)])) == 1


async def test_owner_is_who_the_reference_was_given_to(desk: Any, reports: PostgresReports) -> None:
    job = await desk.accept_job(await desk.open_account(message_count=1))
    await desk.submit(job, "ref-1")

    owners = await reports.owners(
        [("celcom", "ref-1"), ("celcom", "ref-2"), ("africastalking", "ref-1")]
    )

    assert owners == {("celcom", "ref-1"): Owner(job.message_id, job.billing_account_id)}
    assert await reports.owners([]) == {}


async def test_shelved_report_waits_for_its_message(
    desk: Any, reports: PostgresReports, books: Any, connection: psycopg.Connection[Any]
) -> None:
    job = await desk.accept_job(await desk.open_account(message_count=1))
    early, foreign = _parsed("ref-1"), _parsed("ref-other")
    await desk.start(job)
    await _shelve(reports, connection, early, foreign, age_seconds=0)
    before = await reports.matched_on_shelf(10)

    await desk.take_receipt(job, "ref-1")
    matched = await reports.matched_on_shelf(10)
    await reports.unshelve([early, replace(foreign, part=1)])

    assert before == []
    assert matched == [(early, Owner(job.message_id, job.billing_account_id))]
    assert await reports.matched_on_shelf(10) == []
    assert books.one("SELECT count(*) FROM report_shelf") == 1


async def test_shelving_twice_keeps_one(
    reports: PostgresReports, connection: psycopg.Connection[Any]
) -> None:
    parsed = _parsed("ref-1")

    await _shelve(reports, connection, parsed)
    await _shelve(reports, connection, parsed)

    assert await reports.count_shelved() == 1


async def test_number_matches_the_only_message_whose_answer_was_lost(
    desk: Any, reports: PostgresReports, connection: psycopg.Connection[Any], recipient: str
) -> None:
    account_id = await desk.open_account(message_count=2)
    lost = await desk.accept_job(account_id)
    await desk.accept_job(account_id)
    await desk.lose_answer(lost)
    progress = _parsed("ref-1", recipient, ReportState.SUBMITTED)
    delivered = _parsed("ref-1", recipient)
    stranger = _parsed("ref-2", "+254700000009")
    nameless = _parsed("ref-3")

    await _shelve(reports, connection, progress, delivered, stranger, nameless)

    owner = Owner(lost.message_id, account_id)
    assert await reports.matched_by_number(10) == [(progress, owner), (delivered, owner)]


async def test_number_matches_nothing_when_two_answers_were_lost(
    desk: Any, reports: PostgresReports, connection: psycopg.Connection[Any], recipient: str
) -> None:
    account_id = await desk.open_account(message_count=2)
    for _ in range(2):
        await desk.lose_answer(await desk.accept_job(account_id))

    await _shelve(reports, connection, _parsed("ref-1", recipient))

    assert await reports.matched_by_number(10) == []


async def test_number_matches_nothing_when_two_references_name_it(
    desk: Any, reports: PostgresReports, connection: psycopg.Connection[Any], recipient: str
) -> None:
    lost = await desk.accept_job(await desk.open_account(message_count=1))
    await desk.lose_answer(lost)

    await _shelve(reports, connection, _parsed("ref-1", recipient), _parsed("ref-2", recipient))

    assert await reports.matched_by_number(10) == []


@pytest.mark.parametrize(
    "age_seconds", [pytest.param(30, id="too_young"), pytest.param(120, id="older_than_message")]
)
async def test_number_matches_nothing_outside_its_time(
    desk: Any,
    reports: PostgresReports,
    connection: psycopg.Connection[Any],
    recipient: str,
    age_seconds: int,
) -> None:
    await desk.lose_answer(await desk.accept_job(await desk.open_account(message_count=1)))

    await _shelve(reports, connection, _parsed("ref-1", recipient), age_seconds=age_seconds)

    assert await reports.matched_by_number(10) == []


async def test_unknown_is_overdue_after_its_deadline(desk: Any, reports: PostgresReports) -> None:
    account_id = await desk.open_account(message_count=3)
    overdue, waiting = [await desk.accept_job(account_id) for _ in range(2)]
    await desk.lose_answer(overdue, OVERDUE)
    await desk.lose_answer(waiting)

    assert await reports.overdue_unknowns(10) == [overdue]


async def test_message_is_expired_unsent_a_minute_after_its_validity(
    desk: Any, reports: PostgresReports, connection: psycopg.Connection[Any]
) -> None:
    account_id = await desk.open_account(message_count=4)
    jobs = [await desk.accept_job(account_id) for _ in range(4)]
    queued, parked, unknown, young = jobs
    await reports.park(parked.message_id)
    await desk.lose_answer(unknown)
    for job, age_seconds in ((queued, 62), (parked, 61), (unknown, 61), (young, 59)):
        connection.execute(
            "UPDATE pending_submissions SET expires_at = now() - make_interval(secs => %s)"
            " WHERE message_id = %s",
            (age_seconds, job.message_id),
        )

    assert await reports.expired_unsent(10) == [queued, parked]


async def test_validity_is_kept_beside_the_log(desk: Any, books: Any) -> None:
    account_id = await desk.open_account(message_count=1)
    expires_at = datetime.now(UTC) + timedelta(hours=1)

    await desk.accept_job(account_id, expires_at=expires_at)

    assert books.one("SELECT expires_at FROM pending_submissions") == expires_at


async def test_parked_message_leaves_the_work_list(
    desk: Any, reports: PostgresReports, books: Any
) -> None:
    account_id = await desk.open_account(message_count=3)
    queued, unknown = [await desk.accept_job(account_id) for _ in range(2)]
    await desk.lose_answer(unknown)

    for job in (queued, unknown):
        await reports.park(job.message_id)

    assert books.all("SELECT state FROM pending_submissions ORDER BY message_id") == [
        ("parked",),
        ("unknown",),
    ]


async def test_relay_reads_past_reports_that_came_through_the_broker_or_are_done(
    reports: PostgresReports, writer: RawReportWriter, books: Any, database_url: str
) -> None:
    for body in (b"done", b"new"):
        await writer.store_raw("celcom", "text/plain", body)
    await reports.load([ReportPayload(uuid7(), "celcom", "text/plain", b"x", datetime.now(UTC))])
    stored = dict(books.all("SELECT convert_from(body, 'UTF8'), report_id FROM inbound_reports"))
    await reports.finish([stored["done"]], [])

    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        page = await PostgresOutbox(connection).next_reports(10)

    assert page.report_ids == [stored["new"]]
    assert page.end is not None
