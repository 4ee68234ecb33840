"""The tables that are kept in the same transaction as the logs: what each event does to them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Cursor
from uuid_utils.compat import uuid7

from semalink.application.ledger import Refusal
from semalink.domain import credit_entries, message_steps
from semalink.domain.credit_account import CreditAccount
from semalink.domain.message import Message
from semalink_adapters.postgres.arrays import (
    pack_bigints,
    pack_columns,
    pack_moments,
    pack_texts,
    pack_uuids,
)
from semalink_adapters.postgres.awaited_changes import AwaitedChanges
from semalink_adapters.postgres.bundle import Bundle
from semalink_adapters.postgres.content_changes import (
    INSERT_MATCHES,
    MATCH,
    MatchRow,
    matches_in,
    shadow_matches,
)
from semalink_adapters.postgres.number_networks import NetworkChanges
from semalink_adapters.postgres.recovery_changes import RecoveryChanges
from semalink_adapters.postgres.setting_changes import SETTING_CHANGES, Statement
from semalink_adapters.postgres.webhook_changes import WebhookChanges

INSERT_RESERVATIONS = """
INSERT INTO open_reservations (
    reservation_id, account_id, amount_micros, expires_at, sub_account_id, price_micros,
    spending_month, campaign_id)
SELECT * FROM unnest(
    %b::uuid[], %b::uuid[], %b::bigint[], %b::timestamptz[], %b::uuid[], %b::bigint[],
    %b::text[], %b::uuid[])"""

# Many messages of a campaign are charged to one reservation in one batch.
LESSEN_RESERVATIONS = """
UPDATE open_reservations AS r
SET amount_micros = n.amount_micros, price_micros = r.price_micros - n.charged_micros
FROM unnest(%b::uuid[], %b::bigint[], %b::bigint[])
    AS n (reservation_id, amount_micros, charged_micros)
WHERE r.reservation_id = n.reservation_id"""

ADD_SPENDING = """
INSERT INTO customer_spending AS s (sub_account_id, month, spent_micros)
SELECT * FROM unnest(%b::uuid[], %b::text[], %b::bigint[])
ON CONFLICT (sub_account_id, month) DO UPDATE
SET spent_micros = s.spent_micros + excluded.spent_micros"""

INSERT_REFUSALS = """
INSERT INTO refusals (
    refusal_id, refused_at, account_id, actor, request_id, command, code, detail, part)
SELECT * FROM unnest(
    %b::uuid[], %b::timestamptz[], %b::uuid[], %b::text[], %b::text[], %b::text[], %b::text[],
    %b::text[], %b::bigint[])"""

DELETE_RESERVATIONS = "DELETE FROM open_reservations WHERE reservation_id = ANY(%b)"

INSERT_PENDING = """
INSERT INTO pending_submissions (
    message_id, account_id, billing_account_id, lane, expires_at, recipient, sender, campaign_id,
    state)
SELECT message_id, account_id, billing_account_id,
    CASE WHEN campaign_id IS NULL THEN lane ELSE 'bulk' END,
    expires_at, recipient, sender, campaign_id,
    CASE WHEN campaign_id IS NULL THEN 'queued' ELSE 'held' END
FROM unnest(
    %b::uuid[], %b::uuid[], %b::uuid[], %b::text[], %b::timestamptz[], %b::text[], %b::text[],
    %b::uuid[])
    AS n (message_id, account_id, billing_account_id, lane, expires_at, recipient, sender,
          campaign_id)"""

DELETE_PENDING = "DELETE FROM pending_submissions WHERE message_id = ANY(%b)"

POSTPONE_PENDING = """
UPDATE pending_submissions
SET state = 'postponed', due_at = %s, round = round + 1 WHERE message_id = %s"""

PENDING_UNKNOWN = """
UPDATE pending_submissions
SET state = 'unknown', due_at = %s, aggregator = %s WHERE message_id = %s"""

# The row stays for a while, so that a late report that names the recipient still finds it.
CONCLUDE_UNKNOWN = "UPDATE pending_submissions SET due_at = NULL WHERE message_id = %s"

INSERT_REFERENCES = """
INSERT INTO provider_references (aggregator, reference, message_id, billing_account_id)
SELECT * FROM unnest(%b::text[], %b::text[], %b::uuid[], %b::uuid[])
ON CONFLICT DO NOTHING"""

_RESERVATION = (
    pack_uuids, pack_uuids, pack_bigints, pack_moments, pack_uuids, pack_bigints, pack_texts,
    pack_uuids,
)  # fmt: skip
_LESSENED = (pack_uuids, pack_bigints, pack_bigints)
_SPENDING = (pack_uuids, pack_texts, pack_bigints)
_REFUSAL = (
    pack_uuids, pack_moments, pack_uuids, pack_texts, pack_texts, pack_texts, pack_texts,
    pack_texts, pack_bigints,
)  # fmt: skip
_PENDING = (
    pack_uuids, pack_uuids, pack_uuids, pack_texts, pack_moments, pack_texts, pack_texts,
    pack_uuids,
)  # fmt: skip
_REFERENCE = (pack_texts, pack_texts, pack_uuids, pack_uuids)


@dataclass(slots=True)
class RowChanges:
    """What the events of one batch come to, ready for set-based statements."""

    #: The messages that the batch loaded.
    messages: Mapping[UUID, Message]
    webhooks: WebhookChanges
    recoveries: RecoveryChanges = field(init=False)
    reservations: dict[UUID, tuple[Any, ...]] = field(default_factory=dict)
    spending: dict[tuple[UUID, str], int] = field(default_factory=dict)
    refusals: Sequence[Refusal] = ()
    resolved: list[UUID] = field(default_factory=list)
    pending: dict[UUID, tuple[UUID, UUID, str, datetime, str, str, UUID | None]] = field(
        default_factory=dict
    )
    #: What stays reserved, and what was charged to it at the sender's price, in micros.
    lessened: dict[UUID, tuple[int, int]] = field(default_factory=dict)
    done: set[UUID] = field(default_factory=set)
    references: list[tuple[str, str, UUID, UUID]] = field(default_factory=list)
    #: What content rules found in accepted messages.
    matches: list[MatchRow] = field(default_factory=list)
    awaited: AwaitedChanges = field(init=False)
    networks: NetworkChanges = field(init=False)
    #: Rare changes, one statement each.
    single: list[Statement] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.awaited = AwaitedChanges(self.messages)
        self.networks = NetworkChanges(self.messages)
        self.recoveries = RecoveryChanges(self.webhooks.deliveries)

    def fold(self, events: Iterable[Any]) -> None:
        """Add what the events do."""
        for event in events:
            change = _CHANGES.get(type(event))
            if change is not None:
                change(self, event)
            self.awaited.fold(event)
            self.networks.fold(event)
            rare = SETTING_CHANGES.get(type(event))
            if rare is not None:
                self.single += rare(event)
            self.webhooks.fold(event)
            self.recoveries.fold(event)

    def add_to(self, bundle: Bundle) -> None:
        """Add what touches only rows that nothing else in the batch touches."""
        refusals = [_refusal_row(one) for one in self.refusals]
        for statement, packers, rows in (
            (INSERT_RESERVATIONS, _RESERVATION, [(k, *v) for k, v in self.reservations.items()]),
            (LESSEN_RESERVATIONS, _LESSENED, [(k, *v) for k, v in self.lessened.items()]),
            (INSERT_PENDING, _PENDING, [(k, *v) for k, v in self.pending.items()]),
            (INSERT_REFERENCES, _REFERENCE, self.references),
            (ADD_SPENDING, _SPENDING, [(*k, v) for k, v in self.spending.items()]),
            (INSERT_REFUSALS, _REFUSAL, refusals),
            (INSERT_MATCHES, MATCH, [*self.matches, *matches_in(refusals)]),
        ):
            if rows:
                bundle.add(statement, pack_columns(packers, rows))
        for statement, ids in (
            (DELETE_RESERVATIONS, self.resolved),
            (DELETE_PENDING, list(self.done)),
        ):
            if ids:
                bundle.add(statement, (pack_uuids(ids),))
        self.awaited.add_to(bundle)
        self.networks.add_to(bundle)
        self.webhooks.add_to(bundle)

    def write(self, curs: Cursor[Any]) -> None:
        """Make the rare changes, in order, in the transaction that the cursor is in."""
        for statement, parameters in (
            *self.single,
            *self.webhooks.single,
            *self.recoveries.statements(),
        ):
            curs.execute(statement, parameters)

    def resolve(self, reservation_id: UUID) -> None:
        """Close a reservation, whether it is stored or was opened in this batch."""
        self.lessened.pop(reservation_id, None)
        if self.reservations.pop(reservation_id, None) is None:
            self.resolved.append(reservation_id)

    def spend(self, event: Any, price_micros: int) -> None:
        """Count what a customer spends of its agent's credits."""
        if event.sub_account_id is not None:
            slot = event.sub_account_id, event.spending_month
            self.spending[slot] = self.spending.get(slot, 0) + price_micros

    def finish(self, message_id: UUID) -> None:
        """Take a message off the work list."""
        if self.pending.pop(message_id, None) is None:
            self.done.add(message_id)


def _reserved(changes: RowChanges, event: credit_entries.Reserved) -> None:
    changes.reservations[event.reservation_id] = (
        event.originator_id,
        event.amount_micros,
        event.expires_at,
        event.sub_account_id,
        event.price_micros,
        event.spending_month,
        event.campaign_id,
    )
    changes.spend(event, event.price_micros or 0)


def _charged(changes: RowChanges, event: credit_entries.Charged) -> None:
    if event.price_released_micros:
        changes.spend(event, -event.price_released_micros)
    if not event.remaining_micros:
        changes.resolve(event.reservation_id)
        return
    fresh = changes.reservations.get(event.reservation_id)
    if fresh is None:
        _, charged = changes.lessened.get(event.reservation_id, (0, 0))
        charged += event.price_micros or 0
        changes.lessened[event.reservation_id] = (event.remaining_micros, charged)
        return
    payer, _, expires_at, sub_account_id, price, month, campaign_id = fresh
    left = None if price is None else price - (event.price_micros or 0)
    changes.reservations[event.reservation_id] = (
        payer, event.remaining_micros, expires_at, sub_account_id, left, month, campaign_id,
    )  # fmt: skip


def _given_back(
    changes: RowChanges, event: credit_entries.Released | credit_entries.ReservationExpired
) -> None:
    changes.resolve(event.reservation_id)
    changes.spend(event, -(event.price_micros or 0))


def _refunded(changes: RowChanges, event: credit_entries.Refunded) -> None:
    changes.spend(event, -(event.price_micros or 0))


def _refusal_row(refusal: Refusal) -> tuple[Any, ...]:
    cause = refusal.cause
    return (
        uuid7(),
        cause.at,
        refusal.account_id,
        cause.actor,
        cause.request_id,
        refusal.command,
        refusal.code,
        refusal.detail,
        refusal.part,
    )


def _accepted(changes: RowChanges, event: Message.Created) -> None:
    changes.pending[event.originator_id] = (
        event.account_id,
        event.billing_account_id,
        event.lane,
        event.expires_at,
        event.to,
        event.sender,
        event.campaign_id,
    )
    if event.shadow_rules:
        changes.matches += shadow_matches(event)


def _submitted(changes: RowChanges, event: message_steps.Submitted) -> None:
    message_id = event.originator_id
    changes.finish(message_id)
    changes.references.append(
        (
            event.aggregator,
            event.reference,
            message_id,
            changes.messages[message_id].asked.billing_account_id,
        )
    )


def _refused(changes: RowChanges, event: message_steps.SubmitRefused) -> None:
    if event.retry_at is not None:
        changes.single.append((POSTPONE_PENDING, (event.retry_at, event.originator_id)))


def _put_off(changes: RowChanges, event: message_steps.PutOff) -> None:
    changes.single.append((POSTPONE_PENDING, (event.retry_at, event.originator_id)))


def _unknown(changes: RowChanges, event: message_steps.OutcomeUnknown) -> None:
    parameters = (event.deadline_at, event.aggregator, event.originator_id)
    changes.single.append((PENDING_UNKNOWN, parameters))


def _concluded(changes: RowChanges, event: message_steps.Unknown) -> None:
    changes.single.append((CONCLUDE_UNKNOWN, (event.originator_id,)))


def _finished(changes: RowChanges, event: Any) -> None:
    changes.finish(event.originator_id)


_CHANGES: dict[type, Callable[[RowChanges, Any], None]] = {
    CreditAccount.Reserved: _reserved,
    CreditAccount.Charged: _charged,
    CreditAccount.Released: _given_back,
    CreditAccount.ReservationExpired: _given_back,
    CreditAccount.Refunded: _refunded,
    Message.Created: _accepted,
    message_steps.Submitted: _submitted,
    message_steps.SubmitRefused: _refused,
    message_steps.PutOff: _put_off,
    message_steps.OutcomeUnknown: _unknown,
    message_steps.Delivered: _finished,
    message_steps.Failed: _finished,
    message_steps.Rejected: _finished,
    message_steps.Expired: _finished,
    message_steps.Cancelled: _finished,
    message_steps.Unknown: _concluded,
}
