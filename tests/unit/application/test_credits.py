from collections.abc import Callable
from uuid import UUID

import pytest

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.credits import (
    ApproveAdjustment,
    ExpireReservation,
    ProposeAdjustment,
    RejectAdjustment,
    SetCreditLimit,
    TransferCredits,
)
from semalink.application.ledger import Idempotency, StoredRefusal
from semalink.domain.account import Kind, Tier
from semalink.domain.adjustment import AdjustmentState, Category
from semalink.domain.cause import Cause
from semalink.domain.credit_account import CreditAccount
from semalink.domain.errors import (
    AccountNotFound,
    AdjustmentNotFound,
    CreditLimitTooLow,
    DomainError,
    InsufficientCredits,
    NotRelated,
    PaidByAgent,
    SamePerson,
)
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger

AGENT_ID, PAID_ID, PAYING_ID = UUID(int=0xA1), UUID(int=0xA2), UUID(int=0xA3)
ADJUSTMENT_ID, TRANSFER_ID = UUID(int=0xB1), UUID(int=0xB2)


@pytest.fixture
def family(ledger: MemoryLedger, cause: Callable[..., Cause]) -> MemoryLedger:
    """An agent with 100 micros, a customer that it pays for, and one that pays for itself."""
    ledger.decide(OpenAccount(AGENT_ID, "Wakala", Kind.AGENT, Tier.GROWTH, cause()))
    for account_id, pays_itself in ((PAID_ID, False), (PAYING_ID, True)):
        ledger.decide(
            OpenAccount(
                account_id,
                "Duka",
                Kind.CUSTOMER,
                Tier.STARTER,
                cause(),
                agent_id=AGENT_ID,
                pays_itself=pays_itself,
            )
        )
    ledger.decide(TopUp(AGENT_ID, 100, "payment-1", cause()))
    return ledger


@pytest.fixture
def propose(ledger: MemoryLedger, account_id: UUID, clock: MemoryClock) -> Callable[..., None]:
    """Has one person ask for an adjustment."""

    def of(amount_micros: int, idempotency: Idempotency | None = None) -> None:
        asked_by = Cause("operator:1", clock.now(), "req_1")
        ledger.decide(
            ProposeAdjustment(
                ADJUSTMENT_ID,
                account_id,
                amount_micros,
                Category.CORRECTION,
                "Paid twice",
                asked_by,
                idempotency,
            )
        )

    return of


def test_set_limit_lets_an_account_go_below_what_it_bought(
    ledger: MemoryLedger, account_id: UUID, cause: Callable[..., Cause]
) -> None:
    answer = ledger.decide(SetCreditLimit(account_id, 500, "contract 7", cause()))

    assert answer.value.available_micros == ledger.balance(account_id).available_micros
    assert answer.value.credit_limit_micros == 500


def test_set_limit_refused_is_kept_for_auditors(
    ledger: MemoryLedger,
    account_id: UUID,
    accept: Callable[..., object],
    cause: Callable[..., Cause],
) -> None:
    ledger.decide(SetCreditLimit(account_id, 5_000_000, "contract 7", cause()))
    accept(price_micros=12_000_000)

    with pytest.raises(CreditLimitTooLow):
        ledger.decide(SetCreditLimit(account_id, 0, "back", cause()))

    [refusal] = ledger.refusals
    assert (refusal.command, refusal.code) == ("set_credit_limit", "credit_limit_too_low")
    assert refusal.account_id == account_id


@pytest.mark.parametrize(
    "command",
    [
        lambda cause: SetCreditLimit(PAID_ID, 5, "r", cause),
        lambda cause: TopUp(PAID_ID, 5, "payment-2", cause),
        lambda cause: ProposeAdjustment(ADJUSTMENT_ID, PAID_ID, 5, Category.GOODWILL, "r", cause),
        lambda cause: TransferCredits(TRANSFER_ID, AGENT_ID, PAID_ID, 5, "r", cause),
    ],
)
def test_credits_of_an_account_that_its_agent_pays_cannot_be_changed(
    family: MemoryLedger, cause: Callable[..., Cause], command: Callable[[Cause], object]
) -> None:
    before = len(family.log)

    with pytest.raises(PaidByAgent):
        family.decide(command(cause()))  # type: ignore[arg-type]

    assert len(family.log) == before


def test_adjustment_moves_nothing_before_it_is_approved(
    ledger: MemoryLedger, account_id: UUID, propose: Callable[..., None]
) -> None:
    before = ledger.balance(account_id).posted_micros

    propose(-5)

    assert ledger.balance(account_id).posted_micros == before


def test_adjustment_is_applied_with_the_approval_of_another_person(
    ledger: MemoryLedger,
    account_id: UUID,
    propose: Callable[..., None],
    cause: Callable[..., Cause],
) -> None:
    before = ledger.balance(account_id).posted_micros
    propose(-5)

    answer = ledger.decide(ApproveAdjustment(ADJUSTMENT_ID, account_id, cause()))

    assert answer.value.state is AdjustmentState.APPLIED
    assert ledger.balance(account_id).posted_micros == before - 5
    entry = ledger.streams[CreditAccount][account_id][-1]
    assert (entry.adjustment_id, entry.proposed_by) == (ADJUSTMENT_ID, "operator:1")
    assert (entry.reason, entry.category) == ("Paid twice", "correction")


def test_adjustment_is_not_approved_by_whoever_proposed_it(
    ledger: MemoryLedger, account_id: UUID, propose: Callable[..., None], clock: MemoryClock
) -> None:
    propose(5)
    before = len(ledger.log)

    with pytest.raises(SamePerson):
        ledger.decide(
            ApproveAdjustment(ADJUSTMENT_ID, account_id, Cause("operator:1", clock.now(), "req_2"))
        )

    assert len(ledger.log) == before
    assert [refusal.code for refusal in ledger.refusals] == ["same_person"]


def test_adjustment_that_cannot_be_paid_stays_proposed(
    ledger: MemoryLedger,
    account_id: UUID,
    propose: Callable[..., None],
    cause: Callable[..., Cause],
) -> None:
    propose(-(10**12))

    with pytest.raises(InsufficientCredits):
        ledger.decide(ApproveAdjustment(ADJUSTMENT_ID, account_id, cause()))

    answer = ledger.decide(RejectAdjustment(ADJUSTMENT_ID, account_id, "too much", cause()))
    assert answer.value.state is AdjustmentState.REJECTED


def test_adjustment_approved_again_by_the_same_person_is_answered_alike(
    ledger: MemoryLedger,
    account_id: UUID,
    propose: Callable[..., None],
    cause: Callable[..., Cause],
) -> None:
    propose(5)
    first = ledger.decide(ApproveAdjustment(ADJUSTMENT_ID, account_id, cause()))
    before = len(ledger.log)

    second = ledger.decide(ApproveAdjustment(ADJUSTMENT_ID, account_id, cause()))

    assert second.value == first.value
    assert len(ledger.log) == before


def test_adjustment_of_another_account_is_not_there(
    family: MemoryLedger, propose: Callable[..., None], cause: Callable[..., Cause]
) -> None:
    propose(5)

    with pytest.raises(AdjustmentNotFound):
        family.decide(ApproveAdjustment(ADJUSTMENT_ID, AGENT_ID, cause()))
    with pytest.raises(AdjustmentNotFound):
        family.decide(RejectAdjustment(ADJUSTMENT_ID, AGENT_ID, "no", cause()))


def test_transfer_asked_for_twice_without_a_key_happens_once(
    family: MemoryLedger, cause: Callable[..., Cause]
) -> None:
    command = TransferCredits(TRANSFER_ID, AGENT_ID, PAYING_ID, 30, "June", cause())

    family.decide(command)
    family.decide(command)

    assert family.balance(AGENT_ID).posted_micros == 70


def test_adjustment_that_is_not_there_is_refused(
    ledger: MemoryLedger, account_id: UUID, cause: Callable[..., Cause]
) -> None:
    with pytest.raises(AdjustmentNotFound):
        ledger.decide(ApproveAdjustment(ADJUSTMENT_ID, account_id, cause()))


def test_adjustment_proposed_twice_is_one(
    ledger: MemoryLedger, propose: Callable[..., None]
) -> None:
    propose(5)
    before = len(ledger.log)

    propose(5)

    assert len(ledger.log) == before


def test_adjustment_proposed_twice_under_one_key_is_one(
    ledger: MemoryLedger, account_id: UUID, propose: Callable[..., None]
) -> None:
    idempotency = Idempotency(account_id, "adjust-1", b"same")
    propose(5, idempotency)
    before = len(ledger.log)

    propose(5, idempotency)

    assert len(ledger.log) == before


@pytest.mark.parametrize(("giver", "taker"), [(AGENT_ID, PAYING_ID), (PAYING_ID, AGENT_ID)])
def test_transfer_goes_both_ways_between_an_agent_and_its_customer(
    family: MemoryLedger, cause: Callable[..., Cause], giver: UUID, taker: UUID
) -> None:
    family.decide(TopUp(PAYING_ID, 50, "payment-3", cause()))
    before = family.balance(giver).posted_micros, family.balance(taker).posted_micros
    key = Idempotency(giver, "transfer-1", b"same")
    command = TransferCredits(TRANSFER_ID, giver, taker, 30, "June", cause(), key)

    first = family.decide(command)
    second = family.decide(command)

    after = family.balance(giver).posted_micros, family.balance(taker).posted_micros
    assert after == (before[0] - 30, before[1] + 30)
    assert (first.replayed, second.replayed) == (False, True)
    assert second.value == first.value


@pytest.mark.parametrize(
    ("giver", "taker", "refusal"),
    [
        (AGENT_ID, AGENT_ID, NotRelated),
        (PAYING_ID, PAYING_ID, NotRelated),
        (AGENT_ID, UUID(int=0xFF), AccountNotFound),
        (PAYING_ID, AGENT_ID, InsufficientCredits),
    ],
)
def test_transfer_refuses_what_it_cannot_do(
    family: MemoryLedger,
    cause: Callable[..., Cause],
    giver: UUID,
    taker: UUID,
    refusal: type[DomainError],
) -> None:
    before = len(family.log)

    with pytest.raises(refusal):
        family.decide(TransferCredits(TRANSFER_ID, giver, taker, 30, "June", cause()))

    assert len(family.log) == before


def test_transfer_between_strangers_is_refused(
    family: MemoryLedger, account_id: UUID, cause: Callable[..., Cause]
) -> None:
    with pytest.raises(NotRelated):
        family.decide(TransferCredits(TRANSFER_ID, account_id, AGENT_ID, 1, "r", cause()))


def test_reservation_expires_once_its_time_is_up(
    ledger: MemoryLedger,
    account_id: UUID,
    accept: Callable[..., object],
    cause: Callable[..., Cause],
    clock: MemoryClock,
) -> None:
    accept()
    [reservation_id] = ledger.open_reservations

    early = ledger.decide(ExpireReservation(reservation_id, account_id, cause()))
    clock.advance(days=8)
    due = ledger.decide(ExpireReservation(reservation_id, account_id, cause()))
    again = ledger.decide(ExpireReservation(reservation_id, account_id, cause()))

    assert (early.value, due.value, again.value) == (False, True, False)
    assert ledger.balance(account_id).reserved_micros == 0
    assert ledger.open_reservations == {}


def test_top_up_answers_alike_only_for_the_same_payment(
    ledger: MemoryLedger, account_id: UUID, cause: Callable[..., Cause]
) -> None:
    paid = TopUp(account_id, 5, "payment-9", cause(), currency="KES", paid_minor_units=500)
    other = TopUp(account_id, 5, "payment-9", cause(), currency="KES", paid_minor_units=400)
    ledger.decide(paid)

    assert ledger.decide(paid).replayed
    with pytest.raises(DomainError) as refusal:
        ledger.decide(other)
    assert refusal.value.code == "payment_reference_reused"
    assert not isinstance(refusal.value, StoredRefusal)
