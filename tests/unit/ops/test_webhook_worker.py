"""What the webhook worker reads from the queue."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from semalink.application.bus import NotReady, Outgoing, PoisonMessage
from semalink.application.webhook_dispatching import Ticket, subject_of
from semalink.application.webhook_sending import Claimed
from semalink_adapters.jetstream.streams import WEBHOOKS_OUTBOUND
from semalink_adapters.memory_bus import MemoryBus
from semalink_adapters.webhooks.courier import KeyRing
from semalink_adapters.webhooks.sealing import Sealer
from semalink_ops.webhook_worker import ClaimsWithKeys, TicketHandler

ENDPOINT = UUID(int=0xE1)
TICKET = Ticket(UUID(int=7), 2)


@dataclass
class Taking:
    """Remembers which tickets it was given."""

    taken: list[Ticket] = field(default_factory=list)

    async def take(self, tickets: Sequence[Ticket]) -> None:
        self.taken += tickets


@dataclass
class OneClaim:
    """Claims one attempt, and remembers what was put off."""

    put_off_before: list[tuple[Claimed, float]] = field(default_factory=list)

    async def claim(self, tickets: Sequence[Ticket], lease: timedelta) -> Sequence[Claimed]:
        return [Claimed(TICKET.delivery_id, 2, ENDPOINT, "evt_1", b"{}", "https://a/", 1, ENDPOINT)]

    async def put_off(self, claimed: Sequence[Claimed], seconds: float) -> None:
        self.put_off_before += [(one, seconds) for one in claimed]


async def deliveries_of(*payloads: bytes) -> Sequence[Any]:
    bus = MemoryBus()
    await bus.publish_many(
        [
            Outgoing(subject_of(ENDPOINT), payload, str(number))
            for number, payload in enumerate(payloads)
        ]
    )
    return await bus.source(WEBHOOKS_OUTBOUND).fetch(10, 0)


async def test_handle_gives_the_sender_what_the_dispatcher_published():
    sender = Taking()

    await TicketHandler(sender).handle(await deliveries_of(msgspec.json.encode(TICKET)))

    assert sender.taken == [TICKET]


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"delivery_id": "x", "attempt_no": 1}'])
async def test_handle_takes_nothing_that_it_cannot_read_for_a_ticket(payload: bytes):
    sender = Taking()

    with pytest.raises(PoisonMessage, match="unreadable_ticket"):
        await TicketHandler(sender).handle(await deliveries_of(payload))

    assert sender.taken == []


async def test_claim_puts_off_what_no_keys_could_be_looked_up_for():
    async def away(endpoint_ids: Sequence[UUID]) -> Any:
        raise NotReady

    claims = OneClaim()

    with pytest.raises(NotReady):
        await ClaimsWithKeys(claims, KeyRing(away, Sealer(bytes(32)))).claim(
            [TICKET], timedelta(seconds=1)
        )

    assert [(one.delivery_id, seconds) for one, seconds in claims.put_off_before] == [
        (TICKET.delivery_id, 0.0)
    ]
