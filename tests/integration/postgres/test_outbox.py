"""The work list: what is due, what a queue must hold, and what the broker lost."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from semalink.application.outbox import StreamMark
from semalink.application.ports import FailureClass, SendFailed
from semalink_adapters.postgres.outbox import PostgresOutbox

THROTTLED = SendFailed(
    FailureClass.TRANSIENT,
    provider_code="429",
    detail="Too many",
    retryable=True,
    may_fail_over=False,
)
MARK = StreamMark("SMS_NORMAL", datetime(2026, 11, 23, 9, tzinfo=UTC), 100, 5, 5)


@pytest.fixture
async def outbox(database_url: str) -> AsyncIterator[PostgresOutbox]:
    """The relay's view of the database."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        yield PostgresOutbox(connection)


async def _postpone(desk: Any, connection: psycopg.Connection[Any], *, is_due: bool) -> Any:
    job = await desk.accept_job(await desk.open_account(message_count=1))
    await desk.start(job)
    await desk.refuse(job, THROTTLED)
    if is_due:
        _let_time_pass(connection, job.message_id)
    return job


def _let_time_pass(connection: psycopg.Connection[Any], message_id: UUID) -> None:
    connection.execute(
        "UPDATE pending_submissions SET due_at = now() WHERE message_id = %s", (message_id,)
    )


async def test_accepted_messages_come_with_their_lane(desk: Any, outbox: PostgresOutbox) -> None:
    account_id = await desk.open_account(message_count=2)
    urgent = await desk.accept_job(account_id, lane="priority")
    normal = await desk.accept_job(account_id)
    await desk.submit(normal, "ref-1")

    page = await outbox.next_jobs(10)
    assert page.end is not None
    await outbox.jobs_published(page.end)

    assert [(job.job, job.lane, job.round) for job in page.jobs] == [
        (urgent, "priority", 0),
        (normal, "normal", 0),
    ]
    assert page.oldest_at is not None
    assert await outbox.next_jobs(10) == type(page)((), None, None)


async def test_page_of_other_events_moves_the_cursor(desk: Any, outbox: PostgresOutbox) -> None:
    job = await desk.accept_job(await desk.open_account(message_count=1))
    await desk.submit(job, "ref-1")

    first = await outbox.next_jobs(1)
    assert first.end is not None
    await outbox.jobs_published(first.end)
    second = await outbox.next_jobs(10)

    assert (second.jobs, second.oldest_at) == ([], None)
    assert second.end is not None


async def test_oldest_unpublished_is_found_behind_other_events(
    desk: Any, outbox: PostgresOutbox
) -> None:
    account_id = await desk.open_account(message_count=2)
    await desk.submit(await desk.accept_job(account_id), "ref-1")
    first = await outbox.next_jobs(1)
    assert first.end is not None
    await outbox.jobs_published(first.end)
    nothing = await outbox.oldest_unpublished_at()

    await desk.accept_job(account_id)

    assert nothing is None
    assert await outbox.oldest_unpublished_at() == (await outbox.next_jobs(10)).oldest_at


async def test_postponed_message_comes_when_it_is_due(
    desk: Any, outbox: PostgresOutbox, connection: psycopg.Connection[Any]
) -> None:
    due = await _postpone(desk, connection, is_due=True)
    await _postpone(desk, connection, is_due=False)

    jobs = await outbox.due_jobs(10)
    await outbox.requeued([job.job.message_id for job in jobs])

    assert [(job.job, job.round) for job in jobs] == [(due, 1)]
    assert await outbox.due_jobs(10) == []


async def test_requeued_leaves_a_message_that_was_put_off_again(
    desk: Any, outbox: PostgresOutbox, connection: psycopg.Connection[Any]
) -> None:
    job = await _postpone(desk, connection, is_due=True)
    [due] = await outbox.due_jobs(10)
    # A worker is faster than the relay's own bookkeeping.
    connection.execute("UPDATE pending_submissions SET due_at = now() + interval '5 s', round = 2")

    await outbox.requeued([due.job.message_id])
    _let_time_pass(connection, job.message_id)

    assert [(again.job, again.round) for again in await outbox.due_jobs(10)] == [(job, 2)]


async def test_queue_must_hold_what_waits_in_its_lane(
    desk: Any, outbox: PostgresOutbox, connection: psycopg.Connection[Any]
) -> None:
    account_id = await desk.open_account(message_count=6)
    waiting = [await desk.accept_job(account_id) for _ in range(3)]
    await desk.accept_job(account_id, lane="priority")
    submitted, unknown = [await desk.accept_job(account_id) for _ in range(2)]
    await desk.submit(submitted, "ref-1")
    await desk.lose_answer(unknown)
    await _postpone(desk, connection, is_due=False)

    first = await outbox.queued_jobs("normal", after=None, older_than_seconds=0, limit=2)
    rest = await outbox.queued_jobs(
        "normal", after=first[-1].job.message_id, older_than_seconds=0, limit=10
    )
    settled = await outbox.queued_jobs("normal", after=None, older_than_seconds=30, limit=10)

    assert [job.job for job in [*first, *rest]] == waiting
    assert settled == []


async def test_urgent_are_those_of_the_priority_lane_that_were_never_put_off(
    desk: Any, outbox: PostgresOutbox, connection: psycopg.Connection[Any]
) -> None:
    account_id = await desk.open_account(message_count=5)
    await desk.accept_job(account_id)
    first, second, again, sent = [
        await desk.accept_job(account_id, lane="priority") for _ in range(4)
    ]
    connection.execute(
        "UPDATE pending_submissions SET round = 1 WHERE message_id = %s", (again.message_id,)
    )
    await desk.submit(sent, "ref-1")

    page = await outbox.urgent_jobs(after=None, limit=1)
    rest = await outbox.urgent_jobs(after=page[-1].job.message_id, limit=10)

    assert [job.job for job in [*page, *rest]] == [first, second]


async def test_queue_must_hold_reports_that_are_not_processed(
    outbox: PostgresOutbox, connection: psycopg.Connection[Any]
) -> None:
    report_ids = [uuid7() for _ in range(3)]
    for report_id, age in zip(report_ids, (60, 60, 0), strict=True):
        connection.execute(
            "INSERT INTO pending_reports VALUES (%s, now() - make_interval(secs => %s))",
            (report_id, age),
        )

    old = await outbox.queued_reports(after=None, older_than_seconds=30, limit=10)
    rest = await outbox.queued_reports(after=report_ids[0], older_than_seconds=0, limit=1)

    assert (old, rest) == (report_ids[:2], report_ids[1:2])


async def test_message_is_parked_that_was_put_back_too_often(
    desk: Any, outbox: PostgresOutbox, connection: psycopg.Connection[Any], books: Any
) -> None:
    account_id = await desk.open_account(message_count=2)
    vanished, fine = [(await desk.accept_job(account_id)).message_id for _ in range(2)]
    await outbox.jobs_refilled([vanished])
    await outbox.jobs_refilled([vanished])
    too_early = await outbox.give_up_jobs("normal", refills=2, older_than_seconds=30)
    connection.execute("UPDATE pending_submissions SET queued_at = now() - interval '31 s'")

    given_up = await outbox.give_up_jobs("normal", refills=2, older_than_seconds=30)

    assert too_early == []
    assert given_up == [vanished]
    assert books.all("SELECT message_id, state FROM pending_submissions ORDER BY state") == [
        (vanished, "parked"),
        (fine, "queued"),
    ]


async def test_report_is_struck_off_that_was_put_back_too_often(
    outbox: PostgresOutbox, connection: psycopg.Connection[Any], books: Any
) -> None:
    report_ids = [uuid7() for _ in range(2)]
    for report_id in report_ids:
        connection.execute(
            "INSERT INTO pending_reports VALUES (%s, now() - interval '60 s')", (report_id,)
        )
    await outbox.reports_refilled(report_ids[:1])
    waiting = await outbox.queued_reports(after=None, older_than_seconds=30, limit=10)
    too_early = await outbox.give_up_reports(refills=1, older_than_seconds=30)

    given_up = await outbox.give_up_reports(refills=1, older_than_seconds=0)

    assert (waiting, too_early, given_up) == (report_ids[1:], [], report_ids[:1])
    assert books.all("SELECT report_id FROM pending_reports") == [(report_ids[1],)]


@pytest.mark.parametrize(
    ("mark", "is_lost"),
    [
        pytest.param(MARK, False, id="the_same"),
        pytest.param(replace(MARK, last_sequence=150, message_count=0), False, id="worked_off"),
        pytest.param(replace(MARK, last_sequence=99), True, id="cut_short"),
        pytest.param(
            replace(MARK, created_at=MARK.created_at + timedelta(seconds=1)), True, id="made_anew"
        ),
    ],
)
async def test_stream_is_lost_when_it_is_not_what_it_was(
    outbox: PostgresOutbox, mark: StreamMark, *, is_lost: bool
) -> None:
    before = await outbox.lost_stream(MARK)
    await outbox.remember_stream(MARK)

    assert not before
    assert await outbox.lost_stream(mark) is is_lost
    await outbox.remember_stream(mark)
    assert not await outbox.lost_stream(mark)
