from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from semalink.application.ledger import Answer, Command, LedgerUnavailable
from semalink.application.webhook_attempts import DisableFailing, WarnOfDisabling
from semalink.application.webhook_dispatching import (
    ISSUE_MAX,
    WINDOWS_MAX,
    Dispatcher,
    Issued,
    Room,
    Target,
    Ticket,
    subject_of,
)
from semalink.domain.endpoint_health import OPEN_FIRST, SHUT, Breaker, Record
from semalink_adapters.memory_bus import MemoryBus
from semalink_adapters.memory_clock import MemoryClock

AT = datetime(2026, 11, 25, 9, tzinfo=UTC)
ENDPOINT, OTHER = UUID(int=0xE1), UUID(int=0xE2)
FAILING = Record(failures=5, consecutive_failures=5, failing_since=AT, last_failure_at=AT)


@dataclass
class Book:
    """A dispatch book that says what the test puts into it, and issues without end."""

    targets: list[Target] = field(default_factory=list)
    rooms: list[Room] = field(default_factory=list)
    breakers: dict[UUID, Breaker] = field(default_factory=dict)
    taken_back: list[Issued] = field(default_factory=list)
    issued_before: list[Issued] = field(default_factory=list)
    lost: int = 0
    lost_after: list[timedelta] = field(default_factory=list)
    issues: bool = True

    async def targets_due(self) -> Sequence[Target]:
        return self.targets

    async def issue(self, rooms: Sequence[Room], limit: int) -> Sequence[Issued]:
        self.rooms = list(rooms)
        assert limit == ISSUE_MAX
        return [
            Issued(Ticket(UUID(int=room.endpoint_id.int * 1_000 + n), 1), room.endpoint_id, AT)
            for room in rooms
            for n in range(min(room.issue_max, room.out_max) if self.issues else 0)
        ]

    async def store_breakers(self, breakers: Mapping[UUID, Breaker]) -> None:
        self.breakers.update(breakers)

    async def take_back(self, issued: Sequence[Issued]) -> None:
        self.taken_back += issued

    async def take_back_lost(self, lost_after: timedelta) -> int:
        self.lost_after.append(lost_after)
        return self.lost

    async def issued_now(self, after: UUID | None, limit: int) -> Sequence[Issued]:
        return [
            one for one in self.issued_before if after is None or one.ticket.delivery_id > after
        ][:limit]


class Executed:
    """A ledger that only remembers what it was given."""

    def __init__(self) -> None:
        self.commands: list[Any] = []
        self.is_away = False

    async def execute(self, command: Command[Any]) -> Answer[Any]:
        if self.is_away:
            msg = "The database is away."
            raise LedgerUnavailable(msg)
        self.commands.append(command)
        return Answer(None)


class Heard:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def breaker_opened(self) -> None:
        self.words.append("opened")

    def endpoint_disabled(self) -> None:
        self.words.append("disabled")

    def owner_warned(self) -> None:
        self.words.append("warned")


@dataclass
class World:
    book: Book = field(default_factory=Book)
    bus: MemoryBus = field(default_factory=MemoryBus)
    ledger: Executed = field(default_factory=Executed)
    heard: Heard = field(default_factory=Heard)
    clock: MemoryClock = field(default_factory=lambda: MemoryClock(AT))

    def __post_init__(self) -> None:
        self.dispatcher = Dispatcher(
            self.book,
            self.bus,
            self.ledger,
            now=self.clock.now,
            new_request_id=lambda: "job_1",
            observer=self.heard,
        )


@pytest.fixture
def world() -> World:
    return World()


def target(**facts: Any) -> Target:
    usual = Target(ENDPOINT, is_enabled=True, rate_per_second=50, concurrency=4)
    return replace(usual, **facts)


async def test_step_does_nothing_when_nothing_is_due(world: World):
    assert await world.dispatcher.step() == 0


async def test_step_issues_twice_what_an_endpoint_takes_at_one_time(world: World):
    world.book.targets = [target()]

    count = await world.dispatcher.step()

    assert (count, world.book.rooms) == (8, [Room(ENDPOINT, 8, 50)])


async def test_step_returns_nothing_when_the_endpoint_is_full(world: World):
    world.book.targets, world.book.issues = [target()], False

    assert await world.dispatcher.step() == 0


async def test_step_keeps_within_the_rate(world: World):
    world.book.targets = [target(rate_per_second=10, concurrency=100)]

    counts = [await world.dispatcher.step(), await world.dispatcher.step()]
    world.clock.advance(seconds=0.5)
    counts.append(await world.dispatcher.step())
    world.clock.advance(seconds=10)
    counts.append(await world.dispatcher.step())

    assert counts == [10, 0, 5, 10]


async def test_step_holds_what_its_owner_paused(world: World):
    world.book.targets = [target(is_enabled=False), target(endpoint_id=OTHER)]

    await world.dispatcher.step()

    assert [room.endpoint_id for room in world.book.rooms] == [OTHER]


async def test_step_lets_each_endpoint_be_first_in_turn(world: World):
    world.book.targets = [target(endpoint_id=UUID(int=number)) for number in (3, 1, 2)]
    firsts = []

    for _ in range(4):
        await world.dispatcher.step()
        firsts.append([room.endpoint_id.int for room in world.book.rooms])

    assert firsts == [[1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 2, 3]]


async def test_step_opens_the_breaker_of_an_endpoint_that_fails(world: World):
    world.book.targets = [target(record=FAILING)]

    count = await world.dispatcher.step()

    assert count == 0
    assert world.book.breakers == {ENDPOINT: Breaker(1, AT, AT + OPEN_FIRST)}
    assert world.heard.words == ["opened"]


async def test_step_sends_one_probe_when_the_breaker_is_half_open(world: World):
    opened = Breaker(1, AT - OPEN_FIRST, AT)
    record = replace(FAILING, last_failure_at=AT - OPEN_FIRST)
    world.book.targets = [target(record=record, breaker=opened)]

    await world.dispatcher.step()

    assert world.book.rooms == [Room(ENDPOINT, 1, 1)]
    assert world.heard.words == []


async def test_step_shuts_the_breaker_after_a_success(world: World):
    opened = Breaker(3, AT - OPEN_FIRST, AT)
    world.book.targets = [target(record=Record(1, 9, 0, None, AT, AT), breaker=opened)]

    await world.dispatcher.step()

    assert world.book.breakers == {ENDPOINT: SHUT}
    assert world.book.rooms == [Room(ENDPOINT, 8, 50)]


async def test_step_warns_the_owner_and_then_disables(world: World):
    since = AT - timedelta(days=2)
    record = Record(0, 30, 30, since, None, AT)
    world.book.targets = [target(record=record)]
    await world.dispatcher.step()
    world.book.targets = [target(record=record, warned_percent=25)]
    await world.dispatcher.step()
    world.book.targets = [target(record=replace(record, failing_since=AT - timedelta(days=6)))]
    await world.dispatcher.step()

    [warned, disabled] = world.ledger.commands
    assert isinstance(warned, WarnOfDisabling)
    assert (warned.endpoint_id, warned.percent) == (ENDPOINT, 25)
    assert isinstance(disabled, DisableFailing)
    assert world.heard.words.count("warned") == 1
    assert world.heard.words.count("disabled") == 1


async def test_step_takes_a_warning_back_after_a_success(world: World):
    world.book.targets = [target(record=Record(1, 0, 0, None, AT, None), warned_percent=50)]

    await world.dispatcher.step()

    [command] = world.ledger.commands
    assert command.percent == 0


async def test_step_goes_on_while_the_ledger_is_away(world: World):
    world.ledger.is_away = True
    world.book.targets = [target(record=Record(1, 0, 0, None, AT, None), warned_percent=50)]

    assert await world.dispatcher.step() == 8


async def test_step_takes_back_what_the_broker_did_not_take(world: World):
    world.bus.connected = False
    world.book.targets = [target()]

    count = await world.dispatcher.step()

    assert (count, len(world.book.taken_back)) == (0, 8)


async def test_publish_again_publishes_page_by_page_what_is_issued(world: World):
    world.book.issued_before = [
        Issued(Ticket(UUID(int=number), 1), ENDPOINT, AT) for number in range(ISSUE_MAX + 1)
    ]

    assert await world.dispatcher.publish_again() == ISSUE_MAX + 1


async def test_repair_says_how_much_was_lost(world: World):
    await world.dispatcher.repair()
    world.clock.advance(seconds=10)
    assert await world.dispatcher.repair() == 0
    world.book.lost = 3

    assert await world.dispatcher.repair() == 3
    assert world.book.lost_after == [timedelta(minutes=2)] * 2


@pytest.mark.parametrize(("held_minutes", "lost_minutes"), [(0, 2), (1, 2), (30, 31), (90, 60)])
async def test_repair_leaves_what_the_queue_holds(
    world: World, held_minutes: int, lost_minutes: int
):
    await world.dispatcher.repair()
    world.clock.advance(seconds=10)
    held_since = world.clock.now() - timedelta(minutes=held_minutes)

    await world.dispatcher.repair(held_since)

    assert world.book.lost_after == [timedelta(minutes=lost_minutes)]


async def test_repair_leaves_to_the_workers_what_they_hold_when_the_database_is_back(world: World):
    world.book.lost = 3

    at_once = await world.dispatcher.repair()
    world.clock.advance(seconds=9)
    soon = await world.dispatcher.repair()

    assert (at_once, soon) == (0, 0)


async def test_step_keeps_the_windows_of_a_bounded_number_of_endpoints(world: World):
    world.book.issues = False
    world.book.targets = [
        target(endpoint_id=UUID(int=number)) for number in range(1, WINDOWS_MAX + 3)
    ]

    await world.dispatcher.step()

    assert len(world.dispatcher._windows) == WINDOWS_MAX


async def test_step_forgets_rates_that_say_nothing_any_more(world: World):
    for number in range(1, 300):
        world.book.targets = [target(endpoint_id=UUID(int=number), concurrency=1)]
        world.clock.advance(seconds=2)
        await world.dispatcher.step()
    for number in range(300, 600):
        world.book.targets = [target(endpoint_id=UUID(int=number), concurrency=1)]
        world.clock.advance(seconds=2)
        await world.dispatcher.step()

    assert len(world.dispatcher._given_until) < 510


def test_subject_of_spreads_endpoints_over_sixteen_subjects():
    subjects = {subject_of(UUID(int=number)) for number in range(100)}

    assert len(subjects) == 16
    assert subject_of(UUID(int=17)) == "webhooks.outbound.01"
