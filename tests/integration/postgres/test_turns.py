"""Turns: who waits, what is dealt out, and what no crash on the way loses."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from semalink.application.fitting import FittingWindow
from semalink.application.outbox import PendingJob
from semalink.application.ports import FailureClass, SendFailed
from semalink.application.sharing_out import Shares
from semalink_adapters.postgres.outbox import PostgresOutbox
from semalink_adapters.postgres.reports import EXPIRED_UNSENT
from semalink_adapters.postgres.turns import PostgresTurns

SHARE = 2
THROTTLED = SendFailed(
    FailureClass.TRANSIENT,
    provider_code="429",
    detail="Too many",
    retryable=True,
    may_fail_over=False,
)


@pytest.fixture
async def lead(database_url: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """The connection of the relay that leads."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def turns(lead: psycopg.AsyncConnection[Any]) -> PostgresTurns:
    return PostgresTurns(lead)


@pytest.fixture
def outbox(lead: psycopg.AsyncConnection[Any]) -> PostgresOutbox:
    return PostgresOutbox(lead)


def _state(books: Any, message_id: UUID) -> tuple[Any, ...]:
    return books.all(
        "SELECT state, due_at FROM pending_submissions WHERE message_id = %s", message_id
    )[0]


async def test_held_messages_wait_in_order_and_are_dealt_out(
    desk: Any, turns: PostgresTurns, books: Any
) -> None:
    accounts = sorted([await desk.open_account(message_count=3) for _ in range(2)])
    jobs = {one: [await desk.accept_job(one) for _ in range(3)] for one in accounts}

    await turns.hold([job.message_id for each in jobs.values() for job in reversed(each)])
    waiting = await turns.accounts_waiting()
    waiting_count = await turns.count_waiting()
    first = await turns.first_waiting({accounts[0]: 2, accounts[1]: 1})
    await turns.dealt_out([pending.job.message_id for pending in first])

    assert (waiting, waiting_count) == (accounts, 6)
    assert {pending.job for pending in first} == {*jobs[accounts[0]][:2], jobs[accounts[1]][0]}
    assert {(pending.lane, pending.round) for pending in first} == {("normal", 0)}
    assert [_state(books, job.message_id)[0] for job in jobs[accounts[0]]] == [
        "queued",
        "queued",
        "waiting",
    ]


async def test_still_queued_leaves_out_what_waits_or_is_done(
    desk: Any, turns: PostgresTurns
) -> None:
    account_id = await desk.open_account(message_count=3)
    queued, waiting, done = [await desk.accept_job(account_id) for _ in range(3)]
    await turns.hold([waiting.message_id])
    await desk.submit(done, "ref-1")

    left = await turns.still_queued([queued.message_id, waiting.message_id, done.message_id])

    assert left == {queued.message_id}


async def test_hold_takes_what_is_due_and_leaves_what_is_put_off(
    desk: Any, turns: PostgresTurns, connection: psycopg.Connection[Any], books: Any
) -> None:
    account_id = await desk.open_account(message_count=2)
    due, later = [await desk.accept_job(account_id) for _ in range(2)]
    for job in (due, later):
        await desk.start(job)
        await desk.refuse(job, THROTTLED)
    connection.execute(
        "UPDATE pending_submissions SET due_at = now() WHERE message_id = %s", (due.message_id,)
    )

    await turns.hold([due.message_id, later.message_id])

    [first] = await turns.first_waiting({account_id: 5})
    assert _state(books, due.message_id) == ("waiting", None)
    assert _state(books, later.message_id)[0] == "postponed"
    assert first.round == 1


async def test_dealt_out_passes_over_what_a_worker_has_in_its_transaction(
    desk: Any, turns: PostgresTurns, connection: psycopg.Connection[Any], books: Any
) -> None:
    account_id = await desk.open_account(message_count=2)
    locked, free = [await desk.accept_job(account_id) for _ in range(2)]
    ids = [locked.message_id, free.message_id]
    await turns.hold(ids)
    with connection.transaction():
        connection.execute(
            "SELECT FROM pending_submissions WHERE message_id = %s FOR UPDATE", ids[:1]
        )
        await turns.dealt_out(ids)

    assert [_state(books, one)[0] for one in ids] == ["waiting", "queued"]


async def test_waiting_message_expires_as_any_that_is_not_sent(
    desk: Any, turns: PostgresTurns, connection: psycopg.Connection[Any], books: Any
) -> None:
    job = await desk.accept_job(await desk.open_account(message_count=1))
    await turns.hold([job.message_id])

    connection.execute(
        "UPDATE pending_submissions SET expires_at = now() - %s", (timedelta(minutes=2),)
    )

    assert [row[0] for row in books.all(EXPIRED_UNSENT, 10)] == [job.message_id]


async def test_next_relay_counts_what_one_before_it_published(
    desk: Any, turns: PostgresTurns, outbox: PostgresOutbox
) -> None:
    account_id = await desk.open_account(message_count=SHARE + 1)
    read = [await desk.accept_job(account_id) for _ in range(SHARE)]
    page = await outbox.next_jobs(10)
    assert page.end is not None
    await outbox.jobs_published(page.end)
    fresh = await desk.accept_job(account_id)

    before = await turns.published_before(10)
    entering = await Shares(turns, FittingWindow(SHARE, now=lambda: 0.0)).admit(
        [PendingJob(fresh, "normal", 0)]
    )

    assert sorted(before) == sorted((account_id, job.message_id) for job in read)
    assert entering == []
    assert await turns.accounts_waiting() == [account_id]
