"""Reads one stream of an archived month: a manifest, a footer and one part of one file."""

import asyncio
import io
import threading
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from semalink.application.archive import ArchivedEvent
from semalink.application.reading import ReadsUnavailable
from semalink_adapters.archive.manifest import (
    ArchiveAltered,
    ArchivedFile,
    Manifest,
    read_manifest,
    read_span,
)
from semalink_adapters.archive.store import ArchiveUnavailable, Store

#: What takes longer is answered as being away.
READ_SECONDS_MAX = 10.0

#: So many are read at once; the threads are ours, so that a store that hangs blocks nobody else.
READERS_MAX = 8

MANIFESTS_KEPT = 64
#: A footer has some sixty kilobytes.
FOOTERS_KEPT = 128

_COLUMNS = ["originator_version", "topic", "state", "recorded_at"]

T = TypeVar("T")


class Located(Protocol):
    """Where the manifest of a month is."""

    @property
    def manifest_path(self) -> str:
        """Its path."""
        ...

    @property
    def manifest_sha256(self) -> str:
        """Its hash."""
        ...


@dataclass(frozen=True, slots=True)
class _Footer:
    metadata: Any
    #: The last id of each row group.
    last_ids: list[bytes]


class ArchiveReader:
    """Single streams out of the archive; what it remembers is bounded."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._manifests: _Kept[Manifest] = _Kept(MANIFESTS_KEPT)
        self._footers: _Kept[_Footer] = _Kept(FOOTERS_KEPT)
        self._threads = ThreadPoolExecutor(READERS_MAX, thread_name_prefix="archive")
        self._free = threading.Semaphore(READERS_MAX)

    async def read(self, located: Located, stream_id: UUID) -> Sequence[ArchivedEvent]:
        """Return the events of a stream in order; raises ReadsUnavailable.

        It is raised at once while as many reads as there may be wait for the store.
        """
        if not self._free.acquire(blocking=False):
            msg = "The archive is busy."
            raise ReadsUnavailable(msg)
        reading = self._threads.submit(self._read, located, stream_id)
        # Also long after nobody waits for it any more.
        reading.add_done_callback(lambda _: self._free.release())
        try:
            return await asyncio.wait_for(asyncio.wrap_future(reading), READ_SECONDS_MAX)
        except (TimeoutError, ArchiveUnavailable) as away:
            msg = "The archive is away."
            raise ReadsUnavailable(msg) from away
        except ArchiveAltered as altered:
            msg = "The archive is damaged; `semalink archive verify` names the file."
            raise ReadsUnavailable(msg) from altered

    def _read(self, located: Located, stream_id: UUID) -> Sequence[ArchivedEvent]:
        path, sha256 = located.manifest_path, located.manifest_sha256
        manifest = self._manifests.get(sha256, lambda: read_manifest(self._store, path, sha256))
        found: list[ArchivedEvent] = []
        # A stream may go on in the next file, and in the next row group.
        for file in _files_with(manifest.files, stream_id):
            footer = self._footers.get(file.sha256, lambda file=file: self._footer(file))  # type: ignore[misc]
            last = min(bisect_right(footer.last_ids, stream_id.bytes) + 1, len(footer.last_ids))
            for group in range(bisect_left(footer.last_ids, stream_id.bytes), last):
                found += self._events(file, footer.metadata, group, stream_id)
        return found

    def _footer(self, file: ArchivedFile) -> _Footer:
        footer = read_span(self._store, file.path, file.footer)
        # Read as a file that has nothing before its footer.
        metadata = _unless_damaged(file, lambda: pq.read_metadata(pa.BufferReader(footer)))
        groups = range(metadata.num_row_groups)
        last_ids = [metadata.row_group(group).column(0).statistics.max for group in groups]
        return _Footer(metadata, last_ids)

    def _events(
        self, file: ArchivedFile, metadata: Any, group: int, stream_id: UUID
    ) -> list[ArchivedEvent]:
        span = file.groups[group]
        part = _Part(read_span(self._store, file.path, span), span.start, file.byte_count)

        def read() -> Any:
            source = pq.ParquetFile(
                pa.PythonFile(part, "r"), metadata=metadata, page_checksum_verification=True
            )
            return source.read_row_group(group, use_threads=False)

        table = _unless_damaged(file, read)
        wanted = pc.equal(table["originator_id"], pa.scalar(stream_id.bytes, pa.binary(16)))
        rows = table.filter(wanted).select(_COLUMNS).to_pydict()
        return [
            ArchivedEvent(version, topic, state, recorded_at)
            for version, topic, state, recorded_at in zip(*rows.values(), strict=True)
        ]


class _Part(io.RawIOBase):
    """A file of which only one part was fetched."""

    def __init__(self, content: bytes, start: int, size: int) -> None:
        super().__init__()
        self._content, self._start, self._size, self._at = content, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        at = self._at - self._start
        end = len(self._content) if size < 0 else at + size
        if at < 0:
            raise OSError("this part was not fetched")
        content = self._content[at:end]
        self._at += len(content)
        return content


class _Kept(Generic[T]):
    """The values that were used last, up to a number of them; used by several threads."""

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._values: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return a value, made unless it is kept."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            self._values[key] = value
            if len(self._values) > self._count_max:
                self._values.popitem(last=False)
        return value


def _files_with(files: Sequence[ArchivedFile], stream_id: UUID) -> Sequence[ArchivedFile]:
    first = bisect_left(files, stream_id, key=lambda file: file.last_id)
    last = bisect_right(files, stream_id, key=lambda file: file.first_id)
    return files[first:last]


def _unless_damaged(file: ArchivedFile, read: Callable[[], T]) -> T:
    try:
        return read()
    except (pa.ArrowException, OSError) as damaged:
        raise ArchiveAltered(file.path, "it cannot be read") from damaged
