from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from semalink.application.accounts import TopUp
from semalink.application.ledger import (
    Answer,
    Books,
    Idempotency,
    Ledger,
    LedgerUnavailable,
    Needs,
    OutcomeInDoubt,
    PlainCommand,
    StoredOutcome,
    StoredRefusal,
    decide_batch,
)
from semalink.application.sending import AcceptMessage
from semalink.domain.cause import Cause
from semalink.domain.draft import Draft
from semalink.domain.errors import (
    AccountNotFound,
    EmptyText,
    IdempotencyKeyReused,
    InsufficientCredits,
    MessageNotFound,
)
from semalink_adapters.memory_ledger import MemoryLedger

KEY = "order-7"


@dataclass(frozen=True, slots=True)
class Misbehave(PlainCommand):
    """Refuses after it has changed something, which is a bug."""

    account_id: UUID
    cause: Cause

    def needs(self, needs: Needs) -> None:
        needs.credit_accounts.add(self.account_id)

    def decide(self, books: Books) -> None:
        books.credit_account(self.account_id).top_up(1, "ref", self.cause)
        raise EmptyText


def empty_books() -> Books:
    return Books(credit_accounts={}, messages={})


def ask(
    draft: Draft, cause: Cause, number: int, *, fingerprint: bytes = b"same", key: str = KEY
) -> AcceptMessage:
    idempotency = Idempotency(draft.account_id, key, fingerprint)
    return AcceptMessage(UUID(int=number), draft.account_id, draft, cause, idempotency)


def test_execute_replays_the_answer_when_the_key_comes_again(
    ledger: MemoryLedger, draft: Draft, cause: Callable[..., Cause]
) -> None:
    first = ledger.decide(ask(draft, cause(), 1))
    recorded = len(ledger.log)

    second = ledger.decide(ask(draft, cause(), 2))

    assert not first.replayed
    assert second == Answer(first.value, replayed=True)
    assert len(ledger.log) == recorded


def test_execute_replays_the_answer_when_the_balance_has_fallen(
    ledger: MemoryLedger, draft: Draft, cause: Callable[..., Cause]
) -> None:
    first = ledger.decide(ask(draft, cause(), 1))
    number = 2
    while ledger.balance(draft.account_id).available_micros >= draft.price_micros:
        ledger.decide(ask(draft, cause(), number, key=f"other-{number}"))
        number += 1

    again = ledger.decide(ask(draft, cause(), number))

    assert again.value.id == first.value.id


def test_execute_replays_the_refusal_when_the_balance_has_risen(
    ledger: MemoryLedger, account_id: UUID, draft: Draft, cause: Callable[..., Cause]
) -> None:
    dear = Draft(
        **{name: getattr(draft, name) for name in draft.__slots__} | {"price_micros": 10**9}
    )
    with pytest.raises(InsufficientCredits) as first:
        ledger.decide(ask(dear, cause(), 1))
    ledger.decide(TopUp(account_id, 10**10, "payment-1", cause()))
    recorded = len(ledger.log)

    with pytest.raises(StoredRefusal) as second:
        ledger.decide(ask(dear, cause(), 2))

    assert second.value.code == "insufficient_credits"
    assert str(second.value) == str(first.value)
    assert second.value.pointer is None
    assert len(ledger.log) == recorded


def test_execute_replays_the_field_at_fault(
    ledger: MemoryLedger, account_id: UUID, cause: Callable[..., Cause]
) -> None:
    idempotency = Idempotency(account_id, KEY, b"same")
    command = AcceptMessage(UUID(int=1), account_id, EmptyText(), cause(), idempotency)
    with pytest.raises(EmptyText):
        ledger.decide(command)

    with pytest.raises(StoredRefusal) as refusal:
        ledger.decide(command)

    assert (refusal.value.code, refusal.value.pointer) == ("empty_text", "/text")


def test_execute_refuses_the_key_for_another_body(
    ledger: MemoryLedger, draft: Draft, cause: Callable[..., Cause]
) -> None:
    ledger.decide(ask(draft, cause(), 1))
    recorded = len(ledger.log)

    with pytest.raises(IdempotencyKeyReused):
        ledger.decide(ask(draft, cause(), 2, fingerprint=b"other"))

    assert len(ledger.log) == recorded


def test_execute_keeps_keys_of_two_accounts_apart(
    ledger: MemoryLedger, account_id: UUID, draft: Draft, cause: Callable[..., Cause]
) -> None:
    ledger.decide(ask(draft, cause(), 1))
    others = Idempotency(UUID(int=99), KEY, b"other")

    answer = ledger.decide(AcceptMessage(UUID(int=2), account_id, draft, cause(), others))

    assert not answer.replayed


def test_decide_batch_answers_a_repeated_key_within_the_batch(
    ledger: MemoryLedger, draft: Draft, cause: Callable[..., Cause]
) -> None:
    commands = [ask(draft, cause(), 1), ask(draft, cause(), 2)]

    first, second = ledger.decide_together(commands)

    assert second == Answer(first.value, replayed=True)
    assert list(ledger.pending()) == [UUID(int=1)]


def test_decide_batch_gives_the_last_credits_to_whoever_asked_first(
    ledger: MemoryLedger, draft: Draft, cause: Callable[..., Cause]
) -> None:
    affordable = ledger.balance(draft.account_id).available_micros // draft.price_micros
    commands = [ask(draft, cause(), number, key=str(number)) for number in range(affordable + 2)]

    outcomes = ledger.decide_together(commands)

    refused = [isinstance(outcome, InsufficientCredits) for outcome in outcomes]
    assert refused == [False] * affordable + [True] * 2


def test_decide_batch_lets_one_refusal_stop_no_other(
    ledger: MemoryLedger, account_id: UUID, draft: Draft, cause: Callable[..., Cause]
) -> None:
    refused = AcceptMessage(UUID(int=2), account_id, EmptyText(), cause(), None)

    outcomes = ledger.decide_together(
        [ask(draft, cause(), 1, key="a"), refused, ask(draft, cause(), 3, key="b")]
    )

    assert [type(outcome) for outcome in outcomes] == [Answer, EmptyText, Answer]
    assert list(ledger.pending()) == [UUID(int=1), UUID(int=3)]


def test_decide_batch_decides_what_an_earlier_batch_did_not_know(
    draft: Draft, cause: Callable[..., Cause]
) -> None:
    command = ask(draft, cause(), 1)
    known = {(draft.account_id, KEY): StoredOutcome(b"same", None, ("gone", "It is gone.", None))}

    decisions = decide_batch([command], empty_books(), known)

    [outcome] = decisions.outcomes
    assert isinstance(outcome, StoredRefusal)
    assert outcome.code == "gone"
    assert (decisions.events, decisions.stored) == ([], {})


def test_refusal_that_changed_something_is_a_bug(
    ledger: MemoryLedger, account_id: UUID, cause: Callable[..., Cause]
) -> None:
    recorded = len(ledger.log)

    with pytest.raises(AssertionError, match="must not have changed anything"):
        ledger.decide(Misbehave(account_id, cause()))

    assert len(ledger.log) == recorded


@pytest.mark.parametrize(
    ("look_up", "refusal"),
    [
        (Books.credit_account, AccountNotFound),
        (Books.account, AccountNotFound),
        (Books.message, MessageNotFound),
    ],
)
def test_books_refuse_what_is_not_there(
    look_up: Callable[[Books, UUID], Any], refusal: type[Exception]
) -> None:
    books = empty_books()

    with pytest.raises(refusal):
        look_up(books, UUID(int=1))

    assert books.collect() == []


def test_plain_command_has_no_stored_answer() -> None:
    assert PlainCommand.idempotency is None
    with pytest.raises(AssertionError):
        PlainCommand.encode("answer")
    with pytest.raises(AssertionError):
        PlainCommand.decode(b"answer")


async def test_execute_decides_nothing_while_the_database_is_away(
    ledger: MemoryLedger, draft: Draft, cause: Callable[..., Cause]
) -> None:
    port: Ledger = ledger
    recorded = len(ledger.log)
    ledger.is_available = False

    with pytest.raises(LedgerUnavailable):
        await port.execute(ask(draft, cause(), 1))

    assert len(ledger.log) == recorded


async def test_execute_has_counted_once_when_an_answer_in_doubt_is_asked_for_again(
    ledger: MemoryLedger, draft: Draft, cause: Callable[..., Cause]
) -> None:
    command = ask(draft, cause(), 1)
    ledger.loses_next_answer = True
    with pytest.raises(OutcomeInDoubt):
        await ledger.execute(command)

    answer = await ledger.execute(command)

    assert answer.replayed
    assert ledger.balance(draft.account_id).reserved_micros == draft.price_micros
