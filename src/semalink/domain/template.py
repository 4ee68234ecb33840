"""Templates of campaigns: a text whose variables stand in braces, filled for each recipient."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from semalink.domain.campaign_errors import InvalidTemplate

#: A text names at most so many variables.
VARIABLES_MAX = 50
VARIABLE_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,39}"

#: A doubled brace stands for itself, a variable for what a recipient has; a lone { is a mistake.
_TOKEN = re.compile(r"\{\{|\}\}|\{(" + VARIABLE_NAME + r")\}|\{")


class Missing(NamedTuple):
    """Why a text cannot be filled: nothing is known for this variable."""

    variable: str


@dataclass(frozen=True, slots=True)
class Template:
    """A text cut at its variables."""

    #: Literal text at the even places, names of variables at the odd ones.
    parts: tuple[str, ...] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Cut a text at its variables; raises InvalidTemplate, which says where it is wrong."""
        parts: list[str] = [""]
        end = 0
        for match in _TOKEN.finditer(text):
            parts[-1] += text[end : match.start()]
            end = match.end()
            found = match.group()
            if match[1] is not None:
                parts += (match[1], "")
            elif found == "{":
                raise InvalidTemplate(_why_wrong(text, match.start()))
            else:
                parts[-1] += found[0]
        parts[-1] += text[end:]
        if len(parts) // 2 > VARIABLES_MAX:
            raise InvalidTemplate(f"The text has more than {VARIABLES_MAX} variables.")
        return cls(tuple(parts))

    @property
    def variables(self) -> frozenset[str]:
        """The names of the variables."""
        return frozenset(self.parts[1::2])

    def fill(self, values: Mapping[str, object], defaults: Mapping[str, str]) -> str | Missing:
        """Return the text of one recipient, or which variable is missing; values are inert.

        An empty value is as good as none: nobody is greeted with a blank.
        """
        filled = list(self.parts)
        for place in range(1, len(filled), 2):
            name = filled[place]
            value = _as_text(values.get(name)) or _as_text(defaults.get(name))
            if value is None:
                return Missing(name)
            filled[place] = value
        return "".join(filled)


def _as_text(value: object) -> str | None:
    if isinstance(value, str):
        return value if value and not value.isspace() else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None


def _why_wrong(text: str, place: int) -> str:
    closing = text.find("}", place)
    if closing < 0:
        return (
            f"The brace at position {place + 1} is not closed. "
            "Write a variable as {first_name}, and a brace that belongs to the text twice."
        )
    return (
        f"What stands in the braces at position {place + 1} is no name of a variable: use 1 to 40 "
        "letters, digits and underscores, no digit first. Write a brace that belongs to the text "
        "twice."
    )
