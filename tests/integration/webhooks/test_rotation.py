"""Rotating the secret of an endpoint, from the command to the customer's library."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web
from psycopg_pool import AsyncConnectionPool
from standardwebhooks import Webhook, WebhookVerificationError
from tests.integration.webhooks.test_worker import Serve
from uuid_utils.compat import uuid7

from semalink.application.webhook_sending import Claimed
from semalink.application.webhooks import MadeSecret, RegisterEndpoint, RotateSecret
from semalink.domain.cause import Cause
from semalink.domain.webhook_endpoint import OLD_SECRETS_MAX, EndpointTerms, SecretKind
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.queries import open_pool
from semalink_adapters.postgres.webhook_claims import PostgresClaims
from semalink_adapters.webhooks.courier import KeyRing, SigningCourier
from semalink_adapters.webhooks.guarded_client import GuardedClient
from semalink_adapters.webhooks.sealing import Sealer
from semalink_adapters.webhooks.secret_making import SealedSecrets

KEY = b"k" * 32
ACCOUNT = UUID(int=0xACC0)
BODY = b'{"type":"message.delivered"}'
DAY = timedelta(days=1)


def now() -> datetime:
    return datetime.now(UTC)


def cause() -> Cause:
    return Cause("key:rotation", now(), "req_1")


@dataclass
class Customer:
    """A server that remembers the headers of what it took."""

    seen: list[dict[str, str]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.seen.append({name.lower(): text for name, text in request.headers.items()})
        return web.Response(status=204)


class Endpoint:
    """An endpoint whose secrets are made, kept and signed by as in production."""

    def __init__(self, ledger: GroupCommit, pool: AsyncConnectionPool[Any]) -> None:
        self._ledger = ledger
        self._claims = PostgresClaims(pool)
        self.endpoint_id = uuid7()
        #: What the customer was shown, oldest first.
        self.shown: list[str] = []

    def _make(self) -> MadeSecret:
        made = SealedSecrets(KEY).make(uuid7(), SecretKind.V1)
        self.shown.append(made.shown)
        return made

    async def register(self) -> None:
        terms = EndpointTerms("https://shop.example.com/", ("*",))
        command = RegisterEndpoint(self.endpoint_id, ACCOUNT, terms, (self._make(),), 0, cause())
        await self._ledger.execute(command)

    async def rotate(self, old_kept: timedelta = DAY) -> None:
        command = RotateSecret(self.endpoint_id, ACCOUNT, self._make(), old_kept, cause())
        await self._ledger.execute(command)

    async def receive(self, serve: Serve, at: datetime | None = None) -> dict[str, str]:
        """Send one event at a time, and return the headers that the customer saw."""
        customer = Customer()
        url = str((await serve(customer.take)).make_url("/"))
        keys = KeyRing(self._claims.secrets, Sealer(KEY))
        await keys.load([self.endpoint_id])
        async with GuardedClient(allows_private=True) as client:
            courier = SigningCourier(client, keys, lambda: at or now())
            await courier.deliver(
                Claimed(uuid7(), 1, self.endpoint_id, "evt_1", BODY, url, 4, ACCOUNT)
            )
        [headers] = customer.seen
        return headers


def is_verified(shown: str, headers: dict[str, str]) -> bool:
    try:
        Webhook(shown).verify(BODY, headers)
    except WebhookVerificationError:
        return False
    return True


@pytest.fixture
async def endpoint(database_url: str) -> AsyncIterator[Endpoint]:
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(database_url))
        ledger = await stack.enter_async_context(GroupCommit(database_url))
        await pool.wait()
        made = Endpoint(ledger, pool)
        await made.register()
        yield made


@pytest.mark.parametrize("secret_count", range(1, 2 + OLD_SECRETS_MAX))
async def test_rotate_leaves_every_secret_valid_that_the_customer_may_still_use(
    endpoint: Endpoint, serve: Serve, secret_count: int
) -> None:
    for _ in range(secret_count - 1):
        await endpoint.rotate()

    headers = await endpoint.receive(serve)

    assert [is_verified(shown, headers) for shown in endpoint.shown] == [True] * secret_count
    signatures = headers["webhook-signature"].split(" ")
    newest = headers | {"webhook-signature": signatures[0]}
    assert len(signatures) == secret_count
    assert is_verified(endpoint.shown[-1], newest)


async def test_rotate_ends_the_oldest_of_more_than_six_at_once(
    endpoint: Endpoint, serve: Serve
) -> None:
    for _ in range(1 + OLD_SECRETS_MAX):
        await endpoint.rotate()

    headers = await endpoint.receive(serve)

    verified = [is_verified(shown, headers) for shown in endpoint.shown]
    assert verified == [False] + [True] * (1 + OLD_SECRETS_MAX)


async def test_rotate_lets_the_old_secret_sign_until_its_time_and_no_longer(
    endpoint: Endpoint, serve: Serve
) -> None:
    # The library looks at the clock: the old secret ends within the five minutes that it allows.
    await endpoint.rotate(timedelta(minutes=1))

    before = await endpoint.receive(serve)
    after = await endpoint.receive(serve, now() + timedelta(minutes=2))

    assert [is_verified(shown, before) for shown in endpoint.shown] == [True, True]
    assert [is_verified(shown, after) for shown in endpoint.shown] == [False, True]
