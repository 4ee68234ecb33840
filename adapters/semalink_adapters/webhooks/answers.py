"""What an endpoint's answer means: taken or not, when to come again, or never."""

import codecs
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from semalink_adapters.webhooks.guarded_client import Answer

#: Shown to the customer; anything else may hold what is nobody's business.
_SHOWN_HEADERS = (
    "content-length",
    "content-type",
    "date",
    "location",
    "retry-after",
    "server",
    "webhook-delivery",
    "x-request-id",
)
_HEADER_LENGTH_MAX = 256
_utf8 = codecs.getincrementaldecoder("utf-8")
_GONE = 410
#: Longer than any window; what a header asks for beyond it is all the same.
_SECONDS_MAX = 10 * 86_400


class Verdict(NamedTuple):
    """What is to be done about an answer."""

    is_delivered: bool
    #: Why it was not taken; None when it was.
    error_class: str | None
    retry_after_seconds: int | None = None
    #: The endpoint wants this delivery never again.
    aborts: bool = False
    #: The endpoint wants no delivery ever again, and why: "gone" or "asked".
    disables: str | None = None


def judge(answer: Answer, now: datetime) -> Verdict:
    """Say what an answer means; only 2xx takes the event."""
    status = answer.status
    if status is None:
        return Verdict(is_delivered=False, error_class=answer.error_class)
    wish = answer.headers.get("webhook-delivery", "").strip().lower()
    disables = "gone" if status == _GONE else "asked" if wish == "disable" else None
    if 200 <= status < 300:
        return Verdict(is_delivered=True, error_class=None, disables=disables)
    return Verdict(
        is_delivered=False,
        error_class="redirect" if 300 <= status < 400 else "status",
        retry_after_seconds=read_retry_after(answer.headers.get("retry-after", ""), now),
        aborts=wish == "abort-message",
        disables=disables,
    )


def read_retry_after(text: str, now: datetime) -> int | None:
    """Return the seconds that a header asks to wait, by number or by date; None without sense."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        # Its length first: a number may be as long as a header.
        return _SECONDS_MAX if len(text) > 9 else min(int(text), _SECONDS_MAX)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        # A number in it may be longer than any date has.
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0, min(int((moment - now).total_seconds()), _SECONDS_MAX))


def shown_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of an answer that are kept."""
    found = ((name, headers.get(name)) for name in _SHOWN_HEADERS)
    return {name: _text(value[:_HEADER_LENGTH_MAX]) for name, value in found if value is not None}


def _text(value: str) -> str:
    # Bytes that are no text came as halves of characters, which nothing can store.
    return value.encode("utf-8", "replace").decode()


def shown_body(body: bytes) -> tuple[str, str]:
    """Return the body as it is kept, and how: as text, or in base64 where it is none."""
    try:
        # Not to the end: what was cut off may have been in the middle of a character.
        return _utf8().decode(body), "text"
    except UnicodeDecodeError:
        return b64encode(body).decode(), "base64"
