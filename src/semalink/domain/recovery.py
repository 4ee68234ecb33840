"""A recovery: what a customer's endpoint missed is sent to it again, at a rate."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from semalink.domain.cause import Cause
from semalink.domain.errors import RecoveryEnded


class RecoveryMode(StrEnum):
    """Which events of its time a recovery sends."""

    #: Those whose delivery failed, was cancelled or waits for another attempt after a failure.
    FAILED = "failed"
    #: Those that have no delivery to this endpoint at all.
    MISSING = "missing"


class RecoveryState(StrEnum):
    """Where a recovery stands."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    COMPLETED = "completed"


_ENDED = frozenset({RecoveryState.CANCELLED, RecoveryState.COMPLETED})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a recovery is to send."""

    endpoint_id: UUID
    mode: RecoveryMode
    #: Events that happened at this time or later.
    since: datetime
    #: Events that happened before this time.
    until: datetime
    #: Names of events or patterns such as "message.*".
    event_types: tuple[str, ...]
    rate_per_second: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How far a recovery is, in events."""

    #: Found at its start.
    matched: int = 0
    #: Sent again so far, whatever came of it.
    sent: int = 0
    delivered: int = 0
    failed: int = 0
    #: Found, and not sent because a delivery was under way or done by then.
    skipped: int = 0

    @property
    def is_done(self) -> bool:
        """Whether every event that was found came to an end."""
        return self.matched == self.delivered + self.failed + self.skipped


class Recovery(Aggregate):
    """One request to send again, from its start to its end; its work is in tables beside it."""

    TOPIC = "recovery"

    account_id: UUID
    wanted: Wanted
    state: RecoveryState

    def __init__(self) -> None:
        """Start empty: the first event stands the recovery up."""

    class Event(Aggregate.Event):
        """A step of a recovery: who, in which request."""

        actor: str
        request_id: str

    class Created(Event, Aggregate.Created):
        """Someone asked for it."""

        TOPIC = "recovery.created.1"
        account_id: UUID
        endpoint_id: UUID
        mode: str
        since: datetime
        until: datetime
        event_types: list[str]
        rate_per_second: int

        def apply(self, recovery: "Recovery") -> None:
            """Stand the recovery up."""
            recovery.account_id = self.account_id
            recovery.wanted = Wanted(
                self.endpoint_id,
                RecoveryMode(self.mode),
                self.since,
                self.until,
                tuple(self.event_types),
                self.rate_per_second,
            )
            recovery.state = RecoveryState.RUNNING

    class Paused(Event):
        """Nothing more is sent for now."""

        TOPIC = "recovery.paused.1"

        def apply(self, recovery: "Recovery") -> None:
            """Stand still."""
            recovery.state = RecoveryState.PAUSED

    class Resumed(Event):
        """It goes on where it stood."""

        TOPIC = "recovery.resumed.1"

        def apply(self, recovery: "Recovery") -> None:
            """Go on."""
            recovery.state = RecoveryState.RUNNING

    class Cancelled(Event):
        """Nothing more is sent; what was sent goes its way."""

        TOPIC = "recovery.cancelled.1"

        def apply(self, recovery: "Recovery") -> None:
            """Close it."""
            recovery.state = RecoveryState.CANCELLED

    class Completed(Event):
        """Everything that it found was sent and came to an end."""

        TOPIC = "recovery.completed.1"
        matched_count: int
        delivered_count: int
        failed_count: int
        skipped_count: int

        def apply(self, recovery: "Recovery") -> None:
            """Close it."""
            recovery.state = RecoveryState.COMPLETED

    @classmethod
    def start(cls, recovery_id: UUID, account_id: UUID, wanted: Wanted, cause: Cause) -> Self:
        """Ask for a recovery; a runner finds the events and sends them."""
        assert wanted.since < wanted.until, "the edge refuses a time that is none"
        return cls._create(
            cls.Created,
            id=recovery_id,
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            account_id=account_id,
            endpoint_id=wanted.endpoint_id,
            mode=str(wanted.mode),
            since=wanted.since,
            until=wanted.until,
            event_types=list(wanted.event_types),
            rate_per_second=wanted.rate_per_second,
        )

    @property
    def has_ended(self) -> bool:
        """Whether it was cancelled or completed."""
        return self.state in _ENDED

    def pause(self, cause: Cause) -> None:
        """Stand still; twice is once."""
        self._move(self.Paused, RecoveryState.PAUSED, cause)

    def resume(self, cause: Cause) -> None:
        """Go on; twice is once."""
        self._move(self.Resumed, RecoveryState.RUNNING, cause)

    def cancel(self, cause: Cause) -> None:
        """Send nothing more; twice is once."""
        self._move(self.Cancelled, RecoveryState.CANCELLED, cause)

    def complete(self, counts: Counts, cause: Cause) -> None:
        """Close it, with what came of it; check before that it has not ended."""
        assert not self.has_ended, "a recovery ends once"
        self._add(
            self.Completed,
            cause,
            matched_count=counts.matched,
            delivered_count=counts.delivered,
            failed_count=counts.failed,
            skipped_count=counts.skipped,
        )

    def _move(self, step: type[Event], to: RecoveryState, cause: Cause) -> None:
        if self.state is to:
            return
        if self.has_ended:
            raise RecoveryEnded(str(self.state))
        self._add(step, cause)

    def _add(self, step: type[Event], cause: Cause, **facts: Any) -> None:
        self.trigger_event(
            step, timestamp=cause.at, actor=cause.actor, request_id=cause.request_id, **facts
        )
