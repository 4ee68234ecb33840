"""What events of recoveries do to their tables, in the same transaction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from semalink.domain.recovery import Recovery
from semalink.domain.webhook_delivery import DeliveryState, Trigger, WebhookDelivery
from semalink_adapters.postgres.arrays import pack_columns, pack_texts, pack_uuids

_ENDS = WebhookDelivery.Delivered | WebhookDelivery.Failed | WebhookDelivery.Cancelled
_BY_HAND = frozenset({Trigger.MANUAL.value, Trigger.TEST.value})

#: SQL and its parameters.
Statement = tuple[str, tuple[Any, ...]]

INSERT_RECOVERY = """
INSERT INTO recoveries (
    recovery_id, account_id, endpoint_id, mode, since, until, event_types, rate_per_second,
    state, created_by, created_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 'running', %s, %s)"""

MOVE_RECOVERY = "UPDATE recoveries SET state = %s WHERE recovery_id = %s"

END_RECOVERY = "UPDATE recoveries SET state = %s, ended_at = %s WHERE recovery_id = %s"

# Counted with the event that opens the delivery, so that neither is there without the other.
COUNT_SENT = """
WITH sent AS (
    UPDATE recovery_items AS i SET state = 'sent'
    FROM unnest(%b::uuid[], %b::uuid[]) AS n (recovery_id, delivery_id)
    WHERE i.recovery_id = n.recovery_id AND i.delivery_id = n.delivery_id AND i.state = 'matched'
    RETURNING i.recovery_id)
UPDATE recoveries AS r SET sent_count = r.sent_count + s.sent_count
FROM (SELECT recovery_id, count(*) AS sent_count FROM sent GROUP BY recovery_id) AS s
WHERE r.recovery_id = s.recovery_id"""

# Counted with the event that ends the delivery, so that nobody has to look for what ended. In the
# order of the recoveries, for which others wait.
COUNT_ENDED = """
WITH ended AS (
    UPDATE recovery_items AS i SET state = n.state
    FROM unnest(%b::uuid[], %b::text[]) AS n (delivery_id, state)
    WHERE i.delivery_id = n.delivery_id AND i.state = 'sent'
    RETURNING i.recovery_id, i.state)
UPDATE recoveries AS r
SET delivered_count = r.delivered_count + s.delivered_count,
    failed_count = r.failed_count + s.failed_count
FROM (
    SELECT recovery_id, count(*) FILTER (WHERE state = 'delivered') AS delivered_count,
           count(*) FILTER (WHERE state = 'failed') AS failed_count
    FROM ended GROUP BY recovery_id ORDER BY recovery_id
) AS s
WHERE r.recovery_id = s.recovery_id"""

# Whoever asks for something to be sent wants to know now whether the endpoint is back: one
# attempt finds out, and what waits follows it or not.
PROBE_NOW = """
UPDATE webhook_endpoint_health SET open_until = now()
WHERE endpoint_id = %s AND open_until > now()"""

PROBE_NOW_BY_DELIVERY = """
UPDATE webhook_endpoint_health AS h SET open_until = now()
FROM webhook_deliveries AS d
WHERE d.delivery_id = %s AND h.endpoint_id = d.endpoint_id AND h.open_until > now()"""


@dataclass(slots=True)
class RecoveryChanges:
    """What the events of one batch come to, in recoveries."""

    #: The deliveries that the batch loaded or made, as they stand at its end.
    deliveries: Mapping[UUID, WebhookDelivery]
    #: Recoveries and the deliveries that they opened.
    sent: list[tuple[UUID, UUID]] = field(default_factory=list)
    #: Deliveries that came to an end and were part of a recovery, of this one or an earlier round.
    ended: dict[UUID, None] = field(default_factory=dict)
    #: Rare changes, one statement each.
    single: list[Statement] = field(default_factory=list)

    def fold(self, event: Any) -> None:
        """Add what an event does."""
        if isinstance(event, _ENDS) and self.deliveries[event.originator_id].was_recovered:
            self.ended[event.originator_id] = None
        if isinstance(event, WebhookDelivery.Created | WebhookDelivery.Reopened):
            if event.recovery_id is not None:
                self.sent.append((event.recovery_id, event.originator_id))
            elif event.trigger in _BY_HAND:
                self.single.append((PROBE_NOW_BY_DELIVERY, (event.originator_id,)))
        elif isinstance(event, Recovery.Event):
            self.single += _CHANGES[type(event)](event)

    def statements(self) -> list[Statement]:
        """Return the rare changes, and the counting of what was sent and of what ended."""
        # On its own: a statement that changes two tables can be no part of a bundle.
        counting: list[Statement] = []
        if self.sent:
            packed = pack_columns((pack_uuids, pack_uuids), self.sent)
            counting.append((COUNT_SENT, tuple(packed)))
        if ended := self._ended():
            packed = pack_columns((pack_uuids, pack_texts), ended)
            counting.append((COUNT_ENDED, tuple(packed)))
        return [*self.single, *counting]

    def _ended(self) -> list[tuple[UUID, str]]:
        """Return what is over at the end of the batch, and how."""
        over = [self.deliveries[each] for each in self.ended]
        return [
            (one.id, "delivered" if one.state is DeliveryState.DELIVERED else "failed")
            for one in over
            if not one.is_waiting
        ]


def _created(event: Recovery.Created) -> Sequence[Statement]:
    parameters = (
        event.originator_id,
        event.account_id,
        event.endpoint_id,
        event.mode,
        event.since,
        event.until,
        event.event_types,
        event.rate_per_second,
        event.actor,
        event.timestamp,
    )
    return [(INSERT_RECOVERY, parameters), (PROBE_NOW, (event.endpoint_id,))]


def _paused(event: Recovery.Paused) -> Sequence[Statement]:
    return [(MOVE_RECOVERY, ("paused", event.originator_id))]


def _resumed(event: Recovery.Resumed) -> Sequence[Statement]:
    return [(MOVE_RECOVERY, ("running", event.originator_id))]


def _cancelled(event: Recovery.Cancelled) -> Sequence[Statement]:
    return [(END_RECOVERY, ("cancelled", event.timestamp, event.originator_id))]


def _completed(event: Recovery.Completed) -> Sequence[Statement]:
    return [(END_RECOVERY, ("completed", event.timestamp, event.originator_id))]


#: The statements of each kind of event, in order.
_CHANGES: Mapping[type, Callable[[Any], Sequence[Statement]]] = {
    Recovery.Created: _created,
    Recovery.Paused: _paused,
    Recovery.Resumed: _resumed,
    Recovery.Cancelled: _cancelled,
    Recovery.Completed: _completed,
}
