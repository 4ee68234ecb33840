from collections.abc import Callable
from uuid import UUID

import msgspec
import pytest

from semalink.application.relaying import ReportPayload
from semalink.application.report_intake import ReportIntake, ReportStoreUnavailable
from semalink_adapters.jetstream.streams import DLR_INBOUND
from semalink_adapters.memory_bus import MemoryBus
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_reports import MemoryReports

BODY = b"messageid=1&status=DeliveredToTerminal"


@pytest.fixture
def book(ledger: MemoryLedger, clock: MemoryClock, new_id: Callable[[], UUID]) -> MemoryReports:
    return MemoryReports(ledger, now=clock.now, new_id=new_id)


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


@pytest.fixture
def pokes() -> list[str]:
    return []


@pytest.fixture
def intake(
    book: MemoryReports,
    bus: MemoryBus,
    clock: MemoryClock,
    new_id: Callable[[], UUID],
    pokes: list[str],
) -> ReportIntake:
    return ReportIntake(
        book, bus, now=clock.now, new_id=new_id, on_stored=lambda: pokes.append("stored")
    )


async def test_store_puts_the_report_into_the_database_and_pokes(
    intake: ReportIntake, book: MemoryReports, bus: MemoryBus, pokes: list[str]
) -> None:
    await intake.store("celcom", "text/plain", BODY)

    [raw] = book.raw.values()
    assert (raw.aggregator, raw.content_type, raw.body) == ("celcom", "text/plain", BODY)
    assert bus.count_waiting(DLR_INBOUND) == 0
    assert pokes == ["stored"]


async def test_store_puts_the_report_into_the_broker_while_the_database_is_away(
    intake: ReportIntake, book: MemoryReports, bus: MemoryBus, clock: MemoryClock, pokes: list[str]
) -> None:
    book.is_available = False

    await intake.store("celcom", "text/plain", BODY)

    [delivery] = await bus.source(DLR_INBOUND).fetch(2, 0)
    payload = msgspec.json.decode(delivery.payload, type=ReportPayload)
    assert payload == ReportPayload(payload.report_id, "celcom", "text/plain", BODY, clock.now())
    assert delivery.message_id == payload.report_id.hex
    assert pokes == []


async def test_store_refuses_when_neither_can_take_the_report(
    intake: ReportIntake, book: MemoryReports, bus: MemoryBus
) -> None:
    book.is_available = False
    bus.connected = False

    with pytest.raises(ReportStoreUnavailable):
        await intake.store("celcom", "text/plain", BODY)

    assert book.raw == {}
