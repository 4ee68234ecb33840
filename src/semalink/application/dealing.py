"""Dealing out: messages of campaigns enter their queue in bundles, in turns, and not too many."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import msgspec
import structlog

from semalink.application.bundles import BULK_QUEUE, BUNDLE_SIZE, BundlePayload
from semalink.application.bus import Bus, Outgoing
from semalink.application.campaign_sending import CampaignRef
from semalink.application.outbox import StreamMark
from semalink.domain.pace import Pace, rate_to_finish

#: Bundles that may be in the queue or with workers: some seconds of work, so that a pause or a
#: cancellation finds the rest still here.
OUTSTANDING_MAX = 40

#: A look for more while campaigns send and nothing could be dealt out.
LOOK_SECONDS = 0.25
#: The next look after something was dealt out: what follows is dealt out together.
LINGER_SECONDS = 0.05
#: The longest sleep, whatever is thought to be next.
SLEEP_SECONDS_MAX = 30.0

#: How long the queue may be empty against the books before what is missing is dealt out again.
MISSING_SECONDS = 30.0
#: How often a message may vanish from the queue before it is parked.
REFILLS_MAX = 3
#: How long a message may be on its way before it is dealt out again, whatever the queue holds:
#: much longer than bundles wait there.
STALE_SECONDS = 300.0

#: How often what is left of a campaign is counted; between, what was dealt out is taken off.
COUNT_SECONDS = 5.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sending:
    """A campaign that sends, as the dealer sees it."""

    campaign: CampaignRef
    rate_per_second: int | None = None
    finish_by: datetime | None = None
    #: Countries whose hours it must keep to; none where hours do not matter.
    countries: tuple[str, ...] = ()


class DealingBook(Protocol):
    """Messages of campaigns, as the one dealer sees them."""

    async def now(self) -> datetime:
        """Return the time of the database, which decides."""
        ...

    async def sending(self) -> Sequence[Sending]:
        """Return the campaigns that send and may have something to hand over."""
        ...

    async def take_up_due(self) -> None:
        """Hold again what was put off and whose time has come."""
        ...

    async def held(self, campaign_id: UUID, limit: int) -> Sequence[UUID]:
        """Return messages that wait to be dealt out, oldest first."""
        ...

    async def count_left(self, campaign_id: UUID) -> int:
        """Return how many wait to be dealt out."""
        ...

    async def dealt_out(self, message_ids: Sequence[UUID]) -> Sequence[UUID]:
        """Record that they are on their way; return those that still waited."""
        ...

    async def hold(self, message_ids: Sequence[UUID]) -> None:
        """Have them dealt out again, unless a worker began with them."""
        ...

    async def take_back_lost(
        self, mark: StreamMark, *, missing_seconds: float, stale_seconds: float, refills_max: int
    ) -> int:
        """Hold again what the broker lost, park what vanishes each time; return how many.

        What is on its way for so long is held as well, and nothing is held against it.
        """
        ...


#: Returns the first moment from now on at which messages may be sent to a country.
OpensAt = Callable[[datetime, str], datetime]


@dataclass(slots=True)
class _Turn:
    """What a campaign gets in this step."""

    sending: Sending
    allowed: int
    ids: list[UUID] = field(default_factory=list)


@dataclass(slots=True)
class _Left:
    """How many of a campaign wait, by the last count and what was dealt out since."""

    count: int
    counted_at: datetime


class Dealer:
    """Marks messages, then publishes bundles, and holds again what the broker refused.

    The other way round a worker could hold again what is only marked afterwards. What a crash
    leaves marked and unpublished is taken back by ``repair``; what is dealt out twice by it, or by
    an answer of the broker that was lost, workers notice.
    """

    def __init__(
        self,
        book: DealingBook,
        bus: Bus,
        *,
        new_id: Callable[[], UUID],
        opens_at: OpensAt,
        count_outstanding: Callable[[], Awaitable[int]],
        outstanding_max: int = OUTSTANDING_MAX,
    ) -> None:
        self._book = book
        self._bus = bus
        self._new_id = new_id
        self._opens_at = opens_at
        self._count_outstanding = count_outstanding
        self._outstanding_max = outstanding_max
        self._paces: dict[UUID, Pace] = {}
        self._left: dict[UUID, _Left] = {}
        #: Who was served last comes last: accounts, and campaigns within each.
        self._served: dict[UUID, int] = {}
        self._turn_count = 0
        self.dealt_count = 0
        #: Whether any campaign sends.
        self.is_busy = False
        #: Since when campaigns could have sent and nothing of them was dealt out.
        self._blocked: dict[UUID, datetime] = {}
        #: For how long the one that waited longest was blocked.
        self.blocked_seconds = 0.0
        #: When the next look is due unless something calls: in seconds.
        self.sleep_seconds = SLEEP_SECONDS_MAX

    async def step(self) -> int:
        """Deal out what may leave now; return how many, and say how long to sleep."""
        campaigns = await self._book.sending()
        self.is_busy = bool(campaigns)
        if not campaigns:
            self._paces.clear()
            self._left.clear()
            self._served.clear()
            self._blocked, self.blocked_seconds = {}, 0.0
            self.sleep_seconds = SLEEP_SECONDS_MAX
            return 0
        await self._book.take_up_due()
        now = await self._book.now()
        turns = await self._open_turns(campaigns, now)
        count = await self._deal(turns, now) if turns else 0
        self.dealt_count += count
        if turns:
            self.sleep_seconds = LINGER_SECONDS if count else LOOK_SECONDS
        return count

    async def repair(self, mark: StreamMark) -> None:
        """Have dealt out again what the broker lost, so that wiping it loses nothing."""
        count = await self._book.take_back_lost(
            mark,
            missing_seconds=MISSING_SECONDS,
            stale_seconds=STALE_SECONDS,
            refills_max=REFILLS_MAX,
        )
        if count:
            _log.warning("bundles_taken_back", count=count)

    async def _open_turns(self, campaigns: Sequence[Sending], now: datetime) -> list[_Turn]:
        """Return whose hours are open, with how many each may send now."""
        opens = [(self._opening(each, now), each) for each in campaigns]
        wait = min(at for at, _ in opens) - now
        self.sleep_seconds = min(SLEEP_SECONDS_MAX, max(LOOK_SECONDS, wait.total_seconds()))
        turns = [_Turn(each, await self._allowed(each, now)) for at, each in opens if at <= now]
        return sorted(turns, key=lambda turn: self._rank(turn.sending))

    def _opening(self, sending: Sending, now: datetime) -> datetime:
        """Return the first moment at which the hours of all its countries are open."""
        at = now
        for _ in range(len(sending.countries) + 1):
            later = max((self._opens_at(at, each) for each in sending.countries), default=at)
            if later == at:
                return at
            at = later
        # Their hours never meet within a few days: each look tries anew.
        return max(at, now + timedelta(seconds=SLEEP_SECONDS_MAX))

    async def _allowed(self, sending: Sending, now: datetime) -> int:
        rate: float | None = sending.rate_per_second
        campaign_id = sending.campaign.campaign_id
        if rate is None and sending.finish_by is not None:
            left_count = await self._count_left(campaign_id, now)
            rate = rate_to_finish(left_count, sending.finish_by, now)
        most = self._outstanding_max * BUNDLE_SIZE
        if rate is None:
            self._paces.pop(campaign_id, None)
            return most
        pace = self._paces.setdefault(campaign_id, Pace(now))
        return min(most, pace.allowed(rate, now))

    async def _count_left(self, campaign_id: UUID, now: datetime) -> int:
        left = self._left.get(campaign_id)
        if left is None or (now - left.counted_at).total_seconds() >= COUNT_SECONDS:
            left = _Left(await self._book.count_left(campaign_id), now)
            self._left[campaign_id] = left
        return left.count

    def _rank(self, sending: Sending) -> tuple[int, int]:
        account_turn = self._served.get(sending.campaign.account_id, 0)
        return account_turn, self._served.get(sending.campaign.campaign_id, 0)

    async def _deal(self, turns: list[_Turn], now: datetime) -> int:
        room = self._outstanding_max - await self._count_outstanding()
        shares = self._share_out(turns, room)
        waiting = {turn.sending.campaign.campaign_id for turn in turns if turn.allowed}
        bundles: list[tuple[_Turn, list[UUID]]] = []
        for turn, share in shares:
            campaign_id = turn.sending.campaign.campaign_id
            ids = list(await self._book.held(campaign_id, share))
            if not ids:
                waiting.discard(campaign_id)
            bundles += [
                (turn, ids[at : at + BUNDLE_SIZE]) for at in range(0, len(ids), BUNDLE_SIZE)
            ]
        stored = await self._publish(bundles) if bundles else {}
        self._note_blocked(waiting - stored.keys(), now)
        return sum(stored.values())

    async def _publish(self, bundles: list[tuple[_Turn, list[UUID]]]) -> dict[UUID, int]:
        """Return how many messages of each campaign the broker has now."""
        marked = set(await self._book.dealt_out([one for _, ids in bundles for one in ids]))
        waiting = [(turn, [one for one in ids if one in marked]) for turn, ids in bundles]
        leaving = [(turn, ids) for turn, ids in waiting if ids]
        outcomes = await self._bus.publish_many(
            [self._outgoing(turn.sending.campaign, ids) for turn, ids in leaving]
        )
        stored: dict[UUID, int] = {}
        refused: list[UUID] = []
        for (turn, ids), outcome in zip(leaving, outcomes, strict=True):
            if not outcome.stored:
                refused += ids
                continue
            campaign_id = turn.sending.campaign.campaign_id
            stored[campaign_id] = stored.get(campaign_id, 0) + len(ids)
            self._note_served(turn, len(ids))
        if refused:
            _log.warning("dealing_failed", reason="broker")
            await self._book.hold(refused)
        return stored

    def _note_blocked(self, blocked: Iterable[UUID], now: datetime) -> None:
        """Remember since when campaigns wait for room in the queue, or for the broker."""
        self._blocked = {one: self._blocked.get(one, now) for one in blocked}
        since = min(self._blocked.values(), default=now)
        self.blocked_seconds = (now - since).total_seconds()

    def _share_out(self, turns: list[_Turn], room: int) -> list[tuple[_Turn, int]]:
        """Return how many messages each may deal out: a bundle each in turn, until it is full."""
        shares = dict.fromkeys(range(len(turns)), 0)
        by_account: dict[UUID, list[int]] = {}
        for number, turn in enumerate(turns):
            by_account.setdefault(turn.sending.campaign.account_id, []).append(number)
        while room > 0 and any(by_account.values()):
            for numbers in by_account.values():
                if not numbers or room <= 0:
                    continue
                number = numbers.pop(0)
                left = turns[number].allowed - shares[number]
                if left <= 0:
                    continue
                shares[number] += min(left, BUNDLE_SIZE)
                room -= 1
                numbers.append(number)
        return [(turns[number], share) for number, share in shares.items() if share]

    def _note_served(self, turn: _Turn, count: int) -> None:
        self._turn_count += 1
        campaign = turn.sending.campaign
        self._served[campaign.account_id] = self._turn_count
        self._served[campaign.campaign_id] = self._turn_count
        pace = self._paces.get(campaign.campaign_id)
        if pace is not None:
            pace.take(count)
        left = self._left.get(campaign.campaign_id)
        if left is not None:
            left.count = max(0, left.count - count)

    def _outgoing(self, campaign: CampaignRef, ids: list[UUID]) -> Outgoing:
        payload = BundlePayload(
            campaign.campaign_id, campaign.account_id, campaign.billing_account_id, ids
        )
        # Never the same twice: what was held again must get past the broker's deduplication.
        return Outgoing(BULK_QUEUE, msgspec.json.encode(payload), f"bulk:{self._new_id().hex}")
