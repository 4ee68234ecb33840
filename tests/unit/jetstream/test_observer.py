import asyncio
from collections import Counter

from semalink.application.bus import COUNT_HEADER, Delivery, Outgoing, PoisonMessage, PublishState
from semalink_adapters.jetstream.consumer import Limits, consume_each
from semalink_adapters.jetstream.streams import SMS_NORMAL
from semalink_adapters.memory_bus import MemoryBus


class Counts(Counter[str]):
    """What an observer heard."""

    def published(self, subject: str, state: PublishState, count: int) -> None:
        self[f"published {subject} {state}"] += count

    def delivered(self, queue: str, count: int) -> None:
        self[f"delivered {queue}"] += count

    def acked(self, queue: str) -> None:
        self[f"acked {queue}"] += 1

    def naked(self, queue: str, count: int) -> None:
        self[f"naked {queue}"] += count

    def dead_lettered(self, queue: str, error_type: str) -> None:
        self[f"dead_lettered {queue} {error_type}"] += 1

    def handled(self, queue: str, seconds: float) -> None:
        assert seconds >= 0
        self[f"handled {queue}"] += 1


async def test_observer_hears_how_much_work_was_in_what_became_of_each_message() -> None:
    counts, stop = Counts(), asyncio.Event()
    bus = MemoryBus(observer=counts)
    payloads = [b"good", b"late", b"poison"]
    await bus.publish_many(
        [
            Outgoing("sms.normal", payload, payload.decode(), {COUNT_HEADER: count})
            for payload, count in zip(payloads, ("1", "20", "many"), strict=True)
        ]
    )

    async def handle(delivery: Delivery) -> None:
        if delivery.payload == b"poison":
            raise PoisonMessage("It cannot be read.")
        if delivery.payload == b"late":
            if delivery.num_delivered == 1:
                raise ValueError
            stop.set()

    limits = Limits(concurrency=1, poll_seconds=0.1, retry_delays_seconds=(0.01,))
    source = bus.source(SMS_NORMAL)
    await consume_each(source, handle, stop=stop, limits=limits, observer=counts)

    assert counts == {
        "published sms.normal acked": 22,
        "published dlq.sms.normal acked": 1,
        "delivered sms.normal": 42,
        "handled sms.normal": 4,
        "acked sms.normal": 2,
        "naked sms.normal": 20,
        "dead_lettered sms.normal PoisonMessage": 1,
    }
