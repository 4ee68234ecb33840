from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from semalink.domain.cause import Cause
from semalink.domain.credit_account import CreditAccount
from semalink.domain.credit_entries import Reservation
from semalink.domain.errors import InsufficientCredits, ReservationNotOpen

ACCOUNT_ID = UUID(int=1)
RESERVATION_ID = UUID(int=2)
OTHER_RESERVATION_ID = UUID(int=3)
AT = datetime(2026, 11, 23, 9, tzinfo=UTC)
CAUSE = Cause("key:1", AT, "req_1")
PRICE_MICROS = 800_000


def opened(*, credit_limit_micros: int = 0, topped_up_micros: int = 0) -> CreditAccount:
    account = CreditAccount.open(ACCOUNT_ID, CAUSE, credit_limit_micros=credit_limit_micros)
    if topped_up_micros:
        account.top_up(topped_up_micros, "ref", CAUSE)
    account.collect_events()
    return account


def reserved() -> CreditAccount:
    account = opened(topped_up_micros=PRICE_MICROS)
    account.reserve(RESERVATION_ID, PRICE_MICROS, CAUSE)
    account.collect_events()
    return account


def entries(account: CreditAccount) -> list[tuple[Any, int | None, int, int]]:
    return [
        (
            type(event),
            getattr(event, "amount_micros", None),
            event.posted_after_micros,
            event.reserved_after_micros,
        )
        for event in account.collect_events()
        if isinstance(event, CreditAccount.Event)
    ]


def test_open_holds_nothing() -> None:
    account = CreditAccount.open(ACCOUNT_ID, CAUSE)

    assert account.available_micros == 0
    assert entries(account) == [(CreditAccount.Created, None, 0, 0)]


def test_open_makes_the_credit_limit_available() -> None:
    account = CreditAccount.open(ACCOUNT_ID, CAUSE, credit_limit_micros=5)

    assert account.available_micros == 5


def test_open_records_who_when_and_in_which_request() -> None:
    account = CreditAccount.open(ACCOUNT_ID, CAUSE)

    [created] = account.collect_events()

    assert isinstance(created, CreditAccount.Created)
    assert (created.actor, created.timestamp, created.request_id) == ("key:1", AT, "req_1")


def test_top_up_adds_to_posted() -> None:
    account = opened(topped_up_micros=10)

    account.top_up(5, "ref", CAUSE)

    assert entries(account) == [(CreditAccount.ToppedUp, 5, 15, 0)]


def test_reserve_takes_from_available_and_leaves_posted() -> None:
    account = opened(topped_up_micros=PRICE_MICROS)

    account.reserve(RESERVATION_ID, PRICE_MICROS, CAUSE)

    assert account.available_micros == 0
    assert account.open_reservations == {RESERVATION_ID: Reservation(PRICE_MICROS)}
    assert entries(account) == [
        (CreditAccount.Reserved, PRICE_MICROS, PRICE_MICROS, PRICE_MICROS),
    ]


def test_reserve_refuses_one_micro_more_than_available() -> None:
    account = opened(topped_up_micros=PRICE_MICROS)

    with pytest.raises(InsufficientCredits) as refusal:
        account.reserve(RESERVATION_ID, PRICE_MICROS + 1, CAUSE)

    assert refusal.value.available_micros == PRICE_MICROS
    assert refusal.value.price_micros == PRICE_MICROS + 1
    assert account.collect_events() == []
    assert (account.posted_micros, account.reserved_micros) == (PRICE_MICROS, 0)


def test_reserve_reaches_into_the_credit_limit_and_no_further() -> None:
    account = opened(credit_limit_micros=10)

    account.reserve(RESERVATION_ID, 10, CAUSE)

    with pytest.raises(InsufficientCredits):
        account.reserve(OTHER_RESERVATION_ID, 1, CAUSE)
    assert entries(account) == [
        (CreditAccount.Reserved, 10, 0, 10),
        (CreditAccount.LimitNeared, None, 0, 10),
    ]


def test_charge_spends_what_was_reserved() -> None:
    account = reserved()

    charge = account.charge(RESERVATION_ID, CAUSE)

    assert charge == (PRICE_MICROS, PRICE_MICROS, account.version)
    assert account.open_reservations == {}
    assert entries(account) == [(CreditAccount.Charged, PRICE_MICROS, 0, 0)]


def test_charge_leaves_posted_negative_on_a_credit_limit() -> None:
    account = opened(credit_limit_micros=10)
    account.reserve(RESERVATION_ID, 10, CAUSE)
    account.collect_events()

    account.charge(RESERVATION_ID, CAUSE)

    assert account.available_micros == 0
    assert entries(account) == [(CreditAccount.Charged, 10, -10, 0)]


def test_release_gives_back_what_was_reserved() -> None:
    account = reserved()

    released_micros = account.release(RESERVATION_ID, CAUSE)

    assert released_micros == PRICE_MICROS
    assert account.available_micros == PRICE_MICROS
    assert entries(account) == [(CreditAccount.Released, PRICE_MICROS, PRICE_MICROS, 0)]


RESOLVERS = [CreditAccount.charge, CreditAccount.release, CreditAccount.expire]


@pytest.mark.parametrize("first", RESOLVERS)
@pytest.mark.parametrize("second", RESOLVERS)
def test_charge_and_release_refuse_when_the_reservation_was_resolved(
    first: Callable[[CreditAccount, UUID, Cause], object],
    second: Callable[[CreditAccount, UUID, Cause], object],
) -> None:
    account = reserved()
    first(account, RESERVATION_ID, CAUSE)
    balance = (account.posted_micros, account.reserved_micros)
    account.collect_events()

    with pytest.raises(ReservationNotOpen):
        second(account, RESERVATION_ID, CAUSE)

    assert account.collect_events() == []
    assert (account.posted_micros, account.reserved_micros) == balance


def test_refund_gives_back_what_was_charged() -> None:
    account = reserved()
    account.charge(RESERVATION_ID, CAUSE)
    account.collect_events()

    account.refund(RESERVATION_ID, PRICE_MICROS, CAUSE)

    assert account.available_micros == PRICE_MICROS
    assert entries(account) == [(CreditAccount.Refunded, PRICE_MICROS, PRICE_MICROS, 0)]


def test_restore_goes_on_where_the_head_row_stands() -> None:
    account = CreditAccount.restore(
        ACCOUNT_ID, 7, AT, posted_micros=20, reserved_micros=5, credit_limit_micros=1
    )

    account.reserve(RESERVATION_ID, 16, CAUSE)

    entry, warning = account.collect_events()
    assert (entry.originator_version, warning.originator_version) == (8, 9)
    assert account.available_micros == 0


def test_replay_comes_to_the_same_balance_and_reservations() -> None:
    account = CreditAccount.open(ACCOUNT_ID, CAUSE, credit_limit_micros=100)
    account.top_up(30, "ref", CAUSE)
    for number in range(4):
        account.reserve(UUID(int=10 + number), 20 + number, CAUSE)
    account.charge(UUID(int=10), CAUSE)
    account.release(UUID(int=11), CAUSE)
    account.refund(UUID(int=10), 20, CAUSE)

    replayed: Any = None
    for event in account.collect_events():
        replayed = event.mutate(replayed)

    assert replayed == account


@pytest.mark.parametrize("amount_micros", [0, -1])
def test_no_verb_moves_nothing_or_less(amount_micros: int) -> None:
    account = opened(topped_up_micros=10)

    with pytest.raises(AssertionError, match="nothing"):
        account.top_up(amount_micros, "ref", CAUSE)
    with pytest.raises(AssertionError, match="nothing"):
        account.reserve(RESERVATION_ID, amount_micros, CAUSE)
    with pytest.raises(AssertionError, match="nothing"):
        account.refund(RESERVATION_ID, amount_micros, CAUSE)
    assert account.collect_events() == []


def test_open_refuses_a_credit_limit_below_nothing() -> None:
    with pytest.raises(AssertionError, match="never negative"):
        CreditAccount.open(ACCOUNT_ID, CAUSE, credit_limit_micros=-1)


def test_reserve_is_a_bug_when_the_reservation_is_open() -> None:
    account = reserved()

    with pytest.raises(AssertionError, match="made once"):
        account.reserve(RESERVATION_ID, 1, CAUSE)

    assert account.collect_events() == []
