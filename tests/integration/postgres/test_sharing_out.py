"""A relay between a real database and a real broker keeps the queue of normal messages short."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import msgspec
import pytest
from tests.chaos.waiting import until

from semalink.application.relaying import JobPayload
from semalink.application.submission import Job
from semalink_adapters.jetstream.source import JetStreamSource
from semalink_adapters.jetstream.streams import SMS_NORMAL, Topology, ensure
from semalink_ops.bootstrap import Core, open_core
from semalink_ops.settings import Settings
from semalink_ops.workers import run_relay

SHARE = 5
STATES = "SELECT state, count(*) FROM pending_submissions GROUP BY state"


@pytest.fixture
async def core(database_url: str, nats_url: str) -> AsyncIterator[Core]:
    """A relay at work, where an account may have five messages in the queue."""
    settings = Settings.from_environment(
        {
            "SEMALINK_DATABASE_URL": database_url,
            "SEMALINK_NATS_URL": nats_url,
            "SEMALINK_NATS_BYTES_DIVISOR": "64",
            "SEMALINK_KEY_PEPPER": "a-pepper-of-at-least-thirty-two-characters",
            "SEMALINK_NORMAL_SHARE": str(SHARE),
        }
    )
    stop = asyncio.Event()
    async with open_core(settings, "relay") as core:
        relaying = asyncio.create_task(run_relay(core, stop))
        assert await core.connection.wait_ready(10)
        yield core
        stop.set()
        await relaying


async def _take(core: Core, source: JetStreamSource) -> list[Job]:
    jobs: list[Job] = []
    for delivery in await source.fetch(50, 0.1):
        payload = msgspec.json.decode(delivery.payload, type=JobPayload)
        jobs.append(Job(payload.message_id, payload.account_id, payload.billing_account_id))
        await delivery.ack()
    return jobs


async def _work_off(core: Core, desk: Any, books: Any) -> list[list[UUID]]:
    """Submit all that comes, and return whose it was, one list for each look."""
    source = JetStreamSource(core.connection, core.bus, SMS_NORMAL)
    looks: list[list[UUID]] = []
    while books.all(STATES):
        jobs = await _take(core, source)
        for job in jobs:
            await desk.submit(job, f"ref-{job.message_id}")
        looks.append([job.account_id for job in jobs])
    await source.close()
    return looks


def _most_of_one(looks: Sequence[Sequence[UUID]]) -> int:
    return max(max(Counter(look).values(), default=0) for look in looks)


async def _in_queue(core: Core) -> int:
    return int((await core.connection.js.stream_info(SMS_NORMAL.stream)).state.messages)


async def test_queue_holds_a_share_of_each_account_and_all_messages_come(
    core: Core, desk: Any, books: Any
) -> None:
    crowd = await desk.open_account(message_count=30)
    small = await desk.open_account(message_count=3)
    for _ in range(30):
        await desk.accept_job(crowd)
    for _ in range(3):
        await desk.accept_job(small)

    async def is_shared_out() -> bool:
        states = dict(books.all(STATES))
        is_held = states == {"queued": SHARE + 3, "waiting": 30 - SHARE}
        return is_held and await _in_queue(core) == SHARE + 3

    await until(is_shared_out, "the queue has its shares, and the rest waits", within_seconds=10)
    looks = await _work_off(core, desk, books)

    assert Counter(one for look in looks for one in look) == {crowd: 30, small: 3}
    assert _most_of_one(looks) <= SHARE


async def test_nothing_is_lost_when_the_broker_loses_a_queue_that_others_wait_for(
    core: Core, desk: Any, books: Any
) -> None:
    crowd = await desk.open_account(message_count=12)
    jobs = [await desk.accept_job(crowd) for _ in range(12)]

    async def is_shared_out() -> bool:
        return dict(books.all(STATES)) == {"queued": SHARE, "waiting": 12 - SHARE}

    async def is_remembered() -> bool:
        query = "SELECT count(*) FROM broker_streams WHERE stream = %s AND last_sequence > 0"
        return bool(books.one(query, SMS_NORMAL.stream))

    await until(is_shared_out, "what is beyond the share waits", within_seconds=10)
    await until(is_remembered, "the relay knows the stream", within_seconds=10)
    await core.connection.js.delete_stream(SMS_NORMAL.stream)
    await ensure(core.connection.js, Topology(bytes_divisor=64))
    looks = await _work_off(core, desk, books)

    assert {one for look in looks for one in look} == {crowd}
    assert _most_of_one(looks) <= SHARE
    submitted = books.all("SELECT message_id FROM provider_references")
    assert {row[0] for row in submitted} == {job.message_id for job in jobs}
