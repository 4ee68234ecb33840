"""Reads of endpoints, of the keys that verify, and of feeds."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from semalink.application.endpoint_reading import EndpointView, SecretView, VerificationKey
from semalink.application.feed import FeedSlice
from semalink.domain.errors import EventsNoLongerKept
from semalink.domain.ids import ACCOUNT_PREFIX, ENDPOINT_PREFIX, SECRET_PREFIX, format_id
from semalink_adapters.postgres.queries import Queries

#: A piece of a feed that is asked for by type looks at so many events at most.
SCANNED_MAX = 10_000

_ENDPOINT = """
SELECT endpoint_id, account_id, url, event_types, description, state, disabled_reason,
       rate_per_second, concurrency, created_at, changed_at
FROM webhook_endpoints WHERE state <> 'removed'"""

SELECT_ENDPOINT = f"""{_ENDPOINT} AND endpoint_id = %(endpoint_id)s
    AND (%(account_id)s::uuid IS NULL OR account_id = %(account_id)s)"""

_PAGE = " AND (%(before)s::uuid IS NULL OR endpoint_id < %(before)s)"
_ORDER = " ORDER BY endpoint_id DESC LIMIT %(limit)s"
SELECT_ENDPOINTS = f"{_ENDPOINT} AND account_id = %(account_id)s{_PAGE}{_ORDER}"
SELECT_ALL_ENDPOINTS = f"{_ENDPOINT}{_PAGE}{_ORDER}"

SELECT_SECRETS = """
SELECT endpoint_id, secret_id, kind, fingerprint, created_at, expires_at
FROM webhook_secrets
WHERE endpoint_id = ANY(%s) AND (expires_at IS NULL OR expires_at > now())
ORDER BY secret_id DESC"""

COUNT_ENDPOINTS = """
SELECT count(*) FROM webhook_endpoints WHERE account_id = %s AND state <> 'removed'"""

SELECT_KEYS = """
SELECT secret_id, public_key, created_at, expires_at FROM webhook_secrets
WHERE endpoint_id = %s AND kind = 'v1a' AND (expires_at IS NULL OR expires_at > now())
ORDER BY secret_id DESC"""

# What was removed longer ago waits no more, as nothing is kept so long.
SELECT_IN_VAIN = """
SELECT d.delivery_id
FROM webhook_endpoints AS e JOIN webhook_deliveries AS d ON d.endpoint_id = e.endpoint_id
WHERE e.state = 'removed' AND e.changed_at > now() - interval '40 days' AND d.state = 'waiting'
LIMIT %s"""

# One statement is one snapshot: where the feed ends and what is in it belong together.
SELECT_FEED = """
WITH feed AS (
    SELECT last_sequence, (
        SELECT e.sequence FROM account_events AS e WHERE e.account_id = f.account_id
        ORDER BY e.sequence LIMIT 1) AS oldest
    FROM account_feeds AS f WHERE f.account_id = %(account_id)s
)
SELECT last_sequence, oldest, NULL::bigint, NULL::bytea FROM feed
UNION ALL (
    SELECT NULL, NULL, sequence, payload FROM account_events
    WHERE account_id = %(account_id)s AND sequence > %(after)s AND sequence <= %(until)s
      AND (%(names)s::text[] IS NULL OR name = ANY(%(names)s))
    ORDER BY sequence LIMIT %(limit)s
)"""


class PostgresEndpointReads(Queries):
    """Endpoints over a pool; raises ReadsUnavailable while the database is away."""

    async def endpoint(self, endpoint_id: UUID, account_id: UUID | None) -> EndpointView | None:
        """Return one endpoint; None for another account's, and once it was removed."""
        asked = {"endpoint_id": endpoint_id, "account_id": account_id}
        views = await self._views(await self._all(SELECT_ENDPOINT, asked))
        return views[0] if views else None

    async def endpoints(
        self, account_id: UUID | None, *, before: UUID | None, limit: int
    ) -> Sequence[EndpointView]:
        """Return endpoints of an account, or of all, newest first, below the id ``before``."""
        asked = {"account_id": account_id, "before": before, "limit": limit}
        statement = SELECT_ALL_ENDPOINTS if account_id is None else SELECT_ENDPOINTS
        return await self._views(await self._all(statement, asked))

    async def endpoint_count(self, account_id: UUID) -> int:
        """Return how many endpoints an account has."""
        [(count,)] = await self._all(COUNT_ENDPOINTS, (account_id,))
        return int(count)

    async def verification_keys(self, endpoint_id: UUID) -> Sequence[VerificationKey]:
        """Return the public keys of an endpoint that still sign, newest first."""
        return [
            VerificationKey(secret_id, public_key, _utc(created_at), expires_at)
            for secret_id, public_key, created_at, expires_at in await self._all(
                SELECT_KEYS, (endpoint_id,)
            )
        ]

    async def waiting_in_vain(self, limit: int) -> Sequence[UUID]:
        """Return deliveries that wait for an endpoint that was removed."""
        return [row[0] for row in await self._all(SELECT_IN_VAIN, (limit,))]

    async def _views(self, rows: Sequence[Any]) -> list[EndpointView]:
        secrets: dict[UUID, list[SecretView]] = {row[0]: [] for row in rows}
        if rows:
            for endpoint_id, *facts in await self._all(SELECT_SECRETS, (list(secrets),)):
                secrets[endpoint_id].append(_secret(facts))
        return [_view(row, secrets[row[0]]) for row in rows]


class PostgresFeedReads(Queries):
    """Feeds over a pool; raises ReadsUnavailable while the database is away."""

    async def after(
        self, account_id: UUID, sequence: int, names: Sequence[str] | None, limit: int
    ) -> FeedSlice:
        """Return what follows a sequence; raises EventsNoLongerKept when that was dropped."""
        until = sequence + (limit if names is None else SCANNED_MAX)
        asked = {
            "account_id": account_id,
            "after": sequence,
            "until": until,
            "names": None if names is None else list(names),
            "limit": limit,
        }
        rows = await self._all(SELECT_FEED, asked)
        if not rows:
            return FeedSlice((), sequence, has_more=False)
        [(last, oldest, _, _)] = [row for row in rows if row[2] is None]
        found = [(row[2], row[3]) for row in rows if row[2] is not None]
        first_kept = last + 1 if oldest is None else oldest
        if sequence + 1 < first_kept:
            raise EventsNoLongerKept(first_kept)
        is_full = len(found) == limit
        next_after = found[-1][0] if is_full else max(sequence, min(until, last))
        return FeedSlice([payload for _, payload in found], next_after, next_after < last)


def _view(row: Any, secrets: list[SecretView]) -> EndpointView:
    endpoint_id, account_id, url, event_types, description, state, reason, *rest = row
    rate_per_second, concurrency, created_at, changed_at = rest
    return EndpointView(
        id=format_id(ENDPOINT_PREFIX, endpoint_id),
        account_id=format_id(ACCOUNT_PREFIX, account_id),
        url=url,
        event_types=event_types,
        description=description,
        state=state,
        disabled_reason=reason,
        rate_per_second=rate_per_second,
        concurrency=concurrency,
        secrets=secrets,
        created_at=_utc(created_at),
        changed_at=_utc(changed_at),
    )


def _secret(facts: Sequence[Any]) -> SecretView:
    secret_id, kind, fingerprint, created_at, expires_at = facts
    return SecretView(
        format_id(SECRET_PREFIX, secret_id),
        kind,
        fingerprint,
        _utc(created_at),
        None if expires_at is None else _utc(expires_at),
    )


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
