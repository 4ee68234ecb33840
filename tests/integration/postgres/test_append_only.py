from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg import errors

from semalink_adapters.postgres import append_only, partitions
from semalink_adapters.postgres.append_only import LOGS, WRITER, protect, weaknesses
from semalink_adapters.postgres.sessions import BOUNDED
from semalink_adapters.postgres.writer_connection import WriterConnection

NOW = datetime.now(UTC)
CHANGES = ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"]
PARTITIONS = [f"{log}_{NOW:%Y_%m}" for log in ("message_events", "webhook_events", "refusals")]

FIRST_COLUMNS = {
    "refusals": "refusal_id",
    "ledger_checkpoints": "number",
    "checkpoint_heads": "number",
    "month_positions": "month",
    "statements": "month",
    "accounting_months": "month",
}


@pytest.fixture
def as_writer(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A session as those that serve requests."""
    with psycopg.connect(database_url, autocommit=True, options=BOUNDED) as session:
        yield session


def changing(change: str, table: str) -> Any:
    column = FIRST_COLUMNS.get(table.removesuffix(f"_{NOW:%Y_%m}"), "originator_id")
    return change.format(table, column, column)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("table", [*LOGS, *PARTITIONS])
def test_writer_may_not_change_a_log(
    as_writer: psycopg.Connection[Any], table: str, change: str
) -> None:
    with pytest.raises(errors.InsufficientPrivilege, match="permission denied"):
        as_writer.execute(changing(change, table))


@pytest.mark.parametrize("table", ["ledger_entries", "admin_events", "message_events"])
@pytest.mark.parametrize("change", CHANGES)
async def test_owner_is_told_why_a_log_is_not_changed(
    desk: Any, connection: psycopg.Connection[Any], table: str, change: str
) -> None:
    await desk.accept(await desk.open_account(message_count=1))

    with pytest.raises(errors.InsufficientPrivilege, match="is never changed") as refused:
        connection.execute(changing(change, table))

    assert table in str(refused.value)


@pytest.mark.parametrize("change", CHANGES)
async def test_owner_may_not_change_a_partition_by_itself(
    desk: Any, connection: psycopg.Connection[Any], change: str
) -> None:
    await desk.accept(await desk.open_account(message_count=1))

    with pytest.raises(errors.InsufficientPrivilege, match="is never changed"):
        connection.execute(changing(change, PARTITIONS[0]))


def test_partition_that_is_made_later_is_guarded(connection: psycopg.Connection[Any]) -> None:
    later = datetime(2031, 5, 5, tzinfo=UTC)
    made = partitions.ensure(connection, later, append_only.guard_partition)

    with pytest.raises(errors.InsufficientPrivilege, match="is never changed"):
        connection.execute("TRUNCATE message_events_2031_05")

    assert "message_events_2031_05" in made
    assert weaknesses(connection) == []


def test_writer_connection_has_the_role_of_writers(database_url: str) -> None:
    writer = WriterConnection(database_url, "test")
    try:
        row = writer.open().execute("SELECT current_user").fetchone()
    finally:
        writer.close()

    assert row == (WRITER,)


def test_reader_may_read_what_the_owner_makes_later(
    connection: psycopg.Connection[Any], as_writer: psycopg.Connection[Any]
) -> None:
    connection.execute("CREATE TABLE rebuilt AS SELECT 1 AS number")

    row = as_writer.execute("SELECT number FROM rebuilt").fetchone()

    assert row == (1,)


def test_protect_is_harmless_when_several_run_it_at_once(
    database_url: str, connection: psycopg.Connection[Any]
) -> None:
    def run(_: int) -> None:
        with psycopg.connect(database_url, autocommit=True) as own:
            protect(own)

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(run, range(3)))

    assert weaknesses(connection) == []


def test_weaknesses_are_named(connection: psycopg.Connection[Any]) -> None:
    connection.execute("GRANT UPDATE ON refusals TO semalink_writer")
    connection.execute("ALTER TABLE ledger_entries DISABLE TRIGGER no_change")
    connection.execute(f"DROP TRIGGER no_truncation ON {PARTITIONS[0]}")
    connection.execute(f"ALTER TABLE {PARTITIONS[0]} DISABLE TRIGGER no_change")

    found = weaknesses(connection)
    protect(connection)

    assert found == [
        "semalink_writer has refusals UPDATE",
        "ledger_entries has no trigger no_change",
        f"{PARTITIONS[0]} has no trigger no_change",
        f"{PARTITIONS[0]} has no trigger no_truncation",
    ]
    assert weaknesses(connection) == []
