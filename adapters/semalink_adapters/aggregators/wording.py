"""What providers write, made comparable and safe to keep: codes, words, references, amounts."""

import re
from typing import NamedTuple, TypeVar

import msgspec

#: Providers write the same field now as a number and now as a string.
Scalar = str | int | float | bool | None

T = TypeVar("T")

_WORDS_MAX = 200
_CODE_MAX = 40
_REFERENCE_MAX = 128
#: An echo of the text is hidden from this length on; shorter runs any two sentences may share.
_ECHO_MIN = 12
_SECRET_MIN = 4
_HIDDEN = "*"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NO_REFERENCES = frozenset({"", "0", "none", "null"})
_LONG_NUMBER = re.compile(r"\+?\d(?:[ ()./-]?\d){6,}")
_AMOUNT = re.compile(r"(?:([A-Z]{3})\s*)?(-?)(\d{1,12})(?:\.(\d{1,12}))?", re.ASCII)


class Unreadable(Exception):
    """The bytes are not what the provider's documents say."""


class Amount(NamedTuple):
    """A sum of money, or of units, that a provider named."""

    #: Three letters; empty when the provider named none.
    currency: str
    micros: int


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Decode JSON of a stranger; raises Unreadable for whatever is wrong with it."""
    try:
        return decoder.decode(body.removeprefix(_BYTE_ORDER_MARK))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The cause would carry the body, and with it numbers.
        raise Unreadable("The body is not the JSON that was expected.") from None


def plain(value: Scalar) -> str:
    """Return a number or a string as a string, without space around it; "" for nothing."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def folded(words: str) -> str:
    """Return words as the status tables spell them: lower case, no spaces."""
    return "".join(words.split()).lower()


def reference_of(value: Scalar) -> str | None:
    """Return the provider's id of a message, or None when the value is not an id."""
    text = plain(value)
    if text.lower() in _NO_REFERENCES or len(text) > _REFERENCE_MAX or not text.isprintable():
        return None
    return text


def scrub(words: str, *, text: str = "", secrets: tuple[str, ...] = ()) -> str:
    """Return a provider's words without our keys, the text of the message, or long numbers."""
    words = hide_echo(hide_secrets(words, secrets)[: 4 * _WORDS_MAX], text)
    words = "".join(char if char.isprintable() else " " for char in words)
    return " ".join(hide_numbers(words).split())[:_WORDS_MAX]


def hide_secrets(words: str, secrets: tuple[str, ...]) -> str:
    """Return words without our keys."""
    for secret in secrets:
        if len(secret) >= _SECRET_MIN:
            # Part of a longer number is another number; our number there is a small one.
            whole = rf"(?<!\d){secret}(?!\d)" if secret.isdecimal() else re.escape(secret)
            words = re.sub(whole, _HIDDEN, words)
    return words


def hide_numbers(words: str) -> str:
    """Return words without numbers that may be those of phones."""
    return _LONG_NUMBER.sub(_HIDDEN, words)


def scrub_code(code: str) -> str:
    """Return a provider's code, short and without long numbers, to be stored and logged."""
    return scrub(code)[:_CODE_MAX]


def parse_amount(text: str) -> Amount | None:
    """Read "KES 0.8000", "545.00" or "0", rounding to micros towards zero; None for no amount."""
    match = _AMOUNT.fullmatch(text.replace(",", "").strip())
    if match is None:
        return None
    currency, sign, whole, fraction = match.groups(default="")
    micros = int(whole) * 1_000_000 + int(fraction[:6].ljust(6, "0"))
    return Amount(currency, -micros if sign else micros)


def hide_echo(words: str, text: str) -> str:
    """Return words without pieces of the text of a message."""
    if len(text) < _ECHO_MIN:
        return words.replace(text, _HIDDEN) if len(text) >= _SECRET_MIN else words
    pieces = {text[start : start + _ECHO_MIN] for start in range(len(text) - _ECHO_MIN + 1)}
    echoed: set[int] = set()
    for start in range(len(words) - _ECHO_MIN + 1):
        if words[start : start + _ECHO_MIN] in pieces:
            echoed.update(range(start, start + _ECHO_MIN))
    return "".join(_HIDDEN if at in echoed else char for at, char in enumerate(words))
