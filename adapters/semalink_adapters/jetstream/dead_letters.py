"""What cannot be handled moves to ``dlq.<subject>``, with what is known of why."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from semalink.application.bus import Bus, Delivery, Outgoing, PoisonMessage
from semalink.domain.errors import DomainError

SUBJECT_PREFIX = "dlq."
#: Keeps the first id of a message that is published again under a new one.
MESSAGE_ID_HEADER = "Sema-Message-Id"
#: How many times an operator sent the message round again.
REDRIVE_HEADER = "Sema-Redrive"
#: What begins so tells of the message that became a dead letter.
ORIGIN_PREFIX = "Sema-Origin-"
#: What the broker itself says of a message.
BROKER_PREFIX = "Nats-"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a message came from."""

    stream: str
    #: A stream made anew counts from 1 again, so its name and a sequence are not enough.
    stream_created_at: datetime
    sequence: int
    consumer: str
    stored_at: datetime

    def letter_id(self, redrive: str) -> str:
        """Return the id under which the broker stores the dead letter of this message once."""
        created = f"{self.stream_created_at.timestamp() * 1_000:.0f}"
        return f"dlq:{self.stream}:{created}:{self.sequence}:{redrive}"


@dataclass(frozen=True, slots=True)
class Undone:
    """A message that nobody could handle, and what is known of why."""

    subject: str
    payload: bytes
    headers: Mapping[str, str]
    #: The id that it was first published with.
    message_id: str
    delivery_count: int
    error_type: str
    error: str


async def bury(
    bus: Bus, delivery: Delivery, origin: Origin, error: Exception, *, buried_at: datetime
) -> bool:
    """Store the message among the dead letters, then remove it from its queue.

    Returns whether it was stored. A crash between the two repeats both, and the message id, made
    of where the message was, lets the broker store it once.
    """
    undone = Undone(
        subject=delivery.subject,
        payload=delivery.payload,
        headers=delivery.headers,
        message_id=delivery.message_id,
        delivery_count=delivery.num_delivered,
        error_type=type(error).__name__,
        error=explain(error),
    )
    letter = letter_of(undone, origin, buried_at)
    outcome = await bus.publish(
        letter.subject, letter.payload, message_id=letter.message_id, headers=letter.headers
    )
    if outcome.stored:
        await delivery.term(undone.error_type)
    return outcome.stored


def letter_of(undone: Undone, origin: Origin, buried_at: datetime) -> Outgoing:
    """Return the dead letter of a message; the same id, whoever buries it and however often."""
    redrive = undone.headers.get(REDRIVE_HEADER, "0")
    # The broker's own headers spoke about the first publishing, not about this one.
    kept = {
        name: value for name, value in undone.headers.items() if not name.startswith(BROKER_PREFIX)
    }
    told = {
        "Stream": origin.stream,
        "Subject": undone.subject,
        "Seq": str(origin.sequence),
        "Consumer": origin.consumer,
        "Deliveries": str(undone.delivery_count),
        "Error-Type": undone.error_type,
        "Error": undone.error,
        "First-At": origin.stored_at.astimezone(UTC).isoformat(),
        "Last-At": buried_at.astimezone(UTC).isoformat(),
        "Msg-Id": undone.message_id,
    }
    headers = {**kept, **{f"{ORIGIN_PREFIX}{name}": value for name, value in told.items()}}
    return Outgoing(
        SUBJECT_PREFIX + undone.subject, undone.payload, origin.letter_id(redrive), headers
    )


def explain(error: Exception) -> str:
    """Return what may be stored of an error: our own sentence, or where it was raised.

    What other code puts in an exception can hold a text or a number of a customer.
    """
    if isinstance(error, (DomainError, PoisonMessage)):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    file = frames[-1].filename.rpartition("/")[2]
    return f"raised in {frames[-1].name} at {file}:{frames[-1].lineno}"
