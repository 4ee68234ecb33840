"""A month of long ago, whose messages are all over and were read by everyone."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import NullPool, create_engine
from tests.integration.projections.worlds import draft_of

from semalink.domain.cause import Cause
from semalink.domain.message import Message
from semalink.projections.messages import MESSAGES
from semalink.projections.registry import PROJECTIONS
from semalink.projections.runner import ProjectionRunner
from semalink_adapters.postgres import append_only, partitions
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.migrate import sqlalchemy_url

MONTH = "2026-03"
MIDDLE = datetime(2026, 3, 14, 9, tzinfo=UTC)
ACCOUNT_ID = UUID("01980000-0000-7000-8000-00000000000a")

_INSERT = """
INSERT INTO {} (originator_id, originator_version, topic, state, recorded_at)
VALUES (%s, %s, %s, %s, %s)"""
_READ_BY_OTHERS = """
INSERT INTO cursors (name, xid, position)
SELECT name, pg_current_xact_id(), 0 FROM unnest(%s::text[]) AS name
ON CONFLICT (name) DO UPDATE SET xid = excluded.xid"""
_CONTENT = """
SELECT originator_id, originator_version, topic, state, notification_id, xid::text, recorded_at
FROM {} ORDER BY 1, 2"""


def id_of(number: int, at: datetime = MIDDLE) -> UUID:
    """Return a UUIDv7 of a moment, with a number in it."""
    milliseconds = int(at.timestamp() * 1000) + number
    return UUID(int=(milliseconds << 80) | (7 << 76) | (2 << 62) | number)


def live_through(
    number: int, dice: random.Random, at: datetime = MIDDLE, owner: UUID = ACCOUNT_ID
) -> list[Any]:
    """Return the events of a message that was delivered."""
    seconds = iter(range(1, 9))

    def cause() -> Cause:
        return Cause("worker:sms", at + timedelta(seconds=next(seconds)), "job_1")

    message = Message.accept(
        id_of(number, at), replace(draft_of(dice, owner), mode="live"), cause()
    )
    message.start_submission("celcom", cause())
    message.record_receipt(
        1,
        "celcom",
        f"ref-{number}",
        cause(),
        charged_micros=800_000,
        network="safaricom",
        cost="KES 0.80",
    )
    message.deliver("DeliveredToTerminal", "safaricom", cause())
    return list(message.collect_events())


def make_month(database_url: str, message_count: int, at: datetime = MIDDLE) -> list[UUID]:
    """Record a month of messages, and let everyone read it; return their ids."""
    dice = random.Random(message_count)
    numbers = range(1, message_count + 1)
    with psycopg.connect(database_url, autocommit=True) as connection:
        partitions.ensure(connection, at, append_only.guard_partition)
        insert_events(connection, [event for n in numbers for event in live_through(n, dice, at)])
    let_read(database_url)
    return [id_of(number, at) for number in numbers]


def insert_events(
    connection: psycopg.Connection[Any], events: Sequence[Any], log: str = "message_events"
) -> None:
    """Write events into the log, recorded when they happened, a few in each transaction."""
    mapper = EventMapper()
    for start in range(0, len(events), 50):
        with connection.transaction():
            for event in events[start : start + 50]:
                stored = mapper.to_stored_event(event)
                connection.execute(
                    _INSERT.format(log),  # type: ignore[arg-type]
                    (
                        stored.originator_id, stored.originator_version, stored.topic,
                        stored.state, event.timestamp,
                    ),
                )  # fmt: skip


def let_read(database_url: str) -> None:
    """Bring the read models and the cursors of everyone else behind the log's end."""
    engine = create_engine(sqlalchemy_url(database_url), poolclass=NullPool)
    try:
        for projection in PROJECTIONS:
            if projection.log == MESSAGES.log:
                runner = ProjectionRunner(engine, projection, EventMapper.read)
                while runner.step().event_count:
                    pass
    finally:
        engine.dispose()
    with psycopg.connect(database_url, autocommit=True) as connection:
        others = ["relay.messages", "feed.message_events"]
        connection.execute(_READ_BY_OTHERS, (others,))


def content_of(database_url: str, table: str) -> list[tuple[Any, ...]]:
    """Return every row of a table of events with all that it holds."""
    with psycopg.connect(database_url) as connection:
        return connection.execute(_CONTENT.format(table)).fetchall()  # type: ignore[arg-type]
