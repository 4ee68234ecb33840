"""The steps of a message: what each of its events records."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from eventsourcing.domain import Aggregate

from semalink.domain.status import Status


class Step(Aggregate.Event):
    """A step in the life of a message: who caused it, in which request."""

    actor: str
    request_id: str


@dataclass(frozen=True)
class _Ending:
    """What the ends short of delivery share."""

    STATUS: ClassVar[Status]
    timestamp: datetime
    failure_code: str
    description: str
    refunded_micros: int

    def apply(self, message: Any) -> None:
        """Finish the message."""
        message.finish(self.STATUS, self.failure_code, self.timestamp)
        message.refunded_micros += self.refunded_micros


class SubmitStarted(Step):
    """A call to an aggregator is about to leave; durable before it does."""

    TOPIC = "message.submit_started.1"
    attempt: int
    aggregator: str
    possible_duplicate: bool
    #: Why this route; "" in steps of before there was a choice.
    reason: str = ""
    #: The figures of that instant, by route: state, attempts and errors of the last minute.
    health: dict[str, dict[str, int | str]] | None = None

    def apply(self, message: Any) -> None:
        """Remember the call until its answer is known."""
        message.attempt = self.attempt
        message.aggregator = self.aggregator
        message.in_submission = True
        message.possible_duplicate = message.possible_duplicate or self.possible_duplicate
        message.submit_started_at = self.timestamp
        message.submit_request_id = self.request_id


class Submitted(Step):
    """An aggregator took the message."""

    TOPIC = "message.submitted.1"
    attempt: int
    aggregator: str
    reference: str
    charged_micros: int
    network: str | None
    cost: str | None
    #: Version of the ledger entry that charged it; None when nothing was charged.
    charge_version: int | None = None
    #: What the aggregator answered, redacted; None in events of before, and when nothing came.
    answer: str | None = None

    def apply(self, message: Any) -> None:
        """Move to submitted, unless a final state is known already."""
        if message.status is Status.ACCEPTED:
            message.status = Status.SUBMITTED
        message.in_submission = False
        message.outcome_unknown = False
        message.aggregator = self.aggregator
        message.reference = self.reference
        message.charged_micros += self.charged_micros
        message.charge_version = self.charge_version or message.charge_version
        message.network = self.network or message.network
        message.submitted_at = self.timestamp


class SubmitRefused(Step):
    """An aggregator certainly did not take the message."""

    TOPIC = "message.submit_refused.1"
    attempt: int
    aggregator: str
    failure_code: str
    provider_code: str
    detail: str
    #: Whether the same route might take it later.
    retryable: bool
    #: When the message is offered again; None when another route or the end follows at once.
    retry_at: datetime | None
    answer: str | None = None

    def apply(self, message: Any) -> None:
        """Close the attempt and remember who refused."""
        message.in_submission = False
        message.retry_at = self.retry_at
        if self.retry_at is None:
            message.refused_by = (*message.refused_by, self.aggregator)
            message.worth_retrying = message.worth_retrying or self.retryable
        else:
            message.refused_by, message.worth_retrying = (), False
            message.postponed += 1


class PutOff(Step):
    """No route could be asked: those that might take it are switched off, or rest."""

    TOPIC = "message.put_off.1"
    #: "switched_off" or "routes_rest".
    reason: str
    #: When the message is offered again.
    retry_at: datetime

    def apply(self, message: Any) -> None:
        """Wait, and ask every route anew then."""
        message.retry_at = self.retry_at
        message.refused_by, message.worth_retrying = (), False
        message.postponed += 1


class OutcomeUnknown(Step):
    """The call left and no readable answer came."""

    TOPIC = "message.outcome_unknown.1"
    attempt: int
    aggregator: str
    #: Until when a report is waited for.
    deadline_at: datetime
    reason: str
    answer: str | None = None

    def apply(self, message: Any) -> None:
        """Hold the message: it may be on its way."""
        message.in_submission = False
        message.outcome_unknown = True


class ReportNoted(Step):
    """A report that settles nothing came: queued, buffered, on its way, unrecognised."""

    TOPIC = "message.report_noted.1"
    state: str
    description: str

    def apply(self, message: Any) -> None:
        """Remember it, so that a repetition adds nothing."""
        message.last_report = self.description


class Delivered(Step):
    """The handset has it."""

    TOPIC = "message.delivered.1"
    description: str
    network: str | None

    def apply(self, message: Any) -> None:
        """Finish well."""
        message.finish(Status.DELIVERED, None, self.timestamp)
        message.network = self.network or message.network


class Failed(_Ending, Step):
    """The network tried and could not deliver."""

    TOPIC = "message.failed.1"
    STATUS = Status.FAILED


class Rejected(_Ending, Step):
    """An aggregator or operator would not carry it."""

    TOPIC = "message.rejected.1"
    STATUS = Status.REJECTED


class Expired(_Ending, Step):
    """Its validity passed, in our queue or at the operator."""

    TOPIC = "message.expired.1"
    STATUS = Status.EXPIRED


class Unknown(_Ending, Step):
    """Nobody could say in time what became of it; a late report may still."""

    TOPIC = "message.unknown.1"
    STATUS = Status.UNKNOWN


class Cancelled(_Ending, Step):
    """Its campaign was cancelled before any aggregator had it."""

    TOPIC = "message.cancelled.1"
    STATUS = Status.CANCELLED
