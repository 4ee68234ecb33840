"""Who opted out of what, as SQL that joins with any set of recipients."""

from typing import Any
from uuid import UUID

import psycopg

from semalink.application.ledger import Needs
from semalink_adapters.postgres.arrays import pack_texts, pack_uuids


def opted_out_of(account_id: str, sender: str, number: str) -> str:
    """Return the SQL condition that a recipient opted out, for columns or parameters of a query.

    One probe of an index for each row: ``WHERE NOT {opted_out_of("c.account_id", ...)}``.
    """
    return f"""EXISTS (
    SELECT FROM opt_outs AS o
    WHERE o.is_active AND o.number = {number}
      AND (o.account_id IS NULL OR o.account_id = {account_id})
      AND o.sender_key IN ('', lower({sender})))"""


LOAD_OPTED_OUT = f"""
SELECT asked.account_id, asked.sender, asked.number
FROM unnest(%b::uuid[], %b::text[], %b::text[]) AS asked (account_id, sender, number)
WHERE {opted_out_of("asked.account_id", "asked.sender", "asked.number")}"""  # noqa: S608

LOAD_UNWANTED = f"""
SELECT p.message_id
FROM unnest(%b::uuid[]) AS asked (id)
JOIN pending_submissions AS p ON p.message_id = asked.id
WHERE {opted_out_of("p.account_id", "p.sender", "p.recipient")}"""  # noqa: S608


def ask_opted_out(
    connection: psycopg.Connection[Any], needs: Needs
) -> tuple[psycopg.Cursor[Any] | None, psycopg.Cursor[Any] | None]:
    """Ask which recipients and which waiting messages are opted out, where anything needs it."""
    recipients, messages = None, None
    if needs.opt_outs:
        accounts, senders, numbers = zip(*needs.opt_outs, strict=True)
        asked = (pack_uuids(accounts), pack_texts(senders), pack_texts(numbers))
        recipients = connection.execute(LOAD_OPTED_OUT, asked, prepare=True, binary=True)
    if needs.unsent:
        ids = (pack_uuids(list(needs.unsent)),)
        messages = connection.execute(LOAD_UNWANTED, ids, prepare=True, binary=True)
    return recipients, messages


def read_opted_out(
    asked: tuple[psycopg.Cursor[Any] | None, psycopg.Cursor[Any] | None],
) -> set[tuple[UUID, str, str] | UUID]:
    """Return what was asked for: recipients as they were asked, messages by their ids."""
    recipients, messages = asked
    opted_out: set[tuple[UUID, str, str] | UUID] = {
        (row[0], row[1], row[2]) for row in recipients or ()
    }
    opted_out.update(row[0] for row in messages or ())
    return opted_out
