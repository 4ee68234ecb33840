from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from semalink.domain.cause import Cause
from semalink.domain.draft import Draft, Lane, Mode
from semalink.domain.message import Ending, Message
from semalink.domain.status import FINAL_STATUSES, Status

MESSAGE_ID = UUID(int=1)
AT = datetime(2026, 11, 23, 9, tzinfo=UTC)
LATER = AT + timedelta(minutes=5)
CAUSE = Cause("worker:sms", AT, "job_1", "00-trace")
DRAFT = Draft(
    account_id=UUID(int=2),
    billing_account_id=UUID(int=3),
    mode=Mode.LIVE,
    to="+254712345678",
    country="KE",
    network="safaricom",
    text="Karibu",
    sender="SEMA",
    lane=Lane.PRIORITY,
    encoding="gsm-7",
    segments=1,
    price_micros=800_000,
    expires_at=AT + timedelta(hours=1),
    metadata={"order": "7"},
)
ENDINGS = [
    (Message.Failed, Status.FAILED),
    (Message.Rejected, Status.REJECTED),
    (Message.Expired, Status.EXPIRED),
    (Message.Unknown, Status.UNKNOWN),
]


def accepted() -> Message:
    message = Message.accept(MESSAGE_ID, DRAFT, CAUSE)
    message.collect_events()
    return message


def in_submission() -> Message:
    message = accepted()
    message.start_submission("celcom", CAUSE)
    message.collect_events()
    return message


def submitted() -> Message:
    message = in_submission()
    take(message)
    message.collect_events()
    return message


def take(message: Message, *, charged_micros: int = 800_000, network: str | None = None) -> None:
    message.record_receipt(
        1, "celcom", "c-1", CAUSE, charged_micros=charged_micros, network=network, cost=None
    )


def refuse(message: Message, *, retryable: bool = False, retry_at: datetime | None = None) -> None:
    message.record_refusal(
        CAUSE,
        failure_code="provider_fault",
        provider_code="500",
        detail="busy",
        retryable=retryable,
        retry_at=retry_at,
    )


def ended(ending: Ending) -> Message:
    message = submitted()
    message.end(ending, "delivery_failed", CAUSE, description="gone")
    message.collect_events()
    return message


def names(message: Message) -> list[str]:
    return [type(event).__name__ for event in message.collect_events()]


def test_accept_records_all_that_was_asked() -> None:
    message = Message.accept(MESSAGE_ID, DRAFT, CAUSE)

    [created] = message.collect_events()

    assert isinstance(created, Message.Created)
    assert message.asked is created
    # What was done to the text is told to whoever wrote it; the text itself is recorded.
    asked = [name for name in DRAFT.__slots__ if name != "alteration"]
    assert {name: getattr(created, name) for name in asked} == {
        name: getattr(DRAFT, name) for name in asked
    }
    assert (created.actor, created.request_id) == ("worker:sms", "job_1")
    assert created.traceparent == "00-trace"
    assert message.status is Status.ACCEPTED
    assert message.network == "safaricom"
    assert message.is_waiting
    assert not message.is_final


def test_start_submission_numbers_the_attempts() -> None:
    message = accepted()

    first = message.start_submission("celcom", CAUSE)
    refuse(message)
    second = message.start_submission("africastalking", CAUSE)

    assert (first, second) == (1, 2)
    assert message.in_submission
    assert not message.is_waiting
    assert message.aggregator == "africastalking"
    assert message.submit_started_at == AT
    assert message.submit_request_id == "job_1"
    assert not message.possible_duplicate


def test_start_submission_is_a_bug_when_one_is_in_flight() -> None:
    message = in_submission()

    with pytest.raises(AssertionError, match="waiting"):
        message.start_submission("celcom", CAUSE)

    assert message.collect_events() == []


def test_start_submission_says_possible_duplicate_when_an_answer_was_lost() -> None:
    message = in_submission()
    message.record_unknown_outcome(LATER, "no_answer", CAUSE)

    message.start_submission("africastalking", CAUSE)

    assert message.possible_duplicate


def test_start_submission_never_takes_possible_duplicate_back() -> None:
    message = in_submission()
    message.record_unknown_outcome(LATER, "no_answer", CAUSE)
    message.start_submission("africastalking", CAUSE)
    take(message)

    assert message.possible_duplicate
    assert not message.outcome_unknown


def test_record_receipt_submits_and_charges() -> None:
    message = in_submission()

    take(message, network="63902")

    assert message.status is Status.SUBMITTED
    assert message.reference == "c-1"
    assert message.charged_micros == 800_000
    assert message.network == "63902"
    assert message.submitted_at == AT
    assert not message.in_submission
    assert names(message) == ["Submitted"]


def test_record_receipt_keeps_the_network_when_the_aggregator_names_none() -> None:
    message = in_submission()

    take(message, network=None)

    assert message.network == "safaricom"


def test_record_receipt_leaves_a_final_state() -> None:
    message = in_submission()
    message.end(Message.Unknown, "outcome_unknown", CAUSE)

    take(message, charged_micros=0)

    assert message.status is Status.UNKNOWN
    assert message.reference == "c-1"


def test_record_refusal_remembers_who_refused() -> None:
    message = in_submission()

    refuse(message, retryable=True)

    assert message.refused_by == ("celcom",)
    assert message.worth_retrying
    assert message.is_waiting
    assert names(message) == ["SubmitRefused"]


def test_record_refusal_keeps_that_an_earlier_one_may_pass() -> None:
    message = in_submission()
    refuse(message, retryable=True)
    message.start_submission("africastalking", CAUSE)

    refuse(message, retryable=False)

    assert message.worth_retrying


def test_record_refusal_forgets_who_refused_when_the_message_is_put_off() -> None:
    message = in_submission()
    refuse(message, retryable=True)
    message.start_submission("africastalking", CAUSE)

    refuse(message, retryable=True, retry_at=LATER)

    assert message.refused_by == ()
    assert not message.worth_retrying
    assert message.postponed == 1
    assert message.retry_at == LATER


def test_record_refusal_is_a_bug_when_nothing_is_in_flight() -> None:
    message = accepted()

    with pytest.raises(AssertionError, match="in flight"):
        refuse(message)

    assert message.collect_events() == []


def test_record_unknown_outcome_holds_the_message() -> None:
    message = in_submission()

    message.record_unknown_outcome(LATER, "no_answer", CAUSE)

    assert message.outcome_unknown
    assert message.status is Status.ACCEPTED
    assert names(message) == ["OutcomeUnknown"]


def test_record_unknown_outcome_is_a_bug_when_nothing_is_in_flight() -> None:
    message = accepted()

    with pytest.raises(AssertionError, match="in flight"):
        message.record_unknown_outcome(LATER, "no_answer", CAUSE)

    assert message.collect_events() == []


def test_note_report_adds_each_once() -> None:
    message = submitted()

    message.note_report("queued", "Scheduled", CAUSE)
    message.note_report("queued", "Scheduled", CAUSE)
    message.note_report("submitted", "Sent", CAUSE)

    assert names(message) == ["ReportNoted", "ReportNoted"]
    assert message.status is Status.SUBMITTED


def test_note_report_changes_nothing_after_a_final_state() -> None:
    message = submitted()
    message.deliver("Success", None, CAUSE)
    message.collect_events()

    message.note_report("submitted", "Sent", CAUSE)

    assert message.collect_events() == []
    assert message.status is Status.DELIVERED


def test_deliver_finishes() -> None:
    message = submitted()

    message.deliver("Success", "63902", CAUSE)

    assert message.status is Status.DELIVERED
    assert message.finished_at == AT
    assert message.failure_code is None
    assert message.network == "63902"
    assert message.is_final
    assert names(message) == ["Delivered"]


def test_deliver_changes_nothing_when_known_already() -> None:
    message = submitted()
    message.deliver("Success", None, CAUSE)
    message.collect_events()

    message.deliver("Success", None, CAUSE)

    assert message.collect_events() == []


@pytest.mark.parametrize("ending", [ending for ending, _ in ENDINGS])
def test_deliver_counts_after_every_other_end(ending: Ending) -> None:
    message = ended(ending)

    message.deliver("Success", None, CAUSE)

    assert message.status is Status.DELIVERED
    assert message.failure_code is None


@pytest.mark.parametrize(("ending", "status"), ENDINGS)
def test_end_finishes_with_a_reason(ending: Ending, status: Status) -> None:
    message = submitted()

    message.end(ending, "delivery_failed", CAUSE, description="gone", refunded_micros=5)

    [event] = message.collect_events()
    assert type(event) is ending
    assert (event.failure_code, event.description) == ("delivery_failed", "gone")
    assert message.status is status
    assert message.failure_code == "delivery_failed"
    assert message.refunded_micros == 5
    assert message.finished_at == AT


def test_end_is_still_news_after_unknown() -> None:
    message = ended(Message.Unknown)

    message.end(Message.Failed, "absent_subscriber", CAUSE)

    assert message.status is Status.FAILED


@pytest.mark.parametrize("ending", [Message.Failed, Message.Rejected, Message.Expired])
def test_end_is_a_bug_when_a_final_state_stands(ending: Ending) -> None:
    message = ended(ending)

    with pytest.raises(AssertionError, match="final state stands"):
        message.end(Message.Failed, "delivery_failed", CAUSE)

    assert not message.may_end()
    assert message.collect_events() == []


def test_final_statuses_are_all_but_the_first_two() -> None:
    assert frozenset(Status) - FINAL_STATUSES == {Status.ACCEPTED, Status.SUBMITTED}


@pytest.mark.parametrize(
    "live",
    [
        take,
        lambda message: refuse(message, retryable=True, retry_at=LATER),
        lambda message: message.record_unknown_outcome(LATER, "no_answer", CAUSE),
        lambda message: message.end(Message.Expired, "expired_in_queue", CAUSE),
    ],
)
def test_replay_comes_to_the_same_message(live: Callable[[Message], None]) -> None:
    message = Message.accept(MESSAGE_ID, DRAFT, CAUSE)
    message.start_submission("celcom", CAUSE)
    live(message)
    message.note_report("queued", "Scheduled", CAUSE)
    message.deliver("Success", None, CAUSE)

    replayed: Any = None
    for event in message.collect_events():
        replayed = event.mutate(replayed)

    assert replayed == message
