from collections.abc import Callable
from uuid import UUID

import pytest

from semalink.application.accounts import OpenAccount
from semalink.application.bus import NotReady, PoisonMessage
from semalink.application.opt_out_callbacks import OPT_OUT_DOOR
from semalink.application.opt_outs import RecordOptOuts
from semalink.application.ports import (
    DeliveryReport,
    FailureClass,
    OptOutNotice,
    ReportState,
    SendFailed,
)
from semalink.application.relaying import ReportPayload
from semalink.application.reporting import ReportProcessor
from semalink.application.sender_ids import ApproveSender
from semalink.application.submission import Job
from semalink.application.submitting import Submitter
from semalink.domain.account import Kind, Tier
from semalink.domain.cause import Cause
from semalink.domain.draft import Mode
from semalink.domain.message import Message
from semalink.domain.opt_out import OptOut, OptOutSource, OptOutSubject
from semalink.domain.opt_out_errors import RecipientOptedOut
from semalink.domain.status import Status
from semalink_adapters.memory_aggregator import MemoryAggregator, write_opt_outs, write_reports
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_reports import MemoryReports

Accept = Callable[..., Job]
See = Callable[[Job], Message]

TO = "+254712345678"
BLACKLISTED = SendFailed(
    FailureClass.OPTED_OUT,
    provider_code="406",
    detail="UserInBlacklist",
    retryable=False,
    may_fail_over=False,
)


@pytest.fixture
def reports(ledger: MemoryLedger, clock: MemoryClock, new_id: Callable[[], UUID]) -> MemoryReports:
    return MemoryReports(ledger, now=clock.now, new_id=new_id)


@pytest.fixture
def processor(ledger: MemoryLedger, reports: MemoryReports, clock: MemoryClock) -> ReportProcessor:
    return ReportProcessor(
        ledger,
        reports,
        {"celcom": MemoryAggregator("celcom")},
        now=clock.now,
        observe=lambda _, __: None,
        shared_senders=frozenset({"SHARED"}),
    )


@pytest.fixture
def own(ledger: MemoryLedger, cause: Callable[..., Cause]) -> Callable[[str, int], UUID]:
    """Opens an account and approves a sender id for it."""

    def by(sender: str, number: int) -> UUID:
        account_id = UUID(int=0xACC00 + number)
        opening = OpenAccount(account_id, "Shop", Kind.DIRECT, Tier.STARTER, cause())
        ledger.decide(opening)
        ledger.decide(ApproveSender(account_id, sender, cause()))
        return account_id

    return by


async def called_back(
    reports: MemoryReports, body: bytes, aggregator: str = "celcom"
) -> ReportPayload:
    before = set(reports.raw)
    await reports.store_raw(f"{aggregator}{OPT_OUT_DOOR}", "application/json", body)
    [report_id] = set(reports.raw) - before
    return ReportPayload(report_id)


def held(ledger: MemoryLedger) -> list[tuple[OptOutSubject, OptOutSource]]:
    loaded = [ledger.load(OptOut, one) for one in ledger.streams[OptOut]]
    return [(one.subject, one.source) for one in loaded if one is not None and one.is_active]


async def test_submit_records_the_opt_out_when_the_recipient_is_on_a_blacklist(
    *,
    submitter: Submitter,
    celcom: MemoryAggregator,
    africastalking: MemoryAggregator,
    ledger: MemoryLedger,
    accept: Accept,
    see: See,
    account_id: UUID,
) -> None:
    job = accept()
    celcom.outcomes.append(BLACKLISTED)

    await submitter.submit(job)

    assert held(ledger) == [(OptOutSubject(account_id, "SEMA", TO), OptOutSource.REFUSAL)]
    assert (see(job).status, see(job).failure_code) == (Status.REJECTED, "opted_out")
    assert africastalking.submissions == []
    with pytest.raises(RecipientOptedOut):
        accept()


def test_record_opt_outs_records_none_when_a_message_of_a_test_key_told_it(
    ledger: MemoryLedger, accept: Accept, cause: Callable[..., Cause], account_id: UUID
) -> None:
    job = accept(mode=Mode.TEST)
    subjects = (OptOutSubject(account_id, "SEMA", TO),)

    command = RecordOptOuts(subjects, OptOutSource.REFUSAL, "406", cause(), job.message_id)
    recorded = ledger.decide(command).value

    assert recorded == []
    assert held(ledger) == []


async def test_submit_sends_nothing_when_the_recipient_opted_out_meanwhile(
    *,
    submitter: Submitter,
    celcom: MemoryAggregator,
    ledger: MemoryLedger,
    processor: ReportProcessor,
    reports: MemoryReports,
    accept: Accept,
    see: See,
    entries: Callable[[], list[str]],
) -> None:
    job = accept()
    await processor.process([await called_back(reports, write_opt_outs(OptOutNotice("sema", TO)))])

    ended = await submitter.submit(job)

    assert ended is None
    assert celcom.submissions == []
    assert (see(job).status, see(job).failure_code) == (Status.REJECTED, "opted_out")
    assert entries() == ["Reserved", "Released"]


async def test_process_records_the_opt_out_when_a_report_says_blacklisted(
    processor: ReportProcessor,
    ledger: MemoryLedger,
    reports: MemoryReports,
    submitted: Job,
    see: See,
    account_id: UUID,
) -> None:
    reference = see(submitted).reference
    assert reference is not None
    report = DeliveryReport(
        reference, ReportState.REJECTED, "Blacklisted", "opted_out", opted_out=True
    )
    await reports.store_raw("celcom", "application/json", write_reports(report))
    [report_id] = reports.raw

    await processor.process([ReportPayload(report_id)])
    await processor.process([ReportPayload(report_id)])

    assert held(ledger) == [(OptOutSubject(account_id, "SEMA", TO), OptOutSource.REPORT)]
    assert see(submitted).status is Status.REJECTED


async def test_process_goes_on_when_the_blacklisted_message_is_archived(
    processor: ReportProcessor, ledger: MemoryLedger, reports: MemoryReports, account_id: UUID
) -> None:
    ledger.references["celcom", "celcom-1"] = (UUID(int=404), account_id)
    report = DeliveryReport("celcom-1", ReportState.REJECTED, "Blacklisted", opted_out=True)
    await reports.store_raw("celcom", "application/json", write_reports(report))
    [report_id] = reports.raw

    await processor.process([ReportPayload(report_id)])

    assert held(ledger) == []
    assert not reports.unprocessed


async def test_process_stops_a_sender_id_for_the_one_account_that_has_it(
    processor: ReportProcessor,
    ledger: MemoryLedger,
    reports: MemoryReports,
    own: Callable[[str, int], UUID],
) -> None:
    owner = own("SHOP", 1)
    callback = await called_back(reports, write_opt_outs(OptOutNotice("Shop", TO)))

    await processor.process([callback])
    await processor.process([callback])

    assert held(ledger) == [(OptOutSubject(owner, "Shop", TO), OptOutSource.CALLBACK)]
    assert not reports.unprocessed


@pytest.mark.parametrize(
    ("sender", "owners"), [("SHOP", 2), ("NOBODYS", 0), ("SHARED", 1)], ids=str
)
async def test_process_stops_a_sender_id_for_everybody_when_it_is_not_of_one_account(
    processor: ReportProcessor,
    ledger: MemoryLedger,
    reports: MemoryReports,
    own: Callable[[str, int], UUID],
    sender: str,
    owners: int,
) -> None:
    for number in range(owners):
        own(sender, number)

    await processor.process([await called_back(reports, write_opt_outs(OptOutNotice(sender, TO)))])

    assert held(ledger) == [(OptOutSubject(None, sender, TO), OptOutSource.CALLBACK)]


@pytest.mark.parametrize(
    ("aggregator", "reason"), [("celcom", "unreadable_opt_out"), ("pigeon", "unknown_aggregator")]
)
async def test_process_calls_what_it_cannot_read_poison(
    processor: ReportProcessor,
    reports: MemoryReports,
    ledger: MemoryLedger,
    aggregator: str,
    reason: str,
) -> None:
    callback = await called_back(reports, b"nobody can read this", aggregator)

    with pytest.raises(PoisonMessage, match=reason):
        await processor.process([callback])

    assert not reports.unprocessed
    assert held(ledger) == []


async def test_process_keeps_the_callback_when_the_ledger_is_away(
    processor: ReportProcessor, ledger: MemoryLedger, reports: MemoryReports
) -> None:
    callback = await called_back(reports, write_opt_outs(OptOutNotice("SEMA", TO)))
    ledger.is_available = False

    with pytest.raises(NotReady):
        await processor.process([callback])

    assert reports.unprocessed
