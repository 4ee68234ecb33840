"""An adjustment of a balance: proposed by one person, approved by another, then applied."""

from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from semalink.domain.cause import Cause
from semalink.domain.errors import AdjustmentDecided, SamePerson


class Category(StrEnum):
    """What an adjustment is for; it decides where the journal books it."""

    CORRECTION = "correction"
    GOODWILL = "goodwill"
    WRITE_OFF = "write_off"
    OPENING_BALANCE = "opening_balance"


class AdjustmentState(StrEnum):
    """Where an adjustment stands."""

    PROPOSED = "proposed"
    APPLIED = "applied"
    REJECTED = "rejected"


class Adjustment(Aggregate):
    """Money that moves without a payment or a message, so that two people answer for it."""

    TOPIC = "adjustment"

    account_id: UUID
    #: Signed micros.
    amount_micros: int
    category: Category
    reason: str
    proposed_by: str
    state: AdjustmentState
    approved_by: str | None = None

    def __init__(self) -> None:
        """Start empty: the first event stands the adjustment up."""

    class Event(Aggregate.Event):
        """A step of an adjustment: who, in which request."""

        actor: str
        request_id: str

    class Created(Event, Aggregate.Created):
        """Someone asked for it."""

        TOPIC = "adjustment.proposed.1"
        account_id: UUID
        amount_micros: int
        category: str
        reason: str

        def apply(self, adjustment: "Adjustment") -> None:
            """Stand the adjustment up."""
            adjustment.account_id = self.account_id
            adjustment.amount_micros = self.amount_micros
            adjustment.category = Category(self.category)
            adjustment.reason = self.reason
            adjustment.proposed_by = self.actor
            adjustment.state = AdjustmentState.PROPOSED

    class Approved(Event):
        """A second person agreed."""

        TOPIC = "adjustment.approved.1"

        def apply(self, adjustment: "Adjustment") -> None:
            """Remember who agreed."""
            adjustment.approved_by = self.actor

    class Applied(Event):
        """The balance was changed, by the entry of this version."""

        TOPIC = "adjustment.applied.1"
        entry_version: int

        def apply(self, adjustment: "Adjustment") -> None:
            """Close it."""
            adjustment.state = AdjustmentState.APPLIED

    class Rejected(Event):
        """It will not be done."""

        TOPIC = "adjustment.rejected.1"
        reason: str

        def apply(self, adjustment: "Adjustment") -> None:
            """Close it."""
            adjustment.state = AdjustmentState.REJECTED

    @classmethod
    def propose(
        cls,
        adjustment_id: UUID,
        account_id: UUID,
        amount_micros: int,
        cause: Cause,
        *,
        category: Category,
        reason: str,
    ) -> Self:
        """Ask for an adjustment; nothing moves before another person approves it."""
        assert amount_micros != 0, "the edge refuses an adjustment of nothing"
        return cls._create(
            cls.Created,
            id=adjustment_id,
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            account_id=account_id,
            amount_micros=amount_micros,
            category=str(category),
            reason=reason,
        )

    def was_approved_by(self, approver: str) -> bool:
        """Tell whether this person approved it before."""
        return self.state is AdjustmentState.APPLIED and self.approved_by == approver

    def check_approval(self, approver: str) -> None:
        """Refuse an approval by whoever proposed it, or of what was decided before."""
        if self.state is not AdjustmentState.PROPOSED:
            raise AdjustmentDecided
        if approver == self.proposed_by:
            raise SamePerson

    def apply_with(self, entry_version: int, cause: Cause) -> None:
        """Record the approval and the entry that carried it out; check before."""
        self._add(self.Approved, cause)
        self._add(self.Applied, cause, entry_version=entry_version)

    def reject(self, reason: str, cause: Cause) -> None:
        """Close it without effect; whoever proposed it may withdraw it so."""
        if self.state is not AdjustmentState.PROPOSED:
            raise AdjustmentDecided
        self._add(self.Rejected, cause, reason=reason)

    def _add(self, step: type[Event], cause: Cause, **facts: Any) -> None:
        self.trigger_event(
            step, timestamp=cause.at, actor=cause.actor, request_id=cause.request_id, **facts
        )
