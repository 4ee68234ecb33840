from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from semalink.application.bus import NotReady, PoisonMessage
from semalink.application.ports import DeliveryReport, ReportState
from semalink.application.relaying import ReportPayload
from semalink.application.reporting import ReportProcessor
from semalink.application.submission import Job, Next
from semalink.domain.errors import AccountNotFound
from semalink.domain.message import Message
from semalink.domain.status import Status
from semalink_adapters.memory_aggregator import MemoryAggregator, write_reports
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_reports import MemoryReports

Accept = Callable[..., Job]
Do = Callable[..., Next]
See = Callable[[Job], Message]
Names = Callable[..., list[str]]

TO = "+254712345678"


@pytest.fixture
def book(ledger: MemoryLedger, clock: MemoryClock, new_id: Callable[[], UUID]) -> MemoryReports:
    return MemoryReports(ledger, now=clock.now, new_id=new_id)


@pytest.fixture
def observed() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def processor(
    ledger: MemoryLedger,
    book: MemoryReports,
    clock: MemoryClock,
    observed: list[tuple[str, str]],
) -> ReportProcessor:
    return ReportProcessor(
        ledger,
        book,
        {"celcom": MemoryAggregator("celcom")},
        now=clock.now,
        observe=lambda aggregator, state: observed.append((aggregator, state)),
    )


def about(
    job: Job, state: ReportState = ReportState.DELIVERED, *, to: str | None = None
) -> DeliveryReport:
    return DeliveryReport(f"celcom-{job.message_id.int}-1", state, state.value, to=to)


async def stored(
    book: MemoryReports, *reports: DeliveryReport, aggregator: str = "celcom"
) -> ReportPayload:
    before = set(book.raw)
    await book.store_raw(aggregator, "application/json", write_reports(*reports))
    [report_id] = set(book.raw) - before
    return ReportPayload(report_id)


async def test_process_applies_each_report_of_a_body(
    processor: ReportProcessor,
    book: MemoryReports,
    accept: Accept,
    start: Do,
    take: Do,
    see: See,
) -> None:
    jobs = [accept(), accept()]
    for job in jobs:
        start(job)
        take(job)
    payload = await stored(book, *(about(job) for job in jobs))

    await processor.process([payload])

    assert [see(job).status for job in jobs] == [Status.DELIVERED] * 2
    assert book.unprocessed == {}
    assert book.shelf == []


async def test_process_records_who_said_it_and_in_which_report(
    processor: ReportProcessor, book: MemoryReports, submitted: Job, ledger: MemoryLedger
) -> None:
    payload = await stored(book, about(submitted))

    await processor.process([payload])

    delivered = ledger.events_of(submitted.message_id)[-1]
    assert isinstance(delivered, Message.Delivered)
    assert delivered.actor == "aggregator:celcom"
    assert delivered.request_id == f"rpt_{payload.report_id.hex}"


async def test_process_counts_a_repeated_batch_once(
    processor: ReportProcessor, book: MemoryReports, submitted: Job, ledger: MemoryLedger
) -> None:
    payload = await stored(book, about(submitted, ReportState.REJECTED))
    await processor.process([payload])
    recorded = len(ledger.log)

    await processor.process([payload, payload])

    assert len(ledger.log) == recorded


async def test_process_stores_a_report_that_came_inline(
    processor: ReportProcessor, book: MemoryReports, submitted: Job, clock: MemoryClock, see: See
) -> None:
    body = write_reports(about(submitted))
    payload = ReportPayload(UUID(int=77), "celcom", "application/json", body, clock.now())

    await processor.process([payload])

    assert see(submitted).status is Status.DELIVERED
    assert list(book.raw) == [UUID(int=77)]


async def test_process_shelves_a_report_that_comes_before_the_answer(
    processor: ReportProcessor, book: MemoryReports, in_flight: Job, take: Do, see: See
) -> None:
    await processor.process([await stored(book, about(in_flight))])
    shelved = len(book.shelf)
    early = see(in_flight).status
    take(in_flight)

    await processor.sweep()

    assert (shelved, early) == (1, Status.ACCEPTED)
    assert see(in_flight).status is Status.DELIVERED
    assert book.shelf == []


async def test_process_tells_the_observer_each_state(
    processor: ReportProcessor,
    book: MemoryReports,
    submitted: Job,
    observed: list[tuple[str, str]],
    see: See,
) -> None:
    said = (about(submitted, ReportState.QUEUED), about(submitted, ReportState.UNRECOGNISED))

    await processor.process([await stored(book, *said)])

    assert observed == [("celcom", "queued"), ("celcom", "unrecognised")]
    assert see(submitted).status is Status.SUBMITTED


async def test_process_refuses_a_report_that_nobody_can_read(
    processor: ReportProcessor, book: MemoryReports
) -> None:
    await book.store_raw("celcom", "text/plain", b"<html>")
    [report_id] = book.raw

    with pytest.raises(PoisonMessage, match="unreadable_report"):
        await processor.process([ReportPayload(report_id)])

    assert book.unprocessed == {}
    assert list(book.raw) == [report_id]


async def test_process_sets_nothing_aside_while_a_bad_report_is_one_of_several(
    processor: ReportProcessor, book: MemoryReports, submitted: Job
) -> None:
    good = await stored(book, about(submitted))
    await book.store_raw("celcom", "text/plain", b"<html>")
    bad_id = list(book.raw)[-1]

    with pytest.raises(PoisonMessage):
        await processor.process([good, ReportPayload(bad_id)])

    assert list(book.unprocessed) == [good.report_id, bad_id]


async def test_sweep_sets_a_refused_report_aside_and_goes_on(
    processor: ReportProcessor,
    book: MemoryReports,
    submitted: Job,
    ledger: MemoryLedger,
    see: See,
) -> None:
    bad = replace(about(submitted, ReportState.REJECTED), reference="celcom-404-1")
    await processor.process([await stored(book, bad)])
    ledger.references["celcom", bad.reference] = (submitted.message_id, UUID(int=404))
    good = replace(about(submitted), reference="celcom-405-1")
    await processor.process([await stored(book, good)])
    owner = (submitted.message_id, submitted.billing_account_id)
    ledger.references["celcom", good.reference] = owner

    with capture_logs() as logs:
        await processor.sweep()

    reasons = [log["reason"] for log in logs if log["event"] == "shelved_report_set_aside"]
    assert reasons == [AccountNotFound.code]
    assert see(submitted).status is Status.DELIVERED
    assert book.shelf == []


async def test_sweep_expires_what_was_not_handed_over(
    processor: ReportProcessor,
    book: MemoryReports,
    accept: Accept,
    clock: MemoryClock,
    see: See,
    entries: Names,
) -> None:
    job = accept(expires_at=clock.now() + timedelta(minutes=10))
    await book.park(job.message_id)
    clock.advance(minutes=11)
    await processor.sweep()
    too_early = see(job).status
    clock.advance(seconds=1)

    await processor.sweep()

    assert too_early is Status.ACCEPTED
    assert see(job).status is Status.EXPIRED
    assert entries() == ["Reserved", "Released"]


async def test_process_refuses_a_report_of_an_aggregator_that_is_not_there(
    processor: ReportProcessor, book: MemoryReports, submitted: Job
) -> None:
    payload = await stored(book, about(submitted), aggregator="retired")

    with pytest.raises(PoisonMessage, match="unknown_aggregator"):
        await processor.process([payload])


async def test_process_is_not_ready_while_the_ledger_is_away(
    processor: ReportProcessor, book: MemoryReports, submitted: Job, ledger: MemoryLedger
) -> None:
    payload = await stored(book, about(submitted))
    ledger.is_available = False

    with pytest.raises(NotReady):
        await processor.process([payload])

    assert list(book.unprocessed) == [payload.report_id]


async def test_process_is_not_ready_while_the_book_is_away(
    processor: ReportProcessor, book: MemoryReports, submitted: Job
) -> None:
    payload = await stored(book, about(submitted))
    book.is_available = False

    with pytest.raises(NotReady):
        await processor.process([payload])


async def test_process_passes_over_a_message_that_was_archived(
    processor: ReportProcessor, book: MemoryReports, account_id: UUID, ledger: MemoryLedger
) -> None:
    gone = Job(UUID(int=404), account_id, account_id)
    ledger.references["celcom", "celcom-404-1"] = (gone.message_id, account_id)

    await processor.process([await stored(book, about(gone))])

    assert book.unprocessed == {}


async def test_sweep_matches_the_only_recipient_whose_outcome_is_unknown(
    processor: ReportProcessor,
    book: MemoryReports,
    lost: Job,
    clock: MemoryClock,
    see: See,
    entries: Names,
) -> None:
    await processor.process([await stored(book, about(lost, to=TO))])
    clock.advance(seconds=60)
    await processor.sweep()
    too_early = see(lost).status
    clock.advance(seconds=1)

    await processor.sweep()

    assert too_early is Status.ACCEPTED
    assert see(lost).status is Status.DELIVERED
    assert entries() == ["Reserved", "Charged"]
    assert book.shelf == []


async def test_sweep_guesses_nothing_when_two_messages_to_a_recipient_are_unknown(
    processor: ReportProcessor,
    book: MemoryReports,
    accept: Accept,
    start: Do,
    lose: Do,
    clock: MemoryClock,
) -> None:
    jobs = [accept(), accept()]
    for job in jobs:
        start(job)
        lose(job)
    await processor.process([await stored(book, about(jobs[0], to=TO))])
    clock.advance(hours=1)

    await processor.sweep()

    assert len(book.shelf) == 1


async def test_sweep_ends_what_was_waited_for_long_enough(
    processor: ReportProcessor, lost: Job, clock: MemoryClock, see: See, entries: Names
) -> None:
    clock.advance(hours=47)
    await processor.sweep()
    too_early = see(lost).status
    clock.advance(hours=1)

    await processor.sweep()

    assert too_early is Status.ACCEPTED
    assert see(lost).status is Status.UNKNOWN
    assert entries() == ["Reserved", "Released"]
