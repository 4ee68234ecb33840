"""How fast a campaign may go: a rate of its own, or what its last hour asks for."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(slots=True)
class Pace:
    """What may leave at a rate; what was not used is kept for a second at most."""

    at: datetime
    spare: float = 1.0

    def allowed(self, rate_per_second: float, now: datetime) -> int:
        """Return how many may leave now; a clock that was set back allows nothing new."""
        passed = max(0.0, (now - self.at).total_seconds())
        self.spare = min(max(1.0, rate_per_second), self.spare + rate_per_second * passed)
        self.at = now
        return int(self.spare)

    def take(self, count: int) -> None:
        """Take note that so many leave."""
        self.spare -= count


def rate_to_finish(left_count: int, finish_by: datetime, now: datetime) -> float | None:
    """Return the messages a second with which the last leaves in time; None: as fast as it goes."""
    seconds = (finish_by - now).total_seconds()
    return left_count / seconds if seconds > 0 else None
