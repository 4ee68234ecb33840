"""Whatever comes, leaves and crashes: nothing is lost, and nobody fills the normal queue."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.bus import Outgoing, PublishOutcome, PublishState
from semalink.application.fitting import FittingWindow
from semalink.application.relaying import JobPayload, Relay
from semalink.application.sending import AcceptMessage
from semalink.application.sharing_out import CROWD_SHARES, Shares
from semalink.application.submission import (
    ExpireInQueue,
    Job,
)
from semalink.domain.account import Kind, Tier
from semalink.domain.cause import Cause
from semalink.domain.draft import Draft
from semalink.domain.message import Message
from semalink_adapters.jetstream.streams import SMS_NORMAL
from semalink_adapters.memory_bus import MemoryBus
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_outbox import MemoryOutbox
from semalink_adapters.memory_reports import MemoryReports
from semalink_adapters.memory_turns import MemoryTurns

SHARE = 3
PAGE = 5
ACCOUNTS = [UUID(int=number) for number in range(1, 5)]
CAUSE = Cause("worker:sms", datetime(2026, 11, 23, 9, tzinfo=UTC), "req_1")


class Crash(BaseException):
    """Ends a relay in the middle of a step."""


class Picky:
    """A bus that refuses what it is given so many times."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self.refusals = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    async def publish_many(self, items: Sequence[Outgoing]) -> Sequence[PublishOutcome]:
        if self.refusals == 0:
            return await self._bus.publish_many(items)
        self.refusals -= 1
        return [PublishOutcome(PublishState.FAILED, "timeout")] * len(items)


class Mortal:
    """Passes on what it is asked, until it dies before or after one of the calls that write."""

    def __init__(self, inner: Any, dies_at: "Mine") -> None:
        self._inner = inner
        self._dies_at = dies_at

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._inner, name)
        if name not in {"hold", "dealt_out", "jobs_published", "publish_many"}:
            return call

        async def step_on_it(*arguments: Any) -> Any:
            self._dies_at.tick()
            answer = await call(*arguments)
            self._dies_at.tick()
            return answer

        return step_on_it


@dataclass(slots=True)
class Mine:
    """Goes off after so many ticks."""

    ticks: int | None = None

    def tick(self) -> None:
        if self.ticks is not None:
            self.ticks -= 1
            if self.ticks < 0:
                self.ticks = None
                raise Crash


@dataclass(slots=True)
class World:
    """A relay between a ledger and a bus, and what they did."""

    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    bus: MemoryBus = field(default_factory=MemoryBus)
    clock: MemoryClock = field(default_factory=lambda: MemoryClock(CAUSE.at))
    mine: Mine = field(default_factory=Mine)
    numbers: Any = field(default_factory=lambda: count(1_000))
    published: list[UUID] = field(default_factory=list)
    #: Accounts of the messages that are in the queue.
    inside: list[Job] = field(default_factory=list)
    picky: Picky = field(init=False)
    outbox: MemoryOutbox = field(init=False)
    relay: Relay = field(init=False)

    def __post_init__(self) -> None:
        for account_id in ACCOUNTS:
            opening = OpenAccount(account_id, "Duka", Kind.DIRECT, Tier.STARTER, CAUSE)
            self.ledger.decide(opening)
            self.ledger.decide(TopUp(account_id, 1_000, f"payment-{account_id}", CAUSE))
        reports = MemoryReports(self.ledger, now=self.clock.now, new_id=lambda: UUID(int=1))
        self.outbox = MemoryOutbox(self.ledger, reports, now=self.clock.now)
        self.picky = Picky(self.bus)
        self.start_relay()

    def start_relay(self) -> None:
        turns: Any = Mortal(MemoryTurns(self.ledger, self.outbox, now=self.clock.now), self.mine)
        shares = Shares(turns, FittingWindow(SHARE, now=lambda: 0.0))
        outbox: Any = Mortal(self.outbox, self.mine)
        bus: Any = Mortal(self.picky, self.mine)
        self.relay = Relay(outbox, bus, shares, pause_seconds=0, page_size=PAGE)

    def send(self, account_id: UUID, number: int) -> None:
        for _ in range(number):
            draft = Draft(
                account_id=account_id,
                billing_account_id=account_id,
                mode="live",
                to="+254712345678",
                country="KE",
                network="safaricom",
                text="Karibu",
                sender="SEMA",
                lane="normal",
                encoding="gsm-7",
                segments=1,
                price_micros=1,
                expires_at=CAUSE.at + timedelta(hours=1),
                metadata={},
            )
            message_id = UUID(int=next(self.numbers))
            self.ledger.decide(AcceptMessage(message_id, account_id, draft, CAUSE, None))

    async def step(self) -> bool:
        try:
            moved = await self.relay.step()
        except Crash:
            self.start_relay()
            moved = True
        await self.look()
        return moved

    async def look(self) -> None:
        """Take note of what the queue was given."""
        for delivery in await self.bus.source(SMS_NORMAL).fetch(1_000, 0):
            payload = msgspec.json.decode(delivery.payload, type=JobPayload)
            await delivery.ack()
            if payload.message_id in self.ledger.pending():
                self.inside.append(
                    Job(payload.message_id, payload.account_id, payload.billing_account_id)
                )
            self.published.append(payload.message_id)

    def work(self, number: int) -> None:
        """End the first messages of the queue."""
        late = Cause("worker:sms", CAUSE.at + timedelta(hours=2), "req_2")
        for job in self.inside[:number]:
            if job.message_id in self.ledger.pending():
                self.ledger.decide(ExpireInQueue(job, late))
        del self.inside[:number]

    def owner_of(self, message_id: UUID) -> UUID:
        message = self.ledger.load(Message, message_id)
        assert message is not None, "it was accepted"
        return message.asked.account_id

    def inside_by_account(self) -> Counter[UUID]:
        return Counter(job.account_id for job in self.inside)


sends = st.tuples(st.just("send"), st.sampled_from(ACCOUNTS), st.integers(1, 12))
steps = st.tuples(st.just("step"))
works = st.tuples(st.just("work"), st.integers(1, 8))
crashes = st.tuples(st.just("crash"), st.integers(0, 10))
refuses = st.tuples(st.just("refuse"), st.integers(1, 3))
restarts = st.tuples(st.just("restart"))


async def play(world: World, deeds: list[tuple[Any, ...]]) -> None:
    for what, *details in deeds:
        match what:
            case "send":
                world.send(*details)
            case "step":
                await world.step()
            case "work":
                world.work(*details)
            case "crash":
                [world.mine.ticks] = details
            case "refuse":
                [world.picky.refusals] = details
            case _:
                world.start_relay()


async def drain(world: World) -> None:
    world.mine.ticks = None
    world.picky.refusals = 0
    for _ in range(10_000):
        moved = await world.step()
        world.work(1)
        if not moved and not world.inside:
            return
    raise AssertionError("The queue is never empty.")


@settings(max_examples=60)
@given(st.lists(sends | steps | works | crashes | refuses | restarts, max_size=25))
def test_every_message_is_published_whatever_crashes(deeds: list[tuple[Any, ...]]) -> None:
    world = World()

    async def run() -> None:
        await play(world, deeds)
        await drain(world)

    asyncio.run(run())

    accepted = {UUID(int=number) for number in range(1_000, next(world.numbers))}
    assert set(world.published) == accepted
    assert world.ledger.pending() == {}


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), min_size=1, max_size=12))
def test_messages_of_an_account_leave_in_order_whatever_the_broker_refuses(
    turns: list[tuple[int, int]],
) -> None:
    world = World()

    async def run() -> None:
        for account_id in ACCOUNTS[:2]:
            world.send(account_id, SHARE + 2)
        while await world.step():
            pass
        for refusals, worked_off in turns:
            world.work(worked_off)
            world.picky.refusals = refusals
            await world.step()
            world.send(ACCOUNTS[0], 1)
            await world.step()
        await drain(world)

    asyncio.run(run())

    for account_id in ACCOUNTS[:2]:
        mine = [one for one in world.published if world.owner_of(one) == account_id]
        assert mine == sorted(set(mine))
    assert world.ledger.pending() == {}


@settings(max_examples=60)
@given(st.lists(sends | steps | works | refuses | restarts, max_size=25))
def test_no_account_has_more_than_its_share_in_the_queue(deeds: list[tuple[Any, ...]]) -> None:
    world = World()

    async def run() -> None:
        for deed in deeds:
            await play(world, [deed])
            for number in world.inside_by_account().values():
                assert number <= SHARE
            assert len(world.inside) <= (CROWD_SHARES + 1) * SHARE
        await drain(world)

    asyncio.run(run())

    assert len(world.published) == len(set(world.published))


@settings(max_examples=40)
@given(
    st.dictionaries(st.sampled_from(ACCOUNTS[1:]), st.integers(1, 40), min_size=1),
    st.integers(0, 20),
    st.integers(1, SHARE),
)
def test_few_messages_wait_behind_one_share_of_each_other_account(
    crowd: dict[UUID, int], before: int, few: int
) -> None:
    world = World()
    small = ACCOUNTS[0]

    async def run() -> int:
        for account_id, number in crowd.items():
            world.send(account_id, number)
        for _ in range(before):
            await world.step()
            world.work(1)
        while await world.step():
            pass
        world.send(small, few)
        for ahead in range(1_000):
            await world.step()
            if world.inside[0].account_id == small:
                return ahead
            world.work(1)
        raise AssertionError("It is never served.")

    ahead = asyncio.run(run())

    assert ahead <= (CROWD_SHARES + 1) * SHARE


@settings(max_examples=40)
@given(st.lists(st.integers(SHARE + 1, 30), min_size=2, max_size=4))
def test_accounts_of_which_messages_wait_are_served_in_turns(numbers: list[int]) -> None:
    world = World()

    async def run() -> None:
        for account_id, number in zip(ACCOUNTS, numbers, strict=False):
            world.send(account_id, number)
        await drain(world)

    asyncio.run(run())

    owners = [world.owner_of(message_id) for message_id in world.published]
    for account_id, number in zip(ACCOUNTS, numbers, strict=False):
        # Once it has its first share, it gets its turn before another has had two more shares.
        mine = [place for place, owner in enumerate(owners) if owner == account_id]
        assert len(mine) == number
        gaps = [later - sooner for sooner, later in pairwise(mine)]
        assert max(gaps[SHARE:], default=0) <= 2 * SHARE * len(numbers)
