"""One suite a port: the same tests on the fake and on the real broker."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import pytest

from semalink.application.bus import Bus, Outgoing
from semalink_adapters.jetstream.bus import JetStreamBus, Patience
from semalink_adapters.jetstream.connection import BusConnection, connect
from semalink_adapters.jetstream.consumer import Limits, Source
from semalink_adapters.jetstream.source import JetStreamSource
from semalink_adapters.jetstream.streams import QUEUES, Queue, Topology, ensure
from semalink_adapters.memory_bus import MemoryBus

SMALL = Topology(bytes_divisor=64)
#: As the real limits, with waits that a test can afford.
FAST = Limits(
    concurrency=4,
    batch=8,
    poll_seconds=0.2,
    drain_seconds=5,
    retry_delays_seconds=(0.01,),
    not_ready_seconds=(0.01, 0.02),
)


class World(Protocol):
    """A bus, and a look at what it holds."""

    @property
    def bus(self) -> Bus: ...

    def source(self, queue: Queue) -> Source: ...

    async def holds(self, queue: Queue, count: int) -> bool: ...

    async def dead_letters(self) -> Sequence[Outgoing]: ...


@dataclass
class MemoryWorld:
    bus: MemoryBus

    def source(self, queue: Queue) -> Source:
        return self.bus.source(queue)

    async def holds(self, queue: Queue, count: int) -> bool:
        return self.bus.count_waiting(queue) == count

    async def dead_letters(self) -> Sequence[Outgoing]:
        return self.bus.dead_letters


@dataclass
class JetStreamWorld:
    connection: BusConnection
    bus: JetStreamBus

    def source(self, queue: Queue) -> Source:
        return JetStreamSource(self.connection, self.bus, queue)

    async def holds(self, queue: Queue, count: int) -> bool:
        # The broker works acknowledgements off beside what it is asked.
        for _ in range(500):
            found = (await self.connection.js.stream_info(queue.stream)).state.messages
            if found == count:
                return True
        return False

    async def dead_letters(self) -> Sequence[Outgoing]:
        state = (await self.connection.js.stream_info("DLQ")).state
        letters = [
            await self.connection.js.get_msg("DLQ", sequence)
            for sequence in range(1, state.last_seq + 1)
        ]
        return [
            Outgoing(
                letter.subject or "",
                letter.data or b"",
                (letter.headers or {})["Nats-Msg-Id"],
                letter.headers or {},
            )
            for letter in letters
        ]


@pytest.fixture(params=["memory", "jetstream"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        yield MemoryWorld(MemoryBus())
        return
    server = request.getfixturevalue("nats_server")
    connection = await connect(server.url, "contract", wait_seconds=10)
    for stream in await connection.js.streams_info():
        assert stream.config.name is not None
        await connection.js.delete_stream(stream.config.name)
    await ensure(connection.js, SMALL, QUEUES)
    patience = Patience(ack_seconds=2, total_seconds=0.3)
    yield JetStreamWorld(connection, JetStreamBus(connection, patience=patience))
    await connection.close()


@pytest.fixture
def fast() -> Limits:
    return FAST


Loop = Callable[[asyncio.Event], Coroutine[None, None, None]]
Consuming = Callable[[Loop], AbstractAsyncContextManager[asyncio.Event]]


@pytest.fixture
def consuming() -> Consuming:
    @asynccontextmanager
    async def run(loop: Loop) -> AsyncIterator[asyncio.Event]:
        stop = asyncio.Event()
        task = asyncio.create_task(loop(stop))
        try:
            async with asyncio.timeout(20):
                yield stop
        finally:
            stop.set()
            await asyncio.wait_for(task, 20)

    return run
