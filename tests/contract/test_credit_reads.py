"""What any reads of credits promise: the same suite on those in memory and on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import create_engine
from uuid_utils.compat import uuid7

from semalink.application.accounts import IssueApiKey, IssuedKey, OpenAccount, TopUp
from semalink.application.credit_reading import CustomerView, EntryFilter, MarginView
from semalink.application.credits import (
    ApproveAdjustment,
    ExpireReservation,
    ProposeAdjustment,
    RejectAdjustment,
)
from semalink.application.delivery_reports import RecordReport
from semalink.application.ledger import Ledger
from semalink.application.ports import DeliveryReport, Receipt, ReportState
from semalink.application.reading import Reads
from semalink.application.sending import AcceptMessage
from semalink.application.submission import Job, Policy, RecordReceipt, StartSubmission
from semalink.application.terms import SetPriceList, SetRefundRule, SetSpendingCap
from semalink.domain.account import Kind, Tier
from semalink.domain.adjustment import Category
from semalink.domain.calendar import month_bounds, month_of
from semalink.domain.cause import Cause
from semalink.domain.draft import Draft
from semalink.projections.messages import MESSAGES
from semalink.projections.runner import ProjectionRunner
from semalink_adapters.memory import MemoryReads
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.migrate import sqlalchemy_url
from semalink_adapters.postgres.queries import open_pool
from semalink_adapters.postgres.reads import PostgresReads

COST, PRICE, CREDITS = 800_000, 1_234_567, 10_000_000
MICROSECOND = timedelta(microseconds=1)
KEY_HASH = bytes(range(32))
_numbers = count(1)


def _cause(actor: str = "key:contract") -> Cause:
    return Cause(actor, datetime.now(UTC), f"req_{next(_numbers)}")


@dataclass
class World:
    """An agent with credits, a customer that it pays for, and reads of both."""

    ledger: Ledger
    reads: Reads
    #: Bring the read models up to date.
    project: Callable[[], Any]
    agent_id: UUID
    customer_id: UUID

    async def send(self) -> Job:
        cause, message_id = _cause(), uuid7()
        draft = Draft(
            account_id=self.customer_id,
            billing_account_id=self.agent_id,
            mode="live",
            to="+254712345678",
            country="KE",
            network="safaricom",
            text="Hello",
            sender="DUKA",
            lane="normal",
            encoding="GSM-7",
            segments=1,
            price_micros=PRICE,
            cost_micros=COST,
            expires_at=cause.at + timedelta(hours=1),
            metadata={},
        )
        command = AcceptMessage(message_id, self.agent_id, draft, cause, None, self.customer_id)
        await self.ledger.execute(command)
        return Job(message_id, self.customer_id, self.agent_id)

    async def end(self, job: Job, state: ReportState) -> None:
        reference = job.message_id.hex
        await self.ledger.execute(StartSubmission(job, None, Policy(), _cause()))
        await self.ledger.execute(RecordReceipt(job, 1, "celcom", Receipt(reference), _cause()))
        report = DeliveryReport(reference, state, state.value)
        await self.ledger.execute(
            RecordReport(job.message_id, job.billing_account_id, "celcom", report, _cause())
        )


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    agent_id, customer_id = uuid7(), uuid7()
    if request.param == "memory":
        ledger = MemoryLedger()
        memory = World(ledger, MemoryReads(ledger), lambda: None, agent_id, customer_id)
        await _set_up(memory)
        yield memory
        return
    database_url = request.getfixturevalue("database_url")
    engine = create_engine(sqlalchemy_url(database_url))
    runner = ProjectionRunner(engine, MESSAGES, EventMapper.read)
    async with GroupCommit(database_url) as durable, open_pool(database_url, size=1) as pool:
        real = World(durable, PostgresReads(pool), runner.step, agent_id, customer_id)
        await _set_up(real)
        yield real
    engine.dispose()


async def _set_up(world: World) -> None:
    agent_id, customer_id = world.agent_id, world.customer_id
    for command in (
        OpenAccount(agent_id, "Agent", Kind.AGENT, Tier.STARTER, _cause()),
        TopUp(agent_id, CREDITS, "payment", _cause(), currency="KES", paid_minor_units=900),
        OpenAccount(customer_id, "Duka", Kind.CUSTOMER, Tier.STARTER, _cause(), agent_id=agent_id),
    ):
        await world.ledger.execute(command)


async def test_balance_changes_at_the_very_instant_of_an_entry(world: World) -> None:
    await world.send()
    newest, before, first = await world.reads.entries(
        world.agent_id, EntryFilter(), before=None, limit=9
    )

    at = [
        await world.reads.balance_at(world.agent_id, moment)
        for moment in (newest.recorded_at, newest.recorded_at - MICROSECOND)
    ]
    after = [await world.reads.balance_after(world.agent_id, entry) for entry in (3, 2, 4)]

    assert [one.entry for one in at] == [3, 2]
    assert [one.available_micros for one in at] == [CREDITS - COST, CREDITS]
    assert [one and one.reserved_micros for one in after] == [COST, 0, None]
    assert (before.amount_micros, before.data["currency"]) == (CREDITS, "KES")
    early = await world.reads.balance_at(world.agent_id, first.recorded_at - MICROSECOND)
    assert (early.entry, early.posted_micros, early.available_micros) == (0, 0, 0)
    now = await world.reads.balance(world.agent_id)
    assert now is not None
    assert (now.entry, now.available_micros, now.paid_by) == (3, CREDITS - COST, "self")
    assert await world.reads.balance(uuid7()) is None


async def test_balance_of_a_sponsored_customer_is_its_own_spending(world: World) -> None:
    await world.send()
    before = await world.reads.balance(world.customer_id)
    command = SetSpendingCap(world.customer_id, world.agent_id, PRICE - 1, _cause())
    await world.ledger.execute(command)

    capped = await world.reads.balance(world.customer_id)

    assert before is not None
    assert capped is not None
    assert (before.available_micros, before.spent_this_month_micros) == (None, PRICE)
    assert (capped.spending_cap_micros, capped.available_micros) == (PRICE - 1, 0)
    assert (capped.posted_micros, capped.billing_account_id) == (None, None)


async def test_entries_are_filtered_by_verb_time_and_place(world: World) -> None:
    await world.send()
    agent_id = world.agent_id
    entries = await world.reads.entries(agent_id, EntryFilter(), before=None, limit=9)
    middle = entries[1].recorded_at

    async def listed(wanted: EntryFilter, before: int | None = None) -> list[int | None]:
        found = await world.reads.entries(agent_id, wanted, before=before, limit=2)
        return [one.entry for one in found]

    assert [one.name for one in entries] == [
        "credit.reserved", "credit.topped_up", "credit.created",
    ]  # fmt: skip
    assert await listed(EntryFilter()) == [3, 2]
    assert await listed(EntryFilter(), before=2) == [1]
    assert await listed(EntryFilter(name="topped_up")) == [2]
    assert await listed(EntryFilter(at_from=middle)) == [3, 2]
    assert await listed(EntryFilter(at_before=middle)) == [1]
    assert await listed(EntryFilter(at_from=middle, at_before=middle + MICROSECOND)) == [2]
    assert entries[0].customer_id == f"acct_{world.customer_id.hex}"
    assert (entries[0].amount_micros, entries[0].price_micros) == (COST, PRICE)


async def test_movements_are_in_the_customers_prices(world: World) -> None:
    jobs = [await world.send() for _ in range(2)]
    await world.end(jobs[0], ReportState.REJECTED)
    await asyncio.to_thread(world.project)
    ids = world.customer_id, world.agent_id

    found = await world.reads.movements(*ids, EntryFilter(), before=None, limit=9)
    older = await world.reads.movements(
        *ids, EntryFilter(name="charged"), before=jobs[1].message_id, limit=9
    )

    sought = await world.reads.movements(*ids, EntryFilter("refunded"), before=None, limit=1)

    assert [one.message_id for one in sought] == [f"msg_{jobs[0].message_id.hex}"]
    assert [one.name for one in found] == [
        "credit.reserved", "credit.refunded", "credit.charged", "credit.reserved",
    ]  # fmt: skip
    assert {one.amount_micros for one in found} == {PRICE}
    assert {(one.entry, one.posted_after_micros, one.available_after_micros) for one in found} == {
        (None, None, None)
    }
    assert [one.message_id for one in older] == [f"msg_{jobs[0].message_id.hex}"]
    assert all(world.agent_id.hex not in str(one) for one in found)


async def test_history_shows_a_customer_prices_and_an_operator_all(world: World) -> None:
    job = await world.send()
    await world.end(job, ReportState.REJECTED)

    own = await world.reads.history(job.message_id, world.customer_id)
    all_of_it = await world.reads.history(job.message_id, None)
    strangers = await world.reads.history(job.message_id, world.agent_id)

    assert own is not None
    assert all_of_it is not None
    assert strangers is None
    assert [one.name for one in own] == [one.name for one in all_of_it]
    assert world.agent_id.hex not in str(own)
    assert str(COST) not in str([one.data for one in own])
    reserved = next(one for one in own if one.name == "credit.reserved")
    assert reserved.id == f"evt_{job.message_id.hex}_credit_reserved"
    assert reserved.data["price_micros"] == PRICE
    told = next(one for one in all_of_it if one.name == "credit.reserved")
    assert (told.data["amount_micros"], told.data["sub_account_id"]) == (
        COST,
        f"acct_{world.customer_id.hex}",
    )


async def test_history_shows_a_reservation_that_expired(world: World) -> None:
    job = await world.send()
    late = Cause("platform", datetime.now(UTC) + timedelta(days=30), "req_late")
    await world.ledger.execute(ExpireReservation(job.message_id, world.agent_id, late))

    history = await world.reads.history(job.message_id, world.customer_id)

    assert history is not None
    assert history[-1].name == "credit.reservation_expired"


async def test_margins_are_price_less_cost_of_what_stands(world: World) -> None:
    jobs = [await world.send() for _ in range(3)]
    await world.end(jobs[0], ReportState.DELIVERED)
    await world.end(jobs[1], ReportState.REJECTED)
    month = month_bounds(month_of(datetime.now(UTC)))

    margins = await world.reads.margins(world.agent_id, *month)
    before = await world.reads.margins(world.agent_id, month[0] - timedelta(days=9), month[0])
    costs = await world.reads.message_costs([job.message_id for job in jobs])

    assert margins == [
        MarginView(f"acct_{world.customer_id.hex}", "Duka", 1, PRICE, COST, PRICE - COST)
    ]
    assert before == []
    assert costs == {job.message_id: COST for job in jobs}


async def test_customers_are_listed_with_what_they_spent(world: World) -> None:
    await world.send()
    second_id = uuid7()
    command = OpenAccount(
        second_id, "Own", Kind.CUSTOMER, Tier.GROWTH, _cause(), agent_id=world.agent_id,
        pays_itself=True,
    )  # fmt: skip
    await world.ledger.execute(command)

    both = await world.reads.customers(world.agent_id, after=None, limit=9)
    rest = await world.reads.customers(world.agent_id, after=world.customer_id, limit=9)
    one = await world.reads.customer(world.agent_id, world.customer_id)

    assert [view.name for view in both] == ["Duka", "Own"]
    assert [view.pays_itself for view in both] == [False, True]
    assert list(rest) == [both[1]]
    assert isinstance(one, CustomerView)
    assert (one, one.spent_this_month_micros) == (both[0], PRICE)
    assert await world.reads.customer(world.customer_id, world.customer_id) is None


async def test_adjustments_are_listed_as_they_stand(world: World) -> None:
    ids = [uuid7() for _ in range(3)]
    for adjustment_id in ids:
        await world.ledger.execute(
            ProposeAdjustment(
                adjustment_id, world.agent_id, -5, Category.CORRECTION, "why", _cause("one")
            )
        )
    await world.ledger.execute(ApproveAdjustment(ids[0], world.agent_id, _cause("two")))
    await world.ledger.execute(RejectAdjustment(ids[1], world.agent_id, "no", _cause("two")))

    listed = await world.reads.adjustments(None, before=None, limit=9)
    waiting = await world.reads.adjustments("proposed", before=None, limit=9)
    older = await world.reads.adjustments(None, before=ids[1], limit=9)

    assert [one.state for one in listed] == ["proposed", "rejected", "applied"]
    assert [one.id for one in waiting] == [f"adj_{ids[2].hex}"]
    assert list(older) == [listed[2]]
    applied = await world.reads.adjustment(ids[0])
    assert applied == listed[2]
    assert (applied.amount_micros, applied.entry, applied.decided_by) == (-5, 3, "two")
    assert (listed[0].decided_by, listed[1].decided_by) == (None, "two")
    assert await world.reads.adjustment(uuid7()) is None


async def test_caller_has_the_terms_of_who_pays(world: World) -> None:
    key = IssuedKey(uuid7(), "Duka", ["messages:send"], "live", KEY_HASH.hex(), "wxyz")
    await world.ledger.execute(IssueApiKey(world.customer_id, key, _cause()))
    await world.ledger.execute(SetPriceList(world.agent_id, {"KE": PRICE}, _cause()))
    await world.ledger.execute(SetRefundRule(world.agent_id, ["failed"], _cause()))

    caller = await world.reads.caller(KEY_HASH)
    await world.ledger.execute(SetRefundRule(world.customer_id, [], _cause()))
    ruled = await world.reads.caller(KEY_HASH)

    assert caller is not None
    assert caller.is_paid_by_agent
    assert caller.terms.prices is not None
    assert caller.terms.prices.rate_micros("KE", None) == PRICE
    assert caller.terms.priced_by == f"acct_{world.agent_id.hex}"
    assert caller.terms.refunded_on == ("failed",)
    assert ruled is not None
    assert ruled.terms.refunded_on == ()
    account = await world.reads.account(world.agent_id)
    assert account is not None
    assert (account.price_list, account.refunded_on) == ({"KE": PRICE}, ["failed"])
