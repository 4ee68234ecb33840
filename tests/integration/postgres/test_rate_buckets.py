import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool
from uuid_utils.compat import uuid7

from semalink.application.rate_limiting import BucketsUnavailable
from semalink.domain.limit import Limit
from semalink.domain.rate_limit import Ask, Limits
from semalink_adapters.postgres.queries import open_pool
from semalink_adapters.postgres.rate_buckets import LEASE_SECONDS_MAX, PostgresBuckets

SLOW = Limits(Limit(1, 60))


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[AsyncConnectionPool[Any]]:
    async with open_pool(database_url, size=4) as pool:
        yield pool


def ask(need: int, account_id: Any) -> Ask:
    return Ask(account_id, "live", account_id, SLOW, need)


async def test_lease_is_exact_when_many_ask_at_once(pool: AsyncConnectionPool[Any]) -> None:
    accounts = [uuid7() for _ in range(3)]
    stores = [PostgresBuckets(pool) for _ in range(4)]

    answers = await asyncio.gather(
        *(
            stores[turn % 4].lease([ask(5, one) for one in accounts[:: 1 if turn % 2 else -1]])
            for turn in range(20)
        )
    )

    granted = sum(grant.units for grants in answers for grant in grants)
    assert 3 * 60 <= granted <= 3 * 65


async def test_lease_says_that_the_store_is_away_while_another_holds_the_row(
    pool: AsyncConnectionPool[Any], database_url: str
) -> None:
    account_id, store = uuid7(), PostgresBuckets(pool)
    await store.lease([ask(1, account_id)])

    async with await psycopg.AsyncConnection.connect(database_url) as holder:
        await holder.execute("SELECT FROM rate_buckets FOR UPDATE")
        began = time.monotonic()
        with pytest.raises(BucketsUnavailable):
            await store.lease([ask(1, account_id)])
        waited = time.monotonic() - began

    assert LEASE_SECONDS_MAX <= waited < 4 * LEASE_SECONDS_MAX


async def test_lease_says_that_the_store_is_away_when_it_is() -> None:
    async with open_pool("postgresql://127.0.0.1:9/nowhere", size=1) as pool:
        store = PostgresBuckets(pool)

        with pytest.raises(BucketsUnavailable):
            await store.lease([ask(1, uuid7())])


async def test_lease_begins_full_after_the_table_was_lost(
    pool: AsyncConnectionPool[Any],
) -> None:
    account_id, store = uuid7(), PostgresBuckets(pool)
    await store.lease([ask(60, account_id)])

    async with pool.connection() as connection:
        await connection.execute("DELETE FROM rate_buckets")
    [grant] = await store.lease([ask(60, account_id)])

    assert grant.units == 60
