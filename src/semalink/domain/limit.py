"""How fast something may come: a rate for ever, and a burst after a pause."""

from dataclasses import dataclass
from typing import Self

NANOS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Limit:
    """So many a second for ever, and so many at once after a pause."""

    rate_per_second: int
    burst: int

    def __post_init__(self) -> None:
        """A bucket that holds less than a second's worth could not be shared by processes."""
        assert 0 < self.rate_per_second <= self.burst, "a burst is at least what a second may bring"

    @classmethod
    def of(cls, rate_per_second: int | None, burst: int | None) -> Self | None:
        """Return the limit that was stored, if one was."""
        if rate_per_second is None or burst is None:
            return None
        return cls(rate_per_second, burst)

    @property
    def interval_nanos(self) -> int:
        """Time that one unit takes, rounded up so that the rate is never exceeded."""
        return -(-NANOS // self.rate_per_second)

    @property
    def window_nanos(self) -> int:
        """Time in which an empty bucket fills."""
        return self.burst * self.interval_nanos
