"""A delivery report that matched no message, and what a person decided about it."""

from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from semalink.domain.cause import Cause


class Decision(StrEnum):
    """What becomes of a report that matched no message."""

    ATTACHED = "attached"
    DISCARDED = "discarded"


class OrphanReport(Aggregate):
    """Decided once; until then the report only lies on its shelf."""

    TOPIC = "orphan_report"

    decision: Decision

    def __init__(self) -> None:
        """Start empty: the event stands it up."""

    class Event(Aggregate.Event):
        """What a person did: who, in which request."""

        actor: str
        request_id: str

    class Created(Event, Aggregate.Created):
        """It was given to a message, or put away."""

        TOPIC = "orphan_report.settled.1"
        report_id: UUID
        #: Its place in the body that it came in.
        part: int
        aggregator: str
        decision: str
        reason: str
        #: The message that it was given to.
        message_id: UUID | None

        def apply(self, report: Any) -> None:
            """Remember what was decided."""
            report.decision = Decision(self.decision)

    @classmethod
    def settle(
        cls,
        report_id: UUID,
        part: int,
        aggregator: str,
        cause: Cause,
        *,
        reason: str,
        message_id: UUID | None,
    ) -> Self:
        """Record that it was attached to a message, or discarded without one."""
        decision = Decision.DISCARDED if message_id is None else Decision.ATTACHED
        return cls._create(
            cls.Created,
            id=orphan_id_of(report_id, part),
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            report_id=report_id,
            part=part,
            aggregator=aggregator,
            decision=decision.value,
            reason=reason,
            message_id=message_id,
        )


def orphan_id_of(report_id: UUID, part: int) -> UUID:
    """Return the id of one report of a body: that of the body, with the place in its last bits."""
    return UUID(int=report_id.int ^ part)
