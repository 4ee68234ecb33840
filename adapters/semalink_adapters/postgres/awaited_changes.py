"""What events do to the list of awaited reports."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from semalink.domain import message_steps
from semalink.domain.message import Message
from semalink.domain.message_steps import ReportNoted, Submitted
from semalink.domain.report_polling import poll_at
from semalink_adapters.postgres.arrays import (
    pack_columns,
    pack_moments,
    pack_texts,
    pack_uuids,
)
from semalink_adapters.postgres.bundle import Bundle

# A message that was sent on two routes has two receipts; the later one is asked for.
INSERT_AWAITED = """
INSERT INTO awaited_reports (
    message_id, account_id, billing_account_id, aggregator, network, reference, submitted_at,
    last_state, next_poll_at)
SELECT * FROM unnest(
    %b::uuid[], %b::uuid[], %b::uuid[], %b::text[], %b::text[], %b::text[], %b::timestamptz[],
    %b::text[], %b::timestamptz[])
ON CONFLICT (message_id) DO UPDATE SET
    aggregator = excluded.aggregator, network = excluded.network,
    reference = excluded.reference, submitted_at = excluded.submitted_at,
    last_state = excluded.last_state, polls = 0, next_poll_at = excluded.next_poll_at"""

NOTE_STATES = """
UPDATE awaited_reports AS a SET last_state = noted.state
FROM unnest(%b::uuid[], %b::text[]) AS noted (message_id, state)
WHERE a.message_id = noted.message_id"""

DELETE_AWAITED = "DELETE FROM awaited_reports WHERE message_id = ANY(%b)"

_AWAITED = (
    pack_uuids, pack_uuids, pack_uuids, pack_texts, pack_texts, pack_texts, pack_moments,
    pack_texts, pack_moments,
)  # fmt: skip


@dataclass(slots=True)
class AwaitedChanges:
    """What the events of one batch do to the list, ready for set-based statements."""

    #: The messages of the batch, as they stand after it.
    messages: Mapping[UUID, Message]
    submitted: dict[UUID, Submitted] = field(default_factory=dict)
    #: The last state that settled nothing.
    noted: dict[UUID, str] = field(default_factory=dict)
    ended: set[UUID] = field(default_factory=set)

    def fold(self, event: Any) -> None:
        """Add what an event does."""
        change = _CHANGES.get(type(event))
        if change is not None:
            change(self, event)

    def add_to(self, bundle: Bundle) -> None:
        """Add one statement for each thing to do; no two of them touch the same row."""
        rows = [self._row(one) for one in self.submitted.values()]
        if rows:
            bundle.add(INSERT_AWAITED, pack_columns(_AWAITED, rows))
        notes = [(k, v) for k, v in self.noted.items() if k not in self.submitted]
        if notes:
            bundle.add(NOTE_STATES, pack_columns((pack_uuids, pack_texts), notes))
        if self.ended:
            bundle.add(DELETE_AWAITED, (pack_uuids(list(self.ended)),))

    def _row(self, event: Submitted) -> tuple[Any, ...]:
        message_id, at = event.originator_id, event.timestamp
        message = self.messages[message_id]
        return (
            message_id,
            message.asked.account_id,
            message.asked.billing_account_id,
            event.aggregator,
            message.network,
            event.reference,
            at,
            self.noted.get(message_id),
            poll_at(event.aggregator, message_id, at, polls_before=0),
        )


def _submitted(changes: AwaitedChanges, event: Submitted) -> None:
    if not changes.messages[event.originator_id].is_final:
        changes.submitted[event.originator_id] = event
        changes.noted.pop(event.originator_id, None)


def _noted(changes: AwaitedChanges, event: ReportNoted) -> None:
    if not changes.messages[event.originator_id].is_final:
        changes.noted[event.originator_id] = event.state


def _ended(changes: AwaitedChanges, event: Any) -> None:
    # What no aggregator took was never awaited.
    if changes.messages[event.originator_id].reference is not None:
        changes.ended.add(event.originator_id)


_CHANGES: dict[type, Callable[[AwaitedChanges, Any], None]] = {
    Submitted: _submitted,
    ReportNoted: _noted,
    message_steps.Delivered: _ended,
    message_steps.Failed: _ended,
    message_steps.Rejected: _ended,
    message_steps.Expired: _ended,
    message_steps.Cancelled: _ended,
    message_steps.Unknown: _ended,
}
