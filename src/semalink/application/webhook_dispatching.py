"""The dispatcher: decides which deliveries leave now, so that no endpoint delays another."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import msgspec
import structlog

from semalink.application.bus import Bus, Outgoing
from semalink.application.ledger import Ledger, LedgerUnavailable
from semalink.application.webhook_attempts import DisableFailing, WarnOfDisabling
from semalink.domain.cause import Cause
from semalink.domain.endpoint_health import (
    SHUT,
    Breaker,
    Record,
    Window,
    due_warning,
    judge_breaker,
    must_disable,
)
from semalink.domain.ids import ENDPOINT_PREFIX, format_id

ACTOR = "worker:webhooks"
QUEUE = "webhooks.outbound"
SHARDS = 16

#: What wakes the dispatcher: new deliveries, and attempts that made room.
DISPATCH_POKE_SUBJECT = "webhooks.poke"

#: Deliveries that are issued at one time.
ISSUE_MAX = 500
#: What waits in the queue for each delivery that an endpoint takes at one time.
AHEAD = 2
#: An endpoint that was idle may take what it is given in so long at once.
BURST = timedelta(seconds=1)
#: Windows that are kept in memory; those of endpoints looked at longest ago go first.
WINDOWS_MAX = 20_000
#: What was issued so long ago and is in nobody's hands was lost.
LOST_AFTER = timedelta(minutes=2)
#: What was issued before the oldest of what the queue holds is not in it, clocks being that good;
QUEUE_MARGIN = timedelta(minutes=1)
#: whatever the queue holds, nothing waits in it for longer.
LOST_SURELY_AFTER = timedelta(hours=1)
#: A new leader waits for so long: workers may hold what they did while the database was away.
LEAD_GRACE = timedelta(seconds=10)

_UNTRIED = Record()

_log = structlog.get_logger(__name__)


class Ticket(msgspec.Struct, frozen=True):
    """What travels through the queue: an attempt that may be made now."""

    delivery_id: UUID
    #: The number that the attempt will have.
    attempt_no: int


@dataclass(frozen=True, slots=True)
class Issued:
    """An attempt that was issued to the queue."""

    ticket: Ticket
    endpoint_id: UUID
    #: Distinguishes two issues of the same attempt.
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint for which something is due."""

    endpoint_id: UUID
    is_enabled: bool
    rate_per_second: int
    concurrency: int
    record: Record = _UNTRIED
    breaker: Breaker = SHUT
    warned_percent: int = 0


@dataclass(frozen=True, slots=True)
class Room:
    """How many deliveries may be out for an endpoint, and how many of them may be issued now."""

    endpoint_id: UUID
    out_max: int
    issue_max: int


class DispatchBook(Protocol):
    """What the database knows of what is due. One dispatcher at a time holds it."""

    async def targets_due(self) -> Sequence[Target]:
        """Return the endpoints for which something is due."""
        ...

    async def issue(self, rooms: Sequence[Room], limit: int) -> Sequence[Issued]:
        """Mark what is due longest as issued, as far as there is room, and return it."""
        ...

    async def store_breakers(self, breakers: Mapping[UUID, Breaker]) -> None:
        """Store breakers that have changed."""
        ...

    async def take_back(self, issued: Sequence[Issued]) -> None:
        """Make what could not be published due again."""
        ...

    async def take_back_lost(self, lost_after: timedelta) -> int:
        """Make due again what was issued long ago, and what a worker holds beyond its lease."""
        ...

    async def issued_now(self, after: UUID | None, limit: int) -> Sequence[Issued]:
        """Return what is issued and in nobody's hands, in the order of its ids."""
        ...


class DispatchObserver(Protocol):
    """What dispatching tells whoever counts."""

    def breaker_opened(self) -> None:
        """An endpoint is left alone for a while."""
        ...

    def endpoint_disabled(self) -> None:
        """An endpoint failed for days and is given nothing more."""
        ...

    def owner_warned(self) -> None:
        """An owner is told that an endpoint will be disabled."""
        ...


class Dispatcher:
    """Issues what is due, endpoint by endpoint: within its room, its rate and its breaker."""

    def __init__(
        self,
        book: DispatchBook,
        bus: Bus,
        ledger: Ledger,
        *,
        now: Callable[[], datetime],
        new_request_id: Callable[[], str],
        observer: DispatchObserver,
    ) -> None:
        self._book = book
        self._bus = bus
        self._ledger = ledger
        self._now = now
        self._new_request_id = new_request_id
        self._observer = observer
        #: The first repair.
        self._leads_since: datetime | None = None
        self._windows: dict[UUID, Window] = {}
        #: The endpoint that came first in the last step.
        self._first = UUID(int=0)
        #: When an endpoint will have been given all that it got, at its rate.
        self._given_until: dict[UUID, datetime] = {}

    async def step(self) -> int:
        """Issue and publish what may leave now; return how much it was."""
        now = self._now()
        targets = await self._book.targets_due()
        breakers = await self._judge(targets, now)
        rooms = [
            room
            for target in targets
            if target.is_enabled and (room := self._room_of(target, breakers, now)) is not None
        ]
        if not rooms:
            return 0
        issued = await self._book.issue(self._in_turn(rooms), ISSUE_MAX)
        self._count_against_rates(issued, targets, now)
        return await self._publish(issued)

    def _in_turn(self, rooms: Sequence[Room]) -> list[Room]:
        """Begin behind the endpoint that came first the last time, so that each is first once."""
        in_order = sorted(rooms, key=lambda room: room.endpoint_id)
        behind = [room for room in in_order if room.endpoint_id > self._first]
        before = in_order[: len(in_order) - len(behind)]
        turned = behind + before
        self._first = turned[0].endpoint_id
        return turned

    async def repair(self, held_since: datetime | None = None) -> int:
        """Make due again what was lost on the way; return how much it was.

        Not what is still in the queue, whose oldest ticket is from the time given, if it holds any:
        while no worker runs, issuing that again would only make the queue longer.
        """
        now = self._now()
        self._leads_since = self._leads_since or now
        if now - self._leads_since < LEAD_GRACE:
            return 0
        lost_after = LOST_AFTER
        if held_since is not None:
            held_for = now - held_since + QUEUE_MARGIN
            lost_after = max(LOST_AFTER, min(held_for, LOST_SURELY_AFTER))
        count = await self._book.take_back_lost(lost_after)
        if count:
            _log.warning("webhooks_taken_back", count=count)
        return count

    async def publish_again(self) -> int:
        """Publish all that is issued once more, after a change of leader or of the broker's store.

        What the broker still has, it knows by its id; what is done, the workers know.
        """
        count = 0
        after: UUID | None = None
        while page := await self._book.issued_now(after, ISSUE_MAX):
            count += await self._publish(page)
            after = page[-1].ticket.delivery_id
        return count

    async def _judge(self, targets: Sequence[Target], now: datetime) -> dict[UUID, Breaker]:
        breakers: dict[UUID, Breaker] = {}
        changed: dict[UUID, Breaker] = {}
        for target in targets:
            breaker = self._judge_one(target, now)
            breakers[target.endpoint_id] = breaker
            if breaker != target.breaker:
                changed[target.endpoint_id] = breaker
            await self._warn_or_disable(target, now)
        if changed:
            await self._book.store_breakers(changed)
        return breakers

    def _judge_one(self, target: Target, now: datetime) -> Breaker:
        # Taken out and put back, so that the one looked at longest ago is always the first.
        window = self._windows.pop(target.endpoint_id, None) or Window()
        self._windows[target.endpoint_id] = window
        if len(self._windows) > WINDOWS_MAX:
            del self._windows[next(iter(self._windows))]
        window.observe(target.record, now)
        breaker = judge_breaker(target.breaker, target.record, window, now)
        if breaker.times_opened > target.breaker.times_opened:
            self._observer.breaker_opened()
            _log.info(
                "webhook_breaker_opened",
                endpoint_id=format_id(ENDPOINT_PREFIX, target.endpoint_id),
                times_opened=breaker.times_opened,
            )
        elif breaker == SHUT and target.breaker != SHUT:
            window.restart()
        return breaker

    async def _warn_or_disable(self, target: Target, now: datetime) -> None:
        if not target.is_enabled:
            return
        endpoint_id = format_id(ENDPOINT_PREFIX, target.endpoint_id)
        cause = Cause(ACTOR, now, self._new_request_id())
        percent = due_warning(target.record, target.warned_percent, now)
        try:
            if must_disable(target.record, now):
                await self._ledger.execute(DisableFailing(target.endpoint_id, cause))
                self._observer.endpoint_disabled()
                _log.warning("webhook_endpoint_disabled", endpoint_id=endpoint_id)
            elif percent is not None:
                await self._ledger.execute(WarnOfDisabling(target.endpoint_id, percent, cause))
                self._observer.owner_warned()
                _log.warning("webhook_owner_warned", endpoint_id=endpoint_id, percent=percent)
            elif target.warned_percent and target.record.failing_since is None:
                await self._ledger.execute(WarnOfDisabling(target.endpoint_id, 0, cause))
        except LedgerUnavailable:
            # It is as true at the next step.
            return

    def _room_of(
        self, target: Target, breakers: Mapping[UUID, Breaker], now: datetime
    ) -> Room | None:
        breaker = breakers[target.endpoint_id]
        if breaker.admits_probe(now):
            return Room(target.endpoint_id, 1, 1)
        if not breaker.admits_all():
            return None
        within_rate = self._within_rate(target, now)
        if within_rate < 1:
            return None
        return Room(target.endpoint_id, AHEAD * target.concurrency, within_rate)

    def _within_rate(self, target: Target, now: datetime) -> int:
        """Return how many may leave now: those of a second after idling, then one at a time."""
        given_until = self._given_until.get(target.endpoint_id, now)
        left = BURST - max(given_until - now, timedelta(0))
        return int(left * target.rate_per_second / BURST)

    def _count_against_rates(
        self, issued: Sequence[Issued], targets: Sequence[Target], now: datetime
    ) -> None:
        rates = {target.endpoint_id: target.rate_per_second for target in targets}
        for one in issued:
            given_until = max(self._given_until.get(one.endpoint_id, now), now)
            step = timedelta(seconds=1) / rates[one.endpoint_id]
            self._given_until[one.endpoint_id] = given_until + step
        # Those whose time has passed say no more than those that are not there.
        if len(self._given_until) > 2 * len(rates) + ISSUE_MAX:
            self._given_until = {k: v for k, v in self._given_until.items() if v > now}

    async def _publish(self, issued: Sequence[Issued]) -> int:
        if not issued:
            return 0
        outcomes = await self._bus.publish_many([_outgoing(one) for one in issued])
        failed = [one for one, outcome in zip(issued, outcomes, strict=True) if not outcome.stored]
        if failed:
            _log.warning("webhooks_not_published", count=len(failed))
            await self._book.take_back(failed)
        return len(issued) - len(failed)


def subject_of(endpoint_id: UUID) -> str:
    """Return where the attempts of an endpoint are published: one of a few subjects."""
    return f"{QUEUE}.{endpoint_id.int % SHARDS:02d}"


def _outgoing(issued: Issued) -> Outgoing:
    ticket = issued.ticket
    turn = int(issued.issued_at.timestamp() * 1_000)
    return Outgoing(
        subject_of(issued.endpoint_id),
        msgspec.json.encode(ticket),
        f"{ticket.delivery_id.hex}:{ticket.attempt_no}:{turn}",
    )
