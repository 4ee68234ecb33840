"""Every verb of the ledger and the terms of accounts, on the fake and on the real thing."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.credits import (
    ApproveAdjustment,
    ExpireReservation,
    ProposeAdjustment,
    SetCreditLimit,
    TransferCredits,
)
from semalink.application.ledger import Books, Command, Ledger, Needs, PlainCommand
from semalink.application.sending import AcceptBatch, AcceptMessage
from semalink.application.submission import ExpireInQueue, Job, Policy
from semalink.application.terms import SetSpendingCap
from semalink.domain.account import Kind, Tier
from semalink.domain.adjustment import Category
from semalink.domain.calendar import month_of
from semalink.domain.cause import Cause
from semalink.domain.draft import Draft
from semalink.domain.errors import (
    CreditLimitTooLow,
    EmptyText,
    InsufficientCredits,
    ReservationNotOpen,
    SamePerson,
    SpendingCapReached,
)
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.postgres.group_commit import GroupCommit

COST_MICROS, PRICE_MICROS = 800_000, 1_200_000


@dataclass
class World:
    """A ledger, and a look at what it keeps."""

    ledger: Ledger
    spent: Callable[[UUID], int]
    refusals: Callable[[], list[tuple[UUID, str, str, int | None]]]

    async def do(self, command: Command[Any]) -> Any:
        return (await self.ledger.execute(command)).value


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        memory = MemoryLedger()

        def memory_spent(account_id: UUID) -> int:
            return memory.spent.get((account_id, month_of(datetime.now(UTC))), 0)

        def memory_refusals() -> list[tuple[UUID, str, str, int | None]]:
            return [(one.account_id, one.command, one.code, one.part) for one in memory.refusals]

        yield World(memory, memory_spent, memory_refusals)
        return
    database_url = request.getfixturevalue("database_url")
    with psycopg.connect(database_url, autocommit=True) as connection:

        def spent(account_id: UUID) -> int:
            month = month_of(datetime.now(UTC))
            row = connection.execute(
                "SELECT spent_micros FROM customer_spending"
                " WHERE sub_account_id = %s AND month = %s",
                (account_id, month),
            ).fetchone()
            return row[0] if row else 0

        def refusals() -> list[tuple[UUID, str, str, int | None]]:
            return connection.execute(
                "SELECT account_id, command, code, part FROM refusals ORDER BY refusal_id"
            ).fetchall()  # type: ignore[return-value]

        async with GroupCommit(database_url) as ledger:
            yield World(ledger, spent, refusals)


def cause(actor: str = "operator:1") -> Cause:
    return Cause(actor, datetime.now(UTC), "req_1")


async def opened(world: World, kind: Kind, credits_micros: int = 0, **more: Any) -> UUID:
    account_id = uuid7()
    await world.do(OpenAccount(account_id, "Duka", kind, Tier.STARTER, cause(), **more))
    if credits_micros:
        await world.do(TopUp(account_id, credits_micros, f"p-{account_id.hex}", cause()))
    return account_id


async def balance(world: World, account_id: UUID) -> tuple[int, int, int]:
    """Return posted, reserved and limit, as a command that changes nothing finds them."""
    found: tuple[int, int, int] = await world.do(Look(account_id))
    return found


class Look(PlainCommand):
    """Answers with the balance as the ledger loads it."""

    def __init__(self, account_id: UUID) -> None:
        self.account_id = account_id

    def needs(self, needs: Needs) -> None:
        needs.credit_accounts.add(self.account_id)

    def decide(self, books: Books) -> tuple[int, int, int]:
        account = books.credit_account(self.account_id)
        return account.posted_micros, account.reserved_micros, account.credit_limit_micros


class Touch(PlainCommand):
    """Does something with one reservation."""

    def __init__(
        self, account_id: UUID, reservation_id: UUID, touch: Callable[[Any, Cause], Any]
    ) -> None:
        self.account_id = account_id
        self.reservation_id = reservation_id
        self.touch = touch
        self.cause = cause()

    def needs(self, needs: Needs) -> None:
        needs.credit_accounts.add(self.account_id)
        needs.reservations.add(self.reservation_id)

    def decide(self, books: Books) -> Any:
        return self.touch(books.credit_account(self.account_id), self.cause)


def draft_of(account_id: UUID, agent_id: UUID | None = None) -> Draft:
    return Draft(
        account_id=account_id,
        billing_account_id=agent_id or account_id,
        mode="live",
        to="+254712345678",
        country="KE",
        network="safaricom",
        text="Karibu",
        sender="SEMA",
        lane="normal",
        encoding="GSM-7",
        segments=1,
        price_micros=PRICE_MICROS,
        cost_micros=COST_MICROS if agent_id else None,
        expires_at=datetime.now(UTC) + timedelta(hours=1),
        metadata={},
    )


def accepting(draft: Draft) -> AcceptMessage:
    return AcceptMessage(uuid7(), draft.billing_account_id, draft, cause(), None, draft.account_id)


async def test_limit_lends_and_takes_back(world: World) -> None:
    account_id = await opened(world, Kind.DIRECT)

    await world.do(SetCreditLimit(account_id, PRICE_MICROS, "contract", cause()))
    await world.do(accepting(draft_of(account_id)))

    with pytest.raises(CreditLimitTooLow):
        await world.do(SetCreditLimit(account_id, PRICE_MICROS - 1, "back", cause()))
    assert await balance(world, account_id) == (0, PRICE_MICROS, PRICE_MICROS)


async def test_parts_of_a_reservation_are_charged_and_the_rest_expires(world: World) -> None:
    account_id, reservation_id = await opened(world, Kind.DIRECT, 100), uuid7()
    due_at = datetime.now(UTC) - timedelta(seconds=1)

    def reserve(account: Any, why: Cause) -> None:
        account.reserve(reservation_id, 90, why, expires_at=due_at)

    await world.do(Touch(account_id, reservation_id, reserve))
    for amount in (20, 30):

        def charge(account: Any, why: Cause, amount: int = amount) -> None:
            account.charge(reservation_id, why, amount_micros=amount)

        await world.do(Touch(account_id, reservation_id, charge))
    expired = await world.do(ExpireReservation(reservation_id, account_id, cause()))
    again = await world.do(ExpireReservation(reservation_id, account_id, cause()))

    assert (expired, again) == (True, False)
    assert await balance(world, account_id) == (50, 0, 0)


async def test_reservation_made_and_charged_in_part_in_one_decision_keeps_the_rest(
    world: World,
) -> None:
    account_id, reservation_id = await opened(world, Kind.DIRECT, 100), uuid7()

    def both(account: Any, why: Cause) -> None:
        account.reserve(reservation_id, 90, why)
        account.charge(reservation_id, why, amount_micros=40)

    await world.do(Touch(account_id, reservation_id, both))
    await world.do(
        Touch(account_id, reservation_id, lambda account, why: account.release(reservation_id, why))
    )

    assert await balance(world, account_id) == (60, 0, 0)
    with pytest.raises(ReservationNotOpen):
        await world.do(
            Touch(account_id, reservation_id, lambda one, why: one.release(reservation_id, why))
        )


async def test_adjustment_needs_two_people(world: World) -> None:
    account_id, adjustment_id = await opened(world, Kind.DIRECT, 100), uuid7()
    await world.do(
        ProposeAdjustment(
            adjustment_id, account_id, -30, Category.CORRECTION, "why", cause("operator:1")
        )
    )

    with pytest.raises(SamePerson):
        await world.do(ApproveAdjustment(adjustment_id, account_id, cause("operator:1")))
    await world.do(ApproveAdjustment(adjustment_id, account_id, cause("operator:2")))

    assert await balance(world, account_id) == (70, 0, 0)


async def test_transfer_moves_between_two_accounts_at_once(world: World) -> None:
    agent_id = await opened(world, Kind.AGENT, 100)
    customer_id = await opened(world, Kind.CUSTOMER, agent_id=agent_id, pays_itself=True)

    await world.do(TransferCredits(uuid7(), agent_id, customer_id, 40, "June", cause()))

    assert await balance(world, agent_id) == (60, 0, 0)
    assert await balance(world, customer_id) == (40, 0, 0)


async def test_cap_holds_over_a_batch_and_the_next_command(world: World) -> None:
    agent_id = await opened(world, Kind.AGENT, 100 * COST_MICROS)
    customer_id = await opened(world, Kind.CUSTOMER, agent_id=agent_id)
    await world.do(SetSpendingCap(customer_id, agent_id, 3 * PRICE_MICROS, cause()))
    draft = draft_of(customer_id, agent_id)

    batch = AcceptBatch([uuid7(), uuid7()], agent_id, [draft, draft], cause(), None, customer_id)
    await world.do(batch)
    await world.do(accepting(draft))

    with pytest.raises(SpendingCapReached):
        await world.do(accepting(draft))
    assert world.spent(customer_id) == 3 * PRICE_MICROS
    assert await balance(world, agent_id) == (100 * COST_MICROS, 3 * COST_MICROS, 0)


async def test_cap_gets_back_what_is_released(world: World) -> None:
    agent_id = await opened(world, Kind.AGENT, 100 * COST_MICROS)
    customer_id = await opened(world, Kind.CUSTOMER, agent_id=agent_id)
    draft = replace(draft_of(customer_id, agent_id), expires_at=datetime.now(UTC))
    command = accepting(draft)
    await world.do(command)

    job = Job(command.message_id, customer_id, agent_id)
    await world.do(ExpireInQueue(job, cause("worker:sms"), Policy()))

    assert world.spent(customer_id) == 0
    assert await balance(world, agent_id) == (100 * COST_MICROS, 0, 0)


async def test_refusals_are_kept_with_who_asked(world: World) -> None:
    account_id = await opened(world, Kind.DIRECT)
    draft = draft_of(account_id)

    with pytest.raises(InsufficientCredits):
        await world.do(accepting(draft))
    with pytest.raises(EmptyText):
        await world.do(AcceptMessage(uuid7(), account_id, EmptyText(), cause(), None))
    batch = AcceptBatch([uuid7(), uuid7()], account_id, [EmptyText(), draft], cause(), None)
    await world.do(batch)

    assert world.refusals() == [
        (account_id, "accept_message", "insufficient_credits", None),
        (account_id, "accept_message", "empty_text", None),
        (account_id, "accept_batch", "empty_text", 0),
        (account_id, "accept_batch", "insufficient_credits", 1),
    ]
