"""What customers and operators read: their own, at once, and in order."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import create_engine
from uuid_utils.compat import uuid7

from semalink.application.accounts import (
    IssueApiKey,
    IssuedKey,
    PreferRoute,
    RevokeApiKey,
)
from semalink.application.ports import FailureClass, ReportState, SendFailed
from semalink.application.reading import Caller, MessageFilter, ReadsUnavailable
from semalink.application.sender_ids import ApproveSender
from semalink.domain.ids import parse_id
from semalink.projections.messages import MESSAGES
from semalink.projections.runner import ProjectionRunner
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.migrate import sqlalchemy_url
from semalink_adapters.postgres.reads import PostgresReads

LIVE = MessageFilter("live")
KEY_HASH = bytes(range(32))


@pytest.fixture
def reads(pool: AsyncConnectionPool[Any]) -> PostgresReads:
    """Reads over a pool."""
    return PostgresReads(pool)


@pytest.fixture
def project(database_url: str) -> Any:
    """Brings the list of messages up to date."""
    engine = create_engine(sqlalchemy_url(database_url))
    runner = ProjectionRunner(engine, MESSAGES, EventMapper.read)

    def catch_up(count: int) -> None:
        # Others on the server may hold readers back for a moment.
        while count > 0:
            count -= runner.step().event_count

    yield catch_up
    engine.dispose()


async def test_message_is_read_by_its_account_at_once(desk: Any, reads: PostgresReads) -> None:
    account_id = await desk.open_account(message_count=1)
    answer = await desk.accept(account_id, metadata={"a\0b": "\U0001f600"})
    message_id = parse_id("msg_", answer.value.id)

    assert await reads.message(message_id, account_id) == answer.value
    assert await reads.message(message_id, None) == answer.value


async def test_message_is_unknown_to_other_accounts(desk: Any, reads: PostgresReads) -> None:
    job = await desk.accept_job(await desk.open_account(message_count=1))
    other_id = await desk.open_account()

    assert await reads.message(job.message_id, other_id) is None
    assert await reads.history(job.message_id, other_id) is None
    assert await reads.message(uuid7(), other_id) is None
    assert await reads.history(uuid7(), None) is None


async def test_explanation_is_of_the_account_that_sent(desk: Any, reads: PostgresReads) -> None:
    account_id = await desk.open_account(message_count=1)
    job = await desk.accept_job(account_id)
    await desk.submit(job, "ref-1")

    explanation = await reads.explanation(job.message_id, account_id)

    assert explanation is not None
    assert [attempt.outcome for attempt in explanation.attempts] == ["accepted"]
    assert [view.name for view in explanation.credits] == ["credit.reserved", "credit.charged"]
    assert await reads.explanation(job.message_id, uuid7()) is None


async def test_history_tells_a_delivery_in_order(desk: Any, reads: PostgresReads) -> None:
    account_id = await desk.open_account(message_count=1)
    job = await desk.accept_job(account_id)
    await desk.submit(job, "ref-1")
    await desk.report(job, "ref-1", ReportState.DELIVERED)

    history = await reads.history(job.message_id, account_id) or []

    assert [event.name for event in history] == [
        "message.accepted",
        "credit.reserved",
        "message.submit_started",
        "message.submitted",
        "credit.charged",
        "message.delivered",
    ]
    assert [event.sequence for event in history] == [1, 2, 3, 4, 5, 6]
    assert len({event.id for event in history}) == 6
    assert history[0].data["account_id"] == f"acct_{account_id.hex}"
    assert history[4].data["reservation_id"] == f"msg_{job.message_id.hex}"
    assert msgspec.json.decode(msgspec.json.encode(history))


async def test_history_tells_a_rejection_in_order(desk: Any, reads: PostgresReads) -> None:
    job = await desk.accept_job(await desk.open_account(message_count=1))
    await desk.start(job)
    blacklisted = SendFailed(
        FailureClass.RECIPIENT,
        provider_code="1004",
        detail="Blacklisted",
        retryable=False,
        may_fail_over=False,
    )
    await desk.refuse(job, blacklisted)

    history = await reads.history(job.message_id, None) or []

    assert [event.name for event in history] == [
        "message.accepted",
        "credit.reserved",
        "message.submit_started",
        "message.submit_refused",
        "message.rejected",
        "credit.released",
    ]


async def test_history_tells_a_refund_in_order_when_clocks_disagree(
    desk: Any, reads: PostgresReads, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await desk.accept_job(await desk.open_account(message_count=1))
    now_of = desk.cause

    def late_by_an_hour(actor: str) -> Any:
        cause = now_of(actor)
        return type(cause)(cause.actor, cause.at - timedelta(hours=1), cause.request_id)

    # The worker's clock is an hour behind the one that accepted the message.
    monkeypatch.setattr(desk, "cause", late_by_an_hour)
    await desk.submit(job, "ref-1")
    await desk.report(job, "ref-1", ReportState.REJECTED)

    history = await reads.history(job.message_id, None) or []

    assert [event.name for event in history] == [
        "message.accepted",
        "credit.reserved",
        "message.submit_started",
        "message.submitted",
        "credit.charged",
        "message.rejected",
        "credit.refunded",
    ]


async def test_history_tells_an_adopted_delivery_in_order(desk: Any, reads: PostgresReads) -> None:
    job = await desk.accept_job(await desk.open_account(message_count=1))
    await desk.lose_answer(job)
    await desk.report(job, "ref-1", ReportState.DELIVERED)

    history = await reads.history(job.message_id, None) or []

    assert [event.name for event in history][3:] == [
        "message.outcome_unknown",
        "message.submitted",
        "credit.charged",
        "message.delivered",
    ]


async def test_list_pages_stay_put_while_messages_arrive(
    desk: Any, reads: PostgresReads, project: Any
) -> None:
    account_id = await desk.open_account(message_count=20)
    for _ in range(5):
        await desk.accept(account_id)
    project(5)
    whole = await reads.messages(account_id, LIVE, before=None, limit=10)

    first = await reads.messages(account_id, LIVE, before=None, limit=2)
    await desk.accept(account_id)
    project(1)
    cursor = parse_id("msg_", first[-1].id)
    second = await reads.messages(account_id, LIVE, before=cursor, limit=10)

    ids = [message.id for message in whole]
    assert ids == sorted(ids, reverse=True)
    assert [message.id for message in [*first, *second]] == ids


async def test_list_holds_what_the_filter_asks_for(
    desk: Any, reads: PostgresReads, project: Any
) -> None:
    account_id = await desk.open_account(message_count=20)
    jobs = [
        await desk.accept_job(account_id, **changes)
        for changes in (
            {},
            {"lane": "priority"},
            {"to": "+254700000001"},
            {"sender": "OTHER"},
            {"mode": "test"},
        )
    ]
    await desk.submit(jobs[0], "ref-1")
    await desk.accept(await desk.open_account(message_count=1))
    project(8)
    second = await reads.message(jobs[1].message_id, None)
    assert second is not None

    async def listed(**wanted: Any) -> set[UUID]:
        found = await reads.messages(
            account_id, MessageFilter(**({"mode": "live"} | wanted)), before=None, limit=10
        )
        return {UUID(hex=message.id.removeprefix("msg_")) for message in found}

    ids = [job.message_id for job in jobs]
    assert await listed() == set(ids[:4])
    assert await listed(mode="test") == {ids[4]}
    assert await listed(status="submitted") == {ids[0]}
    assert await listed(lane="priority") == {ids[1]}
    assert await listed(to="+254700000001") == {ids[2]}
    assert await listed(sender="OTHER", status="accepted") == {ids[3]}
    assert await listed(accepted_from=second.accepted_at) == set(ids[1:4])
    assert await listed(accepted_before=second.accepted_at) == {ids[0]}
    assert await listed(accepted_before=datetime.max.replace(tzinfo=UTC)) == set(ids[:4])
    assert await listed(accepted_from=datetime.min.replace(tzinfo=UTC)) == set(ids[:4])


async def test_balance_counts_what_is_reserved(
    desk: Any, reads: PostgresReads, price_micros: int
) -> None:
    account_id = await desk.open_account(message_count=5)
    jobs = [await desk.accept_job(account_id) for _ in range(2)]
    await desk.submit(jobs[0], "ref-1")

    balance = await reads.balance(account_id)

    assert balance is not None
    assert balance.posted_micros == 4 * price_micros
    assert balance.reserved_micros == price_micros
    assert balance.available_micros == 3 * price_micros
    assert balance.account_id == balance.billing_account_id == f"acct_{account_id.hex}"
    assert await reads.balance(uuid7()) is None


async def test_caller_is_known_by_a_key_until_it_is_revoked(
    desk: Any, reads: PostgresReads
) -> None:
    account_id, key_id = await desk.open_account(), uuid7()
    key = IssuedKey(key_id, "Shop", ["messages"], "live", KEY_HASH.hex(), "wxyz")
    await desk.ledger.execute(IssueApiKey(account_id, key, desk.cause()))
    await desk.ledger.execute(ApproveSender(account_id, "ACME", desk.cause()))

    caller = await reads.caller(KEY_HASH)
    stranger = await reads.caller(bytes(32))
    await desk.ledger.execute(RevokeApiKey(account_id, key_id, desk.cause()))
    revoked = await reads.caller(KEY_HASH)

    assert caller == Caller(
        account_id,
        account_id,
        key_id,
        "live",
        frozenset({"messages"}),
        frozenset({"ACME"}),
        "starter",
    )
    assert (stranger, revoked) == (None, None)
    [listed] = await reads.api_keys(account_id)
    assert (listed.last_four, listed.revoked_at is not None) == ("wxyz", True)


async def test_accounts_are_listed_in_pages(desk: Any, reads: PostgresReads) -> None:
    account_ids = [await desk.open_account() for _ in range(3)]
    await desk.ledger.execute(PreferRoute(account_ids[1], "africastalking", desk.cause()))

    first = await reads.accounts(after=None, limit=2)
    rest = await reads.accounts(after=account_ids[1], limit=2)

    assert [account.id for account in [*first, *rest]] == [f"acct_{i.hex}" for i in account_ids]
    assert (await reads.account(account_ids[1])) == first[1]
    assert first[1].preferred_aggregator == "africastalking"
    assert await reads.account(uuid7()) is None


async def test_reads_wait_for_nobody_who_writes(
    desk: Any, reads: PostgresReads, connection: Any
) -> None:
    account_id = await desk.open_account(message_count=1)
    connection.execute("BEGIN")
    connection.execute("SELECT FROM credit_heads WHERE account_id = %s FOR UPDATE", (account_id,))

    async with asyncio.timeout(2):
        balance = await reads.balance(account_id)

    assert balance is not None
    connection.execute("ROLLBACK")


async def test_reads_give_up_on_a_server_that_hangs(
    database_url: str, pool: AsyncConnectionPool[Any]
) -> None:
    hasty = PostgresReads(pool, seconds_max=0.2)
    with psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE")

        with pytest.raises(ReadsUnavailable):
            await hasty.account(uuid7())

    assert await PostgresReads(pool).account(uuid7()) is None
