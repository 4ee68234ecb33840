"""Counts and hashes rows as they go by, so that two sources of the same month can be compared."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from semalink_adapters.archive.rows import key_of

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class Sum(NamedTuple):
    """What a month came to; equal when the rows are."""

    row_count: int
    content_sha256: str


class Tally:
    """The rows of one month so far, in the order of ids and versions."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.row_count = 0
        self.first_id: UUID | None = None
        self.last_key: tuple[UUID, int] = (UUID(int=0), 0)
        self._last_place = bytes(16)
        self._first_recorded: bytes | None = None
        self._last_recorded: bytes | None = None

    def add(self, rows: Sequence[bytes]) -> None:
        """Add the next rows, of which there must be one."""
        self._hash.update(b"".join(rows))
        self.row_count += len(rows)
        if self.first_id is None:
            self.first_id = key_of(rows[0])[0]
        self.last_key = key_of(rows[-1])
        # A row ends in three numbers of eight bytes, each behind its length.
        last_place = max(row[-20:-12] + row[-32:-24] for row in rows)
        self._last_place = max(self._last_place, last_place)
        times = [row[-8:] for row in rows]
        self._first_recorded = min([*times, self._first_recorded or times[0]])
        self._last_recorded = max([*times, self._last_recorded or times[0]])

    @property
    def sum(self) -> Sum:
        """What the rows came to so far."""
        return Sum(self.row_count, self._hash.hexdigest())

    @property
    def last_place(self) -> tuple[int, int]:
        """The last transaction and position."""
        number = self._last_place
        return int.from_bytes(number[:8], "big"), int.from_bytes(number[8:], "big")

    @property
    def recorded_span(self) -> tuple[datetime | None, datetime | None]:
        """When the first and the last row were recorded."""
        return _moment(self._first_recorded), _moment(self._last_recorded)


def _moment(stored: bytes | None) -> datetime | None:
    if stored is None:
        return None
    return _EPOCH + timedelta(microseconds=int.from_bytes(stored, "big", signed=True))
