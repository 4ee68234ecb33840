"""Characters that look like those of GSM-7: replaced, a text need not travel in UCS-2."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from unicodedata import normalize

from semalink.domain.segments import Encoding, Measure, measure


@dataclass(frozen=True, slots=True)
class Replacement:
    """A character that was replaced, and by what."""

    character: str
    replacement: str
    #: Every index of it in the text, counted in code points from 0.
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Replaced:
    """A text without its look-alikes, and what it then takes."""

    text: str = field(repr=False)
    measure: Measure
    replacements: tuple[Replacement, ...]
    saved_segments: int


#: By what stands for them. Only what a reader takes for the same; never a letter with an accent.
_SAME: dict[str, str] = {
    "'": "\u2018\u2019\u201a\u201b\u2032\u2035\u02b9\u02bb\u02bc\u02bd\u02c8\u2039\u203a`\u00b4",
    '"': "\u201c\u201d\u201e\u201f\u2033\u2036\u02ba\u00ab\u00bb\u301d\u301e",
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\ufe58\ufe63",
    " ": (
        "\t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
        "\u202f\u205f\u3000"
    ),
    "\n": "\u000b\u0085\u2028\u2029",
    "": "\u00ad\u200b\u2060\ufeff",
    "...": "\u2026",
    "*": "\u2022\u2023\u2217\u25aa\u25cf",
    ".": "\u00b7\u2024\u2219",
    "/": "\u2044\u2215",
    ":": "\u02d0\u2236\ua789",
    "~": "\u02dc\u223c",
    "^": "\u02c6",
    "|": "\u00a6\u2223",
    "x": "\u00d7",
    "ff": "\ufb00",
    "fi": "\ufb01",
    "fl": "\ufb02",
}
#: Cyrillic and Greek letters that are drawn as Latin ones, each above its Latin letter.
_FOREIGN = (
    "\u0410\u0412\u0421\u0415\u041d\u0406\u0408\u041a\u041c\u041e\u0420\u0405\u0422\u0425"
    "\u0430\u0441\u0435\u043e\u0440\u0443\u0445\u0456\u0458\u0455\u04bb\u051b\u051d"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7"
    "\u03bf"
)
_LATIN = "ABCEHIJKMOPSTX" + "aceopyxijshqw" + "ABEZHIKMNOPTYX" + "o"
#: Full-width forms, and the styled letters of mathematics.
_STYLED = (range(0xFF01, 0xFF5F), range(0x1D400, 0x1D800))


def _pairs() -> Iterator[tuple[str, str]]:
    for block in _STYLED:
        for number in block:
            plain = normalize("NFKC", chr(number))
            if len(plain) == 1 and plain.isascii():
                yield chr(number), "'" if plain == "`" else plain
    yield from zip(_FOREIGN, _LATIN, strict=True)
    for plain, alike in _SAME.items():
        for character in alike:
            yield character, plain


_PLAIN_OF = dict(_pairs())
_TABLE = str.maketrans(_PLAIN_OF)


def replace_lookalikes(text: str, measured: Measure) -> Replaced | None:
    """Return the text without look-alikes; None when that would not bring it into GSM-7.

    What cannot leave UCS-2 is better left as it was written. No text takes more segments after.
    """
    if measured.encoding is Encoding.GSM_7:
        return None
    plain = text.translate(_TABLE)
    after = measure(plain)
    saved = measured.segments - after.segments
    if after.encoding is not Encoding.GSM_7 or saved < 0:
        return None
    return Replaced(plain, after, _found_in(text), saved)


def unified(text: str) -> str:
    """Return a text in which look-alikes are what they look like; for comparing only."""
    return text.translate(_TABLE)


def _found_in(text: str) -> tuple[Replacement, ...]:
    positions: dict[str, list[int]] = {}
    for index, character in enumerate(text):
        if character in _PLAIN_OF:
            positions.setdefault(character, []).append(index)
    return tuple(
        Replacement(character, _PLAIN_OF[character], tuple(found))
        for character, found in positions.items()
    )
