"""Retries that wait while the broker loses its disk, over real HTTP."""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from aiohttp import web
from tests.integration.webhooks.test_worker import KEY, Change, Serve, World, _cause
from uuid_utils.compat import uuid7

from semalink.application.ledger import Books
from semalink.domain.webhook_delivery import Attempt, Subject, WebhookDelivery
from semalink_ops.bootstrap import open_core
from semalink_ops.embedded.nats import EmbeddedNats
from semalink_ops.embedded.ports import free_port
from semalink_ops.settings import Settings

COUNT = 10_000
DELIVERED = "SELECT count(*) FROM webhook_deliveries WHERE state = 'delivered'"
# What a clock does in hours, in a moment; and an endpoint that is back has shut its breaker.
MAKE_DUE = """
UPDATE webhook_deliveries SET next_attempt_at = now() + random() * %s::interval
WHERE delivery_id = ANY(%s) RETURNING event_id, next_attempt_at"""
FORGET = "UPDATE webhook_endpoint_health SET consecutive_failures = 0, failing_since = NULL"


@dataclass
class Receiver:
    """A customer's server that takes everything, and remembers when it came."""

    arrivals: dict[str, float] = field(default_factory=dict)
    attempts: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def take(self, request: web.Request) -> web.Response:
        headers = request.headers
        self.attempts[headers["webhook-id"], headers["webhook-attempt"]] += 1
        self.arrivals.setdefault(headers["webhook-id"], time.time())
        await request.read()
        return web.Response(status=204)


@pytest.fixture
def broker() -> Iterator[EmbeddedNats]:
    """A broker of its own, whose disk a test may take away."""
    with tempfile.TemporaryDirectory(prefix="semalink-") as folder:
        path = Path(folder)
        path.chmod(0o711)
        with EmbeddedNats(path / "server", free_port(), free_port()) as server:
            yield server


@pytest.fixture
async def world(database_url: str, broker: EmbeddedNats) -> AsyncIterator[World]:
    settings = Settings.from_environment(
        {
            "SEMALINK_DATABASE_URL": database_url,
            "SEMALINK_NATS_URL": broker.url,
            "SEMALINK_NATS_BYTES_DIVISOR": "64",
            "SEMALINK_KEY_PEPPER": "p" * 32,
            "SEMALINK_WEBHOOK_KEY": KEY,
            "SEMALINK_WEBHOOK_ALLOW_PRIVATE": "true",
        }
    )
    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(open_core(settings, "test"))
        yield World(core, database_url)


async def fail_once(world: World, endpoint_ids: Sequence[UUID], count: int) -> list[UUID]:
    """Make deliveries that were tried once, and are to be tried again in an hour."""
    made: list[UUID] = []

    def add(books: Books) -> None:
        made.clear()
        for number in range(count):
            cause, delivery_id = _cause(), uuid7()
            made.append(delivery_id)
            endpoint_id = endpoint_ids[number % len(endpoint_ids)]
            subject = Subject(
                endpoint_id, UUID(int=0xACC0), f"evt_{delivery_id.hex}", "x", None, None, "{}"
            )
            delivery = WebhookDelivery.create(delivery_id, subject, cause)
            attempt = Attempt(
                attempt_no=1,
                outcome="failed",
                url="http://127.0.0.1/",
                status=503,
                error_class="status",
                duration_ms=9,
                secret_ids=[],
                response_headers={},
                response_body="",
            )
            assert delivery.record(attempt, cause, next_attempt_at=cause.at + timedelta(hours=1))
            books.add(delivery)

    await world.core.ledger.execute(Change(add, _cause()))
    return made


async def make_due(world: World, ids: Sequence[UUID], within_seconds: int) -> dict[str, datetime]:
    return dict(await world.ask(MAKE_DUE, timedelta(seconds=within_seconds), list(ids)))


async def test_ten_thousand_retries_come_as_due_when_the_broker_lost_its_disk(
    world: World, broker: EmbeddedNats, serve: Serve
) -> None:
    receiver = Receiver()
    url = str((await serve(receiver.take)).make_url("/hook"))
    endpoints = [await world.open(url, rate_per_second=5_000, concurrency=20) for _ in range(10)]
    waiting = [one for _ in range(10) for one in await fail_once(world, endpoints, COUNT // 10)]
    early, late = waiting[: COUNT // 2], waiting[COUNT // 2 :]
    await world.ask(f"{FORGET} RETURNING 1")

    async with world.running():
        # Some are sent, some lie in the queue, most wait, and half of all is not due.
        due = await make_due(world, early, 5)
        await world.until(DELIVERED.replace("count(*)", "count(*) > 500"), wanted=True)
        await asyncio.to_thread(broker.kill)
        broker.wipe_store()
        await asyncio.to_thread(broker.start)
        await world.until(DELIVERED, len(early), seconds=30)
        sent_before_due = set(receiver.arrivals) - set(due)
        due |= await make_due(world, late, 3)
        await world.until(DELIVERED, COUNT, seconds=30)

    assert not sent_before_due
    assert receiver.attempts == Counter({(event_id, "2"): 1 for event_id in due})
    waits = [receiver.arrivals[event_id] - at.timestamp() for event_id, at in due.items()]
    assert min(waits) >= 0
    assert max(waits) < 20
    attempts = "SELECT DISTINCT attempt_no, round_attempts FROM webhook_deliveries"
    assert await world.ask(attempts) == [(2, 2)]
