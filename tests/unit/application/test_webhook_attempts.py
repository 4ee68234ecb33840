from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from semalink.application.ledger import Books, Needs, PlainCommand
from semalink.application.webhook_attempts import (
    DisableFailing,
    Followed,
    GiveUpDelivery,
    RecordAttempt,
    WarnOfDisabling,
)
from semalink.domain.cause import Cause
from semalink.domain.errors import WebhookDeliveryNotFound
from semalink.domain.webhook_delivery import (
    Attempt,
    DeliveryState,
    GivenUp,
    Subject,
    WebhookDelivery,
)
from semalink.domain.webhook_endpoint import (
    DisabledReason,
    EndpointState,
    EndpointTerms,
    WebhookEndpoint,
)
from semalink_adapters.memory_ledger import MemoryLedger

AT = datetime(2026, 11, 25, 9, tzinfo=UTC)
CAUSE = Cause("worker:webhooks", AT, "job_1")
ACCOUNT, ENDPOINT, DELIVERY = UUID(int=1), UUID(int=2), UUID(int=3)
TAKEN = Attempt(1, "delivered", "https://example.com/", 200, None, 9)
REFUSED = Attempt(1, "failed", "https://example.com/", 500, "status", 9)


@dataclass(frozen=True)
class Change(PlainCommand):
    """Does what other parts do."""

    by: Callable[[Books], Any]
    cause: Cause = CAUSE

    def needs(self, needs: Needs) -> None:
        """Nothing."""

    def decide(self, books: Books) -> None:
        self.by(books)


@pytest.fixture
def ledger() -> MemoryLedger:
    ledger = MemoryLedger()
    terms = EndpointTerms("https://example.com/", ("*",))
    subject = Subject(ENDPOINT, ACCOUNT, "evt_1", "webhook.test", None, None, "{}")
    ledger.decide(
        Change(lambda books: books.add(WebhookEndpoint.register(ENDPOINT, ACCOUNT, terms, CAUSE)))
    )
    ledger.decide(Change(lambda books: books.add(WebhookDelivery.create(DELIVERY, subject, CAUSE))))
    return ledger


def record(attempt: Attempt, **facts: Any) -> RecordAttempt:
    return RecordAttempt(DELIVERY, ENDPOINT, attempt, 0.0, CAUSE, **facts)


def endpoint_state(ledger: MemoryLedger) -> EndpointState:
    endpoint = ledger.load(WebhookEndpoint, ENDPOINT)
    assert endpoint is not None
    return endpoint.state


def test_record_ends_a_delivery_that_was_taken(ledger: MemoryLedger):
    followed = ledger.decide(record(TAKEN)).value

    assert followed == Followed(DeliveryState.DELIVERED, None, is_news=True)


def test_record_plans_the_next_attempt_after_a_failure(ledger: MemoryLedger):
    followed = ledger.decide(record(REFUSED)).value

    assert followed.state is DeliveryState.WAITING
    assert followed.next_attempt_at == AT + timedelta(seconds=55)


@pytest.mark.parametrize(
    ("attempt", "facts", "seconds"),
    [
        (REFUSED, {"retry_after_seconds": 600}, 600),
        (replace(REFUSED, status=429), {}, 60),
        (replace(REFUSED, status=None, error_class="timeout"), {}, 60),
        (replace(REFUSED, status=None, error_class="connect"), {}, 55),
    ],
)
def test_record_waits_as_long_as_the_endpoint_needs(
    ledger: MemoryLedger, attempt: Attempt, facts: dict[str, Any], seconds: int
):
    followed = ledger.decide(record(attempt, **facts)).value

    assert followed.next_attempt_at == AT + timedelta(seconds=seconds)


def test_record_gives_up_after_the_sixth_failure(ledger: MemoryLedger):
    followed = [
        ledger.decide(record(replace(REFUSED, attempt_no=number))).value for number in range(1, 7)
    ]

    assert [one.state for one in followed[:5]] == [DeliveryState.WAITING] * 5
    assert followed[5] == Followed(DeliveryState.FAILED, None, is_news=True)


@pytest.mark.parametrize(
    ("facts", "reason", "state"),
    [
        ({"aborts": True}, GivenUp.ABORTED, EndpointState.ENABLED),
        ({"disables": DisabledReason.GONE}, GivenUp.ENDPOINT_GONE, EndpointState.DISABLED),
    ],
)
def test_record_gives_up_when_the_endpoint_says_so(
    ledger: MemoryLedger, facts: dict[str, Any], reason: GivenUp, state: EndpointState
):
    ledger.decide(record(REFUSED, **facts))

    delivery = ledger.load(WebhookDelivery, DELIVERY)
    assert delivery is not None
    assert delivery.given_up is reason
    assert endpoint_state(ledger) is state


def test_record_disables_an_endpoint_that_asks_for_it_also_when_it_took_the_event(
    ledger: MemoryLedger,
):
    ledger.decide(record(TAKEN, disables=DisabledReason.ASKED))

    assert endpoint_state(ledger) is EndpointState.DISABLED


def test_record_again_changes_nothing(ledger: MemoryLedger):
    ledger.decide(record(REFUSED))
    before = len(ledger.log)

    followed = ledger.decide(record(REFUSED, disables=DisabledReason.ASKED)).value

    assert (followed.is_news, len(ledger.log)) == (False, before)


def test_record_of_a_delivery_without_an_endpoint_disables_nothing(ledger: MemoryLedger):
    del ledger.streams[WebhookEndpoint][ENDPOINT]

    followed = ledger.decide(record(TAKEN, disables=DisabledReason.ASKED)).value

    assert followed.is_news


def test_give_up_ends_a_delivery_once(ledger: MemoryLedger):
    command = GiveUpDelivery(DELIVERY, GivenUp.EXHAUSTED, CAUSE)

    ledger.decide(command)
    before = len(ledger.log)
    ledger.decide(command)

    delivery = ledger.load(WebhookDelivery, DELIVERY)
    assert delivery is not None
    assert (delivery.state, len(ledger.log)) == (DeliveryState.FAILED, before)


def test_warn_and_disable_change_the_endpoint(ledger: MemoryLedger):
    ledger.decide(WarnOfDisabling(ENDPOINT, 25, CAUSE))
    ledger.decide(DisableFailing(ENDPOINT, CAUSE))

    endpoint = ledger.load(WebhookEndpoint, ENDPOINT)
    assert endpoint is not None
    assert endpoint.warned_percent == 25
    assert endpoint.disabled_reason is DisabledReason.FAILING


def test_warn_and_disable_change_nothing_without_an_endpoint():
    ledger = MemoryLedger()

    ledger.decide(WarnOfDisabling(ENDPOINT, 25, CAUSE))
    ledger.decide(DisableFailing(ENDPOINT, CAUSE))

    assert ledger.log == []


def test_give_up_is_refused_when_there_is_no_such_delivery(ledger: MemoryLedger) -> None:
    command = GiveUpDelivery(UUID(int=9), GivenUp.EXHAUSTED, CAUSE)

    with pytest.raises(WebhookDeliveryNotFound):
        ledger.decide(command)
