"""Partitions: made ahead, by anyone at any time, and exact about what is unique."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool
from uuid_utils.compat import uuid7

from semalink_adapters.postgres.batch import LOAD_MESSAGES
from semalink_adapters.postgres.partitions import PARTITIONED, ensure, first_id_of, month_start
from semalink_adapters.postgres.reads import SELECT_STREAM

LATER = datetime(2031, 11, 30, 23, 59, 59, 999_999, tzinfo=UTC)

INSERT_EVENT = (
    "INSERT INTO message_events (originator_id, originator_version, topic, state)"
    " VALUES (%s, %s, 'x', '')"
)


def _id_at(moment: datetime) -> UUID:
    """Return the largest UUIDv7 of a millisecond."""
    return UUID(int=first_id_of(moment).int | (1 << 80) - 1)


def _partition_of(connection: psycopg.Connection[Any], event_id: UUID) -> str:
    row = connection.execute(INSERT_EVENT + " RETURNING tableoid::regclass::text", (event_id, 1))
    [name] = row.fetchone() or ()
    return str(name)


def test_ensure_makes_partitions_once(connection: psycopg.Connection[Any]) -> None:
    first = ensure(connection, LATER)
    second = ensure(connection, LATER)

    assert first == [
        f"{table}_{month}"
        for table in PARTITIONED
        for month in ("2031_10", "2031_11", "2031_12", "2032_01", "2032_02")
    ]
    assert second == []


def test_ensure_makes_each_partition_once_when_several_try_at_once(database_url: str) -> None:
    def ensure_alone(_: int) -> Sequence[str]:
        with psycopg.connect(database_url, autocommit=True) as connection:
            return ensure(connection, LATER)

    with ThreadPoolExecutor(6) as threads:
        made = [name for names in threads.map(ensure_alone, range(6)) for name in names]

    assert len(made) == len(set(made)) == 5 * len(PARTITIONED)


def test_ensure_waits_for_no_writer_and_stops_none(
    database_url: str, connection: psycopg.Connection[Any]
) -> None:
    with psycopg.connect(database_url) as writer:
        writer.execute(INSERT_EVENT, (uuid7(), 1))
        writer.execute("SELECT count(*) FROM inbound_reports")

        made = ensure(connection, LATER)

        writer.execute(INSERT_EVENT, (uuid7(), 1))
    assert len(made) == 5 * len(PARTITIONED)


def test_partition_holds_its_month_to_the_last_millisecond(
    connection: psycopg.Connection[Any],
) -> None:
    ensure(connection, LATER)

    names = [
        _partition_of(connection, event_id)
        for event_id in (
            first_id_of(month_start(LATER)),
            _id_at(LATER),
            first_id_of(month_start(LATER, 1)),
        )
    ]

    assert names == ["message_events_2031_11", "message_events_2031_11", "message_events_2031_12"]


def test_first_id_is_below_every_id_of_its_millisecond() -> None:
    event_id = uuid7()
    moment = datetime.fromtimestamp((event_id.int >> 80) / 1000, UTC)

    assert first_id_of(moment) < event_id <= _id_at(moment)


def test_partition_has_the_indexes_and_defaults_of_its_parent(
    connection: psycopg.Connection[Any],
) -> None:
    ensure(connection, LATER)

    children = connection.execute(
        "SELECT count(*) FROM pg_inherits JOIN pg_index ON indexrelid = inhrelid"
        " WHERE indrelid = 'message_events_2031_11'::regclass AND indisvalid"
    ).fetchone()
    connection.execute(INSERT_EVENT, (_id_at(LATER), 1))
    row = connection.execute(
        "SELECT notification_id > 0, xid > '0', recorded_at <= now() + interval '1 minute'"
        " FROM message_events_2031_11"
    ).fetchone()

    assert children == (3,)
    assert row == (True, True, True)


def test_version_is_refused_twice_in_one_stream(connection: psycopg.Connection[Any]) -> None:
    event_id = uuid7()
    connection.execute(INSERT_EVENT, (event_id, 1))

    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute(INSERT_EVENT, (event_id, 1))


def test_event_outside_every_partition_is_refused(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="no partition"):
        connection.execute(INSERT_EVENT, (first_id_of(LATER), 1))


def _scanned(plan: Any) -> set[str]:
    """Return the tables of the nodes that were run."""
    scanned = {plan["Relation Name"]} if "Relation Name" in plan and plan["Actual Loops"] else set()
    return scanned.union(*(_scanned(part) for part in plan.get("Plans", ())))


@pytest.mark.parametrize("generic", [False, True])
async def test_look_up_by_id_touches_one_partition(
    pool: AsyncConnectionPool[Any], connection: psycopg.Connection[Any], *, generic: bool
) -> None:
    ensure(connection, LATER)
    event_id = _id_at(LATER)
    connection.execute(INSERT_EVENT, (event_id, 1))

    plans = []
    async with pool.connection() as reader, reader.transaction():
        mode = "force_generic_plan" if generic else "force_custom_plan"
        await reader.execute(f"SET LOCAL plan_cache_mode = {mode}")
        for statement, wanted in ((SELECT_STREAM, event_id), (LOAD_MESSAGES, [event_id])):
            explain = "EXPLAIN (ANALYZE, FORMAT JSON) " + statement
            cursor = await reader.execute(explain, (wanted,), prepare=True)
            plans.append((await cursor.fetchone() or ())[0][0]["Plan"])

    assert [_scanned(plan) for plan in plans] == [{"message_events_2031_11"}] * 2
