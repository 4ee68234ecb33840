"""What may leave the process in a log line or a span: no text, no number, no key."""

import re
from collections.abc import Mapping
from datetime import date
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from typing import Any
from uuid import UUID

MASK = "***"

_TEXT_MAX = 16_384
#: Longer than any number, so that one cut in half at the limit is cut off whole.
_NUMBER_MAX = 64
_ITEMS_MAX = 100
_DEPTH_MAX = 10
_SHORT = 48
#: The shortest phone number has as many digits, and so does the smallest integer that is masked.
_SMALL_INTEGER = 10**8

#: The last word of a name that holds what must not be shown: `api_key`, `message_text`.
_SENSITIVE_WORDS = frozenset(
    "address addresses apikey apikeys authorization body bodies code_text content contents cookie"
    " cookies credential credentials destination destinations dsn email emails from html key keys"
    " mobile mobiles msisdn msisdns name_text number numbers otp params parameters passwd password"
    " passwords payload payloads phone phones pin plaintext query raw recipient recipients secret"
    " secrets signature statement text texts to token tokens username".split()
)
#: The last word of a name whose integer is a quantity or a position and never a number to call.
_QUANTITY_WORDS = frozenset(
    "age bytes cents count depth id index length lag lsn micros ms ns offset pid position"
    " positions ratio seconds seq sequence size total us version".split()
)
_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")

_PUBLIC_ID = r"[A-Za-z]{2,8}_(?=[0-9]*[a-f])[0-9a-f]{32}"
_BARE_ID = r"(?=[0-9-]*[a-f])(?:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32})"
_is_id = re.compile(rf"{_PUBLIC_ID}|{_BARE_ID}").fullmatch

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

_SCRUBS = (
    # PostgreSQL and SQLAlchemy quote the row and the parameters: everything after is theirs.
    (re.compile(r"(\b(?:DETAIL|CONTEXT|QUERY|STATEMENT):|\[parameters:).*", re.DOTALL), rf"\1 {MASK}"),
    # A query string carries numbers and texts to some aggregators.
    (re.compile(r"(?<=[\w/])\?[^\s\"'<>]*=[^\s\"'<>]*"), f"?{MASK}"),
    (re.compile(r"(://[^\s/:@]*):\S*@"), rf"\1:{MASK}@"),
    (re.compile(r"sl_(live|test|admin)_[\w.~+/=-]*"), rf"sl_\1_{MASK}"),
    (re.compile(r"\b(bearer|basic)\s+[^\s\"',]+", re.IGNORECASE), rf"\1 {MASK}"),
    (
        re.compile(
            r"(pass(?:word|wd)?|pwd|secret|token|api[-_]?key|authorization)"
            r"([\"']?\s*[=:]\s*)(?:\"[^\"]*\"|'[^']*'|(?!bearer\b|basic\b)[^\s,;&\"']+)",
            re.IGNORECASE,
        ),
        rf"\1\2{MASK}",
    ),
)


def redact_text(text: str) -> str:
    """Return the text without phone numbers, keys, passwords and quoted rows."""
    if _is_id(text):
        return text
    return _scrub_short(text) if len(text) <= _SHORT else _scrub(text)


def redact(name: str, value: Any) -> Any:
    """Return what may be shown of a value under its name, as plain JSON values."""
    kind = type(value)
    if is_sensitive(name) and value is not None and kind is not bool:
        return MASK
    if kind is str:
        return redact_text(value)
    if kind is int and not -_SMALL_INTEGER < value < _SMALL_INTEGER:
        return value if _is_quantity(name) else MASK
    return _redact_other(name, value, _DEPTH_MAX)


@lru_cache(maxsize=2_048)
def is_sensitive(name: str) -> bool:
    """Tell whether a name says that its value must not be shown."""
    return _last_word(name) in _SENSITIVE_WORDS


@lru_cache(maxsize=2_048)
def _is_quantity(name: str) -> bool:
    return _last_word(name) in _QUANTITY_WORDS


def _last_word(name: str) -> str:
    words = _WORDS.findall(name)
    return words[-1].lower() if words else ""


def _redact_other(name: str, value: Any, depth: int) -> Any:
    match value:
        case None | bool() | float() | date():
            return value
        case Enum():
            return _redact_within(name, value.value, depth)
        case int():
            return redact(name, int(value))
        case str():
            return redact_text(str(value))
        case UUID():
            return str(value)
        case PurePath():
            return redact_text(str(value))
        case BaseException():
            return f"{type(value).__name__}: {redact_text(str(value))}"
        case Mapping() | list() | tuple() | set() | frozenset():
            return _redact_items(name, value, depth)
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
