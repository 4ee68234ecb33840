"""Contact lists, contacts and imports: the same of those in memory and on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from semalink.application.contact_reading import ContactListView, Contacts
from semalink.application.contacts import (
    CancelContactImport,
    CreateContactList,
    DeleteContactList,
    RenameContactList,
    StartContactImport,
)
from semalink.application.ledger import Ledger
from semalink.domain.cause import Cause
from semalink.domain.contact_errors import ContactListBusy
from semalink.domain.contact_file import Piece
from semalink.domain.contact_import import ContactSource
from semalink.domain.ids import CONTACT_IMPORT_PREFIX, CONTACT_LIST_PREFIX, format_id
from semalink.domain.phone_number import parse
from semalink_adapters.memory_contacts import MemoryContacts
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.postgres.contact_store import lock_list
from semalink_adapters.postgres.contacts import PostgresContacts
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.queries import open_pool

SAFARICOM, AIRTEL = parse("+254712345678"), parse("+254733000001")
PIECE = Piece(2, 1, b"0712345678")


def cause() -> Cause:
    return Cause("key:1", datetime.now(UTC), "req_1")


@dataclass
class World:
    """One account and its contacts."""

    ledger: Ledger
    contacts: Contacts
    account_id: UUID
    #: Changes a list as an import does, for as long as it is open.
    importing: Callable[[UUID], AbstractAsyncContextManager[None]]

    async def new_list(self, name: str = "Shop") -> UUID:
        list_id = uuid7()
        await self.ledger.execute(CreateContactList(list_id, self.account_id, name, cause()))
        return list_id

    async def new_import(self, list_id: UUID) -> UUID:
        import_id = uuid7()
        await self.contacts.add_piece(import_id, 0, PIECE)
        source = ContactSource(
            list_id, "csv", "KE", 1, 1, 17, "00", ("name", "phone"), ",", "phone"
        )
        await self.ledger.execute(
            StartContactImport(import_id, self.account_id, source, uuid7(), cause())
        )
        return import_id


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        ledger = MemoryLedger()
        contacts = MemoryContacts(ledger)

        @asynccontextmanager
        async def busy(list_id: UUID) -> AsyncIterator[None]:
            contacts.busy.add(list_id)
            yield
            contacts.busy.remove(list_id)

        yield World(ledger, contacts, uuid7(), busy)
        return
    url = request.getfixturevalue("database_url")
    async with AsyncExitStack() as stack:
        real = await stack.enter_async_context(GroupCommit(url))
        pool = await stack.enter_async_context(open_pool(url, size=1))

        @asynccontextmanager
        async def locked(list_id: UUID) -> AsyncIterator[None]:
            async with await psycopg.AsyncConnection.connect(url) as worker:
                await lock_list(worker, list_id)
                yield

        yield World(real, PostgresContacts(pool), uuid7(), locked)


async def test_lists_are_found_by_their_account_until_they_are_deleted(world: World) -> None:
    first, second, third = [await world.new_list(name) for name in ("A", "B", "C")]
    await world.ledger.execute(RenameContactList(first, world.account_id, "AA", cause()))
    await world.ledger.execute(DeleteContactList(third, world.account_id, cause()))

    one = await world.contacts.contact_list(first, world.account_id)
    page = await world.contacts.contact_lists(world.account_id, before=None, limit=10)
    behind = await world.contacts.contact_lists(world.account_id, before=second, limit=10)

    assert one is not None
    assert (one.id, one.name, one.contact_count) == (format_id(CONTACT_LIST_PREFIX, first), "AA", 0)
    assert one.changed_at > one.created_at
    assert [view.name for view in page] == ["B", "AA"]
    assert behind == [one]
    assert await world.contacts.contact_list(third, world.account_id) is None
    assert await world.contacts.contact_list(first, uuid7()) is None
    assert await world.contacts.contact_lists(uuid7(), before=None, limit=10) == []


async def test_put_adds_a_contact_once_and_replaces_its_attributes(world: World) -> None:
    list_id = await world.new_list()

    is_new = [
        await world.contacts.put_contact(list_id, SAFARICOM, attributes)
        for attributes in ({"a": "1", "b": "2"}, {"b": "3"})
    ]

    [contact] = await world.contacts.contacts(list_id, after=None, limit=10)
    view = await world.contacts.contact_list(list_id, world.account_id)
    assert is_new == [True, False]
    assert (contact.number, contact.country, contact.network, contact.attributes) == (
        "+254712345678", "KE", "safaricom", {"b": "3"},
    )  # fmt: skip
    assert contact.updated_at > contact.added_at
    assert view is not None
    assert view.contact_count == 1


async def test_contacts_are_listed_by_number_and_filtered(world: World) -> None:
    list_id = await world.new_list()
    for number in (AIRTEL, SAFARICOM):
        await world.contacts.put_contact(list_id, number, {})

    async def numbers(after: str | None = None, limit: int = 10, **filters: str) -> list[str]:
        found = await world.contacts.contacts(list_id, after=after, limit=limit, **filters)
        return [contact.number for contact in found]

    assert await numbers() == ["+254712345678", "+254733000001"]
    assert await numbers(limit=1) == ["+254712345678"]
    assert await numbers(after="+254712345678") == ["+254733000001"]
    assert await numbers(network="airtel") == ["+254733000001"]
    assert await numbers(number="+254712345678") == ["+254712345678"]


async def test_remove_takes_a_contact_off_once(world: World) -> None:
    list_id = await world.new_list()
    await world.contacts.put_contact(list_id, SAFARICOM, {})

    removed = [await world.contacts.remove_contact(list_id, "+254712345678") for _ in range(2)]

    view = await world.contacts.contact_list(list_id, world.account_id)
    assert removed == [True, False]
    assert view is not None
    assert view.contact_count == 0


async def test_put_and_remove_are_refused_and_keep_no_reader_waiting_when_an_import_is_at_work(
    world: World,
) -> None:
    list_id = await world.new_list()
    contacts = world.contacts

    async with world.importing(list_id):
        *refused, view = await asyncio.gather(
            *(contacts.put_contact(list_id, SAFARICOM, {}) for _ in range(10)),
            contacts.remove_contact(list_id, SAFARICOM.e164),
            contacts.contact_list(list_id, world.account_id),
            return_exceptions=True,
        )
    is_new = await contacts.put_contact(list_id, SAFARICOM, {})

    assert [type(one) for one in refused] == [ContactListBusy] * 11
    assert isinstance(view, ContactListView)
    assert is_new


async def test_imports_are_found_in_their_list(world: World) -> None:
    list_id = await world.new_list()
    first, second = [await world.new_import(list_id) for _ in range(2)]

    await world.ledger.execute(CancelContactImport(first, list_id, world.account_id, cause()))
    running_count = await world.contacts.running_import_count(world.account_id)
    page = await world.contacts.contact_imports(list_id, before=None, limit=10)
    behind = await world.contacts.contact_imports(list_id, before=second, limit=10)
    cancelled = await world.contacts.contact_import(first, list_id)

    assert [view.id for view in page] == [
        format_id(CONTACT_IMPORT_PREFIX, one) for one in (second, first)
    ]
    assert running_count == 1
    assert behind == [cancelled]
    assert cancelled is not None
    assert (cancelled.state, cancelled.failure, cancelled.ended_at is not None) == (
        "cancelled", None, True,
    )  # fmt: skip
    running = page[0]
    assert (running.state, running.ended_at, running.bytes) == ("running", None, 17)
    assert (running.attributes, running.number_column) == (["name"], "phone")
    assert (running.rows.total, running.rows.checked) == (1, 0)
    assert await world.contacts.contact_import(first, uuid7()) is None
    assert await world.contacts.rejected_rows(first, after_line=0, limit=10) == []


async def test_discard_forgets_what_was_uploaded(world: World) -> None:
    import_id = uuid7()
    await world.contacts.add_piece(import_id, 0, PIECE)

    await world.contacts.discard_upload(import_id)
    await world.contacts.discard_upload(import_id)
    await world.contacts.add_piece(import_id, 0, PIECE)
