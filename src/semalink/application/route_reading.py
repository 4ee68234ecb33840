"""How routes do, for operators: now, and over the last day."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec

from semalink.application.route_book import (
    LATENCY_BINS_MS,
    CircuitRecord,
    HourTally,
    OverrideRecord,
    RouteRecords,
    board_of,
    first_second,
)
from semalink.domain.route import Route
from semalink.domain.route_health import EVERY_NETWORK
from semalink.domain.routing import Board, CircuitState, RouteMode, state_of

DAY = timedelta(hours=24)

_COUNTED = {
    Route.Tripped.TOPIC: "trips",
    Route.ProbeStarted.TOPIC: "probes",
    Route.ProbeFailed.TOPIC: "probes_failed",
    Route.Recovered.TOPIC: "recoveries",
}


class RouteOverride(msgspec.Struct, frozen=True):
    """What an operator said of a route, of an account's or of a sender id's messages."""

    #: "route", "sender", "account" or "dedicated".
    scope: str
    subject: str
    route: str
    mode: RouteMode
    reason: str
    set_by: str
    set_at: datetime
    expires_at: datetime | None


class RestingNetwork(msgspec.Struct, frozen=True):
    """A network of a route, or "all" of it, that is out of use."""

    network: str
    state: CircuitState
    cause: str
    since: datetime
    probe_at: datetime


class LastMinute(msgspec.Struct, frozen=True):
    """What the rule looks at."""

    attempts: int
    errors: int
    error_permille: int
    failures_in_a_row: int


class RouteHour(msgspec.Struct, frozen=True):
    """One hour of a route."""

    hour: datetime
    attempts: int
    errors: int
    error_permille: int


class LastDay(msgspec.Struct, frozen=True):
    """The last 24 hours of a route, by the hours in which anything happened."""

    trips: int
    probes: int
    probes_failed: int
    recoveries: int
    attempts: int
    errors: int
    #: At most so long took the answer to half, and to 95 in a hundred, of the calls; null: longer
    #: than ten seconds, or no call.
    p50_ms: int | None
    p95_ms: int | None
    hours: list[RouteHour]


class RouteReport(msgspec.Struct, frozen=True):
    """One route: its health now, what operators said of it, and its last day."""

    name: str
    state: CircuitState
    #: Whether accounts share it, or one has it for itself.
    dedicated: bool
    override: RouteOverride | None
    out_of_use: list[RestingNetwork]
    last_minute: LastMinute
    last_day: LastDay


class RouteReads(Protocol):
    """What is read of routes; raises ReadsUnavailable while the database is away."""

    async def records(self, since_second: int) -> RouteRecords:
        """Return what all workers saw after a second, and what is out of use or overridden."""
        ...

    async def hours(self, since: datetime) -> Sequence[HourTally]:
        """Return what happened in the hours from that one on."""
        ...

    async def event_counts(self, since: datetime) -> Mapping[tuple[str, str], int]:
        """Count the events of routes since then, by route and topic."""
        ...

    async def overrides(self) -> Sequence[OverrideRecord]:
        """Return every override and dedicated route, those that ran out included."""
        ...


class RouteReading:
    """Puts together what operators see of routes."""

    def __init__(
        self, reads: RouteReads, *, order: Sequence[str], dedicated: Sequence[str] = ()
    ) -> None:
        self._reads = reads
        self._order = tuple(order)
        self._dedicated = tuple(dedicated)

    @property
    def names(self) -> Sequence[str]:
        """Every route that there is."""
        return (*self._order, *self._dedicated)

    @property
    def shared(self) -> Sequence[str]:
        """The routes that every account's messages may take."""
        return self._order

    @property
    def dedicated(self) -> Sequence[str]:
        """The routes that one account can have for itself."""
        return self._dedicated

    async def reports(self, now: datetime) -> list[RouteReport]:
        """Return every route, in the order in which they are tried."""
        since = (now - DAY).replace(minute=0, second=0, microsecond=0)
        records = await self._reads.records(first_second(now))
        hours = await self._reads.hours(since)
        counts = await self._reads.event_counts(now - DAY)
        board = board_of(records, order=self._order, names=self.names, now=now)
        return [
            RouteReport(
                name=name,
                state=state_of(board.standings[name], None, now),
                dedicated=name in self._dedicated,
                override=_override_of(records, name, now),
                out_of_use=_resting(records, name, board, now),
                last_minute=_last_minute(board, name),
                last_day=_last_day(
                    [each for each in hours if each.route == name],
                    {topic: count for (route, topic), count in counts.items() if route == name},
                ),
            )
            for name in self.names
        ]

    async def overrides(self, now: datetime) -> list[RouteOverride]:
        """Return every override that holds, and every dedicated route."""
        records = await self._reads.overrides()
        return [_override(record) for record in records if _holds(record, now)]


def _override_of(records: RouteRecords, name: str, now: datetime) -> RouteOverride | None:
    for record in records.overrides:
        if (record.scope, record.subject) == ("route", name) and _holds(record, now):
            return _override(record)
    return None


def _holds(record: OverrideRecord, now: datetime) -> bool:
    return record.expires_at is None or now < record.expires_at


def _override(record: OverrideRecord) -> RouteOverride:
    return RouteOverride(
        scope=record.scope,
        subject=record.subject,
        route=record.route,
        mode=record.mode,
        reason=record.reason,
        set_by=record.set_by,
        set_at=record.set_at.astimezone(UTC),
        expires_at=record.expires_at and record.expires_at.astimezone(UTC),
    )


def _resting(records: RouteRecords, name: str, board: Board, now: datetime) -> list[RestingNetwork]:
    return [
        _rest(circuit, state_of(board.standings[name], circuit.network, now))
        for circuit in records.circuits
        if circuit.route == name and circuit.is_open
    ]


def _rest(circuit: CircuitRecord, state: CircuitState) -> RestingNetwork:
    return RestingNetwork(
        network="all" if circuit.network == EVERY_NETWORK else circuit.network,
        state=state,
        cause=circuit.cause,
        since=circuit.since.astimezone(UTC),
        probe_at=circuit.probe_at.astimezone(UTC),
    )


def _last_minute(board: Board, name: str) -> LastMinute:
    figures = board.standings[name].figures
    return LastMinute(
        figures.attempts, figures.errors, figures.error_permille, figures.failures_in_a_row
    )


def _last_day(tallies: Sequence[HourTally], counts: Mapping[str, int]) -> LastDay:
    bins: Counter[int] = Counter()
    attempts: Counter[datetime] = Counter()
    errors: Counter[datetime] = Counter()
    for tally in tallies:
        hour = tally.hour.astimezone(UTC)
        bins[tally.latency_bin] += tally.attempts
        attempts[hour] += tally.attempts
        errors[hour] += tally.errors
    events = {name: counts.get(topic, 0) for topic, name in _COUNTED.items()}
    return LastDay(
        **events,
        attempts=attempts.total(),
        errors=errors.total(),
        p50_ms=_percentile(bins, 50),
        p95_ms=_percentile(bins, 95),
        hours=[
            RouteHour(hour, attempts[hour], errors[hour], errors[hour] * 1000 // attempts[hour])
            for hour in sorted(attempts)
            if attempts[hour]
        ],
    )


def _percentile(bins: Counter[int], percent: int) -> int | None:
    """Return the bound of the bin in which the percentile lies."""
    below = 0
    for number, bound in enumerate(LATENCY_BINS_MS):
        below += bins[number]
        if below and below * 100 >= bins.total() * percent:
            return bound
    return None
