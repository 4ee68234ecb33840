"""The process that sends webhooks; the only one that calls customers' endpoints."""

import asyncio
import random
from base64 import b64decode
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Protocol

import msgspec

from semalink.application.bus import Delivery, NotReady, PoisonMessage
from semalink.application.webhook_dispatching import DISPATCH_POKE_SUBJECT, Ticket
from semalink.application.webhook_sending import Claimed, Claims, Outcome, Sender
from semalink.domain.ids import DELIVERY_PREFIX, format_id
from semalink_adapters.jetstream.consumer import Limits, consume_batches
from semalink_adapters.jetstream.source import JetStreamSource
from semalink_adapters.jetstream.streams import WEBHOOKS_OUTBOUND
from semalink_adapters.postgres.webhook_claims import PostgresClaims
from semalink_adapters.webhooks.courier import KeyRing, SigningCourier
from semalink_adapters.webhooks.guarded_client import GuardedClient
from semalink_adapters.webhooks.sealing import Sealer
from semalink_ops.bootstrap import Core, Poker
from semalink_ops.observability.tracing import Tracing
from semalink_ops.runtime import new_request_id, utc_now

_LIMITS = Limits(concurrency=2, batch=256, poll_seconds=1.0, not_ready_seconds=(0.2, 1.0))

_tickets = msgspec.json.Decoder(Ticket)


class NoWebhookKey(Exception):
    """The secrets of endpoints cannot be opened."""

    def __init__(self) -> None:
        super().__init__(
            "SEMALINK_WEBHOOK_KEY is not set, so that nothing could be signed. "
            "It must be 32 bytes that nobody can guess, in base64, the same for every process: "
            "SEMALINK_WEBHOOK_KEY=$(openssl rand -base64 32)"
        )


async def run_webhook_worker(core: Core, stop: asyncio.Event) -> None:
    """Make the attempts that are issued until the stop, then finish those under way."""
    settings = core.settings
    if settings.webhook_key is None:
        raise NoWebhookKey
    claims = PostgresClaims(core.pool)
    keys = KeyRing(claims.secrets, Sealer(b64decode(settings.webhook_key.reveal())))
    async with GuardedClient(
        allows_private=settings.webhook_allow_private,
        extra_ports=frozenset(settings.webhook_ports),
        also_forbidden=[one.network for one in settings.webhook_forbidden_networks],
    ) as client:
        sender = Sender(
            ClaimsWithKeys(claims, keys),
            TracedCourier(SigningCourier(client, keys, utc_now), core.tracing),
            core.ledger,
            now=utc_now,
            jitter=random.random,
            new_request_id=lambda: new_request_id("job_"),
            observer=core.metrics.webhooks,
            on_room=Poker(core.bus, DISPATCH_POKE_SUBJECT).poke,
        )
        try:
            await consume_batches(
                JetStreamSource(core.connection, core.bus, WEBHOOKS_OUTBOUND),
                TicketHandler(sender).handle,
                stop=stop,
                limits=_LIMITS,
                observer=core.bus_metrics,
            )
        finally:
            await sender.drain()


class ClaimsWithKeys:
    """Claims, and has the keys of what was claimed at hand."""

    def __init__(self, claims: Claims, keys: KeyRing) -> None:
        self._claims = claims
        self._keys = keys

    async def claim(self, tickets: Sequence[Ticket], lease: timedelta) -> Sequence[Claimed]:
        """Take attempts and look up what signs them; raises NotReady."""
        claimed = await self._claims.claim(tickets, lease)
        try:
            await self._keys.load([one.endpoint_id for one in claimed])
        except NotReady:
            # The tickets come again, and what they name must be issued then.
            with suppress(NotReady):
                await self._claims.put_off(claimed, 0.0)
            raise
        return claimed

    async def put_off(self, claimed: Sequence[Claimed], seconds: float) -> None:
        """Make attempts due again that were not made."""
        await self._claims.put_off(claimed, seconds)


class TracedCourier:
    """Makes each attempt within a trace, which the customer's server is told of."""

    def __init__(self, courier: SigningCourier, tracing: Tracing) -> None:
        self._courier = courier
        self._tracing = tracing

    async def deliver(self, claimed: Claimed) -> Outcome | None:
        """Send once."""
        delivery_id = format_id(DELIVERY_PREFIX, claimed.delivery_id)
        with self._tracing.work("deliver_webhook", delivery_id=delivery_id):
            return await self._courier.deliver(claimed)


class TakesTickets(Protocol):
    """The sender, as far as reading tickets goes."""

    async def take(self, tickets: Sequence[Ticket]) -> None:
        """Claim and begin; raises NotReady."""
        ...


class TicketHandler:
    """Reads tickets from deliveries and gives them to the sender.

    A ticket is done with once its attempt is claimed: from then on the lease is what is watched.
    """

    def __init__(self, sender: TakesTickets) -> None:
        self._sender = sender

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        """Claim and begin; raises NotReady while the database is away."""
        await self._sender.take([_ticket(delivery) for delivery in deliveries])


def _ticket(delivery: Delivery) -> Ticket:
    try:
        return _tickets.decode(delivery.payload)
    except msgspec.MsgspecError as unreadable:
        msg = "unreadable_ticket"
        raise PoisonMessage(msg) from unreadable
