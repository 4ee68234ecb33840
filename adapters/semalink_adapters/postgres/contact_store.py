"""Contacts of a list in one transaction: merged with what the list has, and counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from semalink.domain.contact_columns import ATTRIBUTES_MAX
from semalink.domain.contact_errors import ContactListBusy
from semalink.domain.contact_rows import Contact, RejectedRow, too_many

# One at a time changes the contacts of a list, so that none overwrites what another merged.
LOCK_LIST = "SELECT FROM contact_list_counts WHERE list_id = %s FOR UPDATE"

TRY_LOCK_LIST = f"{LOCK_LIST} NOWAIT"

# One look-up for each number. As a join, a table that is not analysed yet was read the other way
# round: every contact of the list against every number, seconds for a piece.
EXISTING = """
SELECT c.number, c.import_id, c.attributes
FROM unnest(%b::text[]) AS asked (number)
CROSS JOIN LATERAL (
    SELECT number, import_id, attributes FROM contacts
    WHERE list_id = %s AND number = asked.number LIMIT 1
) AS c"""

# With the network of the prefix; what reports tell of numbers is looked up by whoever reads them.
STORE = """
INSERT INTO contacts AS c (list_id, number, country, network, attributes, import_id)
SELECT %s, one.number, one.country, one.network, one.attributes::jsonb, %s::uuid
FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[])
    AS one (number, country, network, attributes)
ON CONFLICT (list_id, number) DO UPDATE SET
    network = excluded.network, attributes = excluded.attributes,
    import_id = excluded.import_id, updated_at = now()"""

COUNT = """
UPDATE contact_list_counts SET contact_count = contact_count + %s WHERE list_id = %s"""

_encoder = msgspec.json.Encoder()


@dataclass(slots=True)
class Stored:
    """What became of contacts."""

    added: int = 0
    updated: int = 0
    #: Those that a row of the same import had named before.
    duplicate: int = 0
    rejected: list[RejectedRow] = field(default_factory=list)


async def lock_list(connection: psycopg.AsyncConnection[Any], list_id: UUID) -> None:
    """Keep others from changing the contacts of a list until the transaction ends."""
    await connection.execute(LOCK_LIST, (list_id,))


async def try_lock_list(connection: psycopg.AsyncConnection[Any], list_id: UUID) -> None:
    """Lock a list, or raise ContactListBusy at once where another changes it."""
    try:
        await connection.execute(TRY_LOCK_LIST, (list_id,))
    except psycopg.errors.LockNotAvailable:
        raise ContactListBusy from None


async def merge_contacts(
    connection: psycopg.AsyncConnection[Any],
    list_id: UUID,
    import_id: UUID,
    contacts: Mapping[str, Contact],
) -> Stored:
    """Add contacts to a list that is locked; attributes of those that it has are merged."""
    stored = Stored()
    cursor = await connection.execute(
        EXISTING, (list(contacts), list_id), prepare=True, binary=True
    )
    existing = {number: (by, had) for number, by, had in await cursor.fetchall()}
    kept = []
    for number, contact in contacts.items():
        by, had = existing.get(number, (None, None))
        if had is None:
            stored.added += 1
        else:
            merged = had | contact.attributes
            if len(merged) > ATTRIBUTES_MAX:
                stored.rejected.append(too_many(contact.line))
                continue
            contact.attributes = merged
            if by == import_id:
                stored.duplicate += 1
            else:
                stored.updated += 1
        kept.append(contact)
    await store_contacts(connection, list_id, import_id, kept)
    if stored.added:
        await connection.execute(COUNT, (stored.added, list_id))
    return stored


async def store_contacts(
    connection: psycopg.AsyncConnection[Any],
    list_id: UUID,
    import_id: UUID | None,
    contacts: Sequence[Contact],
) -> None:
    """Write contacts as they are given."""
    if not contacts:
        return
    numbers = [contact.number for contact in contacts]
    parameters = (
        list_id,
        import_id,
        [number.e164 for number in numbers],
        [number.country for number in numbers],
        [number.network for number in numbers],
        [_encoder.encode(contact.attributes).decode() for contact in contacts],
    )
    await connection.execute(STORE, parameters, prepare=True)
