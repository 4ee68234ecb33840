"""What the webhook worker reads from the queue."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
import pytest

from semalink.application.bus import Outgoing, PoisonMessage
from semalink.application.webhook_dispatching import Ticket, subject_of
from semalink_adapters.jetstream.streams import WEBHOOKS_OUTBOUND
from semalink_adapters.memory_bus import MemoryBus
from semalink_ops.webhook_worker import TicketHandler

ENDPOINT = UUID(int=0xE1)
TICKET = Ticket(UUID(int=7), 2)


@dataclass
class Taking:
    """Remembers which tickets it was given."""

    taken: list[Ticket] = field(default_factory=list)

    async def take(self, tickets: Sequence[Ticket]) -> None:
        self.taken += tickets


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
