"""Accepted, submitted, delivered, charged: the whole platform through the sandbox."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psycopg

COUNT = 5_000
MEMORY_COUNTS = (50_000, 100_000)
SENDERS = 64
TEXT = "Your order 4711 is on its way. Reply HELP for help."
START_SECONDS_MAX = 60
SETTLE_SECONDS_MAX = 600


def measure(*, quick: bool) -> None:
    """Print messages a second from the first send to the last delivery, and memory."""
    asyncio.run(_measure(500 if quick else COUNT, () if quick else MEMORY_COUNTS))


async def _measure(count: int, memory_counts: tuple[int, ...]) -> None:
    with tempfile.TemporaryDirectory(prefix="semalink-bench-") as folder:
        async with _platform(Path(folder)) as quickstart:
            await _top_up(quickstart)
            await _send_and_settle(quickstart, 200)
            started = time.perf_counter()
            await _send_and_settle(quickstart, count)
            elapsed = time.perf_counter() - started
            print(f"\nEnd to end, {count} messages: {count / elapsed:.0f}/s", flush=True)
            sent = count + 200
            for target in memory_counts:
                await _send_and_settle(quickstart, target - sent)
                sent = target
                print(f"Resident memory after {target} messages")
                for name, pid in sorted(quickstart["pids"].items()):
                    print(f"  {name:<16}{_resident_mib(pid):>8.1f} MiB", flush=True)


@contextlib.asynccontextmanager
async def _platform(folder: Path) -> AsyncIterator[dict[str, Any]]:
    process = subprocess.Popen(  # noqa: ASYNC220 - it only starts here
        [sys.executable, "-m", "semalink_ops.cli", "up", "--port", "0", "--data-dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    quickstart = folder / "quickstart.json"
    try:
        give_up_at = time.monotonic() + START_SECONDS_MAX
        while not quickstart.exists():
            if process.poll() is not None or time.monotonic() > give_up_at:
                raise SystemExit("The platform did not start.")
            await asyncio.sleep(0.1)
        yield json.loads(quickstart.read_text())
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, 60)


async def _top_up(quickstart: dict[str, Any]) -> None:
    url = f"{quickstart['admin_url']}/admin/v1/accounts/{quickstart['account_id']}/top-ups"
    headers = {"Authorization": f"Bearer {quickstart['admin_key']}"}
    body = {"amount_micros": 10**12, "payment_reference": "bench"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(url, json=body) as answer,
    ):
        answer.raise_for_status()


async def _send_and_settle(quickstart: dict[str, Any], count: int) -> None:
    async with await psycopg.AsyncConnection.connect(
        quickstart["database_url"], autocommit=True
    ) as connection:
        before = await _count_delivered(connection)
        await _send(quickstart, count)
        give_up_at = time.monotonic() + SETTLE_SECONDS_MAX
        while await _count_delivered(connection) < before + count:
            if time.monotonic() > give_up_at:
                raise SystemExit("Messages are still under way after ten minutes.")
            await asyncio.sleep(0.05)


async def _count_delivered(connection: psycopg.AsyncConnection[Any]) -> int:
    cursor = await connection.execute(
        "SELECT count(*) FROM message_events WHERE topic = 'message.delivered.1'"
    )
    row = await cursor.fetchone()
    assert row is not None, "a count has a row"
    return int(row[0])


async def _send(quickstart: dict[str, Any], count: int) -> None:
    turns = iter(range(count))
    url = f"{quickstart['api_url']}/v1/messages"
    headers = {"Authorization": f"Bearer {quickstart['api_key']}"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def one_after_another() -> None:
            for turn in turns:
                number = f"+2547{(turn * 7919) % 10_000_000 + 10_000_000:08d}"
                body = {"to": number, "text": TEXT, "sender": quickstart["sender"]}
                async with session.post(url, json=body) as answer:
                    if answer.status != 202:
                        raise SystemExit(f"A send was answered {answer.status}.")

        await asyncio.gather(*(one_after_another() for _ in range(SENDERS)))


def _resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
