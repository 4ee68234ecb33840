"""A route to an aggregator: what took it out of use, what brought it back, who overrode it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID, uuid5

from eventsourcing.domain import Aggregate

from semalink.domain.cause import Cause
from semalink.domain.route_health import (
    PROBE_LEASE,
    PROBES_TO_RECOVER,
    WINDOW_SECONDS,
    Diagnosis,
    TripCause,
    pause_before_probe,
    relapse_within,
)
from semalink.domain.routing import RouteMode

#: The id of a route is made from its name.
_ROUTES = UUID("0b0f3a52-5c0e-5d52-8f0e-7a1a8c1f5d10")


@dataclass(slots=True)
class Breaker:
    """The whole route or one network of it: in use, or out of use and since when."""

    is_open: bool = False
    #: Why it was last taken out of use.
    cause: str = ""
    trips_in_a_row: int = 0
    recovered_at: datetime | None = None
    probe_at: datetime | None = None
    #: The message that tries the route now, and until when its answer is waited for.
    probe_id: UUID | None = None
    probe_until: datetime | None = None
    passed: int = 0


class Route(Aggregate):
    """One named way to an aggregator, with credentials of its own."""

    TOPIC = "route"

    name: str
    breakers: dict[str, Breaker]
    mode: RouteMode = RouteMode.AUTO
    reason: str = ""
    expires_at: datetime | None = None

    def __init__(self) -> None:
        """Start empty: the first event stands the route up."""

    class Event(Aggregate.Event):
        """A change of the route: who made it, in which unit of work."""

        actor: str
        request_id: str
        #: Its name, so that each event tells by itself what it is about.
        route: str

    class Created(Event, Aggregate.Created):
        """The route was first heard of."""

        TOPIC = "route.created.1"

        def apply(self, route: "Route") -> None:
            """Stand the route up, in use."""
            route.name = self.route
            route.breakers = {}

    class Tripped(Event):
        """Too much failed: the route, or one network of it, is out of use."""

        TOPIC = "route.tripped.1"
        #: "" for the whole route.
        network: str
        cause: str
        attempts: int
        errors: int
        failures_in_a_row: int
        window_seconds: int
        trips_in_a_row: int
        #: From then on it is tried again.
        probe_at: datetime

        def apply(self, route: "Route") -> None:
            """Take it out of use."""
            breaker = route.breakers.setdefault(self.network, Breaker())
            breaker.is_open, breaker.cause = True, self.cause
            breaker.trips_in_a_row = self.trips_in_a_row
            breaker.probe_at = self.probe_at
            breaker.probe_id, breaker.probe_until, breaker.passed = None, None, 0

    class ProbeStarted(Event):
        """One message tries the route."""

        TOPIC = "route.probe_started.1"
        network: str
        message_id: UUID
        until: datetime

        def apply(self, route: "Route") -> None:
            """Wait for its answer."""
            breaker = route.breakers[self.network]
            breaker.probe_id, breaker.probe_until = self.message_id, self.until

    class ProbePassed(Event):
        """The route answered a probe."""

        TOPIC = "route.probe_passed.1"
        network: str
        message_id: UUID
        result: str

        def apply(self, route: "Route") -> None:
            """Count it."""
            breaker = route.breakers[self.network]
            breaker.probe_id, breaker.probe_until = None, None
            breaker.passed += 1

    class ProbeFailed(Event):
        """The route failed a probe, and rests for longer."""

        TOPIC = "route.probe_failed.1"
        network: str
        message_id: UUID
        result: str
        trips_in_a_row: int
        probe_at: datetime

        def apply(self, route: "Route") -> None:
            """Rest again."""
            breaker = route.breakers[self.network]
            breaker.probe_id, breaker.probe_until, breaker.passed = None, None, 0
            breaker.trips_in_a_row = self.trips_in_a_row
            breaker.probe_at = self.probe_at

    class Recovered(Event):
        """Enough probes passed: the route is in use again."""

        TOPIC = "route.recovered.1"
        network: str
        probes: int

        def apply(self, route: "Route") -> None:
            """Bring it back."""
            breaker = route.breakers[self.network]
            breaker.is_open = False
            breaker.recovered_at = self.timestamp

    class Overridden(Event):
        """An operator said what becomes of the route, whatever its health."""

        TOPIC = "route.overridden.1"
        mode: str
        reason: str
        expires_at: datetime | None

        def apply(self, route: "Route") -> None:
            """Obey from now on."""
            route.mode = RouteMode(self.mode)
            route.reason, route.expires_at = self.reason, self.expires_at

    class OverrideCleared(Event):
        """Health decides again."""

        TOPIC = "route.override_cleared.1"
        reason: str

        def apply(self, route: "Route") -> None:
            """Forget what was said."""
            route.mode, route.reason, route.expires_at = RouteMode.AUTO, "", None

    @classmethod
    def name_one(cls, name: str, cause: Cause) -> Self:
        """Stand a route up, in use."""
        return cls._create(
            cls.Created,
            id=route_id(name),
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            route=name,
        )

    def is_open(self, network: str) -> bool:
        """Whether the network is out of use by a trip of its own."""
        breaker = self.breakers.get(network)
        return breaker is not None and breaker.is_open

    def trip(self, diagnosis: Diagnosis, cause: Cause) -> bool:
        """Take the route or a network out of use; False when it is already."""
        breaker = self.breakers.get(diagnosis.network, Breaker())
        if breaker.is_open:
            return False
        within = relapse_within(diagnosis.cause)
        is_relapse = breaker.recovered_at is not None and cause.at < breaker.recovered_at + within
        trips_in_a_row = breaker.trips_in_a_row + 1 if is_relapse else 1
        figures = diagnosis.figures
        self._add(
            self.Tripped,
            cause,
            network=diagnosis.network,
            cause=str(diagnosis.cause),
            attempts=figures.attempts,
            errors=figures.errors,
            failures_in_a_row=figures.failures_in_a_row,
            window_seconds=WINDOW_SECONDS,
            trips_in_a_row=trips_in_a_row,
            probe_at=cause.at + pause_before_probe(trips_in_a_row, diagnosis.cause),
        )
        return True

    def start_probe(self, network: str, message_id: UUID, cause: Cause) -> bool:
        """Let one message try the route; False while it rests or another message does."""
        breaker = self.breakers.get(network)
        if breaker is None or not breaker.is_open or breaker.probe_at is None:
            return False
        is_taken = breaker.probe_until is not None and cause.at < breaker.probe_until
        if is_taken or cause.at < breaker.probe_at:
            return False
        until = cause.at + PROBE_LEASE
        self._add(self.ProbeStarted, cause, network=network, message_id=message_id, until=until)
        return True

    def end_probe(
        self, network: str, message_id: UUID, cause: Cause, *, result: str, passed: bool
    ) -> None:
        """Take note of the answer to the probe under way; of any other nothing is noted."""
        breaker = self.breakers.get(network)
        if breaker is None or not breaker.is_open or breaker.probe_id != message_id:
            return
        facts = {"network": network, "message_id": message_id, "result": result}
        if passed:
            self._add(self.ProbePassed, cause, **facts)
            if breaker.passed < PROBES_TO_RECOVER:
                return
            if breaker.cause != TripCause.STALL:
                self._add(self.Recovered, cause, network=network, probes=breaker.passed)
                return
            # A route that stalls takes everything: only a report tells, and is waited for.
            facts["result"] = "not_reported"
        trips_in_a_row = breaker.trips_in_a_row + 1
        probe_at = cause.at + pause_before_probe(trips_in_a_row, breaker.cause)
        self._add(
            self.ProbeFailed, cause, **facts, trips_in_a_row=trips_in_a_row, probe_at=probe_at
        )

    def hear_of_probe(self, network: str, cause: Cause) -> bool:
        """Bring back what stalled, because a probe was reported on; False when it did not."""
        breaker = self.breakers.get(network)
        if breaker is None or not breaker.is_open or breaker.cause != TripCause.STALL:
            return False
        self._add(self.Recovered, cause, network=network, probes=1)
        return True

    def override(
        self, mode: RouteMode, reason: str, expires_at: datetime | None, cause: Cause
    ) -> None:
        """Say what becomes of the route; saying it twice changes nothing."""
        if mode is RouteMode.AUTO:
            if self.mode is not RouteMode.AUTO:
                self._add(self.OverrideCleared, cause, reason=reason)
        elif (mode, reason, expires_at) != (self.mode, self.reason, self.expires_at):
            self._add(self.Overridden, cause, mode=str(mode), reason=reason, expires_at=expires_at)

    def _add(self, change: type[Event], because: Cause, /, **facts: Any) -> None:
        # The cause of a trip is a fact of its own, so that this one goes by its place.
        self.trigger_event(
            change,
            timestamp=because.at,
            actor=because.actor,
            request_id=because.request_id,
            route=self.name,
            **facts,
        )


def route_id(name: str) -> UUID:
    """Return the id of a route's stream."""
    return uuid5(_ROUTES, name)
