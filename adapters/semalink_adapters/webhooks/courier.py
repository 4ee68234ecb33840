"""One attempt at a webhook: opened secrets, signature, request, verdict."""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

import structlog
from opentelemetry.propagate import inject

from semalink.application.webhook_sending import Claimed, Outcome
from semalink.domain.webhook_delivery import Attempt
from semalink.domain.webhook_endpoint import DisabledReason
from semalink_adapters.webhooks.answers import judge, shown_body, shown_headers
from semalink_adapters.webhooks.guarded_client import USER_AGENT, Answer, GuardedClient
from semalink_adapters.webhooks.resolver import ASKING_FOR
from semalink_adapters.webhooks.sealing import SealBroken, Sealer
from semalink_adapters.webhooks.signing import SigningKey, signature_header

#: Secrets are looked up again after this, so that a rotation takes effect.
SECRETS_SECONDS = 2.0
#: Endpoints whose secrets are kept opened.
ENDPOINTS_MAX = 10_000


class SealedSecret(Protocol):
    """A secret as the database keeps it."""

    @property
    def secret_id(self) -> UUID:
        """Its id, to which it is bound."""
        ...

    @property
    def kind(self) -> str:
        """What it signs: "v1" or "v1a"."""
        ...

    @property
    def sealed(self) -> bytes:
        """What only the key of the installation opens."""
        ...

    @property
    def expires_at(self) -> datetime | None:
        """From when on it signs nothing."""
        ...


_log = structlog.get_logger(__name__)

#: Looks the secrets of several endpoints up, newest first.
SecretSource = Callable[[Sequence[UUID]], Awaitable[Mapping[UUID, Sequence[SealedSecret]]]]


class OpenedKey(NamedTuple):
    """A secret that signs."""

    secret_id: UUID
    key: SigningKey
    expires_at: datetime | None


class KeyRing:
    """The signing keys of endpoints, opened once and looked up anew every few moments."""

    def __init__(
        self, source: SecretSource, sealer: Sealer, endpoints_max: int = ENDPOINTS_MAX
    ) -> None:
        self._endpoints_max = endpoints_max
        self._source = source
        self._sealer = sealer
        self._opened: dict[UUID, OpenedKey] = {}
        self._rings: dict[UUID, tuple[float, Sequence[OpenedKey]]] = {}

    async def load(self, endpoint_ids: Sequence[UUID]) -> None:
        """Look up what is unknown or was looked up too long ago, in one question."""
        now = time.monotonic()
        stale = [
            each
            for each in dict.fromkeys(endpoint_ids)
            if now - self._rings.get(each, (-SECRETS_SECONDS, ()))[0] >= SECRETS_SECONDS
        ]
        if not stale:
            return
        found = await self._source(stale)
        for each in stale:
            # Taken out and put back, so that the one looked up longest ago is always the first.
            self._rings.pop(each, None)
            self._rings[each] = (now, [*self._open_all(found.get(each, ()))])
        while len(self._rings) > self._endpoints_max:
            _, ring = self._rings.pop(next(iter(self._rings)))
            for one in ring:
                self._opened.pop(one.secret_id, None)

    def keys_of(self, endpoint_id: UUID, at: datetime) -> Sequence[OpenedKey]:
        """Return the keys that sign now, newest first; load them before."""
        _, ring = self._rings.get(endpoint_id, (0.0, ()))
        return [one for one in ring if one.expires_at is None or one.expires_at > at]

    def _open_all(self, secrets: Sequence[SealedSecret]) -> Iterator[OpenedKey]:
        for secret in secrets:
            try:
                yield self._open(secret)
            except SealBroken:
                _log.exception("webhook_secret_not_opened", secret_id=secret.secret_id.hex)

    def _open(self, secret: SealedSecret) -> OpenedKey:
        known = self._opened.get(secret.secret_id)
        if known is None or known.expires_at != secret.expires_at:
            opened = self._sealer.unseal(secret.secret_id, secret.sealed)
            known = OpenedKey(secret.secret_id, SigningKey(secret.kind, opened), secret.expires_at)
            self._opened[secret.secret_id] = known
        return known


class SigningCourier:
    """Delivers over HTTP, signed with every key of the endpoint that is live."""

    def __init__(self, client: GuardedClient, keys: KeyRing, now: Callable[[], datetime]) -> None:
        self._client = client
        self._keys = keys
        self._now = now

    async def deliver(self, claimed: Claimed) -> Outcome | None:
        """Send once; whatever goes wrong is in the outcome. None when there is no key to sign."""
        assert claimed.payload is not None, "what has no payload is not delivered"
        sent_at = self._now()
        keys = self._keys.keys_of(claimed.endpoint_id, sent_at)
        if not keys:
            # Nobody could tell it from a forgery.
            return None
        timestamp = int(sent_at.timestamp())
        headers = {
            "content-type": "application/json",
            "user-agent": USER_AGENT,
            "webhook-id": claimed.event_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature_header(
                [one.key for one in keys], claimed.event_id, timestamp, claimed.payload
            ),
            "webhook-attempt": str(claimed.attempt_no),
        }
        # The trace that the attempt belongs to, if it is one of those that are kept.
        inject(headers)
        ASKING_FOR.set(claimed.account_id)
        started = time.perf_counter()
        answer = await self._client.post(claimed.url, claimed.payload, headers)
        duration_ms = round((time.perf_counter() - started) * 1_000)
        return _outcome(claimed, answer, duration_ms, [one.secret_id for one in keys], self._now())


def _outcome(
    claimed: Claimed, answer: Answer, duration_ms: int, secret_ids: list[UUID], now: datetime
) -> Outcome:
    verdict = judge(answer, now)
    body, encoding = shown_body(answer.body)
    attempt = Attempt(
        attempt_no=claimed.attempt_no,
        outcome="delivered" if verdict.is_delivered else "failed",
        url=claimed.url,
        status=answer.status,
        error_class=verdict.error_class,
        duration_ms=duration_ms,
        secret_ids=secret_ids,
        response_headers=shown_headers(answer.headers),
        response_body=body,
        response_body_encoding=encoding,
        body_sha256=answer.body_sha256,
    )
    return Outcome(
        attempt,
        retry_after_seconds=verdict.retry_after_seconds,
        aborts=verdict.aborts,
        disables=None if verdict.disables is None else DisabledReason(verdict.disables),
    )
