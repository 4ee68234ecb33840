"""What any ledger promises: the same suite on the one in memory and on PostgreSQL."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Protocol
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from semalink.application.accounts import (
    OpenAccount,
    RevokeApiKey,
    TopUp,
)
from semalink.application.delivery_reports import RecordReport
from semalink.application.ledger import Answer, Idempotency, Ledger, LedgerUnavailable
from semalink.application.ports import DeliveryReport, Receipt, ReportState
from semalink.application.sender_ids import ApproveSender
from semalink.application.sending import AcceptBatch, AcceptMessage, BatchOutcome
from semalink.application.submission import Job, Policy, Ready, RecordReceipt, StartSubmission
from semalink.domain.account import Kind, Tier
from semalink.domain.cause import Cause
from semalink.domain.draft import Draft
from semalink.domain.errors import (
    AccountNotFound,
    ApiKeyNotFound,
    DomainError,
    EmptyText,
    IdempotencyKeyReused,
    InsufficientCredits,
    MessageNotFound,
    PaymentReferenceReused,
)
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.postgres.group_commit import GroupCommit

PRICE_MICROS = 800_000


class World(Protocol):
    """A ledger, and a look at the balances that it keeps."""

    ledger: Ledger

    def balance(self, account_id: UUID) -> tuple[int, int]:
        """Return posted and reserved micros."""
        ...


class MemoryWorld:
    def __init__(self, ledger: MemoryLedger) -> None:
        self.ledger = ledger

    def balance(self, account_id: UUID) -> tuple[int, int]:
        head = self.ledger.balance(account_id)
        return head.posted_micros, head.reserved_micros


class PostgresWorld:
    def __init__(self, ledger: GroupCommit, connection: psycopg.Connection[Any]) -> None:
        self.ledger = ledger
        self._connection = connection

    def balance(self, account_id: UUID) -> tuple[int, int]:
        [row] = self._connection.execute(
            "SELECT posted_micros, reserved_micros FROM credit_heads WHERE account_id = %s",
            (account_id,),
        ).fetchall()
        return row[0], row[1]


@asynccontextmanager
async def _in_memory(_: Callable[[str], Any]) -> AsyncIterator[World]:
    yield MemoryWorld(MemoryLedger())


@asynccontextmanager
async def _on_postgres(fixture: Callable[[str], Any]) -> AsyncIterator[World]:
    database_url = fixture("database_url")
    with psycopg.connect(database_url, autocommit=True) as connection:
        async with GroupCommit(database_url) as ledger:
            yield PostgresWorld(ledger, connection)


@pytest.fixture(
    params=[pytest.param(_in_memory, id="memory"), pytest.param(_on_postgres, id="postgres")]
)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A ledger with nothing in it."""
    async with request.param(request.getfixturevalue) as world:
        yield world


@pytest.fixture(params=["memory", "postgres"])
async def away(request: pytest.FixtureRequest) -> AsyncIterator[Ledger]:
    """A ledger that cannot store anything."""
    if request.param == "memory":
        ledger = MemoryLedger()
        ledger.is_available = False
        yield ledger
        return
    async with GroupCommit("postgresql://nobody@127.0.0.1:1/nothing") as closed:
        yield closed


_numbers = count(1)


def _cause() -> Cause:
    return Cause("key:contract", datetime.now(UTC), f"req_{next(_numbers)}")


async def _open(world: World, message_count: int = 0) -> UUID:
    account_id = uuid7()
    await world.ledger.execute(
        OpenAccount(account_id, "Contract", Kind.DIRECT, Tier.STARTER, _cause())
    )
    if message_count:
        await _top_up(world, account_id, message_count)
    return account_id


async def _top_up(world: World, account_id: UUID, message_count: int) -> None:
    reference = f"payment-{next(_numbers)}"
    command = TopUp(account_id, message_count * PRICE_MICROS, reference, _cause())
    await world.ledger.execute(command)


def _draft(account_id: UUID, **changes: Any) -> Draft:
    draft = Draft(
        account_id=account_id,
        billing_account_id=account_id,
        mode="live",
        to="+254712345678",
        country="KE",
        network="safaricom",
        text="Hello",
        sender="CONTRACT",
        lane="normal",
        encoding="GSM-7",
        segments=1,
        price_micros=PRICE_MICROS,
        expires_at=datetime.now(UTC) + timedelta(hours=24),
        metadata={"order": "17"},
    )
    return replace(draft, **changes)


def _keyed(account_id: UUID, key: str, asked: str = "Hello") -> Idempotency:
    return Idempotency(account_id, key, hashlib.sha256(asked.encode()).digest())


def _accepting(
    account_id: UUID, key: str | None = None, asked: str = "Hello", **changes: Any
) -> AcceptMessage:
    idempotency = _keyed(account_id, key, asked) if key else None
    draft = _draft(account_id, **changes)
    return AcceptMessage(uuid7(), account_id, draft, _cause(), idempotency)


async def _submit(world: World, account_id: UUID) -> Job:
    command = _accepting(account_id)
    await world.ledger.execute(command)
    job = Job(command.message_id, account_id, account_id)
    step = (await world.ledger.execute(StartSubmission(job, None, Policy(), _cause()))).value
    assert isinstance(step, Ready)
    receipt = Receipt(f"ref-{job.message_id.hex}")
    await world.ledger.execute(RecordReceipt(job, step.attempt, "celcom", receipt, _cause()))
    return job


def _report(job: Job, state: ReportState) -> RecordReport:
    report = DeliveryReport(f"ref-{job.message_id.hex}", state, state.value)
    return RecordReport(job.message_id, job.billing_account_id, "celcom", report, _cause())


async def test_accept_reserves_and_answers_the_message(world: World) -> None:
    account_id = await _open(world, message_count=3)

    answer = await world.ledger.execute(_accepting(account_id))

    assert (answer.value.status, answer.replayed) == ("accepted", False)
    assert world.balance(account_id) == (3 * PRICE_MICROS, PRICE_MICROS)


async def test_accept_refuses_what_the_credits_do_not_cover(world: World) -> None:
    account_id = await _open(world, message_count=1)
    before = world.balance(account_id)

    with pytest.raises(InsufficientCredits) as refusal:
        await world.ledger.execute(_accepting(account_id, price_micros=PRICE_MICROS + 1))

    assert refusal.value.available_micros == PRICE_MICROS
    assert world.balance(account_id) == before


async def test_accept_costs_nothing_in_test_mode(world: World) -> None:
    account_id = await _open(world)

    answer = await world.ledger.execute(_accepting(account_id, mode="test"))

    assert answer.value.mode == "test"
    assert world.balance(account_id) == (0, 0)


async def test_accept_is_answered_as_before_when_its_key_comes_again(world: World) -> None:
    account_id = await _open(world, message_count=1)
    first = await world.ledger.execute(_accepting(account_id, "key-1"))

    # By now the credits would not cover another one: the key is looked up before that rule.
    again = await world.ledger.execute(_accepting(account_id, "key-1"))

    assert again == Answer(first.value, replayed=True)
    assert world.balance(account_id) == (PRICE_MICROS, PRICE_MICROS)


async def test_accept_is_refused_when_its_key_comes_for_something_else(world: World) -> None:
    account_id = await _open(world, message_count=5)
    await world.ledger.execute(_accepting(account_id, "key-1"))

    with pytest.raises(IdempotencyKeyReused):
        await world.ledger.execute(_accepting(account_id, "key-1", asked="Something else"))

    assert world.balance(account_id) == (5 * PRICE_MICROS, PRICE_MICROS)


async def test_refusal_stays_when_its_key_comes_again_after_a_top_up(world: World) -> None:
    account_id = await _open(world)
    with pytest.raises(InsufficientCredits) as first:
        await world.ledger.execute(_accepting(account_id, "key-1"))
    await _top_up(world, account_id, message_count=5)

    with pytest.raises(DomainError) as again:
        await world.ledger.execute(_accepting(account_id, "key-1"))

    assert again.value.code == "insufficient_credits"
    assert (str(again.value), again.value.pointer) == (str(first.value), None)
    assert world.balance(account_id) == (5 * PRICE_MICROS, 0)


async def test_refusal_of_the_check_is_kept_with_its_pointer(world: World) -> None:
    account_id = await _open(world, message_count=5)
    refused = replace(_accepting(account_id, "key-1"), checked=EmptyText())
    for _ in range(2):
        with pytest.raises(DomainError) as refusal:
            await world.ledger.execute(refused)

    assert (refusal.value.code, refusal.value.pointer) == ("empty_text", "/text")
    with pytest.raises(DomainError, match="empty"):
        await world.ledger.execute(_accepting(account_id, "key-1"))


async def test_keys_of_two_accounts_are_apart(world: World) -> None:
    account_ids = [await _open(world, message_count=1) for _ in range(2)]

    answers = [await world.ledger.execute(_accepting(i, "key-1")) for i in account_ids]

    assert [answer.replayed for answer in answers] == [False, False]


async def test_one_of_many_requests_with_one_key_is_decided(world: World) -> None:
    account_id = await _open(world, message_count=50)

    answers = await asyncio.gather(
        *(world.ledger.execute(_accepting(account_id, "key-1")) for _ in range(50))
    )

    assert sum(not answer.replayed for answer in answers) == 1
    assert len({answer.value.id for answer in answers}) == 1
    assert world.balance(account_id) == (50 * PRICE_MICROS, PRICE_MICROS)


async def test_no_more_is_accepted_than_is_paid_for_when_many_ask_at_once(world: World) -> None:
    account_id = await _open(world, message_count=40)

    outcomes = await asyncio.gather(
        *(world.ledger.execute(_accepting(account_id)) for _ in range(64)), return_exceptions=True
    )

    assert sum(isinstance(outcome, Answer) for outcome in outcomes) == 40
    assert sum(isinstance(outcome, InsufficientCredits) for outcome in outcomes) == 24
    assert world.balance(account_id) == (40 * PRICE_MICROS, 40 * PRICE_MICROS)


async def test_batch_is_accepted_as_far_as_the_credits_go(world: World) -> None:
    account_id = await _open(world, message_count=2)
    checked = [_draft(account_id), EmptyText(), _draft(account_id), _draft(account_id)]
    ids = [uuid7() for _ in checked]
    idempotency = _keyed(account_id, "key-1")
    command = AcceptBatch(ids, account_id, checked, _cause(), idempotency)

    first = await world.ledger.execute(command)
    again = await world.ledger.execute(command)

    assert isinstance(first.value, BatchOutcome)
    assert (first.value.accepted_count, first.value.refused_count) == (2, 2)
    assert [item.refused and item.refused.code for item in first.value.items] == [
        None,
        "empty_text",
        None,
        "insufficient_credits",
    ]
    assert again == Answer(first.value, replayed=True)
    assert world.balance(account_id) == (2 * PRICE_MICROS, 2 * PRICE_MICROS)


async def test_payment_counts_once_however_often_it_is_told(world: World) -> None:
    account_id = await _open(world)
    reference = f"payment-{next(_numbers)}"

    answers = [
        await world.ledger.execute(TopUp(account_id, 500, reference, _cause())) for _ in range(3)
    ]

    assert [answer.replayed for answer in answers] == [False, True, True]
    assert {answer.value.posted_micros for answer in answers} == {500}
    assert world.balance(account_id) == (500, 0)


@pytest.mark.parametrize("amount_micros", [500, 501])
async def test_payment_is_refused_when_it_was_credited_otherwise(
    world: World, amount_micros: int
) -> None:
    account_id, other_id = await _open(world), await _open(world)
    reference = f"payment-{next(_numbers)}"
    await world.ledger.execute(TopUp(account_id, 500, reference, _cause()))
    target_id = other_id if amount_micros == 500 else account_id

    with pytest.raises(PaymentReferenceReused):
        await world.ledger.execute(TopUp(target_id, amount_micros, reference, _cause()))

    assert world.balance(account_id) == (500, 0)
    assert world.balance(other_id) == (0, 0)


async def test_what_is_not_there_is_not_found(world: World) -> None:
    account_id = await _open(world)
    job = Job(uuid7(), account_id, account_id)

    with pytest.raises(AccountNotFound):
        await world.ledger.execute(TopUp(uuid7(), 1, f"payment-{next(_numbers)}", _cause()))
    with pytest.raises(AccountNotFound):
        await world.ledger.execute(ApproveSender(uuid7(), "ACME", _cause()))
    with pytest.raises(ApiKeyNotFound):
        await world.ledger.execute(RevokeApiKey(account_id, uuid7(), _cause()))
    with pytest.raises(MessageNotFound):
        await world.ledger.execute(StartSubmission(job, None, Policy(), _cause()))


async def test_receipt_charges_what_was_reserved_once(world: World) -> None:
    account_id = await _open(world, message_count=3)
    job = await _submit(world, account_id)
    receipt = Receipt(f"ref-{job.message_id.hex}")

    await world.ledger.execute(RecordReceipt(job, 1, "celcom", receipt, _cause()))

    assert world.balance(account_id) == (2 * PRICE_MICROS, 0)


@pytest.mark.parametrize(
    ("state", "charged_count"),
    [(ReportState.DELIVERED, 1), (ReportState.FAILED, 1), (ReportState.REJECTED, 0)],
)
async def test_report_settles_the_money_once(
    world: World, state: ReportState, charged_count: int
) -> None:
    account_id = await _open(world, message_count=3)
    job = await _submit(world, account_id)

    statuses = [(await world.ledger.execute(_report(job, state))).value for _ in range(2)]

    assert statuses == [state.value] * 2
    assert world.balance(account_id) == ((3 - charged_count) * PRICE_MICROS, 0)


async def test_execute_says_that_nothing_was_decided_while_it_is_away(away: Ledger) -> None:
    command = TopUp(uuid7(), 1, "payment-0", _cause())

    for _ in range(2):
        with pytest.raises(LedgerUnavailable) as refusal:
            await away.execute(command)

    assert type(refusal.value) is LedgerUnavailable
