"""While the database is away the ledger refuses at once; it comes back by itself."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import errors

from semalink.application.bus import NotReady
from semalink.application.ledger import LedgerUnavailable
from semalink.application.reading import ReadsUnavailable
from semalink_adapters.postgres import group_commit
from semalink_adapters.postgres.batch import lock_key_of
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.reads import PostgresReads
from semalink_adapters.postgres.reports import PostgresReports
from semalink_adapters.postgres.writer_connection import Fault, fault_of


@contextmanager
def _stopped(server: Any) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()


async def test_execute_refuses_at_once_and_recovers_when_the_database_was_stopped(
    desk: Any, ledger: GroupCommit, postgres_server: Any
) -> None:
    account_id = await desk.open_account(message_count=10)
    loop = asyncio.get_running_loop()

    with _stopped(postgres_server):
        with pytest.raises(LedgerUnavailable):
            await desk.accept(account_id)
        asked_at = loop.time()
        for _ in range(100):
            with pytest.raises(LedgerUnavailable):
                await desk.accept(account_id)
        refused_after = loop.time() - asked_at
        assert not ledger.is_available
    async with asyncio.timeout(10):
        while not ledger.is_available:
            await asyncio.to_thread(int)

    assert refused_after < 0.5
    assert (await desk.accept(account_id)).value.status == "accepted"


async def test_reads_refuse_within_a_second_and_recover_when_the_database_was_stopped(
    desk: Any, pool: Any, postgres_server: Any
) -> None:
    reads = PostgresReads(pool)
    reports = PostgresReports(pool)
    account_id = await desk.open_account(message_count=10)
    assert await reads.balance(account_id) is not None
    loop = asyncio.get_running_loop()

    with _stopped(postgres_server):
        asked_at = loop.time()
        for _ in range(2):
            with pytest.raises(ReadsUnavailable):
                await reads.balance(account_id)
        refused_after = loop.time() - asked_at
        with pytest.raises(NotReady):
            await reports.overdue_unknowns(1)

    assert refused_after < 3
    async with asyncio.timeout(15):
        while True:
            try:
                assert await reads.balance(account_id) is not None
                break
            except ReadsUnavailable:
                continue


async def test_reads_succeed_when_the_database_was_restarted_behind_them(
    desk: Any, pool: Any, postgres_server: Any
) -> None:
    reads = PostgresReads(pool)
    account_id = await desk.open_account(message_count=10)
    await reads.balance(account_id)

    postgres_server.restart()

    assert await reads.balance(account_id) is not None


async def test_execute_refuses_when_too_many_are_waiting(
    desk: Any,
    books: Any,
    connection: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_commit, "QUEUE_MAX", 10)
    account_id = await desk.open_account(message_count=100)
    connection.execute("SELECT pg_advisory_lock(%s)", (lock_key_of(account_id),))
    waiting = [asyncio.ensure_future(desk.accept(account_id))]
    async with asyncio.timeout(10):
        while not await asyncio.to_thread(
            books.one, "SELECT count(*) FROM pg_locks WHERE NOT granted"
        ):
            pass

    waiting += [asyncio.ensure_future(desk.accept(account_id)) for _ in range(11)]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    connection.execute("SELECT pg_advisory_unlock_all()")
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)

    refused = [outcome for outcome in outcomes if isinstance(outcome, LedgerUnavailable)]
    assert len(refused) == 1
    assert outcomes[-1] is refused[0]


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (errors.UniqueViolation, Fault.CONFLICT),
        (errors.DeadlockDetected, Fault.CONFLICT),
        (errors.SerializationFailure, Fault.CONFLICT),
        (psycopg.OperationalError, Fault.BROKEN),
        (psycopg.InterfaceError, Fault.BROKEN),
        (errors.AdminShutdown, Fault.BROKEN),
        (errors.CrashShutdown, Fault.BROKEN),
        (errors.IdleInTransactionSessionTimeout, Fault.BROKEN),
        (errors.LockNotAvailable, Fault.UNABLE),
        (errors.DiskFull, Fault.UNABLE),
        (errors.QueryCanceled, Fault.UNABLE),
        (errors.ReadOnlySqlTransaction, Fault.UNABLE),
        (errors.CheckViolation, Fault.BUG),
        (errors.CharacterNotInRepertoire, Fault.BUG),
        (psycopg.DataError, Fault.BUG),
    ],
)
def test_error_means_one_thing(error: type[psycopg.Error], fault: Fault) -> None:
    assert fault_of(error()) is fault
