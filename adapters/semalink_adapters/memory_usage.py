"""Usage of what a ledger in memory holds, by the fold of the read model; for tests."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

from semalink.application.reading import ReadsUnavailable
from semalink.application.usage_reading import UsageFilter, UsagePlace, UsageRow, counts_of
from semalink.domain.message import Message
from semalink.projections import usage
from semalink.projections.projection import Recorded
from semalink_adapters.memory_ledger import MemoryLedger


class MemoryUsage:
    """UsageReads of what a memory ledger holds."""

    def __init__(self, ledger: MemoryLedger, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._clock = clock
        #: When False, nothing can be read.
        self.is_available = True

    async def usage(
        self, wanted: UsageFilter, *, after: UsagePlace | None, limit: int
    ) -> Sequence[UsageRow]:
        """Return rows, newest day first, behind a place."""
        if not self.is_available:
            msg = "The database is away."
            raise ReadsUnavailable(msg)
        sums: dict[tuple[date, tuple[str, ...]], Counter[str]] = {}
        for slot, counts in usage.fold((), self._log()).usage.items():
            if _fits(slot, wanted):
                kind = tuple(str(getattr(slot, name)) for name in wanted.grain)
                sums.setdefault((slot.day, kind), Counter()).update(counts)
        rows = [
            UsageRow(day, dict(zip(wanted.grain, kind, strict=True)), counts_of(counts))
            for (day, kind), counts in sums.items()
        ]
        rows.sort(key=_order)
        behind = [row for row in rows if after is None or _order(row) > _key(after)]
        return behind[:limit]

    async def counted_until(self) -> datetime:
        """Return the instant before which everything that was recorded is counted."""
        return self._clock()

    def _log(self) -> list[Recorded]:
        streams = self._ledger.streams[Message].values()
        return [
            Recorded(one.originator_id, one.originator_version, one.timestamp, one)
            for stream in streams
            for one in stream
        ]


def _fits(slot: usage.Slot, wanted: UsageFilter) -> bool:
    pairs = (
        (getattr(wanted, name), getattr(slot, name))
        for name in ("account_id", "mode", "network", "sender", "aggregator", "api_key")
    )
    return (
        all(want in (None, has) for want, has in pairs)
        and (wanted.day_from is None or slot.day >= wanted.day_from)
        and (wanted.day_before is None or slot.day < wanted.day_before)
    )


def _order(row: UsageRow) -> Any:
    return _key(row.place)


def _key(place: UsagePlace) -> Any:
    return -place.day.toordinal(), place.kind
