"""Which route a message takes next, as its own history and the board of routes have it."""

from dataclasses import dataclass
from datetime import datetime

from semalink.application.ledger import Books
from semalink.domain.cause import Cause
from semalink.domain.draft import Mode
from semalink.domain.message import Message
from semalink.domain.route import Route, route_id
from semalink.domain.routing import (
    TEST_ROUTE,
    Choice,
    Reason,
    Routes,
    Traits,
    choose_route,
    describe_health,
)


@dataclass(frozen=True, slots=True)
class MayProbe:
    """The message would try a route that rested, which has to be in the books for that."""

    route: str
    probes: str


def choose_for(
    message: Message, routes: Routes, books: Books, cause: Cause, probing: str | None
) -> Choice | MayProbe | None:
    """Return the route of a message, with the probe begun when it is one; None when none is left.

    ``probing`` names the route in the books.
    """
    if message.asked.mode == Mode.TEST:
        return None if message.outcome_unknown else Choice(TEST_ROUTE, Reason.TEST)
    traits = _traits(message)
    choice = choose_route(routes, traits, cause.at)
    if choice is None or choice.probes is None:
        return choice
    if probing is None:
        return MayProbe(choice.route, choice.probes)
    route = books.find(Route, route_id(choice.route)) if choice.route == probing else None
    if route is not None and route.start_probe(choice.probes, message.id, cause):
        return choice
    # Another message is at it.
    return choose_route(routes, traits, cause.at, may_probe=False)


def has_other_routes(message: Message, routes: Routes, now: datetime) -> bool:
    """Whether a message in submission could take another route at once."""
    if message.asked.mode == Mode.TEST:
        return False
    choice = choose_route(routes, _traits(message), now)
    # One that is out of use would only burn the message.
    return choice is not None and choice.reason is not Reason.LEAST_BAD


def rests_until(message: Message, routes: Routes, now: datetime) -> datetime | None:
    """Return when a route that has not refused a message may be tried; None when there is none."""
    if message.asked.mode == Mode.TEST:
        return None
    choice = choose_route(routes, _traits(message), now, may_probe=False)
    if choice is None or choice.reason is not Reason.LEAST_BAD:
        return None
    found = routes.board.standings[choice.route].open_circuit(message.network)
    assert found is not None, "the least bad route is out of use"
    return found[1].rests_until


def is_switched_off(message: Message, routes: Routes) -> bool:
    """Whether nothing but an operator's word keeps a message from a route."""
    if message.asked.mode == Mode.TEST or message.outcome_unknown:
        return False
    return any(route not in message.refused_by for route in routes.board.order)


def health_for(
    message: Message, routes: Routes, now: datetime
) -> dict[str, dict[str, int | str]] | None:
    """Return the figures of the routes that a message could take; None for a test."""
    if message.asked.mode == Mode.TEST:
        return None
    return describe_health(routes, _traits(message), now)


def _traits(message: Message) -> Traits:
    tried = message.refused_by
    if (message.outcome_unknown or message.in_submission) and message.aggregator:
        tried = (*tried, message.aggregator)
    return Traits(message.asked.sender, message.asked.lane, message.network, tried)
