import copy
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from semalink.domain.limit import NANOS, Limit
from semalink.domain.rate_limit import AccountBuckets, Ask, Limits, admit, lease

ACCOUNT = UUID(int=1)
START = 1_000 * NANOS


@st.composite
def limits(draw: st.DrawFn) -> Limit:
    rate = draw(st.integers(1, 1_000))
    return Limit(rate, draw(st.integers(rate, 5 * rate)))


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[Limit, list[tuple[int, int]]]:
    """Return a limit and requests: nanoseconds since the one before, and units."""
    limit = draw(limits())
    gaps = st.integers(0, 2 * limit.window_nanos // 3)
    return limit, draw(st.lists(st.tuples(gaps, st.integers(1, limit.burst)), max_size=40))


def ask_of(key: int, limits: Limits, need: int, extra: int = 0, returned: int = 0) -> Ask:
    return Ask(ACCOUNT, "live", UUID(int=key), limits, need, extra, returned)


def assert_within(limit: Limit, admitted: list[tuple[int, int]]) -> None:
    for first, (began_at, _) in enumerate(admitted):
        total = 0
        for at, units in admitted[first:]:
            total += units
            assert total <= limit.rate_per_second * (at - began_at) / NANOS + limit.burst


@given(arrivals())
def test_admit_never_exceeds_rate_and_burst_in_any_window(
    asked: tuple[Limit, list[tuple[int, int]]],
) -> None:
    limit, requests = asked
    now, full_at, admitted = START, 0, []

    for gap, units in requests:
        now += gap
        verdict = admit(full_at, limit, now, units)
        full_at = verdict.full_at
        if verdict.is_admitted:
            admitted.append((now, units))

    assert_within(limit, admitted)


@given(arrivals())
def test_admit_tells_when_refused_units_will_be_let_in(
    asked: tuple[Limit, list[tuple[int, int]]],
) -> None:
    limit, requests = asked
    now, full_at = START, 0

    for gap, units in requests:
        now += gap
        verdict = admit(full_at, limit, now, units)
        if not verdict.is_admitted:
            then = now + verdict.retry_nanos
            assert admit(verdict.full_at, limit, then, units).is_admitted
            assert not admit(verdict.full_at, limit, then - 1, units).is_admitted
        full_at = verdict.full_at


@given(arrivals())
def test_admit_tells_what_remains(asked: tuple[Limit, list[tuple[int, int]]]) -> None:
    limit, requests = asked
    now, full_at = START, 0

    for gap, units in requests:
        now += gap
        verdict = admit(full_at, limit, now, units)
        full_at = verdict.full_at
        left = verdict.remaining
        assert left == 0 or admit(full_at, limit, now, left).is_admitted
        assert left == limit.burst or not admit(full_at, limit, now, left + 1).is_admitted


@given(limits(), st.integers(0, 10 * NANOS), st.integers(0, 10 * NANOS), st.data())
def test_admit_lets_in_later_what_it_lets_in_now(
    limit: Limit, full_in: int, pause: int, data: st.DataObject
) -> None:
    units = data.draw(st.integers(1, limit.burst))

    now = admit(START + full_in, limit, START, units)
    later = admit(START + full_in, limit, START + pause, units)

    assert later.is_admitted >= now.is_admitted
    assert now.is_admitted or later.retry_nanos <= now.retry_nanos


@st.composite
def floods(draw: st.DrawFn) -> tuple[Limits, list[tuple[int, int, int, int]]]:
    """Return limits and asks of several keys: a pause, the key, its need, and more."""
    limit = draw(limits())
    held = Limits(limit, draw(st.none() | limits()), key_count=draw(st.integers(1, 6)))
    one = st.tuples(
        st.integers(0, limit.window_nanos // 2),
        st.integers(1, 4),
        st.integers(1, held.burst),
        st.integers(0, limit.burst),
    )
    return held, draw(st.lists(one, max_size=30))


@given(floods())
@settings(max_examples=200)
def test_leases_of_all_keys_never_exceed_rate_and_burst(
    asked: tuple[Limits, list[tuple[int, int, int, int]]],
) -> None:
    held, asks = asked
    now, buckets, granted = START, AccountBuckets(), []

    for pause, key, need, extra in asks:
        now += pause
        grant = lease(buckets, ask_of(key, held, need, extra), now)
        assert grant.units == 0 or need <= grant.units <= need + extra
        assert grant.remaining >= 0
        if grant.units:
            granted.append((now, key, grant.units))

    assert_within(held.account, [(at, units) for at, _, units in granted])
    if held.key is not None:
        for key in range(1, 5):
            assert_within(held.key, [(at, units) for at, one, units in granted if one == key])


@given(floods())
@settings(max_examples=200)
def test_lease_gives_what_it_refused_when_it_said(
    asked: tuple[Limits, list[tuple[int, int, int, int]]],
) -> None:
    held, asks = asked
    now, buckets = START, AccountBuckets()

    for pause, key, need, extra in asks:
        now += pause
        grant = lease(buckets, ask_of(key, held, need, extra), now)
        if not grant.units:
            assert grant.retry_nanos > 0
            then = lease(copy.deepcopy(buckets), ask_of(key, held, need), now + grant.retry_nanos)
            assert then.units == need


@given(st.integers(2, 50), st.integers(2, 5), st.integers(3, 6), st.integers(1, 500))
def test_lease_keeps_a_quiet_key_its_share_while_others_flood(
    rate: int, key_count: int, seconds: int, flood_millis: int
) -> None:
    limit = Limit(rate * key_count, 5 * rate * key_count)
    held = Limits(limit, key_count=key_count)
    buckets = AccountBuckets()
    flooding = range(START, START + seconds * NANOS, flood_millis * NANOS // 1_000)
    quiet = range(START + NANOS // 7, START + seconds * NANOS, -(-NANOS // rate))
    times = sorted([(at, 1) for at in flooding] + [(at, 2) for at in quiet])

    refused = []
    for at, key in times:
        if key == 1:
            for flooder in range(1, key_count):
                lease(buckets, ask_of(10 + flooder, held, 1, 10_000), at)
        elif not lease(buckets, ask_of(2, held, 1), at).units:
            refused.append(at)

    # Its first second may be spent on what others took before it came.
    assert [at for at in refused if at > START + NANOS] == []


@given(floods(), st.data())
def test_returned_units_can_be_leased_again(
    asked: tuple[Limits, list[tuple[int, int, int, int]]], data: st.DataObject
) -> None:
    held, asks = asked
    now, buckets = START, AccountBuckets()

    for pause, key, need, extra in asks:
        now += pause
        grant = lease(buckets, ask_of(key, held, need, extra), now)
        unused = data.draw(st.integers(0, grant.units))
        before = lease(copy.deepcopy(buckets), ask_of(key, held, 0), now).remaining
        after = lease(buckets, ask_of(key, held, 0, returned=unused), now)
        assert after.units == 0
        assert before <= after.remaining <= held.burst
