"""The list of awaited reports in memory, kept as the one in PostgreSQL is; for tests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from semalink.application.awaited_reports import DueQuestion
from semalink.application.submission import Job
from semalink.domain.message import Message
from semalink.domain.message_steps import ReportNoted, Step, Submitted
from semalink.domain.report_polling import poll_at

#: As long as a question and its answer may take, and then some.
CLAIMED_FOR = timedelta(minutes=5)
#: As long as it may take to give a page up.
GIVEN_UP_WITHIN = timedelta(minutes=1)


@dataclass(slots=True)
class Awaited:
    """A message that an aggregator took and whose final report has not come."""

    message_id: UUID
    account_id: UUID
    billing_account_id: UUID
    aggregator: str
    network: str | None
    reference: str
    submitted_at: datetime
    #: What the last report that settled nothing said.
    last_state: str | None = None
    #: How often the aggregator was asked, and when it is asked next.
    polls: int = 0
    next_poll_at: datetime | None = None
    #: Until then one worker gives it up.
    claimed_until: datetime | None = None


def keep_awaited(awaited: dict[UUID, Awaited], step: Step, message: Message | None) -> None:
    """Bring the list up to date with a step that was recorded."""
    assert message is not None, "a step belongs to a message"
    if message.is_final:
        awaited.pop(message.id, None)
    elif isinstance(step, Submitted):
        at, asked = step.timestamp, message.asked
        awaited[message.id] = Awaited(
            message.id,
            asked.account_id,
            asked.billing_account_id,
            step.aggregator,
            message.network,
            step.reference,
            at,
            next_poll_at=poll_at(step.aggregator, message.id, at, polls_before=0),
        )
    elif isinstance(step, ReportNoted):
        awaited[message.id].last_state = step.state


class MemoryAwaitedReports:
    """AwaitedReports over the list that a MemoryLedger keeps."""

    def __init__(self, awaited: dict[UUID, Awaited], *, now: Callable[[], datetime]) -> None:
        self._awaited = awaited
        self._now = now
        self._paid_until: dict[str, datetime] = {}

    async def claim_due(self, aggregator: str, limit: int) -> Sequence[DueQuestion]:
        """Return what is due and keep it from others for a while; once a second over all."""
        now = self._now()
        due = [
            one
            for one in self._awaited.values()
            if one.aggregator == aggregator and one.next_poll_at and one.next_poll_at <= now
        ]
        if not due or self._paid_until.get(aggregator, now) > now:
            return []
        self._paid_until[aggregator] = now + timedelta(seconds=1)
        due.sort(key=lambda one: one.next_poll_at or now)
        for one in due[:limit]:
            one.next_poll_at = now + CLAIMED_FOR
        return [
            DueQuestion(one.message_id, one.reference, one.submitted_at, one.last_state, one.polls)
            for one in due[:limit]
        ]

    async def note_asked(self, message_id: UUID, polls: int, next_poll_at: datetime | None) -> None:
        """Remember that an answer came, and when to ask again."""
        one = self._awaited.get(message_id)
        if one is not None:
            one.polls, one.next_poll_at = polls, next_poll_at

    async def claim_overdue(
        self, submitted_before: datetime, limit: int
    ) -> Sequence[tuple[Job, str]]:
        """Return messages submitted before then and keep them from others for a minute."""
        now = self._now()
        overdue = [
            one
            for one in self._awaited.values()
            if one.submitted_at < submitted_before
            and (one.claimed_until is None or one.claimed_until <= now)
        ]
        overdue.sort(key=lambda one: one.submitted_at)
        for one in overdue[:limit]:
            one.claimed_until = now + GIVEN_UP_WITHIN
        return [
            (Job(one.message_id, one.account_id, one.billing_account_id), one.aggregator)
            for one in overdue[:limit]
        ]

    async def forget(self, message_id: UUID) -> None:
        """Take a message off the list that no longer exists."""
        self._awaited.pop(message_id, None)
