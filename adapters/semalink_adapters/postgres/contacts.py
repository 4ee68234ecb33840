"""Contact lists, contacts and imports in PostgreSQL, as the API sees them."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from psycopg_pool import AsyncConnectionPool

from semalink.application.contact_reading import (
    ContactImportView,
    ContactListView,
    ContactView,
    ImportRows,
)
from semalink.domain.contact_errors import ContactListBusy
from semalink.domain.contact_file import Piece
from semalink.domain.contact_rows import Contact, RejectedRow
from semalink.domain.ids import CONTACT_IMPORT_PREFIX, CONTACT_LIST_PREFIX, format_id
from semalink.domain.phone_number import PhoneNumber
from semalink_adapters.postgres.contact_store import COUNT, store_contacts, try_lock_list
from semalink_adapters.postgres.number_networks import network_of
from semalink_adapters.postgres.queries import READ_SECONDS_MAX, Queries, T

#: How long a change waits for others of the same list in this process.
TURN_SECONDS_MAX = 0.5
#: Between attempts to lock a list that an import holds.
LOCK_PAUSES_SECONDS = (0.02, 0.06, 0.12)

_LIST = """
SELECT l.list_id, l.name, n.contact_count, l.created_at, l.changed_at
FROM contact_lists AS l JOIN contact_list_counts AS n ON n.list_id = l.list_id
WHERE l.account_id = %s AND l.state = 'active' """

ONE_LIST = f"{_LIST} AND l.list_id = %s"

LISTS = f"""{_LIST} AND (%s::uuid IS NULL OR l.list_id < %s)
ORDER BY l.list_id DESC LIMIT %s"""

# What a report told of a number counts from then on, whenever the contact came on the list.
_NETWORK = network_of("c.number", "c.network")

CONTACTS = f"""
SELECT c.number, c.country, {_NETWORK}, c.attributes, c.added_at, c.updated_at FROM contacts AS c
WHERE c.list_id = %s AND c.number > %s AND (%s::text IS NULL OR c.number = %s)
  AND (%s::text IS NULL OR {_NETWORK} = %s)
ORDER BY c.number LIMIT %s"""  # noqa: S608

IS_THERE = "SELECT FROM contacts WHERE list_id = %s AND number = %s"

REMOVE = "DELETE FROM contacts WHERE list_id = %s AND number = %s"

ADD_PIECE = """
INSERT INTO contact_import_pieces (import_id, piece_no, first_line, row_count, content)
VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""

DISCARD = "DELETE FROM contact_import_pieces WHERE import_id = %s"

_IMPORT = """
SELECT i.import_id, i.list_id, i.state, i.failure, i.format, i.columns, i.number_column,
       i.byte_count, i.started_at, i.ended_at, i.row_count,
       p.added_count, p.updated_count, p.duplicate_count, p.invalid_count
FROM contact_imports AS i JOIN contact_import_progress AS p ON p.import_id = i.import_id
WHERE i.list_id = %s """

ONE_IMPORT = f"{_IMPORT} AND i.import_id = %s"

IMPORTS = f"""{_IMPORT} AND (%s::uuid IS NULL OR i.import_id < %s)
ORDER BY i.import_id DESC LIMIT %s"""

COUNT_RUNNING = """
SELECT count(*) FROM contact_imports WHERE account_id = %s AND state = 'running'"""

REJECTED = """
SELECT line, code, reason FROM contact_import_rejects
WHERE import_id = %s AND line > %s ORDER BY line LIMIT %s"""


class PostgresContacts(Queries):
    """Each call raises ReadsUnavailable while the database is away."""

    def __init__(
        self, pool: AsyncConnectionPool[Any], *, seconds_max: float = READ_SECONDS_MAX
    ) -> None:
        super().__init__(pool, seconds_max=seconds_max)
        self._turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    async def contact_list(self, list_id: UUID, account_id: UUID) -> ContactListView | None:
        """Return one list; None for another account's, and once it was deleted."""
        rows = await self._all(ONE_LIST, (account_id, list_id))
        return _list_view(rows[0]) if rows else None

    async def contact_lists(
        self, account_id: UUID, *, before: UUID | None, limit: int
    ) -> Sequence[ContactListView]:
        """Return lists of an account, newest first, below the id ``before``."""
        rows = await self._all(LISTS, (account_id, before, before, limit))
        return [_list_view(row) for row in rows]

    async def contacts(
        self,
        list_id: UUID,
        *,
        after: str | None,
        limit: int,
        number: str | None = None,
        network: str | None = None,
    ) -> Sequence[ContactView]:
        """Return contacts of a list in the order of their numbers."""
        parameters = (list_id, after or "", number, number, network, network, limit)
        return [_contact_view(row) for row in await self._all(CONTACTS, parameters)]

    async def put_contact(
        self, list_id: UUID, number: PhoneNumber, attributes: Mapping[str, str]
    ) -> bool:
        """Add a contact, or give it other attributes; True when it is new."""

        async def put() -> bool:
            async with self._connection() as connection, connection.transaction():
                await try_lock_list(connection, list_id)
                found = await connection.execute(IS_THERE, (list_id, number.e164))
                is_new = await found.fetchone() is None
                contact = Contact(0, number, dict(attributes))
                await store_contacts(connection, list_id, None, [contact])
                await connection.execute(COUNT, (int(is_new), list_id))
            return is_new

        return await self._changed(list_id, put)

    async def remove_contact(self, list_id: UUID, number: str) -> bool:
        """Take a contact off its list; False when it is not on it."""

        async def remove() -> bool:
            async with self._connection() as connection, connection.transaction():
                await try_lock_list(connection, list_id)
                removed = (await connection.execute(REMOVE, (list_id, number))).rowcount
                await connection.execute(COUNT, (-removed, list_id))
            return removed > 0

        return await self._changed(list_id, remove)

    async def add_piece(self, import_id: UUID, piece_no: int, piece: Piece) -> None:
        """Store a piece of a file that is not whole yet."""
        parameters = (import_id, piece_no, piece.first_line, piece.row_count, piece.content)
        await self._execute(ADD_PIECE, parameters)

    async def discard_upload(self, import_id: UUID) -> None:
        """Forget the pieces of a file that broke off, or that was taken in before."""
        await self._execute(DISCARD, (import_id,))

    async def contact_imports(
        self, list_id: UUID, *, before: UUID | None, limit: int
    ) -> Sequence[ContactImportView]:
        """Return imports into a list, newest first, below the id ``before``."""
        rows = await self._all(IMPORTS, (list_id, before, before, limit))
        return [_import_view(row) for row in rows]

    async def running_import_count(self, account_id: UUID) -> int:
        """Return how many imports of an account are under way."""
        [row] = await self._all(COUNT_RUNNING, (account_id,))
        return int(row[0])

    async def contact_import(self, import_id: UUID, list_id: UUID) -> ContactImportView | None:
        """Return one import."""
        rows = await self._all(ONE_IMPORT, (list_id, import_id))
        return _import_view(rows[0]) if rows else None

    async def rejected_rows(
        self, import_id: UUID, *, after_line: int, limit: int
    ) -> Sequence[RejectedRow]:
        """Return rows that were rejected, in the order of the file."""
        rows = await self._all(REJECTED, (import_id, after_line, limit))
        return [RejectedRow(*row) for row in rows]

    async def _changed(self, list_id: UUID, change: Callable[[], Coroutine[Any, Any, T]]) -> T:
        # An import holds its list for seconds. Whoever waits for it, or for another request of the
        # same list, holds no connection meanwhile: the pool is everyone's.
        turn = self._turns.setdefault(list_id, asyncio.Lock())
        try:
            async with asyncio.timeout(TURN_SECONDS_MAX):
                await turn.acquire()
        except TimeoutError:
            raise ContactListBusy from None
        try:
            for pause_seconds in LOCK_PAUSES_SECONDS:
                with suppress(ContactListBusy):
                    return await self._answered(change)
                await asyncio.sleep(pause_seconds)
            return await self._answered(change)
        finally:
            turn.release()

    async def _execute(self, statement: str, parameters: Any) -> None:
        async def execute() -> None:
            async with self._connection() as connection:
                await connection.execute(statement, parameters)

        await self._answered(execute)


def _list_view(row: Any) -> ContactListView:
    list_id, name, contact_count, created_at, changed_at = row
    return ContactListView(
        id=format_id(CONTACT_LIST_PREFIX, list_id),
        name=name,
        contact_count=contact_count,
        created_at=created_at,
        changed_at=changed_at,
    )


def _contact_view(row: Any) -> ContactView:
    number, country, network, attributes, added_at, updated_at = row
    return ContactView(
        number=number,
        country=country,
        network=network,
        attributes=attributes,
        added_at=added_at,
        updated_at=updated_at,
    )


def _import_view(row: Any) -> ContactImportView:
    import_id, list_id, state, failure, file_format, columns, number_column, *rest = row
    byte_count, started_at, ended_at, total, added, updated, duplicate, invalid = rest
    return ContactImportView(
        id=format_id(CONTACT_IMPORT_PREFIX, import_id),
        list_id=format_id(CONTACT_LIST_PREFIX, list_id),
        state=state,
        failure=failure,
        format=file_format,
        attributes=[name for name in columns if name != number_column],
        number_column=number_column,
        bytes=byte_count,
        rows=ImportRows(
            total=total,
            checked=added + updated + duplicate + invalid,
            added=added,
            updated=updated,
            duplicate=duplicate,
            invalid=invalid,
        ),
        created_at=started_at,
        ended_at=ended_at,
    )
