"""A file of contacts as it comes in, cut into pieces between rows, never held whole."""

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from semalink.domain.contact_errors import (
    ContactFileEmpty,
    InvalidEncoding,
    LineTooLong,
    TooManyRows,
    UnclosedQuote,
)

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class FileLimits:
    """How much one file may hold, and how it is cut."""

    rows_max: int = 1_000_000
    row_bytes_max: int = 64 * 1024
    piece_rows: int = 5_000
    piece_bytes: int = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """Whole rows of a file, in their order."""

    #: Where the first of them is in the file; lines count from 1.
    first_line: int
    row_count: int
    content: bytes


class FileCutter:
    """Cuts what it is fed; quotes hold line feeds together where the format has them."""

    def __init__(self, limits: FileLimits, *, has_quotes: bool, has_header: bool) -> None:
        self._limits = limits
        self._has_quotes = has_quotes
        self._wants_header = has_header
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        #: What follows the last line feed.
        self._rest = b""
        #: Lines of a row whose quote is still open, and where it began.
        self._open: list[bytes] = []
        self._open_bytes = 0
        #: Rows of the piece that is being filled, and the line where it begins.
        self._rows: list[bytes] = []
        self._bytes = 0
        self._piece_line = 1
        self._lines = 0
        self._is_first = True
        #: The first row, where the file has a header and it has come.
        self.header: bytes | None = None
        self.row_count = 0
        self.byte_count = 0

    def feed(self, chunk: bytes) -> Sequence[Piece]:
        """Take more of the file; return the pieces that are full. Raises what is wrong with it."""
        self._check_text(chunk)
        self.byte_count += len(chunk)
        whole = self._rest + chunk
        if self._is_first:
            if len(whole) < len(_BOM):
                self._rest = whole
                return []
            self._is_first = False
            whole = whole.removeprefix(_BOM)
        *lines, self._rest = whole.split(b"\n")
        self._take(lines)
        if len(self._rest) > self._limits.row_bytes_max:
            self._refuse_length(self._lines + 1)
        return list(self._cut(last=False))

    def finish(self) -> Sequence[Piece]:
        """Return the rest of the pieces. Raises what is wrong with the end of the file."""
        try:
            self._decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            raise InvalidEncoding(self._lines + 1, self.byte_count) from None
        if self._rest:
            self._take(self._rest.split(b"\n"))
        if self._open:
            raise UnclosedQuote(self._lines - len(self._open) + 1)
        if not self.row_count:
            raise ContactFileEmpty
        return list(self._cut(last=True))

    def _check_text(self, chunk: bytes) -> None:
        try:
            self._decoder.decode(chunk)
        except UnicodeDecodeError as error:
            # The decoder may have kept the beginning of a character from the chunk before.
            kept = len(error.object) - len(chunk)
            self._refuse_byte(chunk, error.start - kept, is_nul=False)
        nul_at = chunk.find(0)
        if nul_at >= 0:
            self._refuse_byte(chunk, nul_at, is_nul=True)

    def _refuse_byte(self, chunk: bytes, place: int, *, is_nul: bool) -> None:
        line = self._lines + 1 + chunk[: max(0, place)].count(b"\n")
        raise InvalidEncoding(line, self.byte_count + place + 1, is_nul=is_nul)

    def _take(self, lines: list[bytes]) -> None:
        if self._has_quotes and (self._open or any(b'"' in line for line in lines)):
            for line in lines:
                self._take_quoted(line)
            return
        if lines and max(map(len, lines)) > self._limits.row_bytes_max:
            place = next(n for n, one in enumerate(lines) if len(one) > self._limits.row_bytes_max)
            self._refuse_length(self._lines + place + 1)
        self._lines += len(lines)
        self._add(lines)

    def _take_quoted(self, line: bytes) -> None:
        self._lines += 1
        is_odd = line.count(b'"') & 1 == 1
        if not self._open and not is_odd:
            if len(line) > self._limits.row_bytes_max:
                self._refuse_length(self._lines)
            self._add([line])
            return
        self._open.append(line)
        self._open_bytes += len(line) + 1
        if self._open_bytes > self._limits.row_bytes_max:
            raise UnclosedQuote(self._lines - len(self._open) + 1)
        if is_odd and len(self._open) > 1:
            row = b"\n".join(self._open)
            self._open, self._open_bytes = [], 0
            self._add([row])

    def _refuse_length(self, line: int) -> None:
        if self._open:
            raise UnclosedQuote(self._lines - len(self._open) + 1)
        raise LineTooLong(line, self._limits.row_bytes_max)

    def _add(self, rows: list[bytes]) -> None:
        if self._wants_header:
            rows = self._take_header(rows)
        self._rows += rows
        self._bytes += sum(map(len, rows))
        self.row_count += _count_rows(rows)
        if self.row_count > self._limits.rows_max:
            raise TooManyRows(self._limits.rows_max)

    def _take_header(self, rows: list[bytes]) -> list[bytes]:
        for place, row in enumerate(rows):
            if row.strip():
                self.header, self._wants_header = row, False
                behind = rows[place + 1 :]
                self._piece_line = self._lines - _count_lines(behind) + 1
                return behind
        return []

    def _cut(self, *, last: bool) -> Iterator[Piece]:
        limits = self._limits
        while len(self._rows) >= limits.piece_rows or self._bytes >= limits.piece_bytes:
            piece = self._piece(self._rows[: self._fill()])
            # Nothing but blank lines is nobody's work.
            if piece.row_count:
                yield piece
        if last and _count_rows(self._rows):
            yield self._piece(self._rows)

    def _fill(self) -> int:
        """Return how many rows fill a piece."""
        length = 0
        for place, row in enumerate(self._rows[: self._limits.piece_rows]):
            length += len(row)
            if length >= self._limits.piece_bytes:
                return place + 1
        return self._limits.piece_rows

    def _piece(self, rows: list[bytes]) -> Piece:
        piece = Piece(self._piece_line, _count_rows(rows), b"\n".join(rows))
        self._rows = self._rows[len(rows) :]
        self._bytes -= sum(map(len, rows))
        self._piece_line += _count_lines(rows)
        return piece


def _count_rows(rows: list[bytes]) -> int:
    return len(rows) - rows.count(b"") - rows.count(b"\r")


def _count_lines(rows: list[bytes]) -> int:
    return len(rows) + sum(row.count(b"\n") for row in rows)
