"""The outbox in memory: what a MemoryLedger and its reports say must be in the broker."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from semalink.application.outbox import JobPage, PendingJob, Position, ReportPage, StreamMark
from semalink.application.submission import Job
from semalink.domain.message import Message
from semalink_adapters.memory_ledger import MemoryLedger, Pending
from semalink_adapters.memory_reports import MemoryReports

#: There is one writer here, so one transaction stands for all.
_XID = "0"


class MemoryOutbox:
    """An Outbox beside a MemoryLedger."""

    def __init__(
        self, ledger: MemoryLedger, reports: MemoryReports, *, now: Callable[[], datetime]
    ) -> None:
        self._ledger = ledger
        self._reports = reports
        self._now = now
        #: True plays a transaction that takes its time: the log shows nothing behind it.
        self.is_held_back = False
        self._jobs_at = 0
        self._reports_at = 0
        self._marks: dict[str, StreamMark] = {}
        self._report_refills: Counter[UUID] = Counter()

    async def next_jobs(self, limit: int) -> JobPage:
        """Return accepted messages beyond the cursor."""
        page = self._ledger.log[self._jobs_at : self._jobs_at + limit]
        if not page or self.is_held_back:
            return JobPage((), None, None)
        accepted = [
            event
            for event in page
            if isinstance(event, Message.Created) and event.campaign_id is None
        ]
        jobs = [
            PendingJob(
                Job(event.originator_id, event.account_id, event.billing_account_id),
                event.lane,
                0,
                event.traceparent,
            )
            for event in accepted
        ]
        oldest_at = accepted[0].timestamp if accepted else None
        end = Position(_XID, self._jobs_at + len(page))
        return JobPage(jobs, end, oldest_at)

    async def urgent_jobs(self, *, after: UUID | None, limit: int) -> Sequence[PendingJob]:
        """Return messages of the priority lane that no aggregator has, in id order."""
        queued = await self.queued_jobs("priority", after=after, older_than_seconds=0, limit=limit)
        return [job for job in queued if job.round == 0]

    def ids_read(self) -> set[UUID]:
        """Return the messages that the cursor is beyond."""
        read = self._ledger.log[: self._jobs_at]
        return {event.originator_id for event in read if isinstance(event, Message.Created)}

    async def jobs_published(self, end: Position) -> None:
        """Move the cursor of accepted messages."""
        self._jobs_at = end.position

    async def next_reports(self, limit: int) -> ReportPage:
        """Return stored reports beyond the cursor."""
        page = list(self._reports.raw)[self._reports_at : self._reports_at + limit]
        if not page:
            return ReportPage((), None)
        return ReportPage(page, Position(_XID, self._reports_at + len(page)))

    async def reports_published(self, end: Position) -> None:
        """Move the cursor of reports."""
        self._reports_at = end.position

    async def due_jobs(self, limit: int) -> Sequence[PendingJob]:
        """Return messages that were put off and whose time has come."""
        due = [
            _job(pending)
            for pending in self._ledger.pending().values()
            if pending.state == "postponed" and pending.due_at and pending.due_at <= self._now()
            if pending.lane != "bulk"
        ]
        return due[:limit]

    async def requeued(self, message_ids: Sequence[UUID]) -> None:
        """Mark messages as being in a queue again."""
        for message_id in message_ids:
            pending = self._ledger.pending().get(message_id)
            if pending is not None and pending.state in {"postponed", "queued"}:
                pending.state, pending.due_at = "queued", None
                pending.queued_at = self._now()

    async def lost_stream(self, mark: StreamMark) -> bool:
        """Compare a stream with what it was; True when the broker has lost what was in it."""
        before = self._marks.get(mark.stream)
        if before is None:
            return False
        made_anew = mark.created_at != before.created_at
        return made_anew or mark.last_sequence < before.last_sequence

    async def remember_stream(self, mark: StreamMark) -> None:
        """Store what the stream is now."""
        self._marks[mark.stream] = mark

    async def queued_jobs(
        self, lane: str, *, after: UUID | None, older_than_seconds: float, limit: int
    ) -> Sequence[PendingJob]:
        """Return messages that a queue must hold, in id order."""
        queued_by = self._now() - timedelta(seconds=older_than_seconds)
        queued = [
            _job(pending)
            for message_id, pending in sorted(self._ledger.pending().items())
            if pending.state == "queued"
            and pending.lane == lane
            and (after is None or message_id > after)
            and pending.queued_at <= queued_by
        ]
        return queued[:limit]

    async def queued_reports(
        self, *, after: UUID | None, older_than_seconds: float, limit: int
    ) -> Sequence[UUID]:
        """Return reports that are not processed yet, in id order."""
        received_by = self._now() - timedelta(seconds=older_than_seconds)
        queued = [
            report_id
            for report_id, received_at in sorted(self._reports.unprocessed.items())
            if (after is None or report_id > after) and received_at <= received_by
        ]
        return queued[:limit]

    async def jobs_refilled(self, message_ids: Sequence[UUID]) -> None:
        """Mark messages as being in a queue again, and count that they had vanished from it."""
        for message_id in message_ids:
            pending = self._ledger.pending().get(message_id)
            if pending is not None and pending.state == "queued":
                pending.queued_at = self._now()
                pending.refills += 1

    async def reports_refilled(self, report_ids: Sequence[UUID]) -> None:
        """Mark reports as being in their queue again, and count that they had vanished from it."""
        for report_id in report_ids:
            if report_id in self._reports.unprocessed:
                self._reports.unprocessed[report_id] = self._now()
                self._report_refills[report_id] += 1

    async def give_up_jobs(
        self, lane: str, *, refills: int, older_than_seconds: float
    ) -> Sequence[UUID]:
        """Park messages that vanish from their queue whenever they are put back; return them."""
        queued_by = self._now() - timedelta(seconds=older_than_seconds)
        given_up = [
            message_id
            for message_id, pending in self._ledger.pending().items()
            if pending.state == "queued"
            and pending.lane == lane
            and pending.refills >= refills
            and pending.queued_at <= queued_by
        ]
        for message_id in given_up:
            self._ledger.pending()[message_id].state = "parked"
        return given_up

    async def give_up_reports(self, *, refills: int, older_than_seconds: float) -> Sequence[UUID]:
        """Strike off reports that vanish whenever they are put back; return them."""
        refilled_by = self._now() - timedelta(seconds=older_than_seconds)
        given_up = [
            report_id
            for report_id, refilled_at in self._reports.unprocessed.items()
            if self._report_refills[report_id] >= refills and refilled_at <= refilled_by
        ]
        for report_id in given_up:
            del self._reports.unprocessed[report_id]
        return given_up


def _job(pending: Pending) -> PendingJob:
    return PendingJob(pending.job, pending.lane, pending.round)
