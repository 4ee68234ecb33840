from collections.abc import Callable
from uuid import UUID

import msgspec
import pytest

from semalink.application.bus import Delivery, NotReady, PoisonMessage, Replaced
from semalink.application.ports import DeliveryReport, ReportState
from semalink.application.relaying import ReportBundle, ReportPayload
from semalink.application.report_bundles import DELIVERIES_TOGETHER_MAX, reports_of
from semalink.application.reporting import ReportProcessor
from semalink.application.submission import Job
from semalink.domain.errors import AccountNotFound
from semalink_adapters.jetstream.streams import DLR_INBOUND
from semalink_adapters.memory_aggregator import MemoryAggregator, write_reports
from semalink_adapters.memory_bus import MemoryBus
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_reports import MemoryReports
from semalink_ops.report_handling import ReportHandler

#: As the relay names what it puts back after a loss.
FIRST_ID = "0f:1764062400.9"


@pytest.fixture
def book(ledger: MemoryLedger, clock: MemoryClock, new_id: Callable[[], UUID]) -> MemoryReports:
    return MemoryReports(ledger, now=clock.now, new_id=new_id)


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


@pytest.fixture
def handler(
    ledger: MemoryLedger, book: MemoryReports, clock: MemoryClock, bus: MemoryBus
) -> ReportHandler:
    aggregators = {"celcom": MemoryAggregator("celcom")}
    processor = ReportProcessor(
        ledger, book, aggregators, now=clock.now, observe=lambda _, __: None
    )
    return ReportHandler(processor, bus)


async def delivered(bus: MemoryBus, report_id: UUID, *, times: int) -> Delivery:
    return await delivered_as(bus, ReportPayload(report_id), times=times)


async def delivered_as(
    bus: MemoryBus, form: ReportPayload | ReportBundle, *, times: int = 1
) -> Delivery:
    payload = msgspec.json.encode(form)
    await bus.publish(DLR_INBOUND.subject, payload, message_id=FIRST_ID)
    source = bus.source(DLR_INBOUND)
    [delivery] = await source.fetch(1, 0)
    for _ in range(times - 1):
        await delivery.nak()
        [delivery] = await source.fetch(1, 0)
    return delivery


@pytest.mark.parametrize("times", [DLR_INBOUND.max_deliver - 1, DLR_INBOUND.max_deliver])
async def test_handle_sets_a_report_aside_that_fails_for_the_last_time(
    handler: ReportHandler, book: MemoryReports, ledger: MemoryLedger, submitted: Job, times: int
) -> None:
    report = DeliveryReport("celcom-1", ReportState.REJECTED, "Rejected")
    ledger.references["celcom", "celcom-1"] = (submitted.message_id, UUID(int=404))
    await book.store_raw("celcom", "application/json", write_reports(report))
    [report_id] = book.raw
    delivery = await delivered(MemoryBus(), report_id, times=times)

    with pytest.raises(AccountNotFound):
        await handler.handle([delivery])

    assert delivery.num_delivered == times
    assert (report_id in book.unprocessed) is (times < DLR_INBOUND.max_deliver)


async def test_handle_processes_a_bundle_at_once(
    handler: ReportHandler, bus: MemoryBus, book: MemoryReports
) -> None:
    bundle = await stored(book, b"[]", b"[]")
    delivery = await delivered_as(bus, bundle)

    await handler.handle([delivery])

    assert book.unprocessed == {}
    assert bus.count_waiting(DLR_INBOUND) == 1


@pytest.mark.parametrize("times", [1, 2])
async def test_handle_sends_the_reports_of_a_bundle_that_fails_on_one_by_one_and_once(
    handler: ReportHandler, bus: MemoryBus, book: MemoryReports, times: int
) -> None:
    bundle = await stored(book, b"[]", b"garbled")
    delivery = await delivered_as(bus, bundle)

    for _ in range(times):
        # More than once as after a crash before the bundle was acked.
        with pytest.raises(Replaced):
            await handler.handle([delivery])

    rest = await bus.source(DLR_INBOUND).fetch(10, 0)
    assert [reports_of(one.payload) for one in rest] == [
        [ReportPayload(report_id)] for report_id in bundle.report_ids
    ]
    assert set(book.unprocessed) == set(bundle.report_ids)


async def test_handle_leaves_it_to_each_alone_when_several_messages_fail(
    handler: ReportHandler, bus: MemoryBus, book: MemoryReports
) -> None:
    bundle = await stored(book, b"[]", b"garbled")
    delivery = await delivered_as(bus, bundle)

    with pytest.raises(PoisonMessage):
        await handler.handle([delivery, delivery])

    assert bus.count_waiting(DLR_INBOUND) == 1


async def test_handle_keeps_a_bundle_until_the_broker_has_its_reports(
    handler: ReportHandler, bus: MemoryBus, book: MemoryReports
) -> None:
    bundle = await stored(book, b"[]", b"garbled")
    delivery = await delivered_as(bus, bundle)
    bus.connected = False

    with pytest.raises(NotReady):
        await handler.handle([delivery])

    assert set(book.unprocessed) == set(bundle.report_ids)


async def test_handle_keeps_a_bundle_together_while_the_database_is_away(
    handler: ReportHandler, bus: MemoryBus, book: MemoryReports
) -> None:
    bundle = await stored(book, b"[]", b"garbled")
    delivery = await delivered_as(bus, bundle)
    book.is_available = False

    with pytest.raises(NotReady):
        await handler.handle([delivery])

    assert bus.count_waiting(DLR_INBOUND) == 1


async def test_handle_sends_a_bundle_on_untried_that_workers_may_have_died_of(
    handler: ReportHandler, bus: MemoryBus, book: MemoryReports
) -> None:
    bundle = await stored(book, b"[]", b"[]")
    delivery = await delivered_as(bus, bundle, times=DELIVERIES_TOGETHER_MAX + 1)

    await handler.handle([delivery])

    assert set(book.unprocessed) == set(bundle.report_ids)
    assert len(await bus.source(DLR_INBOUND).fetch(10, 0)) == 2


@pytest.mark.parametrize("payload", [b"{", b"{}", b'{"report_ids": ["x"]}', b"\xff"])
async def test_handle_refuses_a_message_that_nobody_can_read(
    handler: ReportHandler, bus: MemoryBus, payload: bytes
) -> None:
    await bus.publish(DLR_INBOUND.subject, payload, message_id=FIRST_ID)
    [delivery] = await bus.source(DLR_INBOUND).fetch(1, 0)

    with pytest.raises(PoisonMessage, match="unreadable_report_job"):
        await handler.handle([delivery])


async def stored(book: MemoryReports, *bodies: bytes) -> ReportBundle:
    for body in bodies:
        await book.store_raw("celcom", "application/json", body)
    return ReportBundle(tuple(book.raw))
