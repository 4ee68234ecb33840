"""Rows of a log: as the server copies them, as Arrow columns, and the hash over them.

A row is hashed as PostgreSQL writes it in the binary form of COPY: the number of columns, then
each column with its length, all in network order. What can be written back unchanged is what is
compared, and the hash is the same however the rows are cut into files.
"""

import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pyarrow as pa

#: The columns, in the order in which they are copied.
COLUMNS = (
    "originator_id", "originator_version", "topic", "state",
    "notification_id", "xid", "recorded_at",
)  # fmt: skip

SCHEMA = pa.schema(
    [
        pa.field("originator_id", pa.binary(16), nullable=False),
        pa.field("originator_version", pa.int64(), nullable=False),
        pa.field("topic", pa.string(), nullable=False),
        pa.field("state", pa.binary(), nullable=False),
        pa.field("notification_id", pa.int64(), nullable=False),
        pa.field("xid", pa.int64(), nullable=False),
        pa.field("recorded_at", pa.timestamp("us", tz="UTC"), nullable=False),
    ]
)

#: What a binary copy begins with, and what it ends with.
COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER = b"\xff\xff"

_ROW_HEAD = b"\0\7\0\0\0\x10"
_EIGHT = b"\0\0\0\x08"
#: Where the columns of a row begin: the topic's length follows id and version.
_ID, _VERSION, _TOPIC = 6, 26, 34
#: Microseconds from 1970, from which Arrow counts, to 2000, from which PostgreSQL does.
_EPOCHS_APART = 946_684_800_000_000


class RowUnreadable(Exception):
    """A copied row is not of the form that all rows of logs have."""

    def __init__(self) -> None:
        super().__init__("A row of the log has other columns than this release archives.")


@dataclass(slots=True)
class Columns:
    """Rows, column by column, with numbers as the server writes them."""

    ids: list[bytes] = field(default_factory=list)
    versions: list[bytes] = field(default_factory=list)
    topics: list[bytes] = field(default_factory=list)
    states: list[bytes] = field(default_factory=list)
    positions: list[bytes] = field(default_factory=list)
    xids: list[bytes] = field(default_factory=list)
    recorded: list[bytes] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, row: bytes) -> None:
        """Add a row as it was copied."""
        topic_end = _TOPIC + 4 + int.from_bytes(row[_TOPIC : _TOPIC + 4], "big")
        state_end = topic_end + 4 + int.from_bytes(row[topic_end : topic_end + 4], "big")
        if row[:6] != _ROW_HEAD or len(row) != state_end + 36:
            raise RowUnreadable
        self.ids.append(row[_ID : _ID + 16])
        self.versions.append(row[_VERSION : _VERSION + 8])
        self.topics.append(row[_TOPIC + 4 : topic_end])
        self.states.append(row[topic_end + 4 : state_end])
        self.positions.append(row[state_end + 4 : state_end + 12])
        self.xids.append(row[state_end + 16 : state_end + 24])
        self.recorded.append(row[state_end + 28 : state_end + 36])

    def to_batch(self) -> Any:
        """Return the rows as Arrow columns."""
        recorded = _numbers(self.recorded)
        recorded = array("q", [micros + _EPOCHS_APART for micros in recorded])
        count = len(self)
        ids = pa.py_buffer(b"".join(self.ids))
        return pa.RecordBatch.from_arrays(
            [
                pa.Array.from_buffers(pa.binary(16), count, [None, ids]),
                _int64(_numbers(self.versions)),
                pa.array(self.topics, pa.binary()).cast(pa.string()),
                pa.array(self.states, pa.binary()),
                _int64(_numbers(self.positions)),
                _int64(_numbers(self.xids)),
                pa.Array.from_buffers(SCHEMA.field(6).type, count, [None, pa.py_buffer(recorded)]),
            ],
            schema=SCHEMA,
        )


def rows_of(table: Any) -> Iterator[bytes]:
    """Yield rows of Arrow columns as the server would copy them."""
    for batch in table.to_batches():
        columns = [batch.column(place) for place in range(len(COLUMNS))]
        ids, states = columns[0].to_pylist(), columns[3].to_pylist()
        versions, positions, xids = (_big_endian(columns[place], 0) for place in (1, 4, 5))
        recorded = _big_endian(columns[6].cast(pa.int64()), _EPOCHS_APART)
        topics = [_sized_topic(topic) for topic in _texts(columns[2])]
        for at, (stream, state, topic) in enumerate(zip(ids, states, topics, strict=True)):
            start, end = at * 8, at * 8 + 8
            yield b"".join(
                (
                    _ROW_HEAD, stream, _EIGHT, versions[start:end], topic,
                    len(state).to_bytes(4, "big"), state, _EIGHT, positions[start:end],
                    _EIGHT, xids[start:end], _EIGHT, recorded[start:end],
                )
            )  # fmt: skip


def key_of(row: bytes) -> tuple[UUID, int]:
    """Return the id and version of a copied row."""
    return UUID(bytes=row[_ID : _ID + 16]), int.from_bytes(row[_VERSION : _VERSION + 8], "big")


def _texts(column: Any) -> list[str]:
    texts: list[str] = column.to_pylist()
    return texts


def _sized_topic(topic: str) -> bytes:
    encoded = topic.encode()
    return len(encoded).to_bytes(4, "big") + encoded


def _numbers(parts: Sequence[bytes]) -> "array[int]":
    numbers = array("q", b"".join(parts))
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


def _int64(numbers: "array[int]") -> Any:
    return pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(numbers)])


def _big_endian(column: Any, less: int) -> bytes:
    numbers = array("q", [number - less for number in column.to_pylist()])
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers.tobytes()
