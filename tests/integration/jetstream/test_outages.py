import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any

from nats.errors import ConnectionClosedError

from semalink.application.bus import Delivery, NotReady, Outgoing, PublishState
from semalink_adapters.jetstream.bus import JetStreamBus, Patience
from semalink_adapters.jetstream.connection import BusConnection, connect
from semalink_adapters.jetstream.consumer import Limits, consume_each
from semalink_adapters.jetstream.source import JetStreamSource
from semalink_adapters.jetstream.streams import SMS_NORMAL, Topology, ensure

LIMITS = Limits(
    concurrency=4,
    batch=8,
    poll_seconds=0.2,
    retry_delays_seconds=(0.01,),
    not_ready_seconds=(0.05, 0.05),
)


def messages(count: int, name: str = "evt") -> list[Outgoing]:
    return [Outgoing("sms.normal", b"x", f"{name}_{number}") for number in range(count)]


async def test_connect_answers_at_once_when_the_broker_is_absent(stopped_broker: Any) -> None:
    connection = await connect(stopped_broker.url, "early", wait_seconds=0.1)
    bus = JetStreamBus(connection, patience=Patience(total_seconds=0.1))

    outcome = await bus.publish("sms.normal", b"x", message_id="evt_1")
    await bus.poke("outbox.poke.0")

    assert not connection.connected
    assert not await connection.wait_ready(0.01)
    assert (outcome.state, outcome.reason) == (PublishState.FAILED, "disconnected")
    await connection.close()


async def test_connect_comes_up_when_the_broker_does(
    stopped_broker: Any, connection: BusConnection, bus: JetStreamBus
) -> None:
    poked = asyncio.Event()
    await bus.on_poke("outbox.poke.0", poked.set)
    await stopped_broker.start()

    assert await connection.wait_ready(10)
    outcome = await bus.publish("sms.normal", b"x", message_id="evt_1")
    await bus.poke("outbox.poke.0")

    assert outcome.state is PublishState.ACKED
    await asyncio.wait_for(poked.wait(), 5)


async def test_connect_comes_back_when_the_broker_had_revoked_its_token(
    broker: Any, connection: BusConnection, bus: JetStreamBus
) -> None:
    poked = asyncio.Event()
    await bus.on_poke("outbox.poke.0", poked.set)
    lost = asyncio.Event()
    connection.call_at_loss(lost.set)
    await connection.wait_ready(10)
    token, broker.token = broker.token, "another"
    broker.reload()
    await asyncio.wait_for(lost.wait(), 10)
    assert not await connection.wait_ready(1)
    broker.token = token
    broker.reload()

    assert await connection.wait_ready(10)
    outcome = await bus.publish("sms.normal", b"x", message_id="evt_1")
    await bus.poke("outbox.poke.0")

    assert outcome.state is PublishState.ACKED
    await asyncio.wait_for(poked.wait(), 5)


async def test_publish_neither_hangs_nor_keeps_places_when_the_broker_stops(
    broker: Any, connection: BusConnection, bus: JetStreamBus
) -> None:
    await connection.wait_ready(10)
    await bus.publish("sms.normal", b"x", message_id="first")
    window = bus._current_window()
    under_way = asyncio.Event()
    await bus.on_poke("sms.normal", under_way.set)
    publishing = asyncio.create_task(bus.publish_many(messages(5_000)))
    await under_way.wait()

    broker.stop()
    async with asyncio.timeout(10):
        interrupted = await publishing
    await broker.start()
    await connection.wait_ready(10)
    again = await JetStreamBus(connection).publish_many(messages(5_000))

    assert any(not outcome.stored for outcome in interrupted)
    assert all(outcome.stored for outcome in again)
    assert window.waiting == 0
    assert window._places._value == 1_000
    assert (await connection.js.stream_info("SMS_NORMAL")).state.messages == 5_001


async def test_publish_gives_up_and_keeps_no_places_when_the_broker_is_silent(
    broker: Any, connection: BusConnection, bus: JetStreamBus
) -> None:
    await connection.wait_ready(10)
    window = bus._current_window()

    broker.freeze()
    async with asyncio.timeout(10):
        outcomes = await bus.publish_many(messages(1_500))
    broker.thaw()
    again = await JetStreamBus(connection).publish_many(messages(1_500))

    assert {(outcome.state, outcome.reason) for outcome in outcomes} == {
        (PublishState.FAILED, "timeout")
    }
    assert all(outcome.stored for outcome in again)
    assert window.waiting == 0
    assert window._places._value == 1_000


async def test_consume_goes_on_when_the_broker_was_restarted(
    broker: Any, connection: BusConnection, bus: JetStreamBus
) -> None:
    await connection.wait_ready(10)
    seen, first, second, stop = set(), asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handle(delivery: Delivery) -> None:
        seen.add(delivery.message_id)
        first.set()
        if len(seen) == 40:
            second.set()

    source = JetStreamSource(connection, bus, SMS_NORMAL)
    consuming = asyncio.create_task(consume_each(source, handle, stop=stop, limits=LIMITS))
    await bus.publish_many(messages(20))
    await asyncio.wait_for(first.wait(), 10)

    broker.stop()
    await broker.start()
    await connection.wait_connected(10)
    await bus.publish_many(messages(20, "later"))

    await asyncio.wait_for(second.wait(), 20)
    stop.set()
    await consuming


async def test_consume_goes_on_when_the_store_was_wiped(
    broker: Any, connection: BusConnection, bus: JetStreamBus
) -> None:
    await connection.wait_ready(10)
    seen, first, second, stop = set(), asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handle(delivery: Delivery) -> None:
        seen.add(delivery.message_id)
        first.set()
        if "evt_again" in seen:
            second.set()

    source = JetStreamSource(connection, bus, SMS_NORMAL)
    consuming = asyncio.create_task(consume_each(source, handle, stop=stop, limits=LIMITS))
    await bus.publish_many(messages(1))
    await asyncio.wait_for(first.wait(), 10)

    broker.stop()
    broker.wipe()
    await broker.start()
    patient = JetStreamBus(connection, patience=Patience(total_seconds=10))
    outcome = await patient.publish("sms.normal", b"x", message_id="evt_again")

    assert outcome.state is PublishState.ACKED
    await asyncio.wait_for(second.wait(), 20)
    stop.set()
    await consuming


async def test_consume_goes_on_when_the_consumer_was_deleted(
    broker: Any, connection: BusConnection, bus: JetStreamBus
) -> None:
    await connection.wait_ready(10)
    source = JetStreamSource(connection, bus, SMS_NORMAL)
    assert list(await source.fetch(1, 0.05)) == []

    await connection.js.delete_consumer("SMS_NORMAL", "worker")
    await bus.publish("sms.normal", b"x", message_id="evt_1")

    fetched = [await source.fetch(1, 0.5) for _ in range(4)]
    assert sum(map(len, fetched)) == 1
    await source.close()


async def test_ack_from_before_a_wipe_removes_nothing_after_it(
    broker: Any, connection: BusConnection, bus: JetStreamBus
) -> None:
    await connection.wait_ready(10)
    await bus.publish("sms.normal", b"old", message_id="evt_old")
    source = JetStreamSource(connection, bus, SMS_NORMAL)
    [old] = await source.fetch(1, 5)

    broker.stop()
    broker.wipe()
    await broker.start()
    await JetStreamBus(connection).publish("sms.normal", b"new", message_id="evt_new")
    await old.ack()

    [new] = await source.fetch(1, 5)
    assert new.payload == b"new"
    assert (await connection.js.stream_info("SMS_NORMAL")).state.messages == 1
    await source.close()


async def test_consume_keeps_what_is_not_ready_for_longer_than_the_ack_wait(
    broker: Any, connection: BusConnection, bus: JetStreamBus, small: Topology
) -> None:
    queue = replace(SMS_NORMAL, ack_wait_seconds=0.6)
    await connection.wait_ready(10)
    await connection.js.delete_consumer(queue.stream, queue.consumer)
    await ensure(connection.js, small, [queue])
    await bus.publish("sms.normal", b"x", message_id="evt_1")
    loop = asyncio.get_running_loop()
    ready_at, stop, done = loop.time() + 2, asyncio.Event(), asyncio.Event()
    deliveries = []

    async def handle(delivery: Delivery) -> None:
        deliveries.append(delivery.num_delivered)
        if loop.time() < ready_at:
            raise NotReady
        done.set()

    source = JetStreamSource(connection, bus, queue)
    consuming = asyncio.create_task(consume_each(source, handle, stop=stop, limits=LIMITS))
    await asyncio.wait_for(done.wait(), 10)
    stop.set()
    await consuming

    assert set(deliveries) == {1}
    assert len(deliveries) > 3


async def test_connect_comes_back_when_the_broker_died_with_much_still_unsent(
    broker: Any, connection: BusConnection
) -> None:
    await connection.wait_ready(10)
    lost = asyncio.Event()
    connection.call_at_loss(lost.set)

    async def chatter() -> None:
        with suppress(ConnectionClosedError):
            while True:
                await connection.client.publish("chatter", bytes(4_096))
                await asyncio.sleep(0)

    chatting = [asyncio.create_task(chatter()) for _ in range(50)]
    broker.stop()
    await asyncio.gather(*chatting)
    await broker.start()

    await asyncio.wait_for(lost.wait(), 5)
    assert await connection.wait_ready(10)
