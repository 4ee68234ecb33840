"""One account, many clients, without HTTP: ours, what it costs to prove itself, and its peers."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import IntegrityError
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool
from uuid_utils.compat import uuid7

from bench import ledger as bench_ledger
from bench.baselines import ACCOUNT, DEDUCT, INSERT_ENTRY, INSERT_MESSAGE, PRICE_MICROS
from bench.drafts import TEXT
from semalink_adapters.postgres.batch import BatchStore
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.hash_chain import GENESIS

CLIENTS = 64
ROUNDS = 3
LIBRARY_THREADS = 8

_LOCK = "SELECT balance FROM bench_credits WHERE account_id = %s FOR UPDATE"
_TAKE = "UPDATE bench_credits SET balance = %s WHERE account_id = %s"


class _Unproven(BatchStore):
    """Stores entries without chaining them: what the chain costs is what this saves."""

    def _seal(self, previous: bytes, entry: Any) -> bytes:
        return GENESIS


class _LibraryAccount(Aggregate):
    """The account as the library's own documentation would write it."""

    TOPIC = "bench_account"
    available_micros: int = 0

    class Created(Aggregate.Created):
        """Opened."""

        TOPIC = "bench_account.created.1"

    class Reserved(Aggregate.Event):
        """Credits were set aside."""

        TOPIC = "bench_account.reserved.1"
        amount_micros: int

        def apply(self, account: "_LibraryAccount") -> None:
            """Take them."""
            account.available_micros -= self.amount_micros

    def __init__(self) -> None:
        """Start empty."""

    def reserve(self, amount_micros: int) -> None:
        """Set credits aside."""
        self.trigger_event(self.Reserved, amount_micros=amount_micros)


def measure(database_url: str, *, quick: bool) -> None:
    """Print reservations a second of each design, in alternating rounds."""
    total = 1_000 if quick else 10_000
    rounds = 1 if quick else ROUNDS
    print(f"\nOne account, {CLIENTS} clients, without HTTP (median of {rounds} rounds)")
    rates = asyncio.run(_measure_all(database_url, total, rounds))
    rates["the library's loop, 8 threads"] = _measure_library(database_url, total // 50)
    ours = rates["SemaLink: chain, idempotency"]
    for name, rate in rates.items():
        print(f"  {name:<34}{rate:>8.0f}/s   ours/it {ours / rate:>6.2f}", flush=True)


async def _measure_all(database_url: str, total: int, rounds: int) -> dict[str, float]:
    runs: dict[str, list[float]] = {}
    async with (
        GroupCommit(database_url) as ours,
        GroupCommit(database_url, store=_Unproven()) as unproven,
        AsyncConnectionPool(database_url, min_size=CLIENTS, max_size=CLIENTS, open=False) as pool,
    ):
        [proven_id] = await bench_ledger.open_accounts(ours, 1)
        [unproven_id] = await bench_ledger.open_accounts(unproven, 1)
        designs: dict[str, tuple[int, Callable[[int], Awaitable[None]]]] = {
            "SemaLink: chain, idempotency": (total, _reserving(ours, proven_id, keyed=True)),
            "SemaLink: no chain, no keys": (total, _reserving(unproven, unproven_id, keyed=False)),
            "atomic UPDATE": (total // 5, _atomic(pool)),
            "SELECT ... FOR UPDATE": (total // 5, _locking(pool)),
        }
        for _ in range(rounds):
            for name, (count, once) in designs.items():
                runs.setdefault(name, []).append(await _rate(count, once))
    return {name: median(rates) for name, rates in runs.items()}


async def _rate(total: int, once: Callable[[int], Awaitable[None]]) -> float:
    turns = iter(range(total))

    async def client() -> None:
        for turn in turns:
            await once(turn)

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return total / (time.perf_counter() - started)


def _reserving(
    ledger: GroupCommit, account_id: UUID, *, keyed: bool
) -> Callable[[int], Awaitable[None]]:
    async def once(turn: int) -> None:
        await ledger.execute(bench_ledger.accepting(account_id, turn, keyed=keyed))

    return once


def _atomic(pool: AsyncConnectionPool[Any]) -> Callable[[int], Awaitable[None]]:
    async def once(_: int) -> None:
        message_id = uuid7()
        async with pool.connection() as connection, connection.transaction():
            cursor = await connection.execute(DEDUCT, (PRICE_MICROS, ACCOUNT, PRICE_MICROS))
            row = await cursor.fetchone()
            assert row is not None, "the bench has credits for every turn"
            await _insert(connection, message_id, row[0])

    return once


def _locking(pool: AsyncConnectionPool[Any]) -> Callable[[int], Awaitable[None]]:
    async def once(_: int) -> None:
        message_id = uuid7()
        async with pool.connection() as connection, connection.transaction():
            cursor = await connection.execute(_LOCK, (ACCOUNT,))
            row = await cursor.fetchone()
            assert row is not None, "the bench has an account"
            await connection.execute(_TAKE, (row[0] - PRICE_MICROS, ACCOUNT))
            await _insert(connection, message_id, row[0] - PRICE_MICROS)

    return once


async def _insert(connection: Any, message_id: UUID, balance: int) -> None:
    message = (message_id, ACCOUNT, "+254711000001", TEXT, "SEMALINK")
    await connection.execute(INSERT_MESSAGE, message)
    await connection.execute(INSERT_ENTRY, (ACCOUNT, message_id, PRICE_MICROS, balance))


def _measure_library(database_url: str, total: int) -> float:
    """Get, decide, save with optimistic retries, as its documentation shows."""
    parts = conninfo_to_dict(database_url)
    application: Application[UUID] = Application(
        env={
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": str(parts["dbname"]),
            "POSTGRES_HOST": str(parts["host"]),
            "POSTGRES_PORT": str(parts["port"]),
            "POSTGRES_USER": str(parts["user"]),
            "POSTGRES_PASSWORD": str(parts.get("password") or ""),
        }
    )
    account = _LibraryAccount()
    application.save(account)
    turns = iter(range(total))
    lock = threading.Lock()

    def client() -> None:
        while True:
            with lock:
                if next(turns, None) is None:
                    return
            _reserve_with_retries(application, account.id)

    threads = [threading.Thread(target=client) for _ in range(LIBRARY_THREADS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - started
    application.close()
    return total / elapsed


def _reserve_with_retries(application: Application[UUID], account_id: UUID) -> None:
    while True:
        account: Any = application.repository.get(account_id)
        account.reserve(PRICE_MICROS)
        try:
            application.save(account)
        except IntegrityError:
            continue
        return
