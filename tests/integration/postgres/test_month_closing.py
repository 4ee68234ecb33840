"""A closing that is killed at any point goes on when it is asked again."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import create_engine
from uuid_utils.compat import uuid7

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.months import StatementAltered, TrialBalance
from semalink.application.reading import ReadsUnavailable
from semalink.application.statements import decode_statement
from semalink.domain.account import Kind, Tier
from semalink.domain.calendar import month_bounds, month_of
from semalink.domain.cause import Cause
from semalink.domain.errors import MonthNotFinished
from semalink.domain.ids import ACCOUNT_PREFIX, format_id
from semalink.domain.postings import JOURNAL_ACCOUNTS
from semalink.projections.journal import JOURNAL
from semalink.projections.runner import ProjectionRunner
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.migrate import sqlalchemy_url
from semalink_adapters.postgres.months import PostgresMonths
from semalink_adapters.postgres.queries import open_pool

#: The month before this one, so that it is over.
MONTH = month_of(month_bounds(month_of(datetime.now(UTC)))[0] - timedelta(hours=1))
ACCOUNT_COUNT = 4
CAUSE = Cause("cli:tests", datetime.now(UTC), "req_close")

# Whoever writes the third row waits for the test.
GATE_KEEPER = """
CREATE FUNCTION keep_gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM {table}) >= {let_through} THEN
        PERFORM pg_advisory_xact_lock(4711);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER gate BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION keep_gate()"""
WAITERS = """
SELECT count(*), pg_sleep(0.02) FROM pg_locks
WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted"""

# An entry of the month that is being written while the month is closed.
LATE_ENTRY = """
INSERT INTO ledger_entries
    (originator_id, originator_version, topic, state, recorded_at, message_id, entry_hash)
SELECT originator_id, 3, topic, state, recorded_at, message_id, sha256('late')
FROM ledger_entries WHERE originator_id = %s AND originator_version = 2"""
CLOSING_WAITS = """
SELECT count(*), pg_sleep(0.02) FROM pg_stat_activity
WHERE application_name = 'semalink-month-close' AND datname = current_database()
  AND query LIKE '%pg_snapshot_xmin%'"""

#: One look at each, thirty thousand times, would last longer than a test.
MANY = 30_000
MANY_ACCOUNTS = """
WITH heads AS (
    INSERT INTO credit_heads
        (account_id, version, posted_micros, reserved_micros, credit_limit_micros, entry_hash)
    SELECT gen_random_uuid(), 1, 0, 0, 0, sha256('x') FROM generate_series(1, {count})
    RETURNING account_id)
INSERT INTO journal_totals (month, account_id, entry_count, last_version, {columns})
SELECT '2026-10', account_id, 1, 1, {zeros} FROM heads"""


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the test's own."""
    with psycopg.connect(database_url, autocommit=True) as opened:
        yield opened


@pytest.fixture
async def account_ids(database_url: str, connection: psycopg.Connection[Any]) -> list[UUID]:
    """Accounts with two entries each, all recorded in the month before this one."""
    cause = Cause("cli:tests", datetime.now(UTC), "req_1")
    account_ids = [uuid7() for _ in range(ACCOUNT_COUNT)]
    async with GroupCommit(database_url) as ledger:
        for number, account_id in enumerate(account_ids):
            await ledger.execute(OpenAccount(account_id, "A", Kind.DIRECT, Tier.STARTER, cause))
            await ledger.execute(TopUp(account_id, 1_000, f"pay {number}", cause))
    with connection.transaction():
        # Without the guards of the log: time cannot be waited for.
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(
            "UPDATE ledger_entries SET recorded_at = %s + (originator_version || 's')::interval",
            (month_bounds(MONTH)[0],),
        )
    return account_ids


@contextmanager
def gate(connection: psycopg.Connection[Any], table: str, let_through: int) -> Iterator[None]:
    """Hold up whoever writes to a table."""
    keeper = sql.SQL(GATE_KEEPER).format(
        table=sql.Identifier(table), let_through=sql.Literal(let_through)
    )
    connection.execute(keeper)
    connection.execute("SELECT pg_advisory_lock(4711)")
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(4711)")
        drop = sql.SQL("DROP TRIGGER gate ON {}").format(sql.Identifier(table))
        connection.execute(drop)


def closing_process(database_url: str) -> "subprocess.Popen[bytes]":
    environment = {
        **os.environ,
        "SEMALINK_DATABASE_URL": database_url,
        "SEMALINK_NATS_URL": "nats://127.0.0.1:9",
        "SEMALINK_KEY_PEPPER": "a-pepper-of-at-least-thirty-two-characters",
    }
    command = [sys.executable, "-m", "semalink_ops.cli", "ledger", "close-month", MONTH]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def wait_for(connection: psycopg.Connection[Any], waiters: LiteralString) -> None:
    for _ in range(1_000):
        [[waiting, _]] = connection.execute(waiters).fetchall()
        if waiting:
            return
    raise AssertionError("nobody came to the gate")


@pytest.mark.parametrize(
    ("table", "let_through"), [("month_positions", 2), ("statements", 1), ("accounting_months", 0)]
)
async def test_close_goes_on_after_it_was_killed(
    database_url: str,
    connection: psycopg.Connection[Any],
    account_ids: list[UUID],
    table: str,
    let_through: int,
) -> None:
    with gate(connection, table, let_through):
        process = closing_process(database_url)
        wait_for(connection, WAITERS)
        process.kill()
        process.wait()

    status = closing_process(database_url).wait()

    assert status == 0
    pool = open_pool(database_url, size=1)
    async with pool, GroupCommit(database_url) as ledger:
        months = PostgresMonths(pool, ledger, database_url)
        [closed] = await months.closed()
        documents = [await months.statement(one, MONTH) for one in account_ids]
    assert (closed.account_count, closed.entry_count) == (ACCOUNT_COUNT, 2 * ACCOUNT_COUNT)
    assert closed.posted_micros == 1_000 * ACCOUNT_COUNT
    shown = [decode_statement(document) for document in documents]
    assert [one.account_id for one in shown] == [
        format_id(ACCOUNT_PREFIX, one) for one in account_ids
    ]
    assert all(one.closing is not None and one.closing.version == 2 for one in shown)
    [[events]] = connection.execute(
        "SELECT count(*) FROM admin_events WHERE topic LIKE 'accounting_month.%'"
    ).fetchall()
    assert events == 1


async def trial_balance(database_url: str, month: str | None = None) -> TrialBalance:
    pool = open_pool(database_url, size=1)
    async with pool, GroupCommit(database_url) as ledger:
        return await PostgresMonths(pool, ledger, database_url).trial_balance(month)


def project_journal(database_url: str) -> None:
    engine = create_engine(sqlalchemy_url(database_url))
    runner = ProjectionRunner(engine, JOURNAL, EventMapper.read)
    while runner.step().event_count:
        pass
    engine.dispose()


async def test_trial_balance_adds_up_to_nothing_and_equals_the_heads(
    database_url: str, account_ids: list[UUID]
) -> None:
    behind = await trial_balance(database_url)
    project_journal(database_url)

    found = await trial_balance(database_url, MONTH)

    assert (behind.behind_count, behind.compared_count) == (ACCOUNT_COUNT, 0)
    assert found.is_sound
    assert (found.behind_count, found.compared_count) == (0, ACCOUNT_COUNT)
    balances = {one.account: one.balance_micros for one in found.accounts}
    assert balances["payments"] == 4_000 == -balances["customer_credits"]
    assert found.entry_count == 2 * len(account_ids)


async def test_trial_balance_names_an_account_that_differs_from_its_head(
    database_url: str, connection: psycopg.Connection[Any], account_ids: list[UUID]
) -> None:
    project_journal(database_url)
    connection.execute(
        "UPDATE credit_heads SET posted_micros = posted_micros + 1 WHERE account_id = %s",
        (account_ids[1],),
    )

    found = await trial_balance(database_url)

    assert found.sum_micros == 0
    assert found.differing == [format_id(ACCOUNT_PREFIX, account_ids[1])]
    assert not found.is_sound


async def test_trial_balance_of_many_accounts_takes_a_moment(
    database_url: str, connection: psycopg.Connection[Any]
) -> None:
    columns = [sql.Identifier(name) for name in JOURNAL_ACCOUNTS]
    zeros = [sql.Literal(0)] * len(columns)
    many = sql.SQL(MANY_ACCOUNTS).format(
        count=sql.Literal(MANY),
        columns=sql.SQL(", ").join(columns),
        zeros=sql.SQL(", ").join(zeros),
    )
    connection.execute(many)

    async with asyncio.timeout(8):
        found = await trial_balance(database_url)

    assert (found.compared_count, found.behind_count) == (MANY, 0)
    assert found.is_sound


async def test_close_waits_for_an_entry_of_the_month_that_is_being_written(
    database_url: str, connection: psycopg.Connection[Any], account_ids: list[UUID]
) -> None:
    pool = open_pool(database_url, size=1)
    async with pool, GroupCommit(database_url) as ledger:
        months = PostgresMonths(pool, ledger, database_url)
        with psycopg.connect(database_url) as writer:
            writer.execute("SET LOCAL session_replication_role = replica")
            writer.execute(LATE_ENTRY, (account_ids[0],))
            closing = asyncio.ensure_future(months.close(MONTH, CAUSE))
            await asyncio.to_thread(wait_for, connection, CLOSING_WAITS)
        closed, _ = await closing

    assert closed.entry_count == 2 * ACCOUNT_COUNT + 1


async def test_close_freezes_nothing_while_a_transaction_writes_for_long(
    database_url: str, connection: psycopg.Connection[Any], account_ids: list[UUID]
) -> None:
    pool = open_pool(database_url, size=1)
    async with pool, GroupCommit(database_url) as ledger:
        months = PostgresMonths(pool, ledger, database_url, writers_seconds_max=0.2)
        with psycopg.connect(database_url) as writer:
            writer.execute("SELECT pg_current_xact_id()")
            with pytest.raises(ReadsUnavailable, match="pg_stat_activity"):
                await months.close(MONTH, CAUSE)

    [[frozen]] = connection.execute("SELECT count(*) FROM month_positions").fetchall()
    assert (frozen, len(account_ids)) == (0, ACCOUNT_COUNT)


async def test_close_goes_by_the_clock_of_the_database(
    database_url: str, account_ids: list[UUID]
) -> None:
    this_month = month_of(datetime.now(UTC))
    later = Cause("cli:tests", month_bounds(this_month)[1] + timedelta(days=1), "req_2")
    pool = open_pool(database_url, size=1)
    async with pool, GroupCommit(database_url) as ledger:
        months = PostgresMonths(pool, ledger, database_url)

        with pytest.raises(MonthNotFinished):
            await months.close(this_month, later)

        closed, _ = await months.close(MONTH, Cause("cli:tests", month_bounds(MONTH)[0], "req_3"))
    assert closed.account_count == len(account_ids)


async def test_statement_that_was_altered_is_an_error_and_no_document(
    database_url: str, connection: psycopg.Connection[Any], account_ids: list[UUID]
) -> None:
    pool = open_pool(database_url, size=1)
    async with pool, GroupCommit(database_url) as ledger:
        months = PostgresMonths(pool, ledger, database_url)
        await months.close(MONTH, CAUSE)
        connection.execute("ALTER TABLE statements DROP CONSTRAINT statements_check")
        with connection.transaction():
            connection.execute("SET LOCAL session_replication_role = replica")
            connection.execute("UPDATE statements SET document = document || ' '::bytea")

        with pytest.raises(StatementAltered):
            await months.statement(account_ids[0], MONTH)
