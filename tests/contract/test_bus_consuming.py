import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from semalink.application.bus import Delivery, NotReady, Outgoing, PoisonMessage, Replaced
from semalink_adapters.jetstream.consumer import Limits, consume_batches, consume_each
from semalink_adapters.jetstream.streams import DLR_INBOUND, SMS_NORMAL, Queue


async def publish(world: Any, *payloads: bytes, queue: Queue = SMS_NORMAL) -> None:
    items = [
        Outgoing(queue.subject, payload, f"evt_{payload.decode()}", {"kind": "test"})
        for payload in payloads
    ]
    outcomes = await world.bus.publish_many(items)
    assert all(outcome.stored for outcome in outcomes)


class Counted(list[Any]):
    """Payloads that were handled, and an event for when there are enough."""

    def __init__(self, enough: int) -> None:
        super().__init__()
        self.enough = enough
        self.reached = asyncio.Event()

    def append(self, payload: Any) -> None:
        super().append(payload)
        if len(self) >= self.enough:
            self.reached.set()


async def test_consume_removes_what_was_handled(world: Any, consuming: Any, fast: Limits) -> None:
    await publish(world, b"1", b"2", b"3")
    source = world.source(SMS_NORMAL)
    seen = Counted(3)

    async def handle(delivery: Delivery) -> None:
        seen.append(
            (delivery.payload, delivery.subject, delivery.message_id, delivery.num_delivered)
        )
        assert delivery.headers["kind"] == "test"

    async with consuming(lambda stop: consume_each(source, handle, stop=stop, limits=fast)):
        await seen.reached.wait()

    assert min(seen) == (b"1", "sms.normal", "evt_1", 1)
    assert len(seen) == 3
    assert await world.holds(SMS_NORMAL, 0)


async def test_consume_waits_for_what_comes_later(world: Any, consuming: Any, fast: Limits) -> None:
    source = world.source(SMS_NORMAL)
    seen = Counted(1)

    async def handle(delivery: Delivery) -> None:
        seen.append(delivery.payload)

    async with consuming(lambda stop: consume_each(source, handle, stop=stop, limits=fast)):
        await publish(world, b"late")
        await seen.reached.wait()

    assert seen == [b"late"]


async def test_consume_buries_once_what_failed_five_times_and_goes_on(
    world: Any, consuming: Any, fast: Limits
) -> None:
    await publish(world, b"bad", *(f"good{number}".encode() for number in range(30)))
    source = world.source(SMS_NORMAL)
    tries, good = Counted(5), Counted(30)

    async def handle(delivery: Delivery) -> None:
        if delivery.payload == b"bad":
            tries.append(delivery.num_delivered)
            raise ValueError(delivery.payload)
        good.append(delivery.payload)

    async with consuming(lambda stop: consume_each(source, handle, stop=stop, limits=fast)):
        await good.reached.wait()
        await tries.reached.wait()

    [letter] = await world.dead_letters()
    assert tries == [1, 2, 3, 4, 5]
    assert (letter.subject, letter.payload) == ("dlq.sms.normal", b"bad")
    assert await world.holds(SMS_NORMAL, 0)


async def test_consume_buries_at_once_what_no_retry_can_help(
    world: Any, consuming: Any, fast: Limits
) -> None:
    await publish(world, b"bad", b"good")
    source = world.source(SMS_NORMAL)
    seen = Counted(2)

    async def handle(delivery: Delivery) -> None:
        seen.append(delivery.num_delivered)
        if delivery.payload == b"bad":
            raise PoisonMessage("The account of this message is unknown.")

    async with consuming(lambda stop: consume_each(source, handle, stop=stop, limits=fast)):
        await seen.reached.wait()

    [letter] = await world.dead_letters()
    assert seen == [1, 1]
    assert re.fullmatch(r"dlq:SMS_NORMAL:\d{13}:1:0", letter.message_id)
    assert letter.headers["Sema-Origin-Error-Type"] == "PoisonMessage"
    assert letter.headers["Sema-Origin-Error"] == "The account of this message is unknown."


async def test_consume_buries_with_the_cause_and_without_the_content(
    world: Any, consuming: Any, fast: Limits
) -> None:
    await publish(world, b"+254700000001")
    source = world.source(SMS_NORMAL)
    tries = Counted(5)

    async def handle(delivery: Delivery) -> None:
        tries.append(delivery.num_delivered)
        raise KeyError(delivery.payload.decode())

    async with consuming(lambda stop: consume_each(source, handle, stop=stop, limits=fast)):
        await tries.reached.wait()

    [letter] = await world.dead_letters()
    told = {name: value for name, value in letter.headers.items() if name.startswith("Sema-")}
    assert told["Sema-Origin-Error-Type"] == "KeyError"
    assert told["Sema-Origin-Error"].startswith("raised in handle at test_bus_consuming.py:")
    assert told["Sema-Origin-Stream"] == "SMS_NORMAL"
    assert told["Sema-Origin-Subject"] == "sms.normal"
    assert told["Sema-Origin-Seq"] == "1"
    assert told["Sema-Origin-Consumer"] == "worker"
    assert told["Sema-Origin-Deliveries"] == "5"
    assert told["Sema-Origin-Msg-Id"] == "evt_+254700000001"
    assert told["Sema-Origin-First-At"] <= told["Sema-Origin-Last-At"]
    assert letter.headers["kind"] == "test"


async def test_consume_keeps_in_hand_what_is_not_ready_at_no_cost(
    world: Any, consuming: Any, fast: Limits
) -> None:
    await publish(world, b"1")
    source = world.source(SMS_NORMAL)
    deliveries = Counted(9)

    async def handle(delivery: Delivery) -> None:
        deliveries.append(delivery.num_delivered)
        if len(deliveries) < 9:
            raise NotReady

    async with consuming(lambda stop: consume_each(source, handle, stop=stop, limits=fast)):
        await deliveries.reached.wait()

    assert deliveries == [1] * 9
    assert await world.holds(SMS_NORMAL, 0)
    assert list(await world.dead_letters()) == []


async def test_consume_gives_back_what_is_not_ready_at_any_number_of_stops(
    world: Any, consuming: Any, fast: Limits
) -> None:
    await publish(world, b"1")
    stops = SMS_NORMAL.max_deliver + 2
    ids: list[str] = []

    for _ in range(stops):
        source = world.source(SMS_NORMAL)
        tried = asyncio.Event()

        async def wait(delivery: Delivery, tried: asyncio.Event = tried) -> None:
            ids.append(delivery.message_id)
            tried.set()
            raise NotReady

        async with consuming(
            lambda stop, source=source, wait=wait: consume_each(
                source, wait, stop=stop, limits=fast
            )
        ):
            await tried.wait()

    assert set(ids) == {"evt_1"}
    assert await world.holds(SMS_NORMAL, 1)
    assert list(await world.dead_letters()) == []


async def test_consume_finishes_what_is_at_work_when_stopped_and_gives_back_the_rest(
    world: Any, consuming: Any, fast: Limits
) -> None:
    await publish(world, *(str(number).encode() for number in range(20)))
    source = world.source(SMS_NORMAL)
    started, may_end = Counted(4), asyncio.Event()

    async def handle(delivery: Delivery) -> None:
        started.append(delivery.payload)
        await may_end.wait()

    async with consuming(lambda stop: consume_each(source, handle, stop=stop, limits=fast)) as stop:
        await started.reached.wait()
        stop.set()
        may_end.set()

    assert await world.holds(SMS_NORMAL, 20 - len(started))
    rest = Counted(20 - len(started))

    async def handle_rest(delivery: Delivery) -> None:
        rest.append(delivery.payload)

    again = world.source(SMS_NORMAL)
    async with consuming(lambda stop: consume_each(again, handle_rest, stop=stop, limits=fast)):
        await rest.reached.wait()
    assert len({*started, *rest}) == 20


async def test_consume_gives_back_what_does_not_end_in_time(
    world: Any, consuming: Any, fast: Limits
) -> None:
    await publish(world, b"1")
    source = world.source(SMS_NORMAL)
    limits = replace(fast, drain_seconds=0.05)
    started = asyncio.Event()

    async def handle(_: Delivery) -> None:
        started.set()
        await asyncio.Event().wait()

    async with consuming(lambda stop: consume_each(source, handle, stop=stop, limits=limits)):
        await started.wait()

    [delivery] = await world.source(SMS_NORMAL).fetch(1, 5)
    assert delivery.payload == b"1"
    assert list(await world.dead_letters()) == []


async def test_consume_leaves_alone_what_the_handler_settled(
    world: Any, consuming: Any, fast: Limits
) -> None:
    await publish(world, b"1")
    source = world.source(SMS_NORMAL)
    seen = Counted(1)

    async def handle(delivery: Delivery) -> None:
        await delivery.term("expired")
        assert delivery.settled
        seen.append(delivery.payload)
        raise ValueError

    async with consuming(lambda stop: consume_each(source, handle, stop=stop, limits=fast)):
        await seen.reached.wait()

    assert await world.holds(SMS_NORMAL, 0)
    assert list(await world.dead_letters()) == []


async def test_consume_outlives_a_handler_that_is_cancelled_from_within(
    world: Any, consuming: Any, fast: Limits
) -> None:
    await publish(world, b"1")
    source = world.source(SMS_NORMAL)
    seen = Counted(2)

    async def handle(delivery: Delivery) -> None:
        seen.append(delivery.num_delivered)
        if delivery.num_delivered == 1:
            raise asyncio.CancelledError

    async with consuming(lambda stop: consume_each(source, handle, stop=stop, limits=fast)):
        await seen.reached.wait()

    assert seen == [1, 2]


async def test_consume_batches_gives_many_at_once(world: Any, consuming: Any, fast: Limits) -> None:
    payloads = [str(number).encode() for number in range(200)]
    await publish(world, *payloads, queue=DLR_INBOUND)
    source = world.source(DLR_INBOUND)
    limits = replace(fast, concurrency=1, batch=100)
    sizes: list[int] = []
    seen = Counted(200)

    async def handle(deliveries: Sequence[Delivery]) -> None:
        sizes.append(len(deliveries))
        for delivery in deliveries:
            seen.append(delivery.payload)

    async with consuming(lambda stop: consume_batches(source, handle, stop=stop, limits=limits)):
        await seen.reached.wait()

    assert sizes == [100, 100]
    assert seen == payloads
    assert await world.holds(DLR_INBOUND, 0)


async def test_consume_batches_buries_the_bad_message_alone(
    world: Any, consuming: Any, fast: Limits
) -> None:
    await publish(world, b"1", b"bad", b"2", queue=DLR_INBOUND)
    source = world.source(DLR_INBOUND)
    tries = Counted(6)
    good: set[bytes] = set()

    async def handle(deliveries: Sequence[Delivery]) -> None:
        if any(delivery.payload == b"bad" for delivery in deliveries):
            tries.append(len(deliveries))
            raise ValueError
        good.update(delivery.payload for delivery in deliveries)

    async with consuming(lambda stop: consume_batches(source, handle, stop=stop, limits=fast)):
        await tries.reached.wait()

    [letter] = await world.dead_letters()
    assert tries == [3, 1, 1, 1, 1, 1]
    assert good == {b"1", b"2"}
    assert letter.payload == b"bad"


async def test_consume_batches_removes_what_goes_on_as_others(
    world: Any, consuming: Any, fast: Limits
) -> None:
    await publish(world, b"together", queue=DLR_INBOUND)
    source = world.source(DLR_INBOUND)
    seen = Counted(2)

    async def handle(deliveries: Sequence[Delivery]) -> None:
        seen.append([delivery.payload for delivery in deliveries])
        if seen == [[b"together"]]:
            await publish(world, b"alone", queue=DLR_INBOUND)
            raise Replaced

    async with consuming(lambda stop: consume_batches(source, handle, stop=stop, limits=fast)):
        await seen.reached.wait()

    assert seen == [[b"together"], [b"alone"]]
    assert await world.holds(DLR_INBOUND, 0)
    assert await world.dead_letters() == []
