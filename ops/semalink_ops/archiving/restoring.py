"""Brings an archived month back into the database, with the very same rows."""

from dataclasses import dataclass, replace

from sqlalchemy import NullPool, create_engine

from semalink.application.archive import RecordRestoring
from semalink.projections.log_pages import Place
from semalink.projections.messages import MESSAGES
from semalink.projections.shadow import Progress, Shadow
from semalink_adapters.archive.manifest import ArchiveAltered, Manifest, read_file, read_manifest
from semalink_adapters.archive.month_writer import read_pages
from semalink_adapters.archive.tally import Sum, Tally
from semalink_adapters.postgres import append_only, detaching, month_rows, partitions
from semalink_adapters.postgres.archive_checks import unread
from semalink_adapters.postgres.archived_months import ArchivedRow
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.migrate import sqlalchemy_url
from semalink_ops.archiving.calendar import LogMonth
from semalink_ops.archiving.months import Archiver, MonthElsewhere, readers_of

#: Behind every place.
_END = Place(2**62, 0)
_RESTORABLE = ("archived", "dropped", "restoring", "attached")


class MonthForeign(Exception):
    """A month was written by a database that counted further than this one."""

    def __init__(self, month: LogMonth, who: str) -> None:
        super().__init__(
            f"{month.log} {month.month} has transactions that this database has not come to"
            f" ({who}): its events would be read as new. It belongs to another database, or to a"
            " later state of this one; `semalink history` reads it from the archive."
        )


@dataclass(frozen=True, slots=True)
class Restorer:
    """Restores months; what was begun is begun anew, until the month is attached."""

    archiver: Archiver
    database_url: str

    def restore(self, month: LogMonth) -> ArchivedRow:
        """Attach the month with the rows it had.

        Raises MonthElsewhere, MonthForeign, ArchiveAltered or ArchiveUnavailable.
        """
        book, connection = self.archiver.book, self.archiver.connection
        row = book.find(month.log, month.month)
        if row is None or row.state not in _RESTORABLE:
            raise MonthElsewhere(month, "is not in the archive")
        if row.state != "attached":
            if detaching.standing(connection, month.log, month.table) == "attached":
                raise MonthElsewhere(month, "has a partition in the database already")
            if row.state == "dropped":
                self.archiver.archive(month)
            cause = self.archiver.cause()
            book.begin_restoring(row, cause.at, cause.actor)
            self._load(month, row)
            self._attach(month, row)
        self.archiver.record(RecordRestoring(month.log, month.month, self.archiver.cause()))
        book.move(row, "restored")
        return row

    def _load(self, month: LogMonth, row: ArchivedRow) -> None:
        connection, store = self.archiver.connection, self.archiver.store
        manifest = manifest_of(self.archiver, row)
        month_rows.make_apart(connection, month.log, month.table, *month.bounds)
        for file in manifest.files:
            for rows in read_pages(read_file(store, file)):
                month_rows.load_page(connection, month.table, rows)
                self.archiver.pace.keep(len(rows))
        if _sum(self.archiver, month) != Sum(manifest.row_count, manifest.content_sha256):
            raise ArchiveAltered(month.table, "what was loaded is not what was archived")
        behind = list(unread(connection, month.log, month.table, readers_of(month.log)))
        if behind:
            detaching.drop(connection, month.table)
            self.archiver.book.move(row, "archived")
            raise MonthForeign(month, ", ".join(one.first for one in behind))
        connection.execute(f'ANALYZE "{month.table}"'.encode())
        if month.log == "message_events":
            self._list_messages(month)

    def _list_messages(self, month: LogMonth) -> None:
        """Make the rows of the read model that went with the month."""
        self.archiver.delete_listed(month)
        engine = create_engine(
            sqlalchemy_url(self.database_url), poolclass=NullPool, hide_parameters=True
        )
        try:
            apart = replace(MESSAGES, log=month.table)
            Shadow(engine, apart, EventMapper.read, "", Progress(_END, 0)).load()
        finally:
            engine.dispose()

    def _attach(self, month: LogMonth, row: ArchivedRow) -> None:
        connection = self.archiver.connection
        with connection.transaction():
            partitions.lock(connection)
            month_rows.attach(connection, month.log, month.table, *month.bounds)
            append_only.guard_partition(connection, month.log, month.table)
            self.archiver.book.move(row, "attached")


def manifest_of(archiver: Archiver, row: ArchivedRow) -> Manifest:
    """Return the manifest of a month that was verified; raises ArchiveAltered."""
    assert row.manifest_path is not None, "a verified month has a manifest"
    assert row.manifest_sha256 is not None, "a verified month has a manifest"
    return read_manifest(archiver.store, row.manifest_path, row.manifest_sha256)


def _sum(archiver: Archiver, month: LogMonth) -> Sum:
    tally = Tally()
    for rows in month_rows.pages(archiver.connection, month.table, 8_192):
        tally.add(rows)
    return tally.sum
