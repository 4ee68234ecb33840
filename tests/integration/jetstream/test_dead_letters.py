"""However workers end, each message that they cannot do becomes one dead letter."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from nats.js.errors import NotFoundError

from semalink.application.bus import Delivery, Unobserved
from semalink_adapters.jetstream.abandoned import Undertaker
from semalink_adapters.jetstream.bus import JetStreamBus
from semalink_adapters.jetstream.connection import BusConnection
from semalink_adapters.jetstream.consumer import Limits, consume_each
from semalink_adapters.jetstream.dead_letters import Origin, Undone, letter_of
from semalink_adapters.jetstream.source import JetStreamSource
from semalink_adapters.jetstream.streams import (
    ADVISORY_READER,
    QUEUES,
    SMS_NORMAL,
    Queue,
    Topology,
    ensure,
)

LIMITS = Limits(concurrency=2, batch=4, poll_seconds=0.2, retry_delays_seconds=(0.01,))
EACH_QUEUE = pytest.mark.parametrize("queue", QUEUES, ids=lambda queue: queue.name)


@pytest.fixture
def undertaker(connection: BusConnection, bus: JetStreamBus) -> Undertaker:
    return Undertaker(connection, bus, observer=Unobserved(), now=lambda: datetime.now(UTC))


def subject_of(queue: Queue) -> str:
    return queue.subject.replace(">", "07")


async def publish(bus: JetStreamBus, queue: Queue, *payloads: bytes) -> None:
    for payload in payloads:
        outcome = await bus.publish(subject_of(queue), payload, message_id=payload.decode())
        assert outcome.stored


async def lose_worker(connection: BusConnection, bus: JetStreamBus, queue: Queue) -> None:
    """Take a message as often as it is given, and never do it."""
    source = JetStreamSource(connection, bus, queue)
    for _ in range(queue.max_deliver):
        [delivery] = await source.fetch(1, 5)
        await delivery.nak()
    # The broker gives it up when somebody asks for more.
    assert not await source.fetch(1, 0.2)
    await source.close()


async def letters(connection: BusConnection) -> Sequence[Any]:
    last = (await connection.js.stream_info("DLQ")).state.last_seq
    return [await connection.js.get_msg("DLQ", number) for number in range(1, last + 1)]


async def notice(connection: BusConnection, bus: JetStreamBus) -> Delivery:
    source = JetStreamSource(connection, bus, ADVISORY_READER)
    [told] = await source.fetch(1, 5)
    await told.ack()
    await source.close()
    return told


async def count_left(connection: BusConnection, queue: Queue) -> int:
    return int((await connection.js.stream_info(queue.stream)).state.messages)


@EACH_QUEUE
async def test_consume_buries_poison_once_and_does_what_is_behind_it(
    queue: Queue, broker: Any, connection: BusConnection, bus: JetStreamBus
) -> None:
    await connection.wait_ready(10)
    await publish(bus, queue, b"poison", b"good")
    stop, done, attempts = asyncio.Event(), asyncio.Event(), []

    async def handle(delivery: Delivery) -> None:
        if delivery.payload == b"poison":
            attempts.append(delivery.num_delivered)
            if len(attempts) == queue.max_deliver:
                done.set()
            msg = "it cannot be done"
            raise ValueError(msg)

    source = JetStreamSource(connection, bus, queue)
    consuming = asyncio.create_task(consume_each(source, handle, stop=stop, limits=LIMITS))
    await asyncio.wait_for(done.wait(), 10)
    stop.set()
    await consuming

    [letter] = await letters(connection)
    assert attempts == [1, 2, 3, 4, 5]
    assert letter.subject == f"dlq.{subject_of(queue)}"
    assert letter.headers["Sema-Origin-Error-Type"] == "ValueError"
    assert await count_left(connection, queue) == 0


@EACH_QUEUE
async def test_undertaker_buries_what_no_worker_finished(
    queue: Queue, broker: Any, connection: BusConnection, bus: JetStreamBus, undertaker: Undertaker
) -> None:
    await connection.wait_ready(10)
    await publish(bus, queue, b"lost")
    await lose_worker(connection, bus, queue)

    told = await notice(connection, bus)
    await undertaker.handle(told)
    await undertaker.handle(told)

    [letter] = await letters(connection)
    assert letter.data == b"lost"
    assert letter.headers["Sema-Origin-Error-Type"] == "worker_lost"
    assert letter.headers["Sema-Origin-Deliveries"] == "5"
    assert letter.headers["Sema-Origin-Msg-Id"] == "lost"
    assert await count_left(connection, queue) == 0


async def test_undertaker_stores_nothing_twice_when_the_worker_died_after_it_stored(
    broker: Any, connection: BusConnection, bus: JetStreamBus, undertaker: Undertaker
) -> None:
    await connection.wait_ready(10)
    await publish(bus, SMS_NORMAL, b"lost")
    await lose_worker(connection, bus, SMS_NORMAL)
    created_at = (await connection.js.stream_info("SMS_NORMAL")).created
    assert created_at is not None
    undone = Undone("sms.normal", b"lost", {}, "lost", 5, "ValueError", "raised in x")
    origin = Origin("SMS_NORMAL", created_at, 1, "worker", datetime.now(UTC))
    stored = letter_of(undone, origin, datetime.now(UTC))
    await bus.publish(
        stored.subject, stored.payload, message_id=stored.message_id, headers=stored.headers
    )

    await undertaker.handle(await notice(connection, bus))

    [letter] = await letters(connection)
    assert letter.headers["Sema-Origin-Error-Type"] == "ValueError"
    assert await count_left(connection, SMS_NORMAL) == 0


@EACH_QUEUE
async def test_sweep_buries_what_the_broker_told_nobody_of(
    queue: Queue, broker: Any, connection: BusConnection, bus: JetStreamBus, undertaker: Undertaker
) -> None:
    await connection.wait_ready(10)
    await publish(bus, queue, b"lost")
    await lose_worker(connection, bus, queue)
    await connection.js.purge_stream("ADVISORIES")
    await publish(bus, queue, b"waiting")

    first = await undertaker.sweep()
    nothing_yet = await letters(connection)
    await undertaker.sweep()

    [letter] = await letters(connection)
    assert first[queue.name] == 1
    assert not nothing_yet
    assert letter.data == b"lost"
    assert await count_left(connection, queue) == 1


async def test_sweep_finds_what_is_stuck_in_a_queue_that_is_never_idle(
    broker: Any, connection: BusConnection, bus: JetStreamBus
) -> None:
    await connection.wait_ready(10)
    clock = [datetime(2026, 11, 25, tzinfo=UTC)]
    undertaker = Undertaker(connection, bus, observer=Unobserved(), now=lambda: clock[0])
    await publish(bus, SMS_NORMAL, b"lost")
    await lose_worker(connection, bus, SMS_NORMAL)
    source = JetStreamSource(connection, bus, SMS_NORMAL)
    await publish(bus, SMS_NORMAL, b"long")
    await undertaker.sweep()
    await source.fetch(1, 5)
    for minute in range(1, 7):
        clock[0] += timedelta(minutes=1)
        await publish(bus, SMS_NORMAL, f"other {minute}".encode())
        await source.fetch(1, 5)
        await undertaker.sweep()

    [letter] = await letters(connection)
    assert letter.data == b"lost"
    assert await count_left(connection, SMS_NORMAL) == 7
    await source.close()


async def test_sweep_leaves_alone_what_is_in_hand(
    broker: Any, connection: BusConnection, bus: JetStreamBus, undertaker: Undertaker
) -> None:
    await connection.wait_ready(10)
    await publish(bus, SMS_NORMAL, b"one", b"two")
    source = JetStreamSource(connection, bus, SMS_NORMAL)
    await source.fetch(1, 5)

    found = [await undertaker.sweep() for _ in range(3)]

    assert {round_["sms.normal"] for round_ in found} == {0}
    assert not await letters(connection)
    assert await count_left(connection, SMS_NORMAL) == 2
    await source.close()


async def test_undertaker_buries_once_when_the_consumer_is_made_anew(
    broker: Any,
    connection: BusConnection,
    bus: JetStreamBus,
    undertaker: Undertaker,
    small: Topology,
) -> None:
    await connection.wait_ready(10)
    await publish(bus, SMS_NORMAL, b"lost")
    await lose_worker(connection, bus, SMS_NORMAL)

    await connection.js.delete_consumer("SMS_NORMAL", "worker")
    await ensure(connection.js, small)
    await lose_worker(connection, bus, SMS_NORMAL)
    for _ in range(2):
        await undertaker.handle(await notice(connection, bus))

    assert len(await letters(connection)) == 1
    assert await count_left(connection, SMS_NORMAL) == 0


async def test_undertaker_takes_nothing_from_a_stream_that_was_made_anew(
    broker: Any,
    connection: BusConnection,
    bus: JetStreamBus,
    undertaker: Undertaker,
    small: Topology,
) -> None:
    await connection.wait_ready(10)
    await publish(bus, SMS_NORMAL, b"lost")
    await lose_worker(connection, bus, SMS_NORMAL)
    told = await notice(connection, bus)

    await connection.js.delete_stream("SMS_NORMAL")
    await ensure(connection.js, small)
    await publish(bus, SMS_NORMAL, b"healthy")
    await undertaker.handle(told)

    assert not await letters(connection)
    assert await count_left(connection, SMS_NORMAL) == 1


async def test_letters_of_two_streams_of_one_name_are_two(
    broker: Any,
    connection: BusConnection,
    bus: JetStreamBus,
    undertaker: Undertaker,
    small: Topology,
) -> None:
    await connection.wait_ready(10)
    for payload in (b"first", b"second"):
        await publish(bus, SMS_NORMAL, payload)
        await lose_worker(connection, bus, SMS_NORMAL)
        await undertaker.handle(await notice(connection, bus))
        await connection.js.delete_stream("SMS_NORMAL")
        await ensure(connection.js, small)

    assert [letter.data for letter in await letters(connection)] == [b"first", b"second"]
    with pytest.raises(NotFoundError):
        await connection.js.get_msg("SMS_NORMAL", 1)
