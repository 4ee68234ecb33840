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

    async def submitted(self, since: datetime, until: datetime) -> Sequence[MinuteTally]:
        """Count what routes took in a span of time."""
        self._require_available()
        return [each for each in self.taken if since <= each.minute < until]

    async def unreported(self, since: datetime, until: datetime) -> Sequence[MinuteTally]:
        """Count what of it had no final report so far."""
        self._require_available()
        return [each for each in self.silent if since <= each.minute < until]
