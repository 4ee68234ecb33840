"""What is refused of contents, sender ids and content rules; the order is that of precedence."""

import re
from datetime import datetime

from semalink.domain.refusal import DomainError, FieldRefusal

#: How refusals are kept, as sentences; what reads them again stands beside what writes them.
_RULE = re.compile(r"content rule '([^']*)'")
_EARLIEST = re.compile(r"at the earliest at (\S+)\.")


class SenderIdNotFound(DomainError):
    """No such sender id of this account."""

    code = "sender_id_not_found"

    def __init__(self) -> None:
        super().__init__("There is no sender id with this id.")


class ContentRuleNotFound(DomainError):
    """No such content rule among those that operators manage."""

    code = "content_rule_not_found"

    def __init__(self) -> None:
        super().__init__("There is no content rule of this name that operators manage.")


class SenderIdInOtherState(DomainError):
    """The sender id is not in a state in which this can be done."""

    code = "sender_id_in_other_state"

    def __init__(self, state: str, remedy: str) -> None:
        self.state = state
        super().__init__(f"The sender id is {state}. {remedy}")


class TooManySenderIds(DomainError):
    """The account waits for the decision on as many sender ids as it may."""

    code = "too_many_sender_ids"

    def __init__(self, count_max: int) -> None:
        super().__init__(f"An account may wait for the decision on {count_max} sender ids at once.")


class TooManyContentRules(DomainError):
    """Operators manage as many content rules as there may be."""

    code = "too_many_content_rules"

    def __init__(self, count_max: int) -> None:
        super().__init__(f"There may be {count_max} content rules. Remove one, or extend another.")


class OutsideSendingWindow(FieldRefusal):
    """A promotional message may not be sent at this hour."""

    code = "outside_sending_window"
    field = "sender"

    def __init__(self, sender: str, country: str, earliest_at: datetime) -> None:
        self.earliest_send_at = earliest_at
        moment = earliest_at.isoformat().replace("+00:00", "Z")
        super().__init__(
            f"Messages of the promotional sender id {sender!r} may not reach {country} at this "
            f"hour; they may at the earliest at {moment}."
        )


def earliest_in(detail: str) -> datetime | None:
    """Return the time that the sentence of an OutsideSendingWindow tells; a stored one too."""
    found = _EARLIEST.search(detail)
    return None if found is None else datetime.fromisoformat(found.group(1))


def rule_in(detail: str) -> str:
    """Return the name of the rule that the sentence of a ContentBlocked tells; "" for none."""
    found = _RULE.search(detail)
    return "" if found is None else found.group(1)
