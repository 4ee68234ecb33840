"""How endpoints do: counted in the transaction that records the attempts."""

from typing import Any
from uuid import UUID

from semalink.domain.endpoint_health import Record, note_attempt
from semalink.domain.webhook_delivery import WebhookDelivery
from semalink_adapters.postgres.arrays import pack_bigints, pack_columns, pack_moments, pack_uuids
from semalink_adapters.postgres.bundle import Bundle

# In the order of the ids, so that two batches that meet at several endpoints do not lock crosswise.
COUNT_ATTEMPTS = """
INSERT INTO webhook_endpoint_health AS h (
    endpoint_id, success_count, failure_count, consecutive_failures, failing_since,
    last_success_at, last_failure_at, last_latency_ms)
SELECT * FROM unnest(
    %b::uuid[], %b::bigint[], %b::bigint[], %b::bigint[], %b::timestamptz[], %b::timestamptz[],
    %b::timestamptz[], %b::bigint[])
ON CONFLICT (endpoint_id) DO UPDATE SET
    success_count = h.success_count + excluded.success_count,
    failure_count = h.failure_count + excluded.failure_count,
    consecutive_failures = excluded.consecutive_failures
        + CASE WHEN excluded.success_count > 0 THEN 0 ELSE h.consecutive_failures END,
    failing_since = CASE WHEN excluded.success_count > 0 THEN excluded.failing_since
        ELSE COALESCE(h.failing_since, excluded.failing_since) END,
    last_success_at = GREATEST(h.last_success_at, excluded.last_success_at),
    last_failure_at = GREATEST(h.last_failure_at, excluded.last_failure_at),
    last_latency_ms = excluded.last_latency_ms"""

_COLUMNS = (
    pack_uuids, pack_bigints, pack_bigints, pack_bigints, pack_moments, pack_moments,
    pack_moments, pack_bigints,
)  # fmt: skip


class HealthChanges:
    """What the attempts of one batch add to the health of their endpoints."""

    __slots__ = ("_latencies_ms", "_records")

    def __init__(self) -> None:
        self._records: dict[UUID, Record] = {}
        self._latencies_ms: dict[UUID, int] = {}

    def note(self, endpoint_id: UUID, event: WebhookDelivery.AttemptRecorded) -> None:
        """Add one attempt."""
        self._records[endpoint_id] = note_attempt(
            self._records.get(endpoint_id, Record()),
            succeeded=event.outcome == "delivered",
            at=event.timestamp,
        )
        self._latencies_ms[endpoint_id] = event.duration_ms

    def add_to(self, bundle: Bundle) -> None:
        """Add the one statement, if there is anything to count."""
        if self._records:
            rows = [self._row(endpoint_id) for endpoint_id in sorted(self._records)]
            bundle.add(COUNT_ATTEMPTS, pack_columns(_COLUMNS, rows))

    def _row(self, endpoint_id: UUID) -> tuple[Any, ...]:
        record = self._records[endpoint_id]
        return (
            endpoint_id,
            record.successes,
            record.failures,
            record.consecutive_failures,
            record.failing_since,
            record.last_success_at,
            record.last_failure_at,
            self._latencies_ms[endpoint_id],
        )
