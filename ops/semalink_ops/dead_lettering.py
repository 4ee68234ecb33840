"""Dead letters, beside the relay: found, recorded, published again, worked off in bulk."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import msgspec
import structlog

from semalink.application.bus import Bus, Delivery, NotReady, Outgoing
from semalink.application.dead_letters import (
    Burial,
    BuryDeadLetter,
    DiscardDeadLetter,
    FinishDeadLetterJob,
    RepublishDeadLetter,
    about_of,
    letter_uuid,
)
from semalink.application.ledger import Ledger, LedgerUnavailable
from semalink.application.relaying import QUEUE_OF_LANE, JobPayload
from semalink.domain.cause import Cause
from semalink.domain.dead_letter import DEAD_LETTER_PREFIX
from semalink.domain.dead_letter_job import DEAD_LETTER_JOB_PREFIX
from semalink.domain.errors import DeadLetterSettled
from semalink.domain.ids import format_id
from semalink_adapters.jetstream.dead_letters import (
    BROKER_PREFIX,
    MESSAGE_ID_HEADER,
    ORIGIN_PREFIX,
    REDRIVE_HEADER,
    SUBJECT_PREFIX,
)
from semalink_adapters.jetstream.streams import QUEUES, queue_of_subject
from semalink_adapters.postgres.dead_letter_work import (
    DeadLetterWork,
    Parked,
    Republishing,
    RunningJob,
)
from semalink_ops.runtime import new_request_id, utc_now

PAGE_SIZE = 200
UNSEEN_MAX = 1_000
ACTOR = "worker:dead-letters"
VANISHED = "vanished"
VANISHED_ERROR = "It left its queue undone, and no dead letter of it came."

_QUEUE_OF_STREAM: Mapping[str, str] = {queue.stream: queue.name for queue in QUEUES}

_log = structlog.get_logger(__name__)


class DeadLetterProjector:
    """Stores dead letters in the database and records them, each once."""

    def __init__(self, work: DeadLetterWork, ledger: Ledger) -> None:
        self._work = work
        self._ledger = ledger

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        """Store and record; a repetition finds both done. Raises NotReady."""
        await self.bury([burial_of(delivery, utc_now()) for delivery in deliveries])

    async def bury(self, burials: Sequence[Burial]) -> None:
        """Store and record dead letters; as ``handle``."""
        ids = await self._work.store(burials)
        await self.record([replace(one, letter_id=ids[one.buried_as]) for one in burials])

    async def record(self, stored: Sequence[Burial]) -> None:
        """Record dead letters that are stored, so that they are seen. Raises NotReady."""
        commands = [
            BuryDeadLetter(
                one.letter_id,
                one.queue,
                one.error_type,
                one.error,
                one.delivery_count,
                one.buried_as,
                one.about,
                Cause(ACTOR, utc_now(), new_request_id("job_")),
            )
            for one in stored
        ]
        try:
            await asyncio.gather(*(self._ledger.execute(command) for command in commands))
        except LedgerUnavailable as away:
            raise NotReady(str(away)) from away


def burial_of(delivery: Delivery, now: datetime) -> Burial:
    """Return what a dead letter says; one that somebody published by hand may say little."""
    told = {
        name.removeprefix(ORIGIN_PREFIX): value
        for name, value in delivery.headers.items()
        if name.startswith(ORIGIN_PREFIX)
    }
    subject = told.get("Subject") or delivery.subject.removeprefix(SUBJECT_PREFIX)
    queue = _QUEUE_OF_STREAM.get(told.get("Stream", "")) or queue_of_subject(subject)
    buried_as = delivery.headers.get(f"{BROKER_PREFIX}Msg-Id") or _made_up(delivery)
    first_at = _moment(told.get("First-At"), now)
    return Burial(
        letter_id=letter_uuid(buried_as, first_at),
        buried_as=buried_as,
        queue=queue,
        subject=subject,
        error_type=told.get("Error-Type", "unknown"),
        error=told.get("Error", ""),
        delivery_count=_number(told.get("Deliveries")),
        first_at=first_at,
        last_at=_moment(told.get("Last-At"), now),
        message_id=told.get("Msg-Id", ""),
        redrive_count=_number(delivery.headers.get(REDRIVE_HEADER)),
        about=about_of(queue, delivery.payload),
        payload=delivery.payload,
        headers=delivery.headers,
    )


class UnseenFinder:
    """Makes dead letters of messages that were given up without one, and finishes half-made ones.

    The relay gives up what leaves its queue again and again undone; and a broker that loses its
    disk may lose a dead letter that nobody has read yet, or one that was stored and not recorded.
    """

    def __init__(self, work: DeadLetterWork, projector: DeadLetterProjector) -> None:
        self._work = work
        self._projector = projector
        self._seen: set[Parked] = set()
        self._seen_arriving: set[UUID] = set()

    async def step(self) -> int:
        """Bury what is found for the second time, so not on its way; return how many."""
        return await self._finish_arriving() + await self._bury_unseen()

    async def _finish_arriving(self) -> int:
        found = await self._work.arriving(PAGE_SIZE)
        certain = [one for one in found if one.letter_id in self._seen_arriving]
        self._seen_arriving = {one.letter_id for one in found}
        if certain:
            await self._projector.record(certain)
        return len(certain)

    async def _bury_unseen(self) -> int:
        found = set(await self._work.unseen(UNSEEN_MAX))
        certain = sorted(found & self._seen, key=lambda one: one.job.message_id)
        self._seen = found
        if certain:
            await self._projector.bury([burial_of_parked(one, utc_now()) for one in certain])
        return len(certain)


def burial_of_parked(parked: Parked, now: datetime) -> Burial:
    """Return the dead letter of a message of which only the books know."""
    job, queue = parked.job, QUEUE_OF_LANE[parked.lane]
    payload = JobPayload(job.message_id, job.account_id, job.billing_account_id, job.campaign_id)
    # Once republished it is queued anew, and what becomes of that is another dead letter.
    since = f"{parked.queued_at.timestamp() * 1_000:.0f}"
    buried_as = f"dlq:parked:{job.message_id.hex}:{since}"
    encoded = msgspec.json.encode(payload)
    return Burial(
        letter_id=letter_uuid(buried_as, parked.queued_at),
        buried_as=buried_as,
        queue=queue,
        subject=queue,
        error_type=VANISHED,
        error=VANISHED_ERROR,
        delivery_count=0,
        first_at=parked.queued_at,
        last_at=now,
        message_id=f"{job.message_id.hex}:{parked.round}",
        redrive_count=0,
        about=about_of(queue, encoded),
        payload=encoded,
        headers={},
    )


class Republisher:
    """Publishes what was decided to go round again, until the broker has it."""

    def __init__(self, work: DeadLetterWork, bus: Bus) -> None:
        self._work = work
        self._bus = bus

    async def step(self) -> int:
        """Publish a page; return how many of it the broker has now. Raises NotReady.

        A crash before the mark publishes again under the same id, which the broker stores once.
        """
        page = await self._work.republishing(PAGE_SIZE)
        if not page:
            return 0
        outcomes = await self._bus.publish_many([outgoing_of(one) for one in page])
        done = [one for one, outcome in zip(page, outcomes, strict=True) if outcome.stored]
        if len(done) < len(page):
            _log.warning("republishing_postponed", count=len(page) - len(done))
        await self._work.mark_republished(done)
        for one in done:
            _log.info(
                "dead_letter_republished",
                dead_letter_id=format_id(DEAD_LETTER_PREFIX, one.letter_id),
                redrive=one.number,
            )
        return len(done)


def outgoing_of(one: Republishing) -> Outgoing:
    """Return the message as it goes round again: another id, and its first one in a header."""
    new_id = f"redrive:{format_id(DEAD_LETTER_PREFIX, one.letter_id)}:{one.number}"
    kept = {
        name: value
        for name, value in one.headers.items()
        if not name.startswith((BROKER_PREFIX, ORIGIN_PREFIX))
    }
    headers = {
        **kept,
        MESSAGE_ID_HEADER: one.message_id or new_id,
        REDRIVE_HEADER: str(one.redrive_count + one.number),
    }
    return Outgoing(one.subject, one.payload, new_id, headers)


class BulkActions:
    """Works bulk actions off, each at its own rate."""

    def __init__(self, work: DeadLetterWork, ledger: Ledger) -> None:
        self._work = work
        self._ledger = ledger
        self._allowances: dict[RunningJob, float] = {}

    async def step(self, elapsed_seconds: float) -> int:
        """Do what the time that passed allows; return how much was done. Raises NotReady."""
        jobs = await self._work.running_jobs()
        self._allowances = {
            job: min(
                job.rate_per_second,
                self._allowances.get(job, 1.0) + job.rate_per_second * elapsed_seconds,
            )
            for job in jobs
        }
        try:
            return sum([await self._advance(job) for job in jobs])
        except LedgerUnavailable as away:
            raise NotReady(str(away)) from away

    async def _advance(self, job: RunningJob) -> int:
        count = min(int(self._allowances[job]), PAGE_SIZE)
        if not count:
            return 0
        cause = Cause(job.started_by, utc_now(), format_id(DEAD_LETTER_JOB_PREFIX, job.job_id))
        letters = await self._work.letters_of_job(job.job_id, count)
        if not letters:
            await self._finish(job, cause)
            return 0
        self._allowances[job] -= len(letters)
        commands = [
            RepublishDeadLetter(letter_id, cause, about=about, job_id=job.job_id)
            if job.action == "republish"
            else DiscardDeadLetter(letter_id, job.reason or "", cause, job.job_id)
            for letter_id, about in letters
        ]
        outcomes = await asyncio.gather(
            *(self._ledger.execute(command) for command in commands), return_exceptions=True
        )
        for outcome in outcomes:
            # Somebody else settled it meanwhile.
            if isinstance(outcome, BaseException) and not isinstance(outcome, DeadLetterSettled):
                raise outcome
        return len(letters)

    async def _finish(self, job: RunningJob, cause: Cause) -> None:
        # One that was cancelled gives no letters either, and is no longer to be closed.
        await self._ledger.execute(FinishDeadLetterJob(job.job_id, cause))


def _made_up(delivery: Delivery) -> str:
    return f"dlq:{hashlib.sha256(delivery.subject.encode() + delivery.payload).hexdigest()}"


def _moment(text: str | None, now: datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return now
    return moment if moment.tzinfo else now


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 10 else 0
