"""What the feed reads: three logs in one order, below every transaction that may still commit."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from semalink.application.feed import Known
from semalink.domain.event_types import CAMPAIGN_EVENTS
from semalink.domain.message import Message
from semalink_adapters.postgres.arrays import pack_bigints, pack_uuids
from semalink_adapters.postgres.mapper import EventMapper

#: In this order within one transaction: what was paid, what for, and what was set.
LOGS = ("ledger_entries", "message_events", "admin_events")

#: Of the log of settings, only this is of interest.
_ADMIN_TOPICS = (
    "webhook_endpoint.warned.1",
    "webhook_endpoint.disabled.1",
    *(f"{name}.1" for name in CAMPAIGN_EVENTS),
)

# Ordered by the column behind its table's name: a bare ``xid`` would be the text that is selected.
_NEXT = """
SELECT e.xid::text, e.notification_id, e.originator_id, e.originator_version, e.topic,
       {state}, e.recorded_at
FROM {log} AS e
WHERE (e.xid, e.notification_id) > (%b::xid8, %b::bigint)
  AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY e.xid, e.notification_id LIMIT %b::int"""

_STATES = {
    "admin_events": f"CASE WHEN e.topic IN {_ADMIN_TOPICS} THEN e.state END",
}
NEXT = {log: _NEXT.format(log=log, state=_STATES.get(log, "e.state")) for log in LOGS}

# Between two ids, so that months without any of them are not looked into.
EARLIER = """
SELECT e.topic, e.state
FROM unnest(%b::uuid[], %b::bigint[]) AS p(id, version)
JOIN message_events AS e ON e.originator_id = p.id AND e.originator_version < p.version
WHERE e.originator_id >= %b::uuid AND e.originator_id <= %b::uuid
ORDER BY e.originator_id, e.originator_version"""

OWNERS = """
SELECT endpoint_id, account_id FROM webhook_endpoints WHERE endpoint_id = ANY(%b)
UNION ALL SELECT campaign_id, account_id FROM campaigns WHERE campaign_id = ANY(%b)"""


class Place(NamedTuple):
    """A place in a log: everything up to and with it was read."""

    xid: int
    position: int


class LogRow(NamedTuple):
    """A row of a log."""

    xid: int
    log: int
    position: int
    originator_id: UUID
    version: int
    topic: str
    state: bytes | None
    recorded_at: Any


def read_pages(
    connection: psycopg.Connection[Any], cursors: Mapping[str, Place], size: int
) -> tuple[list[LogRow], bool]:
    """Return the next rows of all logs in one order, and whether there are more."""
    with connection.pipeline():
        asked = [
            connection.execute(
                NEXT[log],
                (str(cursors[log].xid), cursors[log].position, size),
                prepare=True,
                binary=True,
            )
            for log in LOGS
        ]
    pages = [
        [LogRow(int(xid), number, *rest) for xid, *rest in found.fetchall()]
        for number, found in enumerate(asked)
    ]
    # A log of which more is to come bounds the others: nothing overtakes it.
    ends = [page[-1][:3] for page in pages if len(page) == size]
    rows = sorted(row for page in pages for row in page)
    if ends:
        end = min(ends)
        rows = [row for row in rows if row[:3] <= end]
    return rows, bool(ends)


def in_order(rows: Sequence[LogRow]) -> list[LogRow]:
    """Return rows with each stream in the order of its versions, in the places that it has.

    Two transactions that wrote to one stream have their numbers from when each began to write.
    """
    places: dict[tuple[int, UUID], list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault((row.log, row.originator_id), []).append(place)
    ordered = list(rows)
    for taken in places.values():
        if len(taken) > 1:
            by_version = sorted((rows[place] for place in taken), key=attrgetter("version"))
            for place, row in zip(taken, by_version, strict=True):
                ordered[place] = row
    return ordered


def read_events(rows: Iterable[LogRow]) -> list[Any]:
    """Return the events of rows whose state was read."""
    read = EventMapper.read
    return [read(row.topic, row.state) for row in rows if row.state is not None]


def read_known(
    connection: psycopg.Connection[Any], rows: Iterable[LogRow], events: Iterable[Any]
) -> Known:
    """Return what must be known beside a page."""
    held: dict[UUID, set[int]] = {}
    for row in rows:
        if LOGS[row.log] == "message_events":
            held.setdefault(row.originator_id, set()).add(row.version)
    asked = {stream: _missing_below(versions) for stream, versions in held.items()}
    messages: dict[UUID, Message] = {}
    gaps: dict[tuple[UUID, int], Any] = {}
    for event in _earlier(connection, {stream: end for stream, end in asked.items() if end > 1}):
        stream, version = event.originator_id, event.originator_version
        if version < min(held[stream]):
            messages[stream] = event.mutate(messages.get(stream))
        elif version not in held[stream]:
            gaps[stream, version] = event
    return Known(messages, gaps, _owners(connection, events))


def _missing_below(versions: set[int]) -> int:
    """Return the version below which a page does not hold every step of a stream."""
    first, last = min(versions), max(versions)
    return first if last - first + 1 == len(versions) else last


def _earlier(connection: psycopg.Connection[Any], before: Mapping[UUID, int]) -> Iterator[Any]:
    if not before:
        return
    versions = pack_bigints(list(before.values()))
    parameters = (pack_uuids(list(before)), versions, min(before), max(before))
    cursor = connection.execute(EARLIER, parameters, prepare=True, binary=True)
    for topic, state in cursor.fetchall():
        yield EventMapper.read(topic, state)


def _owners(connection: psycopg.Connection[Any], events: Iterable[Any]) -> dict[UUID, UUID]:
    ids = {event.originator_id for event in events if event.TOPIC in _ADMIN_TOPICS}
    if not ids:
        return {}
    packed = pack_uuids(list(ids))
    return dict(connection.execute(OWNERS, (packed, packed)).fetchall())
