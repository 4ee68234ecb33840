from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from semalink.domain.cause import Cause
from semalink.domain.errors import WebhookDeliveryNotFound
from semalink.domain.webhook_delivery import (
    Attempt,
    DeliveryState,
    GivenUp,
    Subject,
    Trigger,
    WebhookDelivery,
    delivery_id_of,
)

AT = datetime(2026, 11, 25, 9, tzinfo=UTC)
CAUSE = Cause("worker:webhooks", AT, "job_1")
SOON = AT + timedelta(seconds=55)
SUBJECT = Subject(UUID(int=1), UUID(int=2), "evt_1", "message.delivered", 17, UUID(int=3))


def created() -> WebhookDelivery:
    delivery = WebhookDelivery.create(UUID(int=9), SUBJECT, CAUSE)
    delivery.collect_events()
    return delivery


def failed(number: int) -> Attempt:
    return Attempt(number, "failed", "https://example.com", 500, "status", 12)


def delivered(number: int) -> Attempt:
    return Attempt(number, "delivered", "https://example.com", 204, None, 12)


def names(delivery: WebhookDelivery) -> list[str]:
    return [event.TOPIC.split(".")[1] for event in delivery.collect_events()]  # type: ignore[attr-defined]


def test_create_is_due_at_once() -> None:
    delivery = created()

    assert (delivery.state, delivery.next_attempt_at) == (DeliveryState.WAITING, AT)
    assert (delivery.subject, delivery.trigger) == (SUBJECT, Trigger.AUTO)


def test_create_is_a_bug_with_a_payload_of_an_event_in_the_feed() -> None:
    with pytest.raises(AssertionError, match="in the feed or"):
        WebhookDelivery.create(UUID(int=9), replace(SUBJECT, payload="{}"), CAUSE)


def test_record_waits_for_the_next_attempt_after_a_failure() -> None:
    delivery = created()

    assert delivery.record(failed(1), CAUSE, next_attempt_at=SOON)

    assert (delivery.attempt_no, delivery.round_attempts) == (1, 1)
    assert (delivery.round_began_at, delivery.next_attempt_at) == (AT, SOON)
    assert (delivery.last_status, delivery.last_error) == (500, "status")
    assert names(delivery) == ["attempt_recorded"]


def test_record_finishes_when_the_endpoint_took_it() -> None:
    delivery = created()

    assert delivery.record(delivered(1), CAUSE)

    assert (delivery.state, delivery.finished_at) == (DeliveryState.DELIVERED, AT)
    assert delivery.next_attempt_at is None
    assert names(delivery) == ["attempt_recorded", "delivered"]


def test_record_gives_up_with_a_reason() -> None:
    delivery = created()

    assert delivery.record(failed(1), CAUSE, given_up=GivenUp.EXHAUSTED)

    assert (delivery.state, delivery.given_up) == (DeliveryState.FAILED, GivenUp.EXHAUSTED)
    assert names(delivery) == ["attempt_recorded", "failed"]


@pytest.mark.parametrize("attempt", [failed(1), delivered(3)])
def test_record_ignores_an_attempt_out_of_turn(attempt: Attempt) -> None:
    delivery = created()
    delivery.record(failed(1), CAUSE, next_attempt_at=SOON)
    delivery.collect_events()

    assert not delivery.record(attempt, CAUSE, next_attempt_at=SOON)

    assert delivery.collect_events() == []


def test_record_is_a_bug_when_a_failure_has_no_consequence() -> None:
    delivery = created()

    with pytest.raises(AssertionError, match="ends the round"):
        delivery.record(failed(1), CAUSE)


def test_reopen_begins_a_round_whose_numbers_go_on() -> None:
    delivery = created()
    delivery.record(failed(1), CAUSE, given_up=GivenUp.ABORTED)

    assert delivery.reopen(Trigger.MANUAL, CAUSE)
    assert not delivery.record(delivered(1), CAUSE)
    assert delivery.record(delivered(2), CAUSE)

    assert (delivery.attempt_no, delivery.round_attempts) == (2, 1)
    assert (delivery.state, delivery.given_up) == (DeliveryState.DELIVERED, None)
    assert delivery.trigger is Trigger.MANUAL


def test_reopen_begins_a_round_in_place_of_one_that_waits_for_its_next_attempt() -> None:
    delivery = created()
    delivery.record(failed(1), CAUSE, next_attempt_at=SOON)
    delivery.collect_events()

    assert delivery.reopen(Trigger.MANUAL, CAUSE)
    assert not delivery.reopen(Trigger.MANUAL, CAUSE)

    [reopened] = delivery.collect_events()
    assert isinstance(reopened, WebhookDelivery.Reopened)
    assert (delivery.next_attempt_at, delivery.round_attempts) == (CAUSE.at, 0)
    assert delivery.attempt_no == 1


def test_reopen_changes_nothing_before_the_first_attempt_of_a_round() -> None:
    delivery = created()

    assert not delivery.reopen(Trigger.MANUAL, CAUSE)

    assert delivery.collect_events() == []


def test_reopen_happens_once_for_each_recovery() -> None:
    delivery = created()
    delivery.record(delivered(1), CAUSE)

    assert delivery.reopen(Trigger.RECOVERY, CAUSE, due_at=SOON, recovery_id=UUID(int=7))
    assert delivery.next_attempt_at == SOON
    delivery.record(delivered(2), CAUSE)

    assert not delivery.reopen(Trigger.RECOVERY, CAUSE, recovery_id=UUID(int=7))
    assert delivery.reopen(Trigger.RECOVERY, CAUSE, recovery_id=UUID(int=8))


def test_give_up_and_cancel_end_what_waits_and_nothing_else() -> None:
    given_up, cancelled = created(), created()

    for _ in range(2):
        given_up.give_up(GivenUp.ENDPOINT_REMOVED, CAUSE)
        cancelled.cancel("The recovery was cancelled.", CAUSE)

    assert names(given_up) == ["failed"]
    assert (names(cancelled), cancelled.state) == (["cancelled"], DeliveryState.CANCELLED)


def test_check_owner_refuses_another_account() -> None:
    delivery = created()
    delivery.check_owner(UUID(int=2))

    with pytest.raises(WebhookDeliveryNotFound):
        delivery.check_owner(UUID(int=5))


def test_delivery_id_is_the_same_for_one_event_and_endpoint() -> None:
    # As a fraction of a second times a thousand it would be a millisecond less.
    happened_at = datetime(2026, 11, 25, 9, 0, 0, 1_000, tzinfo=UTC)

    first = delivery_id_of("evt_1", happened_at, UUID(int=1))

    assert first == delivery_id_of("evt_1", happened_at, UUID(int=1))
    assert first != delivery_id_of("evt_1", happened_at, UUID(int=2))
    assert first != delivery_id_of("evt_2", happened_at, UUID(int=1))
    moment_ms = int(happened_at.replace(microsecond=0).timestamp()) * 1_000 + 1
    assert (first.version, first.int >> 80) == (7, moment_ms)
