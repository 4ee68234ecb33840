"""What operators read of routes, in memory."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from semalink.application.route_book import HourTally, OverrideRecord, RouteRecords
from semalink.domain.account import Account
from semalink.domain.route import Route
from semalink.domain.routing import RouteMode
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_routes import MemoryRoutes


class MemoryRouteReads:
    """Reads a route book in memory, and the ledger behind it."""

    def __init__(self, book: MemoryRoutes, ledger: MemoryLedger) -> None:
        self._book = book
        self._ledger = ledger

    async def records(self, since_second: int) -> RouteRecords:
        """Return what all workers saw after a second, and what is out of use or overridden."""
        return await self._book.read(since_second)

    async def hours(self, since: datetime) -> Sequence[HourTally]:
        """Return what happened in the hours from that one on."""
        return [each for each in self._book.hours if each.hour >= since]

    async def event_counts(self, since: datetime) -> Mapping[tuple[str, str], int]:
        """Count the events of routes since then, by route and topic."""
        streams = self._ledger.streams[Route].values()
        return Counter(
            (event.route, event.TOPIC)
            for stream in streams
            for event in stream
            if event.timestamp >= since
        )

    async def overrides(self) -> Sequence[OverrideRecord]:
        """Return every override and dedicated route, those that ran out included."""
        found = list((await self._book.read(0)).overrides)
        for account_id, stream in self._ledger.streams[Account].items():
            last = {type(event): event for event in stream}
            for kind, scope in (
                (Account.RouteOverridden, "account"),
                (Account.RouteDedicated, "dedicated"),
            ):
                event = last.get(kind)
                if event is not None and event.aggregator is not None:
                    found.append(
                        OverrideRecord(
                            scope, account_id.hex, event.aggregator, RouteMode.PREFER,
                            event.reason, event.actor, event.timestamp,
                            getattr(event, "expires_at", None),
                        )
                    )  # fmt: skip
        return sorted(found, key=lambda each: (each.scope, each.subject))
