"""A file of contacts, cut as it comes in."""

from collections.abc import Sequence

import pytest

from semalink.domain.contact_errors import (
    ContactFileEmpty,
    InvalidEncoding,
    LineTooLong,
    TooManyRows,
    UnclosedQuote,
)
from semalink.domain.contact_file import FileCutter, FileLimits, Piece

SMALL = FileLimits(rows_max=10, row_bytes_max=40, piece_rows=3, piece_bytes=60)


def cut(
    *chunks: bytes, limits: FileLimits = SMALL, is_csv: bool = True
) -> tuple[list[Piece], FileCutter]:
    cutter = FileCutter(limits, has_quotes=is_csv, has_header=is_csv)
    pieces = [piece for chunk in chunks for piece in cutter.feed(chunk)]
    return [*pieces, *cutter.finish()], cutter


def lines(pieces: Sequence[Piece]) -> list[tuple[int, int]]:
    return [(piece.first_line, piece.row_count) for piece in pieces]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
def test_feed_cuts_the_same_pieces_however_the_file_comes(size: int) -> None:
    file = b'\xef\xbb\xbfnumber,note\r\n1,a\n\n2,"b\nb"\n3,c\n4,d\n5,"e ""e"""\n6,f'

    pieces, cutter = cut(*(file[at : at + size] for at in range(0, len(file), size)))

    assert cutter.header == b"number,note\r"
    assert cutter.row_count == 6
    assert cutter.byte_count == len(file)
    assert b"\n".join(piece.content for piece in pieces) == file.partition(b"\r\n")[2]
    assert lines(pieces)[0] == (2, 2)
    assert [piece.row_count for piece in pieces] == [2, 3, 1]
    assert [piece.first_line for piece in pieces] == [2, 6, 9]


def test_feed_cuts_by_bytes_where_rows_are_long() -> None:
    row = b"7" * 30

    pieces, _ = cut(b"number\n" + b"\n".join([row] * 5))

    assert lines(pieces) == [(2, 2), (4, 2), (6, 1)]


def test_feed_takes_blank_lines_before_the_header() -> None:
    pieces, cutter = cut(b"\n \nnumber\n1\n")

    assert cutter.header == b"number"
    assert lines(pieces) == [(4, 1)]


def test_feed_makes_no_piece_of_blank_lines() -> None:
    pieces, cutter = cut(b"number\n" + b"\n" * 100 + b"1\n")

    assert sum(piece.row_count for piece in pieces) == cutter.row_count == 1
    assert lines(pieces) == [(101, 1)]


def test_feed_takes_quotes_as_they_are_where_the_format_has_none() -> None:
    pieces, cutter = cut(b'{"a":"1"}\n"\n{}\n', is_csv=False)

    assert cutter.header is None
    assert lines(pieces) == [(1, 3)]


@pytest.mark.parametrize(
    ("file", "line", "byte"),
    [
        (b"number\n1\n\xff\n", 3, 10),
        (b"\xff\xfen\x00", 1, 1),
        (b"number\n1\x00\n", 2, 9),
        (b"number\n1\n\xc3", 3, 10),
    ],
)
@pytest.mark.parametrize("size", [1, 100])
def test_feed_refuses_what_is_no_text_with_its_place(
    file: bytes, line: int, byte: int, size: int
) -> None:
    chunks = [file[at : at + size] for at in range(0, len(file), size)]

    with pytest.raises(InvalidEncoding, match=rf"Byte {byte} of the file, in line {line}, "):
        cut(*chunks)


@pytest.mark.parametrize(
    "file",
    [
        b'number,n\n1,a\n2,"b\n3,c\n',
        b'number,n\n1,a\n2,"' + b"b\n" * 100,
        b'number,n\n1,a\n2,"b\n' + b"b" * 100,
        b'number,n\n1,a\n2,"' + b"\n" * 100,
    ],
)
def test_feed_refuses_a_quote_that_nothing_closes(file: bytes) -> None:
    with pytest.raises(UnclosedQuote, match="in line 3 "):
        cut(file)


@pytest.mark.parametrize(
    "file", [b"number\n1\n" + b"7" * 41, b"number\n1\n%s\n1" % (b"7" * 41),
             b'number\n"1"\n"%s"\n1' % (b"7" * 41)],
)  # fmt: skip
def test_feed_refuses_a_row_that_is_too_long(file: bytes) -> None:
    with pytest.raises(LineTooLong, match="in line 3 has more than 40 bytes"):
        cut(file)


def test_feed_refuses_more_rows_than_allowed() -> None:
    with pytest.raises(TooManyRows, match="more than 10 rows"):
        cut(b"number\n" + b"1\n" * 11)


@pytest.mark.parametrize("file", [b"", b"\xef\xbb\xbf", b"number", b"number\n\n\r\n", b"\n"])
def test_finish_refuses_a_file_without_rows(file: bytes) -> None:
    with pytest.raises(ContactFileEmpty):
        cut(file)
