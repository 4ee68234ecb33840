"""Campaigns give way to reports: what became of what was sent comes before sending more."""

import asyncio
from collections.abc import Awaitable, Callable

#: Reports that may wait to be applied while bundles leave: more than are on their way when all
#: keeps up. What is beyond keeps everybody's reports waiting.
REPORTS_BEHIND_MAX = 500

#: A bundle leaves after so long in any case: slow reports slow campaigns, and never stop them.
PATIENCE_SECONDS = 1.0
LOOK_SECONDS = 0.05

#: Counts the reports that wait, up to a limit.
CountReports = Callable[[int], Awaitable[int]]


class ReportsFirst:
    """Lets one bundle after another go, as reports allow."""

    def __init__(self, count_reports: CountReports, *, look_seconds: float = LOOK_SECONDS) -> None:
        self._count_reports = count_reports
        self._look_seconds = look_seconds
        self._turn = asyncio.Lock()

    async def wait(self) -> None:
        """Return when few reports wait, or after a second; raises NotReady."""
        async with self._turn:
            for _ in range(int(PATIENCE_SECONDS / LOOK_SECONDS)):
                if await self._count_reports(REPORTS_BEHIND_MAX + 1) <= REPORTS_BEHIND_MAX:
                    return
                await asyncio.sleep(self._look_seconds)
