"""What cannot be handled moves to ``dlq.<subject>``, with what is known of why."""

import traceback
from dataclasses import dataclass
from datetime import UTC, datetime

from semalink.application.bus import Bus, Delivery, PoisonMessage
from semalink.domain.errors import DomainError

SUBJECT_PREFIX = "dlq."
#: Keeps the first id of a message that is published again under a new one.
MESSAGE_ID_HEADER = "Sema-Message-Id"
#: How many times an operator sent the message round again.
REDRIVE_HEADER = "Sema-Redrive"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a delivery came from."""

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


async def bury(
    bus: Bus, delivery: Delivery, origin: Origin, error: Exception, *, buried_at: datetime
) -> bool:
    """Store the message among the dead letters, then remove it from its queue.

    Returns whether it was stored. A crash between the two repeats both, and the message id, made
    of where the message was, lets the broker store it once.
    """
    redrive = delivery.headers.get(REDRIVE_HEADER, "0")
    outcome = await bus.publish(
        SUBJECT_PREFIX + delivery.subject,
        delivery.payload,
        message_id=origin.letter_id(redrive),
        headers=_headers(delivery, origin, error, buried_at),
    )
    if outcome.stored:
        await delivery.term(type(error).__name__)
    return outcome.stored


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


def _headers(
    delivery: Delivery, origin: Origin, error: Exception, buried_at: datetime
) -> dict[str, str]:
    # The broker's own headers spoke about the first publishing, not about this one.
    kept = {name: value for name, value in delivery.headers.items() if not name.startswith("Nats-")}
    return {
        **kept,
        "Sema-Origin-Stream": origin.stream,
        "Sema-Origin-Subject": delivery.subject,
        "Sema-Origin-Seq": str(origin.sequence),
        "Sema-Origin-Consumer": origin.consumer,
        "Sema-Origin-Deliveries": str(delivery.num_delivered),
        "Sema-Origin-Error-Type": type(error).__name__,
        "Sema-Origin-Error": explain(error),
        "Sema-Origin-First-At": origin.stored_at.astimezone(UTC).isoformat(),
        "Sema-Origin-Last-At": buried_at.astimezone(UTC).isoformat(),
        "Sema-Origin-Msg-Id": delivery.message_id,
    }
