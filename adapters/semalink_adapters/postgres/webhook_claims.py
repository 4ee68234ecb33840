"""Who makes which attempt: claimed by the batch, put off, and the secrets to sign with."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from semalink.application.bus import NotReady
from semalink.application.webhook_dispatching import Ticket
from semalink.application.webhook_sending import Claimed

# A ticket that was used claims nothing. One whose endpoint is not sent to makes room for others.
CLAIM = """
WITH asked AS (
    SELECT * FROM unnest(%s::uuid[], %s::int[]) AS asked (delivery_id, attempt_no)
), held AS (
    UPDATE webhook_deliveries AS d SET state = 'waiting', issued_at = NULL
    FROM asked, webhook_endpoints AS e
    WHERE d.delivery_id = asked.delivery_id AND d.attempt_no = asked.attempt_no - 1
      AND d.state = 'issued' AND e.endpoint_id = d.endpoint_id AND e.state <> 'enabled'
), claimed AS (
    UPDATE webhook_deliveries AS d SET state = 'sending', lease_until = now() + %s::interval
    FROM asked, webhook_endpoints AS e
    WHERE d.delivery_id = asked.delivery_id AND d.attempt_no = asked.attempt_no - 1
      AND d.state = 'issued' AND e.endpoint_id = d.endpoint_id AND e.state = 'enabled'
    RETURNING d.delivery_id, d.attempt_no + 1 AS attempt_no, d.endpoint_id, d.event_id,
              d.account_id, d.event_sequence, d.payload, e.url, e.concurrency
)
SELECT c.delivery_id, c.attempt_no, c.endpoint_id, c.event_id, COALESCE(c.payload, event.payload),
       c.url, c.concurrency, c.account_id
FROM claimed AS c
LEFT JOIN LATERAL (
    SELECT f.payload FROM account_events AS f
    WHERE f.account_id = c.account_id AND f.sequence = c.event_sequence LIMIT 1
) AS event ON c.payload IS NULL"""

PUT_OFF = """
UPDATE webhook_deliveries
SET state = 'waiting', next_attempt_at = greatest(next_attempt_at, now() + %s::interval),
    issued_at = NULL, lease_until = NULL
FROM unnest(%s::uuid[], %s::int[]) AS asked (id, attempt_no)
WHERE delivery_id = asked.id AND webhook_deliveries.attempt_no = asked.attempt_no - 1
  AND state = 'sending'"""

SECRETS = """
SELECT s.endpoint_id, s.secret_id, s.kind, s.sealed, s.expires_at
FROM unnest(%s::uuid[]) AS asked (endpoint_id)
JOIN webhook_secrets AS s ON s.endpoint_id = asked.endpoint_id
WHERE s.expires_at IS NULL OR s.expires_at > now()
ORDER BY s.endpoint_id, s.secret_id DESC"""

_AWAY = (PoolTimeout, psycopg.OperationalError, psycopg.InterfaceError)


class StoredSecret(NamedTuple):
    """A secret as it is kept: sealed."""

    secret_id: UUID
    kind: str
    sealed: bytes
    expires_at: datetime | None


class PostgresClaims:
    """The claims of the workers."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def claim(self, tickets: Sequence[Ticket], lease: timedelta) -> Sequence[Claimed]:
        """Take those that are issued and in nobody's hands; raises NotReady."""
        columns = _columns([(one.delivery_id, one.attempt_no) for one in tickets])
        async with self._connection() as connection:
            cursor = await connection.execute(CLAIM, (*columns, lease), prepare=True, binary=True)
            return [Claimed(*row) for row in await cursor.fetchall()]

    async def put_off(self, claimed: Sequence[Claimed], seconds: float) -> None:
        """Make attempts due again that were not made; raises NotReady."""
        columns = _columns([(one.delivery_id, one.attempt_no) for one in claimed])
        async with self._connection() as connection:
            await connection.execute(PUT_OFF, (timedelta(seconds=seconds), *columns))

    async def secrets(self, endpoint_ids: Sequence[UUID]) -> Mapping[UUID, Sequence[StoredSecret]]:
        """Return the live secrets of endpoints, newest first; raises NotReady."""
        async with self._connection() as connection:
            cursor = await connection.execute(
                SECRETS, (list(endpoint_ids),), prepare=True, binary=True
            )
            rows = await cursor.fetchall()
        found: dict[UUID, list[StoredSecret]] = {}
        for endpoint_id, *secret in rows:
            found.setdefault(endpoint_id, []).append(StoredSecret(*secret))
        return found

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except _AWAY as away:
            msg = "The database is away."
            raise NotReady(msg) from away


def _columns(rows: Sequence[tuple[UUID, int]]) -> tuple[list[UUID], list[int]]:
    ids, numbers = zip(*rows, strict=True)
    return list(ids), list(numbers)
