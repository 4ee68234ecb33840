"""How long one customer waits while another's messages fill the platform."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from bench import campaign, whole
from bench.whole import Whole

#: So many of the other customer's messages wait before the first of these.
BACKLOG = 50_000
COUNT = 100
PER_SECOND = 10
#: The aim: p99 beside the crowd is at most so many times that of an idle platform.
TIMES_MAX = 2.0

_REACHED = """
SELECT a.originator_id, (extract(epoch FROM e.recorded_at - a.recorded_at) * 1000)::float8
FROM message_events AS a JOIN message_events AS e USING (originator_id)
WHERE a.originator_version = 1 AND a.originator_id = ANY(%s) AND e.topic = %s"""
_UNSENT = """
SELECT count(*) FROM pending_submissions WHERE state IN ('queued', 'waiting', 'held')"""
_DONE = "SELECT count(*) FROM message_events WHERE topic = 'message.delivered.1'"
_LANES = ("normal", "priority")
_TOPICS = {"submitted": "message.submitted.1", "delivered": "message.delivered.1"}


@dataclass(frozen=True, slots=True)
class Waits:
    """Milliseconds from acceptance, sorted."""

    submitted: list[float]
    delivered: list[float]


def measure(*, quick: bool) -> None:
    """Print the waits of a second customer, alone and beside the first one's messages."""
    asyncio.run(_measure(4_000 if quick else BACKLOG, 30 if quick else COUNT))


async def _measure(backlog: int, count: int) -> None:
    async with _both(count) as (crowd, second, idle):
        await crowd.send_in_batches(backlog)
        await _compare("batches", crowd, second, idle)
    async with _both(count) as (crowd, second, idle):
        began = await crowd.count(_DONE)
        await campaign.start(crowd, backlog)
        await crowd.reach(_DONE, began + 1)
        await _compare("a campaign", crowd, second, idle)


@asynccontextmanager
async def _both(count: int) -> AsyncIterator[tuple[Whole, Whole, dict[str, Waits]]]:
    async with whole.running() as crowd, whole.another_customer(crowd) as second:
        await second.send_singly(200)
        await second.reach(_DONE, 200)
        yield crowd, second, {lane: await _waits(second, count, lane) for lane in _LANES}


async def _compare(what: str, crowd: Whole, second: Whole, idle: dict[str, Waits]) -> None:
    for lane, alone in idle.items():
        waiting, done = await crowd.count(_UNSENT), await crowd.count(_DONE)
        began = time.monotonic()
        beside = await _waits(second, len(alone.submitted), lane)
        rate = (await crowd.count(_DONE) - done) / (time.monotonic() - began)
        left = await crowd.count(_UNSENT)
        print(
            f"\n{len(alone.submitted)} {lane} messages of one customer while {waiting} and at the"
            f" end {left} of another's wait, sent in {what}; {rate:.0f}/s delivered",
            flush=True,
        )
        _print("to an aggregator", alone.submitted, beside.submitted)
        _print("to delivered", alone.delivered, beside.delivered)


def _print(name: str, idle: list[float], beside: list[float]) -> None:
    times = _at(beside, 99) / _at(idle, 99)
    print(
        f"  accepted {name:<18} idle p50 {_at(idle, 50):>6.0f} ms  p99 {_at(idle, 99):>6.0f} ms"
        f"   beside p50 {_at(beside, 50):>6.0f} ms  p99 {_at(beside, 99):>6.0f} ms"
        f"   p99 {times:.1f} times (aim {TIMES_MAX:g})",
        flush=True,
    )


def _at(waits: list[float], percent: int) -> float:
    return waits[min(len(waits) - 1, len(waits) * percent // 100)]


async def _waits(platform: Whole, count: int, lane: str) -> Waits:
    ids: list[UUID] = []
    began = time.monotonic()
    for turn in range(count):
        answer = await platform.ask("/v1/messages", platform.message(turn, lane=lane))
        ids.append(UUID(answer["id"].removeprefix("msg_")))
        await asyncio.sleep(max(0.0, began + (turn + 1) / PER_SECOND - time.monotonic()))
    return Waits(*[await _reached(platform, ids, topic) for topic in _TOPICS.values()])


async def _reached(platform: Whole, ids: list[UUID], topic: str) -> list[float]:
    give_up_at = time.monotonic() + whole.SETTLE_SECONDS_MAX
    while True:
        cursor = await platform.database.execute(_REACHED, (ids, topic))
        waits = [float(row[1]) for row in await cursor.fetchall()]
        if len(waits) == len(ids):
            return sorted(waits)
        if time.monotonic() > give_up_at:
            raise SystemExit("Messages are still under way after ten minutes.")
        await asyncio.sleep(0.1)
