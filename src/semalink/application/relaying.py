"""The relay: carries work from the database, which is the truth, to the broker."""

import asyncio
import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from uuid import UUID

import msgspec
import structlog

from semalink.application.bus import COUNT_HEADER, Bus, Outgoing, work_count
from semalink.application.outbox import Outbox, PendingJob, StreamMark
from semalink.application.sharing_out import SHARED_LANE, Shares
from semalink.domain.ids import MESSAGE_PREFIX, format_id

PAGE_SIZE = 1_000
STEPS_BETWEEN_DUE = 20
#: Urgent messages are looked for after so many others.
URGENT_AFTER = 25

#: Reports in one message of the broker, which stores and hands out each at a price.
REPORTS_IN_BUNDLE = 50

#: How long after its id was made an urgent message may be committed and still be hurried.
LOOK_BACK_MS = 2_000

#: How long nothing is published after the broker did not take something.
PAUSE_SECONDS = 0.5

#: How long a queue may be empty against the books before what is missing is put back.
MISSING_SECONDS = 30.0

#: How often something is put back that vanishes from its queue again without being done.
REFILLS_MAX = 3

QUEUE_OF_LANE = {"priority": "sms.priority", "normal": "sms.normal"}
REPORT_QUEUE = "dlr.inbound"

#: The streams that this relay fills, and fills again.
_REFILLED = frozenset({"SMS_PRIORITY", "SMS_NORMAL", "DLR_INBOUND"})

#: What the relay listens to, so that work leaves at once instead of at the next poll.
POKE_SUBJECT = "outbox.poke"

_log = structlog.get_logger(__name__)


class Relay:
    """Publishes what the outbox names; moves a cursor only after the broker has it all."""

    def __init__(
        self,
        outbox: Outbox,
        bus: Bus,
        shares: Shares,
        *,
        pause_seconds: float = PAUSE_SECONDS,
        page_size: int = PAGE_SIZE,
    ) -> None:
        self._page_size = page_size
        self._outbox = outbox
        self._bus = bus
        self._shares = shares
        self._pause_seconds = pause_seconds
        self._steps_since_due = 0
        #: Urgent messages that were published before the log came to them.
        self._ahead: set[UUID] = set()
        #: Urgent messages are looked for beyond this one; those beyond it that were published.
        self._urgent_after = UUID(int=0)
        self._recent: set[UUID] = set()
        self.oldest_at: datetime | None = None
        self.published_counts = dict.fromkeys((*QUEUE_OF_LANE.values(), REPORT_QUEUE), 0)

    async def step(self) -> bool:
        """Publish a page of messages; False when there was nothing to do.

        What was put off is looked for when there is nothing new, and now and then in between.
        """
        moved = [await self._publish_accepted(), await self._deal_out()]
        self._steps_since_due += 1
        if not any(moved) or self._steps_since_due >= STEPS_BETWEEN_DUE:
            self._steps_since_due = 0
            moved.append(await self._publish_due())
        return any(moved)

    async def step_reports(self) -> bool:
        """Publish a page of reports; False when there was none.

        It may be done beside the steps of messages, which wait for no report then.
        """
        page = await self._outbox.next_reports(self._page_size)
        if page.end is None:
            return False
        if not await self._publish(_outgoing_reports(page.report_ids, "", REPORTS_IN_BUNDLE)):
            return False
        await self._outbox.reports_published(page.end)
        return True

    async def repair(self, marks: Sequence[StreamMark]) -> None:
        """Put back what the broker lost: a stream made anew, cut short, or empty against the books.

        A message id that carries the moment gets past the broker's deduplication; workers are
        idempotent, so that publishing too much costs only work.
        """
        for mark in marks:
            if mark.stream not in _REFILLED:
                continue
            lost = await self._outbox.lost_stream(mark)
            if lost or mark.waiting_count == 0:
                if not lost:
                    await self._give_up(mark)
                count, complete = await self._put_back(mark, lost=lost)
                if lost or count:
                    _log.warning("stream_refilled", stream=mark.stream, count=count, lost=lost)
                if not complete:
                    # Not remembered, so that the loss is seen again and nothing is left out.
                    continue
            await self._outbox.remember_stream(mark)

    async def _publish_accepted(self) -> bool:
        hurried = await self._publish_urgent()
        page = await self._outbox.next_jobs(self._page_size)
        self.oldest_at = page.oldest_at
        if page.end is None:
            return hurried
        # Asked anew for each: what is published ahead in the meantime is left out.
        entering = await self._shares.admit(page.jobs)
        rest = (job for job in entering if job.job.message_id not in self._ahead)
        if not await self._publish_in_turns(_outgoing_job(job, "") for job in rest):
            return False
        await self._outbox.jobs_published(page.end)
        self._ahead.difference_update(job.job.message_id for job in page.jobs)
        self._look_back_no_further_than([job for job in page.jobs if job.lane == "priority"])
        return True

    async def _publish_urgent(self) -> bool:
        """Publish ahead of the log what must not wait for it; False when there was none.

        The log may be thousands of messages behind, or held back by a transaction that takes its
        time. It comes to these as well; that they were published is remembered until then.
        """
        hurried = False
        after = self._urgent_after
        while jobs := await self._outbox.urgent_jobs(after=after, limit=self._page_size):
            after = jobs[-1].job.message_id
            fresh = [job for job in jobs if job.job.message_id not in self._recent]
            if not await self._publish([_outgoing_job(job, "") for job in fresh]):
                return False
            self._ahead.update(job.job.message_id for job in fresh)
            self._look_back_no_further_than(jobs)
            hurried = hurried or bool(fresh)
        return hurried

    def _look_back_no_further_than(self, published: Sequence[PendingJob]) -> None:
        """Remember what was published, as long as it may be looked at again."""
        if not published:
            return
        self._recent.update(job.job.message_id for job in published)
        newest = max(job.job.message_id for job in published)
        # Ids are made before the commit: one that comes later than this is left to the log.
        look_back_to = UUID(int=max(0, (newest.int >> 80) - LOOK_BACK_MS) << 80)
        self._urgent_after = max(self._urgent_after, look_back_to)
        self._recent = {one for one in self._recent if one > self._urgent_after}

    async def _publish_due(self) -> bool:
        due = await self._outbox.due_jobs(self._page_size)
        if not due:
            return False
        jobs = await self._shares.admit(due)
        if not await self._publish_in_turns(_outgoing_job(job, "") for job in jobs):
            return False
        await self._outbox.requeued([job.job.message_id for job in jobs])
        return True

    async def _deal_out(self) -> bool:
        jobs = await self._shares.next_turns()
        if not jobs or not await self._publish_in_turns(_outgoing_job(job, "") for job in jobs):
            return False
        await self._shares.dealt_out(jobs)
        return True

    async def _give_up(self, mark: StreamMark) -> None:
        """End the round of what five workers died of, or what is made a dead letter each time."""
        if _is_of_reports(mark):
            for report_id in await self._outbox.give_up_reports(
                refills=REFILLS_MAX, older_than_seconds=MISSING_SECONDS
            ):
                _log.error("report_set_aside", report_id=report_id.hex)
            return
        for message_id in await self._outbox.give_up_jobs(
            _lane_of(mark), refills=REFILLS_MAX, older_than_seconds=MISSING_SECONDS
        ):
            _log.error("message_parked", message_id=format_id(MESSAGE_PREFIX, message_id))

    async def _put_back(self, mark: StreamMark, *, lost: bool) -> tuple[int, bool]:
        older_than_seconds = 0.0 if lost else MISSING_SECONDS
        suffix = f":{mark.created_at.timestamp():.0f}.{mark.last_sequence}"
        if _lane_of(mark) == SHARED_LANE:
            await self._shares.look_again(lost=lost)
        count = 0
        after: UUID | None = None
        while True:
            if _is_of_reports(mark):
                ids = await self._outbox.queued_reports(
                    after=after, older_than_seconds=older_than_seconds, limit=self._page_size
                )
                last = ids[-1] if ids else None
                # What vanishes may kill its workers: alone, so that it takes no others along.
                page = _outgoing_reports(ids, suffix, REPORTS_IN_BUNDLE if lost else 1)
            else:
                last, jobs = await self._lost_jobs(mark, after, older_than_seconds)
                ids = [job.job.message_id for job in jobs]
                page = [_outgoing_job(job, suffix) for job in jobs]
            if last is None:
                return count, True
            if not await self._publish_in_turns(page):
                return count, False
            count += len(ids)
            after = last
            await self._note_put_back(mark, ids, lost=lost)

    async def _note_put_back(self, mark: StreamMark, ids: Sequence[UUID], *, lost: bool) -> None:
        if _is_of_reports(mark):
            if not lost:
                await self._outbox.reports_refilled(ids)
        elif lost:
            # The broker's fault, so it does not count against the messages.
            await self._outbox.requeued(ids)
        else:
            await self._outbox.jobs_refilled(ids)

    async def _lost_jobs(
        self, mark: StreamMark, after: UUID | None, older_than_seconds: float
    ) -> tuple[UUID | None, Sequence[PendingJob]]:
        """Return the last that was looked at, and what is to be published."""
        jobs = await self._outbox.queued_jobs(
            _lane_of(mark),
            after=after,
            older_than_seconds=older_than_seconds,
            limit=self._page_size,
        )
        last = jobs[-1].job.message_id if jobs else None
        return last, await self._shares.admit(jobs)

    async def _publish_in_turns(self, items: Iterable[Outgoing]) -> bool:
        """Publish many, and look for urgent messages after each few of them."""
        waiting = iter(items)
        while turn := list(islice(waiting, URGENT_AFTER)):
            if not await self._publish(turn):
                return False
            if len(turn) == URGENT_AFTER:
                await self._publish_urgent()
        return True

    async def _publish(self, items: Sequence[Outgoing]) -> bool:
        if not items:
            return True
        outcomes = await self._bus.publish_many(items)
        for item, outcome in zip(items, outcomes, strict=True):
            if outcome.stored:
                self.published_counts[item.subject] += work_count(item.headers)
        failed = [outcome for outcome in outcomes if not outcome.stored]
        if failed:
            _log.warning("publishing_failed", count=len(failed), reason=failed[0].reason)
            await asyncio.sleep(self._pause_seconds)
        return not failed


class JobPayload(msgspec.Struct, frozen=True, omit_defaults=True):
    """What travels through a work queue: ids only, never a text or a number."""

    message_id: UUID
    account_id: UUID
    billing_account_id: UUID
    campaign_id: UUID | None = None


class ReportBundle(msgspec.Struct, frozen=True):
    """Stored reports by their ids."""

    report_ids: tuple[UUID, ...]


class ReportPayload(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stored report by its id, or a raw one that the database could not take."""

    report_id: UUID
    aggregator: str | None = None
    content_type: str | None = None
    body: bytes | None = None
    received_at: datetime | None = None


def _is_of_reports(mark: StreamMark) -> bool:
    return mark.stream == "DLR_INBOUND"


def _lane_of(mark: StreamMark) -> str:
    return mark.stream.removeprefix("SMS_").lower()


def _outgoing_job(pending: PendingJob, suffix: str) -> Outgoing:
    job = pending.job
    payload = JobPayload(job.message_id, job.account_id, job.billing_account_id, job.campaign_id)
    return Outgoing(
        QUEUE_OF_LANE[pending.lane],
        msgspec.json.encode(payload),
        f"{job.message_id.hex}:{pending.round}{suffix}",
        {"traceparent": pending.traceparent} if pending.traceparent else {},
    )


def _outgoing_reports(
    report_ids: Sequence[UUID], suffix: str, together_count: int
) -> Sequence[Outgoing]:
    starts = range(0, len(report_ids), together_count)
    return [_outgoing_bundle(report_ids[at : at + together_count], suffix) for at in starts]


def _outgoing_bundle(report_ids: Sequence[UUID], suffix: str) -> Outgoing:
    if len(report_ids) == 1:
        [report_id] = report_ids
        alone = msgspec.json.encode(ReportPayload(report_id))
        return Outgoing(REPORT_QUEUE, alone, f"{report_id.hex}{suffix}")
    # Of all ids: a page that is published again may lack some of them, and is another bundle then.
    digest = hashlib.sha256(b"".join(one.bytes for one in report_ids)).hexdigest()[:32]
    payload = msgspec.json.encode(ReportBundle(tuple(report_ids)))
    headers = {COUNT_HEADER: str(len(report_ids))}
    return Outgoing(REPORT_QUEUE, payload, f"{digest}{suffix}", headers)
