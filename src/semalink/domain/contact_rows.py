"""Rows of a file as contacts, and why some of them are none."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from semalink.domain.contact_columns import (
    ATTRIBUTE_LENGTH_MAX,
    ATTRIBUTE_NAME,
    ATTRIBUTES_MAX,
    Columns,
    rank_as_number,
)
from semalink.domain.errors import InvalidNumber
from semalink.domain.phone_number import PhoneNumber, parse

#: Longer than any way to write a number.
_NUMBER_LENGTH_MAX = 64


@dataclass(slots=True)
class Contact:
    """One contact as a file tells it."""

    line: int
    number: PhoneNumber
    attributes: dict[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that is no contact; neither code nor reason holds anything of it."""

    line: int
    code: str
    reason: str


@dataclass(slots=True)
class CheckedRows:
    """What the rows of a piece come to."""

    #: By number, those of several rows merged: the later one wins.
    contacts: dict[str, Contact] = field(default_factory=dict)
    rejected: list[RejectedRow] = field(default_factory=list)
    duplicate_count: int = 0

    def add(self, contact: Contact) -> None:
        """Take a contact, or add its attributes to the one of the same number before it."""
        before = self.contacts.get(contact.number.e164)
        if before is None:
            self.contacts[contact.number.e164] = contact
            return
        if len(before.attributes | contact.attributes) > ATTRIBUTES_MAX:
            self.rejected.append(too_many(contact.line))
            return
        before.attributes |= contact.attributes
        self.duplicate_count += 1


class _Rejected(Exception):
    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(code)


def too_many(line: int) -> RejectedRow:
    """Return the refusal of a row after which a contact would have too many attributes."""
    return RejectedRow(
        line,
        "too_many_attributes",
        f"The contact would have more than {ATTRIBUTES_MAX} attributes.",
    )


def check_csv(
    content: bytes, first_line: int, columns: Columns, default_country: str
) -> CheckedRows:
    """Return the contacts of a piece of CSV."""
    checked = CheckedRows()
    for line, row in _rows(content, first_line, has_quotes=True):
        try:
            cells = _cells(row, columns)
            number = _number(cells[columns.number_at], default_country)
            attributes = {
                name: value
                for place, (name, cell) in enumerate(zip(columns.names, cells, strict=True))
                if place != columns.number_at and (value := cell.strip())
            }
            _check_lengths(attributes)
        except _Rejected as why:
            checked.rejected.append(RejectedRow(line, why.code, why.reason))
        else:
            checked.add(Contact(line, number, attributes))
    return checked


def check_ndjson(
    content: bytes, first_line: int, number_field: str | None, default_country: str
) -> CheckedRows:
    """Return the contacts of a piece of NDJSON."""
    checked = CheckedRows()
    for line, row in _rows(content, first_line, has_quotes=False):
        try:
            found = _read_object(row)
            name = _number_field(found, number_field)
            written = found.pop(name)
            number = _number(written if isinstance(written, str) else "", default_country)
            attributes = _attributes(found)
        except _Rejected as why:
            checked.rejected.append(RejectedRow(line, why.code, why.reason))
        else:
            checked.add(Contact(line, number, attributes))
    return checked


def _rows(content: bytes, first_line: int, *, has_quotes: bool) -> Iterator[tuple[int, str]]:
    """Yield each row that is not empty, with its line; rows are cut where the file was."""
    line = first_line
    opened: list[str] = []
    is_open = False
    for text in content.decode().split("\n"):
        if has_quotes and (opened or '"' in text):
            opened.append(text)
            is_open ^= text.count('"') & 1 == 1
            if is_open:
                continue
            row = "\n".join(opened)
            yield line, row.removesuffix("\r")
            line += len(opened)
            opened = []
            continue
        row = text.removesuffix("\r")
        if row:
            yield line, row
        line += 1


def _cells(row: str, columns: Columns) -> Sequence[str]:
    if '"' in row:
        try:
            cells = next(csv.reader([row], delimiter=columns.delimiter, strict=True))
        except (csv.Error, ValueError):
            raise _Rejected(
                "wrong_quoting",
                'The row is wrongly quoted. Write a quote within a quoted cell twice: "".',
            ) from None
    else:
        cells = row.split(columns.delimiter)
    wanted = len(columns.names)
    if len(cells) == wanted:
        return cells
    if len(cells) > wanted and not any(cell.strip() for cell in cells[wanted:]):
        return cells[:wanted]
    raise _Rejected(
        "wrong_column_count", f"The row has {len(cells)} columns, and the header has {wanted}."
    )


def _number(written: str, default_country: str) -> PhoneNumber:
    if len(written) > _NUMBER_LENGTH_MAX:
        raise _Rejected("invalid_number", "The number has too many digits.")
    try:
        return parse(written, default_country)
    except InvalidNumber as error:
        raise _Rejected(error.code, str(error)) from None


def _read_object(row: str) -> dict[str, Any]:
    try:
        # Numbers as they are written: none of them is counted with.
        found = json.loads(row, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        raise _Rejected("invalid_json", "The line is not JSON.") from None
    if not isinstance(found, dict):
        raise _Rejected("invalid_json", "The line is not a JSON object.")
    return found


def _number_field(found: Mapping[str, Any], wanted: str | None) -> str:
    if wanted is not None:
        name = wanted if wanted in found else None
    else:
        ranked = [
            (rank, name)
            for name in found
            if len(name) <= _NUMBER_LENGTH_MAX and (rank := rank_as_number(name)) is not None
        ]
        name = min(ranked)[1] if ranked else None
    if name is None:
        raise _Rejected("number_missing", 'The object has no field "number".')
    return name


def _attributes(found: Mapping[str, Any]) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for name, value in found.items():
        if isinstance(value, bool):
            attributes[name] = "true" if value else "false"
        elif isinstance(value, str):
            if text := value.strip():
                attributes[name] = text
        elif value is not None:
            raise _Rejected("nested_value", "An attribute is a list or an object; write a text.")
    _check_names(attributes)
    _check_lengths(attributes)
    return attributes


def _check_names(attributes: Mapping[str, str]) -> None:
    if len(attributes) > ATTRIBUTES_MAX:
        raise _Rejected(
            "too_many_attributes", f"A contact has at most {ATTRIBUTES_MAX} attributes."
        )
    for name in attributes:
        if ATTRIBUTE_NAME.fullmatch(name) is None:
            raise _Rejected(
                "invalid_attribute_name",
                "A name of an attribute has 1 to 40 letters, digits and underscores, a letter "
                "first.",
            )


def _check_lengths(attributes: Mapping[str, str]) -> None:
    for value in attributes.values():
        if len(value) > ATTRIBUTE_LENGTH_MAX:
            raise _Rejected(
                "attribute_too_long",
                f"An attribute has more than {ATTRIBUTE_LENGTH_MAX} characters.",
            )
        if not value.isascii() or "\0" in value:
            _check_storable(value)


def _check_storable(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        is_text = False
    else:
        is_text = "\0" not in value
    if not is_text:
        raise _Rejected("invalid_text", "An attribute holds what is no character.")
