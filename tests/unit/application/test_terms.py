from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.ports import ReportState
from semalink.application.submission import Job
from semalink.application.terms import SetPriceList, SetRefundRule, SetSpendingCap
from semalink.domain.account import Account, Kind, Tier
from semalink.domain.calendar import month_of
from semalink.domain.cause import Cause
from semalink.domain.credit_account import CreditAccount
from semalink.domain.errors import (
    AccountNotFound,
    AgentRequired,
    DomainError,
    NotAnAgent,
    NotPaidByAgent,
    SpendingCapReached,
)
from semalink.domain.message import Message
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger

AGENT_ID, CUSTOMER_ID = UUID(int=0xA1), UUID(int=0xA2)
CREDITS_MICROS = 10_000_000
COST_MICROS, PRICE_MICROS = 800_000, 1_200_000


def opening(account_id: UUID, kind: Kind, cause: Cause, **more: Any) -> OpenAccount:
    return OpenAccount(account_id, "Duka", kind, Tier.STARTER, cause, **more)


@pytest.fixture
def agency(ledger: MemoryLedger, cause: Callable[..., Cause]) -> MemoryLedger:
    """An agent with ten credits and a customer that it pays for."""
    ledger.decide(opening(AGENT_ID, Kind.AGENT, cause()))
    ledger.decide(opening(CUSTOMER_ID, Kind.CUSTOMER, cause(), agent_id=AGENT_ID))
    ledger.decide(TopUp(AGENT_ID, CREDITS_MICROS, "payment-1", cause()))
    return ledger


@pytest.fixture
def send(agency: MemoryLedger, accept: Callable[..., Job]) -> Callable[..., Job]:
    """Has the customer send a message that the agent pays."""

    def of(**changes: Any) -> Job:
        asked = {
            "account_id": CUSTOMER_ID,
            "billing_account_id": AGENT_ID,
            "price_micros": PRICE_MICROS,
            "cost_micros": COST_MICROS,
        }
        return accept(**(asked | changes))

    return of


def cap(agency: MemoryLedger, cap_micros: int | None, cause: Cause) -> None:
    agency.decide(SetSpendingCap(CUSTOMER_ID, AGENT_ID, cap_micros, cause))


def spent(agency: MemoryLedger, clock: MemoryClock) -> int:
    return agency.spent[CUSTOMER_ID, month_of(clock.now())]


@pytest.mark.parametrize(
    ("kind", "agent_id", "refusal"),
    [
        (Kind.CUSTOMER, None, AgentRequired),
        (Kind.DIRECT, AGENT_ID, AgentRequired),
        (Kind.CUSTOMER, CUSTOMER_ID, NotAnAgent),
        (Kind.CUSTOMER, UUID(int=0xFF), AccountNotFound),
    ],
)
def test_open_refuses_a_customer_without_a_fitting_agent(
    agency: MemoryLedger,
    cause: Callable[..., Cause],
    kind: Kind,
    agent_id: UUID | None,
    refusal: type[DomainError],
) -> None:
    before = len(agency.log)

    with pytest.raises(refusal):
        agency.decide(opening(UUID(int=0xA9), kind, cause(), agent_id=agent_id))

    assert len(agency.log) == before


def test_open_names_who_pays(agency: MemoryLedger, cause: Callable[..., Cause]) -> None:
    paid = agency.load(Account, CUSTOMER_ID)
    own = agency.decide(
        opening(UUID(int=0xA9), Kind.CUSTOMER, cause(), agent_id=AGENT_ID, pays_itself=True)
    ).value

    assert paid is not None
    assert (paid.billing_account_id, paid.pays_itself) == (AGENT_ID, False)
    assert (own.agent_id, own.billing_account_id) == (AGENT_ID, UUID(int=0xA9))


def test_accept_for_a_customer_reserves_the_agents_cost(
    agency: MemoryLedger, send: Callable[..., Job], see: Callable[[Job], Message]
) -> None:
    job = send()

    assert agency.balance(AGENT_ID).reserved_micros == COST_MICROS
    assert agency.balance(CUSTOMER_ID).reserved_micros == 0
    assert see(job).asked.price_micros == PRICE_MICROS


def test_charge_for_a_customer_takes_the_cost_and_shows_the_price(
    agency: MemoryLedger,
    send: Callable[..., Job],
    start: Callable[..., object],
    take: Callable[..., object],
    see: Callable[[Job], Message],
) -> None:
    job = send()
    start(job)

    take(job)

    message = see(job)
    entry = agency.streams[CreditAccount][AGENT_ID][-1]
    assert message.charged_micros == PRICE_MICROS
    assert message.charge_version == entry.originator_version
    assert agency.balance(AGENT_ID).posted_micros == CREDITS_MICROS - COST_MICROS
    assert (entry.amount_micros, entry.price_micros) == (COST_MICROS, PRICE_MICROS)


def test_refund_for_a_customer_gives_the_cost_back_and_names_the_charge(
    *,
    agency: MemoryLedger,
    send: Callable[..., Job],
    start: Callable[..., object],
    take: Callable[..., object],
    report: Callable[..., object],
    see: Callable[[Job], Message],
    clock: MemoryClock,
) -> None:
    job = send()
    start(job)
    take(job)

    report(job, ReportState.REJECTED)

    entry = agency.streams[CreditAccount][AGENT_ID][-1]
    assert isinstance(entry, CreditAccount.Refunded)
    assert entry.charge_version == see(job).charge_version
    assert see(job).refunded_micros == PRICE_MICROS
    assert agency.balance(AGENT_ID).posted_micros == CREDITS_MICROS
    assert spent(agency, clock) == 0


@pytest.mark.parametrize(
    ("refunded_on", "state", "is_refunded"),
    [
        (None, ReportState.FAILED, False),
        (None, ReportState.REJECTED, True),
        (("failed",), ReportState.FAILED, True),
        (("failed",), ReportState.REJECTED, False),
        ((), ReportState.REJECTED, False),
    ],
)
def test_refund_goes_by_the_rule_that_held_at_acceptance(
    *,
    accept: Callable[..., Job],
    start: Callable[..., object],
    take: Callable[..., object],
    report: Callable[..., object],
    see: Callable[[Job], Message],
    refunded_on: tuple[str, ...] | None,
    state: ReportState,
    is_refunded: bool,
) -> None:
    job = accept(refunded_on=refunded_on)
    start(job)
    take(job)

    report(job, state)

    assert (see(job).refunded_micros > 0) is is_refunded


@pytest.mark.parametrize("refunded_on", [None, ("failed",), ()])
def test_refund_is_given_by_any_rule_when_the_recipient_opted_out(
    *,
    accept: Callable[..., Job],
    start: Callable[..., object],
    take: Callable[..., object],
    report: Callable[..., object],
    see: Callable[[Job], Message],
    refunded_on: tuple[str, ...] | None,
) -> None:
    job = accept(refunded_on=refunded_on)
    start(job)
    take(job)

    report(job, ReportState.REJECTED, failure_code="opted_out")

    message = see(job)
    assert message.refunded_micros == message.charged_micros > 0


def test_cap_refuses_what_would_pass_it_in_the_same_decision(
    agency: MemoryLedger,
    send: Callable[..., Job],
    cause: Callable[..., Cause],
    clock: MemoryClock,
) -> None:
    cap(agency, 2 * PRICE_MICROS, cause())
    send()
    send()

    with pytest.raises(SpendingCapReached):
        send()

    assert spent(agency, clock) == 2 * PRICE_MICROS
    assert agency.balance(AGENT_ID).reserved_micros == 2 * COST_MICROS


def test_cap_counts_each_month_anew(
    agency: MemoryLedger,
    send: Callable[..., Job],
    cause: Callable[..., Cause],
    clock: MemoryClock,
) -> None:
    cap(agency, PRICE_MICROS, cause())
    send()
    clock.advance(days=31)

    send(expires_at=clock.now())

    assert spent(agency, clock) == PRICE_MICROS


def test_cap_gets_back_what_was_released(
    agency: MemoryLedger,
    send: Callable[..., Job],
    cause: Callable[..., Cause],
    expire: Callable[[Job], object],
    clock: MemoryClock,
) -> None:
    cap(agency, PRICE_MICROS, cause())
    job = send()
    clock.advance(hours=2)

    expire(job)

    assert spent(agency, clock) == 0
    send()


def test_cap_that_is_lifted_bounds_nothing(
    agency: MemoryLedger, send: Callable[..., Job], cause: Callable[..., Cause]
) -> None:
    cap(agency, 1, cause())
    cap(agency, None, cause())
    cap(agency, None, cause())

    send()

    changes = [event for event in agency.log if isinstance(event, Account.SpendingCapSet)]
    assert len(changes) == 2


def test_cap_is_only_for_customers_whose_agent_pays(
    agency: MemoryLedger, cause: Callable[..., Cause]
) -> None:
    with pytest.raises(NotPaidByAgent):
        agency.decide(SetSpendingCap(AGENT_ID, AGENT_ID, 5, cause()))
    with pytest.raises(AccountNotFound):
        agency.decide(SetSpendingCap(CUSTOMER_ID, CUSTOMER_ID, 5, cause()))

    assert [refusal.code for refusal in agency.refusals] == [
        "not_paid_by_agent",
        "account_not_found",
    ]


def test_price_list_is_an_agents(agency: MemoryLedger, cause: Callable[..., Cause]) -> None:
    prices = {"KE": PRICE_MICROS}

    agency.decide(SetPriceList(AGENT_ID, prices, cause()))
    agency.decide(SetPriceList(AGENT_ID, prices, cause()))

    agent = agency.load(Account, AGENT_ID)
    assert agent is not None
    assert agent.price_list == prices
    assert sum(isinstance(event, Account.PriceListSet) for event in agency.log) == 1
    with pytest.raises(NotAnAgent):
        agency.decide(SetPriceList(CUSTOMER_ID, prices, cause()))


def test_refund_rule_is_recorded_once_and_lifted(
    agency: MemoryLedger, cause: Callable[..., Cause]
) -> None:
    agency.decide(SetRefundRule(AGENT_ID, ["rejected", "failed", "failed"], cause()))
    agency.decide(SetRefundRule(AGENT_ID, ["failed", "rejected"], cause()))
    agency.decide(SetRefundRule(AGENT_ID, None, cause()))

    rules = [event.refunded_on for event in agency.log if isinstance(event, Account.RefundRuleSet)]
    assert rules == [["failed", "rejected"], None]


def test_accept_in_test_mode_costs_an_agent_nothing(
    agency: MemoryLedger, send: Callable[..., Job]
) -> None:
    send(mode="test")

    assert agency.balance(AGENT_ID).reserved_micros == 0
    assert agency.spent == {}
