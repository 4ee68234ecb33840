"""Commands on routes: out of use, tried, back in use, overridden."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from semalink.application.account_commands import OfAccount
from semalink.application.ledger import Books, Needs, PlainCommand
from semalink.domain.cause import Cause
from semalink.domain.route import Route, route_id
from semalink.domain.route_health import Diagnosis
from semalink.domain.routing import RouteMode
from semalink.domain.sender_route import SenderRoute, sender_route_id


@dataclass(frozen=True, slots=True)
class TripRoute(PlainCommand):
    """Take a route, or one network of it, out of use."""

    route: str
    diagnosis: Diagnosis
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The route."""
        needs.settings.add(route_id(self.route))

    def decide(self, books: Books) -> bool:
        """Trip it and return True; False for the second of two workers that saw the same."""
        return _find_or_name(books, self.route, self.cause).trip(self.diagnosis, self.cause)


@dataclass(frozen=True, slots=True)
class EndProbe(PlainCommand):
    """Take note of how a route answered the message that tried it."""

    route: str
    network: str
    message_id: UUID
    result: str
    passed: bool
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The route."""
        needs.settings.add(route_id(self.route))

    def decide(self, books: Books) -> None:
        """Count it, bring the route back, or let it rest for longer."""
        route = _find_or_name(books, self.route, self.cause)
        route.end_probe(
            self.network, self.message_id, self.cause, result=self.result, passed=self.passed
        )


@dataclass(frozen=True, slots=True)
class HearOfProbe(PlainCommand):
    """Take note that a route that stalled reported on a message that tried it."""

    route: str
    network: str
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The route."""
        needs.settings.add(route_id(self.route))

    def decide(self, books: Books) -> bool:
        """Bring it back and return True; False for the second of two who saw the same."""
        route = _find_or_name(books, self.route, self.cause)
        return route.hear_of_probe(self.network, self.cause)


@dataclass(frozen=True, slots=True)
class OverrideRoute(PlainCommand):
    """Say what becomes of a route, whatever its health."""

    route: str
    mode: RouteMode
    reason: str
    expires_at: datetime | None
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The route."""
        needs.settings.add(route_id(self.route))

    def decide(self, books: Books) -> None:
        """Obey; AUTO leaves it to health again."""
        route = _find_or_name(books, self.route, self.cause)
        route.override(self.mode, self.reason, self.expires_at, self.cause)


@dataclass(frozen=True, slots=True)
class OverrideSenderRoute(PlainCommand):
    """Choose the route of a sender id's messages; None leaves it to health again."""

    sender: str
    route: str | None
    reason: str
    expires_at: datetime | None
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The sender id's choice."""
        needs.settings.add(sender_route_id(self.sender))

    def decide(self, books: Books) -> None:
        """Choose it."""
        chosen = books.find(SenderRoute, sender_route_id(self.sender))
        if chosen is None:
            if self.route is None:
                return
            chosen = SenderRoute.name_one(self.sender, self.cause)
            books.add(chosen)
        chosen.override(self.route, self.reason, self.expires_at, self.cause)


@dataclass(frozen=True, slots=True)
class OverrideAccountRoute(OfAccount):
    """Choose the route of an account's messages; None leaves it to health again."""

    account_id: UUID
    route: str | None
    reason: str
    expires_at: datetime | None
    cause: Cause

    def decide(self, books: Books) -> None:
        """Choose it."""
        books.account(self.account_id).override_route(
            self.route, self.reason, self.expires_at, self.cause
        )


@dataclass(frozen=True, slots=True)
class DedicateRoute(OfAccount):
    """Give an enterprise account a route of its own, or take it back."""

    account_id: UUID
    route: str | None
    reason: str
    cause: Cause

    def decide(self, books: Books) -> None:
        """Give it."""
        books.account(self.account_id).dedicate_route(self.route, self.reason, self.cause)


def _find_or_name(books: Books, name: str, cause: Cause) -> Route:
    route = books.find(Route, route_id(name))
    if route is None:
        route = Route.name_one(name, cause)
        books.add(route)
    return route
