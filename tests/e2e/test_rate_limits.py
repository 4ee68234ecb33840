"""The limit holds across processes: two of the API on one database, over HTTP."""

import asyncio
import logging
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from uuid_utils.compat import uuid7

from semalink.application.accounts import IssueApiKey, IssuedKey, OpenAccount, TopUp
from semalink.application.limits import SetRateLimit
from semalink.domain.account import Kind, Tier
from semalink.domain.cause import Cause
from semalink.domain.limit import Limit
from semalink.web.api_key import make_key
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_ops.embedded.ports import free_port
from semalink_ops.runtime import utc_now

PEPPER = "a-pepper-of-at-least-thirty-two-characters"
#: Nobody listens there: an answer of the API needs no broker.
NOWHERE = "nats://127.0.0.1:9"
SECONDS = 30.0
READY_SECONDS_MAX = 30.0

_log = logging.getLogger(__name__)


@dataclass
class Desk:
    """Two processes of the API, and a way to open accounts for them."""

    urls: Sequence[str]
    ledger: GroupCommit
    session: aiohttp.ClientSession

    def cause(self) -> Cause:
        return Cause("operator:tests", utc_now(), "req_tests")

    async def open(self, limit: Limit) -> UUID:
        account_id = uuid7()
        opened = OpenAccount(account_id, "Fast", Kind.DIRECT, Tier.GROWTH, self.cause())
        await self.ledger.execute(opened)
        await self.ledger.execute(TopUp(account_id, 10**12, account_id.hex, self.cause()))
        await self.limit(account_id, limit)
        return account_id

    async def limit(self, account_id: UUID, limit: Limit) -> None:
        agreed = SetRateLimit(account_id, None, limit, "As the test says", self.cause())
        await self.ledger.execute(agreed)

    async def issue(self, account_id: UUID) -> str:
        made = make_key("live", PEPPER.encode())
        scopes = ["messages:send"]
        key = IssuedKey(uuid7(), "test", scopes, "live", made.key_hash.hex(), made.last_four)
        await self.ledger.execute(IssueApiKey(account_id, key, self.cause()))
        return made.secret

    async def send(self, url: str, key: str) -> "aiohttp.ClientResponse":
        body = {"to": "+254711000001", "text": "Karibu!", "sender": "SEMALINK"}
        headers = {"Authorization": f"Bearer {key}"}
        async with self.session.post(f"{url}/v1/messages", json=body, headers=headers) as answer:
            await answer.read()
            return answer


@dataclass
class Flood:
    """One key that sends at a steady rate to one process after the other."""

    desk: Desk
    key: str
    per_second: float
    answers: Counter[int] = field(default_factory=Counter)
    began_at: float = 0.0
    ended_at: float = 0.0

    async def run(self, seconds: float) -> None:
        """Send, however fast it is answered."""
        self.began_at = time.monotonic()
        async with asyncio.TaskGroup() as sending:
            for turn in range(int(self.per_second * seconds)):
                await asyncio.sleep(self.began_at + turn / self.per_second - time.monotonic())
                sending.create_task(self._send(self.desk.urls[turn % len(self.desk.urls)]))
        self.ended_at = time.monotonic()

    async def _send(self, url: str) -> None:
        answer = await self.desk.send(url, self.key)
        if answer.status == 429:
            assert int(answer.headers["Retry-After"]) >= 1
        self.answers[answer.status] += 1


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    ports = [free_port(), free_port()]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        api_processes(database_url, ports),
        GroupCommit(database_url) as ledger,
        aiohttp.ClientSession(connector=connector, trust_env=False) as session,
    ):
        yield Desk(urls, ledger, session)


@asynccontextmanager
async def api_processes(database_url: str, ports: Sequence[int]) -> AsyncIterator[None]:
    """Run a process of the API on each port meanwhile."""
    processes = [_start(database_url, port) for port in ports]
    try:
        for port in ports:
            await _until_ready(f"http://127.0.0.1:{port}/health/ready")
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            await asyncio.to_thread(process.wait, 30)


def _start(database_url: str, port: int) -> "subprocess.Popen[bytes]":
    environment = {name: text for name, text in os.environ.items() if "SEMALINK" not in name}
    environment |= {
        "SEMALINK_DATABASE_URL": database_url,
        "SEMALINK_NATS_URL": NOWHERE,
        "SEMALINK_KEY_PEPPER": PEPPER,
        "SEMALINK_API_PORT": str(port),
        "SEMALINK_DRAIN_SECONDS": "0",
    }
    command = [sys.executable, "-m", "semalink_ops.cli", "api"]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


async def _until_ready(url: str) -> None:
    give_up_at = time.monotonic() + READY_SECONDS_MAX
    async with aiohttp.ClientSession(trust_env=False) as session:
        while time.monotonic() < give_up_at:
            try:
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)
    pytest.fail("The API did not become ready.")


async def test_flood_through_two_processes_gets_rate_and_burst_and_others_their_share(
    desk: Desk,
) -> None:
    growth, small = Limit(100, 500), Limit(20, 100)
    alone = Flood(desk, await desk.issue(await desk.open(growth)), per_second=300)
    shared_id = await desk.open(small)
    wild = Flood(desk, await desk.issue(shared_id), per_second=60)
    quiet = Flood(desk, await desk.issue(shared_id), per_second=8)

    await asyncio.gather(*(one.run(SECONDS) for one in (alone, wild, quiet)))

    expected = growth.rate_per_second * (alone.ended_at - alone.began_at) + growth.burst
    shared = small.rate_per_second * (wild.ended_at - wild.began_at) + small.burst
    _log.warning(
        "alone: %d of %.0f; wild: %d, quiet: %d, together %.0f",
        alone.answers[202], expected, wild.answers[202], quiet.answers[202], shared,
    )  # fmt: skip
    assert alone.answers.keys() == {202, 429}
    assert alone.answers[202] == pytest.approx(expected, rel=0.02)
    # The wild one has what the quiet one leaves of the rate, and not its part of the burst.
    together = wild.answers[202] + quiet.answers[202]
    assert 0.98 * (shared - small.burst / 2) <= together <= shared
    # Whatever the wild one took before the quiet one came.
    assert quiet.answers[429] <= 8
    assert wild.answers[429] > 0


async def test_limit_that_is_changed_holds_in_every_process_within_two_seconds(desk: Desk) -> None:
    account_id = await desk.open(Limit(100, 500))
    key = await desk.issue(account_id)
    before = [await policy(desk, url, key) for url in desk.urls]

    await desk.limit(account_id, Limit(7, 70))

    changed_at = time.monotonic()
    for url in desk.urls:
        while await policy(desk, url, key) in before:
            assert time.monotonic() - changed_at < 2
            await asyncio.sleep(0.05)
    assert [await policy(desk, url, key) for url in desk.urls] == [
        '"account";q=70;w=10;qu="messages"'
    ] * 2


async def policy(desk: Desk, url: str, key: str) -> Any:
    return (await desk.send(url, key)).headers["RateLimit-Policy"]
