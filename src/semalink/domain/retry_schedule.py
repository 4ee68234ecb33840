"""When something that failed is tried again."""

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
