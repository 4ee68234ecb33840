"""The webhook worker: claim attempts, make them side by side, record what came of them."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol
from uuid import UUID

import structlog
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from semalink.application.bus import NotReady
from semalink.application.ledger import Answer, Ledger, LedgerUnavailable
from semalink.application.webhook_attempts import Followed, GiveUpDelivery, RecordAttempt
from semalink.application.webhook_dispatching import ACTOR, Ticket
from semalink.application.webhook_lines import Line, Share
from semalink.domain.cause import Cause
from semalink.domain.errors import WebhookDeliveryNotFound
from semalink.domain.ids import DELIVERY_PREFIX, ENDPOINT_PREFIX, format_id
from semalink.domain.webhook_delivery import Attempt, GivenUp
from semalink.domain.webhook_endpoint import DisabledReason

#: Attempts under way at one time in one worker.
UNDER_WAY_MAX = 1_000
#: Of these, those at endpoints that answer slowly or not at all.
SLOW_MAX = UNDER_WAY_MAX // 2
#: Of these, those of one account: what is beyond waits for them to end.
ACCOUNT_MAX = UNDER_WAY_MAX // 10
#: An attempt that has not begun by then is left to whoever is issued it next.
BEGIN_WITHIN = timedelta(seconds=20)
#: Held by one worker for so long; after it another one may make the attempt. It has to begin, to
#: wait for an answer for 15 seconds, and to be recorded.
LEASE = timedelta(seconds=45)
#: What finds no place in the slow lane is due again after this.
PUT_OFF_SECONDS = 2.0
#: How long an outcome is held in memory while the database is away.
RECORD_SECONDS_MAX = 120.0
#: The class of an attempt that failed by a fault of ours.
CRASHED = "internal"
#: Counted where no key signs, as in a worker whose setting is wrong; due again after this.
NO_KEY = "no_key"
NO_KEY_SECONDS = 30.0
#: Endpoints whose speed is remembered.
ENDPOINTS_MAX = 10_000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Claimed:
    """An attempt that is this worker's to make."""

    delivery_id: UUID
    attempt_no: int
    endpoint_id: UUID
    #: As the customer sees it: "evt_…".
    event_id: str
    #: The bytes to be signed and sent; None when they were kept long enough.
    payload: bytes | None
    url: str
    concurrency: int
    account_id: UUID


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt, and what the endpoint asked for."""

    attempt: Attempt
    retry_after_seconds: int | None = None
    aborts: bool = False
    disables: DisabledReason | None = None


class Claims(Protocol):
    """Who makes which attempt, as the database knows it."""

    async def claim(self, tickets: Sequence[Ticket], lease: timedelta) -> Sequence[Claimed]:
        """Take those that are issued and in nobody's hands; raises NotReady."""
        ...

    async def put_off(self, claimed: Sequence[Claimed], seconds: float) -> None:
        """Make attempts due again that were not made."""
        ...


class Courier(Protocol):
    """Makes one attempt: signs, sends and judges the answer. It raises nothing."""

    async def deliver(self, claimed: Claimed) -> Outcome | None:
        """Send to the endpoint once; None, and nothing, when no key signs it here."""
        ...


class SendObserver(Protocol):
    """What sending tells whoever counts."""

    def attempted(self, result: str, seconds: float) -> None:
        """An attempt was made: "delivered", or the class of what went wrong."""
        ...

    def put_off(self, count: int) -> None:
        """Attempts were not made, because their endpoints are slow."""
        ...


class Sender:
    """Makes attempts, each endpoint by itself: what one does costs no other anything."""

    def __init__(  # noqa: PLR0913 - what a worker is made of
        self,
        claims: Claims,
        courier: Courier,
        ledger: Ledger,
        *,
        now: Callable[[], datetime],
        jitter: Callable[[], float],
        new_request_id: Callable[[], str],
        observer: SendObserver,
        on_room: Callable[[], None] = lambda: None,
        under_way_max: int = UNDER_WAY_MAX,
        slow_max: int = SLOW_MAX,
        account_max: int = ACCOUNT_MAX,
        record_seconds_max: float = RECORD_SECONDS_MAX,
    ) -> None:
        self._claims = claims
        self._courier = courier
        self._ledger = ledger
        self._now = now
        self._jitter = jitter
        self._new_request_id = new_request_id
        self._observer = observer
        self._on_room = on_room
        self._under_way_max = under_way_max
        self._slow_max = slow_max
        self._account_max = account_max
        self._record_seconds_max = record_seconds_max
        self._lines: dict[UUID, Line[Claimed]] = {}
        self._shares: dict[UUID, Share] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way = 0
        self._slow_under_way = 0
        self._room = asyncio.Event()
        self._is_draining = False

    async def take(self, tickets: Sequence[Ticket]) -> None:
        """Claim what the tickets name and begin; a ticket that was used before is nobody's loss.

        Returns when all is claimed, not when all is done; waits first while too much is under way.
        """
        while self._under_way >= self._under_way_max:
            self._room.clear()
            await self._room.wait()
        for claimed in await self._claims.claim(tickets, LEASE):
            if claimed.payload is None:
                self._begin(self._give_up(claimed))
                continue
            line = self._line_of(claimed)
            line.waiting.append((claimed, self._now()))
            self._pump(line)

    async def drain(self) -> None:
        """Finish what is under way, and make due again what has not begun."""
        self._is_draining = True
        for line in self._lines.values():
            self._put_off(line)
        while self._tasks:
            await asyncio.wait(self._tasks)

    @property
    def under_way(self) -> int:
        """Attempts that are being made."""
        return self._under_way

    def _line_of(self, claimed: Claimed) -> Line[Claimed]:
        # Taken out and put back, so that the one used longest ago is always the first.
        share = self._shares.get(claimed.account_id)
        if share is None:
            share = self._shares[claimed.account_id] = Share(self._account_max)
        line = self._lines.pop(claimed.endpoint_id, None) or Line[Claimed](share)
        line.account = share
        line.concurrency = claimed.concurrency
        self._lines[claimed.endpoint_id] = line
        # One that is busy stands in the way until it is done.
        while len(self._lines) > ENDPOINTS_MAX:
            oldest = next(iter(self._lines))
            if self._lines[oldest].is_busy:
                break
            del self._lines[oldest]
        return line

    def _pump(self, line: Line[Claimed]) -> None:
        while line.may_begin:
            now = self._now()
            is_slow = line.is_slow(now)
            if self._is_draining or not self._has_room_for(line, is_slow=is_slow):
                self._put_off(line)
                return
            if not line.account.has_place_for(line):
                line.account.hold(line)
                return
            claimed, claimed_at = line.waiting.popleft()
            if now - claimed_at > BEGIN_WITHIN:
                self._begin(self._claims.put_off([claimed], 0.0))
                continue
            self._under_way += 1
            self._slow_under_way += is_slow
            attempt = self._attempt(line, claimed, line.begin(now), is_slow=is_slow)
            self._begin(attempt, claimed)

    def _has_room_for(self, line: Line[Claimed], *, is_slow: bool) -> bool:
        if is_slow and self._slow_under_way >= self._slow_max:
            return False
        # Half of all places is for endpoints that have little under way.
        return not line.is_wide or 2 * self._under_way < self._under_way_max

    def _go_on(self, account_id: UUID, line: Line[Claimed]) -> None:
        """Begin what waited for an attempt to end, at its endpoint or its account."""
        share = line.account
        if line.waiting:
            share.hold(line)
        while (following := share.pop_next()) is not None:
            self._pump(following)
        if share.is_idle:
            self._shares.pop(account_id, None)

    def _put_off(self, line: Line[Claimed]) -> None:
        if line.waiting:
            put_off = [claimed for claimed, _ in line.waiting]
            line.waiting.clear()
            self._observer.put_off(len(put_off))
            seconds = 0.0 if self._is_draining else PUT_OFF_SECONDS
            self._begin(self._claims.put_off(put_off, seconds))

    def _begin(self, work: "asyncio._CoroutineLike[None]", claimed: Claimed | None = None) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._end, claimed))

    def _end(self, claimed: Claimed | None, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        _log.error("webhook_attempt_crashed", error_type=type(error).__name__)
        if claimed is not None:
            # It counts, or an answer that we cannot digest would be asked for without end.
            attempt = Attempt(claimed.attempt_no, "failed", claimed.url, None, CRASHED, 0)
            self._begin(self._record(claimed, Outcome(attempt)))

    async def _attempt(
        self, line: Line[Claimed], claimed: Claimed, turn: int, *, is_slow: bool
    ) -> None:
        try:
            outcome = await self._courier.deliver(claimed)
        finally:
            self._under_way -= 1
            self._slow_under_way -= is_slow
            self._room.set()
            took = line.end(turn, self._now())
            self._go_on(claimed.account_id, line)
        if outcome is None:
            await self._leave(claimed)
            return
        attempt = outcome.attempt
        self._observer.attempted(attempt.error_class or "delivered", took.total_seconds())
        await self._record(claimed, outcome)
        self._on_room()

    async def _leave(self, claimed: Claimed) -> None:
        # A fault of ours, so it uses no attempt up; another worker may have the right key.
        self._observer.attempted(NO_KEY, 0.0)
        _log.error(
            "webhook_not_signed", endpoint_id=format_id(ENDPOINT_PREFIX, claimed.endpoint_id)
        )
        # While the database is away its lease ends, and it comes again.
        with suppress(NotReady):
            await self._claims.put_off([claimed], NO_KEY_SECONDS)

    async def _record(self, claimed: Claimed, outcome: Outcome) -> None:
        command = RecordAttempt(
            claimed.delivery_id,
            claimed.endpoint_id,
            outcome.attempt,
            self._jitter(),
            self._cause(),
            retry_after_seconds=outcome.retry_after_seconds,
            aborts=outcome.aborts,
            disables=outcome.disables,
        )
        try:
            await self._execute(command)
        except WebhookDeliveryNotFound:
            # Its month was archived, so it ended long ago.
            return

    async def _execute(self, command: RecordAttempt) -> None:
        try:
            await self._ledger.execute(command)
        except LedgerUnavailable:
            await self._execute_later(command)

    async def _execute_later(self, command: RecordAttempt) -> None:
        async def decide_now() -> Answer[Followed]:
            # The next attempt is counted from when this one is recorded.
            cause = replace(command.cause, at=self._now())
            return await self._ledger.execute(replace(command, cause=cause))

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(LedgerUnavailable),
            wait=wait_random_exponential(multiplier=0.05, max=2.0),
            stop=stop_after_delay(self._record_seconds_max),
            reraise=True,
        )
        try:
            await retrying(decide_now)
        except LedgerUnavailable:
            # The one window in which an attempt is made that nobody remembers.
            _log.warning(
                "webhook_attempt_not_recorded",
                delivery_id=format_id(DELIVERY_PREFIX, command.delivery_id),
            )

    async def _give_up(self, claimed: Claimed) -> None:
        command = GiveUpDelivery(claimed.delivery_id, GivenUp.PAYLOAD_EXPIRED, self._cause())
        try:
            await self._ledger.execute(command)
        except LedgerUnavailable:
            # Its lease ends, and it comes again.
            return

    def _cause(self) -> Cause:
        return Cause(ACTOR, self._now(), self._new_request_id())
