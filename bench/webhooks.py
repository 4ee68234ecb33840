"""Webhooks: deliveries a second, and what hanging endpoints cost the others."""

import asyncio
import json
import os
import time
import urllib.request
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median
from uuid import UUID

from nats.aio.client import Client
from uuid_utils.compat import uuid7

from bench import platform
from bench.webhook_receiver import PORT
from semalink.application.ledger import Books, Needs, PlainCommand
from semalink.application.webhook_dispatching import DISPATCH_POKE_SUBJECT
from semalink.domain.cause import Cause
from semalink.domain.webhook_delivery import Subject, WebhookDelivery
from semalink.domain.webhook_endpoint import EndpointTerms, Secret, SecretKind, WebhookEndpoint
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.webhooks.sealing import Sealer
from semalink_ops.embedded.ports import free_port
from semalink_ops.runtime import utc_now

ENDPOINTS = 100
HANGING = 20
DELIVERIES = 20_000
WARM_UP = 2_000
PACE_PER_SECOND = 250
PACED_SECONDS = 20
ROUNDS = 3
SETTLE_SECONDS_MAX = 40
_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
_ACCOUNT = UUID(int=0xACC0)


def measure(servers: platform.Servers, *, quick: bool) -> None:
    """Print deliveries a second, and the p99 of healthy endpoints with and without hanging ones."""
    with _processes(servers) as (receiver, worker_pid):
        asyncio.run(_measure(servers, receiver, worker_pid, quick=quick))


async def _measure(
    servers: platform.Servers, receiver: str, worker_pid: int, *, quick: bool
) -> None:
    count = DELIVERIES // 10 if quick else DELIVERIES
    broker = Client()
    await broker.connect(servers.nats.url)
    async with GroupCommit(servers.postgres.dsn) as ledger:
        world = _World(ledger, receiver, broker)
        healthy = await world.open([f"/h/{number}" for number in range(ENDPOINTS)])
        await world.make(healthy, WARM_UP)
        await world.settle(WARM_UP)
        world.clear()
        used_before = _processor_seconds(worker_pid)
        await world.make(healthy, count)
        figures = await world.settle(count)
        used_ms = (_processor_seconds(worker_pid) - used_before) * 1_000 / count
        print(
            f"\nWebhooks, {count} to {ENDPOINTS} endpoints, one worker: "
            f"{figures['count'] / figures['seconds']:.0f}/s, "
            f"{figures['count'] - figures['distinct']} twice; "
            f"{used_ms:.2f} ms of the processor each, so {1_000 / used_ms:.0f}/s of a whole one",
            flush=True,
        )
        hanging = await world.open([f"/hang/{number}" for number in range(HANGING)])
        seconds = 5 if quick else PACED_SECONDS
        rounds = []
        for _ in range(1 if quick else ROUNDS):
            alone = await world.pace(healthy[HANGING:], (), seconds)
            beside = await world.pace(healthy[HANGING:], hanging, seconds)
            rounds.append((alone["p99_ms"], beside["p99_ms"]))
            print(
                f"  {PACE_PER_SECOND}/s to {ENDPOINTS - HANGING} healthy endpoints: "
                f"p50 {alone['p50_ms']:.1f} ms, p99 {alone['p99_ms']:.1f} ms; "
                f"while {HANGING} more hang: p50 {beside['p50_ms']:.1f} ms, "
                f"p99 {beside['p99_ms']:.1f} ms ({beside['hung']:.0f} requests hung)",
                flush=True,
            )
        alone_ms, beside_ms = (median(column) for column in zip(*rounds, strict=True))
        print(f"  p99 of healthy endpoints: {beside_ms / alone_ms:.2f} times", flush=True)
        await world.close()


class _World:
    def __init__(self, ledger: GroupCommit, receiver: str, broker: Client) -> None:
        self._ledger = ledger
        self._receiver = receiver
        self._broker = broker

    async def close(self) -> None:
        await self._broker.close()

    async def open(self, paths: Sequence[str]) -> list[UUID]:
        """Register endpoints."""
        opened = [MakeEndpoint(uuid7(), self._receiver + path, _cause()) for path in paths]
        await asyncio.gather(*(self._ledger.execute(one) for one in opened))
        return [one.endpoint_id for one in opened]

    async def make(self, endpoints: Sequence[UUID], count: int) -> None:
        """Make deliveries, in turn for each endpoint."""
        page = 100
        for first in range(0, count, page):
            chosen = [endpoints[turn % len(endpoints)] for turn in range(first, first + page)]
            await self._ledger.execute(MakeDeliveries(tuple(chosen), time.time(), _cause()))
        await self._broker.publish(DISPATCH_POKE_SUBJECT, b"")

    async def pace(
        self, healthy: Sequence[UUID], hanging: Sequence[UUID], seconds: float
    ) -> dict[str, float]:
        """Make deliveries at a steady pace, a fifth more to hanging endpoints if there are any."""
        await asyncio.sleep(1)
        self.clear()
        step = 5
        started = time.perf_counter()
        for turn in range(0, int(PACE_PER_SECOND * seconds), step):
            await asyncio.sleep(max(0.0, started + turn / PACE_PER_SECOND - time.perf_counter()))
            chosen = [healthy[each % len(healthy)] for each in range(turn, turn + step)]
            if hanging:
                chosen.append(hanging[turn // step % len(hanging)])
            await self._ledger.execute(MakeDeliveries(tuple(chosen), time.time(), _cause()))
            await self._broker.publish(DISPATCH_POKE_SUBJECT, b"")
        await asyncio.sleep(1)
        return self._figures()

    async def settle(self, count: int) -> dict[str, float]:
        """Wait until so many came."""
        give_up_at = time.monotonic() + SETTLE_SECONDS_MAX
        while (figures := self._figures())["distinct"] < count:
            if time.monotonic() > give_up_at:
                raise SystemExit(f"Only {figures} of {count} webhooks came in two minutes.")
            await asyncio.sleep(0.2)
        return figures

    def clear(self) -> None:
        """Begin to count anew."""
        self._ask("/clear")

    def _figures(self) -> dict[str, float]:
        figures: dict[str, float] = json.loads(self._ask("/stats"))
        return figures

    def _ask(self, path: str) -> bytes:
        with urllib.request.urlopen(self._receiver + path, timeout=10) as answer:
            body: bytes = answer.read()
        return body


@dataclass(frozen=True, slots=True)
class MakeEndpoint(PlainCommand):
    """Registers an endpoint with one secret."""

    endpoint_id: UUID
    url: str
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """Nothing: it is new."""

    def decide(self, books: Books) -> None:
        """Add it."""
        terms = EndpointTerms(self.url, ("*",), rate_per_second=1_000, concurrency=8)
        endpoint = WebhookEndpoint.register(self.endpoint_id, _ACCOUNT, terms, self.cause)
        secret = Secret(uuid7(), SecretKind.V1, "bench")
        expires_at = self.cause.at + timedelta(hours=1)
        endpoint.add_secret(secret, self.cause, old_expires_at=expires_at)
        sealer = Sealer(b64decode(_KEY))
        books.sealed_secrets[secret.secret_id] = sealer.seal(secret.secret_id, bytes(32))
        books.add(endpoint)


@dataclass(frozen=True, slots=True)
class MakeDeliveries(PlainCommand):
    """Makes one delivery for each endpoint that is named, as the feed does."""

    endpoint_ids: tuple[UUID, ...]
    made_at: float
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """Nothing: they are new."""

    def decide(self, books: Books) -> None:
        """Add them."""
        for endpoint_id in self.endpoint_ids:
            delivery_id = uuid7()
            event_id = f"evt_{delivery_id.hex}"
            payload = {
                "version": 1,
                "id": event_id,
                "type": "message.delivered",
                "made_at": self.made_at,
                "data": {"id": f"msg_{delivery_id.hex}", "status": "delivered", "segments": 1},
            }
            subject = Subject(
                endpoint_id,
                _ACCOUNT,
                event_id,
                "message.delivered",
                None,
                None,
                json.dumps(payload),
            )
            books.add(WebhookDelivery.create(delivery_id, subject, self.cause))


def _cause() -> Cause:
    return Cause("operator:bench", utc_now(), "req_bench")


def _processor_seconds(pid: int) -> float:
    """Return what a process has used; on a busy machine the rate alone says little of it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _processes(servers: platform.Servers) -> Iterator[tuple[str, int]]:
    port, relay, worker = free_port(), free_port(), free_port()
    receiver = f"http://127.0.0.1:{port}"
    extra = {"SEMALINK_WEBHOOK_KEY": _KEY, "SEMALINK_WEBHOOK_ALLOW_PRIVATE": "true"}
    pid = 0
    with ExitStack() as stack:
        # The worker last: its id is the one that is asked for.
        for arguments, environment, url in (
            (
                ["-m", "bench.webhook_receiver"],
                {**os.environ, PORT: str(port)},
                receiver + "/stats",
            ),
            (
                ["-m", "semalink_ops.cli", "relay"],
                servers.environment(metrics_port=relay) | extra,
                f"http://127.0.0.1:{relay}/health/ready",
            ),
            (
                ["-m", "semalink_ops.cli", "worker", "webhooks"],
                servers.environment(metrics_port=worker) | extra,
                f"http://127.0.0.1:{worker}/health/ready",
            ),
        ):
            pid = stack.enter_context(platform.process(arguments, environment, url))
        yield receiver, pid
