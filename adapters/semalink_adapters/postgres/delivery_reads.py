"""Reads of deliveries, their attempts and recoveries."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from semalink.application.delivery_reading import (
    WAITING_COUNT_MAX,
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
from semalink.domain.ids import (
    ACCOUNT_PREFIX,
    ENDPOINT_PREFIX,
    RECOVERY_PREFIX,
    format_id,
)
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.partitions import first_id_of
from semalink_adapters.postgres.queries import Queries

_COLUMNS = """
d.delivery_id, d.account_id, d.endpoint_id, d.event_id, d.event_name, d.event_sequence,
d.message_id, d.state, e.state, d.trigger, d.recovery_id, d.attempt_no, d.next_attempt_at,
d.created_at, d.finished_at, d.last_status, d.last_error"""

_FROM = """
FROM webhook_deliveries AS d JOIN webhook_endpoints AS e ON e.endpoint_id = d.endpoint_id"""

SELECT_DELIVERY = f"""
SELECT {_COLUMNS}, COALESCE(d.payload, (
    SELECT a.payload FROM account_events AS a
    WHERE a.account_id = d.account_id AND a.sequence = d.event_sequence))
{_FROM} WHERE d.delivery_id = %s"""  # noqa: S608

SELECT_STEPS = """
SELECT topic, state FROM webhook_events
WHERE originator_id = %s
    AND topic IN ('webhook_delivery.attempt_recorded.1', 'webhook_delivery.failed.1')
ORDER BY originator_version"""

SELECT_HEALTH = """
SELECT e.endpoint_id, e.account_id, e.state,
       COALESCE(h.success_count, 0), COALESCE(h.failure_count, 0),
       COALESCE(h.consecutive_failures, 0), h.failing_since, h.last_success_at,
       h.last_failure_at, h.last_latency_ms, h.open_until,
       COALESCE(h.warned_percent, 0)::bigint,
       (SELECT count(*) FROM (
            SELECT FROM webhook_deliveries AS d
            WHERE d.endpoint_id = e.endpoint_id AND d.state = 'waiting' LIMIT %(count_max)s
        ) AS w),
       (SELECT min(d.next_attempt_at) FROM webhook_deliveries AS d
        WHERE d.endpoint_id = e.endpoint_id AND d.state = 'waiting'),
       now()
FROM webhook_endpoints AS e
LEFT JOIN webhook_endpoint_health AS h ON h.endpoint_id = e.endpoint_id
WHERE e.endpoint_id = %(id)s AND e.state <> 'removed'"""

_RECOVERY = """
SELECT recovery_id, account_id, endpoint_id, mode, since, until, event_types, rate_per_second,
       state, matched_at IS NOT NULL, matched_count, sent_count, delivered_count, failed_count,
       skipped_count, created_at, ended_at
FROM recoveries"""

SELECT_RECOVERY = f"{_RECOVERY} WHERE recovery_id = %s"

SELECT_RECOVERIES = f"""{_RECOVERY}
WHERE endpoint_id = %(endpoint_id)s
    AND (%(before)s::uuid IS NULL OR recovery_id < %(before)s)
ORDER BY recovery_id DESC LIMIT %(limit)s"""

COUNT_UNDER_WAY = """
SELECT count(*) FROM recoveries WHERE endpoint_id = %s AND state IN ('running', 'paused')"""

#: What a customer's word for a state means in the table; as constants, for the indexes on such.
_STATES = {
    "waiting": "d.state = 'waiting'",
    "sending": "d.state IN ('issued', 'sending')",
    "delivered": "d.state = 'delivered'",
    "failed": "d.state = 'failed'",
    "cancelled": "d.state = 'cancelled'",
}
#: The id of a delivery has the time of its event, which may be a while before it was made.
_MADE_AFTER = timedelta(hours=1)
_FIRST_MOMENT = datetime(1970, 1, 2, tzinfo=UTC)
_LAST_MOMENT = datetime(9999, 1, 1, tzinfo=UTC)


class PostgresDeliveryReads(Queries):
    """Reads over a pool; each raises ReadsUnavailable at once while the database is away."""

    async def delivery(self, delivery_id: UUID, account_id: UUID | None) -> DeliveryDetail | None:
        """Return one delivery with its attempts; None for another account's."""
        # Before the row, so that it is at least as new as the attempts that are shown with it.
        steps = await self._all(SELECT_STEPS, (delivery_id,))
        rows = await self._all(SELECT_DELIVERY, (delivery_id,))
        if not rows:
            return None
        *columns, payload = rows[0]
        row = DeliveryRow(*columns)
        if account_id not in (None, row.account_id):
            return None
        events = [EventMapper.read(topic, state) for topic, state in steps]
        return delivery_detail(row, payload, events)

    async def deliveries(
        self, wanted: DeliveryFilter, *, before: UUID | None, limit: int
    ) -> Sequence[DeliveryView]:
        """Return deliveries, newest event first, starting below the id ``before``."""
        parameters: dict[str, Any] = {
            "account_id": wanted.account_id,
            "endpoint_id": wanted.endpoint_id,
            "state": wanted.state,
            "pattern": None if wanted.event_type is None else like_of(wanted.event_type),
            "message_id": wanted.message_id,
            "first_id": _id_near(wanted.created_from, -_MADE_AFTER),
            "created_from": wanted.created_from,
            "created_before": wanted.created_before,
            "last_id": _id_near(wanted.created_before, timedelta()),
            "before": before,
        }
        conditions = [
            condition
            for name, condition in (
                ("account_id", "d.account_id = %(account_id)s"),
                ("endpoint_id", "d.endpoint_id = %(endpoint_id)s"),
                ("state", _STATES.get(wanted.state or "", "")),
                ("pattern", "d.event_name LIKE %(pattern)s"),
                ("message_id", "d.message_id = %(message_id)s"),
                ("first_id", "d.delivery_id >= %(first_id)s"),
                ("created_from", "d.created_at >= %(created_from)s"),
                ("created_before", "d.created_at < %(created_before)s"),
                ("last_id", "d.delivery_id < %(last_id)s"),
                ("before", "d.delivery_id < %(before)s"),
            )
            if parameters[name] is not None
        ]
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        statement = f"SELECT {_COLUMNS} {_FROM} {where} ORDER BY d.delivery_id DESC LIMIT %(limit)s"
        rows = await self._all(statement, {**parameters, "limit": limit})
        return [delivery_view(DeliveryRow(*row)) for row in rows]

    async def health(self, endpoint_id: UUID, account_id: UUID | None) -> EndpointHealthView | None:
        """Return how an endpoint does; None for another account's, and when it was removed."""
        asked = {"id": endpoint_id, "count_max": WAITING_COUNT_MAX}
        rows = await self._all(SELECT_HEALTH, asked)
        if not rows:
            return None
        *columns, now = rows[0]
        row = HealthRow(*columns)
        return health_view(row, now) if account_id in (None, row.account_id) else None

    async def recovery(self, recovery_id: UUID, account_id: UUID | None) -> RecoveryView | None:
        """Return one recovery; None for another account's."""
        rows = await self._all(SELECT_RECOVERY, (recovery_id,))
        if not rows or account_id not in (None, rows[0][1]):
            return None
        return _recovery(rows[0])

    async def recoveries_under_way(self, endpoint_id: UUID) -> int:
        """Return how many recoveries of an endpoint run or are paused."""
        [(count,)] = await self._all(COUNT_UNDER_WAY, (endpoint_id,))
        return int(count)

    async def recoveries(
        self, endpoint_id: UUID, account_id: UUID | None, *, before: UUID | None, limit: int
    ) -> Sequence[RecoveryView]:
        """Return the recoveries of an endpoint, newest first, starting below ``before``."""
        asked = {"endpoint_id": endpoint_id, "before": before, "limit": limit}
        rows = await self._all(SELECT_RECOVERIES, asked)
        return [_recovery(row) for row in rows if account_id in (None, row[1])]


def like_of(pattern: str) -> str:
    """Return a pattern of event names as SQL's LIKE reads it."""
    return pattern.replace("_", r"\_").replace("%", r"\%").replace("*", "%")


def _id_near(moment: datetime | None, apart: timedelta) -> UUID | None:
    if moment is None:
        return None
    # Within what an id can tell, whatever a request asks for.
    return first_id_of(min(max(moment, _FIRST_MOMENT), _LAST_MOMENT) + apart)


def _recovery(row: Any) -> RecoveryView:
    return RecoveryView(
        id=format_id(RECOVERY_PREFIX, row[0]),
        account_id=format_id(ACCOUNT_PREFIX, row[1]),
        webhook_endpoint_id=format_id(ENDPOINT_PREFIX, row[2]),
        mode=row[3],
        since=row[4],
        until=row[5],
        event_types=row[6],
        rate_per_second=row[7],
        state=row[8],
        is_matched=row[9],
        matched_count=row[10],
        sent_count=row[11],
        delivered_count=row[12],
        failed_count=row[13],
        skipped_count=row[14],
        created_at=row[15],
        ended_at=row[16],
    )
