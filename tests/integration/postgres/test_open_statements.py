"""A statement of an open month keeps nobody from the database, however much there is to read."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from uuid_utils.compat import uuid7

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.reading import ReadsUnavailable
from semalink.application.statements import decode_statement
from semalink.domain.account import Kind, Tier
from semalink.domain.calendar import month_of
from semalink.domain.cause import Cause
from semalink.domain.errors import MonthNotClosed
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.months import PostgresMonths
from semalink_adapters.postgres.open_statements import OpenStatements
from semalink_adapters.postgres.queries import open_pool

MONTH = month_of(datetime.now(UTC))

READER_WAITS = """
SELECT count(*), pg_sleep(0.02) FROM pg_stat_activity
WHERE application_name = 'semalink-statement-so-far' AND datname = current_database()
  AND wait_event_type = 'Lock'"""
READERS = """
SELECT backend_xid IS NULL FROM pg_stat_activity
WHERE application_name = 'semalink-statement-so-far' AND datname = current_database()"""

# The top-up again and again, as if so much had happened.
MANY_ENTRIES = """
INSERT INTO ledger_entries
    (originator_id, originator_version, topic, state, recorded_at, message_id, entry_hash)
SELECT originator_id, v, topic, state, recorded_at, message_id, sha256('x')
FROM ledger_entries, generate_series(3, {last}) AS v
WHERE originator_version = 2"""


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the test's own."""
    with psycopg.connect(database_url, autocommit=True) as opened:
        yield opened


@pytest.fixture
async def account_id(database_url: str) -> UUID:
    """An account with two entries."""
    cause = Cause("cli:tests", datetime.now(UTC), "req_1")
    account_id = uuid7()
    async with GroupCommit(database_url) as ledger:
        await ledger.execute(OpenAccount(account_id, "A", Kind.DIRECT, Tier.STARTER, cause))
        await ledger.execute(TopUp(account_id, 1_000, "pay", cause))
    return account_id


def wait_for(connection: psycopg.Connection[Any], waiters: LiteralString) -> None:
    for _ in range(500):
        [[waiting, _]] = connection.execute(waiters).fetchall()
        if waiting:
            return
    raise AssertionError("nobody came to read")


def enter_many(connection: psycopg.Connection[Any], last: int) -> None:
    with connection.transaction():
        # Without the guards of the log: so many commands would last longer than a test.
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(sql.SQL(MANY_ENTRIES).format(last=sql.Literal(last)))


async def test_statement_so_far_is_refused_when_there_is_too_much_to_read(
    database_url: str, connection: psycopg.Connection[Any], account_id: UUID
) -> None:
    statements = OpenStatements(database_url, entries_max=2)
    made = decode_statement(await statements.statement(account_id, MONTH))
    enter_many(connection, 3)

    with pytest.raises(MonthNotClosed, match=r"more than 2 entries so far: .*/v1/ledger"):
        await statements.statement(account_id, MONTH)

    assert len(made.singles) == 1


async def test_statement_so_far_that_waits_leaves_the_pool_and_the_logs_to_others(
    database_url: str, connection: psycopg.Connection[Any], account_id: UUID
) -> None:
    async with open_pool(database_url, size=1) as pool, GroupCommit(database_url) as ledger:
        months = PostgresMonths(pool, ledger, database_url)
        with psycopg.connect(database_url) as writer:
            writer.execute("LOCK TABLE ledger_entries IN ACCESS EXCLUSIVE MODE")
            reading = asyncio.ensure_future(months.statement(account_id, MONTH))
            await asyncio.to_thread(wait_for, connection, READER_WAITS)

            closed = await months.closed()

            readers = connection.execute(READERS).fetchall()
        document = await reading
    assert closed == []
    assert readers == [(True,)]
    assert len(decode_statement(document).singles) == 1


async def test_statement_so_far_is_put_off_while_another_is_made(
    database_url: str, connection: psycopg.Connection[Any], account_id: UUID
) -> None:
    statements = OpenStatements(database_url, turn_seconds_max=0.1)
    with psycopg.connect(database_url) as writer:
        writer.execute("LOCK TABLE ledger_entries IN ACCESS EXCLUSIVE MODE")
        first = asyncio.ensure_future(statements.statement(account_id, MONTH))
        await asyncio.to_thread(wait_for, connection, READER_WAITS)

        with pytest.raises(ReadsUnavailable, match="ask again"):
            await statements.statement(account_id, MONTH)

    assert decode_statement(await first).month == MONTH


async def test_statement_so_far_of_many_entries_lets_others_go_between(
    database_url: str, connection: psycopg.Connection[Any], account_id: UUID
) -> None:
    enter_many(connection, 10_000)
    statements = OpenStatements(database_url)
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.ensure_future(take_turns())
    document = await statements.statement(account_id, MONTH)
    other.cancel()

    assert len(decode_statement(document).singles) == 9_999
    # At least one between any two pages.
    assert turns > 50
