from collections.abc import Callable
from uuid import UUID

import msgspec
import pytest

from semalink.application.bus import Delivery
from semalink.application.ports import DeliveryReport, ReportState
from semalink.application.relaying import ReportPayload
from semalink.application.reporting import ReportProcessor
from semalink.application.submission import Job
from semalink.domain.errors import AccountNotFound
from semalink_adapters.jetstream.streams import DLR_INBOUND
from semalink_adapters.memory_aggregator import MemoryAggregator, write_reports
from semalink_adapters.memory_bus import MemoryBus
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_reports import MemoryReports
from semalink_ops.workers import ReportHandler


@pytest.fixture
def book(ledger: MemoryLedger, clock: MemoryClock, new_id: Callable[[], UUID]) -> MemoryReports:
    return MemoryReports(ledger, now=clock.now, new_id=new_id)


@pytest.fixture
def handler(ledger: MemoryLedger, book: MemoryReports, clock: MemoryClock) -> ReportHandler:
    aggregators = {"celcom": MemoryAggregator("celcom")}
    return ReportHandler(
        ReportProcessor(ledger, book, aggregators, now=clock.now, observe=lambda _, __: None)
    )


async def delivered(bus: MemoryBus, report_id: UUID, *, times: int) -> Delivery:
    payload = msgspec.json.encode(ReportPayload(report_id))
    await bus.publish(DLR_INBOUND.subject, payload, message_id=report_id.hex)
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
