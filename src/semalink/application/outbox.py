"""What the database says must be in the broker: the port that the relay reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from semalink.application.submission import Job


@dataclass(frozen=True, slots=True)
class Position:
    """Where a reader of a log stands: the transaction and the place within the log."""

    xid: str
    position: int


@dataclass(frozen=True, slots=True)
class PendingJob:
    """A message that must be in a queue."""

    job: Job
    lane: str
    #: How many times it was put off before; part of the broker's message id.
    round: int
    #: W3C trace context of the request, or "".
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class JobPage:
    """Accepted messages, and how far the log was read to find them."""

    jobs: Sequence[PendingJob]
    end: Position | None
    #: When the oldest of them was recorded.
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class ReportPage:
    """Delivery reports that were stored, and how far the log was read to find them."""

    report_ids: Sequence[UUID]
    end: Position | None


@dataclass(frozen=True, slots=True)
class StreamMark:
    """What identifies the contents of a stream of the broker."""

    stream: str
    created_at: datetime
    last_sequence: int
    message_count: int
    #: What its workers have still to be given or have in hand. What was delivered too often stays
    #: in the stream and is nobody's work, so it does not count.
    waiting_count: int


class Outbox(Protocol):
    """What the database says must be in the broker. One relay at a time holds it."""

    async def next_jobs(self, limit: int) -> JobPage:
        """Return accepted messages beyond the cursor."""
        ...

    async def jobs_published(self, end: Position) -> None:
        """Move the cursor of accepted messages."""
        ...

    async def urgent_jobs(self, *, after: UUID | None, limit: int) -> Sequence[PendingJob]:
        """Return messages of the priority lane that no aggregator has, in id order."""
        ...

    async def next_reports(self, limit: int) -> ReportPage:
        """Return stored reports beyond the cursor."""
        ...

    async def reports_published(self, end: Position) -> None:
        """Move the cursor of reports."""
        ...

    async def due_jobs(self, limit: int) -> Sequence[PendingJob]:
        """Return messages that were put off and whose time has come."""
        ...

    async def requeued(self, message_ids: Sequence[UUID]) -> None:
        """Mark messages as being in a queue again."""
        ...

    async def lost_stream(self, mark: StreamMark) -> bool:
        """Compare a stream with what it was; True when the broker has lost what was in it."""
        ...

    async def remember_stream(self, mark: StreamMark) -> None:
        """Store what the stream is now."""
        ...

    async def queued_jobs(
        self, lane: str, *, after: UUID | None, older_than_seconds: float, limit: int
    ) -> Sequence[PendingJob]:
        """Return messages that a queue must hold, in id order."""
        ...

    async def queued_reports(
        self, *, after: UUID | None, older_than_seconds: float, limit: int
    ) -> Sequence[UUID]:
        """Return reports that are not processed yet, in id order."""
        ...

    async def jobs_refilled(self, message_ids: Sequence[UUID]) -> None:
        """Mark messages as being in a queue again, and count that they had vanished from it."""
        ...

    async def reports_refilled(self, report_ids: Sequence[UUID]) -> None:
        """Mark reports as being in their queue again, and count that they had vanished from it."""
        ...

    async def give_up_jobs(
        self, lane: str, *, refills: int, older_than_seconds: float
    ) -> Sequence[UUID]:
        """Park messages that vanish from their queue whenever they are put back; return them."""
        ...

    async def give_up_reports(self, *, refills: int, older_than_seconds: float) -> Sequence[UUID]:
        """Strike off reports that vanish whenever they are put back; return them."""
        ...
