"""What must be done now and then: partitions ahead of time, and rows that served their time."""

from datetime import datetime, timedelta
from typing import Any, LiteralString

import psycopg

from semalink.application.accounts import PAYMENT_SCOPE
from semalink_adapters.postgres import append_only, partitions
from semalink_adapters.postgres.campaign_housekeeping import campaign_deletions
from semalink_adapters.postgres.contact_housekeeping import contact_deletions

#: How long a repeated idempotency key is answered as before.
KEYS_KEPT = timedelta(days=7)

#: How long a message that ended as unknown is matched to late reports that name no reference.
CONCLUDED_KEPT = timedelta(days=7)

#: How long a report waits on the shelf for its message.
SHELVED_KEPT = timedelta(days=7)

#: How long a report that names a provider's reference still finds its message.
REFERENCES_KEPT = timedelta(days=90)

#: How long a dead letter that was settled can still be looked at.
LETTERS_KEPT = timedelta(days=90)
#: How long it is known what happened on a route in each second, and in each hour.
ROUTE_SECONDS_KEPT = timedelta(hours=1)
ROUTE_HOURS_KEPT = timedelta(days=30)

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

# A report's id tells when it came.
_DELETE_SHELVED = """
DELETE FROM report_shelf WHERE (report_id, part) IN (
    SELECT report_id, part FROM report_shelf WHERE report_id < %s LIMIT %s
)"""

#: How long events can be read in feeds, and what became of a delivery in lists.
EVENTS_KEPT = timedelta(days=30)

# How each recovery ended stays with it.
_DELETE_RECOVERED = """
DELETE FROM recovery_items WHERE (recovery_id, delivery_id) IN (
    SELECT i.recovery_id, i.delivery_id
    FROM recoveries AS r JOIN recovery_items AS i ON i.recovery_id = r.recovery_id
    WHERE r.ended_at < %s LIMIT %s
)"""

# What became of them stays in their log.
_DELETE_DELIVERIES = """
DELETE FROM webhook_deliveries WHERE delivery_id IN (
    SELECT delivery_id FROM webhook_deliveries
    WHERE delivery_id < %s AND state IN ('delivered', 'failed', 'cancelled') LIMIT %s
)"""

#: How long a secret is kept that signs nothing any more; what is under way may still ask for it.
SECRETS_KEPT = timedelta(days=1)

_DELETE_SECRETS = """
DELETE FROM webhook_secrets WHERE secret_id IN (
    SELECT secret_id FROM webhook_secrets WHERE expires_at < %s LIMIT %s
)"""

_DELETE_SECRETS_OF_REMOVED = """
DELETE FROM webhook_secrets WHERE secret_id IN (
    SELECT s.secret_id
    FROM webhook_endpoints AS e JOIN webhook_secrets AS s ON s.endpoint_id = e.endpoint_id
    WHERE e.state = 'removed' AND e.changed_at < %s LIMIT %s
)"""

_DELETE_REFERENCES = """
DELETE FROM provider_references WHERE (aggregator, reference) IN (
    SELECT aggregator, reference FROM provider_references WHERE submitted_at < %s LIMIT %s
)"""

# What was decided stays in the log of settings; what it was about may hold a number.
_DELETE_LETTERS = """
DELETE FROM dead_letters WHERE dead_letter_id IN (
    SELECT dead_letter_id FROM dead_letters
    WHERE settled_at < %s AND state IN ('republished', 'discarded') LIMIT %s
)"""

# A stall shows within minutes, and operators see a day by the hour.
_DELETE_ROUTE_SECONDS = """
DELETE FROM route_seconds WHERE second < extract(epoch FROM %s::timestamptz)"""

_DELETE_ROUTE_HOURS = "DELETE FROM route_hours WHERE hour < %s"

#: How long it is known what content rules found.
MATCHES_KEPT = timedelta(days=90)

_DELETE_MATCHES = """
DELETE FROM content_rule_matches WHERE (rule, matched_at, match_id) IN (
    SELECT rule, matched_at, match_id FROM content_rule_matches WHERE matched_at < %s LIMIT %s
)"""

#: Rows that are deleted at a time.
CHUNK = 5_000


def keep_house(database_url: str, now: datetime) -> tuple[list[str], int]:
    """Make partitions and drop old rows; return the new partitions and the number of rows."""
    with psycopg.connect(database_url, autocommit=True, connect_timeout=2) as connection:
        made = partitions.ensure(connection, now, append_only.guard_partition)
        partitions.drop_before(connection, "account_events", now - EVENTS_KEPT)
        dropped = connection.execute(_DELETE_CONCLUDED, (now - CONCLUDED_KEPT,)).rowcount
        connection.execute(_DELETE_ROUTE_SECONDS, (now - ROUTE_SECONDS_KEPT,))
        connection.execute(_DELETE_ROUTE_HOURS, (now - ROUTE_HOURS_KEPT,))
        for statement, parameters in (
            (_DELETE_OLD_KEYS, (now - KEYS_KEPT, PAYMENT_SCOPE)),
            (_DELETE_SHELVED, (partitions.first_id_of(now - SHELVED_KEPT),)),
            (_DELETE_REFERENCES, (now - REFERENCES_KEPT,)),
            (_DELETE_LETTERS, (now - LETTERS_KEPT,)),
            (_DELETE_MATCHES, (now - MATCHES_KEPT,)),
            (_DELETE_SECRETS, (now - SECRETS_KEPT,)),
            (_DELETE_SECRETS_OF_REMOVED, (now - SECRETS_KEPT,)),
            (_DELETE_RECOVERED, (now - EVENTS_KEPT,)),
            (_DELETE_DELIVERIES, (partitions.first_id_of(now - EVENTS_KEPT),)),
            *contact_deletions(now, CHUNK),
            *campaign_deletions(now, CHUNK),
        ):
            dropped += _drop(connection, statement, parameters)
        return made, dropped


def _drop(
    connection: psycopg.Connection[Any], statement: LiteralString, parameters: tuple[Any, ...]
) -> int:
    dropped = 0
    while True:
        # In chunks, each a transaction of its own, so that no reader of the logs is held back.
        cursor = connection.execute(statement, (*parameters, CHUNK))
        dropped += cursor.rowcount
        if cursor.rowcount < CHUNK:
            return dropped
