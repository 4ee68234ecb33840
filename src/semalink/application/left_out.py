"""Why a recipient of a campaign gets no message, in plain sentences."""

from collections.abc import Mapping
from types import MappingProxyType

from semalink.domain.failure_codes import FAILURES

_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "duplicate": "The number is among the recipients already.",
        "missing_variable": "A variable of the text has no value for this recipient.",
        "unsupported_destination": "The platform sends nothing to this country.",
        "empty_text": "The text would be empty for this recipient.",
        "text_too_long": "The text would be too long for this recipient.",
        "content_blocked": "A rule against abuse refuses the text for this recipient.",
        "unknown_sender": "The sender id is not approved for the account.",
    }
)

_OTHERWISE = "The recipient gets no message; the campaign's recipients tell more."


def reason_words(reason: str) -> str:
    """Return one sentence on a reason."""
    if reason in _REASONS:
        return _REASONS[reason]
    return FAILURES[reason].detail if reason in FAILURES else _OTHERWISE
