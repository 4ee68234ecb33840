"""Encoding and length of a text: GSM-7 or UCS-2, units and segments (3GPP TS 23.038, 23.040)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum


class Encoding(StrEnum):
    """How a text travels."""

    GSM_7 = "GSM-7"
    UCS_2 = "UCS-2"


@dataclass(frozen=True, slots=True)
class ForcingCharacter:
    """A character outside GSM-7, for which the whole text travels in UCS-2."""

    character: str
    #: Every index of it in the text, counted in code points from 0.
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Measure:
    """What a text takes on the air."""

    encoding: Encoding
    #: Septets in GSM-7, UTF-16 code units in UCS-2.
    units: int
    segments: int
    _text: str = field(repr=False, compare=False)

    @property
    def forcing_characters(self) -> tuple[ForcingCharacter, ...]:
        """The distinct characters that force UCS-2, in the order of the text; slow, for quotes."""
        positions: dict[str, list[int]] = {}
        for match in _OUTSIDE_GSM_7.finditer(self._text):
            positions.setdefault(match.group(), []).append(match.start())
        return tuple(ForcingCharacter(char, tuple(found)) for char, found in positions.items())


@dataclass(frozen=True, slots=True)
class _Packing:
    """Capacities in units, and the units that may not end a segment."""

    single: int
    part: int
    leads: frozenset[str]


_ESCAPE = "\x1b"
_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = "\f^{}\\[~]|€"

_PLAIN = re.compile(f"[{re.escape(_BASIC)}]*")
_GSM_7 = re.compile(f"[{re.escape(_BASIC + _EXTENSION)}]*")
_OUTSIDE_GSM_7 = re.compile(f"[^{re.escape(_BASIC + _EXTENSION)}]")
_WITH_ESCAPES = str.maketrans({char: _ESCAPE + char for char in _EXTENSION})
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")

# A part carries a header of 6 bytes with an 8-bit reference: 140 - 6 bytes are left.
_SEPTETS = _Packing(single=160, part=153, leads=frozenset(_ESCAPE))
_UTF_16_UNITS = _Packing(single=70, part=67, leads=frozenset(map(chr, range(0xD800, 0xDC00))))


def measure(text: str) -> Measure:
    """Return the encoding, the units and the segments of a text."""
    if _PLAIN.fullmatch(text):
        units = len(text)
        segments = 1 if units <= _SEPTETS.single else -(-units // _SEPTETS.part)
        return Measure(Encoding.GSM_7, units, segments, text)
    encoding, packing, expanded = _expand(text)
    return Measure(encoding, len(expanded), sum(1 for _ in _pack(expanded, packing)), text)


def split(text: str) -> tuple[str, ...]:
    """Return the text of each segment, in order; an escape or surrogate pair stays together."""
    encoding, packing, expanded = _expand(text)
    if encoding is Encoding.GSM_7:
        return tuple(part.replace(_ESCAPE, "") for part in _pack(expanded, packing))
    return tuple(_rejoin_surrogates(part) for part in _pack(expanded, packing))


def _expand(text: str) -> tuple[Encoding, _Packing, str]:
    """One character a unit: an escape before each extension, or a pair for an astral one."""
    if _GSM_7.fullmatch(text):
        return Encoding.GSM_7, _SEPTETS, text.translate(_WITH_ESCAPES)
    return Encoding.UCS_2, _UTF_16_UNITS, _ASTRAL.sub(_as_surrogates, text)


def _pack(expanded: str, packing: _Packing) -> Iterator[str]:
    """Fill each segment as far as whole characters allow; an empty text is one empty segment."""
    if len(expanded) <= packing.single:
        yield expanded
        return
    start = 0
    while start < len(expanded):
        end = start + packing.part
        # The last unit of the text is never the first of a pair, so only full parts are looked at.
        if end < len(expanded) and expanded[end - 1] in packing.leads:
            end -= 1
        yield expanded[start:end]
        start = end


def _as_surrogates(match: re.Match[str]) -> str:
    offset = ord(match.group()) - 0x10000
    return chr(0xD800 + (offset >> 10)) + chr(0xDC00 + (offset & 0x3FF))


def _rejoin_surrogates(units: str) -> str:
    return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
