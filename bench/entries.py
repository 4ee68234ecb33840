"""Ledger entries by the million: made as the ledger makes them, loaded with COPY."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

import psycopg
from eventsourcing.persistence import StoredEvent
from psycopg import sql
from uuid_utils.compat import uuid7

from semalink_adapters.postgres.hash_chain import GENESIS, entry_hash

PRICE_MICROS = 800_000
CREDITS_MICROS = 10**15

_COPY = """
COPY ledger_entries
    (originator_id, originator_version, topic, state, message_id, entry_hash)
FROM STDIN (FORMAT BINARY)"""
_TYPES = ("uuid", "int8", "text", "bytea", "uuid", "bytea")

_HEAD = """
INSERT INTO credit_heads (
    account_id, version, posted_micros, reserved_micros, credit_limit_micros, entry_hash)
VALUES (%s, %s, %s, 0, 0, %s)"""

_ACCOUNT = """
INSERT INTO accounts (account_id, billing_account_id, name, kind, tier)
VALUES (%s, %s, 'Bench', 'direct', 'enterprise')"""

_TO_COMPACT = ("ledger_entries", "credit_heads")


def load(database_url: str, *, accounts: int, entries_each: int, at: datetime) -> list[UUID]:
    """Load accounts with so many entries each (an even number); returns their ids."""
    account_ids = [uuid7() for _ in range(accounts)]
    with psycopg.connect(database_url, autocommit=True) as connection:
        for account_id in account_ids:
            _load_account(connection, account_id, entries_each, at)
        for table in _TO_COMPACT:
            connection.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier(table)))
    return account_ids


def _load_account(
    connection: psycopg.Connection, account_id: UUID, count: int, at: datetime
) -> None:
    sealed, posted = GENESIS, 0
    with connection.transaction():
        connection.execute(_ACCOUNT, (account_id, account_id))
        with connection.cursor().copy(_COPY) as copy:
            copy.set_types(_TYPES)
            entries = enumerate(_entries(account_id, count, at), 1)
            for version, (topic, posted_after, state, message_id) in entries:
                posted = posted_after
                sealed = entry_hash(sealed, StoredEvent(account_id, version, topic, state))
                copy.write_row((account_id, version, topic, state, message_id, sealed))
        connection.execute(_HEAD, (account_id, count, posted, sealed))


def _entries(
    account_id: UUID, count: int, at: datetime
) -> Iterator[tuple[str, int, bytes, UUID | None]]:
    moment = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    yield (
        "credit_account.created.1",
        0,
        _state(account_id, 1, moment, 0, 0, ',"credit_limit_micros":0', topic=True),
        None,
    )
    posted = CREDITS_MICROS
    paid = f',"amount_micros":{posted},"payment_reference":"bench-{account_id.hex}"'
    paid += ',"currency":"","paid_minor_units":null'
    yield (
        "credit_account.topped_up.1",
        posted,
        _state(account_id, 2, moment, posted, 0, paid),
        None,
    )
    for version in range(3, count, 2):
        message_id = UUID(int=account_id.int ^ (version << 8))
        one = f',"reservation_id":"{message_id}","amount_micros":{PRICE_MICROS}'
        reserved = one + ',"expires_at":null,"sub_account_id":null,"price_micros":null'
        reserved += ',"spending_month":null'
        yield (
            "credit_account.reserved.1",
            posted,
            _state(account_id, version, moment, posted, PRICE_MICROS, reserved),
            message_id,
        )
        posted -= PRICE_MICROS
        charged = one + ',"remaining_micros":0,"sub_account_id":null,"price_micros":null'
        charged += ',"message_id":null'
        yield (
            "credit_account.charged.1",
            posted,
            _state(account_id, version + 1, moment, posted, 0, charged),
            message_id,
        )


def _state(  # noqa: PLR0913 - what every entry holds
    account_id: UUID,
    version: int,
    moment: str,
    posted: int,
    reserved: int,
    facts: str,
    *,
    topic: bool = False,
) -> bytes:
    created = ',"originator_topic":"credit_account"' if topic else ""
    return (
        f'{{"originator_id":"{account_id}","originator_version":{version},"timestamp":"{moment}"'
        f'{created},"actor":"worker:sms","request_id":"job_bench"'
        f',"posted_after_micros":{posted},"reserved_after_micros":{reserved}'
        f',"credit_limit_after_micros":0{facts}}}'
    ).encode()
