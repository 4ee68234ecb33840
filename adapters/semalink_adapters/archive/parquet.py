"""Parquet files of a bounded size, with row groups that are small enough for reading one stream."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from semalink_adapters.archive.manifest import Span, sha256_of
from semalink_adapters.archive.rows import SCHEMA, Columns, rows_of

#: What one stream is read from; the server is read in pages of as many rows.
GROUP_ROWS = 8_192
#: A file is closed when it is as large; one row group more at most.
FILE_BYTES_MAX = 32 * 2**20

#: What a file ends with: how long its footer is, and four letters.
_LENGTH_AND_MAGIC = 8
_SORTED_BY = (pq.SortingColumn(0), pq.SortingColumn(1))


class FileWriter:
    """One file in memory; a row group for each page."""

    def __init__(self) -> None:
        self._sink = pa.BufferOutputStream()
        self._writer = pq.ParquetWriter(
            self._sink,
            SCHEMA,
            compression="zstd",
            compression_level=1,
            # Ids and states are all different; topics are few.
            use_dictionary=["topic", "xid"],
            write_statistics=True,
            sorting_columns=_SORTED_BY,
            write_page_checksum=True,
        )
        self.row_count = 0

    def add(self, page: Columns) -> None:
        """Add a page of rows."""
        self._writer.write_batch(page.to_batch(), row_group_size=GROUP_ROWS)
        self.row_count += len(page)

    @property
    def byte_count(self) -> int:
        """How large the file is so far."""
        return int(self._sink.tell())

    def close(self) -> bytes:
        """Return the whole file."""
        self._writer.close()
        return bytes(self._sink.getvalue())


def spans_of(content: bytes) -> tuple[Span, list[Span]]:
    """Return where the footer and the row groups of a file are, with their hashes."""
    size = int.from_bytes(content[-_LENGTH_AND_MAGIC:-4], "little") + _LENGTH_AND_MAGIC
    metadata = pq.read_metadata(pa.BufferReader(content))
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    footer = _span(content, len(content) - size, len(content))
    return footer, [_span(content, *_bounds_of(group)) for group in groups]


def _span(content: bytes, start: int, end: int) -> Span:
    return Span(start, end, sha256_of(content[start:end]))


def _bounds_of(group: Any) -> tuple[int, int]:
    columns = [group.column(place) for place in range(group.num_columns)]
    starts = [column.dictionary_page_offset or column.data_page_offset for column in columns]
    ends = [
        start + column.total_compressed_size for start, column in zip(starts, columns, strict=True)
    ]
    return min(starts), max(ends)


def read_rows(content: bytes) -> Iterator[bytes]:
    """Yield every row of a file as the server would copy it, a row group at a time."""
    source = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
    for group in range(source.num_row_groups):
        yield from rows_of(source.read_row_group(group, use_threads=False))
