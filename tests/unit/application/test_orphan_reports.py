from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest

from semalink.application.orphan_reports import (
    AttachReport,
    DiscardReport,
    Orphan,
    OrphanPlace,
    detail_of_orphan,
    format_place,
    masked,
    parse_place,
    view_of_orphan,
)
from semalink.application.ports import DeliveryReport, ReportState
from semalink.application.reporting import ParsedReport
from semalink.application.submission import Job, Next
from semalink.domain.cause import Cause
from semalink.domain.errors import MessageNotFound
from semalink.domain.message import Message
from semalink.domain.orphan_report import OrphanReport, orphan_id_of
from semalink.domain.report_errors import OrphanReportNotFound, ReportDoesNotFit
from semalink.domain.status import Status
from semalink_adapters.memory_ledger import MemoryLedger

REPORT_ID = UUID("0193a5c3-01b0-7c3e-8f21-b6a4d9e0aaaa")
AT = datetime(2026, 11, 23, 9, tzinfo=UTC)

Attach = Callable[..., Status]
Names = Callable[..., list[str]]


def orphan(state: ReportState = ReportState.DELIVERED, part: int = 0) -> ParsedReport:
    report = DeliveryReport("lost-1", state, state.value, to="+254712345678")
    return ParsedReport(REPORT_ID, part, "celcom", report)


@pytest.fixture
def attach(ledger: MemoryLedger, cause: Callable[..., Cause]) -> Attach:
    """Gives a report to the message of a job."""

    def to(job: Job, parsed: ParsedReport | None = None) -> Status:
        command = AttachReport(
            parsed or orphan(), job.message_id, job.billing_account_id, "on their page", cause()
        )
        return ledger.decide(command).value

    return to


def test_attach_applies_the_report_and_keeps_who_and_why(
    ledger: MemoryLedger, submitted: Job, attach: Attach, entries: Names
) -> None:
    status = attach(submitted)

    [decision] = ledger.streams[OrphanReport][orphan_id_of(REPORT_ID, 0)]
    assert status is Status.DELIVERED
    assert (decision.decision, decision.reason) == ("attached", "on their page")
    assert (decision.message_id, decision.actor) == (submitted.message_id, "worker:sms")
    assert entries() == ["Reserved", "Charged"]


def test_attach_charges_a_message_whose_answer_was_lost(
    ledger: MemoryLedger, lost: Job, attach: Attach, entries: Names
) -> None:
    assert attach(lost) is Status.DELIVERED
    assert entries() == ["Reserved", "Charged"]
    # Later reports of the same reference find it by themselves.
    assert ledger.references["celcom", "lost-1"] == (lost.message_id, lost.billing_account_id)


def test_attach_tells_what_became_of_an_unknown_message(
    lost: Job, conclude: Callable[[Job], Next], attach: Attach, entries: Names
) -> None:
    conclude(lost)

    assert attach(lost) is Status.DELIVERED
    assert entries() == ["Reserved", "Released"]


def test_attach_refuses_a_message_that_no_aggregator_has(
    ledger: MemoryLedger, accepted: Job, attach: Attach
) -> None:
    with pytest.raises(ReportDoesNotFit):
        attach(accepted)

    assert ledger.streams[OrphanReport] == {}


def test_attach_refuses_a_message_that_there_is_not(attach: Attach, account_id: UUID) -> None:
    with pytest.raises(MessageNotFound):
        attach(Job(UUID(int=404), account_id, account_id))


def test_attach_settles_each_report_of_a_body_once(submitted: Job, attach: Attach) -> None:
    attach(submitted, orphan(ReportState.FAILED, part=0))
    attach(submitted, orphan(ReportState.DELIVERED, part=1))

    with pytest.raises(OrphanReportNotFound):
        attach(submitted, orphan(ReportState.DELIVERED, part=1))


def test_discard_settles_a_report_once(
    ledger: MemoryLedger, cause: Callable[..., Cause], submitted: Job, attach: Attach
) -> None:
    ledger.decide(DiscardReport(orphan(), "of another platform", cause()))

    with pytest.raises(OrphanReportNotFound):
        ledger.decide(DiscardReport(orphan(), "again", cause()))
    with pytest.raises(OrphanReportNotFound):
        attach(submitted)
    settled = ledger.load(OrphanReport, orphan_id_of(REPORT_ID, 0))
    assert settled is not None
    assert settled.decision == "discarded"
    assert ledger.load(Message, submitted.message_id)


def test_view_hides_most_of_the_number_and_the_detail_shows_the_body() -> None:
    found = Orphan(orphan(part=2), AT, "text/plain", b"to=+254712345678 \xff")

    assert view_of_orphan(found).to == "+254******678"
    assert view_of_orphan(found).id == f"rpt_{REPORT_ID.hex}.2"
    assert detail_of_orphan(found).body == "to=+254712345678 \ufffd"


@pytest.mark.parametrize(
    ("number", "shown"),
    [(None, None), ("+254712345678", "+254******678"), ("+2547", "+2547"), ("", "")],
)
def test_masked_shows_the_first_and_last_digits(number: str | None, shown: str | None) -> None:
    assert masked(number) == shown


@pytest.mark.parametrize("part", [0, 1, 999])
def test_place_is_read_as_it_is_written(part: int) -> None:
    place = OrphanPlace(REPORT_ID, part)

    assert parse_place(format_place(place)) == place


@pytest.mark.parametrize(
    "text",
    ["", "rpt_1", f"msg_{REPORT_ID.hex}", f"rpt_{REPORT_ID.hex}.x", f"rpt_{REPORT_ID.hex}.²"],
)
def test_place_is_not_found_when_it_is_none(text: str) -> None:
    with pytest.raises(OrphanReportNotFound):
        parse_place(text)
