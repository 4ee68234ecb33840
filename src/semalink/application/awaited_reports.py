"""Reports that do not come by themselves: asked for while there is hope, then given up."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import structlog

from semalink.application.bus import NotReady
from semalink.application.delivery_reports import end_submitted
from semalink.application.ledger import Books, Ledger, LedgerUnavailable, Needs, PlainCommand
from semalink.application.ports import (
    Aggregator,
    FetchedReport,
    ReportNotFetched,
    ReportState,
)
from semalink.application.report_intake import RawReports
from semalink.application.submission import Job
from semalink.domain.cause import Cause
from semalink.domain.errors import MessageNotFound
from semalink.domain.message_steps import Unknown
from semalink.domain.report_polling import poll_at
from semalink.domain.status import Status

ACTOR = "worker:dlr"

OVERDUE_PAGE_SIZE = 500

#: After failures in a row; a provider that is away is left in peace.
_PAUSES = (timedelta(seconds=2), timedelta(seconds=10), timedelta(seconds=60))

_PASSING = frozenset({ReportState.QUEUED, ReportState.SUBMITTED, ReportState.UNKNOWN})

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DueQuestion:
    """A message whose state is to be asked for now."""

    message_id: UUID
    reference: str
    submitted_at: datetime
    #: What the last report that settled nothing said.
    last_state: str | None
    polls_before: int


class AwaitedReports(Protocol):
    """The list of awaited reports; raises NotReady while the database is away."""

    async def claim_due(self, aggregator: str, limit: int) -> Sequence[DueQuestion]:
        """Return what is due and keep it from others for a while; once a second over all."""
        ...

    async def note_asked(self, message_id: UUID, polls: int, next_poll_at: datetime | None) -> None:
        """Remember that an answer came, and when to ask again."""
        ...

    async def claim_overdue(
        self, submitted_before: datetime, limit: int
    ) -> Sequence[tuple[Job, str]]:
        """Return messages submitted before then and keep them from others for a minute."""
        ...

    async def forget(self, message_id: UUID) -> None:
        """Take a message off the list that no longer exists."""
        ...


class PollObserver(Protocol):
    """What questions and their ends tell whoever counts."""

    def report_asked_for(self, aggregator: str, result: str) -> None:
        """A question was asked: "news", "nothing_new", "none_yet" or "failed"."""
        ...

    def report_timed_out(self, aggregator: str) -> None:
        """A message ended as unknown because no final report came."""
        ...


class ReportPoller:
    """Asks one aggregator for what is due; its answers go the way of pushed reports."""

    def __init__(
        self,
        aggregator: Aggregator,
        awaited: AwaitedReports,
        raw_reports: RawReports,
        *,
        polls_per_second: int,
        now: Callable[[], datetime],
        observer: PollObserver,
    ) -> None:
        self._aggregator = aggregator
        self._awaited = awaited
        self._raw_reports = raw_reports
        self._polls_per_second = polls_per_second
        self._now = now
        self._observer = observer
        self._failures = 0
        self._paused_until: datetime | None = None

    async def poll(self) -> int:
        """Ask for what this second's budget allows and return how much that was."""
        if self._paused_until is not None and self._now() < self._paused_until:
            return 0
        due = await self._awaited.claim_due(self._aggregator.name, self._polls_per_second)
        answered = await asyncio.gather(*(self._ask(question) for question in due))
        if due:
            self._pause_unless(any(answered))
        return len(due)

    async def _ask(self, question: DueQuestion) -> bool:
        name = self._aggregator.name
        try:
            fetched = await self._aggregator.fetch_report(question.reference)
        except ReportNotFetched:
            # It stays claimed for a while, and then is asked for as if it never had been.
            self._observer.report_asked_for(name, "failed")
            return False
        if fetched is not None and _is_news(fetched, question):
            await self._raw_reports.store_raw(name, fetched.content_type, fetched.body)
            self._observer.report_asked_for(name, "news")
        else:
            self._observer.report_asked_for(name, "none_yet" if fetched is None else "nothing_new")
        polls = question.polls_before + 1
        next_poll_at = poll_at(name, question.message_id, question.submitted_at, polls)
        await self._awaited.note_asked(question.message_id, polls, next_poll_at)
        return True

    def _pause_unless(self, is_answering: bool) -> None:  # noqa: FBT001 - the whole question
        if is_answering:
            self._failures, self._paused_until = 0, None
            return
        pause = _PAUSES[min(self._failures, len(_PAUSES) - 1)]
        self._failures += 1
        self._paused_until = self._now() + pause
        _log.warning("report_polling_paused", aggregator=self._aggregator.name)


def _is_news(fetched: FetchedReport, question: DueQuestion) -> bool:
    state = fetched.report.state
    return state not in _PASSING or state.value != question.last_state


@dataclass(frozen=True, slots=True)
class GiveUpOnReport(PlainCommand):
    """Stop waiting for the final report on a message that an aggregator took."""

    job: Job
    #: A message that was submitted later, on a second route, is still waited for.
    submitted_before: datetime
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The message, and the credits that a refund goes back to."""
        needs.messages.add(self.job.message_id)
        needs.credit_accounts.add(self.job.billing_account_id)
        needs.reservations.add(self.job.message_id)

    def decide(self, books: Books) -> bool:
        """End as unknown; its money stays or goes back as its account's rule says."""
        message = books.message(self.job.message_id)
        submitted_at = message.submitted_at
        if message.status is not Status.SUBMITTED or submitted_at is None:
            return False
        if submitted_at >= self.submitted_before:
            return False
        end_submitted(books, message, Unknown, "no_delivery_report", self.cause)
        return True


class ReportTimeouts:
    """Ends as unknown what was waited for long enough."""

    def __init__(
        self,
        ledger: Ledger,
        awaited: AwaitedReports,
        *,
        wait: timedelta,
        now: Callable[[], datetime],
        observer: PollObserver,
    ) -> None:
        self._ledger = ledger
        self._awaited = awaited
        self._wait = wait
        self._now = now
        self._observer = observer

    async def sweep(self, limit: int = OVERDUE_PAGE_SIZE) -> int:
        """End one page of messages and return how many were looked at; raises NotReady."""
        submitted_before = self._now() - self._wait
        overdue = await self._awaited.claim_overdue(submitted_before, limit)
        await asyncio.gather(
            *(self._end(job, aggregator, submitted_before) for job, aggregator in overdue)
        )
        return len(overdue)

    async def _end(self, job: Job, aggregator: str, submitted_before: datetime) -> None:
        cause = Cause(ACTOR, self._now(), f"job_{job.message_id.hex}")
        try:
            answer = await self._ledger.execute(GiveUpOnReport(job, submitted_before, cause))
        except MessageNotFound:
            # Its partition was archived.
            await self._awaited.forget(job.message_id)
        except LedgerUnavailable as away:
            raise NotReady(str(away)) from away
        else:
            if answer.value:
                self._observer.report_timed_out(aggregator)
