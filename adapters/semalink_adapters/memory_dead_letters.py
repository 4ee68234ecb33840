"""Dead letters in memory, for tests, held to the same contract as the real ones."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from semalink.application.dead_letter_reading import (
    DeadLetterContents,
    DeadLetterFilter,
    DeadLetterGroup,
    DeadLetterView,
    JobView,
    StoredReport,
    action_of,
)
from semalink.application.dead_letters import Burial
from semalink.application.reading import ReadsUnavailable
from semalink.domain.dead_letter import DEAD_LETTER_PREFIX, DeadLetter
from semalink.domain.dead_letter_job import DEAD_LETTER_JOB_PREFIX, DeadLetterJob
from semalink.domain.ids import format_id
from semalink_adapters.memory_ledger import MemoryLedger

_STATES = {DeadLetter.Republished: "republishing", DeadLetter.Discarded: "discarded"}
_ENDS = {DeadLetterJob.Cancelled: "cancelled", DeadLetterJob.Finished: "finished"}


class MemoryDeadLetters:
    """Reads of what a memory ledger recorded of dead letters; nothing is published."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        #: What was stored, whether or not its event was recorded.
        self.stored: dict[UUID, Burial] = {}
        #: Stored delivery reports, by the public id that dead letters are about.
        self.reports: dict[str, StoredReport] = {}
        #: When False, nothing can be read.
        self.is_available = True

    async def page(
        self, asked: DeadLetterFilter, *, before: UUID | None, limit: int
    ) -> Sequence[DeadLetterView]:
        """Return dead letters, those published last first, below the id ``before``."""
        ids = [one for one in self._recorded() if before is None or one < before]
        found = [self._view(one) for one in sorted(ids, reverse=True)]
        return [one for one in found if _fits(one, asked)][:limit]

    async def groups(self, asked: DeadLetterFilter) -> Sequence[DeadLetterGroup]:
        """Return what waits, by queue and error, the largest group first."""
        found = [self._view(one) for one in self._recorded()]
        waiting = [one for one in found if _fits(one, asked) and one.state == "waiting"]
        counts = Counter((one.queue, one.error_type, one.error) for one in waiting)

        def times(kind: tuple[str, str, str]) -> list[datetime]:
            return [
                one.last_at for one in waiting if (one.queue, one.error_type, one.error) == kind
            ]

        groups = [
            DeadLetterGroup(*kind, count, min(times(kind)), max(times(kind)))
            for kind, count in counts.items()
        ]
        return sorted(groups, key=lambda one: (-one.count, one.queue, one.error_type, one.error))

    async def contents(self, letter_id: UUID) -> DeadLetterContents | None:
        """Return one dead letter with what it holds."""
        if letter_id not in self._recorded():
            return None
        stored, letter = self.stored[letter_id], self._view(letter_id)
        events = self._ledger.streams[DeadLetter][letter_id]
        edits = [one.payload for one in events if isinstance(one, DeadLetter.Republished)]
        return DeadLetterContents(
            letter=letter,
            subject=stored.subject,
            payload=stored.payload,
            edited_payload=edits[-1] if edits else None,
            headers=dict(stored.headers),
            actions=[action_of(one) for one in events],
            report=self.reports.get(letter.about or ""),
        )

    async def jobs(self, *, before: UUID | None, limit: int) -> Sequence[JobView]:
        """Return bulk actions, newest first, below the id ``before``."""
        self._check()
        ids = [one for one in self._ledger.ids(DeadLetterJob) if before is None or one < before]
        return [self._job(one) for one in sorted(ids, reverse=True)][:limit]

    async def job(self, job_id: UUID) -> JobView | None:
        """Return one bulk action."""
        self._check()
        return self._job(job_id) if job_id in self._ledger.streams[DeadLetterJob] else None

    def _check(self) -> None:
        if not self.is_available:
            msg = "The database is away."
            raise ReadsUnavailable(msg)

    def _recorded(self) -> set[UUID]:
        self._check()
        return self.stored.keys() & self._ledger.streams[DeadLetter].keys()

    def _view(self, letter_id: UUID) -> DeadLetterView:
        stored = self.stored[letter_id]
        view = DeadLetterView(
            id=format_id(DEAD_LETTER_PREFIX, letter_id),
            queue=stored.queue,
            state="waiting",
            error_type=stored.error_type,
            error=stored.error,
            delivery_count=stored.delivery_count,
            first_at=stored.first_at,
            last_at=stored.last_at,
            about=stored.about,
            message_id=stored.message_id,
            republished_count=0,
            settled_by=None,
            settled_at=None,
            reason=None,
        )
        for event in self._ledger.streams[DeadLetter][letter_id][1:]:
            view = msgspec.structs.replace(
                view,
                state=_STATES[type(event)],
                republished_count=getattr(event, "number", view.republished_count),
                settled_by=event.actor,
                settled_at=event.timestamp,
                reason=getattr(event, "reason", None),
            )
        return view

    def _job(self, job_id: UUID) -> JobView:
        started, *ends = self._ledger.streams[DeadLetterJob][job_id]
        settled = [one for one in self._ledger.log if getattr(one, "job_id", None) == job_id]
        meant = [view for view in self._waiting_at(started) if _was_meant(view, started)]
        return JobView(
            id=format_id(DEAD_LETTER_JOB_PREFIX, job_id),
            action=started.action,
            state=_ENDS[type(ends[-1])] if ends else "running",
            queue=started.queue,
            error_type=started.error_type,
            older_than_seconds=started.older_than_seconds,
            newer_than_seconds=started.newer_than_seconds,
            rate_per_second=started.rate_per_second,
            reason=started.reason,
            total_count=len(meant),
            done_count=len(settled),
            started_by=started.actor,
            started_at=started.timestamp,
            ended_at=ends[-1].timestamp if ends else None,
        )

    def _waiting_at(self, started: Any) -> list[DeadLetterView]:
        log = self._ledger.log[: self._ledger.log.index(started)]
        settled = {one.originator_id for one in log if type(one) in _STATES}
        buried = [one.originator_id for one in log if isinstance(one, DeadLetter.Created)]
        return [self._view(one) for one in buried if one in self.stored and one not in settled]


def _was_meant(view: DeadLetterView, started: Any) -> bool:
    age_seconds = (started.timestamp - view.last_at).total_seconds()
    older, newer = started.older_than_seconds, started.newer_than_seconds
    return (
        started.queue in (None, view.queue)
        and started.error_type in (None, view.error_type)
        and (older is None or age_seconds > older)
        and (newer is None or age_seconds <= newer)
    )


def _fits(view: DeadLetterView, asked: DeadLetterFilter) -> bool:
    return (
        asked.queue in (None, view.queue)
        and asked.error_type in (None, view.error_type)
        and asked.state in (None, view.state)
        and (asked.before_at is None or view.last_at < asked.before_at)
        and (asked.from_at is None or view.last_at >= asked.from_at)
    )
