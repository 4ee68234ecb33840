"""A whole platform under the bench, with a customer whose credits no run can spend."""

import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import psycopg

from bench.drafts import TEXT

START_SECONDS_MAX = 60
SETTLE_SECONDS_MAX = 600
SENDERS = 64
#: The most that one request may carry.
BATCH = 1_000

_SCOPES = [
    "balance:read",
    "contacts:read",
    "contacts:write",
    "messages:read",
    "messages:send",
    "webhooks:read",
    "webhooks:write",
]
_LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Whole:
    """One running platform and the customer that sends through it."""

    quickstart: dict[str, Any]
    #: It asks with the customer's key.
    session: aiohttp.ClientSession
    database: psycopg.AsyncConnection[Any]

    async def ask(self, path: str, body: Any, expected: int = 202) -> Any:
        """Ask the customers' API; any other answer ends the bench."""
        url = self.quickstart["api_url"] + path
        async with self.session.post(url, json=body) as answer:
            if answer.status != expected:
                raise SystemExit(f"{path} was answered {answer.status}: {await answer.text()}")
            return await answer.json()

    async def send_singly(self, count: int) -> None:
        """Send so many messages, one a request, on many connections."""
        turns = iter(range(count))

        async def one_after_another() -> None:
            for turn in turns:
                await self.ask("/v1/messages", self.message(turn))

        await asyncio.gather(*(one_after_another() for _ in range(SENDERS)))

    async def send_in_batches(self, count: int) -> None:
        """Send so many messages in as few requests as can be."""
        for start in range(0, count, BATCH):
            turns = range(start, min(start + BATCH, count))
            await self.ask(
                "/v1/messages/batch", {"messages": [self.message(turn) for turn in turns]}
            )

    def message(self, turn: int, **wishes: Any) -> dict[str, Any]:
        """Return the body of one message."""
        number = f"+2547{(turn * 7919) % 10_000_000 + 10_000_000:08d}"
        return {"to": number, "text": TEXT, "sender": self.quickstart["sender"], **wishes}

    async def count(self, query: str) -> int:
        """Return the one number that the query answers."""
        row = await (await self.database.execute(query)).fetchone()
        assert row is not None, "a count has a row"
        return int(row[0])

    async def reach(self, query: str, target: int) -> None:
        """Return once the query answers so much."""
        give_up_at = time.monotonic() + SETTLE_SECONDS_MAX
        while await self.count(query) < target:
            if time.monotonic() > give_up_at:
                raise SystemExit("Messages are still under way after ten minutes.")
            await asyncio.sleep(_LOOK_SECONDS)


@asynccontextmanager
async def running() -> AsyncIterator[Whole]:
    """Run a platform in a folder that goes away."""
    with tempfile.TemporaryDirectory(prefix="semalink-bench-") as folder:
        async with _platform(Path(folder)) as quickstart:
            key = await _open_customer(quickstart)
            async with (
                _session(key) as session,
                await psycopg.AsyncConnection.connect(
                    quickstart["database_url"], autocommit=True
                ) as database,
            ):
                yield Whole(quickstart, session, database)


@asynccontextmanager
async def another_customer(platform: Whole) -> AsyncIterator[Whole]:
    """Let a second customer send through the same platform."""
    async with _session(await _open_customer(platform.quickstart)) as session:
        yield replace(platform, session=session)


def _session(key: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {key}"}, connector=aiohttp.TCPConnector(limit=0)
    )


@asynccontextmanager
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


async def _open_customer(quickstart: dict[str, Any]) -> str:
    headers = {"Authorization": f"Bearer {quickstart['admin_key']}"}
    base = f"{quickstart['admin_url']}/admin/v1/accounts"
    async with aiohttp.ClientSession(headers=headers) as session:

        async def make(path: str, body: Any) -> Any:
            async with session.post(base + path, json=body) as answer:
                answer.raise_for_status()
                return await answer.json()

        account = await make("", {"name": "Bench", "tier": "enterprise"})
        top_up = {"amount_micros": 10**12, "payment_reference": f"bench {account['id']}"}
        await make(f"/{account['id']}/top-ups", top_up)
        key = {"name": "bench", "mode": "live", "scopes": _SCOPES}
        return str((await make(f"/{account['id']}/api-keys", key))["key"])
