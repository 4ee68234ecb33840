"""A balance of long ago, and a command, on an account with a thousand and a million entries."""

import asyncio
import random
import time
from datetime import UTC, datetime
from uuid import UUID

import psycopg

from bench import entries, ledger
from semalink_adapters.postgres.credit_reads import PostgresCreditReads
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.queries import open_pool
from semalink_ops.runtime import utc_now

SMALL, LARGE = 1_000, 1_000_000
READS, COMMANDS = 2_000, 500
SEED = 20_261_125


def measure(database_url: str, *, quick: bool) -> None:
    """Print the latencies of both accounts, side by side."""
    large = LARGE // 100 if quick else LARGE
    started = time.perf_counter()
    [small_id] = entries.load(database_url, accounts=1, entries_each=SMALL, at=utc_now())
    [large_id] = entries.load(database_url, accounts=1, entries_each=large, at=utc_now())
    elapsed = time.perf_counter() - started
    print(f"\nOne account of {SMALL:,} and one of {large:,} entries (loaded in {elapsed:.0f} s)")
    asyncio.run(_measure(database_url, {SMALL: small_id, large: large_id}))


async def _measure(database_url: str, account_ids: dict[int, UUID]) -> None:
    chance = random.Random(SEED)
    async with open_pool(database_url) as pool:
        reads = PostgresCreditReads(pool)
        for size, account_id in account_ids.items():
            first, last = _span(database_url, account_id)
            seconds = []
            for _ in range(READS):
                at = datetime.fromtimestamp(chance.uniform(first, last), UTC)
                started = time.perf_counter()
                await reads.balance_at(account_id, at)
                seconds.append(time.perf_counter() - started)
            _print(f"balance at a random instant, {size:,} entries", seconds)
    async with GroupCommit(database_url) as group_commit:
        for size, account_id in account_ids.items():
            await ledger.reserve(group_commit, [account_id], total=50, in_flight=1)
            figures = await ledger.reserve(group_commit, [account_id], total=COMMANDS, in_flight=1)
            print(
                f"  {f'one command at a time, {size:,} entries':<52}"
                f"p50 {figures.p50_ms:>6.2f} ms  p99 {figures.p99_ms:>6.2f} ms",
                flush=True,
            )


def _span(database_url: str, account_id: UUID) -> tuple[float, float]:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT min(recorded_at), max(recorded_at) FROM ledger_entries"
            " WHERE originator_id = %s",
            (account_id,),
        ).fetchone()
    assert row is not None, "the account has entries"
    return row[0].timestamp() + 0.000_001, row[1].timestamp()


def _print(name: str, seconds: list[float]) -> None:
    seconds.sort()
    p50, p99 = seconds[len(seconds) // 2], seconds[int(len(seconds) * 0.99)]
    print(f"  {name:<52}p50 {p50 * 1_000:>6.2f} ms  p99 {p99 * 1_000:>6.2f} ms", flush=True)
