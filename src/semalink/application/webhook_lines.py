"""Who waits in a webhook worker: attempts by endpoint, endpoints by account."""

from collections import deque
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Generic, TypeVar

Work = TypeVar("Work")

#: An endpoint is slow when one answer in twenty takes longer, or one that is awaited does.
SLOW_AFTER = timedelta(seconds=3)
#: Answers of an endpoint by which it is judged slow.
ANSWERS_KEPT = 20
#: An endpoint with so many under way finds a place only in one half of what there is.
WIDE_FROM = 4


class Line(Generic[Work]):
    """The attempts at one endpoint."""

    __slots__ = ("_answers", "_turns", "account", "concurrency", "under_way", "waiting")

    def __init__(self, account: "Share") -> None:
        self.account = account
        self.concurrency = 1
        #: With the time when each was claimed.
        self.waiting: deque[tuple[Work, datetime]] = deque()
        #: When each was begun, oldest first; by a number of its own, because a delivery comes twice
        #: when its lease has ended.
        self.under_way: dict[int, datetime] = {}
        self._turns = count()
        self._answers: deque[timedelta] = deque(maxlen=ANSWERS_KEPT)

    @property
    def is_busy(self) -> bool:
        """Whether anything waits or is under way."""
        return bool(self.waiting or self.under_way)

    @property
    def may_begin(self) -> bool:
        """Whether something waits, and the endpoint takes it now."""
        return bool(self.waiting) and len(self.under_way) < self.concurrency

    @property
    def is_wide(self) -> bool:
        """Whether it has more under way than an endpoint needs that answers."""
        return len(self.under_way) >= WIDE_FROM

    def is_slow(self, now: datetime) -> bool:
        """Tell whether an answer took long, or one is awaited for long."""
        if self.under_way and now - next(iter(self.under_way.values())) > SLOW_AFTER:
            return True
        return bool(self._answers) and max(self._answers) > SLOW_AFTER

    def begin(self, now: datetime) -> int:
        """Note an attempt that begins; return the number to end it by."""
        turn = next(self._turns)
        self.under_way[turn] = now
        self.account.under_way += 1
        return turn

    def end(self, turn: int, now: datetime) -> timedelta:
        """Note an attempt that ended; return how long it took."""
        self.account.under_way -= 1
        took = now - self.under_way.pop(turn)
        self._answers.append(took)
        return took


class Share:
    """What the endpoints of one account have under way, and which of them wait for a place.

    Nothing else bounds an account that opens many endpoints with much at one time each.
    """

    __slots__ = ("_narrow", "_places", "_wide", "under_way")

    def __init__(self, places: int) -> None:
        self._places = places
        self.under_way = 0
        # In the order in which they began to wait.
        self._narrow: dict[Line[Any], None] = {}
        self._wide: dict[Line[Any], None] = {}

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way or waits for a place."""
        return not (self.under_way or self._narrow or self._wide)

    def has_place_for(self, line: Line[Any]) -> bool:
        """Tell whether an attempt may begin: for the wide ones there is one half."""
        return self.under_way < (self._places // 2 if line.is_wide else self._places)

    def hold(self, line: Line[Any]) -> None:
        """Let it wait behind the others."""
        self._narrow.pop(line, None)
        self._wide.pop(line, None)
        (self._wide if line.is_wide else self._narrow)[line] = None

    def pop_next(self) -> Line[Any] | None:
        """Take out the next one for which there is a place."""
        for waiting in (self._narrow, self._wide):
            line = next(iter(waiting), None)
            if line is not None and self.has_place_for(line):
                del waiting[line]
                return line
        return None
