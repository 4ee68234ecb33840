"""The route book in memory: for tests, held to the same rules as the real one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from semalink.application.bus import NotReady
from semalink.application.route_book import (
    CircuitRecord,
    HourTally,
    OverrideRecord,
    RouteRecords,
    RouteTally,
)
from semalink.domain.account import Account
from semalink.domain.route import Route
from semalink.domain.route_health import Tally
from semalink.domain.routing import Detour, RouteMode, Wish
from semalink.domain.sender_route import SenderRoute
from semalink_adapters.memory_ledger import MemoryLedger


class MemoryRoutes:
    """Adds up in a dictionary, and reads what a ledger in memory holds of routes."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        #: False plays a database that is away.
        self.is_available = True
        self.seconds: dict[tuple[str, int, str], tuple[int, int]] = {}
        self.hours: list[HourTally] = []

    async def add(self, tallies: Sequence[RouteTally], hours: Sequence[HourTally]) -> None:
        """Add what one worker saw to what all saw."""
        self._require_available()
        for each in tallies:
            key = each.route, each.tally.second, each.tally.network
            attempts, errors = self.seconds.get(key, (0, 0))
            self.seconds[key] = attempts + each.tally.attempts, errors + each.tally.errors
        self.hours += hours

    async def read(self, since_second: int) -> RouteRecords:
        """Return what all workers saw after a second, and what is out of use or overridden."""
        self._require_available()
        tallies = [
            RouteTally(route, Tally(second, network, *sums))
            for (route, second, network), sums in self.seconds.items()
            if second > since_second
        ]
        circuits: dict[tuple[str, str], CircuitRecord] = {}
        overrides: list[OverrideRecord] = []
        for stream in self._ledger.streams[Route].values():
            _follow_route(stream, circuits, overrides)
        for stream in self._ledger.streams[SenderRoute].values():
            last = stream[-1]
            if isinstance(last, SenderRoute.Overridden) and last.aggregator is not None:
                overrides.append(
                    OverrideRecord(
                        "sender", last.sender, last.aggregator, RouteMode.PREFER, last.reason,
                        last.actor, last.timestamp, last.expires_at,
                    )
                )  # fmt: skip
        return RouteRecords(tallies, list(circuits.values()), overrides)

    async def wish_of(self, account_id: UUID) -> Wish:
        """Return what is set for an account."""
        self._require_available()
        account = self._ledger.load(Account, account_id)
        if account is None:
            return Wish()
        route, _, until = account.route_override
        override = None if route is None else Detour(route, until)
        return Wish(override, account.dedicated_route, account.preferred_aggregator)

    def _require_available(self) -> None:
        if not self.is_available:
            msg = "The database is away."
            raise NotReady(msg)


def _follow_route(
    stream: Sequence[Route.Event],
    circuits: dict[tuple[str, str], CircuitRecord],
    overrides: list[OverrideRecord],
) -> None:
    name = ""
    said: OverrideRecord | None = None
    for event in stream:
        match event:
            case Route.Created():
                name = event.route
            case Route.Overridden():
                said = OverrideRecord(
                    "route", name, name, RouteMode(event.mode), event.reason, event.actor,
                    event.timestamp, event.expires_at,
                )  # fmt: skip
            case Route.OverrideCleared():
                said = None
            case _:
                _follow_circuit(name, event, circuits)
    overrides += [said] if said is not None else []


def _follow_circuit(
    name: str, event: Route.Event, circuits: dict[tuple[str, str], CircuitRecord]
) -> None:
    match event:
        case Route.Tripped():
            circuits[name, event.network] = CircuitRecord(
                name,
                event.network,
                is_open=True,
                since=event.timestamp,
                probe_at=event.probe_at,
                probe_until=None,
                error_permille=event.errors * 1000 // max(event.attempts, 1),
                cause=event.cause,
            )
        case Route.ProbeStarted():
            _change(circuits, name, event.network, probe_until=event.until)
        case Route.ProbePassed():
            _change(circuits, name, event.network, probe_until=None)
        case Route.ProbeFailed():
            _change(circuits, name, event.network, probe_until=None, probe_at=event.probe_at)
        case Route.Recovered():
            _change(circuits, name, event.network, is_open=False, since=event.timestamp)
        case _:
            pass


def _change(
    circuits: dict[tuple[str, str], CircuitRecord], name: str, network: str, **facts: Any
) -> None:
    circuits[name, network] = replace(circuits[name, network], **facts)
