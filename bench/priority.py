"""How long a priority message waits behind a queue of normal ones."""

import asyncio
import time
from typing import Any
from uuid import UUID

import aiohttp

from bench import whole
from bench.whole import Whole

#: So many wait at least, from the first priority message to the last.
WAITING = 50_000
#: What is worked off meanwhile.
MARGIN = 15_000
COUNT = 400
PER_SECOND = 20
P99_MS_MAX = 500
_PAGE = 5_000

WAIT = "SELECT count(*) FROM pending_submissions WHERE lane = 'normal' AND state = 'queued'"
ACCEPTED = """
SELECT originator_id, extract(epoch FROM recorded_at) FROM message_events
WHERE topic = 'message.accepted.1' AND originator_id = ANY(%s)"""


def measure(*, quick: bool) -> None:
    """Print the wait of priority messages from acceptance to the aggregator."""
    asyncio.run(_measure(5_000 if quick else WAITING + MARGIN, 100 if quick else COUNT))


async def _measure(backlog: int, count: int) -> None:
    async with whole.running() as platform:
        await platform.send_singly(200)
        await platform.send_in_batches(backlog)
        waiting_before = await platform.count(WAIT)
        texts = await _send_priority(platform, count)
        waiting_after = await platform.count(WAIT)
        waits = sorted(await _wait_ms(platform, texts))
    print(
        f"\nPriority while {waiting_before} and at the end {waiting_after} normal ones wait: "
        f"accepted to aggregator p50 {waits[len(waits) // 2]:.0f} ms, "
        f"p99 {waits[len(waits) * 99 // 100]:.0f} ms, longest {waits[-1]:.0f} ms "
        f"(target p99 {P99_MS_MAX} ms)",
        flush=True,
    )


async def _send_priority(platform: Whole, count: int) -> dict[str, UUID]:
    texts: dict[str, UUID] = {}
    began = time.monotonic()
    for turn in range(count):
        text = f"Your code is {turn:06d}"
        body = platform.message(turn, lane="priority", text=text)
        answer = await platform.ask("/v1/messages", body)
        texts[text] = UUID(answer["id"].removeprefix("msg_"))
        await asyncio.sleep(max(0.0, began + (turn + 1) / PER_SECOND - time.monotonic()))
    return texts


async def _wait_ms(platform: Whole, texts: dict[str, UUID]) -> list[float]:
    cursor = await platform.database.execute(ACCEPTED, (list(texts.values()),))
    accepted = {row[0]: float(row[1]) * 1_000 for row in await cursor.fetchall()}
    give_up_at = time.monotonic() + whole.SETTLE_SECONDS_MAX
    taken: dict[str, float] = {}
    since = 0
    while len(taken) < len(texts):
        if time.monotonic() > give_up_at:
            raise SystemExit("Priority messages are still under way after ten minutes.")
        page = await _deliveries(platform, since)
        taken |= {
            item["text"]: item["taken_at_ms"] for item in page["items"] if item["text"] in texts
        }
        since = page["next_since"]
    # Both clocks are this machine's.
    return [taken[text] - accepted[message_id] for text, message_id in texts.items()]


async def _deliveries(platform: Whole, since: int) -> Any:
    url = f"{platform.quickstart['sandbox_url']}/control/deliveries"
    parameters = {"since": str(since), "limit": str(_PAGE)}
    async with aiohttp.ClientSession() as session, session.get(url, params=parameters) as answer:
        return await answer.json()
