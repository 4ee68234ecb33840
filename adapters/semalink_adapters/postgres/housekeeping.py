"""What must be done now and then: partitions ahead of time, and rows that served their time."""

from datetime import datetime, timedelta
from typing import Any

import psycopg

from semalink.application.accounts import PAYMENT_SCOPE
from semalink_adapters.postgres import partitions

#: How long a repeated idempotency key is answered as before.
KEYS_KEPT = timedelta(days=7)

#: How long a message that ended as unknown is matched to late reports that name no reference.
CONCLUDED_KEPT = timedelta(days=7)

# Payment references are kept for ever: a payment is never credited twice.
_DELETE_OLD_KEYS = """
DELETE FROM idempotency_keys WHERE (scope, key) IN (
    SELECT scope, key FROM idempotency_keys
    WHERE stored_at < %s AND scope <> %s LIMIT %s
)"""

# A late report is matched by its recipient only while this row is there.
_DELETE_CONCLUDED = """
DELETE FROM pending_submissions
WHERE state = 'unknown' AND due_at IS NULL AND queued_at < %s"""

_CHUNK = 5_000


def keep_house(database_url: str, now: datetime) -> tuple[list[str], int]:
    """Make partitions and drop old keys; return the new partitions and the number of keys."""
    with psycopg.connect(database_url, autocommit=True, connect_timeout=2) as connection:
        made = partitions.ensure(connection, now)
        connection.execute(_DELETE_CONCLUDED, (now - CONCLUDED_KEPT,))
        return made, _drop_old_keys(connection, now - KEYS_KEPT)


def _drop_old_keys(connection: psycopg.Connection[Any], before: datetime) -> int:
    dropped = 0
    while True:
        # In chunks, each a transaction of its own, so that no reader of the logs is held back.
        cursor = connection.execute(_DELETE_OLD_KEYS, (before, PAYMENT_SCOPE, _CHUNK))
        dropped += cursor.rowcount
        if cursor.rowcount < _CHUNK:
            return dropped
