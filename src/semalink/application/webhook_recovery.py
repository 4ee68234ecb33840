"""Sending again what an endpoint missed: one delivery, a test event, or all of a time."""

from dataclasses import dataclass, replace
from enum import Enum
from uuid import UUID

import msgspec

from semalink.application.account_commands import AboutAccount
from semalink.application.ledger import Books, Idempotency, Needs, PlainCommand
from semalink.application.webhooks import AnswersId, owned_endpoint
from semalink.domain.cause import Cause
from semalink.domain.errors import (
    RecoveryNotFound,
    TooManyRecoveries,
    WebhookDeliveryUnderWay,
    WebhookEndpointDisabled,
)
from semalink.domain.event_types import TEST_EVENT
from semalink.domain.ids import ACCOUNT_PREFIX, ENDPOINT_PREFIX, EVENT_PREFIX, format_id
from semalink.domain.recovery import Counts, Recovery, RecoveryMode, RecoveryState, Wanted
from semalink.domain.webhook_delivery import DeliveryState, Subject, Trigger, WebhookDelivery
from semalink.domain.webhook_endpoint import EndpointState, WebhookEndpoint

#: So many recoveries of an endpoint may be under way at a time.
RECOVERIES_MAX = 5


@dataclass(frozen=True, slots=True)
class ResendDelivery(AboutAccount, PlainCommand):
    """Begin a new round of attempts of one delivery, whatever came of the last one."""

    delivery_id: UUID
    #: Of the delivery; found by whoever asks, and checked.
    endpoint_id: UUID
    account_id: UUID
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The delivery and its endpoint."""
        needs.deliveries.add(self.delivery_id)
        needs.settings.add(self.endpoint_id)

    def decide(self, books: Books) -> None:
        """Open it again; raises WebhookDeliveryUnderWay while its first attempt is due anyway."""
        delivery = books.delivery(self.delivery_id)
        delivery.check_owner(self.account_id)
        working_endpoint(books, delivery.subject.endpoint_id, self.account_id)
        if not delivery.reopen(Trigger.MANUAL, self.cause):
            raise WebhookDeliveryUnderWay


@dataclass(frozen=True, slots=True)
class SendTest(AboutAccount, PlainCommand):
    """Send an event to an endpoint that means nothing, to see it arrive."""

    delivery_id: UUID
    endpoint_id: UUID
    account_id: UUID
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The endpoint, and the delivery, which is there when this is repeated."""
        needs.deliveries.add(self.delivery_id)
        needs.settings.add(self.endpoint_id)

    def decide(self, books: Books) -> None:
        """Make the delivery of an event that is in no feed."""
        endpoint = working_endpoint(books, self.endpoint_id, self.account_id)
        if books.has_delivery(self.delivery_id):
            return
        event_id = format_id(EVENT_PREFIX, self.delivery_id)
        payload = {
            "version": 1,
            "id": event_id,
            "sequence": None,
            "type": TEST_EVENT,
            "at": self.cause.at,
            "account_id": format_id(ACCOUNT_PREFIX, self.account_id),
            "data": {"webhook_endpoint_id": format_id(ENDPOINT_PREFIX, endpoint.id)},
        }
        tested = Subject(
            endpoint.id,
            self.account_id,
            event_id,
            TEST_EVENT,
            event_sequence=None,
            payload=msgspec.json.encode(payload).decode(),
        )
        books.add(WebhookDelivery.create(self.delivery_id, tested, self.cause, Trigger.TEST))


@dataclass(frozen=True, slots=True)
class StartRecovery(AboutAccount, AnswersId):
    """Ask for everything of a time that an endpoint missed to be sent again."""

    recovery_id: UUID
    account_id: UUID
    #: Without event types: those that the endpoint asks for.
    wanted: Wanted
    cause: Cause
    idempotency: Idempotency | None = None
    #: How many are under way at the endpoint, as whoever asks has counted.
    under_way_count: int = 0

    def needs(self, needs: Needs) -> None:
        """The endpoint, and the recovery, which is there when this is repeated."""
        needs.settings |= {self.recovery_id, self.wanted.endpoint_id}

    def decide(self, books: Books) -> UUID:
        """Record it; a runner does the rest. Raises TooManyRecoveries."""
        endpoint = working_endpoint(books, self.wanted.endpoint_id, self.account_id)
        if books.find(Recovery, self.recovery_id) is None:
            if self.under_way_count >= RECOVERIES_MAX:
                raise TooManyRecoveries(RECOVERIES_MAX)
            wanted = replace(self.wanted, event_types=self._event_types(endpoint))
            books.add(Recovery.start(self.recovery_id, self.account_id, wanted, self.cause))
        return self.recovery_id

    def _event_types(self, endpoint: WebhookEndpoint) -> tuple[str, ...]:
        # What failed was asked for when it was sent; what is missing is asked for now.
        is_missing = self.wanted.mode is RecoveryMode.MISSING
        return self.wanted.event_types or (endpoint.terms.event_types if is_missing else ("*",))


class Step(Enum):
    """What an owner may do to a recovery."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class MoveRecovery(AboutAccount, PlainCommand):
    """Pause, resume or cancel a recovery."""

    recovery_id: UUID
    endpoint_id: UUID
    account_id: UUID
    step: Step
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The recovery."""
        needs.settings.add(self.recovery_id)

    def decide(self, books: Books) -> None:
        """Take the step; raises RecoveryEnded."""
        recovery = books.find(Recovery, self.recovery_id)
        if (
            recovery is None
            or recovery.account_id != self.account_id
            or recovery.wanted.endpoint_id != self.endpoint_id
        ):
            raise RecoveryNotFound
        if self.step is Step.PAUSE:
            recovery.pause(self.cause)
        elif self.step is Step.RESUME:
            recovery.resume(self.cause)
        else:
            recovery.cancel(self.cause)


@dataclass(frozen=True, slots=True)
class CompleteRecovery(PlainCommand):
    """Close a recovery of which everything was sent and came to an end."""

    recovery_id: UUID
    counts: Counts
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The recovery."""
        needs.settings.add(self.recovery_id)

    def decide(self, books: Books) -> None:
        """Complete it, unless it was paused or has ended meanwhile."""
        recovery = books.find(Recovery, self.recovery_id)
        if recovery is not None and recovery.state is RecoveryState.RUNNING:
            recovery.complete(self.counts, self.cause)


@dataclass(frozen=True, slots=True)
class RecoveryItem:
    """An event that a recovery found, and has not sent yet."""

    #: Of the event to the endpoint, whether it was made before or not.
    delivery_id: UUID
    #: Place of the event in the feed of the account.
    sequence: int
    event_id: str
    event_name: str
    message_id: UUID | None


class Sent(Enum):
    """What came of an event that a recovery found."""

    #: A round of attempts began.
    AGAIN = "again"
    #: It is under way or was delivered, by somebody else or by this recovery before.
    NOT_NEEDED = "not_needed"
    #: The recovery was stopped meanwhile; the event keeps its place.
    NOT_NOW = "not_now"


@dataclass(frozen=True, slots=True)
class SendAgain(PlainCommand):
    """Send one event that a recovery found; what is counted is counted with it."""

    recovery_id: UUID
    endpoint_id: UUID
    item: RecoveryItem
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The recovery, the endpoint and the delivery."""
        needs.settings |= {self.recovery_id, self.endpoint_id}
        needs.deliveries.add(self.item.delivery_id)

    def decide(self, books: Books) -> Sent:
        """Open the delivery again, or make it; never twice in one recovery."""
        recovery = books.find(Recovery, self.recovery_id)
        if recovery is None or recovery.state is not RecoveryState.RUNNING:
            return Sent.NOT_NOW
        endpoint = books.find(WebhookEndpoint, self.endpoint_id)
        if endpoint is None or endpoint.is_removed:
            return Sent.NOT_NEEDED
        if not books.has_delivery(self.item.delivery_id):
            books.add(self._missing(recovery))
            return Sent.AGAIN
        delivery = books.delivery(self.item.delivery_id)
        reopens = delivery.state is not DeliveryState.DELIVERED and delivery.reopen(
            Trigger.RECOVERY, self.cause, recovery_id=self.recovery_id
        )
        return Sent.AGAIN if reopens else Sent.NOT_NEEDED

    def _missing(self, recovery: Recovery) -> WebhookDelivery:
        item = self.item
        subject = Subject(
            self.endpoint_id,
            recovery.account_id,
            item.event_id,
            item.event_name,
            item.sequence,
            item.message_id,
        )
        return WebhookDelivery.create(
            item.delivery_id,
            subject,
            self.cause,
            Trigger.RECOVERY,
            recovery_id=self.recovery_id,
        )


def working_endpoint(books: Books, endpoint_id: UUID, account_id: UUID) -> WebhookEndpoint:
    """Return an endpoint of the account to which things may be sent, now or when it resumes.

    Raises WebhookEndpointNotFound, or WebhookEndpointDisabled.
    """
    endpoint = owned_endpoint(books, endpoint_id, account_id)
    if endpoint.state is EndpointState.DISABLED:
        raise WebhookEndpointDisabled
    return endpoint
