"""What is read of endpoints of webhooks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec


class SecretView(msgspec.Struct, frozen=True):
    """What is told of a secret after it was shown."""

    id: str
    #: "v1": HMAC-SHA256; "v1a": Ed25519.
    kind: str
    #: Tells secrets apart without telling them.
    fingerprint: str
    created_at: datetime
    #: Until when it still signs; null for the newest of its kind.
    expires_at: datetime | None


class EndpointView(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint, and which events are sent to it."""

    id: str
    account_id: str
    url: str
    event_types: list[str]
    description: str
    #: "enabled", "paused" or "disabled".
    state: str
    #: Why it is disabled: gone, asked, failing or by_owner.
    disabled_reason: str | None
    rate_per_second: int
    concurrency: int
    #: Those that still sign, newest first.
    secrets: list[SecretView]
    created_at: datetime
    changed_at: datetime


class VerificationKey(msgspec.Struct, frozen=True):
    """A public key that endpoints of a kind ``v1a`` verify with."""

    secret_id: UUID
    public_key: bytes
    created_at: datetime
    expires_at: datetime | None


class EndpointReads(Protocol):
    """Reads; each method raises ReadsUnavailable while the database is away."""

    async def endpoint(self, endpoint_id: UUID, account_id: UUID | None) -> EndpointView | None:
        """Return one endpoint; None for another account's, and once it was removed."""
        ...

    async def endpoints(
        self, account_id: UUID | None, *, before: UUID | None, limit: int
    ) -> Sequence[EndpointView]:
        """Return endpoints of an account, or of all, newest first, below the id ``before``."""
        ...

    async def endpoint_count(self, account_id: UUID) -> int:
        """Return how many endpoints an account has."""
        ...

    async def verification_keys(self, endpoint_id: UUID) -> Sequence[VerificationKey]:
        """Return the public keys of an endpoint that still sign, newest first."""
        ...
