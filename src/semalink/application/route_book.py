"""What the workers tell one another about routes, and the board that they make of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from semalink.domain.route_health import WINDOW_SECONDS, Tally, measure
from semalink.domain.routing import Board, Circuit, Detour, RouteMode, RouteStanding, Wish

#: Upper bounds of the bins in which durations are counted, in milliseconds; the last has none.
LATENCY_BINS_MS = (50, 100, 200, 300, 500, 750, 1_000, 1_500, 2_000, 3_000, 5_000, 10_000)


@dataclass(frozen=True, slots=True)
class RouteTally:
    """What happened on a route within one second."""

    route: str
    tally: Tally


@dataclass(frozen=True, slots=True)
class HourTally:
    """What happened on a route within one hour, of one bin of durations."""

    route: str
    hour: datetime
    latency_bin: int
    attempts: int
    errors: int


@dataclass(frozen=True, slots=True)
class CircuitRecord:
    """A route, or one network of it, that is out of use or was."""

    route: str
    network: str
    is_open: bool
    since: datetime
    probe_at: datetime
    probe_until: datetime | None
    error_permille: int
    cause: str = ""


@dataclass(frozen=True, slots=True)
class OverrideRecord:
    """What an operator said of a route, of a sender id's or of an account's messages."""

    #: "route", "sender", "account" or "dedicated".
    scope: str
    #: Name of the route, sender id, or id of the account.
    subject: str
    route: str
    mode: RouteMode
    reason: str
    set_by: str
    set_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class RouteRecords:
    """What all workers know at one moment."""

    tallies: Sequence[RouteTally] = ()
    circuits: Sequence[CircuitRecord] = ()
    #: Of routes and of sender ids; those of accounts are looked up one by one.
    overrides: Sequence[OverrideRecord] = field(default=())


class RouteBook(Protocol):
    """Shared by all workers. Raises NotReady while it is away."""

    async def add(self, tallies: Sequence[RouteTally], hours: Sequence[HourTally]) -> None:
        """Add what one worker saw to what all saw."""
        ...

    async def read(self, since_second: int) -> RouteRecords:
        """Return what all workers saw after a second, and what is out of use or overridden."""
        ...

    async def wish_of(self, account_id: UUID) -> Wish:
        """Return what is set for an account."""
        ...


def first_second(now: datetime) -> int:
    """Return the second from which on the health of now is judged."""
    return second_of(now) - WINDOW_SECONDS


def second_of(moment: datetime) -> int:
    """Seconds since the epoch."""
    return int(moment.timestamp())


def latency_bin(seconds: float) -> int:
    """Return the number of the bin of a duration."""
    milliseconds = seconds * 1000
    return sum(milliseconds > bound for bound in LATENCY_BINS_MS)


def tallies_of(records: RouteRecords, route: str) -> Sequence[Tally]:
    """Return what happened on one route."""
    return [each.tally for each in records.tallies if each.route == route]


def beginnings(records: RouteRecords, route: str) -> Mapping[str, int]:
    """Return, by network, up to when nothing counts: what was before a recovery is over."""
    return {
        circuit.network: second_of(circuit.since)
        for circuit in records.circuits
        if circuit.route == route and not circuit.is_open
    }


def resting(records: RouteRecords, route: str) -> frozenset[str]:
    """Return the networks of a route that are out of use."""
    return frozenset(
        circuit.network
        for circuit in records.circuits
        if circuit.route == route and circuit.is_open
    )


def board_of(
    records: RouteRecords, *, order: Sequence[str], names: Sequence[str], now: datetime
) -> Board:
    """Return the board of these routes; records of others are of no account."""
    return Board(
        standings={name: _standing(records, name, now) for name in names},
        order=order,
        senders={
            each.subject: Detour(each.route, each.expires_at)
            for each in records.overrides
            if each.scope == "sender"
        },
    )


def _standing(records: RouteRecords, name: str, now: datetime) -> RouteStanding:
    said = [each for each in records.overrides if each.scope == "route" and each.subject == name]
    circuits = {
        each.network: Circuit(each.since, each.probe_at, each.probe_until, each.error_permille)
        for each in records.circuits
        if each.route == name and each.is_open
    }
    figures = measure(
        tallies_of(records, name),
        now_second=second_of(now),
        since=beginnings(records, name),
    )
    return RouteStanding(
        mode=said[0].mode if said else RouteMode.AUTO,
        mode_until=said[0].expires_at if said else None,
        circuits=circuits,
        figures=figures,
    )
