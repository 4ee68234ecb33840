"""Postings balance and come to the balance of the account, whatever happened to it."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from semalink.domain.cause import Cause
from semalink.domain.credit_account import CreditAccount
from semalink.domain.credit_entries import OnBehalf
from semalink.domain.errors import DomainError
from semalink.domain.postings import postings_of

CUSTOMER = UUID(int=2)
CAUSE = Cause("operator:1", datetime(2026, 11, 2, 8, tzinfo=UTC), "req_1")
CATEGORIES = ("correction", "goodwill", "write_off", "opening_balance")

Act = Callable[[CreditAccount, random.Random], None]


def _reserve(account: CreditAccount, dice: random.Random) -> None:
    account.reserve(UUID(int=dice.getrandbits(64)), dice.randint(1, 30), CAUSE)


def _open_one(account: CreditAccount, dice: random.Random) -> UUID:
    return dice.choice([*account.open_reservations, UUID(int=0)])


def _charge(account: CreditAccount, dice: random.Random) -> None:
    account.charge(_open_one(account, dice), CAUSE, amount_micros=dice.randint(1, 30))


def _refund(account: CreditAccount, dice: random.Random) -> None:
    cost = dice.randint(1, 30)
    on_behalf = OnBehalf(CUSTOMER, cost + dice.randint(-1, 9), "2026-11")
    account.refund(UUID(int=1), cost, CAUSE, on_behalf=dice.choice((None, on_behalf)))


def _adjust(account: CreditAccount, dice: random.Random) -> None:
    facts = {"adjustment_id": UUID(int=1), "reason": "why", "proposed_by": "operator:2"}
    amount = dice.choice((-20, -1, 1, 20))
    account.adjust(amount, CAUSE, category=dice.choice(CATEGORIES), **facts)


def _transfer(account: CreditAccount, dice: random.Random) -> None:
    facts = {"transfer_id": UUID(int=1), "counterpart_id": CUSTOMER, "reason": "June"}
    move = dice.choice((account.send_transfer, account.receive_transfer))
    move(dice.randint(1, 30), CAUSE, **facts)


ACTS: tuple[Act, ...] = (
    lambda account, dice: account.top_up(dice.randint(1, 90), "pay", CAUSE),
    _reserve,
    _charge,
    lambda account, dice: account.release(_open_one(account, dice), CAUSE) and None,
    lambda account, dice: account.expire(_open_one(account, dice), CAUSE) and None,
    _refund,
    _adjust,
    _transfer,
    lambda account, dice: account.set_limit(dice.randint(0, 50), "contract", CAUSE),
)


@given(seed=st.integers(0, 2**32), act_count=st.integers(0, 60))
def test_postings_balance_after_any_interleaving(seed: int, act_count: int) -> None:
    dice = random.Random(seed)
    account = CreditAccount.open(UUID(int=1), CAUSE)
    for _ in range(act_count):
        try:
            dice.choice(ACTS)(account, dice)
        except DomainError:
            continue

    postings = [postings_of(entry) for entry in account.collect_events()]

    assert all(one.sum_micros == 0 for one in postings)
    assert sum(one.reserved for one in postings) == -account.reserved_micros
    free_micros = account.posted_micros - account.reserved_micros
    assert sum(one.customer_credits for one in postings) == -free_micros


@given(cost=st.integers(1, 900), price=st.integers(1, 900), hours=st.integers(0, 999))
def test_a_refund_undoes_the_postings_of_its_charge_but_for_revenue(
    cost: int, price: int, hours: int
) -> None:
    at = CAUSE.at + timedelta(hours=hours)
    names = {"reservation_id": UUID(int=1), "amount_micros": cost, "price_micros": price}
    envelope = {"originator_id": UUID(int=9), "timestamp": at, "actor": "a", "request_id": "r"}
    after = {"posted_after_micros": 0, "reserved_after_micros": 0}
    facts = {**names, **envelope, **after, "sub_account_id": CUSTOMER, "originator_version": 2}

    charged = postings_of(CreditAccount.Charged(**facts))
    refunded = postings_of(CreditAccount.Refunded(**facts))

    assert charged.agent_margin + refunded.agent_margin == 0
    assert charged.revenue + refunded.refunds == 0
