"""What is done with messages that nobody could handle: the commands, each a durable decision."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

import msgspec

from semalink.application.ledger import Books, Needs, PlainCommand
from semalink.application.tasks import CONTACTS_QUEUE, CONTENT_QUEUE, TASK_PREFIX
from semalink.domain.cause import Cause
from semalink.domain.dead_letter import DeadLetter
from semalink.domain.dead_letter_job import DeadLetterJob
from semalink.domain.errors import DeadLetterJobNotFound, DeadLetterNotFound
from semalink.domain.ids import CAMPAIGN_PREFIX, MESSAGE_PREFIX, format_id

REPORT_PREFIX = "rpt_"
WEBHOOK_DELIVERY_PREFIX = "whk_"

#: The field of each queue's payload that says what it is about, and the prefix of such ids.
_ABOUT: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "sms.priority": ("message_id", MESSAGE_PREFIX),
        "sms.normal": ("message_id", MESSAGE_PREFIX),
        "sms.bulk": ("campaign_id", CAMPAIGN_PREFIX),
        CONTENT_QUEUE: ("task_id", TASK_PREFIX),
        CONTACTS_QUEUE: ("task_id", TASK_PREFIX),
        "dlr.inbound": ("report_id", REPORT_PREFIX),
        "webhooks.outbound": ("delivery_id", WEBHOOK_DELIVERY_PREFIX),
    }
)


def about_of(queue: str, payload: bytes) -> str | None:
    """Return the public id of what a message of a queue is about; None when nobody can read it."""
    if queue not in _ABOUT:
        return None
    field, prefix = _ABOUT[queue]
    try:
        said = msgspec.json.decode(payload, type=dict[str, object])
        return format_id(prefix, msgspec.convert(said.get(field), UUID))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def letter_uuid(buried_as: str, stored_at: datetime) -> UUID:
    """Return the id of a dead letter: the same, whoever buries it and however often."""
    chance = int.from_bytes(hashlib.sha256(buried_as.encode()).digest()[:10])
    number = (int(stored_at.timestamp() * 1_000) & (1 << 48) - 1) << 80 | chance
    # Version 7 and the variant, at their places.
    number = number & ~(0xF << 76) | 0x7 << 76
    return UUID(int=number & ~(0b11 << 62) | 0b10 << 62)


@dataclass(frozen=True, slots=True)
class Burial:
    """A dead letter as it lies in the broker."""

    letter_id: UUID
    buried_as: str
    queue: str
    subject: str
    error_type: str
    error: str
    delivery_count: int
    first_at: datetime
    last_at: datetime
    #: The id that it was first published with.
    message_id: str
    redrive_count: int
    about: str | None
    payload: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BuryDeadLetter(PlainCommand):
    """Record that a message left its queue undone; again changes nothing."""

    letter_id: UUID
    queue: str
    error_type: str
    error: str
    delivery_count: int
    buried_as: str
    about: str | None
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The dead letter, in case it was recorded before."""
        needs.settings.add(self.letter_id)

    def decide(self, books: Books) -> bool:
        """Record it once; tell whether it is new."""
        if books.find(DeadLetter, self.letter_id) is not None:
            return False
        letter = DeadLetter.bury(
            self.letter_id,
            self.cause,
            queue=self.queue,
            error_type=self.error_type,
            error=self.error,
            delivery_count=self.delivery_count,
            buried_as=self.buried_as,
            about=self.about,
        )
        books.add(letter)
        return True


@dataclass(frozen=True, slots=True)
class RepublishDeadLetter(PlainCommand):
    """Send a dead letter round again, as it was or with another payload."""

    letter_id: UUID
    cause: Cause
    #: What is published instead of what was buried, which is kept.
    payload: bytes | None = None
    #: What the published payload is about.
    about: str | None = None
    #: Whether one that went round before may go again.
    again: bool = False
    job_id: UUID | None = None

    def needs(self, needs: Needs) -> None:
        """The dead letter."""
        needs.settings.add(self.letter_id)

    def decide(self, books: Books) -> None:
        """Decide it; the relay publishes what was decided."""
        _letter(books, self.letter_id).republish(
            self.cause,
            payload=self.payload,
            about=self.about,
            again=self.again,
            job_id=self.job_id,
        )


@dataclass(frozen=True, slots=True)
class DiscardDeadLetter(PlainCommand):
    """Decide that what a dead letter asked for is not to be done."""

    letter_id: UUID
    reason: str
    cause: Cause
    job_id: UUID | None = None

    def needs(self, needs: Needs) -> None:
        """The dead letter."""
        needs.settings.add(self.letter_id)

    def decide(self, books: Books) -> None:
        """Close it."""
        _letter(books, self.letter_id).discard(self.reason, self.cause, job_id=self.job_id)


@dataclass(frozen=True, slots=True)
class JobPlan:
    """What a bulk action does, to which dead letters, and how fast."""

    #: "republish" or "discard".
    action: str
    queue: str | None = None
    error_type: str | None = None
    older_than_seconds: int | None = None
    newer_than_seconds: int | None = None
    rate_per_second: int = 10
    #: Why what is discarded is not to be done.
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class StartDeadLetterJob(PlainCommand):
    """Begin a bulk action; the relay carries it out."""

    job_id: UUID
    plan: JobPlan
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """Nothing: it is new."""

    def decide(self, books: Books) -> None:
        """Record it."""
        plan = self.plan
        job = DeadLetterJob.start(
            self.job_id,
            self.cause,
            action=plan.action,
            queue=plan.queue,
            error_type=plan.error_type,
            older_than_seconds=plan.older_than_seconds,
            newer_than_seconds=plan.newer_than_seconds,
            rate_per_second=plan.rate_per_second,
            reason=plan.reason,
        )
        books.add(job)


@dataclass(frozen=True, slots=True)
class CancelDeadLetterJob(PlainCommand):
    """Stop a bulk action where it is."""

    job_id: UUID
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The bulk action."""
        needs.settings.add(self.job_id)

    def decide(self, books: Books) -> None:
        """Stop it."""
        _job(books, self.job_id).cancel(self.cause)


@dataclass(frozen=True, slots=True)
class FinishDeadLetterJob(PlainCommand):
    """Close a bulk action that has nothing left to do."""

    job_id: UUID
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The bulk action."""
        needs.settings.add(self.job_id)

    def decide(self, books: Books) -> None:
        """Close it, unless it was cancelled meanwhile."""
        _job(books, self.job_id).finish(self.cause)


def _letter(books: Books, letter_id: UUID) -> DeadLetter:
    letter = books.find(DeadLetter, letter_id)
    if letter is None:
        raise DeadLetterNotFound
    return letter


def _job(books: Books, job_id: UUID) -> DeadLetterJob:
    job = books.find(DeadLetterJob, job_id)
    if job is None:
        raise DeadLetterJobNotFound
    return job
