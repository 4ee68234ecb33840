from collections.abc import Callable, Sequence
from uuid import UUID

import pytest

from semalink.application.fitting import FittingWindow
from semalink.application.outbox import Position, StreamMark
from semalink.application.relaying import REPORTS_IN_BUNDLE, Relay, ReportPayload
from semalink.application.report_bundles import reports_of
from semalink.application.sharing_out import Shares
from semalink_adapters.jetstream.streams import DLR_INBOUND
from semalink_adapters.memory_bus import MemoryBus
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_outbox import MemoryOutbox
from semalink_adapters.memory_reports import MemoryReports
from semalink_adapters.memory_turns import MemoryTurns


@pytest.fixture
def book(ledger: MemoryLedger, clock: MemoryClock, new_id: Callable[[], UUID]) -> MemoryReports:
    return MemoryReports(ledger, now=clock.now, new_id=new_id)


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


@pytest.fixture
def outbox(ledger: MemoryLedger, book: MemoryReports, clock: MemoryClock) -> MemoryOutbox:
    return MemoryOutbox(ledger, book, now=clock.now)


@pytest.fixture
def relay(outbox: MemoryOutbox, bus: MemoryBus, ledger: MemoryLedger, clock: MemoryClock) -> Relay:
    shares = Shares(
        MemoryTurns(ledger, outbox, now=clock.now),
        FittingWindow(1_000, now=lambda: 0.0, fewest=1_000),
    )
    return Relay(outbox, bus, shares, pause_seconds=0)


async def store(book: MemoryReports, count: int) -> list[ReportPayload]:
    for _ in range(count):
        await book.store_raw("celcom", "application/json", b"[]")
    return [ReportPayload(report_id) for report_id in book.raw]


async def queued(bus: MemoryBus) -> list[Sequence[ReportPayload]]:
    deliveries = await bus.source(DLR_INBOUND).fetch(100, 0)
    return [reports_of(delivery.payload) for delivery in deliveries]


async def test_step_reports_publishes_what_is_there_in_bundles_and_the_rest_alone(
    relay: Relay, bus: MemoryBus, book: MemoryReports
) -> None:
    reports = await store(book, REPORTS_IN_BUNDLE + 1)

    await relay.step_reports()

    assert await queued(bus) == [reports[:-1], reports[-1:]]
    assert relay.published_counts["dlr.inbound"] == len(reports)


async def test_step_reports_adds_nothing_when_the_relay_died_before_it_took_note(
    relay: Relay, bus: MemoryBus, book: MemoryReports, outbox: MemoryOutbox
) -> None:
    reports = await store(book, 3)

    await relay.step_reports()
    await outbox.reports_published(Position("0", 0))
    await relay.step_reports()

    assert await queued(bus) == [reports]


async def test_step_reports_leaves_none_out_of_a_page_that_lacks_one_of_before(
    relay: Relay, bus: MemoryBus, book: MemoryReports, outbox: MemoryOutbox
) -> None:
    first, second, third = await store(book, 3)

    await relay.step_reports()
    del book.raw[second.report_id]
    fourth = (await store(book, 1))[-1]
    await outbox.reports_published(Position("0", 0))
    await relay.step_reports()

    assert await queued(bus) == [[first, second, third], [first, third, fourth]]


async def test_repair_puts_reports_back_in_bundles_that_the_broker_lost(
    relay: Relay, bus: MemoryBus, book: MemoryReports, clock: MemoryClock
) -> None:
    reports = await store(book, 3)
    await relay.step_reports()
    await relay.repair([StreamMark("DLR_INBOUND", clock.now(), 1, 1, 1)])
    clock.advance(seconds=1)

    await relay.repair([StreamMark("DLR_INBOUND", clock.now(), 0, 1, 1)])

    assert await queued(bus) == [reports, reports]


async def test_repair_puts_reports_back_alone_that_vanished(
    relay: Relay, bus: MemoryBus, book: MemoryReports, clock: MemoryClock
) -> None:
    first, second = await store(book, 2)
    clock.advance(seconds=30)

    await relay.repair([StreamMark("DLR_INBOUND", clock.now(), 9, 0, 0)])

    assert await queued(bus) == [[first], [second]]
