"""When something that failed is tried again."""

from dataclasses import dataclass
from datetime import timedelta

_POSTPONEMENTS = (
    timedelta(seconds=5),
    timedelta(seconds=15),
    timedelta(seconds=60),
    timedelta(minutes=5),
)


def postponement(times_before: int) -> timedelta:
    """Return how long a message waits when every route refused it for now."""
    return _POSTPONEMENTS[min(times_before, len(_POSTPONEMENTS) - 1)]


#: Attempts at one customer's endpoint after the first.
WEBHOOK_RETRIES_MAX = 5
#: From the first attempt to the last, however long an answer takes each time.
WEBHOOK_WINDOW = timedelta(hours=24)

_WEBHOOK_FIRST_WAIT = timedelta(seconds=55)
_WEBHOOK_GROWTH = 6
#: Jitter only shortens, so that the waits together never pass the window.
_WEBHOOK_JITTER = 0.15
#: What is left of the window for the attempts themselves, each of which takes some seconds.
_WEBHOOK_ANSWERING = timedelta(minutes=2)
#: An endpoint that is busy, or too slow, is left alone at least so long.
_WEBHOOK_BREATHER = timedelta(seconds=60)
_TOO_MANY_REQUESTS = 429


@dataclass(frozen=True, slots=True)
class WaitsBefore:
    """The waits between the attempts of one round so far; time spent held is none."""

    count: int = 0
    together: timedelta = timedelta(0)
    longest: timedelta = timedelta(0)

    def and_another(self, wait: timedelta) -> "WaitsBefore":
        """Return these and one more."""
        return WaitsBefore(self.count + 1, self.together + wait, max(self.longest, wait))


def next_webhook_wait(
    before: WaitsBefore,
    *,
    jitter: float,
    retry_after_seconds: int | None = None,
    status: int | None = None,
    timed_out: bool = False,
) -> timedelta | None:
    """Return how long to wait before the next attempt; None when there is none left.

    ``jitter`` is drawn from 0 to 1.
    A wait is never shorter than one before it, but where the end of the window cuts it.
    """
    left = WEBHOOK_WINDOW - _WEBHOOK_ANSWERING - before.together
    if before.count >= WEBHOOK_RETRIES_MAX or left < _WEBHOOK_FIRST_WAIT:
        return None
    growth: int = _WEBHOOK_GROWTH**before.count
    scheduled = _WEBHOOK_FIRST_WAIT * growth
    wait = max(scheduled * (1 - _WEBHOOK_JITTER * jitter), before.longest)
    if retry_after_seconds is not None:
        # Bounded first: a header may say any number, and a time has a limit.
        asked_seconds = min(retry_after_seconds, int(WEBHOOK_WINDOW.total_seconds()))
        wait = max(wait, timedelta(seconds=asked_seconds))
    if timed_out or status == _TOO_MANY_REQUESTS:
        wait = max(wait, _WEBHOOK_BREATHER)
    return min(wait, left)
