"""Which column of a file holds what, and what attributes of contacts may be."""

import csv
import re
from dataclasses import dataclass
from functools import lru_cache

from semalink.domain.contact_errors import InvalidColumns, NumberColumnMissing

ATTRIBUTES_MAX = 50
ATTRIBUTE_LENGTH_MAX = 500
ATTRIBUTE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")

_DELIMITERS = (",", ";", "\t", "|")
#: Likeliest first; as they are written without marks and in lower case.
_NUMBER_NAMES = (
    "number", "phonenumber", "phone", "msisdn", "mobilenumber", "mobile", "cellnumber", "cell",
    "cellphone", "phoneno", "mobileno", "telephone", "telephonenumber", "tel", "recipient", "to",
    "namba", "simu",
)  # fmt: skip
_MARKS = re.compile(r"[\s_.\-]+")


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a file, as its header names them."""

    delimiter: str
    #: Attributes by column; the number's own is there under its name, too.
    names: tuple[str, ...]
    number_at: int


def read_columns(header: str, number_column: str | None = None) -> Columns:
    """Return what a header names; raises InvalidColumns, NumberColumnMissing."""
    delimiter = max(_DELIMITERS, key=header.count)
    if header.count(delimiter) > ATTRIBUTES_MAX:
        raise InvalidColumns(
            f"The header has more than {ATTRIBUTES_MAX + 1} columns: one for the number and "
            f"{ATTRIBUTES_MAX} for attributes. Leave out the others."
        )
    try:
        [cells] = csv.reader([header], delimiter=delimiter, strict=True)
    except (csv.Error, ValueError):
        raise InvalidColumns(
            'The header is wrongly quoted. Write a quote within a quoted cell twice: "".'
        ) from None
    names = [cell.strip() for cell in cells]
    while len(names) > 1 and not names[-1]:
        # Spreadsheets write empty columns at the end.
        names.pop()
    number_at = _find_number(names, number_column)
    attributes = [
        name if place == number_at else _attribute_name(name, place)
        for place, name in enumerate(names)
    ]
    others = [name for place, name in enumerate(attributes) if place != number_at]
    twice = next((name for name in others if others.count(name) > 1), None)
    if twice is not None:
        raise InvalidColumns(f'Two columns have the name "{twice}". Rename or remove one of them.')
    return Columns(delimiter, tuple(attributes), number_at)


@lru_cache(maxsize=1_024)
def rank_as_number(name: str) -> int | None:
    """Return how likely a name is that of the number, 0 the likeliest; None: it is not."""
    bare = _MARKS.sub("", name).lower()
    return _NUMBER_NAMES.index(bare) if bare in _NUMBER_NAMES else None


def _find_number(names: list[str], wanted: str | None) -> int:
    if wanted is not None:
        if wanted not in names:
            raise NumberColumnMissing(wanted)
        return names.index(wanted)
    ranked = [
        (rank, place)
        for place, name in enumerate(names)
        if (rank := rank_as_number(name[:ATTRIBUTE_LENGTH_MAX])) is not None
    ]
    if not ranked:
        raise NumberColumnMissing(None)
    return min(ranked)[1]


def _attribute_name(name: str, place: int) -> str:
    tried = re.sub(r"[\s.\-]+", "_", name)
    if ATTRIBUTE_NAME.fullmatch(tried) is None:
        raise InvalidColumns(
            f"Column {place + 1} has a name that no attribute can have. Use 1 to 40 letters, "
            "digits and underscores, a letter first."
        )
    return tried
