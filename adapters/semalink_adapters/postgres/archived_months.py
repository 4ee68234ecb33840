"""Which months are archived, and how far a run has come with one."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg.rows import class_row

#: Held by whoever archives or restores, for as long as it does.
ARCHIVE_LOCK = 7_230_045

#: In these states the archive answers for the month.
IN_ARCHIVE = ("verified", "dropped", "archived", "restoring", "attached")

#: In these, only the archive has the month.
IN_ARCHIVE_ONLY = ("dropped", "archived", "restoring")

_COLUMNS = (
    "log, month, state, generation, folder, files, row_count, byte_count, content_sha256,"
    " manifest_path, manifest_sha256, changed_at, changed_by, archived_at"
)
_SELECT = f"SELECT {_COLUMNS} FROM archived_months"  # noqa: S608 - constants
_BEGIN = f"""
INSERT INTO archived_months AS a (log, month, state, generation, folder, changed_at, changed_by)
VALUES (%(log)s, %(month)s, 'exporting', %(generation)s, %(folder)s, %(now)s, %(by)s)
ON CONFLICT (log, month) DO UPDATE SET
    state = 'exporting', generation = excluded.generation, folder = excluded.folder,
    files = '[]', row_count = 0, byte_count = 0, content_sha256 = NULL, manifest_path = NULL,
    manifest_sha256 = NULL, archived_at = NULL, changed_at = %(now)s, changed_by = %(by)s
RETURNING {_COLUMNS}"""  # noqa: S608 - constants
_NOTE_FILES = """
UPDATE archived_months SET files = %s, row_count = %s, byte_count = %s
WHERE log = %s AND month = %s"""
_NOTE_VERIFIED = """
UPDATE archived_months SET
    state = 'verified', manifest_path = %s, manifest_sha256 = %s, content_sha256 = %s
WHERE log = %s AND month = %s"""
_MOVE = "UPDATE archived_months SET state = %s WHERE log = %s AND month = %s"
_NOTE_DROPPED = """
UPDATE archived_months SET state = 'dropped', archived_at = %s WHERE log = %s AND month = %s"""
_BEGIN_RESTORING = """
UPDATE archived_months SET state = 'restoring', changed_at = %s, changed_by = %s
WHERE log = %s AND month = %s"""


class ArchiveBusy(Exception):
    """Another process archives or restores at the moment."""

    def __init__(self) -> None:
        super().__init__("Another process archives or restores; wait for it or stop it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedRow:
    """One month of one log."""

    log: str
    month: str
    state: str
    generation: int
    folder: str
    #: JSON, as the manifest lists them.
    files: bytes
    row_count: int
    byte_count: int
    content_sha256: str | None
    manifest_path: str | None
    manifest_sha256: str | None
    changed_at: datetime
    changed_by: str
    archived_at: datetime | None


@dataclass(frozen=True, slots=True)
class NextFolder:
    """Where an export of a month goes."""

    log: str
    month: str
    generation: int
    folder: str


class MonthBook:
    """The table, over a connection that commits each statement."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def find(self, log: str, month: str) -> ArchivedRow | None:
        """Return what is known of a month."""
        rows = self._rows(f"{_SELECT} WHERE log = %s AND month = %s", (log, month))
        return rows[0] if rows else None

    def all(self) -> Sequence[ArchivedRow]:
        """Return every month that ever was archived, in order."""
        return self._rows(f"{_SELECT} ORDER BY month, log", ())

    def next_folder(self, log: str, month: str, token: str) -> NextFolder:
        """Return where the next export of a month goes; the token is that of no other database."""
        row = self.find(log, month)
        generation = 1 if row is None else row.generation + 1
        return NextFolder(log, month, generation, f"{log}/{month}/{generation:03}-{token}")

    def begin(self, folder: NextFolder, now: datetime, by: str) -> ArchivedRow:
        """Begin an export anew, in a folder of its own."""
        return self._rows(_BEGIN, {**asdict(folder), "now": now, "by": by})[0]

    def note_files(self, row: ArchivedRow, files: bytes, row_count: int, byte_count: int) -> None:
        """Write down which files a run can go on behind."""
        self._connection.execute(_NOTE_FILES, (files, row_count, byte_count, row.log, row.month))

    def note_verified(self, row: ArchivedRow, path: str, sha256: str, content_sha256: str) -> None:
        """Write down that the month was read back and is the same."""
        facts = (path, sha256, content_sha256, row.log, row.month)
        self._connection.execute(_NOTE_VERIFIED, facts)

    def note_dropped(self, row: ArchivedRow, now: datetime) -> None:
        """Write down that the month is not in the database any more."""
        self._connection.execute(_NOTE_DROPPED, (now, row.log, row.month))

    def begin_restoring(self, row: ArchivedRow, now: datetime, by: str) -> None:
        """Write down who restores a month."""
        self._connection.execute(_BEGIN_RESTORING, (now, by, row.log, row.month))

    def move(self, row: ArchivedRow, state: str) -> None:
        """Set the state."""
        self._connection.execute(_MOVE, (state, row.log, row.month))

    def _rows(self, statement: LiteralString, parameters: Any) -> list[ArchivedRow]:
        with self._connection.cursor(row_factory=class_row(ArchivedRow)) as cursor:
            return cursor.execute(statement, parameters).fetchall()


def open_owner(database_url: str) -> psycopg.Connection[Any]:
    """Connect as the owner of the tables, each statement a transaction."""
    return psycopg.connect(
        database_url, autocommit=True, connect_timeout=5, application_name="semalink-archive"
    )


def take_lock(connection: psycopg.Connection[Any], projections: Sequence[str]) -> None:
    """Keep other runs out, and rebuilds of read models, until the session ends.

    Raises ArchiveBusy, or says which read model is being rebuilt.
    """
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (ARCHIVE_LOCK,)).fetchone()
    if row is None or not row[0]:
        raise ArchiveBusy
    for name in projections:
        # The lock that a rebuild holds (semalink.projections.rebuilding).
        taken = connection.execute(
            "SELECT pg_try_advisory_lock(hashtextextended(%s, 1))", (name,)
        ).fetchone()
        if taken is None or not taken[0]:
            raise ReadModelBusy(name)
    begun = connection.execute(
        "SELECT min(projection) FROM projection_builds"
        " WHERE state IN ('loading', 'following') AND projection = ANY(%s)",
        (list(projections),),
    ).fetchone()
    if begun is not None and begun[0] is not None:
        raise ReadModelBusy(begun[0])


class ReadModelBusy(Exception):
    """A read model is being rebuilt from the log that would lose a month meanwhile."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is being rebuilt. Let `semalink projections rebuild {name}` finish, or give"
            f" it up with --cancel; then run this again."
        )
