from collections.abc import Callable

import pytest

from semalink.application.ports import ReportState
from semalink.application.submission import Job, Next
from semalink.domain.draft import Mode
from semalink.domain.failure_codes import FAILURES
from semalink.domain.message import Message
from semalink.domain.status import Status
from semalink_adapters.memory_ledger import MemoryLedger

Accept = Callable[..., Job]
Do = Callable[..., Next]
Report = Callable[..., Status]
See = Callable[[Job], Message]
Names = Callable[..., list[str]]

UNSETTLED = [
    ReportState.QUEUED,
    ReportState.SUBMITTED,
    ReportState.UNKNOWN,
    ReportState.UNRECOGNISED,
]


def test_record_report_delivers(submitted: Job, report: Report, see: See, entries: Names) -> None:
    status = report(submitted, ReportState.DELIVERED, network="63903")

    assert status is Status.DELIVERED
    assert see(submitted).network == "airtel"
    assert entries() == ["Reserved", "Charged"]


@pytest.mark.parametrize(
    ("state", "status", "failure_code"),
    [
        (ReportState.FAILED, Status.FAILED, "delivery_failed"),
        (ReportState.EXPIRED, Status.EXPIRED, "validity_expired"),
        (ReportState.REJECTED, Status.REJECTED, "rejected_by_operator"),
    ],
)
def test_record_report_ends_with_a_reason(
    submitted: Job,
    report: Report,
    see: See,
    state: ReportState,
    status: Status,
    failure_code: str,
) -> None:
    report(submitted, state)

    message = see(submitted)
    assert message.status is status
    assert message.failure_code == failure_code
    assert message.failure_code in FAILURES


@pytest.mark.parametrize("state", [ReportState.FAILED, ReportState.EXPIRED])
def test_record_report_refunds_nothing_when_the_network_tried(
    submitted: Job, report: Report, see: See, entries: Names, state: ReportState
) -> None:
    report(submitted, state)

    assert see(submitted).refunded_micros == 0
    assert entries() == ["Reserved", "Charged"]


def test_record_report_keeps_the_closer_reason(submitted: Job, report: Report, see: See) -> None:
    report(submitted, ReportState.FAILED, failure_code="absent_subscriber")

    assert see(submitted).failure_code == "absent_subscriber"


def test_record_report_refunds_rejected_once(
    submitted: Job, report: Report, entries: Names
) -> None:
    report(submitted, ReportState.REJECTED)

    report(submitted, ReportState.REJECTED)

    assert entries() == ["Reserved", "Charged", "Refunded"]


def test_record_report_refunds_nothing_in_test_mode(
    accept: Accept, start: Do, take: Do, report: Report, see: See, entries: Names
) -> None:
    job = accept(mode=Mode.TEST)
    start(job)
    take(job, aggregator="sandbox")

    report(job, ReportState.REJECTED)

    assert see(job).status is Status.REJECTED
    assert see(job).refunded_micros == 0
    assert entries() == []


@pytest.mark.parametrize("state", UNSETTLED)
def test_record_report_only_notes_what_settles_nothing(
    submitted: Job, report: Report, see: See, state: ReportState
) -> None:
    status = report(submitted, state, description="Scheduled")

    assert status is Status.SUBMITTED
    assert see(submitted).last_report == "Scheduled"


@pytest.mark.parametrize("state", ReportState)
def test_record_report_changes_nothing_when_repeated(
    ledger: MemoryLedger, submitted: Job, report: Report, state: ReportState
) -> None:
    report(submitted, state)
    recorded = len(ledger.log)

    report(submitted, state)

    assert len(ledger.log) == recorded


@pytest.mark.parametrize("state", [state for state in ReportState if state != "delivered"])
def test_record_report_never_undoes_delivered(
    ledger: MemoryLedger, submitted: Job, report: Report, state: ReportState
) -> None:
    report(submitted, ReportState.DELIVERED)
    recorded = len(ledger.log)

    status = report(submitted, state)

    assert status is Status.DELIVERED
    assert len(ledger.log) == recorded


@pytest.mark.parametrize("state", [ReportState.FAILED, ReportState.EXPIRED, ReportState.REJECTED])
def test_record_report_delivers_also_after_another_end(
    submitted: Job, report: Report, see: See, state: ReportState
) -> None:
    report(submitted, state)

    report(submitted, ReportState.DELIVERED)

    assert see(submitted).status is Status.DELIVERED
    assert see(submitted).failure_code is None


def test_record_report_lets_the_first_end_stand(
    submitted: Job, report: Report, see: See, entries: Names
) -> None:
    report(submitted, ReportState.FAILED)

    report(submitted, ReportState.REJECTED)

    assert see(submitted).status is Status.FAILED
    assert entries() == ["Reserved", "Charged"]


@pytest.mark.parametrize("state", UNSETTLED)
def test_record_report_charges_for_a_message_whose_answer_was_lost(
    lost: Job, report: Report, see: See, entries: Names, state: ReportState
) -> None:
    status = report(lost, state)

    assert status is Status.SUBMITTED
    assert see(lost).reference is not None
    assert see(lost).charged_micros == 800_000
    assert entries() == ["Reserved", "Charged"]


def test_record_report_charges_and_refunds_when_the_lost_message_was_rejected(
    lost: Job, report: Report, see: See, entries: Names
) -> None:
    report(lost, ReportState.REJECTED)

    assert see(lost).status is Status.REJECTED
    assert entries() == ["Reserved", "Charged", "Refunded"]


def test_record_report_charges_while_the_answer_is_still_awaited(
    accept: Accept, start: Do, take: Do, report: Report, see: See, entries: Names
) -> None:
    job = accept()
    start(job)
    report(job, ReportState.DELIVERED)

    take(job)

    assert see(job).status is Status.DELIVERED
    assert entries() == ["Reserved", "Charged"]


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (ReportState.DELIVERED, Status.DELIVERED),
        (ReportState.FAILED, Status.FAILED),
        (ReportState.REJECTED, Status.REJECTED),
        (ReportState.SUBMITTED, Status.UNKNOWN),
    ],
)
def test_record_report_tells_late_what_became_of_an_unknown_message(
    lost: Job, conclude: Do, report: Report, entries: Names, state: ReportState, status: Status
) -> None:
    conclude(lost)

    told = report(lost, state)

    assert told is status
    assert entries() == ["Reserved", "Released"]
