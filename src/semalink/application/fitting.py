"""How many at a time keep the workers busy, and no more than that."""

from collections.abc import Callable

#: Fewer leave workers idle between two looks of the relay.
FEWEST = 24

#: What is tried is a third more, and kept when it brings at least half of that.
_TRIED_MORE = 4 / 3
_WORTH_IT = 7 / 6
#: Rates vary by themselves: so often in a row must it be worth it.
_WINS_NEEDED = 2

#: One trial takes so long at least, and is given up when hardly anything leaves for so long.
TRIAL_SECONDS = 0.5
STALLED_SECONDS = 10.0


class FittingWindow:
    """A number that follows what the workers and aggregators behind a queue can take.

    Where the machine is the limit, more at a time only wait longer, and everybody with them; where
    aggregators take their time to answer, more at a time are done sooner. Which it is shows by
    trying: a few and some more in turns, and the rates at which they leave.
    """

    def __init__(self, most: int, *, now: Callable[[], float], fewest: int = FEWEST) -> None:
        self._now = now
        self._most = most
        self._fewest = min(fewest, most)
        self._few = float(self._fewest)
        self._tries_more = False
        self._rate_of_few = 0.0
        self._wins = 0
        self._still_to_settle = 0
        self._began_at: float | None = None
        self._left_count = 0
        self.begin_anew()

    @property
    def size(self) -> int:
        """How many may be in the queue now."""
        return min(self._most, int(self._few * (_TRIED_MORE if self._tries_more else 1)))

    @property
    def most(self) -> int:
        """How many may ever be in the queue."""
        return self._most

    def begin_anew(self) -> None:
        """Forget the trial under way: it was no fair one."""
        self._still_to_settle = self.size
        self._began_at = None
        self._left_count = 0

    def left(self, count: int) -> None:
        """Hear how many left the queue since the last time, while others waited."""
        if self._began_at is None:
            # Those of the trial before leave first.
            self._still_to_settle -= count
            if self._still_to_settle <= 0:
                self._began_at = self._now()
            return
        self._left_count += count
        seconds = self._now() - self._began_at
        if self._left_count >= self.size and seconds >= TRIAL_SECONDS:
            self._judge(self._left_count / seconds)
            self.begin_anew()
        elif seconds >= STALLED_SECONDS:
            self.begin_anew()

    def _judge(self, rate: float) -> None:
        if not self._tries_more:
            self._rate_of_few = rate
        elif rate < self._rate_of_few * _WORTH_IT:
            self._wins = 0
            self._few = max(float(self._fewest), self._few / _TRIED_MORE)
        else:
            self._wins += 1
            if self._wins >= _WINS_NEEDED:
                self._wins = 0
                # So that a third more can still be tried.
                largest = max(float(self._fewest), self._most / _TRIED_MORE)
                self._few = min(largest, self._few * _TRIED_MORE)
        self._tries_more = not self._tries_more
