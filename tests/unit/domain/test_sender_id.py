from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from semalink.domain.cause import Cause
from semalink.domain.content_errors import SenderIdInOtherState
from semalink.domain.sender_id import SenderClass, SenderId, SenderState, class_of_uses

ACCOUNT_ID = UUID("01939f00-aa10-7b1c-9a55-c0de5eed0001")
CAUSE = Cause("operator:one", datetime(2026, 11, 2, 8, 15, tzinfo=UTC), "req_1")
PROMOTIONAL, TRANSACTIONAL = SenderClass.PROMOTIONAL, SenderClass.TRANSACTIONAL


def requested() -> SenderId:
    sender_id = SenderId.request(ACCOUNT_ID, "OFFERS", PROMOTIONAL, "Offers.", CAUSE)
    sender_id.collect_events()
    return sender_id


def approved() -> SenderId:
    sender_id = requested()
    sender_id.approve(PROMOTIONAL, "Letter.", CAUSE, None)
    sender_id.collect_events()
    return sender_id


def names(sender_id: SenderId) -> list[str]:
    return [type(event).__name__ for event in sender_id.collect_events()]


def test_request_waits_for_a_decision() -> None:
    sender_id = requested()

    assert (sender_id.state, sender_id.sender) == (SenderState.REQUESTED, "OFFERS")
    assert (sender_id.sender_class, sender_id.reason) == (PROMOTIONAL, "Offers.")


def test_approve_counts_once_and_may_change_the_class() -> None:
    sender_id = requested()

    sender_id.approve(PROMOTIONAL, "Letter.", CAUSE, None)
    sender_id.approve(PROMOTIONAL, "Letter again.", CAUSE, None)
    sender_id.approve(TRANSACTIONAL, "Receipts only.", CAUSE, None)

    assert names(sender_id) == ["Approved", "Approved"]
    assert (sender_id.sender_class, sender_id.reason) == (TRANSACTIONAL, "Receipts only.")


def test_reject_counts_once_and_lets_the_account_ask_again() -> None:
    sender_id = requested()

    sender_id.reject("No letter.", CAUSE)
    sender_id.reject("Still none.", CAUSE)
    sender_id.request_again(TRANSACTIONAL, "With a letter.", CAUSE, "STOP")

    assert names(sender_id) == ["Rejected", "RequestedAgain"]
    assert sender_id.state is SenderState.REQUESTED
    assert (sender_id.sender_class, sender_id.opt_out_text) == (TRANSACTIONAL, "STOP")


def test_withdraw_counts_once() -> None:
    sender_id = approved()

    sender_id.withdraw("Complaints.", CAUSE)
    sender_id.withdraw("More complaints.", CAUSE)

    assert names(sender_id) == ["Withdrawn"]
    assert sender_id.reason == "Complaints."


def test_request_again_changes_nothing_while_it_waits_or_is_approved() -> None:
    for sender_id in (requested(), approved()):
        sender_id.request_again(TRANSACTIONAL, "Again.", CAUSE, None)

        assert names(sender_id) == []


def test_change_class_says_what_is_added_from_now_on() -> None:
    sender_id = approved()

    sender_id.change_class(PROMOTIONAL, "New short code.", CAUSE, "STOP to 40123")

    assert names(sender_id) == ["Approved"]
    assert sender_id.opt_out_text == "STOP to 40123"


def test_decisions_are_refused_in_another_state() -> None:
    waiting, used = requested(), approved()

    with pytest.raises(SenderIdInOtherState):
        used.reject("No.", CAUSE)
    with pytest.raises(SenderIdInOtherState):
        waiting.withdraw("No.", CAUSE)
    with pytest.raises(SenderIdInOtherState):
        waiting.change_class(PROMOTIONAL, "Offers.", CAUSE, None)

    assert names(waiting) == names(used) == []


def test_replay_comes_to_the_same_sender_id() -> None:
    sender_id = SenderId.request(ACCOUNT_ID, "OFFERS", PROMOTIONAL, "Offers.", CAUSE)
    sender_id.approve(PROMOTIONAL, "Letter.", CAUSE, "STOP")
    sender_id.withdraw("Complaints.", CAUSE)

    replayed: Any = None
    for event in sender_id.collect_events():
        replayed = event.mutate(replayed)

    assert replayed == sender_id


@pytest.mark.parametrize(
    ("uses", "expected"),
    [
        ([TRANSACTIONAL], TRANSACTIONAL),
        ([PROMOTIONAL], PROMOTIONAL),
        ([TRANSACTIONAL, PROMOTIONAL], PROMOTIONAL),
    ],
)
def test_sender_used_for_both_is_promotional(
    uses: list[SenderClass], expected: SenderClass
) -> None:
    assert class_of_uses(uses) is expected
