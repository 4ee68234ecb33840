from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from semalink.domain.cause import Cause
from semalink.domain.credit_account import CreditAccount, Spending
from semalink.domain.credit_entries import OnBehalf
from semalink.domain.postings import JOURNAL_ACCOUNTS, Postings, postings_of

AGENT, CUSTOMER, MESSAGE, OTHER = (UUID(int=number) for number in (1, 2, 3, 4))
CAUSE = Cause("operator:1", datetime(2026, 11, 2, 8, tzinfo=UTC), "req_1")
#: What the customer pays is 800, what the agent pays is 500.
ON_BEHALF = OnBehalf(CUSTOMER, 800, "2026-11")


@pytest.fixture
def account() -> CreditAccount:
    account = CreditAccount.open(AGENT, CAUSE, credit_limit_micros=100)
    account.top_up(10_000, "pay 1", CAUSE)
    account.spending[CUSTOMER, "2026-11"] = Spending(None, 0)
    account.collect_events()
    return account


def last(account: CreditAccount) -> Any:
    *_, entry = account.collect_events()
    return entry


def test_opening_an_account_posts_nothing() -> None:
    account = CreditAccount.open(AGENT, CAUSE, credit_limit_micros=100)

    assert postings_of(last(account)) == Postings()


def test_a_top_up_is_a_payment_that_is_owed_to_the_customer(account: CreditAccount) -> None:
    account.top_up(700, "pay 2", CAUSE)

    assert postings_of(last(account)) == Postings(payments=700, customer_credits=-700)


def test_a_charge_makes_the_reserve_revenue(account: CreditAccount) -> None:
    account.reserve(MESSAGE, 500, CAUSE)
    reserved = postings_of(last(account))
    account.charge(MESSAGE, CAUSE)

    assert reserved == Postings(customer_credits=500, reserved=-500)
    assert postings_of(last(account)) == Postings(reserved=500, revenue=-500)


def test_a_charge_for_a_customer_posts_the_margin_of_its_agent(account: CreditAccount) -> None:
    account.reserve(MESSAGE, 500, CAUSE, on_behalf=ON_BEHALF)
    account.charge(MESSAGE, CAUSE)

    assert postings_of(last(account)) == Postings(
        reserved=500, revenue=-500, agent_receivables=300, agent_margin=-300
    )


def test_a_refund_takes_the_margin_back(account: CreditAccount) -> None:
    account.refund(MESSAGE, 500, CAUSE, charge_version=3, on_behalf=ON_BEHALF)

    assert postings_of(last(account)) == Postings(
        refunds=500, customer_credits=-500, agent_receivables=-300, agent_margin=300
    )


@pytest.mark.parametrize("give_back", [CreditAccount.release, CreditAccount.expire])
def test_what_is_given_back_is_the_customers_again(account: CreditAccount, give_back: Any) -> None:
    account.reserve(MESSAGE, 500, CAUSE)
    give_back(account, MESSAGE, CAUSE)

    assert postings_of(last(account)) == Postings(reserved=500, customer_credits=-500)


@pytest.mark.parametrize(
    ("category", "posted_to"),
    [
        ("correction", "adjustments"),
        ("goodwill", "adjustments"),
        ("write_off", "adjustments"),
        ("opening_balance", "opening_balances"),
    ],
)
@pytest.mark.parametrize("amount", [400, -400])
def test_an_adjustment_is_posted_by_its_category(
    account: CreditAccount, category: str, posted_to: str, amount: int
) -> None:
    facts = {"adjustment_id": OTHER, "reason": "why", "proposed_by": "operator:2"}
    account.adjust(amount, CAUSE, category=category, **facts)

    postings = postings_of(last(account))

    assert getattr(postings, posted_to) == amount == -postings.customer_credits
    assert postings.sum_micros == 0


def test_a_transfer_comes_to_nothing_over_both_accounts(account: CreditAccount) -> None:
    facts = {"transfer_id": OTHER, "counterpart_id": CUSTOMER, "reason": "June"}
    account.send_transfer(300, CAUSE, **facts)
    sent = postings_of(last(account))
    account.receive_transfer(300, CAUSE, **facts)
    received = postings_of(last(account))

    assert sent == Postings(customer_credits=300, transfers=-300)
    assert received == Postings(customer_credits=-300, transfers=300)


def test_a_limit_posts_nothing(account: CreditAccount) -> None:
    account.set_limit(5_000, "contract", CAUSE)

    assert postings_of(last(account)) == Postings()


def test_the_accounts_of_the_journal_keep_their_order() -> None:
    assert JOURNAL_ACCOUNTS[:3] == ("customer_credits", "reserved", "payments")
