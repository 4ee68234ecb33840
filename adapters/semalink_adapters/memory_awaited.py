"""The list of awaited reports in memory, kept as the one in PostgreSQL is; for tests."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from semalink.domain.message import Message
from semalink.domain.message_steps import ReportNoted, Step, Submitted
from semalink.domain.report_polling import poll_at


@dataclass(slots=True)
class Awaited:
    """A message that an aggregator took and whose final report has not come."""

    message_id: UUID
    account_id: UUID
    billing_account_id: UUID
    aggregator: str
    network: str | None
    reference: str
    submitted_at: datetime
    #: What the last report that settled nothing said.
    last_state: str | None = None
    #: How often the aggregator was asked, and when it is asked next.
    polls: int = 0
    next_poll_at: datetime | None = None


def keep_awaited(awaited: dict[UUID, Awaited], step: Step, message: Message | None) -> None:
    """Bring the list up to date with a step that was recorded."""
    assert message is not None, "a step belongs to a message"
    if message.is_final:
        awaited.pop(message.id, None)
    elif isinstance(step, Submitted):
        at, asked = step.timestamp, message.asked
        awaited[message.id] = Awaited(
            message.id,
            asked.account_id,
            asked.billing_account_id,
            step.aggregator,
            message.network,
            step.reference,
            at,
            next_poll_at=poll_at(step.aggregator, message.id, at, polls_before=0),
        )
    elif isinstance(step, ReportNoted):
        awaited[message.id].last_state = step.state
