"""Writes one month of a log into the archive, file by file, and goes on after an interruption."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from uuid import UUID

from semalink_adapters.archive.manifest import (
    ArchiveAltered,
    ArchivedFile,
    Manifest,
    encode_manifest,
    read_file,
    sha256_of,
)
from semalink_adapters.archive.parquet import (
    FILE_BYTES_MAX,
    GROUP_ROWS,
    FileWriter,
    read_rows,
    spans_of,
)
from semalink_adapters.archive.rows import Columns, key_of
from semalink_adapters.archive.store import Store
from semalink_adapters.archive.tally import Sum, Tally

MANIFEST_NAME = "manifest.json"
_IS_PART = re.compile(r"/part-[0-9]{5}\.parquet")


class MonthWriter:
    """The files of one month; those that were written before count as written."""

    def __init__(
        self,
        store: Store,
        folder: str,
        written: Sequence[ArchivedFile] = (),
        *,
        file_bytes_max: int = FILE_BYTES_MAX,
    ) -> None:
        self.store = store
        self.folder = folder
        self.files = list(written)
        self.tally = Tally()
        self._file_bytes_max = file_bytes_max
        self._file: FileWriter | None = None
        self._first_id: UUID | None = None
        for file in written:
            for page in read_pages(read_file(store, file)):
                self.tally.add(page)

    def add(self, rows: Sequence[bytes]) -> ArchivedFile | None:
        """Add the next page of rows; return the file that this completed, if it did."""
        page = Columns()
        for row in rows:
            page.add(row)
        if self._file is None:
            self._file, self._first_id = FileWriter(), key_of(rows[0])[0]
        self._file.add(page)
        self.tally.add(rows)
        return self._close() if self._file.byte_count >= self._file_bytes_max else None

    def finish(self) -> ArchivedFile | None:
        """Complete the last file, if one is open, and return it."""
        return self._close() if self._file is not None else None

    def write_manifest(self, log: str, month: str, now: datetime) -> tuple[str, str]:
        """Write what tells of all files; return its path and its hash."""
        self._delete_what_was_begun()
        tally = self.tally
        last_xid, last_position = tally.last_place
        first_recorded_at, last_recorded_at = tally.recorded_span
        content = encode_manifest(
            Manifest(
                log=log,
                month=month,
                row_count=tally.row_count,
                first_id=tally.first_id,
                last_id=tally.last_key[0] if tally.row_count else None,
                last_xid=last_xid,
                last_position=last_position,
                first_recorded_at=first_recorded_at,
                last_recorded_at=last_recorded_at,
                content_sha256=tally.sum.content_sha256,
                files=self.files,
                written_at=now,
            )
        )
        path = f"{self.folder}/{MANIFEST_NAME}"
        self.store.put(path, content)
        return path, sha256_of(content)

    def _delete_what_was_begun(self) -> None:
        """Delete the files that an interrupted run wrote beyond those that count, and no others."""
        first_free = self._part(len(self.files))
        for path in self.store.paths(self.folder):
            if _IS_PART.fullmatch(path.removeprefix(self.folder)) and path >= first_free:
                self.store.delete(path)

    def _part(self, number: int) -> str:
        return f"{self.folder}/part-{number:05}.parquet"

    def _close(self) -> ArchivedFile:
        assert self._file is not None, "a file is open"
        assert self._first_id is not None, "a file has rows"
        content = self._file.close()
        last_id, last_version = self.tally.last_key
        footer, groups = spans_of(content)
        file = ArchivedFile(
            path=self._part(len(self.files)),
            row_count=self._file.row_count,
            byte_count=len(content),
            sha256=sha256_of(content),
            first_id=self._first_id,
            last_id=last_id,
            last_version=last_version,
            footer=footer,
            groups=groups,
        )
        self.store.put(file.path, content)
        self.files.append(file)
        self._file = None
        return file


def read_pages(content: bytes) -> Iterator[list[bytes]]:
    """Yield the rows of a file, a page at a time."""
    page: list[bytes] = []
    for row in read_rows(content):
        page.append(row)
        if len(page) == GROUP_ROWS:
            yield page
            page = []
    if page:
        yield page


def verify_month(
    store: Store, manifest: Manifest, tell: Callable[[int], None] = lambda _: None
) -> Sum:
    """Read a month back; raises ArchiveAltered, naming the file that is not what was written.

    ``tell`` is told of each page how many rows it had.
    """
    tally = Tally()
    for file in manifest.files:
        before = tally.row_count
        for page in read_pages(read_file(store, file)):
            tally.add(page)
            tell(len(page))
        if tally.row_count - before != file.row_count:
            raise ArchiveAltered(file.path, f"it has not the {file.row_count} rows it should have")
    expected = Sum(manifest.row_count, manifest.content_sha256)
    if tally.sum != expected:
        raise ArchiveAltered(
            f"{manifest.log} {manifest.month}", "its rows are not those of its manifest"
        )
    return expected
