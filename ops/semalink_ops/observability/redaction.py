"""What may leave the process in a log line or a span: no text, no number, no key."""

import re
from collections.abc import Mapping
from datetime import date, timedelta
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from typing import Any
from uuid import UUID

MASK = "***"

_TEXT_MAX = 8_192
#: Longer than any number, so that one cut in half at the limit is cut off whole.
_NUMBER_MAX = 64
_ITEMS_MAX = 100
_DEPTH_MAX = 10
#: Shorter than an id; the names of events and things are, and come again and again.
_SHORT = 31
#: The smallest integer that may be a phone number; shorter ones lack a country.
_SMALL_INTEGER = 10**8

_SENSITIVE_NAMES = frozenset({"from", "to"})
#: The last word of a name that holds what must not be shown: `api_key`, `message_text`.
_is_sensitive_word = re.compile(
    r"(?:apikey|authorization|body|bodies|content|cookie|credential|destination|dsn|email|html|key"
    r"|mobile|msisdn|number|otp|param|parameter|passwd|password|payload|phone|pin|plaintext|query"
    r"|raw|recipient|secret|signature|statement|text|token|username)s?"
).fullmatch
#: The last word of a name whose integer is a quantity or a position and never a number to call.
_is_quantity_word = re.compile(
    r"age|bytes|cents|count|depth|id|index|lag|length|lsn|micros|ms|ns|offset|pid|positions?|ratio"
    r"|seconds|seq|sequence|size|total|us|version"
).fullmatch
_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")

_PUBLIC_ID = r"[A-Za-z]{2,8}_(?=[0-9]{0,31}[a-f])[0-9a-f]{32}"
_BARE_ID = r"(?=[0-9-]{0,35}[a-f])(?:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32})"
_is_id = re.compile(rf"{_PUBLIC_ID}|{_BARE_ID}").fullmatch

#: Ids of OpenTelemetry look like numbers now and then; only we use these names.
_TRACE_NAMES = frozenset({"parent_id", "span_id", "trace_id"})
_is_trace_id = re.compile(r"[0-9a-f]{16}|[0-9a-f]{32}").fullmatch

_TIME = r"[T ][0-2]\d:[0-5]\d(?::[0-5]\d(?:[.,]\d{1,6})?)?(?:Z|[+-][0-2]\d:?[0-5]\d)?"
_DATE = rf"(?<!\d)20\d\d-[01]\d-[0-3]\d(?:{_TIME})?(?!\d)"
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"(?<![\d.+])(?:{_OCTET}\.){{3}}{_OCTET}(?![\d.])"
_NUMBER = r"\+?\(?\d(?:[ ().\-_\u00a0\u2010-\u2015\u202f]{0,3}\d){6,}"
#: Ids, dates and addresses of machines come first: they are what is kept.
_KEPT_OR_NUMBER = re.compile(
    rf"(?<![0-9A-Za-z])(?:{_PUBLIC_ID}|{_BARE_ID})(?![0-9A-Za-z])|{_DATE}|{_IPV4}"
    rf"|(?P<number>{_NUMBER})"
)

# Every repetition is bounded where it could start anew at each character.
_QUOTED_ROW = r"(\b(?:DETAIL|CONTEXT|QUERY|STATEMENT):|\[parameters:).*"
_QUERY_STRING = r"(?<=[\w/])\?[^\s\"'<>=]{1,64}=[^\s\"'<>]*"
_URL_USER = r"(://[^\s/:@]{0,128}):\S{0,512}@"
_OUR_KEY = r"(sl_live|sl_test|sl_admin|whsec)_[\w.~+/=-]*"
_CREDENTIALS = r"(?i:\b(bearer|basic)\s+[^\s\"',]+)"
_ASSIGNMENT = (
    r"(?i:(pass(?:word|wd)?|pwd|secret|token|api[-_]?key|authorization)([\"']?\s{0,3}[=:]\s{0,3})"
    r"(?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|(?!bearer\b|basic\b)[^\s,;&\"']+))"
)
_SCRUBS = (
    # PostgreSQL and SQLAlchemy quote the row and the parameters: everything after is theirs.
    (re.compile(_QUOTED_ROW, re.DOTALL), rf"\1 {MASK}"),
    # Some aggregators take numbers and texts in the query string.
    (re.compile(_QUERY_STRING), f"?{MASK}"),
    (re.compile(_URL_USER), rf"\1:{MASK}@"),
    (re.compile(_OUR_KEY), rf"\1_{MASK}"),
    (re.compile(_CREDENTIALS), rf"\1 {MASK}"),
    (re.compile(_ASSIGNMENT), rf"\1\2{MASK}"),
)


def redact_text(text: str) -> str:
    """Return the text without phone numbers, keys, passwords and quoted rows."""
    if len(text) <= _SHORT:
        return _scrub_short(text)
    return text if _is_id(text) else _scrub(text)


def redact(name: str, value: Any) -> Any:
    """Return what may be shown of a value under its name, as plain JSON values."""
    kind = type(value)
    if kind is bool or value is None:
        return value
    if is_sensitive(name):
        return MASK
    if kind is str:
        return value if name in _TRACE_NAMES and _is_trace_id(value) else redact_text(value)
    if kind is int:
        return _redact_integer(name, value)
    return _redact_other(name, value, _DEPTH_MAX)


@lru_cache(maxsize=2_048)
def is_sensitive(name: str) -> bool:
    """Tell whether a name says that its value must not be shown."""
    return name.lower() in _SENSITIVE_NAMES or bool(_is_sensitive_word(_last_word(name)))


@lru_cache(maxsize=2_048)
def redact_name(name: str) -> str:
    """Return the name itself, unless somebody used a number as one."""
    return redact_text(name)


@lru_cache(maxsize=2_048)
def _is_quantity(name: str) -> bool:
    return bool(_is_quantity_word(_last_word(name)))


def _last_word(name: str) -> str:
    words = _WORDS.findall(name)
    return words[-1].lower() if words else ""


def _redact_integer(name: str, value: int) -> int | str:
    is_short = -_SMALL_INTEGER < value < _SMALL_INTEGER
    return value if is_short or _is_quantity(name) else MASK


def _redact_other(name: str, value: Any, depth: int) -> Any:
    match value:
        case Enum():
            return _redact_within(name, value.value, depth)
        case Mapping() | list() | tuple() | set() | frozenset():
            return _redact_items(name, value, depth)
        case _:
            return _redact_scalar(name, value)


def _redact_scalar(name: str, value: Any) -> Any:
    match value:
        case float() | date() | timedelta():
            return value
        case int():
            return _redact_integer(name, int(value))
        case str() | UUID() | PurePath():
            return redact_text(str(value))
        case BaseException():
            return f"{type(value).__name__}: {redact_text(str(value))}"
        case _:
            # What an unknown object would say of itself may be the very text.
            return f"<{type(value).__name__}>"


def _redact_items(name: str, value: Any, depth: int) -> Any:
    if depth == 0:
        return "…"
    if isinstance(value, Mapping):
        some = list(value.items())[:_ITEMS_MAX]
        return {
            redact_text(str(key)): _redact_within(str(key), item, depth - 1) for key, item in some
        }
    return [_redact_within(name, item, depth - 1) for item in list(value)[:_ITEMS_MAX]]


def _redact_within(name: str, value: Any, depth: int) -> Any:
    if isinstance(value, Mapping | list | tuple | set | frozenset | Enum):
        return MASK if is_sensitive(name) else _redact_other(name, value, depth)
    return redact(name, value)


def _scrub(text: str) -> str:
    is_long = len(text) > _TEXT_MAX
    shown = text[: _TEXT_MAX - _NUMBER_MAX] if is_long else text
    for pattern, replacement in _SCRUBS:
        shown = pattern.sub(replacement, shown)
    shown = _KEPT_OR_NUMBER.sub(_mask_number, shown)
    return shown[:-_NUMBER_MAX] + "…" if is_long else shown


@lru_cache(maxsize=2_048)
def _scrub_short(text: str) -> str:
    return _scrub(text)


def _mask_number(found: re.Match[str]) -> str:
    return MASK if found["number"] else found[0]
