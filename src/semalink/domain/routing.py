"""Which aggregator carries a message."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from semalink.domain.draft import Lane
from semalink.domain.route_health import EVERY_NETWORK, Figures

#: Celcom first, Africa's Talking as fallback.
DEFAULT_ORDER = ("celcom", "africastalking")

#: Messages of test keys go here and nowhere else.
TEST_ROUTE = "sandbox"

#: A probe may lose its message, so that a priority message is one only when no other came.
PRIORITY_PROBES_AFTER = timedelta(seconds=30)


class RouteMode(StrEnum):
    """What operators want of a route."""

    #: Health decides.
    AUTO = "auto"
    #: First for every message.
    PREFER = "prefer"
    #: Never used.
    DISABLE = "disable"
    #: In use, however it does.
    ENABLE = "enable"


class CircuitState(StrEnum):
    """Whether a route carries messages."""

    CLOSED = "closed"
    OPEN = "open"
    #: Rested long enough: one message at a time tries it.
    PROBING = "probing"


class Reason(StrEnum):
    """Why a route was chosen."""

    TEST = "test"
    OVERRIDE_SENDER = "override_sender"
    OVERRIDE_ACCOUNT = "override_account"
    OVERRIDE_ROUTE = "override_route"
    DEDICATED = "dedicated"
    PROBE = "probe"
    PREFERRED = "preferred"
    DEFAULT = "default"
    #: A route that would have come first is out of use.
    FAILED_OVER = "failed_over"
    #: Another route refused this message, or never answered.
    NEXT_ROUTE = "next_route"
    #: Every route is out of use, and nothing waits for ever.
    LEAST_BAD = "least_bad"


@dataclass(frozen=True, slots=True)
class Circuit:
    """A route, or one network of it, that is out of use."""

    since: datetime
    #: From then on it is tried again.
    probe_at: datetime
    #: Until then the answer to a probe is waited for.
    probe_until: datetime | None = None
    #: Errors in a thousand attempts when it was taken out of use.
    error_permille: int = 1000

    @property
    def rests_until(self) -> datetime:
        """When it may be tried next."""
        return self.probe_at if self.probe_until is None else max(self.probe_at, self.probe_until)

    def is_due(self, now: datetime, lane: str) -> bool:
        """Whether a message of the lane may be the next probe."""
        if self.probe_until is not None and now < self.probe_until:
            return False
        wait = PRIORITY_PROBES_AFTER if lane == Lane.PRIORITY else timedelta()
        return now >= self.probe_at + wait


@dataclass(frozen=True, slots=True)
class RouteStanding:
    """What is known of one route."""

    mode: RouteMode = RouteMode.AUTO
    mode_until: datetime | None = None
    #: What is out of use, by network; EVERY_NETWORK stands for the whole route.
    circuits: Mapping[str, Circuit] = field(default_factory=dict)
    figures: Figures = field(default_factory=Figures)

    def mode_at(self, now: datetime) -> RouteMode:
        """Return what operators want of it now."""
        over = self.mode_until is not None and now >= self.mode_until
        return RouteMode.AUTO if over else self.mode

    def open_circuit(self, network: str | None) -> tuple[str, Circuit] | None:
        """Return what keeps messages to a network away, the whole route first."""
        for key in (EVERY_NETWORK, network or EVERY_NETWORK):
            if key in self.circuits:
                return key, self.circuits[key]
        return None


@dataclass(frozen=True, slots=True)
class Detour:
    """A route that an operator chose for an account or a sender id."""

    route: str
    until: datetime | None = None

    def route_at(self, now: datetime) -> str | None:
        """Return the route while the choice holds."""
        return None if self.until is not None and now >= self.until else self.route


@dataclass(frozen=True, slots=True)
class Wish:
    """What is set for one account."""

    override: Detour | None = None
    dedicated: str | None = None
    preferred: str | None = None


@dataclass(frozen=True, slots=True)
class Board:
    """What is known of all routes at one moment."""

    standings: Mapping[str, RouteStanding]
    #: The routes that every account shares, the first one first.
    order: Sequence[str] = DEFAULT_ORDER
    senders: Mapping[str, Detour] = field(default_factory=dict)

    @classmethod
    def untold(cls, order: Sequence[str] = DEFAULT_ORDER, *dedicated: str) -> Self:
        """Return a board on which nothing is known of any route."""
        return cls({name: RouteStanding() for name in (*order, *dedicated)}, order)

    def with_probe(self, route: str, network: str, until: datetime) -> "Board":
        """Return the board with a probe under way."""
        standing = self.standings[route]
        circuit = standing.circuits.get(network)
        if circuit is None:
            return self
        circuits = {**standing.circuits, network: replace(circuit, probe_until=until)}
        standings = {**self.standings, route: replace(standing, circuits=circuits)}
        return replace(self, standings=standings)


@dataclass(frozen=True, slots=True)
class Routes:
    """The board, and what is set for the account of a message."""

    board: Board = field(default_factory=Board.untold)
    wish: Wish = Wish()


@dataclass(frozen=True, slots=True)
class Traits:
    """What of a message decides its route."""

    sender: str
    lane: str
    network: str | None
    #: Routes that refused it, or may have it already.
    tried: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """A route for one message, and why."""

    route: str
    reason: Reason
    #: The network whose circuit the message probes; None when it is no probe.
    probes: str | None = None


def choose_route(
    routes: Routes, traits: Traits, now: datetime, *, may_probe: bool = True
) -> Choice | None:
    """Return the next route to try; None when each has been tried or is switched off."""
    candidates = _candidates(routes, traits, now)
    if not candidates:
        return None
    said = _said_by_operators(routes, traits, now)
    for reason, route in said:
        if route in candidates:
            return Choice(route, reason)
    board = routes.board
    if may_probe:
        for route in candidates:
            probe = _due_probe(board.standings[route], traits, now)
            if probe is not None:
                return Choice(route, Reason.PROBE, probe)
    healthy = [route for route in candidates if _is_in_use(board.standings[route], traits, now)]
    if healthy:
        return Choice(healthy[0], _reason(routes, traits, healthy[0], candidates[0]))
    return Choice(_least_bad(board, candidates, traits), Reason.LEAST_BAD)


def describe_health(
    routes: Routes, traits: Traits, now: datetime
) -> dict[str, dict[str, int | str]]:
    """Return the figures of the routes that a message could take, for its history."""
    return {
        route: {
            "state": str(state_of(standing, traits.network, now)),
            "attempts": standing.figures.attempts,
            "errors": standing.figures.errors,
        }
        for route, standing in routes.board.standings.items()
        if route in routes.board.order or route == routes.wish.dedicated
    }


def state_of(standing: RouteStanding, network: str | None, now: datetime) -> CircuitState:
    """Return whether a route carries messages to a network."""
    found = standing.open_circuit(network)
    if found is None:
        return CircuitState.CLOSED
    return CircuitState.PROBING if now >= found[1].probe_at else CircuitState.OPEN


def _ranking(routes: Routes) -> Iterator[str]:
    """The account's own route, the one it prefers, then the platform's order."""
    order = routes.board.order
    if routes.wish.dedicated is not None:
        yield routes.wish.dedicated
    if routes.wish.preferred is not None and routes.wish.preferred in order:
        yield routes.wish.preferred
    yield from order


def _candidates(routes: Routes, traits: Traits, now: datetime) -> list[str]:
    """Return the routes that may carry a message at all, the best rank first."""
    said = [route for _, route in _said_by_operators(routes, traits, now)]
    standings = routes.board.standings
    ranked = dict.fromkeys([*_ranking(routes), *said])
    return [
        route
        for route in ranked
        if route in standings
        and route not in traits.tried
        and standings[route].mode_at(now) is not RouteMode.DISABLE
    ]


def _said_by_operators(
    routes: Routes, traits: Traits, now: datetime
) -> Sequence[tuple[Reason, str]]:
    detours = (
        (Reason.OVERRIDE_SENDER, routes.board.senders.get(traits.sender)),
        (Reason.OVERRIDE_ACCOUNT, routes.wish.override),
    )
    said = [(reason, detour.route_at(now)) for reason, detour in detours if detour is not None]
    said += [
        (Reason.OVERRIDE_ROUTE, route)
        for route in routes.board.order
        if route in routes.board.standings
        and routes.board.standings[route].mode_at(now) is RouteMode.PREFER
    ]
    # A route of another account is not lent, whatever was said.
    open_to_it = {*routes.board.order, routes.wish.dedicated}
    return [(reason, route) for reason, route in said if route is not None and route in open_to_it]


def _is_in_use(standing: RouteStanding, traits: Traits, now: datetime) -> bool:
    is_closed = standing.open_circuit(traits.network) is None
    return is_closed or standing.mode_at(now) is RouteMode.ENABLE


def _due_probe(standing: RouteStanding, traits: Traits, now: datetime) -> str | None:
    found = standing.open_circuit(traits.network)
    if found is None or standing.mode_at(now) is RouteMode.ENABLE:
        return None
    network, circuit = found
    return network if circuit.is_due(now, traits.lane) else None


def _reason(routes: Routes, traits: Traits, route: str, first: str) -> Reason:
    if route != first:
        return Reason.FAILED_OVER
    if route == routes.wish.dedicated:
        return Reason.DEDICATED
    if traits.tried:
        return Reason.NEXT_ROUTE
    return Reason.PREFERRED if route == routes.wish.preferred else Reason.DEFAULT


def _least_bad(board: Board, candidates: Sequence[str], traits: Traits) -> str:
    def badness(route: str) -> int:
        standing = board.standings[route]
        if standing.figures.attempts:
            return standing.figures.error_permille
        found = standing.open_circuit(traits.network)
        assert found is not None, "a route in use is not among the least bad"
        return found[1].error_permille

    return min(candidates, key=badness)
