"""Providers' words as customers read them: without what the platform pays, and has."""

import re

_HIDDEN = "*"
_NUMBER = r"-?\d(?:[\d.,]*\d)?"
#: Sums of money: after a currency, with decimals, or after a word that says what they are.
_AMOUNT = re.compile(rf"\b(?:[A-Z]{{3}}|[Kk]?[Ss]h[s]?\.?)\s?{_NUMBER}|-?\d[\d,]*\.\d+")
_NAMED = re.compile(
    r"((?:balance|cost|credits?|price|amount|charged?|required|units?)"
    rf"(?:[\s\"':=]|is|of|only)*){_NUMBER}",
    re.IGNORECASE,
)


def hide_amounts(words: str) -> str:
    """Return a provider's words without sums of money."""
    return _AMOUNT.sub(_HIDDEN, _NAMED.sub(rf"\1{_HIDDEN}", words))
