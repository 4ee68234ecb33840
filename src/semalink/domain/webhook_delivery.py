"""One event on its way to one endpoint: every attempt, until it arrived or was given up."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from semalink.domain.cause import Cause
from semalink.domain.errors import WebhookDeliveryNotFound
from semalink.domain.retry_schedule import WaitsBefore

_UUID7 = 0x7
_VARIANT = 0b10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Trigger(StrEnum):
    """What made an attempt."""

    AUTO = "auto"
    MANUAL = "manual"
    RECOVERY = "recovery"
    TEST = "test"


class GivenUp(StrEnum):
    """Why no further attempt is made."""

    #: Every attempt of the schedule failed.
    EXHAUSTED = "exhausted"
    #: The endpoint asked for it in a header.
    ABORTED = "aborted"
    ENDPOINT_GONE = "endpoint_gone"
    ENDPOINT_REMOVED = "endpoint_removed"
    #: It waited, at an endpoint that was paused, until the payload was kept no longer.
    PAYLOAD_EXPIRED = "payload_expired"


@dataclass(frozen=True, slots=True)
class Subject:
    """What is delivered, and where to."""

    endpoint_id: UUID
    account_id: UUID
    #: As the customer sees it: "evt_…".
    event_id: str
    event_name: str
    #: Of the event in the account's feed; None for one that is in no feed.
    event_sequence: int | None
    message_id: UUID | None = None
    #: The whole payload, of an event that is in no feed.
    payload: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt came to."""

    #: Numbered from 1 over all rounds.
    attempt_no: int
    #: "delivered" or "failed".
    outcome: str
    url: str
    #: Of the HTTP answer; None without one.
    status: int | None
    #: dns, connect, tls, timeout, read, blocked_ip, redirect, status, …; None when delivered.
    error_class: str | None
    duration_ms: int
    #: Ids of the secrets that signed it.
    secret_ids: list[UUID] = field(default_factory=list)
    #: Those that are worth keeping.
    response_headers: dict[str, str] = field(default_factory=dict)
    #: The first 4 KiB.
    response_body: str = ""
    #: "text", or "base64" where it is no text.
    response_body_encoding: str = "text"
    body_sha256: str | None = None

    @property
    def is_delivered(self) -> bool:
        """Whether the endpoint took it."""
        return self.outcome == "delivered"


class WebhookDelivery(Aggregate):
    """One event for one endpoint; a round is the attempts of one schedule."""

    TOPIC = "webhook_delivery"

    subject: Subject
    state: DeliveryState
    trigger: Trigger
    #: When the next attempt is due; None when none is.
    next_attempt_at: datetime | None = None
    #: The recovery that opened this round.
    recovery_id: UUID | None = None
    #: Attempts made so far, over all rounds.
    attempt_no: int = 0
    #: Attempts of this round.
    round_attempts: int = 0
    #: When this round's first attempt was made.
    round_began_at: datetime | None = None
    #: Between the attempts of this round.
    waits: WaitsBefore = WaitsBefore()
    given_up: GivenUp | None = None
    finished_at: datetime | None = None
    #: Whether a recovery sent it in any of its rounds.
    was_recovered: bool = False
    #: Of the last attempt.
    last_status: int | None = None
    last_error: str | None = None

    def __init__(self) -> None:
        """Start empty: the first event stands the delivery up."""

    class Event(Aggregate.Event):
        """A step of a delivery: who caused it, in which request."""

        actor: str
        request_id: str

    class Created(Event, Aggregate.Created):
        """The endpoint asked for events of this kind, and one happened."""

        TOPIC = "webhook_delivery.created.1"
        endpoint_id: UUID
        account_id: UUID
        event_id: str
        event_name: str
        event_sequence: int | None
        message_id: UUID | None
        trigger: str
        payload: str | None = None
        #: That made it, of an event which was never sent to the endpoint.
        recovery_id: UUID | None = None

        def apply(self, delivery: "WebhookDelivery") -> None:
            """Stand the delivery up, due at once."""
            delivery.subject = Subject(
                self.endpoint_id,
                self.account_id,
                self.event_id,
                self.event_name,
                self.event_sequence,
                self.message_id,
                self.payload,
            )
            delivery.state = DeliveryState.WAITING
            delivery.trigger = Trigger(self.trigger)
            delivery.recovery_id = self.recovery_id
            delivery.was_recovered = self.recovery_id is not None
            delivery.next_attempt_at = self.timestamp

    class AttemptRecorded(Event):
        """An attempt was made, and this is what came of it."""

        TOPIC = "webhook_delivery.attempt_recorded.1"
        attempt_no: int
        trigger: str
        outcome: str
        url: str
        status: int | None
        error_class: str | None
        duration_ms: int
        secret_ids: list[UUID]
        response_headers: dict[str, str]
        response_body: str
        response_body_encoding: str
        body_sha256: str | None
        #: None when no further attempt of this round is made.
        next_attempt_at: datetime | None

        def apply(self, delivery: "WebhookDelivery") -> None:
            """Count it and wait for the next one."""
            delivery.attempt_no = self.attempt_no
            delivery.round_attempts += 1
            delivery.round_began_at = delivery.round_began_at or self.timestamp
            delivery.next_attempt_at = self.next_attempt_at
            if self.next_attempt_at is not None:
                delivery.waits = delivery.waits.and_another(self.next_attempt_at - self.timestamp)
            delivery.last_status, delivery.last_error = self.status, self.error_class

    class Delivered(Event):
        """The endpoint took it."""

        TOPIC = "webhook_delivery.delivered.1"

        def apply(self, delivery: "WebhookDelivery") -> None:
            """Finish well."""
            delivery._finish(DeliveryState.DELIVERED, self.timestamp)  # noqa: SLF001

    class Failed(Event):
        """No further attempt is made unless somebody asks for one."""

        TOPIC = "webhook_delivery.failed.1"
        reason: str

        def apply(self, delivery: "WebhookDelivery") -> None:
            """Give up."""
            delivery._finish(DeliveryState.FAILED, self.timestamp)  # noqa: SLF001
            delivery.given_up = GivenUp(self.reason)

    class Reopened(Event):
        """A new round of attempts begins, because somebody asked for it."""

        TOPIC = "webhook_delivery.reopened.1"
        trigger: str
        recovery_id: UUID | None
        due_at: datetime

        def apply(self, delivery: "WebhookDelivery") -> None:
            """Begin anew; the numbers of the attempts go on."""
            delivery.state = DeliveryState.WAITING
            delivery.trigger = Trigger(self.trigger)
            delivery.recovery_id = self.recovery_id
            delivery.was_recovered = delivery.was_recovered or self.recovery_id is not None
            delivery.round_attempts = 0
            delivery.round_began_at = None
            delivery.waits = WaitsBefore()
            delivery.next_attempt_at = self.due_at
            delivery.given_up = None
            delivery.finished_at = None

    class Cancelled(Event):
        """It is not wanted any more."""

        TOPIC = "webhook_delivery.cancelled.1"
        reason: str

        def apply(self, delivery: "WebhookDelivery") -> None:
            """End it."""
            delivery._finish(DeliveryState.CANCELLED, self.timestamp)  # noqa: SLF001

    @classmethod
    def create(
        cls,
        delivery_id: UUID,
        subject: Subject,
        cause: Cause,
        trigger: Trigger = Trigger.AUTO,
        *,
        recovery_id: UUID | None = None,
    ) -> Self:
        """Make a delivery whose first attempt is due at once."""
        assert (subject.event_sequence is None) == (subject.payload is not None), (
            "a payload is in the feed or in the delivery"
        )
        return cls._create(
            cls.Created,
            id=delivery_id,
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            trigger=trigger.value,
            recovery_id=recovery_id,
            **{name: getattr(subject, name) for name in Subject.__slots__},
        )

    @property
    def is_waiting(self) -> bool:
        """Whether an attempt is due now or later."""
        return self.state is DeliveryState.WAITING

    def record(
        self,
        attempt: Attempt,
        cause: Cause,
        *,
        next_attempt_at: datetime | None = None,
        given_up: GivenUp | None = None,
    ) -> bool:
        """Record the next attempt and what follows from it; False when that one is known already.

        One that failed is followed by the next one, at the time given, or given up.
        """
        if not self.is_waiting or attempt.attempt_no != self.attempt_no + 1:
            return False
        ends = attempt.is_delivered or given_up is not None
        assert ends == (next_attempt_at is None), "an attempt ends the round, or another follows"
        facts = {name: getattr(attempt, name) for name in Attempt.__slots__}
        self._add(
            self.AttemptRecorded,
            cause,
            **facts,
            trigger=self.trigger.value,
            next_attempt_at=next_attempt_at,
        )
        if attempt.is_delivered:
            self._add(self.Delivered, cause)
        elif given_up is not None:
            self._add(self.Failed, cause, reason=given_up.value)
        return True

    def give_up(self, reason: GivenUp, cause: Cause) -> None:
        """Make no further attempt; nothing changes when it is over."""
        if self.is_waiting:
            self._add(self.Failed, cause, reason=reason.value)

    def reopen(
        self,
        trigger: Trigger,
        cause: Cause,
        *,
        due_at: datetime | None = None,
        recovery_id: UUID | None = None,
    ) -> bool:
        """Begin a new round, also in place of one whose next attempt is waited for.

        False, and nothing, before the first attempt of a round, and for a repetition.
        """
        is_repeated = recovery_id is not None and recovery_id == self.recovery_id
        is_about_to = self.is_waiting and self.round_attempts == 0
        if is_about_to or is_repeated:
            return False
        self._add(
            self.Reopened,
            cause,
            trigger=trigger.value,
            recovery_id=recovery_id,
            due_at=due_at or cause.at,
        )
        return True

    def cancel(self, reason: str, cause: Cause) -> None:
        """Make no further attempt because it is not wanted; nothing changes when it is over."""
        if self.is_waiting:
            self._add(self.Cancelled, cause, reason=reason)

    def check_owner(self, account_id: UUID) -> None:
        """Refuse another account."""
        if self.subject.account_id != account_id:
            raise WebhookDeliveryNotFound

    def _add(self, step: type[Event], cause: Cause, **facts: Any) -> None:
        self.trigger_event(
            step, timestamp=cause.at, actor=cause.actor, request_id=cause.request_id, **facts
        )

    def _finish(self, state: DeliveryState, at: datetime) -> None:
        self.state = state
        self.finished_at = at
        self.next_attempt_at = None


def delivery_id_of(event_id: str, happened_at: datetime, endpoint_id: UUID) -> UUID:
    """Return the id of the delivery of an event to an endpoint: a UUIDv7, always the same one."""
    # In whole numbers: a fraction would now and then come out a millisecond short.
    happened_at_ms = (happened_at - _EPOCH) // _MILLISECOND
    assert 0 <= happened_at_ms < 1 << 48, "48 bits of a UUIDv7 are milliseconds"
    digest = sha256(endpoint_id.bytes + event_id.encode()).digest()
    random = int.from_bytes(digest[:10])
    upper, lower = (random >> 62) & 0xFFF, random & ((1 << 62) - 1)
    return UUID(int=happened_at_ms << 80 | _UUID7 << 76 | upper << 64 | _VARIANT << 62 | lower)
