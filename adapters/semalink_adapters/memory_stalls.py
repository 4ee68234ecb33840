"""What routes took and have not reported on, in memory."""

from collections.abc import Sequence
from datetime import datetime

from semalink.application.stall_watch import MinuteTally
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_routes import MemoryRoutes


class MemoryStalls(MemoryRoutes):
    """Counts that a test puts there, beside a route book."""

    def __init__(self, ledger: MemoryLedger) -> None:
        super().__init__(ledger)
        self.taken: list[MinuteTally] = []
        self.silent: list[MinuteTally] = []
        self.not_asked: list[MinuteTally] = []
        #: Plays a worker that does not keep up with the reports that come.
        self.behind = False
        #: Stalled routes, each with its network, of which a probe was reported on.
        self.heard: list[tuple[str, str]] = []

    async def submitted(self, since: datetime, until: datetime) -> Sequence[MinuteTally]:
        """Count what routes took in a span of time."""
        self._require_available()
        return [each for each in self.taken if since <= each.minute < until]

    async def unasked(self, since: datetime, until: datetime) -> Sequence[MinuteTally]:
        """Count what of it was not asked for yet."""
        return [each for each in self.not_asked if since <= each.minute < until]

    async def is_behind(self) -> bool:
        """Whether reports that came long ago were not read yet."""
        return self.behind

    async def heard_of(self) -> Sequence[tuple[str, str]]:
        """Return what a test put there."""
        return self.heard

    async def unreported(self, since: datetime, until: datetime) -> Sequence[MinuteTally]:
        """Count what of it had no final report so far."""
        self._require_available()
        return [each for each in self.silent if since <= each.minute < until]
