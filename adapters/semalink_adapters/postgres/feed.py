"""The feed step: logs in, numbered events and deliveries out, in one transaction with its place."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.persistence import StoredEvent

from semalink.application.feed import (
    Numbered,
    Subscription,
    deliveries_of,
    items_of,
    number,
)
from semalink.domain.cause import Cause
from semalink.domain.webhook_delivery import WebhookDelivery
from semalink_adapters.postgres.arrays import (
    accept_packed,
    pack_bigints,
    pack_blobs,
    pack_columns,
    pack_moments,
    pack_texts,
    pack_uuids,
)
from semalink_adapters.postgres.feed_log import (
    LOGS,
    LogRow,
    Place,
    in_order,
    read_events,
    read_known,
    read_pages,
)
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.sessions import BOUNDED, CONNECT_TIMEOUT_SECONDS, KEEPALIVES

#: Only whoever holds this lock reads and moves the cursors of the feed.
FEED_LOCK = 7_230_020

#: So many rows of each log at most in one step. Four times as many are no faster, and hold other
#: readers back for seven times as long.
PAGE_SIZE = 250

# No id is given to the transaction before it writes: whoever holds one holds back all readers.
_TRY_LOCK = "SELECT pg_try_advisory_xact_lock(%s)"

_READ_CURSORS = "SELECT name, xid::text, position FROM cursors WHERE name = ANY(%s)"

_MOVE_CURSOR = """
INSERT INTO cursors (name, xid, position) VALUES (%b::text, %b::xid8, %b::bigint)
ON CONFLICT (name) DO UPDATE
SET xid = excluded.xid, position = excluded.position, moved_at = now()"""

# Nobody else writes them, as nobody else holds the lock: they can be read without being locked.
LAST_SEQUENCES = """
SELECT account_id, last_sequence FROM account_feeds WHERE account_id = ANY(%b::uuid[])"""

SUBSCRIPTIONS = """
SELECT endpoint_id, account_id, event_types, created_at FROM webhook_endpoints
WHERE account_id = ANY(%b::uuid[]) AND state IN ('enabled', 'paused')"""

_MOVE_SEQUENCES = """
INSERT INTO account_feeds (account_id, last_sequence)
SELECT * FROM unnest(%b::uuid[], %b::bigint[])
ON CONFLICT (account_id) DO UPDATE SET last_sequence = excluded.last_sequence
WHERE account_feeds.last_sequence < excluded.last_sequence"""

_INSERT_EVENTS = """
INSERT INTO account_events (account_id, sequence, event_id, name, occurred_at, payload)
SELECT * FROM unnest(
    %b::uuid[], %b::bigint[], %b::text[], %b::text[], %b::timestamptz[], %b::bytea[])"""

# A delivery that was made before, by a feed that was set back, is not made again.
_INSERT_DELIVERIES = """
WITH given AS (
    SELECT * FROM unnest(
        %b::uuid[], %b::uuid[], %b::uuid[], %b::text[], %b::text[], %b::bigint[], %b::uuid[],
        %b::timestamptz[], %b::text[], %b::bytea[]
    ) AS g (delivery_id, endpoint_id, account_id, event_id, event_name, event_sequence,
            message_id, created_at, topic, state)
), made AS (
    INSERT INTO webhook_deliveries (
        delivery_id, endpoint_id, account_id, event_id, event_name, event_sequence, message_id,
        created_at, next_attempt_at)
    SELECT delivery_id, endpoint_id, account_id, event_id, event_name, event_sequence, message_id,
           created_at, created_at
    FROM given ON CONFLICT (delivery_id) DO NOTHING
    RETURNING delivery_id
)
INSERT INTO webhook_events (originator_id, originator_version, topic, state)
SELECT g.delivery_id, 1, g.topic, g.state FROM given AS g JOIN made USING (delivery_id)"""

_EVENT = (pack_uuids, pack_bigints, pack_texts, pack_texts, pack_moments, pack_blobs)
_DELIVERY = (
    pack_uuids, pack_uuids, pack_uuids, pack_texts, pack_texts, pack_bigints, pack_uuids,
    pack_moments, pack_texts, pack_blobs,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FeedPage:
    """How far one step came."""

    #: Rows of the logs that were read.
    row_count: int = 0
    #: Events that accounts may see.
    item_count: int = 0
    delivery_count: int = 0
    #: Seconds since the last row was recorded; 0 when there was none.
    lag_seconds: float = 0.0
    #: Whether there is more to read at once.
    has_more: bool = False


class FeedWriter:
    """Writes the feed over one connection; a second one stands by."""

    def __init__(self, connection: psycopg.Connection[Any], *, page_size: int = PAGE_SIZE) -> None:
        self._connection = connection
        #: How many rows of each log the next step reads at most.
        self.page_size = page_size
        #: The first row of the step that was last begun: topic, stream and version.
        self.began_at: tuple[str, str, int] | None = None

    def step(self, cause: Cause) -> FeedPage:
        """Take the next rows of the logs, or do nothing when another one is at it."""
        connection = self._connection
        with connection.transaction():
            [is_ours] = _one(connection.execute(_TRY_LOCK, (FEED_LOCK,)))
            if not is_ours:
                return FeedPage()
            rows, has_more = read_pages(connection, self._cursors(), self.page_size)
            if not rows:
                return FeedPage()
            self.began_at = rows[0].topic, str(rows[0].originator_id), rows[0].version
            numbered = self._number(rows)
            created = deliveries_of(numbered, self._subscriptions(numbered), cause)
            self._store(rows, numbered, created)
        lag_seconds = (cause.at - rows[-1].recorded_at).total_seconds()
        return FeedPage(len(rows), len(numbered), len(created), max(lag_seconds, 0.0), has_more)

    def _cursors(self) -> dict[str, Place]:
        names = [_cursor_of(log) for log in LOGS]
        found = self._connection.execute(_READ_CURSORS, (names,), prepare=True).fetchall()
        known = {name: Place(int(xid), position) for name, xid, position in found}
        return {log: known.get(_cursor_of(log), Place(0, 0)) for log in LOGS}

    def _number(self, rows: Sequence[LogRow]) -> list[Numbered]:
        connection = self._connection
        events = read_events(in_order(rows))
        items = list(items_of(events, read_known(connection, rows, events)))
        accounts = pack_uuids(list({item.account_id for item in items}))
        found = connection.execute(LAST_SEQUENCES, (accounts,), prepare=True, binary=True)
        return number(items, dict(found.fetchall()))

    def _subscriptions(self, numbered: Iterable[Numbered]) -> list[Subscription]:
        accounts = pack_uuids(list({one.item.account_id for one in numbered}))
        found = self._connection.execute(SUBSCRIPTIONS, (accounts,), prepare=True)
        return [
            Subscription(endpoint_id, account_id, tuple(event_types), since)
            for endpoint_id, account_id, event_types, since in found.fetchall()
        ]

    def _store(
        self,
        rows: Sequence[LogRow],
        numbered: Sequence[Numbered],
        created: Sequence[WebhookDelivery.Created],
    ) -> None:
        ends: dict[str, LogRow] = {_cursor_of(LOGS[row.log]): row for row in rows}
        last: dict[UUID, int] = {one.item.account_id: one.sequence for one in numbered}
        # Packed before anything is sent: the transaction has its id for as long as it writes.
        feeds = pack_uuids(list(last)), pack_bigints(list(last.values()))
        events = pack_columns(_EVENT, [_event_row(one) for one in numbered]) if numbered else None
        deliveries = pack_columns(_DELIVERY, _delivery_rows(created)) if created else None
        with self._connection.pipeline(), self._connection.cursor() as curs:
            moved = curs.connection.execute(_MOVE_SEQUENCES, feeds, prepare=True)
            for name, row in ends.items():
                curs.execute(_MOVE_CURSOR, (name, str(row.xid), row.position), prepare=True)
            if events:
                curs.execute(_INSERT_EVENTS, events, prepare=True)
            if deliveries:
                curs.execute(_INSERT_DELIVERIES, deliveries, prepare=True)
        assert moved.rowcount == len(last), "a number is given once"


def connect(database_url: str) -> psycopg.Connection[Any]:
    """Return a connection for a ``FeedWriter``."""
    connection = psycopg.connect(
        database_url,
        autocommit=True,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        options=BOUNDED,
        application_name="semalink-feed",
        **KEEPALIVES,
    )
    accept_packed(connection)
    return connection


def _cursor_of(log: str) -> str:
    return f"feed.{log}"


def _event_row(numbered: Numbered) -> tuple[Any, ...]:
    item, sequence, payload = numbered
    return item.account_id, sequence, item.event_id, item.name, item.at, payload


def _delivery_rows(created: Sequence[WebhookDelivery.Created]) -> list[tuple[Any, ...]]:
    mapper = EventMapper()
    return [_delivery_row(one, mapper.to_stored_event(one)) for one in created]


def _delivery_row(created: WebhookDelivery.Created, stored: StoredEvent) -> tuple[Any, ...]:
    return (
        created.originator_id,
        created.endpoint_id,
        created.account_id,
        created.event_id,
        created.event_name,
        created.event_sequence,
        created.message_id,
        created.timestamp,
        stored.topic,
        stored.state,
    )


def _one(cursor: psycopg.Cursor[Any]) -> Any:
    row = cursor.fetchone()
    assert row is not None, "a function returns a row"
    return row
