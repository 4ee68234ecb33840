"""A message that no worker could handle: buried, then republished or discarded by somebody."""

from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from semalink.domain.cause import Cause
from semalink.domain.errors import DeadLetterSettled

DEAD_LETTER_PREFIX = "dlq_"


class DeadLetterState(StrEnum):
    """Where a dead letter stands."""

    WAITING = "waiting"
    REPUBLISHED = "republished"
    DISCARDED = "discarded"


class DeadLetter(Aggregate):
    """One message that left its queue undone; what it held stays as it was."""

    TOPIC = "dead_letter"

    queue: str
    state: DeadLetterState
    #: How many times it was sent round again from here.
    republished_count: int

    def __init__(self) -> None:
        """Start empty: the first event stands it up."""

    class Event(Aggregate.Event):
        """A step of a dead letter: who, in which request."""

        actor: str
        request_id: str

    class Created(Event, Aggregate.Created):
        """It left its queue."""

        TOPIC = "dead_letter.buried.1"
        queue: str
        error_type: str
        error: str
        delivery_count: int
        #: The id under which the broker holds it.
        buried_as: str
        #: Public id of what it is about, such as "msg_…"; None when nobody can read that.
        about: str | None

        def apply(self, letter: "DeadLetter") -> None:
            """Stand it up."""
            letter.queue = self.queue
            letter.state = DeadLetterState.WAITING
            letter.republished_count = 0

    class Republished(Event):
        """Somebody sent it round again; the relay publishes it."""

        TOPIC = "dead_letter.republished.1"
        new_message_id: str
        #: 1 the first time.
        number: int
        #: What is published instead of what was buried; None: the same again.
        payload: bytes | None
        about: str | None
        #: The bulk action that it was a part of.
        job_id: UUID | None

        def apply(self, letter: "DeadLetter") -> None:
            """Count it."""
            letter.state = DeadLetterState.REPUBLISHED
            letter.republished_count = self.number

    class Discarded(Event):
        """Somebody decided that it is not to be done."""

        TOPIC = "dead_letter.discarded.1"
        reason: str
        job_id: UUID | None

        def apply(self, letter: "DeadLetter") -> None:
            """Close it."""
            letter.state = DeadLetterState.DISCARDED

    @classmethod
    def bury(cls, letter_id: UUID, cause: Cause, **facts: Any) -> Self:
        """Record that a message left its queue undone."""
        return cls._create(
            cls.Created,
            id=letter_id,
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            **facts,
        )

    def republish(
        self,
        cause: Cause,
        *,
        payload: bytes | None,
        about: str | None,
        again: bool,
        job_id: UUID | None,
    ) -> None:
        """Send it round again; one that went round before only when that is asked for."""
        went_before = again and self.state is DeadLetterState.REPUBLISHED
        if self.state is not DeadLetterState.WAITING and not went_before:
            raise DeadLetterSettled(self.state)
        number = self.republished_count + 1
        self._add(
            self.Republished,
            cause,
            # Another id than any before: the broker drops one that it has seen.
            new_message_id=f"redrive:{DEAD_LETTER_PREFIX}{self.id.hex}:{number}",
            number=number,
            payload=payload,
            about=about,
            job_id=job_id,
        )

    def discard(self, reason: str, cause: Cause, *, job_id: UUID | None) -> None:
        """Decide that it is not to be done."""
        if self.state is not DeadLetterState.WAITING:
            raise DeadLetterSettled(self.state)
        self._add(self.Discarded, cause, reason=reason, job_id=job_id)

    def _add(self, step: type[Event], cause: Cause, **facts: Any) -> None:
        self.trigger_event(
            step, timestamp=cause.at, actor=cause.actor, request_id=cause.request_id, **facts
        )
