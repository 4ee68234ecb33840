"""However a file is sent and cut, its rows stay the same, on the same lines."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from semalink.domain.contact_columns import read_columns
from semalink.domain.contact_file import FileCutter, FileLimits
from semalink.domain.contact_rows import CheckedRows, check_csv

NUMBERS = st.integers(0, 20).map("07120000{:02}".format) | st.sampled_from(["", "12", '"'])
CELLS = st.text(st.sampled_from('ab ",\n\r;é'), max_size=6)
COLUMNS = read_columns("number,a,b")


def render(rows: list[tuple[str, str, str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("number", "a", "b"), *rows])
    return text.getvalue().encode()


def told(checked: CheckedRows) -> tuple[object, ...]:
    contacts = {number: one.attributes for number, one in checked.contacts.items()}
    return contacts, [(row.line, row.code) for row in checked.rejected]


@given(
    rows=st.lists(st.tuples(NUMBERS, CELLS, CELLS), min_size=1, max_size=12),
    chunk_bytes=st.integers(1, 40),
    piece_rows=st.integers(1, 5),
)
def test_cutting_changes_no_row_and_no_line(
    rows: list[tuple[str, str, str]], chunk_bytes: int, piece_rows: int
) -> None:
    file = render(rows)
    cutter = FileCutter(FileLimits(piece_rows=piece_rows), has_quotes=True, has_header=True)
    pieces = []
    for at in range(0, len(file), chunk_bytes):
        pieces += cutter.feed(file[at : at + chunk_bytes])
    pieces += cutter.finish()

    together = CheckedRows()
    for piece in pieces:
        of_piece = check_csv(piece.content, piece.first_line, COLUMNS, "KE")
        for contact in of_piece.contacts.values():
            together.add(contact)
        together.rejected += of_piece.rejected

    whole = check_csv(file.partition(b"\n")[2], 2, COLUMNS, "KE")
    assert told(together) == told(whole)
    assert sum(piece.row_count for piece in pieces) == len(rows)


@given(rows=st.lists(st.tuples(NUMBERS, CELLS, CELLS), min_size=1, max_size=12))
def test_every_row_counts_once(rows: list[tuple[str, str, str]]) -> None:
    checked = check_csv(render(rows).partition(b"\n")[2], 2, COLUMNS, "KE")

    counted = len(checked.contacts) + checked.duplicate_count + len(checked.rejected)
    assert counted == len(rows)
