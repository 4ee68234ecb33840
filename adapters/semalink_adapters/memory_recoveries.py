"""Deliveries and recoveries of a ledger in memory, read and worked through; for tests."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from semalink.application.delivery_reading import (
    DeliveryDetail,
    DeliveryFilter,
    DeliveryRow,
    DeliveryView,
    EndpointHealthView,
    HealthRow,
    RecoveryView,
    delivery_detail,
    delivery_view,
    health_view,
)
from semalink.application.reading import ReadsUnavailable
from semalink.application.recovering import AHEAD_SECONDS, RecoveryJob
from semalink.application.webhook_recovery import RecoveryItem
from semalink.domain.endpoint_health import Record, note_attempt
from semalink.domain.event_types import matches
from semalink.domain.ids import ACCOUNT_PREFIX, ENDPOINT_PREFIX, RECOVERY_PREFIX, format_id
from semalink.domain.recovery import Counts, Recovery, RecoveryMode, RecoveryState
from semalink.domain.webhook_delivery import DeliveryState, WebhookDelivery, delivery_id_of
from semalink.domain.webhook_endpoint import WebhookEndpoint
from semalink_adapters.memory_ledger import MemoryLedger

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class FedEvent:
    """An event as it stands in the feed of an account."""

    sequence: int
    event_id: str
    name: str
    occurred_at: datetime
    payload: bytes = b"{}"
    message_id: UUID | None = None


@dataclass(slots=True)
class _Work:
    is_matched: bool = False
    turn_at: datetime | None = None
    #: State and item by the id of the delivery.
    items: dict[UUID, tuple[str, RecoveryItem]] = field(default_factory=dict)

    def count(self, state: str) -> int:
        return sum(1 for one, _ in self.items.values() if one == state)


class MemoryRecoveries:
    """DeliveryReads and a RecoveryBook over a ledger in memory and feeds that a test fills."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        #: The events of each account, in order.
        self.feeds: dict[UUID, list[FedEvent]] = {}
        #: When False, nothing can be read.
        self.is_available = True
        #: What the runner takes for the time.
        self.now = _EPOCH
        self._work: dict[UUID, _Work] = {}

    async def delivery(self, delivery_id: UUID, account_id: UUID | None) -> DeliveryDetail | None:
        """Return one delivery with its attempts; None for another account's."""
        self._check()
        delivery = self._ledger.load(WebhookDelivery, delivery_id)
        if delivery is None or account_id not in (None, delivery.subject.account_id):
            return None
        subject = delivery.subject
        fed = [
            one.payload
            for one in self.feeds.get(subject.account_id, ())
            if one.sequence == subject.event_sequence
        ]
        own = None if subject.payload is None else subject.payload.encode()
        payload = own or (fed[0] if fed else None)
        return delivery_detail(
            self._row(delivery), payload, self._ledger.streams[WebhookDelivery][delivery_id]
        )

    async def deliveries(
        self, wanted: DeliveryFilter, *, before: UUID | None, limit: int
    ) -> Sequence[DeliveryView]:
        """Return deliveries, newest event first, starting below the id ``before``."""
        self._check()
        found = []
        for delivery_id in reversed(self._ledger.ids(WebhookDelivery)):
            delivery = self._ledger.load(WebhookDelivery, delivery_id)
            assert delivery is not None, "an id that is listed has a stream"
            if (before is None or delivery_id < before) and _fits(delivery, wanted):
                found.append(delivery_view(self._row(delivery)))
        return found[:limit]

    async def health(self, endpoint_id: UUID, account_id: UUID | None) -> EndpointHealthView | None:
        """Return how an endpoint does; None for another account's, and when it was removed."""
        self._check()
        endpoint = self._ledger.load(WebhookEndpoint, endpoint_id)
        if endpoint is None or endpoint.is_removed:
            return None
        if account_id not in (None, endpoint.account_id):
            return None
        streams = self._ledger.streams[WebhookDelivery]
        loaded = [self._ledger.load(WebhookDelivery, one) for one in streams]
        mine = [one for one in loaded if one and one.subject.endpoint_id == endpoint_id]
        record, latency_ms = Record(), None
        for step in (step for one in mine for step in streams[one.id]):
            if isinstance(step, WebhookDelivery.AttemptRecorded):
                is_taken = step.outcome == "delivered"
                record = note_attempt(record, succeeded=is_taken, at=step.timestamp)
                latency_ms = step.duration_ms
        due = [one.next_attempt_at for one in mine if one.next_attempt_at is not None]
        row = HealthRow(
            endpoint_id,
            endpoint.account_id,
            endpoint.state.value,
            record.successes,
            record.failures,
            record.consecutive_failures,
            record.failing_since,
            record.last_success_at,
            record.last_failure_at,
            latency_ms,
            None,
            endpoint.warned_percent,
            len(due),
            min(due, default=None),
        )
        return health_view(row, self.now)

    async def recovery(self, recovery_id: UUID, account_id: UUID | None) -> RecoveryView | None:
        """Return one recovery; None for another account's."""
        self._check()
        recovery = self._ledger.load(Recovery, recovery_id)
        if recovery is None or account_id not in (None, recovery.account_id):
            return None
        return self._view(recovery)

    async def recoveries_under_way(self, endpoint_id: UUID) -> int:
        """Return how many recoveries of an endpoint run or are paused."""
        found = [self._ledger.load(Recovery, one) for one in self._ledger.ids(Recovery)]
        return len(
            [
                one
                for one in found
                if one is not None and one.wanted.endpoint_id == endpoint_id and not one.has_ended
            ]
        )

    async def recoveries(
        self, endpoint_id: UUID, account_id: UUID | None, *, before: UUID | None, limit: int
    ) -> Sequence[RecoveryView]:
        """Return the recoveries of an endpoint, newest first, starting below ``before``."""
        self._check()
        found = [self._ledger.load(Recovery, one) for one in reversed(self._ledger.ids(Recovery))]
        return [
            self._view(one)
            for one in found
            if one is not None
            and one.wanted.endpoint_id == endpoint_id
            and account_id in (None, one.account_id)
            and (before is None or one.id < before)
        ][:limit]

    async def under_way(self) -> Sequence[RecoveryJob]:
        """Return the recoveries that run and have something to find, to send or to complete."""
        self._check()
        found = [self._ledger.load(Recovery, one) for one in self._ledger.ids(Recovery)]
        return [
            RecoveryJob(one.id, one.account_id, one.wanted, self._of(one.id).is_matched)
            for one in found
            if one is not None and one.state is RecoveryState.RUNNING and self._has_work(one.id)
        ]

    async def take_turn(self, recovery_id: UUID, pause_ms: int) -> int | None:
        """Return the milliseconds since the last turn of any runner; None when too few."""
        work = self._of(recovery_id)
        elapsed_ms = 1_000 if work.turn_at is None else (self.now - work.turn_at) // _MS
        if elapsed_ms < pause_ms:
            return None
        work.turn_at = self.now
        return elapsed_ms

    async def match(self, job: RecoveryJob) -> None:
        """Look the feed through for events that are to be sent."""
        work = self._of(job.recovery_id)
        if work.is_matched:
            return
        work.is_matched = True
        wanted = job.wanted
        for one in self.feeds.get(job.account_id, ()):
            delivery_id = delivery_id_of(one.event_id, one.occurred_at, wanted.endpoint_id)
            delivery = self._ledger.load(WebhookDelivery, delivery_id)
            if (
                wanted.since <= one.occurred_at < wanted.until
                and any(matches(pattern, one.name) for pattern in wanted.event_types)
                and _is_missed(wanted.mode, delivery)
            ):
                item = RecoveryItem(
                    delivery_id, one.sequence, one.event_id, one.name, one.message_id
                )
                work.items[delivery_id] = ("matched", item)

    async def due(self, recovery_id: UUID, limit: int) -> Sequence[RecoveryItem]:
        """Return what was found and not sent yet, oldest first."""
        self._follow(recovery_id)
        items = [item for state, item in self._of(recovery_id).items.values() if state == "matched"]
        return items[: min(limit, self._room(recovery_id))]

    async def skip(self, recovery_id: UUID, delivery_ids: Sequence[UUID]) -> None:
        """Note of events that nothing had to be sent."""
        self._follow(recovery_id)
        items = self._of(recovery_id).items
        for delivery_id in delivery_ids:
            state, item = items[delivery_id]
            items[delivery_id] = ("skipped" if state == "matched" else state, item)

    async def counts(self, recovery_id: UUID) -> Counts:
        """Return how far all of it is; what ends is counted with the event that ends it."""
        self._follow(recovery_id)
        return self._counts(recovery_id)

    def _room(self, recovery_id: UUID) -> int:
        recovery = self._ledger.load(Recovery, recovery_id)
        assert recovery is not None, "what is worked off was started"
        endpoint = self._ledger.load(WebhookEndpoint, recovery.wanted.endpoint_id)
        assert endpoint is not None, "a recovery has an endpoint"
        sent = [one for one, (state, _) in self._of(recovery_id).items.items() if state == "sent"]
        loaded = [self._ledger.load(WebhookDelivery, one) for one in sent]
        untried = [one for one in loaded if one and one.is_waiting and not one.round_attempts]
        rate = min(recovery.wanted.rate_per_second, endpoint.terms.rate_per_second)
        return max(0, AHEAD_SECONDS * rate - len(untried))

    def _check(self) -> None:
        if not self.is_available:
            msg = "The database is away."
            raise ReadsUnavailable(msg)

    def _of(self, recovery_id: UUID) -> _Work:
        return self._work.setdefault(recovery_id, _Work())

    def _has_work(self, recovery_id: UUID) -> bool:
        self._follow(recovery_id)
        counts = self._counts(recovery_id)
        is_handed_on = counts.matched == counts.sent + counts.skipped
        return not self._of(recovery_id).is_matched or not is_handed_on or counts.is_done

    def _follow(self, recovery_id: UUID) -> None:
        """Take over what the ledger recorded, as the tables do in the same transaction."""
        items = self._of(recovery_id).items
        for delivery_id, (state, item) in items.items():
            events = self._ledger.streams[WebhookDelivery].get(delivery_id, ())
            opened = [one for one in events if getattr(one, "recovery_id", None) == recovery_id]
            if state == "matched" and opened:
                items[delivery_id] = ("sent", item)
        for delivery_id, (state, item) in items.items():
            delivery = self._ledger.load(WebhookDelivery, delivery_id)
            if state == "sent" and delivery is not None and not delivery.is_waiting:
                is_delivered = delivery.state is DeliveryState.DELIVERED
                items[delivery_id] = ("delivered" if is_delivered else "failed", item)

    def _counts(self, recovery_id: UUID) -> Counts:
        work = self._of(recovery_id)
        delivered, failed = work.count("delivered"), work.count("failed")
        sent = work.count("sent") + delivered + failed
        return Counts(len(work.items), sent, delivered, failed, work.count("skipped"))

    def _row(self, delivery: WebhookDelivery) -> DeliveryRow:
        subject = delivery.subject
        endpoint = self._ledger.load(WebhookEndpoint, subject.endpoint_id)
        assert endpoint is not None, "a delivery has an endpoint"
        return DeliveryRow(
            delivery.id,
            subject.account_id,
            subject.endpoint_id,
            subject.event_id,
            subject.event_name,
            subject.event_sequence,
            subject.message_id,
            delivery.state.value,
            endpoint.state.value,
            delivery.trigger.value,
            delivery.recovery_id,
            delivery.attempt_no,
            delivery.next_attempt_at,
            delivery.created_on,
            delivery.finished_at,
            delivery.last_status,
            delivery.last_error,
        )

    def _view(self, recovery: Recovery) -> RecoveryView:
        self._follow(recovery.id)
        counts = self._counts(recovery.id)
        wanted = recovery.wanted
        return RecoveryView(
            id=format_id(RECOVERY_PREFIX, recovery.id),
            account_id=format_id(ACCOUNT_PREFIX, recovery.account_id),
            webhook_endpoint_id=format_id(ENDPOINT_PREFIX, wanted.endpoint_id),
            mode=wanted.mode.value,
            since=wanted.since,
            until=wanted.until,
            event_types=list(wanted.event_types),
            rate_per_second=wanted.rate_per_second,
            state=recovery.state.value,
            is_matched=self._of(recovery.id).is_matched,
            matched_count=counts.matched,
            sent_count=counts.sent,
            delivered_count=counts.delivered,
            failed_count=counts.failed,
            skipped_count=counts.skipped,
            created_at=recovery.created_on,
            ended_at=recovery.modified_on if recovery.has_ended else None,
        )


def _is_missed(mode: RecoveryMode, delivery: WebhookDelivery | None) -> bool:
    if mode is RecoveryMode.MISSING:
        return delivery is None
    if delivery is None:
        return False
    is_failing = delivery.is_waiting and delivery.round_attempts > 0
    return is_failing or delivery.state in (DeliveryState.FAILED, DeliveryState.CANCELLED)


def _fits(delivery: WebhookDelivery, wanted: DeliveryFilter) -> bool:
    subject = delivery.subject
    pairs: tuple[tuple[Any, Any], ...] = (
        (wanted.account_id, subject.account_id),
        (wanted.endpoint_id, subject.endpoint_id),
        (wanted.state, delivery.state.value),
        (wanted.message_id, subject.message_id),
    )
    made_at = delivery.created_on
    return (
        all(want in (None, has) for want, has in pairs)
        and (wanted.event_type is None or matches(wanted.event_type, subject.event_name))
        and (wanted.created_from is None or made_at >= wanted.created_from)
        and (wanted.created_before is None or made_at < wanted.created_before)
    )
