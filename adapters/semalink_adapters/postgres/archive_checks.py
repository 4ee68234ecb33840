"""What a month must not have any more before it is archived, and what to do about it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Identifier

Span = tuple[UUID, UUID]


@dataclass(frozen=True, slots=True)
class Blocker:
    """Something that a month still has: how many, the first of them, and what to do."""

    what: str
    count: int
    #: The id of the first, or the name of what is behind.
    first: str
    remedy: str


@dataclass(frozen=True, slots=True)
class _Check:
    what: str
    table: LiteralString
    column: LiteralString
    condition: LiteralString
    remedy: str


_OF_MESSAGES = (
    _Check(
        "messages that are not final",
        "messages",
        "message_id",
        "status IN ('accepted', 'submitted')",
        "`semalink history` shows where each stands; workers and relay must run",
    ),
    _Check(
        "messages that wait to be submitted",
        "pending_submissions",
        "message_id",
        "(state <> 'unknown' OR due_at IS NOT NULL)",
        "the relay submits or ends them; see `semalink dlq list` for those that are parked",
    ),
    _Check(
        "open reservations",
        "open_reservations",
        "reservation_id",
        "true",
        "`semalink ledger verify` and `semalink history` say whose they are",
    ),
)
_OF_WEBHOOKS = (
    _Check(
        "deliveries that are not over",
        "webhook_deliveries",
        "delivery_id",
        "state IN ('waiting', 'issued', 'sending')",
        "run the webhook worker, or remove the endpoint",
    ),
)
_CHECKS = {"message_events": _OF_MESSAGES, "webhook_events": _OF_WEBHOOKS}

_COUNT = SQL(
    "SELECT count(*), min({column}::text) FROM {table}"
    " WHERE {column} >= %s AND {column} < %s AND {condition}"
)
_LAST_PLACE = SQL(
    "SELECT e.xid::text, e.notification_id FROM {table} AS e WHERE {condition}"
    " ORDER BY e.xid DESC, e.notification_id DESC LIMIT 1"
)
#: The relay reads only of what is new, and its place is that of the last such event.
_RELAY, _OF_RELAY = "relay.messages", SQL("e.topic = 'message.accepted.1'")
_BEHIND = """
SELECT n.name FROM unnest(%s::text[]) AS n(name) LEFT JOIN cursors AS c USING (name)
WHERE c.name IS NULL OR (c.xid, c.position) < (%s::xid8, %s::bigint) ORDER BY 1"""
_IS_BEHIND_ALL = "SELECT %s::xid8 < pg_snapshot_xmin(pg_current_snapshot())"


def blockers(
    connection: psycopg.Connection[Any], log: str, table: str, span: Span, readers: Sequence[str]
) -> list[Blocker]:
    """Return what forbids to archive a month; ``readers`` are the cursors that must be past it."""
    return [*_unfinished(connection, log, span), *unread(connection, log, table, readers)]


def unread(
    connection: psycopg.Connection[Any], log: str, table: str, readers: Sequence[str]
) -> Iterator[Blocker]:
    """Yield who has not read everything in the table of a month, or may have to read it again."""
    place = _last_place(connection, table, SQL("true"))
    if place is None:
        return
    behind = _behind(connection, readers, place)
    if log == "message_events":
        published = _last_place(connection, table, _OF_RELAY)
        behind += _behind(connection, [_RELAY], published) if published else []
    if behind:
        remedy = "run the relay and the projector until they have read it"
        yield Blocker("readers that have not read it", len(behind), ", ".join(behind), remedy)
    row = connection.execute(_IS_BEHIND_ALL, (place[0],)).fetchone()
    if row is None or not row[0]:
        remedy = "end the transaction that has been open since"
        yield Blocker("events that a transaction may still stand before", 1, place[0], remedy)


def _last_place(
    connection: psycopg.Connection[Any], table: str, condition: SQL
) -> tuple[str, int] | None:
    statement = _LAST_PLACE.format(table=Identifier(table), condition=condition)
    row = connection.execute(statement).fetchone()
    return None if row is None else (row[0], row[1])


def _behind(
    connection: psycopg.Connection[Any], readers: Sequence[str], place: tuple[str, int]
) -> list[str]:
    rows = connection.execute(_BEHIND, (list(readers), *place)).fetchall()
    return [name for (name,) in rows]


def _unfinished(connection: psycopg.Connection[Any], log: str, span: Span) -> Iterator[Blocker]:
    for check in _CHECKS[log]:
        statement = _COUNT.format(
            column=Identifier(check.column),
            table=Identifier(check.table),
            condition=SQL(check.condition),
        )
        row = connection.execute(statement, span).fetchone()
        assert row is not None, "an aggregate has a row"
        if row[0]:
            yield Blocker(check.what, row[0], row[1], check.remedy)
