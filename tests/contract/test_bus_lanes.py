import asyncio
from typing import Any

from semalink.application.bus import Delivery, Outgoing
from semalink_adapters.jetstream.consumer import Limits, consume_each
from semalink_adapters.jetstream.lanes import PriorityGate
from semalink_adapters.jetstream.streams import SMS_NORMAL, SMS_PRIORITY


async def test_priority_goes_before_two_hundred_normal_that_wait(
    world: Any, consuming: Any, fast: Limits
) -> None:
    normal = [Outgoing("sms.normal", b"normal", f"evt_n{number}") for number in range(200)]
    urgent = [Outgoing("sms.priority", b"priority", f"evt_p{number}") for number in range(20)]
    await world.bus.publish_many([*normal, *urgent])
    gate = PriorityGate(patience_seconds=20)
    order: list[bytes] = []
    all_seen = asyncio.Event()

    async def handle(delivery: Delivery) -> None:
        order.append(delivery.payload)
        if len(order) == 220:
            all_seen.set()

    async with (
        consuming(
            lambda stop: consume_each(
                world.source(SMS_NORMAL), handle, stop=stop, limits=fast, lane=gate.normal
            )
        ),
        consuming(
            lambda stop: consume_each(
                world.source(SMS_PRIORITY), handle, stop=stop, limits=fast, lane=gate.priority
            )
        ),
    ):
        await all_seen.wait()

    # Of the last, not full, request of the priority lane some may meet the first normal ones.
    assert set(order[:12]) == {b"priority"}
    assert b"priority" not in order[40:]


async def test_priority_does_not_wait_for_normal_work_that_hangs(
    world: Any, consuming: Any, fast: Limits
) -> None:
    normal = [Outgoing("sms.normal", b"normal", f"evt_n{number}") for number in range(200)]
    await world.bus.publish_many(normal)
    gate = PriorityGate()
    hanging: list[Delivery] = []
    hung, may_end = asyncio.Event(), asyncio.Event()
    urgent_seen = asyncio.Event()

    async def hang(delivery: Delivery) -> None:
        hanging.append(delivery)
        hung.set()
        await may_end.wait()

    async def handle(_: Delivery) -> None:
        urgent_seen.set()

    async with (
        consuming(
            lambda stop: consume_each(
                world.source(SMS_NORMAL), hang, stop=stop, limits=fast, lane=gate.normal
            )
        ),
        consuming(
            lambda stop: consume_each(
                world.source(SMS_PRIORITY), handle, stop=stop, limits=fast, lane=gate.priority
            )
        ),
    ):
        await hung.wait()
        await world.bus.publish("sms.priority", b"priority", message_id="evt_p")
        await urgent_seen.wait()
        hung_before = len(hanging)
        may_end.set()

    assert hung_before <= fast.concurrency


async def test_normal_never_starves_behind_a_priority_lane_that_is_always_busy(
    world: Any, consuming: Any, fast: Limits
) -> None:
    await world.bus.publish("sms.normal", b"normal", message_id="evt_n")
    gate = PriorityGate(patience_seconds=0.01)
    gate.priority.fetched(full=True)
    seen = asyncio.Event()

    async def handle(_: Delivery) -> None:
        seen.set()

    async with consuming(
        lambda stop: consume_each(
            world.source(SMS_NORMAL), handle, stop=stop, limits=fast, lane=gate.normal
        )
    ):
        await seen.wait()

    assert await world.holds(SMS_NORMAL, 0)
