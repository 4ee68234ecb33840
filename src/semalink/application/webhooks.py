"""Endpoints of webhooks: registered, changed, paused, given new secrets, removed."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum
from typing import Any, ClassVar, Protocol
from uuid import UUID

import msgspec

from semalink.application.account_commands import AboutAccount
from semalink.application.ledger import Books, Idempotency, Needs, PlainCommand
from semalink.domain.cause import Cause
from semalink.domain.errors import (
    TooManyWebhookEndpoints,
    UnknownEventType,
    WebhookEndpointNotFound,
)
from semalink.domain.event_types import is_known
from semalink.domain.webhook_endpoint import (
    EndpointTerms,
    Secret,
    SecretKind,
    WebhookEndpoint,
)

ENDPOINTS_MAX = 20


@dataclass(frozen=True, slots=True)
class MadeSecret:
    """A secret that was just made: what is told of it, what is stored, what its owner sees once."""

    secret: Secret
    sealed: bytes = field(repr=False)
    #: What the owner verifies with: the secret of ``v1``, the public key of ``v1a``.
    shown: str = field(repr=False)


class SecretMaker(Protocol):
    """Makes random secrets and seals them; at the edge, as commands are pure."""

    def make(self, secret_id: UUID, kind: SecretKind) -> MadeSecret:
        """Return a new secret."""
        ...


@dataclass(frozen=True, slots=True)
class TermsChange:
    """What of the terms is to be other; None leaves it."""

    url: str | None = None
    event_types: tuple[str, ...] | None = None
    description: str | None = None
    rate_per_second: int | None = None
    concurrency: int | None = None

    def applied_to(self, terms: EndpointTerms) -> EndpointTerms:
        """Return the terms with what is to be other."""
        names = TermsChange.__slots__
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return replace(terms, **given)


def check_event_types(patterns: tuple[str, ...]) -> None:
    """Refuse patterns that choose nothing; raises UnknownEventType."""
    for place, pattern in enumerate(patterns):
        if not is_known(pattern):
            raise UnknownEventType(place)


@dataclass(frozen=True, slots=True)
class AnswersId:
    """What commands share whose answer is an id, kept under an idempotency key."""

    weight: ClassVar[int] = 1

    @staticmethod
    def encode(value: Any) -> bytes:
        """Write the id down; never a secret."""
        return msgspec.json.encode(value)

    @staticmethod
    def decode(stored: bytes) -> UUID:
        """Read the id back."""
        return msgspec.json.decode(stored, type=UUID)


@dataclass(frozen=True, slots=True)
class RegisterEndpoint(AboutAccount, AnswersId):
    """Register an endpoint with its first secrets."""

    endpoint_id: UUID
    account_id: UUID
    terms: EndpointTerms
    secrets: tuple[MadeSecret, ...]
    #: How many the account has already, as whoever asks has counted.
    endpoint_count: int
    cause: Cause
    idempotency: Idempotency | None = None

    def needs(self, needs: Needs) -> None:
        """Nothing: the endpoint is new."""

    def decide(self, books: Books) -> UUID:
        """Register it; raises UnknownEventType, TooManyWebhookEndpoints."""
        check_event_types(self.terms.event_types)
        if self.endpoint_count >= ENDPOINTS_MAX:
            raise TooManyWebhookEndpoints(ENDPOINTS_MAX)
        endpoint = WebhookEndpoint.register(
            self.endpoint_id, self.account_id, self.terms, self.cause
        )
        for made in self.secrets:
            books.sealed_secrets[made.secret.secret_id] = made.sealed
            endpoint.add_secret(made.secret, self.cause, old_expires_at=self.cause.at)
        books.add(endpoint)
        return self.endpoint_id


@dataclass(frozen=True, slots=True)
class RotateSecret(AboutAccount, AnswersId):
    """Sign by a new secret, and by the older ones of its kind for a while."""

    endpoint_id: UUID
    account_id: UUID
    made: MadeSecret
    #: How long the older ones stay valid.
    old_kept: timedelta
    cause: Cause
    idempotency: Idempotency | None = None

    def needs(self, needs: Needs) -> None:
        """The endpoint."""
        needs.settings.add(self.endpoint_id)

    def decide(self, books: Books) -> UUID:
        """Add it; raises WebhookEndpointNotFound."""
        endpoint = owned_endpoint(books, self.endpoint_id, self.account_id)
        secret = self.made.secret
        books.sealed_secrets[secret.secret_id] = self.made.sealed
        endpoint.add_secret(secret, self.cause, old_expires_at=self.cause.at + self.old_kept)
        return secret.secret_id


@dataclass(frozen=True, slots=True)
class ChangeEndpoint(AboutAccount, PlainCommand):
    """Choose other terms for an endpoint."""

    endpoint_id: UUID
    account_id: UUID
    change: TermsChange
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The endpoint."""
        needs.settings.add(self.endpoint_id)

    def decide(self, books: Books) -> None:
        """Change it; raises WebhookEndpointNotFound, UnknownEventType."""
        endpoint = owned_endpoint(books, self.endpoint_id, self.account_id)
        terms = self.change.applied_to(endpoint.terms)
        check_event_types(terms.event_types)
        endpoint.change(terms, self.cause)


class EndpointStep(Enum):
    """What an owner may do to an endpoint."""

    PAUSE = "pause"
    RESUME = "resume"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class MoveEndpoint(AboutAccount, PlainCommand):
    """Pause, resume or remove an endpoint."""

    endpoint_id: UUID
    account_id: UUID
    step: EndpointStep
    cause: Cause
    #: Why it is paused.
    reason: str = ""

    def needs(self, needs: Needs) -> None:
        """The endpoint."""
        needs.settings.add(self.endpoint_id)

    def decide(self, books: Books) -> None:
        """Take the step; raises WebhookEndpointNotFound."""
        endpoint = owned_endpoint(books, self.endpoint_id, self.account_id)
        if self.step is EndpointStep.PAUSE:
            endpoint.pause(self.reason, self.cause)
        elif self.step is EndpointStep.RESUME:
            endpoint.resume(self.cause)
        else:
            endpoint.remove(self.cause)


def owned_endpoint(books: Books, endpoint_id: UUID, account_id: UUID) -> WebhookEndpoint:
    """Return an endpoint of an account; raises WebhookEndpointNotFound, also once removed."""
    endpoint = books.find(WebhookEndpoint, endpoint_id)
    if endpoint is None or endpoint.account_id != account_id:
        raise WebhookEndpointNotFound
    endpoint.check_present()
    return endpoint
