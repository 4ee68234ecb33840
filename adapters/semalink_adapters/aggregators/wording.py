"""What providers write, made comparable and safe to keep: codes, words, references, amounts."""

import re
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from semalink_adapters.aggregators.exchange import NoAnswer

#: Providers write the same field now as a number and now as a string.
Scalar = str | int | float | bool | None

_WORDS_MAX = 200
_REFERENCE_MAX = 128
#: An echo of the text is hidden from so many characters on; below that any two sentences share some.
_ECHO_MIN = 12
_SECRET_MIN = 4
_HIDDEN = "…"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NO_REFERENCES = frozenset({"", "0", "none", "null"})
_NUMBER = re.compile(r"\+?\d(?:[ ().-]?\d){6,}")
_AMOUNT = re.compile(r"(?:([A-Z]{3})\s*)?(\d{1,12})(?:\.(\d{1,12}))?", re.ASCII)


class Amount(NamedTuple):
    """A sum of money, or of units, that a provider named."""

    #: Three letters; empty when the provider named none.
    currency: str
    micros: int


def decode[T](decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Decode what a stranger sent; raises NoAnswer, whatever the bytes are."""
