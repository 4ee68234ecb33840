"""From single sends to the customer's own server: a webhook for each report."""

import asyncio
import json
import os
import time
from typing import Any

import aiohttp

from bench import platform, whole
from bench.webhook_receiver import PORT
from bench.whole import Whole
from semalink_ops.embedded.ports import free_port

COUNT = 5_000
PER_SECOND_MIN = 350
SETTLE_SECONDS_MAX = 120

_ENDPOINT = {
    "event_types": ["message.delivered"],
    "rate_per_second": 500,
    "concurrency": 50,
}


def measure(*, quick: bool) -> None:
    """Print messages a second from the first send to the last webhook."""
    port = free_port()
    receiver = f"http://127.0.0.1:{port}"
    environment = {**os.environ, PORT: str(port)}
    with platform.process(["-m", "bench.webhook_receiver"], environment, f"{receiver}/stats"):
        asyncio.run(_measure(receiver, 500 if quick else COUNT))


async def _measure(receiver: str, count: int) -> None:
    async with whole.running() as running:
        await running.ask("/v1/webhook-endpoints", {"url": f"{receiver}/h", **_ENDPOINT}, 201)
        await _send_and_settle(running, receiver, 200)
        started = time.perf_counter()
        figures = await _send_and_settle(running, receiver, count)
        elapsed = time.perf_counter() - started
    print(
        f"\nEnd to end with a webhook for each report, {count} messages: {count / elapsed:.0f}/s "
        f"(target {PER_SECOND_MIN}), {figures['count'] - figures['distinct']} webhooks twice",
        flush=True,
    )


async def _send_and_settle(running: Whole, receiver: str, count: int) -> dict[str, Any]:
    await _ask(running.session, f"{receiver}/clear")
    await running.send_singly(count)
    give_up_at = time.monotonic() + SETTLE_SECONDS_MAX
    while (figures := json.loads(await _ask(running.session, f"{receiver}/stats")))[
        "distinct"
    ] < count:
        if time.monotonic() > give_up_at:
            raise SystemExit(f"Only {figures['distinct']} of {count} webhooks came.")
        await asyncio.sleep(0.05)
    return dict(figures)


async def _ask(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.get(url) as answer:
        return await answer.read()
