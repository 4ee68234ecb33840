from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest

from semalink.application.awaited_reports import GiveUpOnReport, ReportPoller, ReportTimeouts
from semalink.application.bus import NotReady
from semalink.application.ports import DeliveryReport, ReportState
from semalink.application.relaying import ReportPayload
from semalink.application.reporting import ReportProcessor
from semalink.application.submission import Job, Next
from semalink.domain.cause import Cause
from semalink.domain.message import Message
from semalink.domain.status import Status
from semalink_adapters.memory_aggregator import MemoryAggregator
from semalink_adapters.memory_awaited import MemoryAwaitedReports
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_observer import MemoryPollObserver
from semalink_adapters.memory_reports import MemoryReports

Do = Callable[..., Next]
See = Callable[[Job], Message]
Names = Callable[..., list[str]]

#: The first question is due by then.
FIRST_MINUTES = 2.4
WAIT_HOURS = 72


@pytest.fixture
def observer() -> MemoryPollObserver:
    return MemoryPollObserver()


@pytest.fixture
def celcom() -> MemoryAggregator:
    return MemoryAggregator("celcom")


@pytest.fixture
def awaited(ledger: MemoryLedger, clock: MemoryClock) -> MemoryAwaitedReports:
    return MemoryAwaitedReports(ledger.awaited, now=clock.now)


@pytest.fixture
def book(ledger: MemoryLedger, clock: MemoryClock, new_id: Callable[[], UUID]) -> MemoryReports:
    return MemoryReports(ledger, now=clock.now, new_id=new_id)


@pytest.fixture
def poller(
    celcom: MemoryAggregator,
    awaited: MemoryAwaitedReports,
    book: MemoryReports,
    clock: MemoryClock,
    observer: MemoryPollObserver,
) -> ReportPoller:
    return ReportPoller(celcom, awaited, book, polls_per_second=2, now=clock.now, observer=observer)


@pytest.fixture
def timeouts(
    ledger: MemoryLedger,
    awaited: MemoryAwaitedReports,
    clock: MemoryClock,
    observer: MemoryPollObserver,
) -> ReportTimeouts:
    return ReportTimeouts(
        ledger, awaited, wait=timedelta(hours=WAIT_HOURS), now=clock.now, observer=observer
    )


def reference_of(job: Job) -> str:
    return f"celcom-{job.message_id.int}-1"


async def test_poll_brings_what_a_pushed_report_would_have(
    *,
    poller: ReportPoller,
    celcom: MemoryAggregator,
    ledger: MemoryLedger,
    book: MemoryReports,
    clock: MemoryClock,
    submitted: Job,
    see: See,
) -> None:
    reference = reference_of(submitted)
    celcom.reports[reference] = DeliveryReport(reference, ReportState.DELIVERED, "Delivered")
    processor = ReportProcessor(
        ledger, book, {"celcom": celcom}, now=clock.now, observe=lambda _, __: None
    )
    clock.advance(minutes=FIRST_MINUTES)

    asked_count = await poller.poll()
    [report_id] = book.raw
    await processor.process([ReportPayload(report_id)])

    assert asked_count == 1
    assert see(submitted).status is Status.DELIVERED
    assert ledger.awaited == {}


async def test_poll_asks_nothing_before_it_is_due(
    poller: ReportPoller, celcom: MemoryAggregator, clock: MemoryClock, submitted: Job
) -> None:
    clock.advance(minutes=1)

    assert await poller.poll() == 0
    assert celcom.questions == []


@pytest.mark.parametrize(
    ("last_state", "told", "result"),
    [
        (None, None, "none_yet"),
        ("queued", ReportState.QUEUED, "nothing_new"),
        ("submitted", ReportState.QUEUED, "news"),
        (None, ReportState.SUBMITTED, "news"),
        ("queued", ReportState.FAILED, "news"),
        ("unrecognised", ReportState.UNRECOGNISED, "news"),
    ],
)
async def test_poll_stores_only_what_is_news(
    *,
    poller: ReportPoller,
    celcom: MemoryAggregator,
    ledger: MemoryLedger,
    book: MemoryReports,
    clock: MemoryClock,
    observer: MemoryPollObserver,
    submitted: Job,
    last_state: str | None,
    told: ReportState | None,
    result: str,
) -> None:
    reference = reference_of(submitted)
    if told is not None:
        celcom.reports[reference] = DeliveryReport(reference, told, "words")
    awaited = ledger.awaited[submitted.message_id]
    awaited.last_state = last_state
    clock.advance(minutes=FIRST_MINUTES)

    await poller.poll()

    assert observer.questions == [("celcom", result)]
    assert len(book.raw) == (result == "news")
    assert awaited.polls == 1
    assert awaited.next_poll_at is not None
    assert awaited.next_poll_at - awaited.submitted_at >= timedelta(minutes=10)


async def test_poll_keeps_to_the_budget_of_a_second(
    poller: ReportPoller,
    celcom: MemoryAggregator,
    clock: MemoryClock,
    accept: Callable[..., Job],
    start: Do,
    take: Do,
) -> None:
    for _ in range(5):
        job = accept()
        start(job)
        take(job)
    clock.advance(minutes=FIRST_MINUTES)

    counts = [await poller.poll(), await poller.poll()]
    clock.advance(seconds=1)
    counts.append(await poller.poll())

    assert counts == [2, 0, 2]
    assert len(set(celcom.questions)) == 4


async def test_poll_leaves_a_provider_in_peace_that_does_not_answer(
    poller: ReportPoller,
    celcom: MemoryAggregator,
    ledger: MemoryLedger,
    clock: MemoryClock,
    observer: MemoryPollObserver,
    submitted: Job,
) -> None:
    celcom.hangs = True
    clock.advance(minutes=FIRST_MINUTES)

    counts = []
    for _ in range(4):
        counts.append(await poller.poll())
        clock.advance(seconds=2)
        counts.append(await poller.poll())
        clock.advance(minutes=5)

    assert counts == [1, 0, 1, 0, 1, 0, 1, 0]
    assert set(observer.questions) == {("celcom", "failed")}
    # None of the questions counts: it is asked five times when the provider is back.
    assert ledger.awaited[submitted.message_id].polls == 0


async def test_poll_asks_on_when_the_provider_is_back(
    poller: ReportPoller, celcom: MemoryAggregator, clock: MemoryClock, submitted: Job
) -> None:
    celcom.hangs = True
    clock.advance(minutes=FIRST_MINUTES)
    await poller.poll()
    celcom.hangs = False
    await poller.poll()

    clock.advance(minutes=5)
    await poller.poll()

    assert celcom.questions == [reference_of(submitted)] * 2


async def test_sweep_ends_as_unknown_what_was_waited_for_long_enough(
    *,
    timeouts: ReportTimeouts,
    ledger: MemoryLedger,
    clock: MemoryClock,
    observer: MemoryPollObserver,
    submitted: Job,
    see: See,
    entries: Names,
) -> None:
    clock.advance(hours=WAIT_HOURS, seconds=1)

    count = await timeouts.sweep()

    message = see(submitted)
    assert count == 1
    assert (message.status, message.failure_code) == (Status.UNKNOWN, "no_delivery_report")
    assert entries() == ["Reserved", "Charged"]
    assert observer.time_outs == ["celcom"]
    assert ledger.awaited == {}


async def test_sweep_waits_until_the_time_has_passed(
    timeouts: ReportTimeouts, clock: MemoryClock, submitted: Job, see: See
) -> None:
    clock.advance(hours=WAIT_HOURS)

    assert await timeouts.sweep() == 0
    assert see(submitted).status is Status.SUBMITTED


async def test_sweep_refunds_when_the_rule_of_the_account_says_so(
    *,
    timeouts: ReportTimeouts,
    clock: MemoryClock,
    accept: Callable[..., Job],
    start: Do,
    take: Do,
    report: Callable[..., Status],
    see: See,
    entries: Names,
) -> None:
    job = accept(refunded_on=("unknown", "rejected"))
    start(job)
    take(job)
    clock.advance(hours=WAIT_HOURS, seconds=1)

    await timeouts.sweep()
    report(job, ReportState.REJECTED)

    # What became known later changes the state, and the money went back already.
    assert see(job).status is Status.REJECTED
    assert entries() == ["Reserved", "Charged", "Refunded"]


async def test_late_report_refunds_what_a_time_out_did_not(
    timeouts: ReportTimeouts,
    clock: MemoryClock,
    submitted: Job,
    report: Callable[..., Status],
    entries: Names,
) -> None:
    clock.advance(hours=WAIT_HOURS, seconds=1)
    await timeouts.sweep()

    statuses = [report(submitted, ReportState.REJECTED), report(submitted, ReportState.REJECTED)]

    assert statuses == [Status.REJECTED, Status.REJECTED]
    assert entries() == ["Reserved", "Charged", "Refunded"]


async def test_late_report_turns_a_time_out_into_a_delivery(
    timeouts: ReportTimeouts,
    clock: MemoryClock,
    submitted: Job,
    report: Callable[..., Status],
    entries: Names,
) -> None:
    clock.advance(hours=WAIT_HOURS, seconds=1)
    await timeouts.sweep()

    assert report(submitted, ReportState.DELIVERED) is Status.DELIVERED
    assert entries() == ["Reserved", "Charged"]


def test_give_up_changes_nothing_when_a_report_came_meanwhile(
    ledger: MemoryLedger,
    clock: MemoryClock,
    cause: Callable[..., Cause],
    submitted: Job,
    report: Callable[..., Status],
    see: See,
) -> None:
    report(submitted, ReportState.DELIVERED)
    clock.advance(hours=WAIT_HOURS)

    answer = ledger.decide(GiveUpOnReport(submitted, clock.now(), cause()))

    assert answer.value is False
    assert see(submitted).status is Status.DELIVERED


def test_give_up_goes_by_the_last_submission(
    ledger: MemoryLedger,
    clock: MemoryClock,
    cause: Callable[..., Cause],
    submitted: Job,
    see: See,
) -> None:
    answer = ledger.decide(GiveUpOnReport(submitted, clock.now(), cause()))

    assert answer.value is False
    assert see(submitted).status is Status.SUBMITTED


async def test_sweep_counts_no_message_that_is_waited_for_on(
    timeouts: ReportTimeouts,
    ledger: MemoryLedger,
    clock: MemoryClock,
    observer: MemoryPollObserver,
    submitted: Job,
) -> None:
    ledger.awaited[submitted.message_id].submitted_at = clock.now() - timedelta(days=9)

    assert await timeouts.sweep() == 1
    assert observer.time_outs == []


async def test_sweep_forgets_a_message_that_was_archived(
    timeouts: ReportTimeouts, ledger: MemoryLedger, clock: MemoryClock, submitted: Job
) -> None:
    del ledger.streams[Message][submitted.message_id]
    clock.advance(hours=WAIT_HOURS, seconds=1)

    await timeouts.sweep()

    assert ledger.awaited == {}


async def test_sweep_is_postponed_while_the_ledger_is_away(
    timeouts: ReportTimeouts, ledger: MemoryLedger, clock: MemoryClock, submitted: Job
) -> None:
    ledger.is_available = False
    clock.advance(hours=WAIT_HOURS, seconds=1)

    with pytest.raises(NotReady):
        await timeouts.sweep()

    assert submitted.message_id in ledger.awaited
