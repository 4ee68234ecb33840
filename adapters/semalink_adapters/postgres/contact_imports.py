"""Imports as their worker sees them: a piece read, checked, and stored with its effect at once."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool

from semalink.application.contacts import end_task, piece_task
from semalink.application.tasks import Task
from semalink.domain.contact_columns import Columns
from semalink.domain.contact_import import RowCounts
from semalink.domain.contact_rows import CheckedRows, RejectedRow
from semalink_adapters.postgres.contact_store import lock_list, merge_contacts
from semalink_adapters.postgres.tasks import call_for_task, ready_connection, take_task

LOAD = """
SELECT i.list_id, i.account_id, i.state = 'running', l.state = 'active', i.format,
       i.default_country, i.delimiter, i.columns, i.number_column, i.piece_count,
       p.first_line, p.content
FROM contact_imports AS i
JOIN contact_lists AS l ON l.list_id = i.list_id
LEFT JOIN contact_import_pieces AS p ON p.import_id = i.import_id AND p.piece_no = %s
WHERE i.import_id = %s"""

REJECT = """
INSERT INTO contact_import_rejects (import_id, line, code, reason)
SELECT %s, line, code, reason
FROM unnest(%s::bigint[], %b::text[], %b::text[]) AS one (line, code, reason)
ON CONFLICT DO NOTHING"""

PROGRESS = """
UPDATE contact_import_progress
SET added_count = added_count + %s, updated_count = updated_count + %s,
    duplicate_count = duplicate_count + %s, invalid_count = invalid_count + %s
WHERE import_id = %s"""

DELETE_PIECE = "DELETE FROM contact_import_pieces WHERE import_id = %s AND piece_no = %s"

DELETE_PIECES = "DELETE FROM contact_import_pieces WHERE import_id = %s"

COUNTS = """
SELECT added_count, updated_count, duplicate_count, invalid_count
FROM contact_import_progress WHERE import_id = %s"""


@dataclass(frozen=True, slots=True)
class LoadedPiece:
    """A piece of a file, and how it is to be read."""

    import_id: UUID
    piece_no: int
    list_id: UUID
    account_id: UUID
    #: Whether the import is neither over nor cancelled.
    is_running: bool
    #: Whether its list is still there.
    has_list: bool
    format: str
    default_country: str
    #: None for NDJSON.
    columns: Columns | None
    number_column: str | None
    piece_count: int
    first_line: int
    content: bytes

    @property
    def is_last(self) -> bool:
        """Whether no piece follows."""
        return self.piece_no + 1 >= self.piece_count


class PostgresContactImports:
    """The work on imports; each call raises NotReady while the database is away."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def load(self, import_id: UUID, piece_no: int) -> LoadedPiece:
        """Return a piece with what its import says of it."""
        async with ready_connection(self._pool) as connection:
            cursor = await connection.execute(LOAD, (piece_no, import_id), binary=True)
            row = await cursor.fetchone()
        assert row is not None, "an import has its row before its first task"
        list_id, account_id, is_running, has_list, file_format, country, *rest = row
        delimiter, names, number_column, piece_count, first_line, content = rest
        columns = None
        if file_format == "csv":
            columns = Columns(delimiter, tuple(names), names.index(number_column))
        return LoadedPiece(
            import_id, piece_no, list_id, account_id, is_running, has_list, file_format, country,
            columns, number_column, piece_count, first_line or 0, content or b"",
        )  # fmt: skip

    async def store(
        self, task: Task, piece: LoadedPiece, checked: CheckedRows, following: UUID
    ) -> tuple[Task, RowCounts] | None:
        """Add a piece's contacts to the list; return what follows and what became of its rows.

        None: it was done before.

        All of it at once, with the end of the task: whoever dies in between has done nothing.
        """
        async with ready_connection(self._pool) as connection, connection.transaction():
            if not await take_task(connection, task.task_id):
                return None
            await _reject(connection, piece.import_id, checked.rejected)
            await connection.execute(DELETE_PIECE, (piece.import_id, piece.piece_no))
            task_to_come = _following(piece, following)
            await call_for_task(connection, task_to_come)
            # As late as can be: whoever puts a contact on the list is refused meanwhile.
            await lock_list(connection, piece.list_id)
            stored = await merge_contacts(
                connection, piece.list_id, piece.import_id, checked.contacts
            )
            await _reject(connection, piece.import_id, stored.rejected)
            duplicate_count = stored.duplicate + checked.duplicate_count
            invalid_count = len(checked.rejected) + len(stored.rejected)
            counts = RowCounts(stored.added, stored.updated, duplicate_count, invalid_count)
            await connection.execute(PROGRESS, (*astuple(counts), piece.import_id))
        return task_to_come, counts

    async def give_up(self, task: Task, import_id: UUID) -> None:
        """Forget what is left of an import that is over, and end the task."""
        async with ready_connection(self._pool) as connection, connection.transaction():
            await take_task(connection, task.task_id)
            await connection.execute(DELETE_PIECES, (import_id,))

    async def counts(self, import_id: UUID) -> RowCounts:
        """Return what became of the rows so far."""
        async with ready_connection(self._pool) as connection:
            cursor = await connection.execute(COUNTS, (import_id,))
            row = await cursor.fetchone()
        assert row is not None, "an import has its progress from the start"
        return RowCounts(*row)


def _following(piece: LoadedPiece, task_id: UUID) -> Task:
    if piece.is_last:
        return end_task(task_id, piece.account_id, piece.import_id)
    return piece_task(task_id, piece.account_id, piece.import_id, piece.piece_no + 1)


async def _reject(
    connection: psycopg.AsyncConnection[Any], import_id: UUID, rejected: Sequence[RejectedRow]
) -> None:
    if rejected:
        parameters = (
            import_id,
            [row.line for row in rejected],
            [row.code for row in rejected],
            [row.reason for row in rejected],
        )
        await connection.execute(REJECT, parameters)
