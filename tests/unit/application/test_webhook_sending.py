import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from semalink.application.bus import NotReady
from semalink.application.ledger import Answer, Command, LedgerUnavailable, Undecidable
from semalink.application.webhook_attempts import GiveUpDelivery, RecordAttempt
from semalink.application.webhook_dispatching import Ticket
from semalink.application.webhook_sending import ENDPOINTS_MAX, LEASE, Claimed, Outcome, Sender
from semalink.domain.errors import WebhookDeliveryNotFound
from semalink.domain.webhook_delivery import Attempt, GivenUp
from semalink_adapters.memory_clock import MemoryClock

AT = datetime(2026, 11, 25, 9, tzinfo=UTC)


@dataclass
class Claims:
    """Everything that is asked for may be claimed; an endpoint is the thousands of the number,
    its account the millions."""

    put_off_before: list[tuple[UUID, float]] = field(default_factory=list)
    payload: bytes | None = b"{}"
    concurrency: int = 2

    async def claim(self, tickets: Sequence[Ticket], lease: timedelta) -> Sequence[Claimed]:
        assert lease == LEASE
        return [
            Claimed(
                ticket.delivery_id,
                ticket.attempt_no,
                UUID(int=ticket.delivery_id.int // 1_000),
                "evt_1",
                self.payload,
                "https://example.com/",
                self.concurrency,
                UUID(int=ticket.delivery_id.int // 1_000_000),
            )
            for ticket in tickets
        ]

    async def put_off(self, claimed: Sequence[Claimed], seconds: float) -> None:
        self.put_off_before += [(one.delivery_id, seconds) for one in claimed]


class Courier:
    """Delivers when it is told to; numbers that crash raise."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.may_end = asyncio.Event()
        self.hung: set[int] = set()
        self.wakes = asyncio.Event()
        self.crashes: set[int] = set()
        self.unsigned: set[int] = set()

    async def deliver(self, claimed: Claimed) -> Outcome | None:
        number = claimed.delivery_id.int
        self.begun.append(number)
        if number in self.hung:
            await self.wakes.wait()
        if number in self.crashes:
            msg = "a bug"
            raise RuntimeError(msg)
        await self.may_end.wait()
        if number in self.unsigned:
            return None
        attempt = Attempt(claimed.attempt_no, "delivered", claimed.url, 200, None, 1)
        return Outcome(attempt)


@dataclass
class Executed:
    """A ledger that remembers what it was given; the first outages of it are played."""

    commands: list[Any] = field(default_factory=list)
    outages: int = 0
    archived: bool = False
    crashes: bool = False

    async def execute(self, command: Command[Any]) -> Answer[Any]:
        if self.outages:
            self.outages -= 1
            msg = "The database is away."
            raise LedgerUnavailable(msg)
        if self.crashes:
            raise Undecidable
        if self.archived:
            raise WebhookDeliveryNotFound
        self.commands.append(command)
        return Answer(None)


@dataclass
class Heard:
    """Remembers what it is told."""

    results: list[str] = field(default_factory=list)
    put_off_count: int = 0

    def attempted(self, result: str, seconds: float) -> None:
        self.results.append(result)

    def put_off(self, count: int) -> None:
        self.put_off_count += count


class World:
    def __init__(self, **limits: Any) -> None:
        self.claims = Claims()
        self.courier = Courier()
        self.ledger = Executed()
        self.heard = Heard()
        self.clock = MemoryClock(AT)
        self.rooms = 0
        self.sender = Sender(
            self.claims,
            self.courier,
            self.ledger,
            now=self.clock.now,
            jitter=lambda: 0.5,
            new_request_id=lambda: "job_1",
            observer=self.heard,
            on_room=self.make_room,
            record_seconds_max=0.0,
            **limits,
        )

    def make_room(self) -> None:
        self.rooms += 1

    async def take(self, *numbers: int) -> None:
        await self.sender.take([Ticket(UUID(int=number), 1) for number in numbers])
        await self.settle()

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    @property
    def put_off(self) -> list[tuple[int, float]]:
        return [(each.int, seconds) for each, seconds in self.claims.put_off_before]


@pytest.fixture
def world() -> World:
    return World()


async def test_take_makes_each_attempt_and_records_it(world: World):
    world.courier.may_end.set()

    await world.take(1_001, 2_001)

    recorded = {command.delivery_id.int for command in world.ledger.commands}
    assert recorded == {1_001, 2_001}
    assert all(isinstance(command, RecordAttempt) for command in world.ledger.commands)
    assert (world.heard.results, world.rooms) == (["delivered", "delivered"], 2)
    assert world.sender.under_way == 0


async def test_take_keeps_within_what_an_endpoint_takes_at_one_time(world: World):
    await world.take(1_001, 1_002, 1_003, 1_004, 2_001)

    assert world.courier.begun == [1_001, 1_002, 2_001]
    world.courier.may_end.set()
    await world.settle()

    assert len(world.ledger.commands) == 5


async def test_take_waits_while_too_much_is_under_way():
    world = World(under_way_max=2)
    await world.take(1_001, 2_001)

    waiting = asyncio.ensure_future(world.take(3_001))
    await world.settle()
    assert world.courier.begun == [1_001, 2_001]
    world.courier.may_end.set()
    await waiting

    assert world.courier.begun == [1_001, 2_001, 3_001]


async def test_take_puts_off_slow_endpoints_beyond_their_lane():
    world = World(slow_max=1)
    world.claims.concurrency = 9
    world.courier.hung = {1_001, 2_001}
    await world.take(1_001, 2_001)
    world.clock.advance(seconds=4)

    await world.take(1_002)
    await world.take(2_002, 2_003)
    world.courier.may_end.set()
    await world.take(3_001)

    assert world.courier.begun == [1_001, 2_001, 1_002, 3_001]
    assert world.put_off == [(2_002, 2.0), (2_003, 2.0)]
    assert world.heard.put_off_count == 2


async def test_take_leaves_places_to_others_when_an_account_hangs_everywhere(world: World):
    world.claims.concurrency = 50
    hanging = [
        1_000_000 + endpoint * 1_000 + turn for endpoint in range(20) for turn in range(2 * 50)
    ]
    world.courier.hung = set(hanging)
    for first in range(0, len(hanging), 250):
        await asyncio.wait_for(world.take(*hanging[first : first + 250]), 10)
    hung = len(world.courier.begun)

    world.courier.may_end.set()
    await asyncio.wait_for(world.take(2_000_001, 3_000_001), 10)
    recorded = [command.delivery_id.int for command in world.ledger.commands]
    world.courier.wakes.set()
    await world.sender.drain()

    assert (hung, recorded) == (100, [2_000_001, 3_000_001])


async def test_take_goes_on_with_an_account_as_its_attempts_end():
    world = World(account_max=2)

    await world.take(1_001, 1_002, 2_001, 2_002, 3_001)
    assert world.courier.begun == [1_001, 1_002]
    world.courier.may_end.set()
    await world.settle()

    assert sorted(world.courier.begun) == [1_001, 1_002, 2_001, 2_002, 3_001]
    assert (world.sender.under_way, world.sender._shares) == (0, {})


async def test_take_leaves_half_of_the_worker_to_endpoints_with_little_under_way():
    world = World(under_way_max=8)
    world.claims.concurrency = 50

    await world.take(*range(1_001, 1_008), 2_000_001)

    assert world.courier.begun == [1_001, 1_002, 1_003, 1_004, 2_000_001]
    assert world.put_off == [(1_005, 2.0), (1_006, 2.0), (1_007, 2.0)]


async def test_take_frees_its_places_when_a_delivery_comes_twice(world: World):
    await world.take(1_001)
    await world.take(1_001)

    world.courier.may_end.set()
    await world.settle()

    assert world.sender.under_way == 0
    assert len(world.ledger.commands) == 2


async def test_take_remembers_how_slow_an_endpoint_was():
    world = World(slow_max=0)
    await world.take(1_001)
    world.clock.advance(seconds=4)
    world.courier.may_end.set()
    await world.settle()

    await world.take(1_002, 2_001)

    assert world.put_off == [(1_002, 2.0)]
    assert world.courier.begun == [1_001, 2_001]


async def test_take_leaves_to_another_worker_what_waited_too_long(world: World):
    await world.take(1_001, 1_002, 1_003)
    world.clock.advance(seconds=21)
    world.courier.may_end.set()
    await world.settle()

    assert world.courier.begun == [1_001, 1_002]
    assert world.put_off == [(1_003, 0.0)]


async def test_take_gives_up_what_was_kept_long_enough(world: World):
    world.claims.payload = None

    await world.take(1_001)

    [command] = world.ledger.commands
    assert isinstance(command, GiveUpDelivery)
    assert command.reason is GivenUp.PAYLOAD_EXPIRED


async def test_take_gives_up_later_while_the_ledger_is_away(world: World):
    world.claims.payload, world.ledger.outages = None, 1

    await world.take(1_001)

    assert world.ledger.commands == []


async def test_take_records_when_the_ledger_is_back(world: World):
    world.courier.may_end.set()
    world.ledger.outages = 1

    await world.take(1_001)

    assert len(world.ledger.commands) == 1


async def test_take_forgets_an_attempt_that_cannot_be_recorded(world: World):
    world.courier.may_end.set()
    world.ledger.outages = 2

    await world.take(1_001)

    assert world.ledger.commands == []
    assert world.sender.under_way == 0


async def test_take_records_nothing_of_what_was_archived(world: World):
    world.courier.may_end.set()
    world.ledger.archived = True

    await world.take(1_001)

    assert world.ledger.commands == []


async def test_take_counts_an_attempt_that_crashed(world: World):
    world.courier.may_end.set()
    world.courier.crashes = {1_001}

    await world.take(1_001, 1_002)

    results = {
        command.delivery_id.int: command.attempt.error_class for command in world.ledger.commands
    }
    assert results == {1_001: "internal", 1_002: None}
    assert world.sender.under_way == 0


async def test_take_leaves_to_its_lease_what_not_even_a_crash_can_be_recorded_of(world: World):
    world.courier.may_end.set()
    world.ledger.crashes = True

    await world.take(1_001)

    assert world.ledger.commands == []
    assert world.sender.under_way == 0


async def test_take_raises_not_ready_while_the_database_is_away(world: World):
    class Away(Claims):
        async def claim(self, tickets: Sequence[Ticket], lease: timedelta) -> Sequence[Claimed]:
            raise NotReady

    world.sender._claims = Away()

    with pytest.raises(NotReady):
        await world.take(1_001)


async def test_drain_finishes_what_was_begun_and_gives_back_the_rest(world: World):
    await world.take(1_001, 1_002, 1_003)

    draining = asyncio.ensure_future(world.sender.drain())
    await world.settle()
    assert not draining.done()
    world.courier.may_end.set()
    await draining
    await world.take(1_004)

    assert [command.delivery_id.int for command in world.ledger.commands] == [1_001, 1_002]
    assert world.put_off == [(1_003, 0.0), (1_004, 0.0)]


async def test_drain_ends_although_an_attempt_was_cancelled(world: World):
    world.courier.hung = {1_001}
    await world.take(1_001)
    [task] = world.sender._tasks

    task.cancel()
    await world.sender.drain()

    assert world.sender.under_way == 0


async def test_take_remembers_a_bounded_number_of_endpoints(world: World):
    world.courier.may_end.set()
    await world.take(*(each * 1_000 for each in range(1, ENDPOINTS_MAX + 3)))
    while_busy = len(world.sender._lines)

    await world.take(1_001)

    assert (while_busy, len(world.sender._lines)) == (ENDPOINTS_MAX + 2, ENDPOINTS_MAX)
