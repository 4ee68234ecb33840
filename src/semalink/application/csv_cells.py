"""Cells of files that end in spreadsheets: nothing that is written becomes a formula there."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import datetime

#: A spreadsheet would take a cell that begins so for a formula.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
#: A plain number is only a number there, and others have to read it back as it was.
_PLAIN_NUMBER = re.compile(r"[+-]?[0-9]+", re.ASCII)


def text_cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: behind a quote if need be."""
    if text.startswith(_FORMULAS) and not _PLAIN_NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def time_cell(at: datetime | None) -> str:
    """Return an instant as RFC 3339; nothing for none."""
    return "" if at is None else at.isoformat().replace("+00:00", "Z")


def csv_lines(rows: Iterable[Sequence[object]]) -> bytes:
    """Return the lines of a CSV file (RFC 4180, UTF-8) that hold these rows."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue().encode()
