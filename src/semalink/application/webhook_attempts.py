"""What workers and the dispatcher record of webhooks: attempts, and what comes of them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from semalink.application.ledger import Books, Needs, PlainCommand
from semalink.domain.cause import Cause
from semalink.domain.retry_schedule import next_webhook_wait
from semalink.domain.webhook_delivery import Attempt, DeliveryState, GivenUp, WebhookDelivery
from semalink.domain.webhook_endpoint import DisabledReason, WebhookEndpoint

_TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class Followed:
    """What an attempt led to."""

    state: DeliveryState
    next_attempt_at: datetime | None
    #: False for an attempt that was recorded before, or that nobody waited for.
    is_news: bool


@dataclass(frozen=True, slots=True)
class RecordAttempt(PlainCommand):
    """One attempt was made: record it, and what follows. Recording it again changes nothing."""

    delivery_id: UUID
    endpoint_id: UUID
    attempt: Attempt
    #: Drawn from 0 to 1.
    jitter: float
    cause: Cause
    #: What the endpoint asked for.
    retry_after_seconds: int | None = None
    aborts: bool = False
    disables: DisabledReason | None = None

    def needs(self, needs: Needs) -> None:
        """The delivery; the endpoint only where it changes."""
        needs.deliveries.add(self.delivery_id)
        if self.disables is not None:
            needs.settings.add(self.endpoint_id)

    def decide(self, books: Books) -> Followed:
        """Record the attempt with the time of the next one, or with the end."""
        delivery = books.delivery(self.delivery_id)
        next_attempt_at, given_up = self._what_follows(delivery)
        is_news = delivery.record(
            self.attempt, self.cause, next_attempt_at=next_attempt_at, given_up=given_up
        )
        if is_news and self.disables is not None:
            endpoint = books.find(WebhookEndpoint, self.endpoint_id)
            if endpoint is not None:
                endpoint.disable(self.disables, self.cause)
        return Followed(delivery.state, delivery.next_attempt_at, is_news)

    def _what_follows(self, delivery: WebhookDelivery) -> tuple[datetime | None, GivenUp | None]:
        attempt = self.attempt
        if attempt.is_delivered:
            return None, None
        if self.disables is DisabledReason.GONE:
            return None, GivenUp.ENDPOINT_GONE
        if self.aborts:
            return None, GivenUp.ABORTED
        wait = next_webhook_wait(
            delivery.waits,
            jitter=self.jitter,
            retry_after_seconds=self.retry_after_seconds,
            status=attempt.status,
            timed_out=attempt.error_class == _TIMEOUT,
        )
        return (None, GivenUp.EXHAUSTED) if wait is None else (self.cause.at + wait, None)


@dataclass(frozen=True, slots=True)
class GiveUpDelivery(PlainCommand):
    """Make no further attempt, because there is nothing left to send or nobody to send it to."""

    delivery_id: UUID
    reason: GivenUp
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The delivery."""
        needs.deliveries.add(self.delivery_id)

    def decide(self, books: Books) -> None:
        """End it, unless it ended before."""
        books.delivery(self.delivery_id).give_up(self.reason, self.cause)


@dataclass(frozen=True, slots=True)
class WarnOfDisabling(PlainCommand):
    """Note how near an endpoint is to being disabled; 0 takes it back."""

    endpoint_id: UUID
    percent: int
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The endpoint."""
        needs.settings.add(self.endpoint_id)

    def decide(self, books: Books) -> None:
        """Tell its owner, unless it was told before."""
        endpoint = books.find(WebhookEndpoint, self.endpoint_id)
        if endpoint is not None:
            endpoint.warn(self.percent, self.cause)


@dataclass(frozen=True, slots=True)
class DisableFailing(PlainCommand):
    """Send nothing more to an endpoint that has failed for days."""

    endpoint_id: UUID
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The endpoint."""
        needs.settings.add(self.endpoint_id)

    def decide(self, books: Books) -> None:
        """Disable it; what waits for it is held until its owner resumes it."""
        endpoint = books.find(WebhookEndpoint, self.endpoint_id)
        if endpoint is not None:
            endpoint.disable(DisabledReason.FAILING, self.cause)
