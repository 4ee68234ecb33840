import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats.errors
import psycopg
import pytest
from nats.js import JetStreamContext
from tests.chaos.waiting import until
from tests.integration.jetstream import cluster as members
from tests.integration.jetstream.cluster import Cluster

from semalink.application.bus import Delivery, Outgoing
from semalink_adapters.jetstream.broker_check import check_server
from semalink_adapters.jetstream.bus import JetStreamBus
from semalink_adapters.jetstream.connection import BusConnection, connect
from semalink_adapters.jetstream.consumer import Limits, consume_batches
from semalink_adapters.jetstream.source import JetStreamSource
from semalink_adapters.jetstream.streams import SMS_NORMAL, Topology, check_drift, ensure

REPLICATED = Topology(replicas=3, bytes_divisor=64)
#: One every six to ten seconds; CLUSTER_KILLS=12 makes as many as two minutes of one in ten would.
KILLS = int(os.environ.get("CLUSTER_KILLS", "5"))
PUBLISHERS = 4
PAGE = 25
#: Between two kills, and after the last one.
MESSAGES_BETWEEN = 1_500
#: An election takes four to seven seconds, and a member that is back must catch up.
RECOVERY_SECONDS_MAX = 30.0
LIMITS = Limits(concurrency=2, batch=200, poll_seconds=0.2, retry_delays_seconds=(0.1,))

# The effect and the mark that it was done are one statement, as wherever work is taken in.
EFFECT = """
WITH done AS (
    INSERT INTO effects SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING RETURNING 1)
UPDATE totals SET effect_count = effect_count + (SELECT count(*) FROM done)"""

_log = logging.getLogger(__name__)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Three servers that have been told of one another."""
    cluster = Cluster(tmp_path)
    cluster.start_all()
    yield cluster
    cluster.kill_all()


@pytest.fixture
async def replicated(cluster: Cluster) -> AsyncIterator[Callable[[str], Any]]:
    """Connects to the cluster, on which everything is declared with three copies."""
    connections: list[BusConnection] = []

    async def open_one(name: str) -> BusConnection:
        connection = await connect(
            cluster.url, name, lambda js: ensure(js, REPLICATED), wait_seconds=30
        )
        connections.append(connection)
        assert connection.ready
        return connection

    yield open_one
    await asyncio.gather(*(connection.close() for connection in connections))


@dataclass
class Publishers:
    """Relays of a kind: each goes on with the next page only when the broker has the last one."""

    bus: JetStreamBus
    stored: list[str] = field(default_factory=list)
    #: Answered more than once, because an answer was lost with its leader.
    duplicate_count: int = 0
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, name: str, stop: asyncio.Event) -> None:
        page = 0
        while not stop.is_set():
            ids = [f"{name}-{page}-{number}" for number in range(PAGE)]
            await self._store([Outgoing("sms.normal", each.encode(), each) for each in ids])
            self.stored += ids
            self._moved.set()
            page += 1

    async def grow(self, count: int) -> None:
        """Return once so many more are stored."""
        target = len(self.stored) + count
        while len(self.stored) < target:
            self._moved.clear()
            await self._moved.wait()

    async def _store(self, page: Sequence[Outgoing]) -> None:
        while True:
            outcomes = await self.bus.publish_many(page)
            self.duplicate_count += sum(outcome.state == "duplicate" for outcome in outcomes)
            if all(outcome.stored for outcome in outcomes):
                return


@dataclass
class Effects:
    """What the work has done, in the database."""

    connection: psycopg.AsyncConnection[Any]
    delivered_count: int = 0

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        self.delivered_count += len(deliveries)
        ids = [delivery.payload.decode() for delivery in deliveries]
        # Two calls may come at once, and a connection does one thing at a time.
        await self.connection.execute(EFFECT, (ids,))

    async def all(self) -> tuple[int, set[str]]:
        total = await (await self.connection.execute("SELECT effect_count FROM totals")).fetchone()
        rows = await (await self.connection.execute("SELECT id FROM effects")).fetchall()
        assert total is not None
        return total[0], {row[0] for row in rows}


@pytest.fixture
async def effects(empty_database_url: str) -> AsyncIterator[Effects]:
    async with await psycopg.AsyncConnection.connect(
        empty_database_url, autocommit=True
    ) as connection:
        await connection.execute("CREATE TABLE effects (id text PRIMARY KEY)")
        await connection.execute("CREATE TABLE totals AS SELECT 0::bigint AS effect_count")
        yield Effects(connection)


async def test_ensure_declares_every_stream_with_three_copies(
    cluster: Cluster, replicated: Callable[[str], Any]
) -> None:
    connection = await replicated("declaring")

    await check_drift(connection.js, REPLICATED)
    report = await check_server(
        connection.client, monitor_urls=cluster.monitor_urls, require_sync=True
    )

    copies = {stream.config.num_replicas for stream in await connection.js.streams_info()}
    assert copies == {3}
    assert report.sync_always


async def test_kill_of_leaders_under_load_loses_nothing_and_doubles_no_effect(
    cluster: Cluster, replicated: Callable[[str], Any], effects: Effects
) -> None:
    publishing, working = await replicated("publishing"), await replicated("working")
    publishers = Publishers(JetStreamBus(publishing))
    source = JetStreamSource(working, JetStreamBus(working), SMS_NORMAL)
    stop, end = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    async with asyncio.TaskGroup() as group:
        group.create_task(consume_batches(source, effects.handle, stop=end, limits=LIMITS))
        load = [
            group.create_task(publishers.run(f"p{number}", stop)) for number in range(PUBLISHERS)
        ]
        began_at = loop.time()
        await publishers.grow(MESSAGES_BETWEEN)
        for _ in range(KILLS):
            leader = await members.leader_of(publishing.js, SMS_NORMAL.stream)
            killed_at = loop.time()
            cluster.kill(leader)
            async with asyncio.timeout(RECOVERY_SECONDS_MAX):
                await publishers.grow(MESSAGES_BETWEEN)
            took = loop.time() - killed_at
            cluster.start(leader)
            await _becomes(members.is_whole, publishing, f"{leader} has caught up")
            _log.warning("%s died; %d went in within %.1f s", leader, MESSAGES_BETWEEN, took)
        stop.set()
        seconds = loop.time() - began_at
        await asyncio.wait(load)
        await _becomes(members.is_empty, publishing, "everything is worked off")
        end.set()

    total, done = await effects.all()
    _log.warning(
        "%d stored in %.0f s, %d answered twice, %d delivered",
        len(publishers.stored), seconds, publishers.duplicate_count, effects.delivered_count,
    )  # fmt: skip
    assert done == set(publishers.stored)
    assert total == len(publishers.stored) == len(done)


async def _becomes(
    ask: Callable[[JetStreamContext, str], Awaitable[bool]], connection: BusConnection, what: str
) -> None:
    await until(
        lambda: ask(connection.js, SMS_NORMAL.stream),
        what,
        within_seconds=RECOVERY_SECONDS_MAX,
        ignoring=(nats.errors.Error, TimeoutError),
    )
