"""Dead letters and the bulk actions on them, as operators read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec

from semalink.domain.dead_letter import DeadLetter


class DeadLetterView(msgspec.Struct, frozen=True):
    """One dead letter, without what it holds."""

    id: str
    queue: str
    #: "waiting", "republishing" until the broker has it, "republished" or "discarded".
    state: str
    error_type: str
    error: str
    delivery_count: int
    #: When it was first published.
    first_at: datetime
    #: When it was given up.
    last_at: datetime
    #: Public id of what it is about, such as "msg_…"; null when nobody can read that.
    about: str | None
    #: The id that it was first published with.
    message_id: str
    #: How many times it was republished from here.
    republished_count: int
    settled_by: str | None
    settled_at: datetime | None
    #: Why it was discarded.
    reason: str | None


class Action(msgspec.Struct, frozen=True):
    """Something that was done with a dead letter."""

    #: "dead_letter.buried", "dead_letter.republished" or "dead_letter.discarded".
    name: str
    at: datetime
    actor: str
    request_id: str
    #: The id that it was published with this time.
    new_message_id: str | None = None
    #: Whether another payload was published than was buried.
    edited: bool = False
    reason: str | None = None


class StoredReport(msgspec.Struct, frozen=True):
    """A delivery report as it came, for a dead letter that is about one."""

    aggregator: str
    content_type: str
    body: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class DeadLetterContents:
    """What a dead letter holds, and what was done with it."""

    letter: DeadLetterView
    subject: str
    payload: bytes
    edited_payload: bytes | None
    headers: dict[str, str]
    actions: Sequence[Action]
    report: StoredReport | None


class DeadLetterGroup(msgspec.Struct, frozen=True):
    """Dead letters of one queue that wait for the same reason."""

    queue: str
    error_type: str
    error: str
    count: int
    oldest_at: datetime
    newest_at: datetime


class JobView(msgspec.Struct, frozen=True):
    """A bulk action and how far it is."""

    id: str
    action: str
    #: "running", "cancelled" or "finished".
    state: str
    queue: str | None
    error_type: str | None
    older_than_seconds: int | None
    newer_than_seconds: int | None
    rate_per_second: int
    reason: str | None
    #: How many dead letters it was about when it began.
    total_count: int
    done_count: int
    started_by: str
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Which dead letters are meant; everything given must be true of one."""

    queue: str | None = None
    error_type: str | None = None
    state: str | None = None
    #: Given up before this.
    before_at: datetime | None = None
    #: Given up at this or later.
    from_at: datetime | None = None


class DeadLetters(Protocol):
    """Reads of dead letters; each raises ReadsUnavailable while the database is away."""

    async def page(
        self, asked: DeadLetterFilter, *, before: UUID | None, limit: int
    ) -> Sequence[DeadLetterView]:
        """Return dead letters, those published last first, below the id ``before``."""
        ...

    async def groups(self, asked: DeadLetterFilter) -> Sequence[DeadLetterGroup]:
        """Return what waits, by queue and error, the largest group first."""
        ...

    async def contents(self, letter_id: UUID) -> DeadLetterContents | None:
        """Return one dead letter with what it holds."""
        ...

    async def jobs(self, *, before: UUID | None, limit: int) -> Sequence[JobView]:
        """Return bulk actions, newest first, below the id ``before``."""
        ...

    async def job(self, job_id: UUID) -> JobView | None:
        """Return one bulk action."""
        ...


def action_of(event: Any) -> Action:
    """Return an event of a dead letter as operators read it."""
    kind, step, _ = event.TOPIC.split(".")
    went_round = isinstance(event, DeadLetter.Republished)
    return Action(
        name=f"{kind}.{step}",
        at=event.timestamp,
        actor=event.actor,
        request_id=event.request_id,
        new_message_id=event.new_message_id if went_round else None,
        edited=went_round and event.payload is not None,
        reason=getattr(event, "reason", None),
    )
