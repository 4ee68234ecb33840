"""Archived months as a rebuild of a read model reads them: stream by stream, a page at a time."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq

from semalink_adapters.archive.manifest import Manifest, read_file
from semalink_adapters.archive.store import Store

#: Stream, version, time of the insert, topic and state.
StreamRow = tuple[UUID, int, datetime, str, bytes]
Key = tuple[UUID, int]

_COLUMNS = ("originator_id", "originator_version", "recorded_at", "topic", "state")


class ArchivedPages:
    """The rows of archived months in one order; holds one file at a time."""

    def __init__(self, store: Store, manifests: Sequence[Manifest]) -> None:
        self._store = store
        self._manifests = sorted(manifests, key=lambda manifest: manifest.month)
        self._log = ""
        self._behind: Key = (UUID(int=0), 0)
        self._buffer: list[StreamRow] = []
        self._rest: Iterator[list[StreamRow]] = iter(())

    def page(self, log: str, after: Key, size: int) -> Sequence[StreamRow]:
        """Return the next rows behind a stream and version; fewer only at the end."""
        if log != self._log or after < self._behind:
            self._log, self._buffer = log, []
            self._rest = self._rows(log, after)
        self._behind = after
        self._buffer = [row for row in self._buffer if row[:2] > after]
        while len(self._buffer) < size:
            more = next(self._rest, None)
            if more is None:
                break
            self._buffer += [row for row in more if row[:2] > after]
        return self._buffer[:size]

    def _rows(self, log: str, after: Key) -> Iterator[list[StreamRow]]:
        for manifest in self._manifests:
            if manifest.log != log:
                continue
            for file in manifest.files:
                if (file.last_id, file.last_version) <= after:
                    continue
                source = pq.ParquetFile(pa.BufferReader(read_file(self._store, file)))
                for group in range(source.num_row_groups):
                    yield _read(source.read_row_group(group, columns=list(_COLUMNS)))


def _read(table: Any) -> list[StreamRow]:
    columns = [table[name].to_pylist() for name in _COLUMNS]
    return [
        (UUID(bytes=stream), version, recorded_at, topic, state)
        for stream, version, recorded_at, topic, state in zip(*columns, strict=True)
    ]
