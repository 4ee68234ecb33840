"""Endpoints and feeds of a ledger in memory, for tests, held to the rules of the real ones."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from semalink.application.endpoint_reading import EndpointView, SecretView, VerificationKey
from semalink.application.feed import FeedSlice, Known, items_of, number
from semalink.application.reading import ReadsUnavailable
from semalink.domain.campaign import Campaign
from semalink.domain.errors import EventsNoLongerKept
from semalink.domain.ids import ACCOUNT_PREFIX, ENDPOINT_PREFIX, SECRET_PREFIX, format_id
from semalink.domain.webhook_delivery import WebhookDelivery
from semalink.domain.webhook_endpoint import SecretKind, WebhookEndpoint
from semalink_adapters.memory_ledger import MemoryLedger


class MemoryEndpoints:
    """Reads of the endpoints that a memory ledger holds."""

    def __init__(self, ledger: MemoryLedger, now: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._now = now
        #: When False, nothing can be read.
        self.is_available = True

    async def endpoint(self, endpoint_id: UUID, account_id: UUID | None) -> EndpointView | None:
        """Return one endpoint; None for another account's, and once it was removed."""
        found = [one for one in self._all(account_id) if one.id == endpoint_id]
        return self._view(found[0]) if found else None

    async def endpoints(
        self, account_id: UUID | None, *, before: UUID | None, limit: int
    ) -> Sequence[EndpointView]:
        """Return endpoints of an account, or of all, newest first, below the id ``before``."""
        found = [one for one in self._all(account_id) if before is None or one.id < before]
        return [self._view(one) for one in sorted(found, key=lambda one: one.id, reverse=True)][
            :limit
        ]

    async def endpoint_count(self, account_id: UUID) -> int:
        """Return how many endpoints an account has."""
        return len(self._all(account_id))

    async def verification_keys(self, endpoint_id: UUID) -> Sequence[VerificationKey]:
        """Return the public keys of an endpoint that still sign, newest first."""
        endpoint = self._ledger.load(WebhookEndpoint, endpoint_id)
        live = [] if endpoint is None else endpoint.live_secrets(self._now())
        return [
            VerificationKey(
                one.secret_id,
                bytes.fromhex(one.public_key or ""),
                self._added_at(endpoint_id, one.secret_id),
                one.expires_at,
            )
            for one in live
            if one.kind is SecretKind.V1A
        ]

    async def waiting_in_vain(self, limit: int) -> Sequence[UUID]:
        """Return deliveries that wait for an endpoint that was removed."""
        loaded = [
            self._ledger.load(WebhookDelivery, one) for one in self._ledger.ids(WebhookDelivery)
        ]
        present = {one.id for one in self._all(None)}
        return [
            one.id
            for one in loaded
            if one is not None and one.is_waiting and one.subject.endpoint_id not in present
        ][:limit]

    def _all(self, account_id: UUID | None) -> list[WebhookEndpoint]:
        if not self.is_available:
            msg = "The database is away."
            raise ReadsUnavailable(msg)
        loaded = [
            self._ledger.load(WebhookEndpoint, one) for one in self._ledger.ids(WebhookEndpoint)
        ]
        return [
            one
            for one in loaded
            if one is not None and not one.is_removed and account_id in (None, one.account_id)
        ]

    def _view(self, endpoint: WebhookEndpoint) -> EndpointView:
        terms, reason = endpoint.terms, endpoint.disabled_reason
        changed = [
            event.timestamp
            for event in self._ledger.streams[WebhookEndpoint][endpoint.id]
            if not isinstance(
                event,
                WebhookEndpoint.SecretAdded
                | WebhookEndpoint.SecretRetired
                | WebhookEndpoint.Warned,
            )
        ]
        return EndpointView(
            id=format_id(ENDPOINT_PREFIX, endpoint.id),
            account_id=format_id(ACCOUNT_PREFIX, endpoint.account_id),
            url=terms.url,
            event_types=list(terms.event_types),
            description=terms.description,
            state=endpoint.state.value,
            disabled_reason=None if reason is None else reason.value,
            rate_per_second=terms.rate_per_second,
            concurrency=terms.concurrency,
            secrets=[
                SecretView(
                    format_id(SECRET_PREFIX, one.secret_id),
                    one.kind.value,
                    one.fingerprint,
                    self._added_at(endpoint.id, one.secret_id),
                    one.expires_at,
                )
                for one in endpoint.live_secrets(self._now())
            ],
            created_at=endpoint.created_on,
            changed_at=changed[-1],
        )

    def _added_at(self, endpoint_id: UUID, secret_id: UUID) -> datetime:
        [added_at] = [
            event.timestamp
            for event in self._ledger.streams[WebhookEndpoint][endpoint_id]
            if isinstance(event, WebhookEndpoint.SecretAdded) and event.secret_id == secret_id
        ]
        moment: datetime = added_at
        return moment


class MemoryFeed:
    """Feeds as the log of a memory ledger tells them."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        #: When False, nothing can be read.
        self.is_available = True
        #: How many of the oldest events of every account were dropped.
        self.dropped_count = 0

    async def after(
        self, account_id: UUID, sequence: int, names: Sequence[str] | None, limit: int
    ) -> FeedSlice:
        """Return what follows a sequence; raises EventsNoLongerKept when that was dropped."""
        if not self.is_available:
            msg = "The database is away."
            raise ReadsUnavailable(msg)
        owned = self._ledger.streams[WebhookEndpoint] | self._ledger.streams[Campaign]
        owners = {each: stream[0].account_id for each, stream in owned.items()}
        items = items_of(self._ledger.log, Known(owners=owners))
        fed = [one for one in number(items, {}) if one.item.account_id == account_id]
        if sequence < min(self.dropped_count, len(fed)):
            raise EventsNoLongerKept(min(self.dropped_count, len(fed)) + 1)
        found = [one for one in fed[sequence:] if names is None or one.item.name in names][:limit]
        next_after = found[-1].sequence if len(found) == limit else max(sequence, len(fed))
        return FeedSlice([one.payload for one in found], next_after, next_after < len(fed))
