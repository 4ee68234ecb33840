"""Webhooks over the real database, the real broker and real HTTP."""

import asyncio
import json
import time
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks import Webhook
from uuid_utils.compat import uuid7

from semalink.application.bus import Outgoing
from semalink.application.ledger import Books, Needs, PlainCommand
from semalink.application.webhook_dispatching import subject_of
from semalink.domain.cause import Cause
from semalink.domain.webhook_delivery import Subject, WebhookDelivery
from semalink.domain.webhook_endpoint import (
    EndpointTerms,
    Secret,
    SecretKind,
    WebhookEndpoint,
)
from semalink_adapters.jetstream.queue_age import find_oldest
from semalink_adapters.jetstream.streams import WEBHOOKS_OUTBOUND
from semalink_adapters.webhooks.sealing import Sealer
from semalink_adapters.webhooks.signing import show_secret
from semalink_ops.bootstrap import Core, open_core
from semalink_ops.settings import Settings
from semalink_ops.webhook_dispatch import dispatch_webhooks
from semalink_ops.webhook_worker import NoWebhookKey, run_webhook_worker

ACCOUNT = UUID(int=0xACC0)
KEY = b64encode(b"k" * 32).decode()
SECRET = b"s" * 32
Serve = Callable[[Any], Awaitable[TestServer]]


@dataclass(frozen=True)
class Change(PlainCommand):
    """Does what other parts do."""

    by: Callable[[Books], Any]
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """Nothing."""

    def decide(self, books: Books) -> None:
        self.by(books)


@dataclass
class Customer:
    """A customer's server: answers as it is told, and remembers who asked."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    #: What hangs is let go when this is set.
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[tuple[str, bytes, dict[str, str]]] = field(default_factory=list)
    waits: dict[str, float] = field(default_factory=dict)

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append((headers["webhook-id"], body, headers))
        if request.path.startswith("/hang"):
            await self.may_answer.wait()
        self.waits.setdefault(headers["webhook-id"], time.time() - json.loads(body)["made_at"])
        return web.Response(status=self.status, headers=self.headers, text="no" * 10)

    @property
    def counts(self) -> Counter[str]:
        return Counter(event_id for event_id, _, _ in self.seen)


class World:
    """The parts of the platform that webhooks need."""

    def __init__(self, core: Core, database_url: str) -> None:
        self.core = core
        self._database_url = database_url

    async def open(self, url: str, **terms: Any) -> UUID:
        endpoint_id, secret_id = uuid7(), uuid7()

        def add(books: Books) -> None:
            cause = _cause()
            chosen = EndpointTerms(url, ("*",), **terms)
            endpoint = WebhookEndpoint.register(endpoint_id, ACCOUNT, chosen, cause)
            endpoint.add_secret(
                Secret(secret_id, SecretKind.V1, "test"),
                cause,
                old_expires_at=cause.at + timedelta(hours=1),
            )
            sealed = Sealer(b64decode(KEY)).seal(secret_id, SECRET)
            books.sealed_secrets[secret_id] = sealed
            books.add(endpoint)

        await self.core.ledger.execute(Change(add, _cause()))
        return endpoint_id

    async def make(self, endpoint_ids: Sequence[UUID], count: int = 1) -> list[UUID]:
        """Make deliveries that are due now, for each endpoint in turn."""
        made: list[UUID] = []

        def add(books: Books) -> None:
            made.clear()
            for number in range(count):
                delivery_id = uuid7()
                made.append(delivery_id)
                body = json.dumps({"made_at": time.time()})
                endpoint_id = endpoint_ids[number % len(endpoint_ids)]
                event_id = f"evt_{delivery_id.hex}"
                subject = Subject(endpoint_id, ACCOUNT, event_id, "x", None, None, body)
                books.add(WebhookDelivery.create(delivery_id, subject, _cause()))

        await self.core.ledger.execute(Change(add, _cause()))
        return made

    async def ask(self, statement: str, *parameters: Any) -> list[Any]:
        async with await psycopg.AsyncConnection.connect(
            self._database_url, autocommit=True
        ) as connection:
            return await (await connection.execute(statement, parameters)).fetchall()

    async def until(self, condition: str, wanted: Any, seconds: float = 20) -> None:
        """Wait until a question has the wanted answer."""
        async with asyncio.timeout(seconds):
            while (await self.ask(condition))[0][0] != wanted:
                pass

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Event]:
        """Run a dispatcher and a worker until the block ends, then let them finish."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(dispatch_webhooks(self.core, stop))
            group.create_task(run_webhook_worker(self.core, stop))
            try:
                yield stop
            finally:
                stop.set()


DELIVERED = "SELECT count(*) FROM webhook_deliveries WHERE state = 'delivered'"
STATES = "SELECT state, attempt_no, last_status, last_error FROM webhook_deliveries"


@pytest.fixture
async def world(database_url: str, nats_url: str) -> AsyncIterator[World]:
    settings = Settings.from_environment(
        {
            "SEMALINK_DATABASE_URL": database_url,
            "SEMALINK_NATS_URL": nats_url,
            "SEMALINK_NATS_BYTES_DIVISOR": "64",
            "SEMALINK_KEY_PEPPER": "p" * 32,
            "SEMALINK_WEBHOOK_KEY": KEY,
            "SEMALINK_WEBHOOK_ALLOW_PRIVATE": "true",
        }
    )
    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(open_core(settings, "test"))
        yield World(core, database_url)


async def test_worker_delivers_what_the_public_library_verifies(world: World, serve: Serve):
    customer = Customer()
    server = await serve(customer.answer)
    endpoint = await world.open(str(server.make_url("/hook")))

    async with world.running():
        await world.make([endpoint], 5)
        await world.until(DELIVERED, 5)

    assert set(customer.counts.values()) == {1}
    for _, body, headers in customer.seen:
        Webhook(show_secret("v1", SECRET)).verify(body, headers)
    assert customer.seen[0][2]["user-agent"] == "SemaLink-Webhooks/1"
    assert customer.seen[0][2]["webhook-attempt"] == "1"


async def test_worker_records_a_refusal_and_when_it_tries_again(world: World, serve: Serve):
    customer = Customer(status=503, headers={"Retry-After": "600", "Set-Cookie": "a=1"})
    server = await serve(customer.answer)
    endpoint = await world.open(str(server.make_url("/hook")))

    async with world.running():
        await world.make([endpoint])
        await world.until("SELECT max(attempt_no) FROM webhook_deliveries", 1)

    assert await world.ask(STATES) == [("waiting", 1, 503, "status")]
    [(wait,)] = await world.ask("SELECT next_attempt_at - now() FROM webhook_deliveries")
    assert timedelta(seconds=570) < wait <= timedelta(seconds=600)
    [(failures, latency)] = await world.ask(
        "SELECT consecutive_failures, last_latency_ms FROM webhook_endpoint_health"
    )
    assert (failures, latency >= 0) == (1, True)


async def test_worker_disables_an_endpoint_that_is_gone(world: World, serve: Serve):
    customer = Customer(status=410)
    server = await serve(customer.answer)
    endpoint = await world.open(str(server.make_url("/hook")), concurrency=1)

    async with world.running():
        await world.make([endpoint])
        await world.until("SELECT state FROM webhook_endpoints", "disabled")

    assert await world.ask("SELECT disabled_reason FROM webhook_endpoints") == [("gone",)]
    assert await world.ask("SELECT state FROM webhook_deliveries") == [("failed",)]


async def test_dispatcher_leaves_an_endpoint_alone_that_fails(world: World, serve: Serve):
    customer = Customer(status=500)
    server = await serve(customer.answer)
    endpoint = await world.open(str(server.make_url("/hook")), concurrency=1)

    async with world.running():
        await world.make([endpoint], 30)
        await world.until("SELECT max(times_opened) FROM webhook_endpoint_health", 1)

    [(untouched,)] = await world.ask(
        "SELECT count(*) FROM webhook_deliveries WHERE attempt_no = 0 AND state = 'waiting'"
    )
    assert untouched > 0
    assert len(customer.seen) + untouched == 30


async def test_find_oldest_says_since_when_the_queue_holds_something(world: World):
    js = world.core.connection.js
    empty = await find_oldest(js, WEBHOOKS_OUTBOUND)

    await world.core.bus.publish_many([Outgoing(subject_of(UUID(int=1)), b"{}", "1")])
    oldest = await find_oldest(js, WEBHOOKS_OUTBOUND)

    assert empty is None
    assert oldest is not None
    assert timedelta(0) <= datetime.now(UTC) - oldest < timedelta(minutes=1)


async def test_worker_finishes_what_is_under_way_when_it_is_stopped(world: World, serve: Serve):
    arrived, may_answer = asyncio.Event(), asyncio.Event()

    async def answer_late(request: web.Request) -> web.Response:
        arrived.set()
        await may_answer.wait()
        return web.Response()

    server = await serve(answer_late)
    endpoint = await world.open(str(server.make_url("/hook")), concurrency=1)

    async with world.running() as stop:
        await world.make([endpoint], 3)
        await arrived.wait()
        stop.set()
        may_answer.set()

    states = Counter(state for state, *_ in await world.ask(STATES))
    assert states["delivered"] >= 1
    assert states["sending"] == 0


async def test_hanging_endpoints_delay_no_other(world: World, serve: Serve):
    customer = Customer()
    server = await serve(customer.answer)
    healthy = [await world.open(str(server.make_url(f"/h/{n}"))) for n in range(8)]
    hanging = [await world.open(str(server.make_url(f"/hang/{n}"))) for n in range(2)]

    async with world.running() as stop:
        await world.make(hanging, 40)
        await world.until(
            "SELECT count(*) >= 8 FROM webhook_deliveries WHERE state = 'sending'", wanted=True
        )
        for _ in range(10):
            await world.make(healthy, 16)
        await world.until(DELIVERED, 160)
        held = await world.ask(
            "SELECT count(*) FROM webhook_deliveries WHERE state = 'waiting' AND attempt_no = 0"
        )
        healthy_waits = dict(customer.waits)
        stop.set()
        customer.may_answer.set()

    assert len(healthy_waits) == 160
    assert max(healthy_waits.values()) < 15
    assert held[0][0] >= 40 - 2 * 8


async def test_worker_refuses_to_run_without_a_key(world: World):
    settings = world.core.settings
    keyless = Settings.from_environment(
        {
            name: text
            for name, text in settings.to_environment().items()
            if name != "SEMALINK_WEBHOOK_KEY"
        }
    )
    async with open_core(keyless, "test") as core:
        with pytest.raises(NoWebhookKey, match="SEMALINK_WEBHOOK_KEY"):
            await run_webhook_worker(core, asyncio.Event())


def _cause() -> Cause:
    return Cause("operator:1", datetime.now(UTC), "req_1")
