"""Imports on the real tables: exact counts, the order of lines, and an end that comes once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from psycopg_pool import AsyncConnectionPool
from tests.integration.postgres.conftest import Desk
from uuid_utils.compat import uuid7

from semalink.application.contacts import (
    CancelContactImport,
    CreateContactList,
    DeleteContactList,
    StartContactImport,
    end_task,
)
from semalink.application.tasks import Task
from semalink.domain.contact_columns import read_columns
from semalink.domain.contact_file import FileCutter, FileLimits
from semalink.domain.contact_import import ContactSource
from semalink_adapters.postgres.contact_imports import PostgresContactImports
from semalink_adapters.postgres.contact_store import EXISTING
from semalink_adapters.postgres.contacts import CONTACTS, PostgresContacts
from semalink_adapters.postgres.queries import open_pool
from semalink_adapters.postgres.tasks import PostgresTasks
from semalink_ops.contact_importing import ContactImporter

LIMITS = FileLimits(piece_rows=3)


@dataclass
class World:
    """One list of one account, and the worker that fills it."""

    desk: Desk
    pool: AsyncConnectionPool[Any]
    account_id: UUID
    list_id: UUID
    asked: list[None] = field(default_factory=list)

    @property
    def contacts(self) -> PostgresContacts:
        return PostgresContacts(self.pool)

    @property
    def importer(self) -> ContactImporter:
        imports = PostgresContactImports(self.pool)
        return ContactImporter(imports, self.desk.ledger, uuid7, lambda: self.asked.append(None))

    async def start(self, file: str, file_format: str = "csv") -> UUID:
        """Take a file in, as the API does."""
        is_csv = file_format == "csv"
        import_id = uuid7()
        cutter = FileCutter(LIMITS, has_quotes=is_csv, has_header=is_csv)
        pieces = [*cutter.feed(file.encode()), *cutter.finish()]
        for piece_no, piece in enumerate(pieces):
            await self.contacts.add_piece(import_id, piece_no, piece)
        columns = read_columns((cutter.header or b"number").decode())
        source = ContactSource(
            self.list_id,
            file_format,
            "KE",
            cutter.row_count,
            len(pieces),
            cutter.byte_count,
            "00",
            columns.names if is_csv else (),
            columns.delimiter if is_csv else "",
            columns.names[columns.number_at] if is_csv else None,
        )
        await self.desk.ledger.execute(
            StartContactImport(import_id, self.account_id, source, uuid7(), self.desk.cause())
        )
        return import_id

    async def tasks(self) -> Sequence[Task]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute("SELECT task_id FROM tasks ORDER BY task_id")
            ids = [task_id for (task_id,) in await cursor.fetchall()]
        found = [await PostgresTasks(self.pool).find(task_id) for task_id in ids]
        return [task for task in found if task is not None]

    async def work(self, steps: int = 100) -> None:
        """Do what waits, and what follows from it."""
        for _ in range(steps):
            tasks = await self.tasks()
            if not tasks:
                return
            for task in tasks:
                await self.importer.kinds[task.kind](task)

    async def rows(self, import_id: UUID) -> tuple[str, dict[str, int]]:
        view = await self.contacts.contact_import(import_id, self.list_id)
        assert view is not None
        rows = view.rows
        counts = {"added": rows.added, "updated": rows.updated, "duplicate": rows.duplicate}
        return view.state, {**counts, "invalid": rows.invalid}

    async def attributes(self) -> dict[str, dict[str, str]]:
        found = await self.contacts.contacts(self.list_id, after=None, limit=100)
        return {one.number: one.attributes for one in found}

    async def count(self, table: str) -> int:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(f"SELECT count(*) FROM {table}")
            [row] = await cursor.fetchall()
        return int(row[0])


@pytest.fixture
async def world(database_url: str, desk: Desk) -> AsyncIterator[World]:
    account_id = await desk.open_account()
    list_id = uuid7()
    await desk.ledger.execute(CreateContactList(list_id, account_id, "Shop", desk.cause()))
    async with open_pool(database_url, size=4) as pool:
        yield World(desk, pool, account_id, list_id)


async def test_import_merges_rows_in_the_order_of_their_lines(world: World) -> None:
    first = await world.start("number,name\n0712345678,Old\n0733000001,B\n")
    await world.work()
    file = (
        "number,name,town\n0712345678,A,\n0712000002,C,\n1,bad,\n"
        "0712345678,,Thika\n0722000003,D,\n+254712345678,Z,\n"
    )

    second = await world.start(file)
    await world.work()

    assert await world.rows(first) == (
        "finished", {"added": 2, "updated": 0, "duplicate": 0, "invalid": 0},
    )  # fmt: skip
    assert await world.rows(second) == (
        "finished", {"added": 2, "updated": 1, "duplicate": 2, "invalid": 1},
    )  # fmt: skip
    attributes = await world.attributes()
    assert attributes["+254712345678"] == {"name": "Z", "town": "Thika"}
    view = await world.contacts.contact_list(world.list_id, world.account_id)
    assert view is not None
    assert view.contact_count == len(attributes) == 4
    [rejected] = await world.contacts.rejected_rows(second, after_line=0, limit=10)
    assert (rejected.line, rejected.code) == (4, "invalid_number")
    assert [await world.count(one) for one in ("tasks", "contact_import_pieces")] == [0, 0]


async def test_import_takes_ndjson(world: World) -> None:
    lines = '{"number": "0712345678", "name": "A"}\n{}\n'

    import_id = await world.start(lines, "ndjson")
    await world.work()

    assert await world.rows(import_id) == (
        "finished", {"added": 1, "updated": 0, "duplicate": 0, "invalid": 1},
    )  # fmt: skip


async def test_import_counts_a_piece_once_when_two_workers_have_it(world: World) -> None:
    import_id = await world.start("number\n0712345678\n0712000002\n0712000003\n0712000004\n")
    [task] = await world.tasks()

    await asyncio.gather(*(world.importer.check_piece(task) for _ in range(3)))
    following = await world.tasks()
    await world.work()
    await world.importer.check_piece(task)

    assert len(following) == 1
    assert await world.rows(import_id) == (
        "finished", {"added": 4, "updated": 0, "duplicate": 0, "invalid": 0},
    )  # fmt: skip


async def test_import_ends_once_when_its_end_is_delivered_again(world: World) -> None:
    import_id = await world.start("number\n0712345678\n")
    await world.work()
    end = end_task(uuid7(), world.account_id, import_id)

    await asyncio.gather(*(world.importer.end(end) for _ in range(2)))

    assert (await world.rows(import_id))[0] == "finished"
    assert await world.tasks() == []
    assert await world.count(f"admin_events WHERE originator_id = '{import_id}'") == 2


async def test_import_stops_where_it_is_when_it_is_cancelled(world: World) -> None:
    import_id = await world.start("number\n" + "".join(f"07120000{n:02}\n" for n in range(9)))
    await world.work(1)

    await world.desk.ledger.execute(
        CancelContactImport(import_id, world.list_id, world.account_id, world.desk.cause())
    )
    await world.work()

    assert await world.rows(import_id) == (
        "cancelled", {"added": 3, "updated": 0, "duplicate": 0, "invalid": 0},
    )  # fmt: skip
    assert await world.count("contact_import_pieces") == 0


async def test_import_fails_when_its_list_is_deleted(world: World) -> None:
    import_id = await world.start("number\n0712345678\n0712000002\n0712000003\n0712000004\n")
    await world.work(1)

    await world.desk.ledger.execute(
        DeleteContactList(world.list_id, world.account_id, world.desk.cause())
    )
    await world.work()

    view = await world.contacts.contact_import(import_id, world.list_id)
    assert view is not None
    assert (view.state, view.failure) == ("failed", "list_deleted")
    assert await world.count("contact_import_pieces") == 0


async def test_import_takes_the_network_that_a_report_told(world: World) -> None:
    async with world.pool.connection() as connection:
        await connection.execute(
            "INSERT INTO number_networks (number, network, learned_at, source)"
            " VALUES ('+254712345678', 'airtel', now(), 'report')"
        )

    await world.start("number\n0712345678\n0712000002\n")
    await world.work()

    found = await world.contacts.contacts(world.list_id, after=None, limit=10, network="airtel")
    assert [one.number for one in found] == ["+254712345678"]


@pytest.mark.parametrize("statement", [EXISTING, CONTACTS])
async def test_contacts_are_looked_up_by_key_before_their_table_was_analysed(
    world: World, statement: str
) -> None:
    numbers = ["+254712345678"]
    parameters: tuple[Any, ...] = (numbers, world.list_id)
    if statement is CONTACTS:
        parameters = (world.list_id, "", None, None, "airtel", "airtel", 100)

    async with world.pool.connection() as connection:
        cursor = await connection.execute(f"EXPLAIN {statement}", parameters)
        plan = "\n".join(line for (line,) in await cursor.fetchall())

    assert "Index Cond: " in plan
    assert "Join Filter" not in plan
