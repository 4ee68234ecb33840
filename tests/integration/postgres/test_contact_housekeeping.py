"""What housekeeping drops of contacts."""

import re
from datetime import timedelta
from typing import Any

import psycopg
from uuid_utils.compat import uuid7

from semalink.application.contacts import (
    CancelContactImport,
    CreateContactList,
    DeleteContactList,
    StartContactImport,
)
from semalink.domain.contact_import import ContactSource
from semalink.domain.phone_number import parse
from semalink_adapters.postgres.contact_housekeeping import contact_deletions
from semalink_adapters.postgres.contacts import PostgresContacts
from semalink_adapters.postgres.housekeeping import CHUNK, keep_house
from semalink_ops.runtime import utc_now

NUMBER = parse("+254712345678")
ADD_PIECE = """
INSERT INTO contact_import_pieces (import_id, piece_no, first_line, row_count, content, stored_at)
VALUES (%s, 0, 1, 1, '', now() - %s::interval)"""


async def test_keep_house_drops_contacts_of_deleted_lists(
    database_url: str, desk: Any, pool: Any, books: Any
) -> None:
    account_id, kept, gone = await desk.open_account(), uuid7(), uuid7()
    for list_id in (kept, gone):
        await desk.ledger.execute(CreateContactList(list_id, account_id, "Shop", desk.cause()))
        await PostgresContacts(pool).put_contact(list_id, NUMBER, {})
    await desk.ledger.execute(DeleteContactList(gone, account_id, desk.cause()))

    keep_house(database_url, utc_now())

    assert books.all("SELECT list_id FROM contacts") == [(kept,)]


async def test_keep_house_drops_what_no_import_needs(
    database_url: str, desk: Any, connection: psycopg.Connection[Any], books: Any
) -> None:
    account_id, list_id, running, ended, broken = (
        await desk.open_account(),
        *(uuid7() for _ in range(4)),
    )
    await desk.ledger.execute(CreateContactList(list_id, account_id, "Shop", desk.cause()))
    source = ContactSource(list_id, "ndjson", "KE", 1, 1, 9, "00")
    for import_id in (running, ended):
        await desk.ledger.execute(
            StartContactImport(import_id, account_id, source, uuid7(), desk.cause())
        )
        connection.execute(
            "INSERT INTO contact_import_rejects VALUES (%s, 1, 'invalid_json', '')", (import_id,)
        )
    await desk.ledger.execute(CancelContactImport(ended, list_id, account_id, desk.cause()))
    for import_id in (running, ended, broken):
        connection.execute(ADD_PIECE, (import_id, timedelta(days=2)))
    fresh = uuid7()
    connection.execute(ADD_PIECE, (fresh, timedelta(hours=1)))

    keep_house(database_url, utc_now())
    pieces = {
        import_id for (import_id,) in books.all("SELECT import_id FROM contact_import_pieces")
    }
    keep_house(database_url, utc_now() + timedelta(days=31))

    assert pieces == {running, fresh}
    assert books.all("SELECT import_id FROM contact_import_rejects") == [(running,)]


def test_keep_house_probes_what_is_over_and_reads_nothing_of_what_is_kept(
    connection: psycopg.Connection[Any],
) -> None:
    connection.execute(
        "INSERT INTO contact_lists (list_id, account_id, name, state, created_by, created_at,"
        " changed_at) SELECT uuidv7(), uuidv7(), '', 'deleted', '', now(), now()"
        " FROM generate_series(1, 2000)"
    )
    connection.execute(
        "INSERT INTO contact_imports (import_id, list_id, account_id, format, default_country,"
        " delimiter, columns, row_count, piece_count, byte_count, state, started_by, started_at,"
        " ended_at) SELECT uuidv7(), uuidv7(), uuidv7(), 'csv', '', '', '{}', 1, 1, 1, 'finished',"
        " '', now() - interval '1 year', now() - interval '1 year' FROM generate_series(1, 2000)"
    )
    connection.execute(
        "INSERT INTO contacts (list_id, number, country, attributes)"
        " SELECT %s, '+' || n, 'KE', '{}' FROM generate_series(1, 50000) AS n",
        (uuid7(),),
    )
    connection.execute(
        "INSERT INTO contact_import_rejects (import_id, line, code, reason)"
        " SELECT %s, n, 'x', '' FROM generate_series(1, 50000) AS n",
        (uuid7(),),
    )
    connection.execute("ANALYZE")

    for statement, parameters in contact_deletions(utc_now(), CHUNK)[:2]:
        cursor = connection.execute(f"EXPLAIN {statement}", (*parameters, CHUNK))
        plan = "\n".join(line for (line,) in cursor.fetchall())

        assert not re.search("Seq Scan on contact(s|_import_rejects) ", plan), plan
