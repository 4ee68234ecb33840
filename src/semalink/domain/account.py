"""An account: who calls the API, whose credits pay, and its keys, senders and route."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from semalink.domain.cause import Cause
from semalink.domain.errors import ApiKeyNotFound, NotAnAgent, NotEnterprise, NotPaidByAgent
from semalink.domain.limit import Limit


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
    #: Whose customer it is; None for accounts of our own.
    agent_id: UUID | None
    #: Micros a segment that an agent's customers pay, by "country" or "country/network".
    price_list: Mapping[str, int]
    #: Ids of the keys that still work.
    live_keys: set[UUID]
    senders: set[str]
    #: Limits of single keys, below the account's.
    key_limits: dict[UUID, Limit]
    preferred_aggregator: str | None = None
    #: The route that an operator chose, why, and until when.
    route_override: tuple[str | None, str, datetime | None] = (None, "", None)
    dedicated_route: str | None = None
    #: Micros that an agent lets this customer spend in a month; None for no cap.
    spending_cap_micros: int | None = None
    #: Final states after which a charge is given back; None for the platform's rule.
    refunded_on: tuple[str, ...] | None = None
    #: How fast it may send, where something else than its tier's limit was agreed on.
    agreed_limit: Limit | None = None
    #: Whether an operator must agree to each of its campaigns.
    campaigns_need_approval: bool = False

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
        agent_id: UUID | None = None

        def apply(self, account: "Account") -> None:
            """Stand the account up."""
            account.name = self.name
            account.kind = Kind(self.kind)
            account.tier = Tier(self.tier)
            account.billing_account_id = self.billing_account_id
            account.agent_id = self.agent_id
            account.price_list = {}
            account.live_keys = set()
            account.senders = set()
            account.key_limits = {}

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
            account.key_limits.pop(self.api_key_id, None)

    class CampaignApprovalRequired(Event):
        """Whether an operator must agree to its campaigns was set."""

        TOPIC = "account.campaign_approval_required.1"
        is_required: bool

        def apply(self, account: "Account") -> None:
            """Remember it."""
            account.campaigns_need_approval = self.is_required

    class SenderApproved(Event):
        """The account may send under this sender id; written before these had streams."""

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

    class RouteOverridden(Event):
        """An operator chose the route of the account's messages; None: health decides again."""

        TOPIC = "account.route_overridden.1"
        aggregator: str | None
        reason: str
        expires_at: datetime | None

        def apply(self, account: "Account") -> None:
            """Take it from now on."""
            account.route_override = self.aggregator, self.reason, self.expires_at

    class RouteDedicated(Event):
        """The account was given a route of its own; None: it shares the others' again."""

        TOPIC = "account.route_dedicated.1"
        aggregator: str | None
        reason: str

        def apply(self, account: "Account") -> None:
            """Take it first from now on."""
            account.dedicated_route = self.aggregator

    class SpendingCapSet(Event):
        """The agent bounded what its customer may spend in a month; None lifts the bound."""

        TOPIC = "account.spending_cap_set.1"
        cap_micros: int | None

        def apply(self, account: "Account") -> None:
            """Bound the spending."""
            account.spending_cap_micros = self.cap_micros

    class PriceListSet(Event):
        """The agent set what its customers pay; destinations not named cost what the agent pays."""

        TOPIC = "account.price_list_set.1"
        segment_micros: dict[str, int]

        def apply(self, account: "Account") -> None:
            """Price by it from now on."""
            account.price_list = self.segment_micros

    class RefundRuleSet(Event):
        """Which final states give a charge back; None: as the platform does."""

        TOPIC = "account.refund_rule_set.1"
        refunded_on: list[str] | None

        def apply(self, account: "Account") -> None:
            """Refund by it from now on."""
            account.refunded_on = None if self.refunded_on is None else tuple(self.refunded_on)

    class RateLimitSet(Event):
        """How fast the account may send was changed; without a rate, its tier says it."""

        TOPIC = "account.rate_limit_set.1"
        tier: str
        rate_per_second: int | None
        burst: int | None
        reason: str

        def apply(self, account: "Account") -> None:
            """Let it in as fast from now on."""
            account.tier = Tier(self.tier)
            account.agreed_limit = Limit.of(self.rate_per_second, self.burst)

    class ApiKeyLimited(Event):
        """How fast one key may send was changed; without a rate, as fast as its account."""

        TOPIC = "account.api_key_limited.1"
        api_key_id: UUID
        rate_per_second: int | None
        burst: int | None
        reason: str

        def apply(self, account: "Account") -> None:
            """Let the key in as fast from now on."""
            limit = Limit.of(self.rate_per_second, self.burst)
            account.key_limits.pop(self.api_key_id, None)
            if limit is not None:
                account.key_limits[self.api_key_id] = limit

    @classmethod
    def open(  # noqa: PLR0913 - what an account is
        cls,
        account_id: UUID,
        name: str,
        kind: Kind,
        tier: Tier,
        cause: Cause,
        *,
        agent_id: UUID | None = None,
        pays_itself: bool = True,
    ) -> Self:
        """Open an account that pays for itself, or that its agent pays for."""
        assert pays_itself or agent_id, "someone pays for every account"
        return cls._create(
            cls.Created,
            id=account_id,
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            name=name,
            kind=str(kind),
            tier=str(tier),
            billing_account_id=agent_id if agent_id and not pays_itself else account_id,
            agent_id=agent_id,
        )

    @property
    def pays_itself(self) -> bool:
        """Whether its own credits pay."""
        return self.billing_account_id == self.id

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

    def require_campaign_approval(self, cause: Cause, *, is_required: bool) -> None:
        """Say whether operators must agree to its campaigns; saying it twice changes nothing."""
        if is_required != self.campaigns_need_approval:
            self._add(self.CampaignApprovalRequired, cause, is_required=is_required)

    def prefer_route(self, aggregator: str | None, cause: Cause) -> None:
        """Choose the aggregator that is tried first; choosing it twice changes nothing."""
        if aggregator != self.preferred_aggregator:
            self._add(self.RoutePreferred, cause, aggregator=aggregator)

    def override_route(
        self, route: str | None, reason: str, expires_at: datetime | None, cause: Cause
    ) -> None:
        """Choose the route of the account's messages; choosing it twice changes nothing."""
        wanted = route, reason, expires_at
        if wanted != self.route_override and (route or self.route_override[0]):
            facts = {"aggregator": route, "reason": reason, "expires_at": expires_at}
            self._add(self.RouteOverridden, cause, **facts)

    def dedicate_route(self, route: str | None, reason: str, cause: Cause) -> None:
        """Give the account a route of its own; giving it twice changes nothing."""
        if route is not None and self.tier is not Tier.ENTERPRISE:
            raise NotEnterprise
        if route != self.dedicated_route:
            self._add(self.RouteDedicated, cause, aggregator=route, reason=reason)

    def set_spending_cap(self, cap_micros: int | None, cause: Cause) -> None:
        """Bound what the customer may spend of its agent's credits in a month."""
        if self.pays_itself:
            raise NotPaidByAgent
        if cap_micros != self.spending_cap_micros:
            self._add(self.SpendingCapSet, cause, cap_micros=cap_micros)

    def set_price_list(self, segment_micros: Mapping[str, int], cause: Cause) -> None:
        """Set what the agent's customers pay for a segment."""
        assert all(price > 0 for price in segment_micros.values()), "nothing is free"
        if self.kind is not Kind.AGENT:
            raise NotAnAgent
        if segment_micros != self.price_list:
            self._add(self.PriceListSet, cause, segment_micros=dict(segment_micros))

    def set_refund_rule(self, refunded_on: Sequence[str] | None, cause: Cause) -> None:
        """Choose which final states give a charge back."""
        wanted = None if refunded_on is None else tuple(sorted(set(refunded_on)))
        if wanted != self.refunded_on:
            stored = None if wanted is None else list(wanted)
            self._add(self.RefundRuleSet, cause, refunded_on=stored)

    def set_rate_limit(self, tier: Tier, agreed: Limit | None, reason: str, cause: Cause) -> None:
        """Set how fast the account may send: by its tier, or as agreed."""
        if (tier, agreed) != (self.tier, self.agreed_limit):
            facts = {"tier": str(tier), "reason": reason, **_as_facts(agreed)}
            self._add(self.RateLimitSet, cause, **facts)
        if tier is not Tier.ENTERPRISE:
            # A route of its own comes with the tier.
            self.dedicate_route(None, reason, cause)

    def set_key_rate_limit(
        self, api_key_id: UUID, limit: Limit | None, reason: str, cause: Cause
    ) -> None:
        """Set how fast one key may send; None: as fast as its account."""
        if api_key_id not in self.live_keys:
            raise ApiKeyNotFound
        if limit != self.key_limits.get(api_key_id):
            facts = {"api_key_id": api_key_id, "reason": reason, **_as_facts(limit)}
            self._add(self.ApiKeyLimited, cause, **facts)

    def _add(self, change: type[Event], cause: Cause, **facts: Any) -> None:
        self.trigger_event(
            change, timestamp=cause.at, actor=cause.actor, request_id=cause.request_id, **facts
        )


def _as_facts(limit: Limit | None) -> dict[str, int | None]:
    if limit is None:
        return {"rate_per_second": None, "burst": None}
    return {"rate_per_second": limit.rate_per_second, "burst": limit.burst}
