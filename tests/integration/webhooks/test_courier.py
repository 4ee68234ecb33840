import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks import Webhook

from semalink.application.webhook_sending import Claimed, Outcome
from semalink.domain.webhook_endpoint import DisabledReason
from semalink_adapters.postgres.webhook_claims import StoredSecret
from semalink_adapters.webhooks.courier import KeyRing, SigningCourier
from semalink_adapters.webhooks.guarded_client import GuardedClient
from semalink_adapters.webhooks.sealing import Sealer
from semalink_adapters.webhooks.signing import show_secret

Serve = Callable[[Any], Awaitable[TestServer]]

ACCOUNT = UUID(int=0xACC0)
ENDPOINT = UUID(int=0xE1)
NEW, OLD, BROKEN = UUID(int=3), UUID(int=2), UUID(int=1)
SEALER = Sealer(b"k" * 32)
BODY = b'{"type":"message.delivered"}'


@dataclass
class Secrets:
    """The secrets of endpoints, and how often they were asked for."""

    by_endpoint: dict[UUID, list[StoredSecret]] = field(default_factory=dict)
    asked: list[list[UUID]] = field(default_factory=list)

    async def find(self, endpoint_ids: Sequence[UUID]) -> Mapping[UUID, Sequence[StoredSecret]]:
        self.asked.append(list(endpoint_ids))
        return {each: self.by_endpoint.get(each, []) for each in endpoint_ids}


@dataclass
class Answering:
    """A customer's server."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    seen: list[dict[str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.seen.append({name.lower(): value for name, value in request.headers.items()})
        return web.Response(status=self.status, headers=self.headers, text="no thanks")


def secret(secret_id: UUID, opened: bytes, expires_at: datetime | None = None) -> StoredSecret:
    return StoredSecret(secret_id, "v1", SEALER.seal(secret_id, opened), expires_at)


async def deliver(server: TestServer, secrets: Secrets) -> Outcome:
    outcome = await try_to_deliver(server, secrets)
    assert outcome is not None
    return outcome


async def try_to_deliver(server: TestServer, secrets: Secrets) -> Outcome | None:
    keys = KeyRing(secrets.find, SEALER)
    await keys.load([ENDPOINT])
    url = str(server.make_url("/hook"))
    async with GuardedClient(allows_private=True) as client:
        courier = SigningCourier(client, keys, lambda: datetime.now(UTC))
        return await courier.deliver(
            Claimed(UUID(int=9), 3, ENDPOINT, "evt_1", BODY, url, 4, ACCOUNT)
        )


async def test_deliver_signs_with_every_live_secret(serve: Serve):
    customer = Answering()
    server = await serve(customer.answer)
    soon, before = (datetime.now(UTC) + timedelta(hours=sign) for sign in (1, -1))
    secrets = Secrets(
        {ENDPOINT: [secret(NEW, b"n" * 32), secret(OLD, b"o" * 32, soon)]},
    )
    secrets.by_endpoint[ENDPOINT].append(secret(UUID(int=8), b"e" * 32, before))

    outcome = await deliver(server, secrets)

    [headers] = customer.seen
    for opened in (b"n" * 32, b"o" * 32):
        Webhook(show_secret("v1", opened)).verify(BODY, headers)
    assert len(headers["webhook-signature"].split(" ")) == 2
    assert headers["webhook-attempt"] == "3"
    assert outcome.attempt.secret_ids == [NEW, OLD]
    assert (outcome.attempt.outcome, outcome.attempt.attempt_no) == ("delivered", 3)


async def test_deliver_sends_nothing_that_nobody_could_verify(serve: Serve):
    customer = Answering()
    server = await serve(customer.answer)
    broken = StoredSecret(BROKEN, "v1", Sealer(b"x" * 32).seal(BROKEN, b"b" * 32), None)

    outcome = await try_to_deliver(server, Secrets({ENDPOINT: [broken]}))

    assert outcome is None
    assert customer.seen == []


async def test_deliver_keeps_what_the_endpoint_answered_and_asked_for(serve: Serve):
    customer = Answering(503, {"Retry-After": "90", "webhook-delivery": "disable", "X-A": "b"})
    server = await serve(customer.answer)

    outcome = await deliver(server, Secrets({ENDPOINT: [secret(NEW, b"n" * 32)]}))

    attempt = outcome.attempt
    assert (attempt.status, attempt.error_class, attempt.response_body) == (
        503, "status", "no thanks",
    )  # fmt: skip
    assert attempt.response_headers["retry-after"] == "90"
    assert "x-a" not in attempt.response_headers
    assert (outcome.retry_after_seconds, outcome.disables) == (90, DisabledReason.ASKED)


async def test_load_forgets_only_what_was_looked_up_longest_ago():
    endpoints = [UUID(int=number) for number in range(3)]
    found = {each: [secret(UUID(int=0xF0 + each.int), b"n" * 32)] for each in endpoints}
    keys = KeyRing(Secrets(found).find, SEALER, endpoints_max=2)

    for each in endpoints:
        await keys.load([each])

    kept = [len(keys.keys_of(each, datetime.now(UTC))) for each in endpoints]
    assert kept == [0, 1, 1]


async def test_load_asks_once_for_all_that_is_not_known():
    secrets = Secrets({ENDPOINT: [secret(NEW, b"n" * 32)]})
    keys = KeyRing(secrets.find, SEALER)

    await keys.load([ENDPOINT, UUID(int=0xE2), ENDPOINT])
    await asyncio.gather(keys.load([ENDPOINT]), keys.load([UUID(int=0xE2)]))

    assert secrets.asked == [[ENDPOINT, UUID(int=0xE2)]]
    assert [one.secret_id for one in keys.keys_of(ENDPOINT, datetime.now(UTC))] == [NEW]
    assert keys.keys_of(UUID(int=0xE3), datetime.now(UTC)) == []
