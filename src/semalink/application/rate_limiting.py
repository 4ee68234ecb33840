"""Rate limits in one process: tokens leased in small chunks, and checked in memory."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol
from uuid import UUID

from semalink.application.reading import Caller
from semalink.domain.limit import NANOS, Limit
from semalink.domain.rate_limit import (
    AccountBuckets,
    Ask,
    Grant,
    admit,
    lease,
    requests_limit,
)

#: How long a busy key gets on with what it leased: the store is asked four times as often.
CHUNK_NANOS = NANOS // 4
#: Requests are refused from memory for so long after the store had nothing.
DRY_NANOS = NANOS // 5
#: What was leased and not used by then goes back.
IDLE_NANOS = NANOS // 2
#: How long the store is left alone after it did not answer.
AWAY_NANOS = NANOS
#: A key's demand is measured over no less than this.
_MEASURE_NANOS = NANOS // 20
#: A key that nobody used for so long is forgotten.
_FORGET_NANOS = 20 * NANOS
#: Asks of one transaction.
ASKS_MAX = 64
#: Keys whose requests are counted; the one that came first is forgotten first.
REQUESTERS_MAX = 10_000


class BucketsUnavailable(Exception):
    """The store of buckets does not answer."""


class BucketStore(Protocol):
    """The buckets of all accounts, on one clock, shared by every process."""

    async def lease(self, asks: Sequence[Ask]) -> Sequence[Grant]:
        """Answer each ask, in order; raises BucketsUnavailable."""
        ...


class LimitObserver(Protocol):
    """Counts what the limiter does."""

    def rate_checked(self, tier: str, *, is_admitted: bool) -> None:
        """Count one request that was let in or refused."""
        ...

    def leased(self, seconds: float, *, is_answered: bool) -> None:
        """Record one question to the store."""
        ...


class Standing(NamedTuple):
    """What a limit says to one request, and how much is left."""

    limit: Limit
    #: "account", "key" or "requests".
    policy: str
    #: Units that could follow at once.
    remaining: int
    #: Until the units could be let in; 0 for those that were.
    retry_nanos: int

    @property
    def is_admitted(self) -> bool:
        """Whether the units were let in."""
        return self.retry_nanos == 0


@dataclass(slots=True)
class _Waiting:
    units: int
    decided: "asyncio.Future[int]"


@dataclass(slots=True)
class _Own:
    """The buckets of an account as one process keeps them while the store is away."""

    buckets: AccountBuckets
    #: For which time of the store being away its level was last set.
    outage: int = 0


class _Lease:
    """What one process may still let in for one key without asking."""

    __slots__ = (
        "asked",
        "caller",
        "demand",
        "dry_units",
        "dry_until",
        "granted_at",
        "is_queued",
        "low_water",
        "measured_at",
        "owed",
        "remaining",
        "retry_at",
        "tokens",
        "used_at",
        "waiting",
    )  # fmt: skip

    def __init__(self, caller: Caller, now: int) -> None:
        self.caller = caller
        self.tokens = 0
        #: More is asked for once there are fewer.
        self.low_water = 0
        #: What was left in the bucket when it was last asked: at first, as if for a second.
        self.remaining = min(caller.limits.burst, caller.limits.rate_per_second)
        #: What was let in while the store was away, less what would have gone back to it.
        self.owed = 0
        self.granted_at = self.used_at = now
        #: So many are not to be had until then; the store said when they will be.
        self.dry_units = 0
        self.dry_until = self.retry_at = 0
        #: Units asked for since then, and a second.
        self.asked = 0
        self.measured_at = now
        self.demand = 0
        self.waiting: deque[_Waiting] = deque()
        self.is_queued = False

    def measure(self, now: int) -> None:
        """Take note of how fast units are asked for."""
        elapsed = now - self.measured_at
        if elapsed < _MEASURE_NANOS:
            return
        self.demand = self.asked * NANOS // elapsed
        self.asked = 0
        self.measured_at = now

    def chunk(self) -> int:
        """Return how many units are leased ahead of need."""
        rate = min(self.demand, self.caller.limits.rate_per_second)
        return rate * CHUNK_NANOS // NANOS


class RateLimiter:
    """Lets requests in or refuses them, for all callers of one process."""

    def __init__(
        self, store: BucketStore, monotonic_nanos: Callable[[], int], observer: LimitObserver
    ) -> None:
        self._store = store
        self._now = monotonic_nanos
        self._observer = observer
        self._leases: dict[UUID, _Lease] = {}
        self._queue: deque[_Lease] = deque()
        #: Asks the store, as long as there is something to ask.
        self.asking: asyncio.Task[None] | None = None
        self._away_until = 0
        #: What holds while the store is away: this process alone, by the same rules.
        self._own_buckets: dict[tuple[UUID, str], _Own] = {}
        #: Counts the times that the store went away.
        self._outage = 0
        self._is_away = False
        self._requesters: dict[UUID, int] = {}

    async def admit(self, caller: Caller, units: int) -> Standing:
        """Let so many messages of a caller in, or refuse them all."""
        now = self._now()
        held = self._leases.get(caller.api_key_id)
        if held is None:
            held = self._leases[caller.api_key_id] = _Lease(caller, now)
        elif held.caller is not caller:
            held.caller = caller
        held.asked += units
        held.used_at = now
        if held.tokens >= units:
            held.tokens -= units
            if held.tokens < held.low_water and not held.is_queued and now >= held.dry_until:
                self._enqueue(held)
            return self._said(held, 0)
        if units == held.dry_units and now < held.dry_until:
            return self._said(held, max(1, held.retry_at - now))
        waiting = _Waiting(units, asyncio.get_running_loop().create_future())
        held.waiting.append(waiting)
        self._enqueue(held)
        return self._said(held, await waiting.decided)

    def admit_request(self, caller: Caller) -> Standing:
        """Let one request in that is no message; by key and process, and without the store."""
        limit = requests_limit(caller.limits)
        full_at = self._requesters.pop(caller.api_key_id, 0)
        verdict = admit(full_at, limit, self._now())
        self._requesters[caller.api_key_id] = verdict.full_at
        if len(self._requesters) > REQUESTERS_MAX:
            del self._requesters[next(iter(self._requesters))]
        self._observer.rate_checked(caller.tier, is_admitted=verdict.is_admitted)
        return Standing(limit, "requests", verdict.remaining, verdict.retry_nanos)

    async def give_back_idle(self) -> None:
        """Give back what was leased and is not being used, and forget keys that fell silent."""
        now = self._now()
        await self._give_back([one for one in self._leases.values() if _is_idle(one, now)])
        for key_id, held in list(self._leases.items()):
            if now - held.used_at > _FORGET_NANOS and not (held.tokens or held.waiting):
                del self._leases[key_id]
        for account, own in list(self._own_buckets.items()):
            if own.buckets.full_at <= now:
                del self._own_buckets[account]

    async def close(self) -> None:
        """Give back whatever was leased; the process is about to end."""
        await self._give_back([one for one in self._leases.values() if one.tokens or one.owed])

    async def _give_back(self, leases: Sequence[_Lease]) -> None:
        asks = []
        for held in leases:
            asks.append(_ask(held, need=0, extra=0, returned=held.tokens))
            held.tokens = 0
        for start in range(0, len(asks), ASKS_MAX):
            await self._lease(leases[start : start + ASKS_MAX], asks[start : start + ASKS_MAX])

    def _said(self, held: _Lease, retry_nanos: int) -> Standing:
        caller = held.caller
        limits = caller.limits
        self._observer.rate_checked(caller.tier, is_admitted=not retry_nanos)
        remaining = held.tokens + held.remaining if not retry_nanos else 0
        if limits.key is not None:
            return Standing(limits.key, "key", remaining, retry_nanos)
        return Standing(limits.account, "account", remaining, retry_nanos)

    def _enqueue(self, held: _Lease) -> None:
        if held.is_queued:
            return
        held.is_queued = True
        self._queue.append(held)
        if self.asking is None:
            self.asking = asyncio.create_task(self._ask_in_turns())

    async def _ask_in_turns(self) -> None:
        # Whatever came meanwhile is asked for together, as in the ledger's group commit.
        try:
            while self._queue:
                await self._ask_once()
        finally:
            self.asking = None

    async def _ask_once(self) -> None:
        now = self._now()
        turn = [self._queue.popleft() for _ in range(min(ASKS_MAX, len(self._queue)))]
        asks = []
        for held in turn:
            held.measure(now)
            wanted = sum(one.units for one in held.waiting)
            need = max(0, held.waiting[0].units - held.tokens) if held.waiting else 0
            chunk = held.chunk()
            held.low_water = chunk // 4
            asks.append(_ask(held, need=need, extra=max(0, wanted - need) + chunk))
        try:
            grants = await self._lease(turn, asks)
        except BaseException as broken:
            # This asker ends: whoever still waits for it would wait for ever.
            _give_up([*turn, *self._queue], broken)
            self._queue.clear()
            raise
        now = self._now()
        for held, ask, grant in zip(turn, asks, grants, strict=True):
            held.is_queued = False
            self._take(held, ask, grant, now)

    def _take(self, held: _Lease, ask: Ask, grant: Grant, now: int) -> None:
        held.tokens += grant.units
        held.remaining = grant.remaining
        held.granted_at = now
        if grant.units < ask.need + ask.extra:
            held.dry_units = ask.need if grant.retry_nanos else grant.remaining + 1
            held.dry_until = now + DRY_NANOS
            held.retry_at = now + grant.retry_nanos
        waiting = held.waiting
        while waiting and waiting[0].units <= held.tokens:
            served = waiting.popleft()
            # Whoever went away meanwhile leaves the tokens to others.
            if not served.decided.done():
                held.tokens -= served.units
                served.decided.set_result(0)
        if waiting and grant.retry_nanos:
            # Who asks for less may still be served, and who asks for more has to wait longer.
            refused = waiting[0].units
            held.waiting = deque(one for one in waiting if one.units != refused)
            for one in waiting:
                if one.units == refused:
                    _refuse(one, grant.retry_nanos)
        if held.waiting:
            self._enqueue(held)

    async def _lease(self, leases: Sequence[_Lease], asks: Sequence[Ask]) -> Sequence[Grant]:
        started = self._now()
        if started >= self._away_until:
            try:
                grants = await self._store.lease([*map(_with_debt, leases, asks)])
            except BucketsUnavailable:
                self._outage += not self._is_away
                self._is_away = True
                self._away_until = self._now() + AWAY_NANOS
                self._observer.leased((self._now() - started) / NANOS, is_answered=False)
            else:
                self._is_away = False
                for held in leases:
                    held.owed = 0
                self._observer.leased((self._now() - started) / NANOS, is_answered=True)
                return grants
        now = self._now()
        grants = []
        for held, ask in zip(leases, asks, strict=True):
            grant = lease(self._own(held, ask, now), ask, now)
            held.owed += grant.units - ask.returned
            grants.append(grant)
        return grants

    def _own(self, held: _Lease, ask: Ask, now: int) -> AccountBuckets:
        own = self._own_buckets.setdefault((ask.account_id, ask.mode), _Own(AccountBuckets()))
        if own.outage != self._outage:
            # No burst comes anew each time: there is what the store last said there was, at most.
            own.outage = self._outage
            limit = ask.limits.account
            missing = limit.burst - min(held.remaining, limit.burst)
            own.buckets.full_at = max(own.buckets.full_at, now + missing * limit.interval_nanos)
        return own.buckets


def _give_up(turn: Sequence[_Lease], broken: BaseException) -> None:
    # Nobody waits for an answer that will not come.
    for held in turn:
        held.is_queued = False
        while held.waiting:
            waiting = held.waiting.popleft()
            if not waiting.decided.done():
                waiting.decided.set_exception(broken)


def _refuse(waiting: _Waiting, retry_nanos: int) -> None:
    if not waiting.decided.done():
        waiting.decided.set_result(retry_nanos)


def _is_idle(held: _Lease, now: int) -> bool:
    has_any = held.tokens > 0 or held.owed != 0
    return has_any and not held.is_queued and now - held.granted_at >= IDLE_NANOS


def _ask(held: _Lease, *, need: int, extra: int, returned: int = 0) -> Ask:
    caller = held.caller
    return Ask(
        caller.account_id, caller.mode, caller.api_key_id, caller.limits, need, extra, returned
    )


def _with_debt(held: _Lease, ask: Ask) -> Ask:
    return replace(ask, returned=ask.returned - held.owed) if held.owed else ask
