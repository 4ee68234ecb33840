from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from semalink.application.webhook_recovery import SendTest
from semalink.application.webhook_removal import PIECE_MAX, GiveUpRemoved, give_up_removed
from semalink.application.webhooks import EndpointStep, MoveEndpoint, RegisterEndpoint
from semalink.domain.cause import Cause
from semalink.domain.webhook_delivery import DeliveryState, GivenUp, WebhookDelivery
from semalink.domain.webhook_endpoint import EndpointTerms
from semalink_adapters.memory_endpoints import MemoryEndpoints
from semalink_adapters.memory_ledger import MemoryLedger

AT = datetime(2026, 11, 25, 9, tzinfo=UTC)
CAUSE = Cause("key:1", AT, "req_1")
ENDPOINT, ACCOUNT = UUID(int=1), UUID(int=2)


def with_waiting(delivery_ids: Sequence[UUID]) -> MemoryLedger:
    ledger = MemoryLedger()
    terms = EndpointTerms("https://example.com", ("*",))
    ledger.decide(RegisterEndpoint(ENDPOINT, ACCOUNT, terms, (), 0, CAUSE))
    for delivery_id in delivery_ids:
        ledger.decide(SendTest(delivery_id, ENDPOINT, ACCOUNT, CAUSE))
    ledger.decide(MoveEndpoint(ENDPOINT, ACCOUNT, EndpointStep.REMOVE, CAUSE))
    return ledger


async def test_give_up_ends_what_waits_for_an_endpoint_that_was_removed() -> None:
    ledger = with_waiting([UUID(int=9)])
    book = MemoryEndpoints(ledger, lambda: AT)

    counts = [await give_up_removed(book, ledger, lambda: CAUSE) for _ in range(2)]

    delivery = ledger.load(WebhookDelivery, UUID(int=9))
    assert delivery is not None
    assert (delivery.state, delivery.given_up) == (DeliveryState.FAILED, GivenUp.ENDPOINT_REMOVED)
    assert counts == [1, 0]


async def test_give_up_takes_a_piece_at_a_time() -> None:
    ledger = with_waiting([UUID(int=100 + number) for number in range(PIECE_MAX + 1)])
    book = MemoryEndpoints(ledger, lambda: AT)

    counts = [await give_up_removed(book, ledger, lambda: CAUSE) for _ in range(3)]

    assert counts == [PIECE_MAX, 1, 0]


def test_give_up_weighs_as_much_as_its_deliveries() -> None:
    assert GiveUpRemoved((UUID(int=1), UUID(int=2)), CAUSE).weight == 2
