"""How fast an account may send: GCRA, its tiers, and the shares of an account's keys.

Times are integers of nanoseconds on one clock, which the caller passes in. A bucket is a single
time, its *theoretical arrival time*: the moment at which it will be full again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from semalink.domain.account import Tier
from semalink.domain.limit import NANOS, Limit

#: A key that was not heard of for so long gives its share to the others.
ACTIVE_NANOS = 10 * NANOS
#: What a key waits for and does not come for is kept for it so long.
CLAIM_NANOS = 3 * NANOS
#: So many keys at once have a share each; those beyond them have one together.
KEYS_MAX = 100
#: Under it go the keys that share.
CROWD = UUID(int=0)
#: What of the burst is kept for keys that were quiet: one part in so many, and at least one.
HEADROOM_PART = 50
#: Requests that are no messages may come so many times faster.
REQUESTS_PER_MESSAGE = 10

#: What accounts may send that agreed on nothing else.
TIER_LIMITS: Mapping[Tier, Limit] = {
    Tier.STARTER: Limit(10, 50),
    Tier.GROWTH: Limit(100, 500),
    # As agreed; this holds until something is.
    Tier.ENTERPRISE: Limit(10_000, 50_000),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for one key: its account's limit, and its own where it has one."""

    account: Limit
    key: Limit | None = None
    #: Working keys of the account in this mode, this one included.
    key_count: int = 1

    @property
    def burst(self) -> int:
        """The most that can ever be let in at once."""
        own = self.account.burst if self.key is None else self.key.burst
        return min(self.account.burst, own)

    @property
    def rate_per_second(self) -> int:
        """The most that the key can send in the long run."""
        own = self.account.rate_per_second if self.key is None else self.key.rate_per_second
        return min(self.account.rate_per_second, own)


#: What holds for a key of which nothing else is known.
STARTER_LIMITS = Limits(TIER_LIMITS[Tier.STARTER])


def limit_of(tier: Tier, agreed: Limit | None) -> Limit:
    """Return the limit of an account: the one agreed on, else its tier's."""
    return TIER_LIMITS[tier] if agreed is None else agreed


def requests_limit(limits: Limits) -> Limit:
    """Return how many requests that are no messages a key may make."""
    account = limits.account
    return Limit(
        account.rate_per_second * REQUESTS_PER_MESSAGE, account.burst * REQUESTS_PER_MESSAGE
    )


class Verdict(NamedTuple):
    """What GCRA says to some units, and the bucket after it."""

    #: When the bucket is full again.
    full_at: int
    #: Units that could follow at once.
    remaining: int
    #: Until the refused units could be let in; 0 for those that were.
    retry_nanos: int

    @property
    def is_admitted(self) -> bool:
        """Whether the units were let in."""
        return self.retry_nanos == 0


def admit(full_at: int, limit: Limit, now: int, units: int = 1) -> Verdict:
    """Let units in or refuse all of them; the generic cell rate algorithm."""
    assert 0 < units <= limit.burst, "what never fits is refused before"
    interval, window = limit.interval_nanos, limit.window_nanos
    # After a limit was lowered a bucket is at worst empty, never shut for longer.
    after = min(max(full_at, now), now + window) + units * interval
    missing = after - now - window
    if missing > 0:
        before = after - units * interval
        remaining = (now + window - before) // interval
        return Verdict(before, remaining, missing)
    return Verdict(after, -missing // interval, 0)


@dataclass(slots=True)
class KeyBuckets:
    """The buckets of one key; each is the time at which it is full."""

    #: Its part of the account's rate and burst, which others leave to it.
    share_full_at: int
    #: Under the limit of its own.
    own_full_at: int
    seen_at: int


@dataclass(slots=True)
class Claim:
    """More units than a key's share, for which it was told to come again."""

    key_id: UUID
    units: int
    #: When it was told to come.
    ready_at: int

    def is_over(self, now: int) -> bool:
        """Whether the key did not come in time."""
        return now > self.ready_at + CLAIM_NANOS

    def withheld(self, interval: int, now: int) -> int:
        """Return what others leave in the bucket, so that it holds the units when they are due."""
        return max(0, self.units * interval - max(0, self.ready_at - now))


@dataclass(slots=True)
class AccountBuckets:
    """The buckets of one account, in one mode, and of its keys that send."""

    full_at: int = 0
    keys: dict[UUID, KeyBuckets] = field(default_factory=dict)
    #: One at a time, or two would wait for one another.
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """What one process asks of a bucket for one key."""

    account_id: UUID
    mode: str
    key_id: UUID
    limits: Limits
    #: All of them or none.
    need: int
    #: As many of them as there are.
    extra: int = 0
    #: Leased before and not used; below 0: used without a lease.
    returned: int = 0


class Grant(NamedTuple):
    """What an ask was given."""

    units: int
    #: What the key could be given besides, now.
    remaining: int
    #: Until what was needed can be given, whatever others take; 0 when it was given.
    retry_nanos: int


def lease(buckets: AccountBuckets, ask: Ask, now: int) -> Grant:
    """Give a key what it needs, and more if there is, without touching the share of others."""
    view = _View.of(buckets, ask, now)
    free = max(0, view.free())
    if ask.need <= view.free(is_needed=True):
        units = min(max(free, ask.need), ask.need + ask.extra)
        if units:
            view.charge(units, overdraws=units > free)
        view.settle(ask.need)
        return Grant(units, max(0, free - units), 0)
    if view.may_overdraw(ask.need):
        view.charge(ask.need, overdraws=True)
        view.settle(ask.need)
        return Grant(ask.need, 0, 0)
    wait = view.wait(ask.need)
    view.claim(ask.need, wait)
    return Grant(0, free, wait)


class _View:
    """An account's buckets as one key finds them now.

    What a bucket holds is kept as the time that it took to fill so far, so that no part of a unit
    is lost. A share fills as many times slower as there are active keys.
    """

    def __init__(self, buckets: AccountBuckets, ask: Ask, now: int, key_id: UUID) -> None:
        key = buckets.keys[key_id]
        self._key_id = key_id
        self._buckets = buckets
        self._limits = ask.limits
        self._now = now
        self._key = key
        limit = ask.limits.account
        self._key_count = len(buckets.keys)
        self._interval = limit.interval_nanos
        self._window = limit.window_nanos
        self._share_interval = self._interval * self._key_count
        filled = sum(
            max(0, self._filled(other.share_full_at))
            for other in buckets.keys.values()
            if other is not key
        )
        #: Of the account's bucket, for the other keys; rounded up.
        self._reserved = -(-filled // self._key_count)
        has_quiet_keys = ask.limits.key_count > self._key_count
        kept = _headroom_of(limit) if has_quiet_keys else 0
        #: Of the account's bucket, for keys that were quiet.
        self._headroom = kept * self._interval
        claim = buckets.claim
        is_others = claim is not None and claim.key_id != key_id
        self._others_claim = claim if is_others else None
        #: Of the account's bucket, for a key that waits for more than its share.
        self._claimed = claim.withheld(self._interval, now) if claim and is_others else 0
        self._is_new = False

    @classmethod
    def of(cls, buckets: AccountBuckets, ask: Ask, now: int) -> "_View":
        """Forget keys that fell silent, take back what was not used, and find the key."""
        _forget_silent(buckets, now)
        key_id = ask.key_id
        if key_id not in buckets.keys and len(buckets.keys) >= KEYS_MAX and not ask.limits.key:
            key_id = CROWD
        key = buckets.keys.get(key_id)
        is_new = key is None
        if key is None:
            key = buckets.keys[key_id] = KeyBuckets(0, 0, now)
        key.seen_at = now
        view = cls(buckets, ask, now, key_id)
        view._clamp()
        if is_new:
            view._welcome()
        view._take_back(ask.returned)
        return view

    def _clamp(self) -> None:
        # A bucket is at worst empty, whatever limit it was emptied under or however clocks moved;
        # a share may be overdrawn by one burst.
        account, key, now = self._buckets, self._key, self._now
        account.full_at = min(account.full_at, now + self._window)
        overdrawn = self._window * (1 + self._key_count)
        key.share_full_at = min(key.share_full_at, now + overdrawn)
        if self._limits.key is not None:
            key.own_full_at = min(key.own_full_at, now + self._limits.key.window_nanos)

    def _welcome(self) -> None:
        # A newcomer has of its share what nobody else has.
        self._is_new = True
        unreserved = max(0, self._filled(self._buckets.full_at) - self._reserved)
        filled = min(self._window, unreserved * self._key_count)
        self._key.share_full_at = self._now + self._window - filled

    def _take_back(self, units: int) -> None:
        if units < 0:
            self.charge(-units, overdraws=True)
            self._clamp()
            return
        self._buckets.full_at -= units * self._interval
        self._key.share_full_at -= units * self._share_interval
        if self._limits.key is not None:
            self._key.own_full_at -= units * self._limits.key.interval_nanos

    def free(self, *, is_needed: bool = False) -> int:
        """Return what the key may take now: of what is kept for newcomers, they what they need."""
        filled = self._filled(self._buckets.full_at) - self._headroom
        unreserved = (filled - self._reserved) // self._interval
        unclaimed = (filled - self._claimed) // self._interval
        free = min(unclaimed, max(self._share_level(), unreserved))
        if self._is_new and is_needed:
            level = (filled + self._headroom) // self._interval
            free = max(free, min(level, _headroom_of(self._limits.account)))
        return min(free, self._own_level())

    def may_overdraw(self, units: int) -> bool:
        """Whether a key that let its whole share gather may for once take that of others too."""
        is_share_full = self._key.share_full_at <= self._now
        level = (self._filled(self._buckets.full_at) - self._claimed) // self._interval
        return is_share_full and units <= min(level, self._own_level())

    def charge(self, units: int, *, overdraws: bool = False) -> None:
        """Take units from the buckets; the share gives what it holds, or all if overdrawn."""
        now, key = self._now, self._key
        self._buckets.full_at = max(self._buckets.full_at, now) + units * self._interval
        if overdraws or units <= self._share_level():
            key.share_full_at = max(key.share_full_at, now) + units * self._share_interval
        else:
            key.share_full_at = max(key.share_full_at, now + self._window)
        if self._limits.key is not None:
            key.own_full_at = max(key.own_full_at, now) + units * self._limits.key.interval_nanos

    def wait(self, units: int) -> int:
        """Return how long it takes until the units can be had, whatever other keys take."""
        needed = units * self._interval
        wait = max(self._account_wait(needed), self._key.share_full_at - self._now)
        if self._is_within_share(units):
            of_share = units * self._share_interval
            share_wait = self._key.share_full_at + of_share - self._now - self._window
            wait = min(wait, max(share_wait, self._account_wait(needed + self._headroom)))
        if self._others_claim is not None:
            wait = max(wait, self._wait_beside(self._others_claim, needed))
        return max(1, wait, self._own_wait(units))

    def _wait_beside(self, claim: Claim, needed: int) -> int:
        until_over = claim.ready_at + CLAIM_NANOS + 1 - self._now
        both = needed + claim.units * self._interval + self._headroom
        return min(until_over, self._account_wait(both)) if both <= self._window else until_over

    def claim(self, units: int, wait: int) -> None:
        """Let others leave units that are more than a share, so that they are there in time."""
        if self._others_claim is None and not self._is_within_share(units):
            self._buckets.claim = Claim(self._key_id, units, self._now + wait)

    def settle(self, units: int) -> None:
        """Forget what the key waited for, if this was it."""
        claim = self._buckets.claim
        if claim is not None and claim.key_id == self._key_id and units >= claim.units:
            self._buckets.claim = None

    def _is_within_share(self, units: int) -> bool:
        is_kept = units * self._interval + self._headroom <= self._window
        return is_kept and units * self._share_interval <= self._window

    def _share_level(self) -> int:
        return self._filled(self._key.share_full_at) // self._share_interval

    def _own_level(self) -> int:
        own = self._limits.key
        if own is None:
            return self._limits.account.burst
        full_at = max(self._key.own_full_at, self._now)
        return (self._now + own.window_nanos - full_at) // own.interval_nanos

    def _filled(self, full_at: int) -> int:
        return self._now + self._window - max(full_at, self._now)

    def _account_wait(self, needed: int) -> int:
        return self._buckets.full_at + needed - self._now - self._window

    def _own_wait(self, units: int) -> int:
        own = self._limits.key
        if own is None:
            return 0
        return self._key.own_full_at + units * own.interval_nanos - self._now - own.window_nanos


def _headroom_of(limit: Limit) -> int:
    return max(1, limit.burst // HEADROOM_PART)


def _forget_silent(buckets: AccountBuckets, now: int) -> None:
    if buckets.claim is not None and buckets.claim.is_over(now):
        buckets.claim = None
    waiting = buckets.claim and buckets.claim.key_id
    silent = [
        key_id
        for key_id, key in buckets.keys.items()
        if now - key.seen_at > ACTIVE_NANOS and key.own_full_at <= now and key_id != waiting
    ]
    for key_id in silent:
        del buckets.keys[key_id]
