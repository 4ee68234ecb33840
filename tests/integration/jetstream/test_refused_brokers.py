"""No process counts itself ready on a broker that may lose what it acknowledged."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import nats
import pytest

from semalink.application.bus import BrokerUnfit
from semalink_adapters.jetstream.broker_check import BrokerRefused
from semalink_adapters.jetstream.connection import BusConnection
from semalink_adapters.jetstream.streams import MEND_COMMAND, StreamDrift
from semalink_ops.bootstrap import open_connection
from semalink_ops.doctor import mend_streams
from semalink_ops.settings import Settings


def _settings(url: str, *monitor_urls: str) -> Settings:
    return Settings.from_environment(
        {
            # Nothing asks the database: what a broker is, it says itself.
            "SEMALINK_DATABASE_URL": "postgresql://127.0.0.1:9/none",
            "SEMALINK_NATS_URL": url,
            "SEMALINK_NATS_BYTES_DIVISOR": "64",
            "SEMALINK_NATS_MONITOR_URLS": ",".join(monitor_urls),
            "SEMALINK_KEY_PEPPER": "a-pepper-of-at-least-thirty-two-characters",
        }
    )


async def _refusal(connection: BusConnection) -> BrokerUnfit:
    with pytest.raises(BrokerUnfit) as refusal:
        await connection.wait_ready(10)
    assert connection.connected
    assert not connection.ready
    return refusal.value


@asynccontextmanager
async def _old_server() -> AsyncIterator[str]:
    """A server that shakes hands as one of years ago did."""
    told = {"server_id": "old", "version": "2.10.22", "headers": True, "max_payload": 1_048_576}

    gone = asyncio.Event()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"INFO " + msgspec.json.encode(told) + b"\r\n")
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")
        writer.close()
        await writer.wait_closed()
        gone.set()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        yield f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await gone.wait()


async def test_start_refuses_a_server_that_is_too_old() -> None:
    async with _old_server() as url, open_connection(_settings(url), "start") as connection:
        refusal = await _refusal(connection)

    assert isinstance(refusal, BrokerRefused)
    assert "2.10.22; 2.15.1 is the oldest" in str(refusal)


async def test_start_refuses_a_server_that_answers_before_it_syncs(stopped_broker: Any) -> None:
    stopped_broker.sync_interval = "2m"
    await stopped_broker.start()
    settings = _settings(stopped_broker.url, stopped_broker.monitor_url)

    async with open_connection(settings, "start") as connection:
        refusal = await _refusal(connection)

        assert isinstance(refusal, BrokerRefused)
        assert "sync_interval: always" in str(refusal)
        assert await connection.js.streams_info() == []


async def test_start_refuses_drifted_streams_until_they_are_mended(broker: Any) -> None:
    settings = _settings(broker.url, broker.monitor_url)
    await mend_streams(settings)
    client = await nats.connect(broker.url)
    drifted = (await client.jetstream().stream_info("DLQ")).config.evolve(max_bytes=1_000_000)
    await client.jetstream().update_stream(drifted)
    await client.close()

    async with open_connection(settings, "start") as connection:
        refusal = await _refusal(connection)
    await mend_streams(settings)

    assert isinstance(refusal, StreamDrift)
    assert "DLQ: max_bytes is 1000000" in str(refusal)
    assert MEND_COMMAND in str(refusal)
    async with open_connection(settings, "start") as connection:
        assert await connection.wait_ready(10)
