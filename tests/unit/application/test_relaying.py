from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import msgspec
import pytest
from structlog.testing import capture_logs

from semalink.application.fitting import FittingWindow
from semalink.application.outbox import StreamMark
from semalink.application.relaying import (
    REFILLS_MAX,
    STEPS_BETWEEN_DUE,
    JobPayload,
    Relay,
    ReportPayload,
)
from semalink.application.sharing_out import Shares
from semalink.application.submission import Job, Next
from semalink.domain.draft import Lane
from semalink_adapters.jetstream.streams import DLR_INBOUND, SMS_NORMAL, SMS_PRIORITY, Queue
from semalink_adapters.memory_bus import MemoryBus
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_outbox import MemoryOutbox
from semalink_adapters.memory_reports import MemoryReports
from semalink_adapters.memory_turns import MemoryTurns

Accept = Callable[..., Job]
Do = Callable[..., Next]


@pytest.fixture
def book(ledger: MemoryLedger, clock: MemoryClock, new_id: Callable[[], UUID]) -> MemoryReports:
    return MemoryReports(ledger, now=clock.now, new_id=new_id)


@pytest.fixture
def outbox(ledger: MemoryLedger, book: MemoryReports, clock: MemoryClock) -> MemoryOutbox:
    return MemoryOutbox(ledger, book, now=clock.now)


@pytest.fixture
def shares(ledger: MemoryLedger, outbox: MemoryOutbox, clock: MemoryClock) -> Shares:
    turns = MemoryTurns(ledger, outbox, now=clock.now)
    return Shares(turns, FittingWindow(1_000, now=lambda: 0.0, fewest=1_000))


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


@pytest.fixture
def relay(outbox: MemoryOutbox, bus: MemoryBus, shares: Shares) -> Relay:
    return Relay(outbox, bus, shares, pause_seconds=0)


@pytest.fixture
def mark(clock: MemoryClock) -> StreamMark:
    return StreamMark("SMS_NORMAL", clock.now(), last_sequence=5, message_count=1, waiting_count=1)


async def queued(bus: MemoryBus, queue: Queue) -> list[tuple[str, bytes]]:
    deliveries = await bus.source(queue).fetch(100, 0)
    return [(delivery.message_id, delivery.payload) for delivery in deliveries]


async def test_step_publishes_an_accepted_message_once_in_its_lane(
    relay: Relay, bus: MemoryBus, accept: Accept, clock: MemoryClock
) -> None:
    job = accept(lane=Lane.PRIORITY)

    moved = [await relay.step(), await relay.step()]

    [(message_id, payload)] = await queued(bus, SMS_PRIORITY)
    assert moved == [True, False]
    assert message_id == f"{job.message_id.hex}:0"
    assert msgspec.json.decode(payload, type=JobPayload).message_id == job.message_id
    assert await queued(bus, SMS_NORMAL) == []
    assert relay.published_counts["sms.priority"] == 1


async def test_step_names_the_oldest_message_that_waits(
    relay: Relay, accept: Accept, clock: MemoryClock
) -> None:
    accept()
    accepted_at = clock.now()
    clock.advance(seconds=1)
    accept()

    await relay.step()
    oldest_at = relay.oldest_at
    await relay.step()

    assert oldest_at == accepted_at
    assert relay.oldest_at is None


async def test_step_publishes_ids_only(relay: Relay, bus: MemoryBus, accepted: Job) -> None:
    await relay.step()

    [(_, payload)] = await queued(bus, SMS_NORMAL)
    assert set(msgspec.json.decode(payload)) == {"message_id", "account_id", "billing_account_id"}


async def test_step_reports_publishes_a_stored_report_once(
    relay: Relay, bus: MemoryBus, book: MemoryReports
) -> None:
    await book.store_raw("celcom", "application/json", b"[]")
    [report_id] = book.raw

    moved = [await relay.step_reports(), await relay.step_reports()]

    [(message_id, payload)] = await queued(bus, DLR_INBOUND)
    assert moved == [True, False]
    assert message_id == report_id.hex
    assert relay.published_counts["dlr.inbound"] == 1
    assert msgspec.json.decode(payload, type=ReportPayload) == ReportPayload(report_id)


async def test_step_publishes_a_message_again_when_it_was_put_off_and_is_due(
    relay: Relay,
    bus: MemoryBus,
    in_flight: Job,
    refuse: Do,
    clock: MemoryClock,
    ledger: MemoryLedger,
) -> None:
    await relay.step()
    refuse(in_flight, retryable=True, may_fail_over=False)
    await relay.step()
    too_early = await queued(bus, SMS_NORMAL)
    clock.advance(seconds=5)

    moved = [await relay.step(), await relay.step()]

    [(message_id, _)] = await queued(bus, SMS_NORMAL)
    assert len(too_early) == 1
    assert moved == [True, False]
    assert message_id == f"{in_flight.message_id.hex}:1"
    assert ledger.pending()[in_flight.message_id].state == "queued"


async def test_step_publishes_what_is_due_now_and_then_while_new_messages_keep_coming(
    relay: Relay,
    in_flight: Job,
    refuse: Do,
    accept: Accept,
    clock: MemoryClock,
    ledger: MemoryLedger,
) -> None:
    refuse(in_flight, retryable=True, may_fail_over=False)
    clock.advance(seconds=5)

    for _ in range(STEPS_BETWEEN_DUE):
        accept(price_micros=1)
        await relay.step()

    assert ledger.pending()[in_flight.message_id].state == "queued"


async def test_step_moves_no_cursor_while_the_broker_is_away(
    relay: Relay, bus: MemoryBus, book: MemoryReports, in_flight: Job, refuse: Do, accept: Accept
) -> None:
    refuse(in_flight, retryable=True, may_fail_over=False)
    accept()
    await book.store_raw("celcom", "application/json", b"[]")
    bus.connected = False
    away = [await relay.step(), await relay.step_reports()]
    bus.connected = True

    back = [await relay.step(), await relay.step_reports()]

    assert (away, back) == ([False, False], [True, True])
    assert len(await queued(bus, SMS_NORMAL)) == 2
    assert len(await queued(bus, DLR_INBOUND)) == 1


async def test_step_keeps_a_due_message_due_while_the_broker_is_away(
    relay: Relay,
    bus: MemoryBus,
    in_flight: Job,
    refuse: Do,
    clock: MemoryClock,
    ledger: MemoryLedger,
) -> None:
    await relay.step()
    refuse(in_flight, retryable=True, may_fail_over=False)
    clock.advance(seconds=5)
    bus.connected = False

    moved = [await relay.step(), await relay.step()]

    assert moved[1] is False
    assert ledger.pending()[in_flight.message_id].state == "postponed"


async def test_repair_leaves_streams_alone_that_are_filled_from_elsewhere(
    relay: Relay, bus: MemoryBus, accepted: Job, mark: StreamMark, clock: MemoryClock
) -> None:
    await relay.repair([replace(mark, stream="SMS_CONTENT", waiting_count=0)])

    with capture_logs() as lines:
        await relay.repair([StreamMark("SMS_CONTENT", clock.now(), 0, 0, 0)])

    assert lines == []
    assert await queued(bus, SMS_NORMAL) == []


async def test_repair_leaves_a_stream_alone_that_is_what_it_was(
    relay: Relay, bus: MemoryBus, accepted: Job, mark: StreamMark, clock: MemoryClock
) -> None:
    await relay.repair([mark])
    clock.advance(hours=1)

    await relay.repair([mark])

    assert await queued(bus, SMS_NORMAL) == []


async def test_repair_puts_back_what_a_stream_made_anew_has_lost(
    relay: Relay, bus: MemoryBus, accept: Accept, mark: StreamMark, clock: MemoryClock
) -> None:
    normal, priority = accept(), accept(lane=Lane.PRIORITY)
    await relay.repair([mark])
    anew = StreamMark("SMS_NORMAL", clock.now() + timedelta(seconds=1), 0, 3, 3)

    await relay.repair([anew])

    [(message_id, _)] = await queued(bus, SMS_NORMAL)
    assert message_id.startswith(f"{normal.message_id.hex}:0:")
    assert await queued(bus, SMS_PRIORITY) == []
    assert priority.message_id != normal.message_id


async def test_repair_puts_back_what_a_stream_cut_short_has_lost(
    relay: Relay, bus: MemoryBus, accepted: Job, mark: StreamMark, clock: MemoryClock
) -> None:
    await relay.repair([mark])

    await relay.repair([StreamMark("SMS_NORMAL", mark.created_at, 4, 1, 1)])

    assert len(await queued(bus, SMS_NORMAL)) == 1


async def test_repair_gets_past_the_deduplication_of_the_broker(
    relay: Relay, bus: MemoryBus, accepted: Job, clock: MemoryClock
) -> None:
    await relay.step()
    [delivery] = await bus.source(SMS_NORMAL).fetch(1, 0)
    await delivery.ack()
    clock.advance(seconds=30)

    await relay.repair([StreamMark("SMS_NORMAL", clock.now(), 1, 0, 0)])

    assert len(await queued(bus, SMS_NORMAL)) == 1


async def test_repair_gives_an_empty_stream_half_a_minute(
    relay: Relay, bus: MemoryBus, accepted: Job, clock: MemoryClock
) -> None:
    empty = StreamMark("SMS_NORMAL", clock.now(), 1, 0, 0)
    clock.advance(seconds=29)
    await relay.repair([empty])
    too_early = await queued(bus, SMS_NORMAL)
    clock.advance(seconds=1)

    await relay.repair([empty])
    await relay.repair([empty])

    assert too_early == []
    assert len(await queued(bus, SMS_NORMAL)) == 1


async def test_repair_tries_again_when_the_broker_went_away_in_the_middle(
    relay: Relay, bus: MemoryBus, accepted: Job, mark: StreamMark, clock: MemoryClock
) -> None:
    await relay.repair([mark])
    anew = StreamMark("SMS_NORMAL", clock.now() + timedelta(seconds=1), 0, 3, 3)
    bus.connected = False
    await relay.repair([anew])
    bus.connected = True

    await relay.repair([anew])

    assert len(await queued(bus, SMS_NORMAL)) == 1


async def test_repair_puts_back_what_was_delivered_too_often_and_is_nobodys_work(
    relay: Relay, bus: MemoryBus, accepted: Job, clock: MemoryClock
) -> None:
    clock.advance(seconds=30)

    await relay.repair([StreamMark("SMS_NORMAL", clock.now(), 5, 1, 0)])

    assert len(await queued(bus, SMS_NORMAL)) == 1


async def test_repair_parks_a_message_that_vanishes_whenever_it_is_put_back(
    relay: Relay, bus: MemoryBus, accepted: Job, clock: MemoryClock, ledger: MemoryLedger
) -> None:
    dead = StreamMark("SMS_NORMAL", clock.now(), 5, 1, 0)
    states = []

    with capture_logs() as logs:
        for _ in range(REFILLS_MAX + 2):
            clock.advance(seconds=30)
            await relay.repair([replace(dead, last_sequence=dead.last_sequence + len(states))])
            states.append(ledger.pending()[accepted.message_id].state)

    assert states == ["queued"] * REFILLS_MAX + ["parked"] * 2
    assert len(await queued(bus, SMS_NORMAL)) == REFILLS_MAX
    assert [log["log_level"] for log in logs if log["event"] == "message_parked"] == ["error"]


async def test_repair_counts_nothing_against_a_message_that_the_broker_lost(
    relay: Relay, accepted: Job, mark: StreamMark, clock: MemoryClock, ledger: MemoryLedger
) -> None:
    await relay.repair([mark])

    for number in range(REFILLS_MAX + 2):
        clock.advance(seconds=30)
        await relay.repair([replace(mark, created_at=clock.now(), waiting_count=number)])

    assert ledger.pending()[accepted.message_id].state == "queued"


async def test_repair_sets_a_report_aside_that_vanishes_whenever_it_is_put_back(
    relay: Relay, bus: MemoryBus, book: MemoryReports, clock: MemoryClock
) -> None:
    await book.store_raw("celcom", "application/json", b"[]")
    empty = StreamMark("DLR_INBOUND", clock.now(), 9, 0, 0)

    for number in range(REFILLS_MAX + 2):
        clock.advance(seconds=30)
        await relay.repair([replace(empty, last_sequence=9 + number)])

    assert len(await queued(bus, DLR_INBOUND)) == REFILLS_MAX
    assert book.unprocessed == {}
    assert len(book.raw) == 1


async def test_repair_counts_no_refill_against_a_report_that_the_broker_lost(
    relay: Relay, bus: MemoryBus, book: MemoryReports, clock: MemoryClock
) -> None:
    await book.store_raw("celcom", "application/json", b"[]")
    await relay.step()
    await queued(bus, DLR_INBOUND)
    mark = StreamMark("DLR_INBOUND", clock.now(), last_sequence=1, message_count=0, waiting_count=1)
    await relay.repair([mark])
    rounds = REFILLS_MAX + 2

    for _ in range(rounds):
        clock.advance(seconds=60)
        await relay.repair([replace(mark, created_at=clock.now())])

    assert len(await queued(bus, DLR_INBOUND)) == rounds
