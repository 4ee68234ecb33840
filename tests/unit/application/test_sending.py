from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from semalink.application.ledger import Idempotency, StoredRefusal
from semalink.application.sending import BatchItem, Checked, Sending
from semalink.domain.cause import Cause
from semalink.domain.credit_account import CreditAccount
from semalink.domain.draft import Draft, Mode
from semalink.domain.errors import AccountNotFound, EmptyText, InsufficientCredits
from semalink.domain.ids import MESSAGE_PREFIX, format_id
from semalink.domain.message import Message
from semalink_adapters.memory_ledger import MemoryLedger

OTHER_ID = UUID(int=0xACC1)


@pytest.fixture
def sending(ledger: MemoryLedger, new_id: Callable[[], UUID]) -> Sending:
    return Sending(ledger, new_id)


def new_events(ledger: MemoryLedger) -> Sequence[Any]:
    return ledger.log[3:]


async def test_accept_reserves_the_price_and_records_the_message(
    ledger: MemoryLedger,
    sending: Sending,
    account_id: UUID,
    draft: Draft,
    cause: Callable[..., Cause],
) -> None:
    answer = await sending.accept(account_id, draft, cause("req_1"), None)

    reserved, created = new_events(ledger)
    assert isinstance(reserved, CreditAccount.Reserved)
    assert isinstance(created, Message.Created)
    assert reserved.reservation_id == created.originator_id
    assert reserved.amount_micros == draft.price_micros
    assert answer.value.id == format_id(MESSAGE_PREFIX, created.originator_id)
    assert answer.value.status == "accepted"
    assert answer.value.price_micros == draft.price_micros


async def test_accept_records_nothing_when_the_credits_do_not_suffice(
    ledger: MemoryLedger,
    sending: Sending,
    account_id: UUID,
    draft: Draft,
    cause: Callable[..., Cause],
) -> None:
    with pytest.raises(InsufficientCredits):
        await sending.accept(account_id, replace(draft, price_micros=10**9), cause(), None)

    assert new_events(ledger) == []
    assert ledger.balance(account_id).reserved_micros == 0


async def test_accept_costs_nothing_in_test_mode(
    ledger: MemoryLedger,
    sending: Sending,
    account_id: UUID,
    draft: Draft,
    cause: Callable[..., Cause],
) -> None:
    asked = replace(draft, mode=Mode.TEST, price_micros=10**9)

    await sending.accept(account_id, asked, cause(), None)

    assert [type(event) for event in new_events(ledger)] == [Message.Created]


async def test_accept_keeps_what_the_check_refused_for_auditors(
    ledger: MemoryLedger, sending: Sending, account_id: UUID, cause: Callable[..., Cause]
) -> None:
    with pytest.raises(EmptyText):
        await sending.accept(account_id, EmptyText(), cause(), None, OTHER_ID)

    [refusal] = ledger.refusals
    assert (refusal.account_id, refusal.command) == (OTHER_ID, "accept_message")
    assert (refusal.code, refusal.part) == ("empty_text", None)
    assert new_events(ledger) == []


async def test_accept_batch_keeps_each_refused_message_for_auditors(
    ledger: MemoryLedger,
    sending: Sending,
    account_id: UUID,
    draft: Draft,
    cause: Callable[..., Cause],
) -> None:
    checked = [draft, EmptyText(), replace(draft, price_micros=10**9)]

    await sending.accept_batch(account_id, checked, cause(), None)

    told = [(refusal.code, refusal.part) for refusal in ledger.refusals]
    assert told == [("empty_text", 1), ("insufficient_credits", 2)]


async def test_accept_stores_what_the_check_refused_under_its_key(
    ledger: MemoryLedger,
    sending: Sending,
    account_id: UUID,
    draft: Draft,
    cause: Callable[..., Cause],
) -> None:
    idempotency = Idempotency(account_id, "order-7", b"same")
    with pytest.raises(EmptyText):
        await sending.accept(account_id, EmptyText(), cause(), idempotency)

    with pytest.raises(StoredRefusal) as refusal:
        await sending.accept(account_id, draft, cause(), idempotency)

    assert refusal.value.code == "empty_text"


async def test_accept_refuses_an_account_that_is_not_there(
    sending: Sending, draft: Draft, cause: Callable[..., Cause]
) -> None:
    with pytest.raises(AccountNotFound):
        await sending.accept(OTHER_ID, replace(draft, billing_account_id=OTHER_ID), cause(), None)


async def test_accept_batch_accepts_the_others_when_the_middle_one_cannot_be_paid(
    ledger: MemoryLedger,
    sending: Sending,
    account_id: UUID,
    draft: Draft,
    cause: Callable[..., Cause],
) -> None:
    checked = [draft, replace(draft, price_micros=10**9), draft]

    outcome = (await sending.accept_batch(account_id, checked, cause(), None)).value

    assert (outcome.accepted_count, outcome.refused_count) == (2, 1)
    assert [item.index for item in outcome.items] == [0, 1, 2]
    assert [_code(item) for item in outcome.items] == [None, "insufficient_credits", None]
    assert ledger.balance(account_id).reserved_micros == 2 * draft.price_micros


async def test_accept_batch_names_the_field_that_the_check_refused(
    sending: Sending, account_id: UUID, draft: Draft, cause: Callable[..., Cause]
) -> None:
    outcome = (await sending.accept_batch(account_id, [EmptyText(), draft], cause(), None)).value

    refused = outcome.items[0].refused
    assert refused is not None
    assert (refused.code, refused.pointer) == ("empty_text", "/text")
    assert outcome.items[1].message is not None


async def test_accept_batch_is_replayed_as_a_whole(
    ledger: MemoryLedger,
    sending: Sending,
    account_id: UUID,
    draft: Draft,
    cause: Callable[..., Cause],
) -> None:
    idempotency = Idempotency(account_id, "batch-7", b"same")
    checked: list[Checked] = [draft, EmptyText()]
    first = await sending.accept_batch(account_id, checked, cause(), idempotency)
    recorded = len(ledger.log)

    second = await sending.accept_batch(account_id, checked, cause(), idempotency)

    assert second.replayed
    assert second.value == first.value
    assert len(ledger.log) == recorded


def _code(item: BatchItem) -> str | None:
    return item.refused.code if item.refused else None
