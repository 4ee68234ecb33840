from uuid import UUID

import pytest

from semalink.application.rate_limiting import REQUESTERS_MAX, BucketsUnavailable, RateLimiter
from semalink.application.reading import Caller
from semalink.domain.limit import NANOS, Limit
from semalink.domain.rate_limit import Limits
from semalink_adapters.memory_buckets import MemoryBuckets

ACCOUNT_ID = UUID(int=1)


class Uncounted:
    def rate_checked(self, tier: str, *, is_admitted: bool) -> None:
        pass

    def leased(self, seconds: float, *, is_answered: bool) -> None:
        pass


def at_noon() -> int:
    return 50 * NANOS


def caller_of(key: int, limits: Limits) -> Caller:
    return Caller(
        ACCOUNT_ID, ACCOUNT_ID, UUID(int=key), "live", frozenset(), frozenset(), "growth",
        limits=limits,
    )  # fmt: skip


async def test_requests_are_counted_by_key_and_without_the_store() -> None:
    store = MemoryBuckets(at_noon)
    limiter = RateLimiter(store, at_noon, Uncounted())
    limits = Limits(Limit(1, 1))

    answers = [limiter.admit_request(caller_of(7, limits)) for _ in range(11)]
    other = limiter.admit_request(caller_of(8, limits))

    assert [one.is_admitted for one in answers] == [True] * 10 + [False]
    assert answers[0].policy == "requests"
    assert other.is_admitted
    assert store.asked == []


async def test_requests_of_no_more_keys_are_counted_than_memory_is_for() -> None:
    limiter = RateLimiter(MemoryBuckets(at_noon), at_noon, Uncounted())
    limits = Limits(Limit(1, 1))
    for _ in range(10):
        limiter.admit_request(caller_of(0, limits))

    for key in range(1, REQUESTERS_MAX + 1):
        limiter.admit_request(caller_of(key, limits))

    assert limiter.admit_request(caller_of(0, limits)).is_admitted


async def test_store_that_is_away_says_so() -> None:
    store = MemoryBuckets(at_noon)
    store.is_available = False

    with pytest.raises(BucketsUnavailable):
        await store.lease([])
