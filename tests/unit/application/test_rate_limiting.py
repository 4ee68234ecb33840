import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from semalink.application.rate_limiting import (
    ASKS_MAX,
    RateLimiter,
)
from semalink.application.reading import Caller
from semalink.domain.limit import NANOS, Limit
from semalink.domain.rate_limit import Ask, Grant, Limits
from semalink_adapters.memory_buckets import MemoryBuckets

ACCOUNT_ID = UUID(int=1)
GROWTH = Limits(Limit(100, 500))
MILLIS = NANOS // 1_000


class Clock:
    def __init__(self) -> None:
        self.now = 50 * NANOS

    def __call__(self) -> int:
        return self.now


@dataclass
class Counted:
    said: list[tuple[str, bool]] = field(default_factory=list)
    answered: list[bool] = field(default_factory=list)

    def rate_checked(self, tier: str, *, is_admitted: bool) -> None:
        self.said.append((tier, is_admitted))

    def leased(self, seconds: float, *, is_answered: bool) -> None:
        self.answered.append(is_answered)


class Desk:
    """A store, and processes that lease from it on one clock."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = MemoryBuckets(self.clock)
        self.counted = Counted()
        self.limiter = self.process()

    def process(self) -> RateLimiter:
        return RateLimiter(self.store, self.clock, self.counted)

    async def admit(self, caller: Caller, units: int = 1) -> bool:
        return (await self.limiter.admit(caller, units)).is_admitted

    async def flood(self, limiter: RateLimiter, caller: Caller, *, millis: int) -> int:
        """Send one message a millisecond; returns how many were let in."""
        admitted = 0
        for _ in range(millis):
            admitted += (await limiter.admit(caller, 1)).is_admitted
            await settled()
            self.clock.now += MILLIS
        return admitted


async def settled() -> None:
    """Let what was asked in the background be answered."""
    for _ in range(3):
        await asyncio.sleep(0)


def caller_of(key: int = 7, limits: Limits = GROWTH, account: int = 1) -> Caller:
    account_id = UUID(int=account)
    return Caller(
        account_id, account_id, UUID(int=key), "live", frozenset(), frozenset(), "growth",
        limits=limits,
    )  # fmt: skip


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_admit_lets_in_rate_and_burst_and_no_more(desk: Desk) -> None:
    admitted = await desk.flood(desk.limiter, caller_of(), millis=3_000)

    assert admitted == pytest.approx(500 + 3 * 100, abs=20)
    assert admitted <= 800


async def test_admit_asks_the_store_a_few_times_a_second_for_a_busy_key(desk: Desk) -> None:
    await desk.flood(desk.limiter, caller_of(), millis=1_000)
    asked_before = len(desk.store.asked)

    await desk.flood(desk.limiter, caller_of(), millis=2_000)

    assert len(desk.store.asked) - asked_before <= 12


async def test_admit_keeps_the_limit_across_processes(desk: Desk) -> None:
    first, second, caller = desk.process(), desk.process(), caller_of()
    admitted = 0

    for _ in range(3_000):
        for limiter in (first, second):
            admitted += (await limiter.admit(caller, 1)).is_admitted
            await settled()
        desk.clock.now += MILLIS

    assert admitted == pytest.approx(800, abs=20)
    assert admitted <= 800


async def test_admit_leaves_a_quiet_key_its_share_in_another_process(desk: Desk) -> None:
    limits = Limits(Limit(100, 500), key_count=2)
    wild, quiet = caller_of(1, limits), caller_of(2, limits)
    other = desk.process()
    let_in = []

    for turn in range(4_000):
        await desk.limiter.admit(wild, 1)
        if turn % 25 == 0:
            let_in.append((await other.admit(quiet, 1)).is_admitted)
        await settled()
        desk.clock.now += MILLIS

    assert all(let_in[10:])


async def test_admit_says_how_much_is_left_and_when_to_come_again(desk: Desk) -> None:
    first = await desk.limiter.admit(caller_of(), 200)

    refused = await desk.limiter.admit(caller_of(), 400)

    assert (first.policy, first.limit, first.remaining) == ("account", GROWTH.account, 300)
    assert (refused.is_admitted, refused.remaining) == (False, 0)
    assert refused.retry_nanos == pytest.approx(NANOS, abs=MILLIS)
    assert desk.counted.said == [("growth", True), ("growth", False)]


async def test_admit_refuses_from_memory_while_nothing_can_be_had(desk: Desk) -> None:
    await desk.admit(caller_of(), 500)
    await desk.admit(caller_of())
    asked = len(desk.store.asked)

    refused = await desk.limiter.admit(caller_of(), 1)

    assert not refused.is_admitted
    assert refused.retry_nanos > 0
    assert len(desk.store.asked) == asked


async def test_admit_still_takes_small_ones_after_a_large_one_was_refused(desk: Desk) -> None:
    await desk.admit(caller_of(), 400)

    large, small = await desk.admit(caller_of(), 200), await desk.admit(caller_of(), 50)

    assert (large, small) == (False, True)


async def test_admit_serves_those_that_wait_together_as_far_as_it_goes(desk: Desk) -> None:
    limits = Limits(Limit(5, 5))

    answers = await asyncio.gather(*(desk.admit(caller_of(limits=limits)) for _ in range(8)))

    assert answers == [True] * 5 + [False] * 3
    assert len(desk.store.asked) == 2


async def test_admit_serves_a_small_one_that_waits_behind_a_large_one(desk: Desk) -> None:
    await desk.admit(caller_of(), 400)

    answers = await asyncio.gather(*(desk.admit(caller_of(), units) for units in (200, 50, 300)))

    assert answers == [False, True, False]


async def test_admit_tells_each_size_its_own_wait(desk: Desk) -> None:
    await desk.admit(caller_of(), 500)
    await desk.admit(caller_of(), 1)

    after_a_small_one = await desk.limiter.admit(caller_of(), 300)
    together = await asyncio.gather(*(desk.limiter.admit(caller_of(), n) for n in (100, 400)))

    waits = [one.retry_nanos for one in (after_a_small_one, *together)]
    assert waits == pytest.approx([3 * NANOS, NANOS, 4 * NANOS], abs=MILLIS)


async def test_admit_names_the_key_that_has_a_limit_of_its_own(desk: Desk) -> None:
    own = Limit(2, 4)
    limits = Limits(GROWTH.account, own, key_count=2)

    standing = await desk.limiter.admit(caller_of(limits=limits), 4)

    assert (standing.policy, standing.limit, standing.remaining) == ("key", own, 0)
    assert not await desk.admit(caller_of(limits=limits))
    assert await desk.admit(caller_of(8, Limits(GROWTH.account, key_count=2)))


async def test_admit_follows_a_limit_that_was_changed(desk: Desk) -> None:
    await desk.admit(caller_of(), 500)
    desk.clock.now += NANOS

    before = await desk.admit(caller_of(), 200)
    desk.clock.now += NANOS
    after = await desk.admit(caller_of(limits=Limits(Limit(1_000, 5_000))), 1_000)

    assert (before, after) == (False, True)


async def test_admit_leaves_the_tokens_of_those_who_went_away(desk: Desk) -> None:
    waiting = [asyncio.create_task(desk.admit(caller_of(), 250)) for _ in range(3)]
    await asyncio.sleep(0)
    for gone in waiting:
        gone.cancel()
    await asyncio.wait(waiting)
    await settled()

    assert await desk.admit(caller_of(), 250)
    assert await desk.admit(caller_of(), 250)


async def test_admit_refuses_nobody_who_went_away(desk: Desk) -> None:
    caller = caller_of(limits=Limits(Limit(5, 5)))
    first, gone = [asyncio.create_task(desk.admit(caller, 5)) for _ in range(2)]
    await asyncio.sleep(0)
    gone.cancel()

    let_in = await first
    await settled()

    assert let_in
    assert not await desk.admit(caller, 5)


async def test_admit_asks_for_many_keys_in_turns(desk: Desk) -> None:
    callers = [caller_of(key, account=key) for key in range(1, ASKS_MAX + 10)]

    answers = await asyncio.gather(*(desk.admit(one) for one in callers))

    assert all(answers)
    assert desk.counted.answered == [True, True]


async def test_idle_leases_are_given_back(desk: Desk) -> None:
    caller = caller_of()
    for _ in range(200):
        await desk.admit(caller)
        await settled()
        desk.clock.now += 10 * MILLIS
    other = desk.process()

    desk.clock.now += 10 * NANOS
    await desk.limiter.give_back_idle()

    assert desk.store.asked[-1].returned > 0
    assert (await other.admit(caller, 500)).is_admitted


async def test_leases_in_use_are_kept(desk: Desk) -> None:
    await desk.flood(desk.limiter, caller_of(), millis=100)
    asked = len(desk.store.asked)

    await desk.limiter.give_back_idle()

    assert len(desk.store.asked) == asked


async def test_keys_that_fell_silent_are_forgotten(desk: Desk) -> None:
    await desk.admit(caller_of())
    desk.clock.now += 60 * NANOS
    await desk.limiter.give_back_idle()

    await desk.admit(caller_of())

    assert [ask.need for ask in desk.store.asked] == [1, 1]


async def test_close_gives_everything_back(desk: Desk) -> None:
    await desk.flood(desk.limiter, caller_of(), millis=100)

    await desk.limiter.close()

    assert desk.store.asked[-1].returned > 0


async def test_admit_goes_by_itself_while_the_store_is_away(desk: Desk) -> None:
    desk.store.is_available = False

    let_in = [await desk.admit(caller_of(), 50) for _ in range(3)]
    asked = len(desk.store.asked)
    desk.clock.now += 2 * NANOS
    desk.store.is_available = True
    again = await desk.admit(caller_of(), 400)

    # What nobody knows of has one second's worth.
    assert let_in == [True, True, False]
    assert asked == 1
    assert again
    assert desk.counted.answered == [False, True]


async def test_admit_counts_what_it_let_in_while_the_store_was_away(desk: Desk) -> None:
    await desk.admit(caller_of(), 100)
    desk.store.is_available = False
    desk.clock.now += MILLIS
    let_in = [await desk.admit(caller_of(), 200) for _ in range(3)]
    desk.store.is_available = True
    desk.clock.now += NANOS

    answers = [await desk.admit(caller_of(), units) for units in (150, 80)]

    assert let_in == [True, True, False]
    assert answers == [False, True]


async def test_admit_keeps_the_limit_however_often_the_store_goes_away(desk: Desk) -> None:
    admitted = 0

    for _ in range(5):
        admitted += await desk.flood(desk.limiter, caller_of(), millis=4_000)
        desk.store.is_available = False
        admitted += await desk.flood(desk.limiter, caller_of(), millis=300)
        desk.store.is_available = True

    assert admitted == pytest.approx(500 + 21.5 * 100, abs=60)
    assert admitted <= 500 + 2_150


async def test_debts_are_told_to_the_store_when_nobody_asks_any_more(desk: Desk) -> None:
    await desk.admit(caller_of(), 100)
    desk.store.is_available = False
    desk.clock.now += MILLIS
    await desk.admit(caller_of(), 300)
    desk.store.is_available = True
    desk.clock.now += NANOS

    await desk.limiter.give_back_idle()
    told = desk.store.asked[-1].returned
    await desk.process().admit(caller_of(8), 1)
    desk.clock.now += 60 * NANOS
    await desk.limiter.give_back_idle()

    assert told == -300
    assert desk.store.asked[-1].returned == 0
    assert desk.limiter._own_buckets == {}


async def test_admit_fails_for_everyone_who_waits_when_the_store_breaks(desk: Desk) -> None:
    class Broken(MemoryBuckets):
        async def lease(self, asks: object) -> list[object]:  # type: ignore[override]
            raise ZeroDivisionError

    limiter = RateLimiter(Broken(desk.clock), desk.clock, desk.counted)
    waiting = [asyncio.create_task(limiter.admit(caller_of(), 1)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    asking = limiter.asking
    assert asking is not None

    answers = await asyncio.gather(*waiting, return_exceptions=True)

    assert isinstance(answers[0], ZeroDivisionError)
    assert isinstance(asking.exception(), ZeroDivisionError)


async def test_admit_asks_again_for_everyone_after_the_store_broke(desk: Desk) -> None:
    class BrokenOnce(MemoryBuckets):
        is_broken = True

        async def lease(self, asks: Sequence[Ask]) -> Sequence[Grant]:
            if self.is_broken:
                self.is_broken = False
                raise ZeroDivisionError
            return await super().lease(asks)

    limiter = RateLimiter(BrokenOnce(desk.clock), desk.clock, desk.counted)
    callers = [caller_of(key, account=key) for key in range(1, ASKS_MAX + 10)]

    async with asyncio.timeout(5):
        await asyncio.gather(*(limiter.admit(one, 1) for one in callers), return_exceptions=True)
        again = await asyncio.gather(*(limiter.admit(one, 1) for one in callers))

    assert all(one.is_admitted for one in again)
