from uuid import UUID

import pytest

from semalink.domain.account import Tier
from semalink.domain.limit import NANOS, Limit
from semalink.domain.rate_limit import (
    ACTIVE_NANOS,
    CLAIM_NANOS,
    CROWD,
    KEYS_MAX,
    AccountBuckets,
    Ask,
    Grant,
    Limits,
    admit,
    lease,
    limit_of,
    requests_limit,
)

NOW = 1_000 * NANOS
STARTER = Limit(10, 50)


class Desk:
    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.now = NOW
        self.buckets = AccountBuckets()

    def lease(self, key: int, need: int, extra: int = 0) -> Grant:
        ask = Ask(UUID(int=1), "live", UUID(int=key), self.limits, need, extra)
        return lease(self.buckets, ask, self.now)


@pytest.mark.parametrize(
    ("tier", "rate", "burst"), [(Tier.STARTER, 10, 50), (Tier.GROWTH, 100, 500)]
)
def test_tiers_have_their_limits(tier: Tier, rate: int, burst: int) -> None:
    assert limit_of(tier, None) == Limit(rate, burst)


def test_agreed_limit_replaces_the_tiers() -> None:
    assert limit_of(Tier.ENTERPRISE, Limit(7, 70)) == Limit(7, 70)


def test_limit_refuses_a_burst_below_a_seconds_worth() -> None:
    with pytest.raises(AssertionError):
        Limit(10, 9)


def test_key_is_bound_by_the_lower_of_two_limits() -> None:
    limits = Limits(STARTER, Limit(2, 60))

    assert (limits.rate_per_second, limits.burst) == (2, 50)
    assert requests_limit(limits) == Limit(100, 500)


def test_admit_lets_a_burst_in_and_then_one_an_interval() -> None:
    full_at = admit(0, STARTER, NOW, 50).full_at

    refused = admit(full_at, STARTER, NOW)
    later = admit(full_at, STARTER, NOW + NANOS // 10)

    assert (refused.is_admitted, refused.retry_nanos) == (False, NANOS // 10)
    assert (later.is_admitted, later.remaining) == (True, 0)


def test_admit_shuts_a_bucket_no_longer_than_it_takes_to_fill_after_a_limit_was_lowered() -> None:
    slow_full_at = admit(0, Limit(1, 3_600), NOW, 3_600).full_at

    refused = admit(slow_full_at, STARTER, NOW, 50)

    assert refused.retry_nanos == 5 * NANOS


def test_lease_lets_one_key_have_the_whole_limit() -> None:
    desk = Desk(Limits(STARTER))

    grant = desk.lease(1, need=1, extra=1_000)

    assert grant == Grant(50, 0, 0)


def test_lease_keeps_a_little_for_keys_that_are_quiet() -> None:
    desk = Desk(Limits(STARTER, key_count=2))

    flood = desk.lease(1, need=1, extra=1_000)
    again = desk.lease(1, need=1)
    newcomer = desk.lease(2, need=1)

    assert (flood.units, again.units, newcomer.units) == (49, 0, 1)


def test_lease_lets_others_use_what_a_key_leaves() -> None:
    desk = Desk(Limits(STARTER, key_count=2))
    desk.lease(2, need=1)
    desk.lease(1, need=1, extra=1_000)
    admitted = 0

    for _ in range(100):
        desk.now += NANOS // 10
        admitted += desk.lease(1, need=1).units
        if desk.now % NANOS == 0:
            admitted += desk.lease(2, need=1).units

    assert admitted >= 99


def test_lease_lets_a_full_share_take_a_whole_burst_at_once() -> None:
    desk = Desk(Limits(STARTER, key_count=2))
    desk.lease(2, need=1)
    desk.now += 6 * NANOS

    batch = desk.lease(1, need=50)
    soon = desk.lease(1, need=50)
    desk.now += soon.retry_nanos
    desk.lease(2, need=1)
    again = desk.lease(1, need=49)

    assert batch.units == 50
    assert soon.units == 0
    assert soon.retry_nanos >= 5 * NANOS
    assert again.units == 49


@pytest.mark.parametrize("units", [260, 300, 500])
def test_lease_gives_a_batch_above_the_share_when_it_said_beside_a_flood(units: int) -> None:
    desk = Desk(Limits(Limit(100, 500), key_count=2))
    given, flooded, due_at = 0, 0, NOW + 5 * NANOS

    for _ in range(6_000):
        desk.now += NANOS // 100
        flooded += desk.lease(1, need=1, extra=50).units
        if desk.now >= due_at:
            grant = desk.lease(2, need=units)
            given += grant.units
            due_at = desk.now + (grant.retry_nanos or NANOS)

    assert given >= 3 * units
    assert given == pytest.approx(3_000, rel=0.4)
    assert given + flooded <= 500 + 6_000
    assert flooded >= 2_400


def test_lease_states_a_wait_that_a_flood_does_not_defeat() -> None:
    desk = Desk(Limits(Limit(100, 500), key_count=2))
    desk.lease(2, need=1)
    desk.lease(1, need=1, extra=1_000)
    refused = desk.lease(2, need=300)
    due_at = desk.now + refused.retry_nanos

    while desk.now < due_at:
        desk.lease(1, need=1, extra=50)
        desk.now += min(NANOS // 100, due_at - desk.now)

    assert refused.units == 0
    assert desk.lease(2, need=300).units == 300
    assert desk.buckets.claim is None


def test_lease_keeps_a_claim_for_so_long_and_one_at_a_time() -> None:
    desk = Desk(Limits(Limit(100, 500), key_count=3))
    for key in (1, 2, 3):
        desk.lease(key, need=1)
    desk.lease(1, need=1, extra=1_000)
    first, second = desk.lease(2, need=400), desk.lease(3, need=300)
    desk.now += first.retry_nanos
    flood = desk.lease(1, need=150)

    claim = desk.buckets.claim
    desk.now += CLAIM_NANOS + 1
    late = desk.lease(1, need=1, extra=1_000)

    assert second.retry_nanos >= first.retry_nanos + 3 * NANOS
    assert flood.units == 0
    assert claim is not None
    assert (claim.key_id, claim.units) == (UUID(int=2), 400)
    assert late.units > 150
    assert desk.buckets.claim is None


def test_lease_bounds_a_key_by_its_own_limit() -> None:
    desk = Desk(Limits(STARTER, Limit(1, 2), key_count=1))

    first = desk.lease(1, need=2, extra=5)
    second = desk.lease(1, need=1)

    assert first == Grant(2, 0, 0)
    assert second.retry_nanos == NANOS


def test_lease_remembers_a_silent_key_until_its_own_bucket_is_full() -> None:
    desk = Desk(Limits(Limit(100, 500), Limit(1, 60), key_count=2))
    desk.lease(1, need=60)
    desk.now += ACTIVE_NANOS + 1
    desk.lease(2, need=1)

    kept = set(desk.buckets.keys)
    desk.now += 60 * NANOS
    desk.lease(2, need=1)

    assert kept == {UUID(int=1), UUID(int=2)}
    assert set(desk.buckets.keys) == {UUID(int=2)}


def test_lease_gives_one_share_to_all_keys_beyond_a_number() -> None:
    desk = Desk(Limits(Limit(1_000, 5_000), key_count=KEYS_MAX + 5))
    for key in range(1, KEYS_MAX + 6):
        desk.lease(key, need=1)

    assert len(desk.buckets.keys) == KEYS_MAX + 1
    assert CROWD in desk.buckets.keys
