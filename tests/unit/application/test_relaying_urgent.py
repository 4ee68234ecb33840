from collections.abc import Callable
from uuid import UUID

import pytest

from semalink.application.bus import PublishState, Unobserved
from semalink.application.fitting import FittingWindow
from semalink.application.relaying import URGENT_AFTER, Relay
from semalink.application.sharing_out import Shares
from semalink.application.submission import Job
from semalink.domain.draft import Lane
from semalink_adapters.jetstream.streams import SMS_PRIORITY
from semalink_adapters.memory_bus import MemoryBus
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_outbox import MemoryOutbox
from semalink_adapters.memory_reports import MemoryReports
from semalink_adapters.memory_turns import MemoryTurns

Accept = Callable[..., Job]


@pytest.fixture
def outbox(ledger: MemoryLedger, clock: MemoryClock, new_id: Callable[[], UUID]) -> MemoryOutbox:
    reports = MemoryReports(ledger, now=clock.now, new_id=new_id)
    return MemoryOutbox(ledger, reports, now=clock.now)


@pytest.fixture
def shares(ledger: MemoryLedger, outbox: MemoryOutbox, clock: MemoryClock) -> Shares:
    turns = MemoryTurns(ledger, outbox, now=clock.now)
    return Shares(turns, FittingWindow(1_000, now=lambda: 0.0, fewest=1_000))


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


class AtFirstPublishing(Unobserved):
    """Does something when the bus is first given a message."""

    def __init__(self, do: Callable[[], object]) -> None:
        self.subjects: list[str] = []
        self._do = do

    def published(self, subject: str, state: PublishState, count: int) -> None:
        if not self.subjects:
            self._do()
        self.subjects.append(subject)


async def urgent_in_queue(bus: MemoryBus) -> list[str]:
    deliveries = await bus.source(SMS_PRIORITY).fetch(100, 0)
    return [delivery.message_id for delivery in deliveries]


async def test_step_publishes_urgent_messages_ahead_of_a_log_that_is_behind(
    outbox: MemoryOutbox, bus: MemoryBus, shares: Shares, accept: Accept
) -> None:
    relay = Relay(outbox, bus, shares, pause_seconds=0, page_size=2)
    normal = [accept() for _ in range(3)]
    urgent = [accept(lane=Lane.PRIORITY) for _ in range(3)]

    await relay.step()
    first = await urgent_in_queue(bus)
    while await relay.step():
        pass

    assert first == [f"{job.message_id.hex}:0" for job in urgent]
    assert relay.published_counts["sms.priority"] == len(urgent)
    assert relay.published_counts["sms.normal"] == len(normal)


async def test_step_publishes_urgent_messages_that_a_transaction_holds_back(
    outbox: MemoryOutbox, bus: MemoryBus, shares: Shares, accept: Accept
) -> None:
    relay = Relay(outbox, bus, shares, pause_seconds=0)
    outbox.is_held_back = True
    accept()
    urgent = accept(lane=Lane.PRIORITY)

    hurried = [await relay.step(), await relay.step()]
    first = await urgent_in_queue(bus)
    outbox.is_held_back = False
    while await relay.step():
        pass

    assert hurried == [True, False]
    assert first == [f"{urgent.message_id.hex}:0"]
    assert relay.published_counts["sms.priority"] == 1
    assert relay.published_counts["sms.normal"] == 1


async def test_step_leaves_urgent_messages_to_the_log_while_the_broker_is_away(
    outbox: MemoryOutbox, bus: MemoryBus, shares: Shares, accept: Accept
) -> None:
    relay = Relay(outbox, bus, shares, pause_seconds=0, page_size=2)
    while await relay.step():
        pass
    for lane in (Lane.NORMAL, Lane.NORMAL, Lane.PRIORITY):
        accept(lane=lane)
    bus.connected = False

    moved = await relay.step()

    assert not moved
    assert set(relay.published_counts.values()) == {0}


async def test_step_looks_for_urgent_messages_between_the_others_that_it_publishes(
    outbox: MemoryOutbox, shares: Shares, accept: Accept
) -> None:
    hurry = AtFirstPublishing(lambda: accept(lane=Lane.PRIORITY, price_micros=1))
    bus = MemoryBus(observer=hurry)
    relay = Relay(outbox, bus, shares, pause_seconds=0)
    for _ in range(URGENT_AFTER + 1):
        accept(price_micros=1)

    while await relay.step():
        pass

    assert hurry.subjects.index("sms.priority") == URGENT_AFTER
    assert relay.published_counts["sms.priority"] == 1
    assert relay.published_counts["sms.normal"] == URGENT_AFTER + 1
