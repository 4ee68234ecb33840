"""A customer's endpoint for webhooks: where events go, which ones, and what they are signed by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from semalink.domain.cause import Cause
from semalink.domain.errors import WebhookEndpointNotFound
from semalink.domain.event_types import matches

#: How many secrets that were replaced may still be valid beside the newest of a kind.
OLD_SECRETS_MAX = 5
OLD_SECRETS_KEPT_DEFAULT = timedelta(hours=24)
OLD_SECRETS_KEPT_MAX = timedelta(days=7)

RATE_PER_SECOND_DEFAULT = 50
CONCURRENCY_DEFAULT = 4


class EndpointState(StrEnum):
    """Whether events are sent to it."""

    ENABLED = "enabled"
    #: Deliveries are made and held.
    PAUSED = "paused"
    #: Deliveries are held as well; what failed so long may have been given up.
    DISABLED = "disabled"
    REMOVED = "removed"


class DisabledReason(StrEnum):
    """Why nothing is sent any more."""

    #: The endpoint answered 410.
    GONE = "gone"
    #: The endpoint asked for it in a header.
    ASKED = "asked"
    #: It failed for days.
    FAILING = "failing"
    BY_OWNER = "by_owner"


class SecretKind(StrEnum):
    """What a secret signs: the signature schemes of Standard Webhooks."""

    #: HMAC-SHA256 with 32 random bytes.
    V1 = "v1"
    #: Ed25519; the secret is the 32 bytes of the seed.
    V1A = "v1a"


@dataclass(frozen=True, slots=True)
class EndpointTerms:
    """What the owner chooses."""

    url: str
    #: Patterns of event names.
    event_types: tuple[str, ...]
    description: str = ""
    rate_per_second: int = RATE_PER_SECOND_DEFAULT
    concurrency: int = CONCURRENCY_DEFAULT


@dataclass(frozen=True, slots=True)
class Secret:
    """What is told of a secret; the secret itself is nowhere in the log."""

    secret_id: UUID
    kind: SecretKind
    #: The first 16 hexadecimal digits of its SHA-256, to tell secrets apart.
    fingerprint: str
    #: Of a key pair, in hexadecimal.
    public_key: str | None = None
    #: From when on it signs nothing; None for the newest of its kind.
    expires_at: datetime | None = None


class WebhookEndpoint(Aggregate):
    """Configuration that auditors may ask about, so all of it is events."""

    TOPIC = "webhook_endpoint"

    account_id: UUID
    terms: EndpointTerms
    state: EndpointState
    #: By id, oldest first.
    secrets: Mapping[UUID, Secret]
    disabled_reason: DisabledReason | None = None
    #: Per cent of the time to being disabled of which the owner was warned since the last success.
    warned_percent: int = 0

    def __init__(self) -> None:
        """Start empty: the first event stands the endpoint up."""

    class Event(Aggregate.Event):
        """A change of an endpoint: who made it, in which request."""

        actor: str
        request_id: str

    class Created(Event, Aggregate.Created):
        """The endpoint was registered; it has no secret yet."""

        TOPIC = "webhook_endpoint.created.1"
        account_id: UUID
        url: str
        event_types: list[str]
        description: str
        rate_per_second: int
        concurrency: int

        def apply(self, endpoint: "WebhookEndpoint") -> None:
            """Stand the endpoint up."""
            endpoint.account_id = self.account_id
            endpoint.terms = _terms_of(self)
            endpoint.state = EndpointState.ENABLED
            endpoint.secrets = {}

    class Changed(Event):
        """The owner chose other terms; all of them are repeated."""

        TOPIC = "webhook_endpoint.changed.1"
        url: str
        event_types: list[str]
        description: str
        rate_per_second: int
        concurrency: int

        def apply(self, endpoint: "WebhookEndpoint") -> None:
            """Go by them from now on."""
            endpoint.terms = _terms_of(self)

    class Paused(Event):
        """Deliveries are held from now on."""

        TOPIC = "webhook_endpoint.paused.1"
        reason: str

        def apply(self, endpoint: "WebhookEndpoint") -> None:
            """Hold deliveries."""
            endpoint.state = EndpointState.PAUSED

    class Resumed(Event):
        """What was held is sent from now on."""

        TOPIC = "webhook_endpoint.resumed.1"

        def apply(self, endpoint: "WebhookEndpoint") -> None:
            """Send again."""
            endpoint.state = EndpointState.ENABLED

    class Disabled(Event):
        """Nothing is sent any more, until the owner enables the endpoint."""

        TOPIC = "webhook_endpoint.disabled.1"
        reason: str

        def apply(self, endpoint: "WebhookEndpoint") -> None:
            """Send nothing."""
            endpoint.state = EndpointState.DISABLED
            endpoint.disabled_reason = DisabledReason(self.reason)

    class Enabled(Event):
        """The endpoint works again after it was disabled."""

        TOPIC = "webhook_endpoint.enabled.1"

        def apply(self, endpoint: "WebhookEndpoint") -> None:
            """Send again, and forget what was wrong."""
            endpoint.state = EndpointState.ENABLED
            endpoint.disabled_reason = None
            endpoint.warned_percent = 0

    class SecretAdded(Event):
        """A secret signs from now on, before the older ones."""

        TOPIC = "webhook_endpoint.secret_added.1"
        secret_id: UUID
        kind: str
        fingerprint: str
        public_key: str | None

        def apply(self, endpoint: "WebhookEndpoint") -> None:
            """Sign by it."""
            added = Secret(self.secret_id, SecretKind(self.kind), self.fingerprint, self.public_key)
            endpoint.secrets = {**endpoint.secrets, self.secret_id: added}

    class SecretRetired(Event):
        """A secret that was replaced signs until then and no longer."""

        TOPIC = "webhook_endpoint.secret_retired.1"
        secret_id: UUID
        expires_at: datetime

        def apply(self, endpoint: "WebhookEndpoint") -> None:
            """Sign by it until then."""
            retired = replace(endpoint.secrets[self.secret_id], expires_at=self.expires_at)
            endpoint.secrets = {**endpoint.secrets, self.secret_id: retired}

    class Warned(Event):
        """The owner was told how near the endpoint is to being disabled; 0 takes it back."""

        TOPIC = "webhook_endpoint.warned.1"
        percent: int

        def apply(self, endpoint: "WebhookEndpoint") -> None:
            """Remember it, so that nobody is told twice."""
            endpoint.warned_percent = self.percent

    class Removed(Event):
        """The owner took the endpoint away for good."""

        TOPIC = "webhook_endpoint.removed.1"

        def apply(self, endpoint: "WebhookEndpoint") -> None:
            """End it."""
            endpoint.state = EndpointState.REMOVED

    @classmethod
    def register(
        cls, endpoint_id: UUID, account_id: UUID, terms: EndpointTerms, cause: Cause
    ) -> Self:
        """Register an endpoint, enabled; add a secret next."""
        return cls._create(
            cls.Created,
            id=endpoint_id,
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            account_id=account_id,
            **_facts_of(terms),
        )

    @property
    def is_removed(self) -> bool:
        """Whether it was taken away."""
        return self.state is EndpointState.REMOVED

    def wants(self, name: str) -> bool:
        """Tell whether it asked for events of this name."""
        return any(matches(pattern, name) for pattern in self.terms.event_types)

    def live_secrets(self, at: datetime) -> Sequence[Secret]:
        """Return the secrets that sign at a time, newest first."""
        return [
            secret
            for secret in reversed(list(self.secrets.values()))
            if secret.expires_at is None or secret.expires_at > at
        ]

    def change(self, terms: EndpointTerms, cause: Cause) -> None:
        """Go by other terms; the same ones change nothing."""
        self.check_present()
        if terms != self.terms:
            self._add(self.Changed, cause, **_facts_of(terms))

    def pause(self, reason: str, cause: Cause) -> None:
        """Hold deliveries; one that is paused or disabled holds them already."""
        self.check_present()
        if self.state is EndpointState.ENABLED:
            self._add(self.Paused, cause, reason=reason)

    def resume(self, cause: Cause) -> None:
        """Send what was held, also after the endpoint was disabled."""
        self.check_present()
        if self.state is EndpointState.PAUSED:
            self._add(self.Resumed, cause)
        elif self.state is EndpointState.DISABLED:
            self._add(self.Enabled, cause)

    def disable(self, reason: DisabledReason, cause: Cause) -> None:
        """Send nothing until the owner resumes it; nothing changes where nothing is sent."""
        if self.state in (EndpointState.ENABLED, EndpointState.PAUSED):
            self._add(self.Disabled, cause, reason=reason.value)

    def add_secret(self, secret: Secret, cause: Cause, *, old_expires_at: datetime) -> None:
        """Sign by a new secret; older ones of its kind until then, and only the newest few."""
        self.check_present()
        assert cause.at <= old_expires_at <= cause.at + OLD_SECRETS_KEPT_MAX, "the edge bounds it"
        if secret.secret_id in self.secrets:
            return
        older = [one for one in self.live_secrets(cause.at) if one.kind is secret.kind]
        self._add(
            self.SecretAdded,
            cause,
            secret_id=secret.secret_id,
            kind=secret.kind.value,
            fingerprint=secret.fingerprint,
            public_key=secret.public_key,
        )
        for number, one in enumerate(older, 1):
            expires_at = old_expires_at if number <= OLD_SECRETS_MAX else cause.at
            if one.expires_at is None or expires_at < one.expires_at:
                self._add(self.SecretRetired, cause, secret_id=one.secret_id, expires_at=expires_at)

    def warn(self, percent: int, cause: Cause) -> None:
        """Note that the owner is told how near the endpoint is to being disabled; 0 takes it back.

        Nothing changes where the owner was told as much before.
        """
        assert 0 <= percent < 100, "at a hundred it is disabled"
        is_news = percent > self.warned_percent or (percent == 0 and self.warned_percent > 0)
        if is_news and not self.is_removed:
            self._add(self.Warned, cause, percent=percent)

    def remove(self, cause: Cause) -> None:
        """Take the endpoint away for good; what waits for it is not sent."""
        self.check_present()
        self._add(self.Removed, cause)

    def check_present(self) -> None:
        """Refuse what is asked of an endpoint that was removed."""
        if self.is_removed:
            raise WebhookEndpointNotFound

    def _add(self, change: type[Event], cause: Cause, **facts: Any) -> None:
        self.trigger_event(
            change, timestamp=cause.at, actor=cause.actor, request_id=cause.request_id, **facts
        )


def _facts_of(terms: EndpointTerms) -> dict[str, Any]:
    return {
        "url": terms.url,
        "event_types": list(terms.event_types),
        "description": terms.description,
        "rate_per_second": terms.rate_per_second,
        "concurrency": terms.concurrency,
    }


def _terms_of(event: WebhookEndpoint.Created | WebhookEndpoint.Changed) -> EndpointTerms:
    return EndpointTerms(
        event.url,
        tuple(event.event_types),
        event.description,
        event.rate_per_second,
        event.concurrency,
    )
