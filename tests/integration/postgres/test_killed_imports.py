"""Imports whose worker is killed again and again: every row counts once, and the end comes once."""

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from pathlib import Path
from typing import Any

from uuid_utils.compat import uuid7

from semalink.application.contacts import CreateContactList, StartContactImport
from semalink.domain.contact_columns import read_columns
from semalink.domain.contact_file import FileCutter, FileLimits
from semalink.domain.contact_import import ContactSource
from semalink_adapters.postgres.contacts import PostgresContacts

WORKER = Path(__file__).with_name("import_process.py")
ROWS = 4_000
KILLS = 2
FILE = "number,name\n" + "".join(
    "12,bad\n" if row % 100 == 0 else f"0712{row % 2_000:06d},Row {row}\n" for row in range(ROWS)
)


async def test_import_counts_every_row_once_when_its_worker_is_killed(
    database_url: str, desk: Any, pool: Any, books: Any
) -> None:
    account_id, list_id, import_id = await desk.open_account(), uuid7(), uuid7()
    await desk.ledger.execute(CreateContactList(list_id, account_id, "Shop", desk.cause()))
    contacts = PostgresContacts(pool)
    cutter = FileCutter(FileLimits(piece_rows=100), has_quotes=True, has_header=True)
    pieces = [*cutter.feed(FILE.encode()), *cutter.finish()]
    for piece_no, piece in enumerate(pieces):
        await contacts.add_piece(import_id, piece_no, piece)
    columns = read_columns("number,name")
    source = ContactSource(
        list_id, "csv", "KE", ROWS, len(pieces), 0, "00", columns.names, ",", "number"
    )
    await desk.ledger.execute(
        StartContactImport(import_id, account_id, source, uuid7(), desk.cause())
    )

    for _ in range(KILLS):
        before = await checked(contacts, import_id, list_id)
        worker = await start(database_url)
        while await checked(contacts, import_id, list_id) <= before:
            await asyncio.wait({asyncio.ensure_future(worker.wait())}, timeout=0.01)
        worker.send_signal(signal.SIGKILL)
        await worker.wait()
    assert await (await start(database_url)).wait() == 0

    view = await contacts.contact_import(import_id, list_id)
    assert view is not None
    assert view.state == "finished"
    assert (view.rows.added, view.rows.duplicate, view.rows.invalid) == (1_980, 1_980, 40)
    events = "SELECT topic FROM admin_events WHERE originator_id = %s ORDER BY originator_version"
    assert books.all(events, import_id) == [
        ("contact_import.created.1",),
        ("contact_import.finished.1",),
    ]
    [contact] = await contacts.contacts(list_id, after=None, limit=1, number="+254712000001")
    assert contact.attributes == {"name": "Row 2001"}
    assert books.one("SELECT count(*) FROM contacts") == 1_980


async def checked(contacts: PostgresContacts, import_id: Any, list_id: Any) -> int:
    view = await contacts.contact_import(import_id, list_id)
    assert view is not None
    return view.rows.checked


async def start(database_url: str) -> Process:
    return await asyncio.create_subprocess_exec(sys.executable, str(WORKER), database_url)
