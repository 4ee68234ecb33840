"""A closing that is killed at any point goes on when it is asked again."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import create_engine
from uuid_utils.compat import uuid7

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.months import TrialBalance
from semalink.application.statements import decode_statement
from semalink.domain.account import Kind, Tier
from semalink.domain.calendar import month_bounds, month_of
from semalink.domain.cause import Cause
from semalink.domain.ids import ACCOUNT_PREFIX, format_id
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


def wait_for_somebody(connection: psycopg.Connection[Any]) -> None:
    for _ in range(1_000):
        [[waiting, _]] = connection.execute(WAITERS).fetchall()
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
        wait_for_somebody(connection)
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
