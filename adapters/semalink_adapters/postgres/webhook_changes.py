"""What events of endpoints and deliveries do to the tables kept in the same transaction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from semalink.domain.webhook_delivery import WebhookDelivery
from semalink.domain.webhook_endpoint import WebhookEndpoint
from semalink_adapters.postgres.arrays import (
    pack_bigints,
    pack_blobs,
    pack_booleans,
    pack_columns,
    pack_moments,
    pack_texts,
    pack_uuids,
)
from semalink_adapters.postgres.bundle import Bundle
from semalink_adapters.postgres.setting_changes import Statement
from semalink_adapters.postgres.webhook_health import HealthChanges

INSERT_ENDPOINT = """
INSERT INTO webhook_endpoints (
    endpoint_id, account_id, url, event_types, rate_per_second, concurrency, description,
    created_at, changed_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"""

CHANGE_ENDPOINT = """
UPDATE webhook_endpoints
SET url = %s, event_types = %s, rate_per_second = %s, concurrency = %s, description = %s,
    changed_at = %s
WHERE endpoint_id = %s"""

MOVE_ENDPOINT = """
UPDATE webhook_endpoints SET state = %s, disabled_reason = %s, changed_at = %s
WHERE endpoint_id = %s"""

# What was issued and is in nobody's hands would keep the place of what is due when it goes on.
TAKE_BACK_ISSUED = """
UPDATE webhook_deliveries SET state = 'waiting', issued_at = NULL
WHERE endpoint_id = %s AND state = 'issued'"""

# Whoever enables an endpoint again begins with a clean slate.
FORGET_HEALTH = "DELETE FROM webhook_endpoint_health WHERE endpoint_id = %s"

# Being paused is no failing: what comes after it is judged by itself.
FORGET_FAILING = """
UPDATE webhook_endpoint_health SET failing_since = NULL WHERE endpoint_id = %s"""

NOTE_WARNING = """
UPDATE webhook_endpoint_health SET warned_percent = %s WHERE endpoint_id = %s"""

ADD_TO_SECRETS = """
INSERT INTO webhook_secrets (
    secret_id, endpoint_id, kind, sealed, fingerprint, public_key, created_at)
VALUES (%s, %s, %s, %s, %s, decode(%s, 'hex'), %s)"""

EXPIRE_ONE = "UPDATE webhook_secrets SET expires_at = %s WHERE secret_id = %s"

INSERT_DELIVERIES = """
INSERT INTO webhook_deliveries (
    delivery_id, endpoint_id, account_id, event_id, event_name, event_sequence, message_id,
    payload, created_at, state, trigger, recovery_id, attempt_no, round_attempts, round_began_at,
    next_attempt_at, finished_at, last_status, last_error)
SELECT * FROM unnest(
    %b::uuid[], %b::uuid[], %b::uuid[], %b::text[], %b::text[], %b::bigint[], %b::uuid[],
    %b::bytea[], %b::timestamptz[], %b::text[], %b::text[], %b::uuid[], %b::bigint[],
    %b::bigint[], %b::timestamptz[], %b::timestamptz[], %b::timestamptz[], %b::bigint[],
    %b::text[])"""

# What is out stays out when a new round begins: the attempt under way is the first of that round.
# Any other step uses the attempt up, or ends the delivery.
MOVE_DELIVERIES = """
UPDATE webhook_deliveries AS d
SET state = CASE WHEN n.opens AND d.state IN ('issued', 'sending') THEN d.state
        ELSE n.state END,
    trigger = n.trigger, recovery_id = n.recovery_id, attempt_no = n.attempt_no,
    round_attempts = n.round_attempts, round_began_at = n.round_began_at,
    next_attempt_at = n.next_attempt_at, finished_at = n.finished_at,
    last_status = n.last_status, last_error = n.last_error,
    issued_at = CASE WHEN n.opens THEN d.issued_at END,
    lease_until = CASE WHEN n.opens THEN d.lease_until END
FROM unnest(
    %b::uuid[], %b::text[], %b::text[], %b::uuid[], %b::bigint[], %b::bigint[],
    %b::timestamptz[], %b::timestamptz[], %b::timestamptz[], %b::bigint[], %b::text[],
    %b::bool[]
) AS n (
    delivery_id, state, trigger, recovery_id, attempt_no, round_attempts, round_began_at,
    next_attempt_at, finished_at, last_status, last_error, opens)
WHERE d.delivery_id = n.delivery_id"""

_STANDING = (
    pack_texts, pack_texts, pack_uuids, pack_bigints, pack_bigints, pack_moments, pack_moments,
    pack_moments, pack_bigints, pack_texts,
)  # fmt: skip
_CREATED = (
    pack_uuids, pack_uuids, pack_uuids, pack_texts, pack_texts, pack_bigints, pack_uuids,
    pack_blobs, pack_moments, *_STANDING,
)  # fmt: skip
_MOVED = (pack_uuids, *_STANDING, pack_booleans)


@dataclass(slots=True)
class WebhookChanges:
    """What the events of one batch come to, ready for set-based statements."""

    #: The deliveries that the batch loaded or made, as they stand at its end.
    deliveries: Mapping[UUID, WebhookDelivery]
    #: Secrets that the batch added, sealed, by id.
    sealed_secrets: Mapping[UUID, bytes]
    created: dict[UUID, None] = field(default_factory=dict)
    #: With whether nothing happened to them but that a new round was opened.
    moved: dict[UUID, bool] = field(default_factory=dict)
    health: HealthChanges = field(default_factory=HealthChanges)
    #: Rare changes, one statement each.
    single: list[Statement] = field(default_factory=list)

    def fold(self, event: Any) -> None:
        """Add what an event does."""
        if isinstance(event, WebhookDelivery.Event):
            if isinstance(event, WebhookDelivery.Created):
                self.created[event.originator_id] = None
            elif event.originator_id not in self.created:
                opens = isinstance(event, WebhookDelivery.Reopened)
                self.moved[event.originator_id] = opens and self.moved.get(
                    event.originator_id, True
                )
            if isinstance(event, WebhookDelivery.AttemptRecorded):
                endpoint_id = self.deliveries[event.originator_id].subject.endpoint_id
                self.health.note(endpoint_id, event)
        elif isinstance(event, WebhookEndpoint.SecretAdded):
            self.single.append(_secret_added(event, self.sealed_secrets[event.secret_id]))
        elif isinstance(event, WebhookEndpoint.Event):
            change = _ENDPOINT_CHANGES.get(type(event))
            self.single += change(event) if change else ()

    def add_to(self, bundle: Bundle) -> None:
        """Add what touches only rows that nothing else in the batch touches."""
        if self.created:
            made = [self.deliveries[each] for each in self.created]
            bundle.add(INSERT_DELIVERIES, pack_columns(_CREATED, [_row_of(one) for one in made]))
        if self.moved:
            rows = [
                (each, *_standing_of(self.deliveries[each]), opens)
                for each, opens in self.moved.items()
            ]
            bundle.add(MOVE_DELIVERIES, pack_columns(_MOVED, rows))
        self.health.add_to(bundle)


def _row_of(delivery: WebhookDelivery) -> tuple[Any, ...]:
    subject = delivery.subject
    return (
        delivery.id,
        subject.endpoint_id,
        subject.account_id,
        subject.event_id,
        subject.event_name,
        subject.event_sequence,
        subject.message_id,
        None if subject.payload is None else subject.payload.encode(),
        delivery.created_on,
        *_standing_of(delivery),
    )


def _standing_of(delivery: WebhookDelivery) -> tuple[Any, ...]:
    return (
        delivery.state.value,
        delivery.trigger.value,
        delivery.recovery_id,
        delivery.attempt_no,
        delivery.round_attempts,
        delivery.round_began_at,
        delivery.next_attempt_at,
        delivery.finished_at,
        delivery.last_status,
        delivery.last_error,
    )


def _created(event: WebhookEndpoint.Created) -> Sequence[Statement]:
    parameters = (
        event.originator_id,
        event.account_id,
        event.url,
        event.event_types,
        event.rate_per_second,
        event.concurrency,
        event.description,
        event.timestamp,
        event.timestamp,
    )
    return [(INSERT_ENDPOINT, parameters)]


def _changed(event: WebhookEndpoint.Changed) -> Sequence[Statement]:
    parameters = (
        event.url,
        event.event_types,
        event.rate_per_second,
        event.concurrency,
        event.description,
        event.timestamp,
        event.originator_id,
    )
    return [(CHANGE_ENDPOINT, parameters)]


def _paused(event: WebhookEndpoint.Paused) -> Sequence[Statement]:
    return [_move(event, "paused"), (TAKE_BACK_ISSUED, (event.originator_id,))]


def _resumed(event: WebhookEndpoint.Resumed) -> Sequence[Statement]:
    return [_move(event, "enabled"), (FORGET_FAILING, (event.originator_id,))]


def _enabled(event: WebhookEndpoint.Enabled) -> Sequence[Statement]:
    return [_move(event, "enabled"), (FORGET_HEALTH, (event.originator_id,))]


def _disabled(event: WebhookEndpoint.Disabled) -> Sequence[Statement]:
    return [
        _move(event, "disabled", event.reason),
        (TAKE_BACK_ISSUED, (event.originator_id,)),
    ]


def _removed(event: WebhookEndpoint.Removed) -> Sequence[Statement]:
    return [_move(event, "removed")]


def _move(event: WebhookEndpoint.Event, state: str, reason: str | None = None) -> Statement:
    return MOVE_ENDPOINT, (state, reason, event.timestamp, event.originator_id)


def _warned(event: WebhookEndpoint.Warned) -> Sequence[Statement]:
    return [(NOTE_WARNING, (event.percent, event.originator_id))]


def _secret_added(event: WebhookEndpoint.SecretAdded, sealed: bytes) -> Statement:
    parameters = (
        event.secret_id,
        event.originator_id,
        event.kind,
        sealed,
        event.fingerprint,
        event.public_key,
        event.timestamp,
    )
    return ADD_TO_SECRETS, parameters


def _secret_retired(event: WebhookEndpoint.SecretRetired) -> Sequence[Statement]:
    return [(EXPIRE_ONE, (event.expires_at, event.secret_id))]


_ENDPOINT_CHANGES: Mapping[type, Callable[[Any], Sequence[Statement]]] = {
    WebhookEndpoint.Created: _created,
    WebhookEndpoint.Changed: _changed,
    WebhookEndpoint.Paused: _paused,
    WebhookEndpoint.Resumed: _resumed,
    WebhookEndpoint.Enabled: _enabled,
    WebhookEndpoint.Disabled: _disabled,
    WebhookEndpoint.Removed: _removed,
    WebhookEndpoint.SecretRetired: _secret_retired,
    WebhookEndpoint.Warned: _warned,
}
