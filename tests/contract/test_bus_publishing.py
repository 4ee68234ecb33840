import asyncio
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from semalink.application.bus import Delivery, Outgoing, PublishState
from semalink_adapters.jetstream.consumer import Limits, consume_each
from semalink_adapters.jetstream.streams import SMS_NORMAL, SMS_PRIORITY


async def test_publish_stores_a_message_once_by_its_id(world: Any) -> None:
    first = await world.bus.publish("sms.normal", b"one", message_id="evt_1")
    second = await world.bus.publish("sms.normal", b"one", message_id="evt_1")

    assert first.state is PublishState.ACKED
    assert second.state is PublishState.DUPLICATE
    assert second.stored
    assert await world.holds(SMS_NORMAL, 1)


async def test_publish_says_so_when_no_stream_takes_the_subject(world: Any) -> None:
    outcome = await world.bus.publish("nobody.listens", b"one", message_id="evt_1")

    assert (outcome.state, outcome.reason) == (PublishState.FAILED, "no_stream")
    assert not outcome.stored


async def test_publish_refuses_a_message_that_is_too_large(world: Any) -> None:
    payload = bytes(SMS_NORMAL.max_message_bytes + 1)

    outcome = await world.bus.publish("sms.normal", payload, message_id="evt_1")

    assert (outcome.state, outcome.reason) == (PublishState.FAILED, "too_large")
    assert await world.holds(SMS_NORMAL, 0)


async def test_publish_many_answers_for_each_message_in_order(world: Any) -> None:
    await world.bus.publish("sms.normal", b"known", message_id="evt_known")
    items = [
        Outgoing("sms.normal", b"new", "evt_new"),
        Outgoing("sms.normal", b"known", "evt_known"),
        Outgoing("nobody.listens", b"lost", "evt_lost"),
        Outgoing("sms.priority", b"new", "evt_new"),
    ]

    outcomes = await world.bus.publish_many(items)

    assert [outcome.state for outcome in outcomes] == ["acked", "duplicate", "failed", "acked"]
    assert await world.holds(SMS_PRIORITY, 1)


async def test_publish_many_takes_more_than_its_window(world: Any) -> None:
    items = [Outgoing("sms.normal", b"x", f"evt_{number}") for number in range(2_500)]

    outcomes = await world.bus.publish_many(items)

    assert {outcome.state for outcome in outcomes} == {PublishState.ACKED}
    assert await world.holds(SMS_NORMAL, 2_500)


async def test_publish_many_answers_nothing_when_there_is_nothing(world: Any) -> None:
    assert list(await world.bus.publish_many([])) == []


async def test_poke_wakes_who_listens(world: Any) -> None:
    poked = asyncio.Event()
    await world.bus.on_poke("outbox.poke.0", poked.set)

    await world.bus.poke("outbox.poke.0")

    await asyncio.wait_for(poked.wait(), 5)


async def test_poke_soon_wakes_who_listens(world: Any) -> None:
    poked = asyncio.Event()
    await world.bus.on_poke("outbox.poke.0", poked.set)

    world.bus.poke_soon("outbox.poke.0")
    world.bus.poke_soon("outbox.poke.0")

    await asyncio.wait_for(poked.wait(), 5)


async def test_publish_hands_the_trace_to_the_handler(
    world: Any, consuming: Any, fast: Limits
) -> None:
    tracer = TracerProvider().get_tracer("test")
    seen = asyncio.get_running_loop().create_future()

    async def handle(_: Delivery) -> None:
        seen.set_result(trace.get_current_span().get_span_context().trace_id)

    with tracer.start_as_current_span("request") as span:
        await world.bus.publish("sms.normal", b"one", message_id="evt_1")
    source = world.source(SMS_NORMAL)
    async with consuming(lambda stop: consume_each(source, handle, stop=stop, limits=fast)):
        trace_id = await seen

    assert trace_id == span.get_span_context().trace_id


async def test_publish_keeps_the_trace_that_a_message_brings(
    world: Any, consuming: Any, fast: Limits
) -> None:
    brought = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    seen = asyncio.get_running_loop().create_future()

    async def handle(delivery: Delivery) -> None:
        seen.set_result(delivery.headers["traceparent"])

    with TracerProvider().get_tracer("test").start_as_current_span("relay"):
        await world.bus.publish(
            "sms.normal", b"one", message_id="evt_1", headers={"traceparent": brought}
        )
    source = world.source(SMS_NORMAL)
    async with consuming(lambda stop: consume_each(source, handle, stop=stop, limits=fast)):
        assert await seen == brought
