"""An action on many dead letters at a bounded rate, which may be cancelled under way."""

from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from semalink.domain.cause import Cause
from semalink.domain.errors import DeadLetterJobEnded

DEAD_LETTER_JOB_PREFIX = "dlj_"


class JobState(StrEnum):
    """Where a bulk action stands."""

    RUNNING = "running"
    CANCELLED = "cancelled"
    FINISHED = "finished"


class DeadLetterJob(Aggregate):
    """One bulk action: what is done, to which dead letters, how fast, by whom."""

    TOPIC = "dead_letter_job"

    state: JobState

    def __init__(self) -> None:
        """Start empty: the first event stands it up."""

    class Event(Aggregate.Event):
        """A step of a bulk action: who, in which request."""

        actor: str
        request_id: str

    class Created(Event, Aggregate.Created):
        """Somebody asked for it."""

        TOPIC = "dead_letter_job.started.1"
        #: "republish" or "discard".
        action: str
        queue: str | None
        error_type: str | None
        older_than_seconds: int | None
        newer_than_seconds: int | None
        rate_per_second: int
        #: Why what is discarded is not to be done.
        reason: str | None

        def apply(self, job: "DeadLetterJob") -> None:
            """Stand it up."""
            job.state = JobState.RUNNING

    class Cancelled(Event):
        """Somebody stopped it; what was done stays done."""

        TOPIC = "dead_letter_job.cancelled.1"

        def apply(self, job: "DeadLetterJob") -> None:
            """Close it."""
            job.state = JobState.CANCELLED

    class Finished(Event):
        """No dead letter is left of those that it is about."""

        TOPIC = "dead_letter_job.finished.1"

        def apply(self, job: "DeadLetterJob") -> None:
            """Close it."""
            job.state = JobState.FINISHED

    @classmethod
    def start(cls, job_id: UUID, cause: Cause, **facts: Any) -> Self:
        """Ask for a bulk action."""
        return cls._create(
            cls.Created,
            id=job_id,
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            **facts,
        )

    def cancel(self, cause: Cause) -> None:
        """Stop it where it is."""
        if self.state is not JobState.RUNNING:
            raise DeadLetterJobEnded(self.state)
        self._add(self.Cancelled, cause)

    def finish(self, cause: Cause) -> None:
        """Close it when nothing is left to do; one that was cancelled meanwhile stays so."""
        if self.state is JobState.RUNNING:
            self._add(self.Finished, cause)

    def _add(self, step: type[Event], cause: Cause) -> None:
        self.trigger_event(step, timestamp=cause.at, actor=cause.actor, request_id=cause.request_id)
