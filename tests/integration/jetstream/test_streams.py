from dataclasses import replace
from typing import Any

import pytest

from semalink_adapters.jetstream.broker_check import BrokerRefused, check_server
from semalink_adapters.jetstream.connection import BusConnection, connect
from semalink_adapters.jetstream.streams import (
    QUEUES,
    StreamDrift,
    StreamNotMendable,
    Topology,
    check_drift,
    ensure,
    mend,
)


async def test_ensure_makes_what_is_declared_and_drifts_nowhere(
    broker: Any, connection: BusConnection, small: Topology
) -> None:
    await connection.wait_ready(10)

    await ensure(connection.js, small)
    await check_drift(connection.js, small)

    names = {stream.config.name for stream in await connection.js.streams_info()}
    assert names == {*(queue.stream for queue in QUEUES), "DLQ", "ADVISORIES"}


async def test_ensure_leaves_alone_what_exists(
    broker: Any, connection: BusConnection, small: Topology
) -> None:
    await connection.wait_ready(10)
    await connection.js.update_stream(
        (await connection.js.stream_info("DLQ")).config.evolve(max_bytes=1_000_000)
    )

    await ensure(connection.js, small)

    assert (await connection.js.stream_info("DLQ")).config.max_bytes == 1_000_000


async def test_check_drift_names_stream_field_values_and_command(
    broker: Any, connection: BusConnection, small: Topology
) -> None:
    await connection.wait_ready(10)
    changed = tuple(replace(queue, max_deliver=7, dedup_seconds=60) for queue in QUEUES[:1])

    with pytest.raises(StreamDrift) as refusal:
        await check_drift(connection.js, small, changed)

    assert str(refusal.value) == (
        "SMS_PRIORITY: duplicate_window is 300.0, not 60; "
        "SMS_PRIORITY/worker: max_deliver is 5, not 7. "
        "Mend it with `semalink doctor --mend-streams`."
    )


async def test_check_drift_names_what_is_missing(
    broker: Any, connection: BusConnection, small: Topology
) -> None:
    await connection.wait_ready(10)
    await connection.js.delete_consumer("SMS_NORMAL", "worker")

    with pytest.raises(StreamDrift, match="SMS_NORMAL/worker: existence is missing, not present"):
        await check_drift(connection.js, small)


async def test_mend_changes_in_place_and_keeps_messages_and_consumers(
    broker: Any, connection: BusConnection, small: Topology
) -> None:
    await connection.wait_ready(10)
    await connection.js.publish("sms.normal", b"x")
    before = await connection.js.consumer_info("SMS_NORMAL", "worker")
    await connection.js.add_consumer(
        "SMS_NORMAL", before.config.evolve(ack_wait=5, backoff=[1, 2, 3])
    )
    stream = await connection.js.stream_info("SMS_NORMAL")
    await connection.js.update_stream(stream.config.evolve(max_bytes=1_000_000))

    changed = await mend(connection.js, small)

    await check_drift(connection.js, small)
    after = await connection.js.consumer_info("SMS_NORMAL", "worker")
    assert {difference.field for difference in changed} == {"max_bytes", "ack_wait", "backoff"}
    assert after.created == before.created
    assert after.num_pending == 1


async def test_mend_says_so_when_a_stream_cannot_be_changed_in_place(
    broker: Any, connection: BusConnection, small: Topology
) -> None:
    await connection.wait_ready(10)
    await connection.js.delete_stream("SMS_NORMAL")
    await connection.js.add_stream(name="SMS_NORMAL", subjects=["sms.normal"], storage="memory")

    with pytest.raises(StreamNotMendable, match="SMS_NORMAL cannot be changed in place"):
        await mend(connection.js, small)


async def test_connect_refuses_a_broker_whose_streams_drifted(
    broker: Any, connection: BusConnection, small: Topology
) -> None:
    await connection.wait_ready(10)

    with pytest.raises(StreamDrift, match="max_bytes"):
        await connect(
            broker.url,
            "strict",
            lambda js: check_drift(js, replace(small, bytes_divisor=32)),
            wait_seconds=10,
        )


async def test_check_server_accepts_a_broker_that_syncs_before_it_answers(
    broker: Any, connection: BusConnection
) -> None:
    await connection.wait_ready(10)

    report = await check_server(
        connection.client, monitor_urls=[broker.monitor_url], require_sync=True
    )

    assert report.sync_always
    assert report.version.startswith("2.")


async def test_check_server_refuses_a_broker_that_answers_before_it_syncs(
    stopped_broker: Any, connection: BusConnection
) -> None:
    stopped_broker.sync_interval = "2m"
    await stopped_broker.start()
    await connection.wait_ready(10)

    with pytest.raises(BrokerRefused, match="sync_interval: always"):
        await check_server(connection.client, monitor_urls=[stopped_broker.monitor_url])


async def test_check_server_refuses_what_it_must_see_and_cannot(
    broker: Any, connection: BusConnection
) -> None:
    await connection.wait_ready(10)

    seen = await check_server(connection.client)
    assert seen.sync_always is None
    with pytest.raises(BrokerRefused, match="SEMALINK_NATS_MONITOR_URL"):
        await check_server(connection.client, require_sync=True)
    with pytest.raises(BrokerRefused, match="gave no readable answer"):
        await check_server(connection.client, monitor_urls=["http://127.0.0.1:1"])
