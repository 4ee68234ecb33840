"""Buckets of rate limits: what any store of them must do, on its own clock."""

from collections.abc import AsyncIterator

import pytest
from uuid_utils.compat import uuid7

from semalink.application.rate_limiting import BucketStore
from semalink.domain.limit import NANOS, Limit
from semalink.domain.rate_limit import Ask, Limits
from semalink_adapters.memory_buckets import MemoryBuckets
from semalink_adapters.postgres.queries import open_pool
from semalink_adapters.postgres.rate_buckets import PostgresBuckets

#: Slow, so that no test sees a token come back.
SLOW = Limits(Limit(1, 60))
ACCOUNT, KEY, OTHER_KEY = uuid7(), uuid7(), uuid7()


@pytest.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[BucketStore]:
    if request.param == "memory":
        yield MemoryBuckets(lambda: NANOS)
        return
    async with open_pool(request.getfixturevalue("database_url"), size=2) as pool:
        yield PostgresBuckets(pool)


def ask(need: int, extra: int = 0, returned: int = 0, **other: object) -> Ask:
    facts = {"account_id": ACCOUNT, "mode": "live", "key_id": KEY, "limits": SLOW, **other}
    return Ask(need=need, extra=extra, returned=returned, **facts)  # type: ignore[arg-type]


async def test_lease_grants_a_whole_burst_and_then_nothing(store: BucketStore) -> None:
    [first] = await store.lease([ask(need=1, extra=100)])

    [second] = await store.lease([ask(need=1, extra=100)])

    assert (first.units, first.remaining, first.retry_nanos) == (60, 0, 0)
    assert second.units == 0
    assert 0 < second.retry_nanos <= NANOS


async def test_lease_answers_each_ask_in_order(store: BucketStore) -> None:
    asks = [ask(need=40), ask(need=40), ask(need=20)]

    grants = await store.lease(asks)

    assert [grant.units for grant in grants] == [40, 0, 20]


async def test_lease_takes_back_what_was_not_used(store: BucketStore) -> None:
    await store.lease([ask(need=60)])

    [returned] = await store.lease([ask(need=0, returned=30)])
    [again] = await store.lease([ask(need=30)])

    assert (returned.units, again.units) == (0, 30)


async def test_lease_keeps_accounts_and_modes_apart(store: BucketStore) -> None:
    await store.lease([ask(need=60)])

    of_test = ask(need=60, mode="test")
    of_other = ask(need=60, account_id=uuid7())
    grants = await store.lease([of_test, of_other])

    assert [grant.units for grant in grants] == [60, 60]


async def test_lease_follows_a_limit_that_was_raised(store: BucketStore) -> None:
    await store.lease([ask(need=60)])

    [raised] = await store.lease([ask(need=40, limits=Limits(Limit(1, 120)))])

    assert raised.units == 40


async def test_lease_leaves_another_key_its_share(store: BucketStore) -> None:
    await store.lease([ask(need=1), ask(need=1, key_id=OTHER_KEY)])

    [flood] = await store.lease([ask(need=1, extra=1_000)])
    [share] = await store.lease([ask(need=25, key_id=OTHER_KEY)])

    assert flood.units < 40
    assert share.units == 25
