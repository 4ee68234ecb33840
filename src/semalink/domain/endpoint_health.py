"""How a customer's endpoint does: when nothing is sent to it for a while, and when for good."""

from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

#: The breaker opens at so many failures in a row ...
CONSECUTIVE_FAILURES_MAX = 5
#: ... or when half of at least so many attempts within the window failed.
ATTEMPTS_MIN = 20
WINDOW = timedelta(minutes=5)

OPEN_FIRST = timedelta(seconds=30)
OPEN_LONGEST = timedelta(minutes=15)
#: Doublings until the longest time; more would only make large numbers.
_DOUBLINGS_MAX = 5

#: An endpoint that took nothing for so long is disabled ...
DISABLE_AFTER = timedelta(days=5)
#: ... if it was tried so often ...
DISABLE_FAILURES_MIN = 20
#: ... and the last time no longer ago than a delivery is tried for.
RECENT = timedelta(hours=24)
#: Shares of the time until then at which its owner is warned.
WARNING_PERCENTS = (25, 50, 75)


@dataclass(frozen=True, slots=True)
class Record:
    """What the attempts at one endpoint came to, as they were recorded."""

    successes: int = 0
    failures: int = 0
    #: Failures since the last success.
    consecutive_failures: int = 0
    #: The first failure since the last success; None when there is none.
    failing_since: datetime | None = None
    last_success_at: datetime | None = None
    last_failure_at: datetime | None = None

    @property
    def attempts(self) -> int:
        """All of them."""
        return self.successes + self.failures


def note_attempt(record: Record, *, succeeded: bool, at: datetime) -> Record:
    """Return the record with one more attempt."""
    if succeeded:
        return replace(
            record,
            successes=record.successes + 1,
            consecutive_failures=0,
            failing_since=None,
            last_success_at=at,
        )
    return replace(
        record,
        failures=record.failures + 1,
        consecutive_failures=record.consecutive_failures + 1,
        failing_since=record.failing_since or at,
        last_failure_at=at,
    )


class Window:
    """Attempts and failures of the last five minutes, from totals that only grow."""

    __slots__ = ("_totals",)

    def __init__(self) -> None:
        self._totals: deque[tuple[datetime, int, int]] = deque()

    def observe(self, record: Record, at: datetime) -> None:
        """Take in what the totals are now."""
        totals = self._totals
        if totals and record.attempts < totals[-1][1]:
            # The endpoint was enabled again and began with a clean slate.
            totals.clear()
        if not totals or totals[-1][1:] != (record.attempts, record.failures):
            totals.append((at, record.attempts, record.failures))
        # What was so when the window began is its base, so that one older entry stays.
        while len(totals) > 1 and totals[1][0] <= at - WINDOW:
            totals.popleft()

    def restart(self) -> None:
        """Forget all but the totals: what comes from now on is judged by itself."""
        while len(self._totals) > 1:
            self._totals.popleft()

    @property
    def counts(self) -> tuple[int, int]:
        """Attempts and failures within the window."""
        if not self._totals:
            return 0, 0
        (_, attempts, failures), (_, attempts_now, failures_now) = self._totals[0], self._totals[-1]
        return attempts_now - attempts, failures_now - failures


@dataclass(frozen=True, slots=True)
class Breaker:
    """Whether an endpoint is left alone; shut, it is not."""

    #: Openings in a row without a success between them; 0 is shut.
    times_opened: int = 0
    opened_at: datetime | None = None
    open_until: datetime | None = None

    def admits_all(self) -> bool:
        """Tell whether deliveries flow."""
        return self.open_until is None

    def admits_probe(self, now: datetime) -> bool:
        """Tell whether one delivery may go, to see whether the endpoint is back."""
        return self.open_until is not None and self.open_until <= now


SHUT = Breaker()


def judge_breaker(breaker: Breaker, record: Record, window: Window, now: datetime) -> Breaker:
    """Return the breaker as it must be now."""
    if breaker.open_until is None or breaker.opened_at is None:
        return _opened(breaker, now) if _must_open(record, window) else breaker
    if record.last_success_at is not None and record.last_success_at >= breaker.opened_at:
        return SHUT
    failed_at = record.last_failure_at
    if failed_at is not None and failed_at >= breaker.open_until:
        return _opened(breaker, now)
    return breaker


def _must_open(record: Record, window: Window) -> bool:
    if record.consecutive_failures >= CONSECUTIVE_FAILURES_MAX:
        return True
    attempts, failures = window.counts
    return attempts >= ATTEMPTS_MIN and 2 * failures >= attempts


def _opened(breaker: Breaker, now: datetime) -> Breaker:
    doublings = min(breaker.times_opened, _DOUBLINGS_MAX)
    wait = min(OPEN_FIRST * 2**doublings, OPEN_LONGEST)
    return Breaker(breaker.times_opened + 1, now, now + wait)


def must_disable(record: Record, now: datetime) -> bool:
    """Tell whether an endpoint has failed for so long that nothing more is sent to it."""
    return (
        _failing(record) >= DISABLE_AFTER
        and record.consecutive_failures >= DISABLE_FAILURES_MIN
        and _is_tried(record, now)
    )


def due_warning(record: Record, warned_percent: int, now: datetime) -> int | None:
    """Return the share of the time until it is disabled that its owner must hear of now."""
    failing = _failing(record)
    passed = [share for share in WARNING_PERCENTS if failing >= DISABLE_AFTER * share / 100]
    if not passed or passed[-1] <= warned_percent or not _is_tried(record, now):
        return None
    return passed[-1]


def _failing(record: Record) -> timedelta:
    # From failure to failure: silence since, as while it is paused, is no failing.
    if record.failing_since is None or record.last_failure_at is None:
        return timedelta(0)
    return record.last_failure_at - record.failing_since


def _is_tried(record: Record, now: datetime) -> bool:
    return record.last_failure_at is not None and now - record.last_failure_at <= RECENT
