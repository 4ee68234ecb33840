"""A total outage of the first aggregator at 100 messages a second: how soon the other has all."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp

from bench import whole
from bench.whole import Whole

RATE = 100
STEADY_SECONDS = 8.0
OUTAGE_SECONDS = 20.0
#: Kinds of outage of the sandbox.
KINDS = ("http_500", "refuse", "hang")
RECOVER_SECONDS_MAX = 120.0
SETTLE_SECONDS_MAX = 180.0

_STARTED = """
SELECT convert_from(state, 'UTF8')::jsonb ->> 'aggregator',
       convert_from(state, 'UTF8')::jsonb ->> 'reason',
       (convert_from(state, 'UTF8')::jsonb ->> 'timestamp')::timestamptz
FROM message_events
WHERE topic = 'message.submit_started.1' AND recorded_at >= %s"""

_FIRST_ERROR = """
SELECT min((convert_from(state, 'UTF8')::jsonb ->> 'timestamp')::timestamptz)
FROM message_events
WHERE topic IN ('message.submit_refused.1', 'message.outcome_unknown.1') AND recorded_at >= %s
  AND convert_from(state, 'UTF8')::jsonb ->> 'aggregator' = 'celcom'"""

_ENDS = """
SELECT topic, count(*) FROM message_events
WHERE recorded_at >= %s AND topic IN ('message.accepted.1', 'message.delivered.1',
    'message.failed.1', 'message.rejected.1', 'message.expired.1', 'message.unknown.1')
GROUP BY topic"""

_OPEN = "SELECT count(*) FROM route_circuits WHERE is_open"


@dataclass(frozen=True, slots=True)
class Figures:
    """What one outage came to."""

    #: From switching off, and from the first error, until no message began on the old route.
    since_outage_seconds: float
    since_error_seconds: float
    back_seconds: float
    accepted: int
    delivered: int
    #: Those of unknown outcome among them: under way when it began, and never answered.
    unknown: int
    #: Accepted and not delivered, for whatever reason.
    lost: int


def measure(*, quick: bool) -> None:
    """Print how soon traffic moved, when it came back, and what became of every message."""
    print("\nTotal outage of the first aggregator, 100 messages/s")
    for kind, figures in asyncio.run(_measure(KINDS[:1] if quick else KINDS)):
        print(
            f"  {kind:<10} all on the other route {figures.since_outage_seconds:>6.2f} s after the"
            f" outage, {figures.since_error_seconds:>6.2f} s after the first error;"
            f" back {figures.back_seconds:>5.1f} s after its end;"
            f" accepted {figures.accepted}, delivered {figures.delivered},"
            f" lost {figures.lost}, of them {figures.unknown} under way without an answer",
            flush=True,
        )


async def _measure(kinds: tuple[str, ...]) -> list[tuple[str, Figures]]:
    async with whole.running() as platform:
        return [(kind, await _outage(platform, kind)) for kind in kinds]


async def _outage(platform: Whole, kind: str) -> Figures:
    began_at = datetime.now(UTC)
    async with _traffic(platform):
        await asyncio.sleep(STEADY_SECONDS)
        await _switch(platform, kind)
        off_at = datetime.now(UTC)
        await asyncio.sleep(OUTAGE_SECONDS)
        await _switch(platform, "none")
        on_at = time.monotonic()
        await _until_back(platform)
        back_seconds = time.monotonic() - on_at
    moved_at = await _moved_at(platform, off_at)
    first_error_at = (await _rows(platform, _FIRST_ERROR, off_at))[0][0]
    ends = await _settle(platform, began_at)
    accepted = ends.pop("message.accepted.1")
    return Figures(
        (moved_at - off_at).total_seconds(),
        (moved_at - first_error_at).total_seconds(),
        back_seconds,
        accepted,
        ends.get("message.delivered.1", 0),
        ends.get("message.unknown.1", 0),
        accepted - ends.get("message.delivered.1", 0),
    )


async def _moved_at(platform: Whole, off_at: datetime) -> datetime:
    """Return when messages began on the other route, and no more on the old one but probes."""
    starts = await _rows(platform, _STARTED, off_at)
    probed_at = min(at for _, reason, at in starts if reason == "probe")
    before = [(route, at) for route, _, at in starts if at < probed_at]
    first_on_other: datetime = min(at for route, at in before if route != "celcom")
    last_on_celcom: datetime = max(
        (at for route, at in before if route == "celcom"), default=off_at
    )
    return max(first_on_other, last_on_celcom)


@asynccontextmanager
async def _traffic(platform: Whole) -> AsyncIterator[None]:
    stop = asyncio.Event()
    sending = asyncio.create_task(_send(platform, stop))
    try:
        yield
    finally:
        stop.set()
        await sending


async def _send(platform: Whole, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    turn = 0
    async with asyncio.TaskGroup() as group:
        while not stop.is_set():
            group.create_task(platform.ask("/v1/messages", platform.message(turn)))
            turn += 1
            await asyncio.sleep(max(0.0, began + turn / RATE - loop.time()))


async def _switch(platform: Whole, kind: str) -> None:
    url = f"{platform.quickstart['sandbox_url']}/control/celcom"
    async with (
        aiohttp.ClientSession() as session,
        session.patch(url, json={"outage": kind}) as answer,
    ):
        answer.raise_for_status()


async def _until_back(platform: Whole) -> None:
    give_up_at = time.monotonic() + RECOVER_SECONDS_MAX
    while await platform.count(_OPEN):
        if time.monotonic() > give_up_at:
            raise SystemExit("The route did not come back.")
        await asyncio.sleep(0.1)


async def _settle(platform: Whole, since: datetime) -> dict[str, int]:
    """Return how messages ended once all of them have, or when it is too late."""
    give_up_at = time.monotonic() + SETTLE_SECONDS_MAX
    while True:
        ends: dict[str, int] = dict(await _rows(platform, _ENDS, since))
        accepted = ends["message.accepted.1"]
        if sum(ends.values()) >= 2 * accepted or time.monotonic() > give_up_at:
            return ends
        await asyncio.sleep(0.5)


async def _rows(platform: Whole, query: str, since: datetime) -> list[Any]:
    return await (await platform.database.execute(query, (since,))).fetchall()
