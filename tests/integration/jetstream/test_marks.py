from typing import Any

import nats.errors
import pytest

from semalink_adapters.jetstream.bus import JetStreamBus
from semalink_adapters.jetstream.connection import BusConnection
from semalink_adapters.jetstream.marks import read_marks
from semalink_adapters.jetstream.streams import SMS_NORMAL


async def counts(connection: BusConnection) -> tuple[int, int]:
    [mark] = await read_marks(connection.js, (SMS_NORMAL,))
    return mark.message_count, mark.waiting_count


async def test_read_marks_counts_as_waiting_only_what_may_still_be_delivered(
    broker: Any, connection: BusConnection, bus: JetStreamBus
) -> None:
    assert await connection.wait_ready(10)
    await bus.publish(SMS_NORMAL.subject, b"x", message_id="1")
    published = await counts(connection)
    worker = await connection.js.pull_subscribe_bind(SMS_NORMAL.consumer, SMS_NORMAL.stream)
    [message] = await worker.fetch(1, timeout=5)
    in_hand = await counts(connection)

    for _ in range(SMS_NORMAL.max_deliver - 1):
        await message.nak()
        [message] = await worker.fetch(1, timeout=5)
    await message.nak()
    with pytest.raises(nats.errors.TimeoutError):
        await worker.fetch(1, timeout=0.5)

    assert (published, in_hand) == ((1, 1), (1, 1))
    assert await counts(connection) == (1, 0)
