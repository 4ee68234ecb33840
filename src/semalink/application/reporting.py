"""The DLR worker's use case: raw reports to what they change, and the shelf for early ones."""

import asyncio
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

import structlog

from semalink.application.bus import NotReady, PoisonMessage
from semalink.application.delivery_reports import RecordReport
from semalink.application.ledger import Command, Ledger, LedgerUnavailable
from semalink.application.opt_out_callbacks import (
    OPT_OUT_DOOR,
    OptOutCallbacks,
    SenderOwners,
)
from semalink.application.opt_outs import NameRecipient, RecordOptOuts
from semalink.application.ports import (
    Aggregator,
    DeliveryReport,
    ReportState,
    UnreadableReport,
)
from semalink.application.relaying import ReportPayload
from semalink.application.submission import ConcludeUnknown, ExpireInQueue, Job
from semalink.domain.cause import Cause
from semalink.domain.errors import DomainError, MessageNotFound
from semalink.domain.opt_out import OptOutSource

T = TypeVar("T")

SHELF_PAGE_SIZE = 500

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RawReport:
    """A delivery report as it came."""

    report_id: UUID
    aggregator: str
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Owner:
    """The message that a provider's reference stands for."""

    message_id: UUID
    billing_account_id: UUID
    #: Whose reservation pays; None: the message has one of its own, or it is charged already.
    campaign_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class ParsedReport:
    """One report out of a body that may hold several."""

    report_id: UUID
    #: Its place in the body.
    part: int
    aggregator: str
    report: DeliveryReport


class ReportBook(SenderOwners, Protocol):
    """Stored reports and what they belong to; raises NotReady while the database is away."""

    async def load(self, payloads: Sequence[ReportPayload]) -> Sequence[RawReport]:
        """Return stored reports; those that came inline are stored first."""
        ...

    async def owners(
        self, references: Sequence[tuple[str, str]]
    ) -> Mapping[tuple[str, str], Owner]:
        """Return the messages behind (aggregator, reference) pairs, where known."""
        ...

    async def finish(self, report_ids: Sequence[UUID], shelved: Sequence[ParsedReport]) -> None:
        """Shelve what matches no message yet and strike the reports off the work list."""
        ...

    async def set_aside(self, report_ids: Sequence[UUID]) -> None:
        """Strike reports off the work list undone; what came stays stored."""
        ...

    async def matched_on_shelf(self, limit: int) -> Sequence[tuple[ParsedReport, Owner]]:
        """Return shelved reports whose message is known by now."""
        ...

    async def matched_by_number(self, limit: int) -> Sequence[tuple[ParsedReport, Owner]]:
        """Return shelved reports that name the only recipient whose outcome is unknown."""
        ...

    async def unshelve(self, reports: Sequence[ParsedReport]) -> None:
        """Take reports off the shelf."""
        ...

    async def overdue_unknowns(self, limit: int) -> Sequence[Job]:
        """Return messages whose lost answer was waited for long enough."""
        ...

    async def expired_unsent(self, limit: int) -> Sequence[Job]:
        """Return messages that were not handed over a minute after their validity passed."""
        ...


class ReportProcessor:
    """Applies reports; each is idempotent, so that repeating a batch changes nothing."""

    def __init__(
        self,
        ledger: Ledger,
        book: ReportBook,
        aggregators: Mapping[str, Aggregator],
        *,
        now: Callable[[], datetime],
        observe: Callable[[str, str], None],
        shared_senders: Container[str] = frozenset(),
    ) -> None:
        self._ledger = ledger
        self._book = book
        self._aggregators = aggregators
        self._now = now
        self._observe = observe
        self._opt_outs = OptOutCallbacks(
            ledger, book, aggregators, shared_senders=shared_senders, now=now
        )

    async def process(self, payloads: Sequence[ReportPayload]) -> None:
        """Apply a batch; raises PoisonMessage for a report that nobody can read."""
        raw_reports = await self._book.load(payloads)
        callbacks = [raw for raw in raw_reports if raw.aggregator.endswith(OPT_OUT_DOOR)]
        try:
            parsed = [
                report for raw in raw_reports if raw not in callbacks for report in self._parse(raw)
            ]
            notices = [
                self._opt_outs.parse(raw.aggregator, raw.body, raw.content_type)
                for raw in callbacks
            ]
        except PoisonMessage:
            # Of several each is handed over alone afterwards, so only the bad one ends here. It
            # leaves the work list, from which the relay would publish it again for ever.
            if len(payloads) == 1:
                await self.set_aside(payloads[0])
            raise
        owners = await self._book.owners(
            [(report.aggregator, report.report.reference) for report in parsed]
        )
        shelved: list[ParsedReport] = []
        matched: list[tuple[ParsedReport, Owner]] = []
        for report in parsed:
            owner = owners.get((report.aggregator, report.report.reference))
            if owner is None:
                shelved.append(report)
            else:
                matched.append((report, owner))
        for raw, told in zip(callbacks, notices, strict=True):
            await self._opt_outs.apply(raw.report_id, raw.aggregator, told)
        await asyncio.gather(*(self._apply(report, owner) for report, owner in matched))
        await self._book.finish([payload.report_id for payload in payloads], shelved)

    async def set_aside(self, payload: ReportPayload) -> None:
        """Take a report off the work list that cannot be processed; what came stays stored."""
        await self._book.set_aside([payload.report_id])
        _log.error("report_set_aside", report_id=payload.report_id.hex)

    async def sweep(self) -> None:
        """Apply shelved reports whose message is known by now; end what was waited for."""
        for find in (self._book.matched_on_shelf, self._book.matched_by_number):
            # At once, so that they are committed together: under load, many come too early.
            if found := await find(SHELF_PAGE_SIZE):
                await asyncio.gather(*(self._apply_shelved(*each) for each in found))
                await self._book.unshelve([report for report, _ in found])
        for job in await self._book.overdue_unknowns(SHELF_PAGE_SIZE):
            await self._execute(ConcludeUnknown(job, self._sweep_cause(job)))
        for job in await self._book.expired_unsent(SHELF_PAGE_SIZE):
            await self._execute(ExpireInQueue(job, self._sweep_cause(job)))

    def _parse(self, raw: RawReport) -> list[ParsedReport]:
        aggregator = self._aggregators.get(raw.aggregator)
        if aggregator is None:
            msg = "unknown_aggregator"
            raise PoisonMessage(msg)
        try:
            reports = aggregator.parse_reports(raw.body, raw.content_type)
        except UnreadableReport as unreadable:
            msg = "unreadable_report"
            raise PoisonMessage(msg) from unreadable
        for report in reports:
            self._observe(raw.aggregator, report.state.value)
            if report.state is ReportState.UNRECOGNISED:
                _log.error(
                    "report_unrecognised",
                    aggregator=raw.aggregator,
                    report_id=raw.report_id.hex,
                )
        return [
            ParsedReport(raw.report_id, part, raw.aggregator, report)
            for part, report in enumerate(reports)
        ]

    async def _apply_shelved(self, report: ParsedReport, owner: Owner) -> None:
        try:
            await self._apply(report, owner)
        except DomainError as refusal:
            _log.error(
                "shelved_report_set_aside",
                report_id=report.report_id.hex,
                part=report.part,
                reason=refusal.code,
            )

    def _sweep_cause(self, job: Job) -> Cause:
        return Cause("worker:dlr", self._now(), f"job_{job.message_id.hex}")

    async def _apply(self, parsed: ParsedReport, owner: Owner) -> None:
        cause = Cause(f"aggregator:{parsed.aggregator}", self._now(), f"rpt_{parsed.report_id.hex}")
        command = RecordReport(
            owner.message_id,
            owner.billing_account_id,
            parsed.aggregator,
            parsed.report,
            cause,
            owner.campaign_id,
        )
        if parsed.report.opted_out:
            # First, because a report that was applied is not applied again.
            await self._note_opt_out(parsed, owner.message_id, cause)
        await self._execute(command)

    async def _note_opt_out(self, parsed: ParsedReport, message_id: UUID, cause: Cause) -> None:
        subject = await self._execute(NameRecipient(message_id, cause))
        if subject is not None:
            how = f"{parsed.aggregator}: {parsed.report.description}"
            source = OptOutSource.REPORT
            await self._execute(RecordOptOuts((subject,), source, how, cause, message_id))

    async def _execute(self, command: Command[T]) -> T | None:
        try:
            return (await self._ledger.execute(command)).value
        except MessageNotFound:
            _log.warning("report_for_archived_message")
            return None
        except LedgerUnavailable as away:
            raise NotReady(str(away)) from away
