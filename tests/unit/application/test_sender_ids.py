from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from semalink.application.ledger import Command
from semalink.application.sender_ids import (
    WAITING_MAX,
    ApproveSender,
    ChangeSenderClass,
    RejectSender,
    RequestSenderId,
    WithdrawSender,
)
from semalink.domain.account import Account
from semalink.domain.cause import Cause
from semalink.domain.content_errors import (
    SenderIdInOtherState,
    SenderIdNotFound,
    TooManySenderIds,
)
from semalink.domain.errors import AccountNotFound
from semalink.domain.sender_id import SenderClass, SenderId, SenderState, sender_id_of
from semalink_adapters.memory_content import approved_in, promotional_in
from semalink_adapters.memory_ledger import MemoryLedger

PROMOTIONAL, TRANSACTIONAL = SenderClass.PROMOTIONAL, SenderClass.TRANSACTIONAL
OTHER_ID = UUID("01939f00-aa10-7b1c-9a55-c0de5eed0009")


def see(ledger: MemoryLedger, account_id: UUID, sender: str) -> SenderId:
    found = ledger.load(SenderId, sender_id_of(account_id, sender))
    assert found is not None
    return found


def approve_as_before(ledger: MemoryLedger, account_id: UUID, sender: str, cause: Cause) -> None:
    """Record what the first release recorded of an approval."""
    account = ledger.load(Account, account_id)
    assert account is not None
    account.trigger_event(
        Account.SenderApproved,
        timestamp=cause.at,
        actor=cause.actor,
        request_id=cause.request_id,
        sender=sender,
    )
    ledger.streams[Account][account_id] += account.collect_events()


def test_request_waits_and_asking_twice_changes_nothing(
    ledger: MemoryLedger, account_id: UUID, cause: Callable[..., Cause]
) -> None:
    command = RequestSenderId(account_id, "OFFERS", PROMOTIONAL, "Offers.", cause(), "STOP")

    ledger.decide(command)
    ledger.decide(command)

    sender_id = see(ledger, account_id, "OFFERS")
    assert (sender_id.state, sender_id.version) == (SenderState.REQUESTED, 1)
    assert sender_id.opt_out_text == "STOP"


def test_request_is_refused_when_too_many_wait(
    ledger: MemoryLedger, account_id: UUID, cause: Callable[..., Cause]
) -> None:
    ledger.decide(RequestSenderId(account_id, "OFFERS", PROMOTIONAL, "Offers.", cause()))

    with pytest.raises(TooManySenderIds):
        ledger.decide(
            RequestSenderId(account_id, "MORE", PROMOTIONAL, "Offers.", cause(), None, WAITING_MAX)
        )
    ledger.decide(
        RequestSenderId(account_id, "OFFERS", PROMOTIONAL, "Offers.", cause(), None, WAITING_MAX)
    )

    assert ledger.load(SenderId, sender_id_of(account_id, "MORE")) is None


def test_approve_lets_an_account_send_that_never_asked(
    ledger: MemoryLedger, account_id: UUID, cause: Callable[..., Cause]
) -> None:
    ledger.decide(ApproveSender(account_id, "SEMA", cause()))
    ledger.decide(ApproveSender(account_id, "SEMA", cause()))

    sender_id = see(ledger, account_id, "SEMA")
    assert (sender_id.state, sender_id.sender_class) == (SenderState.APPROVED, TRANSACTIONAL)
    assert sender_id.version == 2


def test_decisions_change_what_was_asked_for(
    ledger: MemoryLedger, account_id: UUID, cause: Callable[..., Cause]
) -> None:
    for command in (
        RequestSenderId(account_id, "ONE", TRANSACTIONAL, "Receipts.", cause()),
        RejectSender(account_id, "ONE", "No letter.", cause()),
        ApproveSender(account_id, "TWO", cause(), PROMOTIONAL, "Letter."),
        ChangeSenderClass(account_id, "TWO", TRANSACTIONAL, "Receipts.", cause()),
        ApproveSender(account_id, "THREE", cause()),
        WithdrawSender(account_id, "THREE", "Complaints.", cause()),
    ):
        ledger.decide(command)

    states = [see(ledger, account_id, name).state for name in ("ONE", "TWO", "THREE")]
    assert states == [SenderState.REJECTED, SenderState.APPROVED, SenderState.WITHDRAWN]
    assert see(ledger, account_id, "TWO").sender_class is TRANSACTIONAL


def test_sender_that_was_approved_before_there_were_classes_is_transactional(
    ledger: MemoryLedger, account_id: UUID, cause: Callable[..., Cause]
) -> None:
    for sender in ("OLD", "OLDER"):
        approve_as_before(ledger, account_id, sender, cause())
    account = ledger.load(Account, account_id)
    assert account is not None
    before = approved_in(ledger, account)

    with pytest.raises(SenderIdInOtherState):
        ledger.decide(RejectSender(account_id, "OLD", "No.", cause()))
    ledger.decide(WithdrawSender(account_id, "OLD", "Complaints.", cause()))
    ledger.decide(ChangeSenderClass(account_id, "OLDER", PROMOTIONAL, "Offers.", cause()))

    assert (set(before), promotional_in(ledger, {"OLD": None})) == ({"OLD", "OLDER"}, {})
    assert see(ledger, account_id, "OLD").state is SenderState.WITHDRAWN
    assert approved_in(ledger, account) == {"OLDER": None}
    assert promotional_in(ledger, {"OLDER": None}) == {"OLDER": None}


def test_decisions_refuse_what_is_not_there(
    ledger: MemoryLedger, account_id: UUID, cause: Callable[..., Cause]
) -> None:
    commands: list[Command[Any]] = [
        RejectSender(account_id, "SEMA", "No.", cause()),
        WithdrawSender(account_id, "SEMA", "No.", cause()),
        ChangeSenderClass(account_id, "SEMA", PROMOTIONAL, "Offers.", cause()),
        ApproveSender(OTHER_ID, "SEMA", cause()),
        RequestSenderId(OTHER_ID, "SEMA", PROMOTIONAL, "Offers.", cause()),
    ]

    outcomes = ledger.decide_together(commands)

    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [SenderIdNotFound] * 3 + [AccountNotFound] * 2
    assert ledger.ids(SenderId) == []
