from semalink.application.yielding import REPORTS_BEHIND_MAX, ReportsFirst


class Counts:
    """Says how many reports wait, look after look; the last word holds."""

    def __init__(self, *counts: int) -> None:
        self._counts = list(counts)
        self.looks = 0

    async def count(self, limit: int) -> int:
        self.looks += 1
        waiting = self._counts.pop(0) if len(self._counts) > 1 else self._counts[0]
        return min(waiting, limit)


async def test_wait_is_over_at_once_when_few_reports_wait() -> None:
    reports = Counts(REPORTS_BEHIND_MAX)

    await ReportsFirst(reports.count, look_seconds=0).wait()

    assert reports.looks == 1


async def test_wait_lasts_until_reports_were_applied() -> None:
    reports = Counts(5_000, REPORTS_BEHIND_MAX + 1, 0)

    await ReportsFirst(reports.count, look_seconds=0).wait()

    assert reports.looks == 3


async def test_wait_is_over_some_time_when_reports_stand_still() -> None:
    reports = Counts(5_000)

    await ReportsFirst(reports.count, look_seconds=0).wait()

    assert reports.looks > 1
