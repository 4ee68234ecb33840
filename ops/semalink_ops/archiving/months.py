"""One month of a log on its way into the archive: each step can be interrupted and gone on with."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn
from uuid import UUID

import msgspec
import psycopg

from semalink.application.archive import RecordArchiving, RecordRestoring
from semalink.domain.archived_month import ArchiveFacts
from semalink.domain.cause import Cause
from semalink.projections.registry import PROJECTIONS
from semalink_adapters.archive.manifest import ArchiveAltered, ArchivedFile, read_manifest
from semalink_adapters.archive.month_writer import MonthWriter, verify_month
from semalink_adapters.archive.parquet import FILE_BYTES_MAX, GROUP_ROWS
from semalink_adapters.archive.store import Store
from semalink_adapters.archive.tally import Sum, Tally
from semalink_adapters.postgres import detaching, month_rows, partitions
from semalink_adapters.postgres.archive_checks import Blocker, blockers
from semalink_adapters.postgres.archived_months import ArchivedRow, MonthBook
from semalink_ops.archiving.calendar import LogMonth
from semalink_ops.archiving.pace import Pace

_FILES = msgspec.json.Decoder(list[ArchivedFile])
_CHUNK = 5_000

# What is listed of messages goes with their months.
_DELETE_LISTED = """
WITH gone AS (
    DELETE FROM messages WHERE message_id IN (
        SELECT message_id FROM messages WHERE message_id >= %s AND message_id < %s
        ORDER BY message_id LIMIT %s)
    RETURNING message_id
)
SELECT max(message_id::text) FROM gone"""


class MonthBlocked(Exception):
    """A month still has what must be finished first."""

    def __init__(self, month: LogMonth, found: list[Blocker]) -> None:
        self.month = month
        self.found = found
        reasons = "; ".join(
            f"{one.count} {one.what} (first {one.first}): {one.remedy}" for one in found
        )
        super().__init__(f"{month.log} {month.month} cannot be archived yet: {reasons}.")


class MonthChanged(Exception):
    """A month got rows while it was archived."""

    def __init__(self, month: LogMonth) -> None:
        super().__init__(
            f"{month.log} {month.month} got rows while it was archived; nothing was dropped. Run"
            " the same command again: the month is archived anew."
        )


class MonthElsewhere(Exception):
    """A month is not where a command needs it."""

    def __init__(self, month: LogMonth, what: str) -> None:
        super().__init__(f"{month.log} {month.month} {what}.")


class ArchiveForeign(Exception):
    """A folder that would be new has files already."""

    def __init__(self, folder: str) -> None:
        super().__init__(
            f"{folder} in the archive belongs to another database; nothing was written. Choose"
            " another prefix in SEMALINK_ARCHIVE_URL, one for each database."
        )


Record = Callable[[RecordArchiving | RecordRestoring], object]


@dataclass(frozen=True, slots=True)
class Archiver:
    """Archives months over a connection that commits each statement and owns the tables."""

    connection: psycopg.Connection[Any]
    store: Store
    #: Records an event in the log of settings.
    record: Record
    cause: Callable[[], Cause]
    pace: Pace = field(default_factory=Pace)
    #: Tells the folders of this database from those of another one with the same archive.
    token: Callable[[], str] = field(default=lambda: secrets.token_hex(6))
    #: Rows that are read and written at once, and a row group of the files.
    page_rows: int = GROUP_ROWS
    file_bytes_max: int = FILE_BYTES_MAX

    @property
    def book(self) -> MonthBook:
        """What is known of months."""
        return MonthBook(self.connection)

    def blockers(self, month: LogMonth) -> list[Blocker]:
        """Return what forbids to archive a month now."""
        return blockers(self.connection, month.log, month.table, month.ids, readers_of(month.log))

    def archive(self, month: LogMonth) -> ArchivedRow:
        """Move a month into the archive, from wherever an earlier run stopped.

        Raises MonthBlocked, MonthChanged, MonthElsewhere, ArchiveForeign or ArchiveUnavailable.
        """
        row = self.book.find(month.log, month.month)
        if row is not None and row.state in ("restoring", "attached"):
            raise MonthElsewhere(month, "is being restored; finish that with `archive restore`")
        if row is None or row.state == "restored":
            row = self._begin(month)
        if row.state == "exporting":
            self._export(month, row)
        elif row.state == "verified":
            # The archive may have lost something since an earlier run.
            self._read_back(self._found(month))
        if self._found(month).state == "verified":
            self._take_out(month, self._found(month))
        if self._found(month).state == "dropped":
            self._conclude(month, self._found(month))
        return self._found(month)

    def _begin(self, month: LogMonth) -> ArchivedRow:
        if detaching.standing(self.connection, month.log, month.table) != "attached":
            raise MonthElsewhere(month, "is not in the database")
        self._check(month)
        return self._begin_anew(month)

    def _begin_anew(self, month: LogMonth) -> ArchivedRow:
        folder = self.book.next_folder(month.log, month.month, self.token())
        if self.store.paths(folder.folder):
            raise ArchiveForeign(folder.folder)
        cause = self.cause()
        return self.book.begin(folder, cause.at, cause.actor)

    def _check(self, month: LogMonth) -> None:
        found = self.blockers(month)
        if found:
            raise MonthBlocked(month, found)

    def _export(self, month: LogMonth, row: ArchivedRow) -> None:
        self._check(month)
        written = _FILES.decode(row.files)
        writer = MonthWriter(self.store, row.folder, written, file_bytes_max=self.file_bytes_max)
        self.pace.tell(writer.tally.row_count)
        for rows in self._pages(month, writer.tally.last_key):
            if writer.add(rows) is not None:
                self._note(row, writer)
            self.pace.keep(len(rows))
        writer.finish()
        self._note(row, writer)
        path, sha256 = writer.write_manifest(month.log, month.month, self.cause().at)
        # Of an earlier run it is not known what the database had: everything is read again.
        expected = self._sum_in_database(month) if written else writer.tally.sum
        manifest = read_manifest(self.store, path, sha256)
        if verify_month(self.store, manifest) != expected:
            raise ArchiveAltered(path, "its rows are not those of the database")
        self.book.note_verified(row, path, sha256, expected.content_sha256)

    def _pages(self, month: LogMonth, after: tuple[UUID, int]) -> Any:
        return month_rows.pages(self.connection, month.table, self.page_rows, after)

    def _sum_in_database(self, month: LogMonth) -> Sum:
        tally = Tally()
        for rows in self._pages(month, (UUID(int=0), 0)):
            tally.add(rows)
        return tally.sum

    def _note(self, row: ArchivedRow, writer: MonthWriter) -> None:
        byte_count = sum(file.byte_count for file in writer.files)
        row_count = sum(file.row_count for file in writer.files)
        self.book.note_files(row, msgspec.json.encode(writer.files), row_count, byte_count)

    def _read_back(self, row: ArchivedRow) -> None:
        assert row.manifest_path is not None, "a verified month has a manifest"
        assert row.manifest_sha256 is not None, "a verified month has a manifest"
        verify_month(self.store, read_manifest(self.store, row.manifest_path, row.manifest_sha256))

    def _take_out(self, month: LogMonth, row: ArchivedRow) -> None:
        detaching.detach(self.connection, month.log, month.table)
        if detaching.standing(self.connection, month.log, month.table) == "apart":
            # Nobody can add a row any more; so many are there when it is the month that was read.
            row_count, _ = detaching.sum_of(self.connection, month.table)
            if row_count != row.row_count:
                self._put_back(month)
        with self.connection.transaction():
            detaching.drop(self.connection, month.table)
            self.book.note_dropped(row, self.cause().at)

    def _put_back(self, month: LogMonth) -> NoReturn:
        with self.connection.transaction():
            partitions.lock(self.connection)
            month_rows.attach(self.connection, month.log, month.table, *month.bounds)
        self._begin_anew(month)
        raise MonthChanged(month)

    def _conclude(self, month: LogMonth, row: ArchivedRow) -> None:
        if month.log == "message_events":
            self.delete_listed(month)
        self.record(RecordArchiving(_facts(row), self.cause()))
        self.book.move(row, "archived")

    def delete_listed(self, month: LogMonth) -> None:
        """Delete a month from the read model of messages."""
        start, end = map(str, month.ids)
        while True:
            # Each chunk a transaction of its own, so that no reader of the logs is held back.
            found = self.connection.execute(_DELETE_LISTED, (start, end, _CHUNK)).fetchone()
            if found is None or found[0] is None:
                return
            start = found[0]

    def _found(self, month: LogMonth) -> ArchivedRow:
        row = self.book.find(month.log, month.month)
        assert row is not None, "a month that was begun has a row"
        return row


def readers_of(log: str) -> list[str]:
    """Return the cursors of everything that reads a whole log in the order of commits."""
    names = [projection.name for projection in PROJECTIONS if projection.log == log]
    return [*names, f"feed.{log}"] if log == "message_events" else names


def projections_of_messages() -> list[str]:
    """Return the read models that are made of a log that is archived."""
    return [one.name for one in PROJECTIONS if one.log == "message_events"]


def _facts(row: ArchivedRow) -> ArchiveFacts:
    assert row.manifest_path is not None, "an archived month has a manifest"
    return ArchiveFacts(
        log=row.log,
        month=row.month,
        event_count=row.row_count,
        content_sha256=row.content_sha256 or "",
        manifest_sha256=row.manifest_sha256 or "",
        location=row.manifest_path,
    )
