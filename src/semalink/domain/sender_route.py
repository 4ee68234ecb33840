"""The route that an operator chose for the messages of one sender id."""

from datetime import datetime
from typing import Any, Self
from uuid import UUID, uuid5

from eventsourcing.domain import Aggregate

from semalink.domain.cause import Cause

#: The id of a sender id's choice is made from the sender id.
_SENDERS = UUID("6d6b7b2e-3b9c-5c7a-9c55-2f6a0f6b7c21")


class SenderRoute(Aggregate):
    """Which route a sender id's messages take, whatever the health of routes."""

    TOPIC = "sender_route"

    sender: str
    route: str | None = None
    reason: str = ""
    expires_at: datetime | None = None

    def __init__(self) -> None:
        """Start empty: the first event stands it up."""

    class Event(Aggregate.Event):
        """A change of the choice: who made it, in which request."""

        actor: str
        request_id: str

    class Created(Event, Aggregate.Created):
        """A route was chosen for the sender id for the first time."""

        TOPIC = "sender_route.created.1"
        sender: str

        def apply(self, sender_route: "SenderRoute") -> None:
            """Stand it up without a route."""
            sender_route.sender = self.sender

    class Overridden(Event):
        """An operator chose a route; None: health decides again."""

        TOPIC = "sender_route.overridden.1"
        sender: str
        aggregator: str | None
        reason: str
        expires_at: datetime | None

        def apply(self, sender_route: "SenderRoute") -> None:
            """Take it from now on."""
            sender_route.route = self.aggregator
            sender_route.reason, sender_route.expires_at = self.reason, self.expires_at

    @classmethod
    def name_one(cls, sender: str, cause: Cause) -> Self:
        """Stand a sender id up."""
        return cls._create(
            cls.Created,
            id=sender_route_id(sender),
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            sender=sender,
        )

    def override(
        self, route: str | None, reason: str, expires_at: datetime | None, cause: Cause
    ) -> None:
        """Choose a route; choosing it twice changes nothing."""
        if route is None and self.route is None:
            return
        if (route, reason, expires_at) == (self.route, self.reason, self.expires_at):
            return
        facts: dict[str, Any] = {"aggregator": route, "reason": reason, "expires_at": expires_at}
        self.trigger_event(
            self.Overridden,
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            sender=self.sender,
            **facts,
        )


def sender_route_id(sender: str) -> UUID:
    """Return the id of the stream of a sender id's choice."""
    return uuid5(_SENDERS, sender)
