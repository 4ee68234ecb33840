from datetime import UTC, datetime
from uuid import UUID

import pytest

from semalink.domain.cause import Cause
from semalink.domain.credit_account import CreditAccount, Spending
from semalink.domain.credit_entries import OnBehalf, Reservation
from semalink.domain.errors import (
    CreditLimitTooLow,
    InsufficientCredits,
    SpendingCapReached,
)

ACCOUNT_ID, OTHER_ID, CUSTOMER_ID = UUID(int=1), UUID(int=2), UUID(int=3)
RESERVATION_ID = UUID(int=4)
AT = datetime(2026, 11, 23, 9, tzinfo=UTC)
CAUSE = Cause("operator:1", AT, "req_1")
MONTH = "2026-11"
WHY = {"category": "correction", "reason": "r", "proposed_by": "p", "adjustment_id": OTHER_ID}


def opened(posted_micros: int = 0, limit_micros: int = 0) -> CreditAccount:
    account = CreditAccount.open(ACCOUNT_ID, CAUSE, credit_limit_micros=limit_micros)
    if posted_micros:
        account.top_up(posted_micros, "ref", CAUSE)
    account.collect_events()
    return account


def agent_of_customer(cap_micros: int | None, spent_micros: int = 0) -> CreditAccount:
    account = opened(1_000)
    account.spending[CUSTOMER_ID, MONTH] = Spending(cap_micros, spent_micros)
    return account


def names(account: CreditAccount) -> list[str]:
    return [type(event).__name__ for event in account.collect_events()]


def test_top_up_records_what_was_paid() -> None:
    account = opened()

    account.top_up(5, "ref", CAUSE, currency="KES", paid_minor_units=500)

    [entry] = account.collect_events()
    assert isinstance(entry, CreditAccount.ToppedUp)
    assert (entry.currency, entry.paid_minor_units) == ("KES", 500)


def test_charge_of_a_part_keeps_the_rest_reserved() -> None:
    account = opened(100)
    account.reserve(RESERVATION_ID, 90, CAUSE, expires_at=AT)

    charge = account.charge(RESERVATION_ID, CAUSE, amount_micros=40, message_id=OTHER_ID)

    assert charge.amount_micros == 40
    assert (account.posted_micros, account.reserved_micros) == (60, 50)
    assert account.open_reservations == {RESERVATION_ID: Reservation(50, AT)}


def test_charge_of_parts_resolves_the_reservation_with_the_last() -> None:
    account = opened(100)
    account.reserve(RESERVATION_ID, 90, CAUSE)

    account.charge(RESERVATION_ID, CAUSE, amount_micros=40)
    account.charge(RESERVATION_ID, CAUSE, amount_micros=50)

    assert (account.posted_micros, account.reserved_micros) == (10, 0)
    assert account.open_reservations == {}


@pytest.mark.parametrize("amount_micros", [0, 91])
def test_charge_refuses_more_than_is_reserved_and_nothing(amount_micros: int) -> None:
    account = opened(100)
    account.reserve(RESERVATION_ID, 90, CAUSE)
    account.collect_events()

    with pytest.raises(InsufficientCredits):
        account.charge(RESERVATION_ID, CAUSE, amount_micros=amount_micros)

    assert account.collect_events() == []


def test_expire_gives_back_what_is_left() -> None:
    account = opened(100)
    account.reserve(RESERVATION_ID, 90, CAUSE)
    account.charge(RESERVATION_ID, CAUSE, amount_micros=40)
    account.collect_events()

    expired_micros = account.expire(RESERVATION_ID, CAUSE)

    assert expired_micros == 50
    assert (account.posted_micros, account.reserved_micros) == (60, 0)
    assert names(account) == ["ReservationExpired"]


def test_adjust_moves_the_balance_either_way() -> None:
    account = opened(100)
    account.adjust(-30, CAUSE, **WHY)
    account.adjust(5, CAUSE, **WHY)

    assert account.posted_micros == 75


def test_adjust_refuses_to_take_what_is_reserved() -> None:
    account = opened(100)
    account.reserve(RESERVATION_ID, 90, CAUSE)
    account.collect_events()

    with pytest.raises(InsufficientCredits):
        account.adjust(-11, CAUSE, **WHY)

    assert account.collect_events() == []


def test_set_limit_makes_it_available() -> None:
    account = opened(10)

    account.set_limit(90, "contract 7", CAUSE)

    [entry] = account.collect_events()
    assert account.available_micros == 100
    assert isinstance(entry, CreditAccount.LimitSet)
    assert (entry.credit_limit_after_micros, entry.reason) == (90, "contract 7")


def test_set_limit_to_what_it_is_records_nothing() -> None:
    account = opened(limit_micros=10)

    account.set_limit(10, "again", CAUSE)

    assert account.collect_events() == []


def test_set_limit_refuses_less_than_is_used() -> None:
    account = opened(limit_micros=100)
    account.reserve(RESERVATION_ID, 60, CAUSE)
    account.collect_events()

    with pytest.raises(CreditLimitTooLow) as refusal:
        account.set_limit(59, "too low", CAUSE)

    assert refusal.value.used_micros == 60
    assert account.collect_events() == []


def test_set_limit_may_come_down_to_what_is_used() -> None:
    account = opened(limit_micros=100)
    account.reserve(RESERVATION_ID, 60, CAUSE)

    account.set_limit(60, "lower", CAUSE)

    assert account.available_micros == 0


def test_reserve_warns_once_when_less_than_a_fifth_of_the_limit_remains() -> None:
    account = opened(limit_micros=100)

    account.reserve(UUID(int=10), 80, CAUSE)
    account.reserve(UUID(int=11), 1, CAUSE)
    account.reserve(UUID(int=12), 1, CAUSE)

    assert names(account) == ["Reserved", "Reserved", "LimitNeared", "Reserved"]


def test_reserve_warns_again_after_enough_was_there() -> None:
    account = opened(limit_micros=100)
    account.reserve(UUID(int=10), 81, CAUSE)
    account.top_up(81, "ref", CAUSE)
    account.collect_events()

    account.reserve(UUID(int=11), 81, CAUSE)

    assert names(account) == ["Reserved", "LimitNeared"]


def test_a_release_arms_the_warning_anew_only_when_twice_as_much_remains() -> None:
    account = opened(limit_micros=100)
    account.reserve(UUID(int=10), 61, CAUSE)
    account.reserve(UUID(int=11), 20, CAUSE)
    account.release(UUID(int=11), CAUSE)
    is_low_with_little_back = account.is_low
    account.release(UUID(int=10), CAUSE)

    assert is_low_with_little_back
    assert not account.is_low


def test_set_limit_warns_when_little_remains_of_the_new_one() -> None:
    account = opened(limit_micros=1_000)
    account.reserve(RESERVATION_ID, 90, CAUSE)
    account.collect_events()

    account.set_limit(91, "lower", CAUSE)

    assert names(account) == ["LimitSet", "LimitNeared"]


def test_adjust_warns_when_it_takes_nearly_all() -> None:
    account = opened(limit_micros=100)

    account.adjust(-90, CAUSE, **WHY)

    assert names(account) == ["Adjusted", "LimitNeared"]


def test_last_part_for_a_customer_gives_back_what_it_was_not_asked_for() -> None:
    account = agent_of_customer(cap_micros=None)
    account.reserve(RESERVATION_ID, 30, CAUSE, on_behalf=OnBehalf(CUSTOMER_ID, 50, MONTH))

    account.charge(RESERVATION_ID, CAUSE, amount_micros=10, price_micros=15)
    account.charge(RESERVATION_ID, CAUSE, amount_micros=20, price_micros=25)

    assert account.spending[CUSTOMER_ID, MONTH].spent_micros == 40


def test_part_for_a_customer_is_a_bug_without_a_price() -> None:
    account = agent_of_customer(cap_micros=None)
    account.reserve(RESERVATION_ID, 30, CAUSE, on_behalf=OnBehalf(CUSTOMER_ID, 50, MONTH))

    with pytest.raises(AssertionError, match="price of its own"):
        account.charge(RESERVATION_ID, CAUSE, amount_micros=10)


def test_transfer_of_nothing_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="of nothing"):
        opened(10).send_transfer(-5, CAUSE)


def test_a_small_top_up_does_not_arm_the_warning_anew() -> None:
    account = opened(limit_micros=100)
    account.reserve(UUID(int=10), 95, CAUSE)

    account.top_up(1, "ref", CAUSE)

    assert account.is_low


def test_transfer_moves_credits_that_were_bought() -> None:
    giver, taker = opened(50), CreditAccount.open(OTHER_ID, CAUSE)
    facts = {"transfer_id": UUID(int=9), "reason": "r"}

    giver.send_transfer(20, CAUSE, counterpart_id=OTHER_ID, **facts)
    taker.receive_transfer(20, CAUSE, counterpart_id=ACCOUNT_ID, **facts)

    assert (giver.posted_micros, taker.posted_micros) == (30, 20)


@pytest.mark.parametrize(("posted_micros", "seen_micros"), [(10, 10), (0, 0)])
def test_transfer_refuses_what_the_limit_would_lend(posted_micros: int, seen_micros: int) -> None:
    account = opened(posted_micros, limit_micros=100)

    with pytest.raises(InsufficientCredits) as refusal:
        account.send_transfer(11, CAUSE, transfer_id=UUID(int=9), counterpart_id=OTHER_ID)

    assert refusal.value.available_micros == seen_micros
    assert account.collect_events() == []


def test_reserve_for_a_customer_counts_its_price_and_takes_the_cost() -> None:
    account = agent_of_customer(cap_micros=50)

    account.reserve(RESERVATION_ID, 30, CAUSE, on_behalf=OnBehalf(CUSTOMER_ID, 50, MONTH))

    assert account.reserved_micros == 30
    assert account.spending[CUSTOMER_ID, MONTH].spent_micros == 50


def test_reserve_refuses_a_customer_one_micro_over_its_cap() -> None:
    account = agent_of_customer(cap_micros=50, spent_micros=21)

    with pytest.raises(SpendingCapReached) as refusal:
        account.reserve(RESERVATION_ID, 1, CAUSE, on_behalf=OnBehalf(CUSTOMER_ID, 30, MONTH))

    assert (refusal.value.cap_micros, refusal.value.spent_micros) == (50, 21)
    assert account.collect_events() == []


def test_reserve_tells_a_customer_nothing_of_its_agents_credits() -> None:
    account = agent_of_customer(cap_micros=None)

    with pytest.raises(InsufficientCredits) as refusal:
        account.reserve(RESERVATION_ID, 1_001, CAUSE, on_behalf=OnBehalf(CUSTOMER_ID, 9, MONTH))

    assert refusal.value.available_micros is None
    assert "1000" not in str(refusal.value)
    assert "1001" not in str(refusal.value)


def test_charge_for_a_customer_tells_cost_and_price() -> None:
    account = agent_of_customer(cap_micros=None)
    account.reserve(RESERVATION_ID, 30, CAUSE, on_behalf=OnBehalf(CUSTOMER_ID, 50, MONTH))

    charge = account.charge(RESERVATION_ID, CAUSE)

    assert (charge.amount_micros, charge.price_micros) == (30, 50)
    assert account.spending[CUSTOMER_ID, MONTH].spent_micros == 50


def test_charge_of_a_part_for_a_customer_leaves_the_rest_of_its_price() -> None:
    account = agent_of_customer(cap_micros=None)
    account.reserve(RESERVATION_ID, 30, CAUSE, on_behalf=OnBehalf(CUSTOMER_ID, 50, MONTH))

    account.charge(RESERVATION_ID, CAUSE, amount_micros=10, price_micros=20)
    account.release(RESERVATION_ID, CAUSE)

    assert account.spending[CUSTOMER_ID, MONTH].spent_micros == 20


def test_refund_gives_a_customer_its_price_back() -> None:
    account = agent_of_customer(cap_micros=None)
    on_behalf = OnBehalf(CUSTOMER_ID, 50, MONTH)
    account.reserve(RESERVATION_ID, 30, CAUSE, on_behalf=on_behalf)
    charge = account.charge(RESERVATION_ID, CAUSE)
    account.collect_events()

    account.refund(RESERVATION_ID, 30, CAUSE, charge_version=charge.version, on_behalf=on_behalf)

    [entry] = account.collect_events()
    assert isinstance(entry, CreditAccount.Refunded)
    assert entry.charge_version == charge.version
    assert account.posted_micros == 1_000
    assert account.spending[CUSTOMER_ID, MONTH].spent_micros == 0


def test_spending_that_was_not_loaded_is_left_alone() -> None:
    account = agent_of_customer(cap_micros=None)
    account.reserve(RESERVATION_ID, 30, CAUSE, on_behalf=OnBehalf(CUSTOMER_ID, 50, MONTH))
    account.spending.clear()

    account.release(RESERVATION_ID, CAUSE)

    assert account.spending == {}


def test_replay_comes_to_the_same_account() -> None:
    account = opened(100, limit_micros=100)
    replayed = CreditAccount.restore(
        ACCOUNT_ID,
        account.version,
        account.modified_on,
        posted_micros=100,
        reserved_micros=0,
        credit_limit_micros=100,
    )
    account.reserve(RESERVATION_ID, 190, CAUSE, expires_at=AT)
    account.charge(RESERVATION_ID, CAUSE, amount_micros=60)
    account.set_limit(150, "more", CAUSE)
    account.expire(RESERVATION_ID, CAUSE)

    for event in account.collect_events():
        event.mutate(replayed)

    assert replayed == account
