"""Campaigns in memory: as the scheduler, the dealer and the workers of a MemoryLedger see them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from semalink.application.campaign_keeping import Due, UnderWay
from semalink.application.campaign_pieces import PIECE_TASK, Piece, PricedRecipient
from semalink.application.campaign_sending import PIECE_SIZE, CampaignRef, ends_at
from semalink.application.dealing import Sending
from semalink.application.outbox import StreamMark
from semalink.application.tasks import CONTENT_QUEUE, Task
from semalink.domain.campaign import Campaign, CampaignState
from semalink_adapters.memory_ledger import MemoryLedger, Pending


@dataclass
class MemoryCampaigns:
    """A ScheduleBook, a DealingBook, a BundleBook and a PieceBook beside a MemoryLedger."""

    ledger: MemoryLedger
    clock: Callable[[], datetime]
    #: Recipients that a check left, by campaign.
    recipients: dict[UUID, Sequence[PricedRecipient]] = field(default_factory=dict)
    #: Pieces that were accepted, as their tasks are gone.
    done_tasks: set[UUID] = field(default_factory=set)
    claims: dict[UUID, datetime] = field(default_factory=dict)
    mark: StreamMark | None = None
    #: Sender ids that nobody may use any more.
    withdrawn_senders: set[str] = field(default_factory=set)

    async def now(self) -> datetime:
        """Return the time."""
        return self.clock()

    async def claim_due(self, limit: int, seconds: float) -> Sequence[Due]:
        """Return campaigns that are due and that nobody else was given."""
        now = self.clock()
        due = [each for each in self._scheduled() if self._free_at(each) <= now][:limit]
        for each in due:
            self.claims[each.id] = now + timedelta(seconds=seconds)
        return [
            Due(now, _ref(each), each.plan.sender not in self.withdrawn_senders) for each in due
        ]

    async def seconds_until_next(self) -> float | None:
        """Return how long until the next campaign is due; None when none is scheduled."""
        times = [self._free_at(each) for each in self._scheduled()]
        return (min(times) - self.clock()).total_seconds() if times else None

    async def under_way(self) -> Sequence[UnderWay]:
        """Return the campaigns that started and are not settled."""
        return [
            UnderWay(
                _ref(each),
                each.state.value,
                has_pieces=bool(self.tasks(each.id)),
                has_unsent=any(one.state != "unknown" for one in self._pending(each.id)),
                has_open=bool(self._pending(each.id)),
            )
            for each in self._all()
            if each.has_started and not each.is_settled
        ]

    async def unsent(self, campaign_id: UUID, after: UUID, limit: int) -> Sequence[UUID]:
        """Return messages that wait for submission, in id order."""
        return [
            one.job.message_id
            for one in self._pending(campaign_id)
            if one.state != "unknown" and one.job.message_id > after
        ][:limit]

    async def sending(self) -> Sequence[Sending]:
        """Return the campaigns that send and may have something to hand over."""
        return [
            Sending(
                _ref(each),
                each.plan.rate_per_second,
                each.plan.finish_by,
                _countries_of(each),
            )
            for each in self._all()
            if each.state is CampaignState.SENDING
        ]

    async def take_up_due(self) -> None:
        """Hold again what was put off and whose time has come."""
        for one in self._bulk():
            if one.state == "postponed" and one.due_at is not None and one.due_at <= self.clock():
                one.state, one.due_at = "held", None

    async def held(self, campaign_id: UUID, limit: int) -> Sequence[UUID]:
        """Return messages that wait to be dealt out, oldest first."""
        found = [one.job.message_id for one in self._pending(campaign_id) if one.state == "held"]
        return found[:limit]

    async def count_left(self, campaign_id: UUID) -> int:
        """Return how many wait to be dealt out."""
        return sum(one.state == "held" for one in self._pending(campaign_id))

    async def dealt_out(self, message_ids: Sequence[UUID]) -> Sequence[UUID]:
        """Record that they are on their way; return those that still waited."""
        waiting = self._of(message_ids, "held")
        for one in waiting:
            one.state, one.queued_at = "queued", self.clock()
        return [one.job.message_id for one in waiting]

    async def take_back_lost(
        self, mark: StreamMark, *, missing_seconds: float, stale_seconds: float, refills_max: int
    ) -> int:
        """Hold again what the broker lost, park what vanishes each time; return how many."""
        before, self.mark = self.mark, mark
        lost = before is not None and (
            mark.created_at != before.created_at or mark.last_sequence < before.last_sequence
        )
        vanished = not lost and not mark.waiting_count
        seconds = 0.0 if lost else missing_seconds if vanished else stale_seconds
        since = self.clock() - timedelta(seconds=seconds)
        missing = [one for one in self._bulk() if one.state == "queued" and one.queued_at <= since]
        for one in missing:
            one.state = "parked" if vanished and one.refills >= refills_max else "held"
            one.refills += vanished
        return len(missing)

    async def hold(self, message_ids: Sequence[UUID]) -> None:
        """Have them dealt out again when their campaign may send."""
        for one in self._of(message_ids, "queued"):
            one.state = "held"

    async def put_off(self, message_ids: Sequence[UUID], until: datetime) -> None:
        """Have them dealt out again after that time."""
        for one in self._of(message_ids, "queued", "held"):
            one.state, one.due_at = "postponed", until

    async def park(self, message_ids: Sequence[UUID]) -> None:
        """Have nobody deal them out again by themselves."""
        for one in self._of(message_ids, "queued", "held", "postponed"):
            one.state, one.due_at = "parked", None

    def tasks(self, campaign_id: UUID) -> Sequence[Task]:
        """Return the pieces of a campaign that started and that are still to be accepted."""
        campaign = self.ledger.load(Campaign, campaign_id)
        if campaign is None or not campaign.has_started:
            return []
        count = len(self.recipients.get(campaign_id, ()))
        tasks = [
            Task(
                UUID(int=campaign_id.int ^ (first + 1)),
                CONTENT_QUEUE,
                PIECE_TASK,
                campaign.account_id,
                {"campaign_id": str(campaign_id), "first": first, "size": PIECE_SIZE},
            )
            for first in range(0, count, PIECE_SIZE)
        ]
        return [task for task in tasks if task.task_id not in self.done_tasks]

    async def piece(self, campaign_id: UUID, first: int, size: int) -> Piece | None:
        """Return the recipients of so many places that get a message; None: no such campaign."""
        campaign = self.ledger.load(Campaign, campaign_id)
        if campaign is None:
            return None
        return Piece(
            _ref(campaign),
            campaign.mode,
            campaign.plan.sender,
            campaign.plan.metadata,
            None,
            ends_at(campaign),
            self.recipients.get(campaign_id, ())[first : first + size],
        )

    async def end(self, task_id: UUID) -> None:
        """Take note that a task is done."""
        self.done_tasks.add(task_id)

    def states(self, campaign_id: UUID) -> list[str]:
        """Return where each message of a campaign stands that is not done, oldest first."""
        return [one.state for one in self._pending(campaign_id)]

    def _all(self) -> list[Campaign]:
        loaded = [self.ledger.load(Campaign, each) for each in self.ledger.ids(Campaign)]
        return [each for each in loaded if each is not None]

    def _scheduled(self) -> list[Campaign]:
        return [each for each in self._all() if each.state is CampaignState.SCHEDULED]

    def _free_at(self, campaign: Campaign) -> datetime:
        assert campaign.start_at is not None, "what is scheduled has a time"
        return max(campaign.start_at, self.claims.get(campaign.id, campaign.start_at))

    def _bulk(self) -> list[Pending]:
        return [one for one in self.ledger.pending().values() if one.lane == "bulk"]

    def _pending(self, campaign_id: UUID) -> list[Pending]:
        found = [one for one in self._bulk() if one.job.campaign_id == campaign_id]
        return sorted(found, key=lambda one: one.job.message_id)

    def _of(self, message_ids: Sequence[UUID], *states: str) -> list[Pending]:
        wanted = set(message_ids)
        return [one for one in self._bulk() if one.job.message_id in wanted and one.state in states]


def _ref(campaign: Campaign) -> CampaignRef:
    return CampaignRef(campaign.id, campaign.account_id, campaign.billing_account_id)


def _countries_of(campaign: Campaign) -> tuple[str, ...]:
    totals = campaign.totals
    if totals is None or totals.sender_class != "promotional":
        return ()
    return tuple(sorted(getattr(totals, "by_country", {})))
