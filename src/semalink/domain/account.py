"""An account: who calls the API, whose credits pay, and its keys, senders and route."""

from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from semalink.domain.cause import Cause
from semalink.domain.errors import ApiKeyNotFound


class Kind(StrEnum):
    """What sort of account it is."""

    DIRECT = "direct"
    AGENT = "agent"
    CUSTOMER = "customer"
    #: The platform itself: its keys are the operators'.
    PLATFORM = "platform"


class Tier(StrEnum):
    """The service level, which sets the rate limits."""

    STARTER = "starter"
    GROWTH = "growth"
    ENTERPRISE = "enterprise"


class Account(Aggregate):
    """Configuration that auditors may ask about, so all of it is events."""

    TOPIC = "account"

    name: str
    kind: Kind
    tier: Tier
    billing_account_id: UUID
    #: Ids of the keys that still work.
    live_keys: set[UUID]
    senders: set[str]
    preferred_aggregator: str | None = None

    def __init__(self) -> None:
        """Start empty: the first event stands the account up."""

    class Event(Aggregate.Event):
        """A change of configuration: who made it, in which request."""

        actor: str
        request_id: str

    class Created(Event, Aggregate.Created):
        """The account was opened."""

        TOPIC = "account.created.1"
        name: str
        kind: str
        tier: str
        billing_account_id: UUID

        def apply(self, account: "Account") -> None:
            """Stand the account up."""
            account.name = self.name
            account.kind = Kind(self.kind)
            account.tier = Tier(self.tier)
            account.billing_account_id = self.billing_account_id
            account.live_keys = set()
            account.senders = set()

    class ApiKeyIssued(Event):
        """A key was made; only its keyed hash is known here."""

        TOPIC = "account.api_key_issued.1"
        api_key_id: UUID
        name: str
        scopes: list[str]
        mode: str
        #: HMAC-SHA-256 of the key under the platform's pepper, in hexadecimal.
        key_hash: str
        #: The last four characters, so that people can tell keys apart.
        last_four: str

        def apply(self, account: "Account") -> None:
            """Let the key work."""
            account.live_keys.add(self.api_key_id)

    class ApiKeyRevoked(Event):
        """A key works no more."""

        TOPIC = "account.api_key_revoked.1"
        api_key_id: UUID

        def apply(self, account: "Account") -> None:
            """Stop the key."""
            account.live_keys.discard(self.api_key_id)

    class SenderApproved(Event):
        """The account may send under this sender id."""

        TOPIC = "account.sender_approved.1"
        sender: str

        def apply(self, account: "Account") -> None:
            """Add the sender."""
            account.senders.add(self.sender)

    class RoutePreferred(Event):
        """The account's messages try this aggregator first; None: the platform's order."""

        TOPIC = "account.route_preferred.1"
        aggregator: str | None

        def apply(self, account: "Account") -> None:
            """Prefer the route."""
            account.preferred_aggregator = self.aggregator

    @classmethod
    def open(cls, account_id: UUID, name: str, kind: Kind, tier: Tier, cause: Cause) -> Self:
        """Open an account that pays for itself."""
        return cls._create(
            cls.Created,
            id=account_id,
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            name=name,
            kind=str(kind),
            tier=str(tier),
            billing_account_id=account_id,
        )

    def issue_key(  # noqa: PLR0913 - what a key is made of
        self,
        api_key_id: UUID,
        cause: Cause,
        *,
        name: str,
        scopes: list[str],
        mode: str,
        key_hash: str,
        last_four: str,
    ) -> None:
        """Let a new key speak for the account; issuing it twice changes nothing."""
        if api_key_id in self.live_keys:
            return
        self._add(
            self.ApiKeyIssued,
            cause,
            api_key_id=api_key_id,
            name=name,
            scopes=scopes,
            mode=mode,
            key_hash=key_hash,
            last_four=last_four,
        )

    def revoke_key(self, api_key_id: UUID, cause: Cause) -> None:
        """Stop a key for good."""
        if api_key_id not in self.live_keys:
            raise ApiKeyNotFound
        self._add(self.ApiKeyRevoked, cause, api_key_id=api_key_id)

    def approve_sender(self, sender: str, cause: Cause) -> None:
        """Let the account send under a sender id; approving twice changes nothing."""
        if sender not in self.senders:
            self._add(self.SenderApproved, cause, sender=sender)

    def prefer_route(self, aggregator: str | None, cause: Cause) -> None:
        """Choose the aggregator that is tried first; choosing it twice changes nothing."""
        if aggregator != self.preferred_aggregator:
            self._add(self.RoutePreferred, cause, aggregator=aggregator)

    def _add(self, change: type[Event], cause: Cause, **facts: Any) -> None:
        self.trigger_event(
            change, timestamp=cause.at, actor=cause.actor, request_id=cause.request_id, **facts
        )
