"""What is read of webhooks: deliveries with their attempts, recoveries, the health of endpoints."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec

from semalink.domain.errors import WebhookDeliveryUnderWay
from semalink.domain.ids import (
    ACCOUNT_PREFIX,
    DELIVERY_PREFIX,
    ENDPOINT_PREFIX,
    MESSAGE_PREFIX,
    RECOVERY_PREFIX,
    SECRET_PREFIX,
    format_id,
)
from semalink.domain.webhook_delivery import WebhookDelivery

#: What waits for a worker, or is in the hands of one, is one thing to a customer.
_PUBLIC_STATES = {"issued": "sending"}
#: How many deliveries that wait are counted one by one.
WAITING_COUNT_MAX = 10_000


class AttemptView(msgspec.Struct, frozen=True):
    """One attempt to deliver an event, and what the endpoint answered."""

    #: From 1, over all rounds.
    attempt: int
    at: datetime
    #: "auto", "manual", "recovery" or "test".
    trigger: str
    #: "delivered" or "failed".
    outcome: str
    url: str
    #: Of the HTTP answer; null without one.
    status: int | None
    #: Why it failed: dns, connect, tls, timeout, read, blocked_ip, redirect, status, …
    error_class: str | None
    duration_ms: int
    #: The secrets that signed it, newest first.
    secret_ids: list[str]
    response_headers: dict[str, str]
    #: The first 4 KiB of the answer.
    response_body: str
    #: "text", or "base64" where it is no text.
    response_body_encoding: str
    #: Of what was read of the answer.
    response_body_sha256: str | None
    next_attempt_at: datetime | None


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """An event on its way to an endpoint, and how far it is."""

    id: str
    account_id: str
    webhook_endpoint_id: str
    event_id: str
    event_type: str
    #: Of the event in the feed of the account; null for a test event.
    event_sequence: int | None
    message_id: str | None
    #: "waiting", "sending", "delivered", "failed" or "cancelled".
    state: str
    #: Whether it waits for the endpoint to be resumed.
    is_held: bool
    trigger: str
    recovery_id: str | None
    attempts_made: int
    next_attempt_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    last_status: int | None
    last_error_class: str | None


class DeliveryDetail(DeliveryView, frozen=True, kw_only=True):
    """A delivery with the payload that is sent and every attempt, oldest first."""

    #: Why it failed: exhausted, aborted, endpoint_gone, endpoint_removed or payload_expired.
    given_up: str | None
    #: The exact bytes of the body that are signed and sent; null when they are kept no longer.
    payload: str | None
    attempts: list[AttemptView]


class RecoveryView(msgspec.Struct, frozen=True, kw_only=True):
    """A recovery and how far it is; counts are of events."""

    id: str
    account_id: str
    webhook_endpoint_id: str
    mode: str
    since: datetime
    until: datetime
    event_types: list[str]
    rate_per_second: int
    #: "running", "paused", "cancelled" or "completed".
    state: str
    #: Whether everything was looked through, so that matched_count is the whole of it.
    is_matched: bool
    matched_count: int
    sent_count: int
    delivered_count: int
    failed_count: int
    #: Found, but delivered or under way already when their turn came.
    skipped_count: int
    created_at: datetime
    ended_at: datetime | None


class EndpointHealthView(msgspec.Struct, frozen=True, kw_only=True):
    """How an endpoint does; a resumed one that was disabled begins anew."""

    webhook_endpoint_id: str
    account_id: str
    #: "enabled", "paused" or "disabled".
    state: str
    #: "closed": deliveries flow. "open": none is tried before open_until. "half_open": one is.
    breaker: str
    open_until: datetime | None
    success_count: int
    failure_count: int
    #: Since the last success.
    consecutive_failures: int
    failing_since: datetime | None
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_latency_ms: int | None
    #: Deliveries that wait for an attempt; counted up to 10,000.
    waiting_count: int
    #: Those of them that wait for the endpoint to be resumed.
    held_count: int
    #: When the first of those that wait is due.
    next_attempt_at: datetime | None
    #: Per cent of the time to being disabled of which was warned.
    warned_percent: int


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries are listed."""

    #: None: of every account.
    account_id: UUID | None
    endpoint_id: UUID | None = None
    state: str | None = None
    #: A name or a pattern such as "message.*".
    event_type: str | None = None
    message_id: UUID | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None


class DeliveryReads(Protocol):
    """Reads; each method raises ReadsUnavailable while the database is away."""

    async def delivery(self, delivery_id: UUID, account_id: UUID | None) -> DeliveryDetail | None:
        """Return one delivery with its attempts; None for another account's."""
        ...

    async def deliveries(
        self, wanted: DeliveryFilter, *, before: UUID | None, limit: int
    ) -> Sequence[DeliveryView]:
        """Return deliveries, newest event first, starting below the id ``before``."""
        ...

    async def health(self, endpoint_id: UUID, account_id: UUID | None) -> EndpointHealthView | None:
        """Return how an endpoint does; None for another account's, and when it was removed."""
        ...

    async def recovery(self, recovery_id: UUID, account_id: UUID | None) -> RecoveryView | None:
        """Return one recovery; None for another account's."""
        ...

    async def recoveries_under_way(self, endpoint_id: UUID) -> int:
        """Return how many recoveries of an endpoint run or are paused."""
        ...

    async def recoveries(
        self, endpoint_id: UUID, account_id: UUID | None, *, before: UUID | None, limit: int
    ) -> Sequence[RecoveryView]:
        """Return the recoveries of an endpoint, newest first, starting below ``before``."""
        ...


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery as its row tells it."""

    delivery_id: UUID
    account_id: UUID
    endpoint_id: UUID
    event_id: str
    event_name: str
    event_sequence: int | None
    message_id: UUID | None
    state: str
    endpoint_state: str
    trigger: str
    recovery_id: UUID | None
    attempt_no: int
    next_attempt_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    last_status: int | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class HealthRow:
    """How an endpoint does, as the rows tell it."""

    endpoint_id: UUID
    account_id: UUID
    state: str
    success_count: int
    failure_count: int
    consecutive_failures: int
    failing_since: datetime | None
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_latency_ms: int | None
    open_until: datetime | None
    warned_percent: int
    waiting_count: int
    next_attempt_at: datetime | None


def health_view(row: HealthRow, now: datetime) -> EndpointHealthView:
    """Return how an endpoint does as its owner sees it."""
    breaker = "closed"
    if row.open_until is not None:
        breaker = "open" if row.open_until > now else "half_open"
    return EndpointHealthView(
        webhook_endpoint_id=format_id(ENDPOINT_PREFIX, row.endpoint_id),
        account_id=format_id(ACCOUNT_PREFIX, row.account_id),
        state=row.state,
        breaker=breaker,
        open_until=row.open_until,
        success_count=row.success_count,
        failure_count=row.failure_count,
        consecutive_failures=row.consecutive_failures,
        failing_since=row.failing_since,
        last_success_at=row.last_success_at,
        last_failure_at=row.last_failure_at,
        last_latency_ms=row.last_latency_ms,
        waiting_count=row.waiting_count,
        held_count=0 if row.state == "enabled" else row.waiting_count,
        next_attempt_at=row.next_attempt_at,
        warned_percent=row.warned_percent,
    )


def check_at_rest(detail: DeliveryDetail) -> None:
    """Refuse to begin a round while an attempt is being made: it would come twice."""
    if detail.state == "sending":
        raise WebhookDeliveryUnderWay


def delivery_view(row: DeliveryRow) -> DeliveryView:
    """Return a delivery as its account sees it."""
    return DeliveryView(**_facts(row))


def delivery_detail(
    row: DeliveryRow, payload: bytes | None, events: Iterable[Any]
) -> DeliveryDetail:
    """Return a delivery with its payload and what its events tell of attempts."""
    steps = list(events)
    failed = [step for step in steps if isinstance(step, WebhookDelivery.Failed)]
    return DeliveryDetail(
        **_facts(row),
        given_up=failed[-1].reason if failed and row.state == "failed" else None,
        payload=None if payload is None else payload.decode(),
        attempts=[
            _attempt(step) for step in steps if isinstance(step, WebhookDelivery.AttemptRecorded)
        ],
    )


def _facts(row: DeliveryRow) -> dict[str, Any]:
    is_waiting = row.state == "waiting"
    return {
        "id": format_id(DELIVERY_PREFIX, row.delivery_id),
        "account_id": format_id(ACCOUNT_PREFIX, row.account_id),
        "webhook_endpoint_id": format_id(ENDPOINT_PREFIX, row.endpoint_id),
        "event_id": row.event_id,
        "event_type": row.event_name,
        "event_sequence": row.event_sequence,
        "message_id": row.message_id and format_id(MESSAGE_PREFIX, row.message_id),
        "state": _PUBLIC_STATES.get(row.state, row.state),
        "is_held": is_waiting and row.endpoint_state != "enabled",
        "trigger": row.trigger,
        "recovery_id": row.recovery_id and format_id(RECOVERY_PREFIX, row.recovery_id),
        "attempts_made": row.attempt_no,
        "next_attempt_at": row.next_attempt_at if is_waiting else None,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
        "last_status": row.last_status,
        "last_error_class": row.last_error,
    }


def _attempt(step: WebhookDelivery.AttemptRecorded) -> AttemptView:
    return AttemptView(
        attempt=step.attempt_no,
        at=step.timestamp,
        trigger=step.trigger,
        outcome=step.outcome,
        url=step.url,
        status=step.status,
        error_class=step.error_class,
        duration_ms=step.duration_ms,
        secret_ids=[format_id(SECRET_PREFIX, one) for one in step.secret_ids],
        response_headers=step.response_headers,
        response_body=step.response_body,
        response_body_encoding=step.response_body_encoding,
        response_body_sha256=step.body_sha256,
        next_attempt_at=step.next_attempt_at,
    )
