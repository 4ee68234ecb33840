"""Accepted, submitted, delivered, charged: the whole platform through the sandbox."""

import asyncio
import time
from pathlib import Path

from bench import whole
from bench.whole import Whole

COUNT = 5_000
MEMORY_COUNTS = (50_000, 100_000)

DELIVERED = "SELECT count(*) FROM message_events WHERE topic = 'message.delivered.1'"


def measure(*, quick: bool) -> None:
    """Print messages a second from the first send to the last delivery, and memory."""
    asyncio.run(_measure(500 if quick else COUNT, () if quick else MEMORY_COUNTS))


async def _measure(count: int, memory_counts: tuple[int, ...]) -> None:
    async with whole.running() as platform:
        await _send_and_settle(platform, 200)
        started = time.perf_counter()
        await _send_and_settle(platform, count)
        elapsed = time.perf_counter() - started
        print(f"\nEnd to end, {count} messages: {count / elapsed:.0f}/s", flush=True)
        sent = count + 200
        for target in memory_counts:
            await _send_and_settle(platform, target - sent)
            sent = target
            print(f"Resident memory after {target} messages")
            for name, pid in sorted(platform.quickstart["pids"].items()):
                print(f"  {name:<16}{_resident_mib(pid):>8.1f} MiB", flush=True)


async def _send_and_settle(platform: Whole, count: int) -> None:
    before = await platform.count(DELIVERED)
    await platform.send_singly(count)
    await platform.reach(DELIVERED, before + count)


def _resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
