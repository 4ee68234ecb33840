"""When an aggregator is asked for a report that does not come by itself."""

from datetime import datetime, timedelta
from uuid import UUID

#: No call of theirs tells the state of one message. Celcom's does, and the sandbox does as Celcom;
#: routes of single accounts have names of their own, and one that cannot tell answers nothing.
_NEVER_ASKED = frozenset({"africastalking"})

#: After the submission: most reports come within minutes, those of absent subscribers in a day.
_DELAYS = (
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(hours=24),
)

#: Up to a fifth later, so that a campaign's messages are not all asked for at once.
_JITTER_DIVISOR = 5
_JITTER_STEPS = 1_000


def can_be_asked(aggregator: str) -> bool:
    """Return whether an aggregator may tell the state of a message."""
    return aggregator not in _NEVER_ASKED


def poll_at(
    aggregator: str, message_id: UUID, submitted_at: datetime, polls_before: int
) -> datetime | None:
    """Return when the next question is due; None when there is nobody to ask or no more to ask."""
    if not can_be_asked(aggregator) or polls_before >= len(_DELAYS):
        return None
    delay = _DELAYS[polls_before]
    # The random part of the id: the same every time that this is worked out.
    share = message_id.int % _JITTER_STEPS
    return submitted_at + delay + delay * share // (_JITTER_STEPS * _JITTER_DIVISOR)
