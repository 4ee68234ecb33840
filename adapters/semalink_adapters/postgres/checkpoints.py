"""Takes checkpoints over all credit heads, and reads those that were taken."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Protocol

import psycopg

from semalink.domain.checkpoint import (
    NO_CHECKPOINT,
    Checkpoint,
    Leaf,
    SignedCheckpoint,
    root_of,
)
from semalink_adapters.postgres.queries import Queries

#: Takers of checkpoints do not wait for one another: one at a time is enough.
_LOCK = 7_230_004

_COLUMNS = """
number, taken_at, account_count, root, previous_hash, checkpoint_hash, public_key, signature"""

SELECT_LATEST = f"SELECT {_COLUMNS} FROM ledger_checkpoints ORDER BY number DESC LIMIT 1"  # noqa: S608

SELECT_FIRST_AFTER = f"""
SELECT {_COLUMNS} FROM ledger_checkpoints
WHERE taken_at >= %s ORDER BY taken_at, number LIMIT 1"""  # noqa: S608

SELECT_ONE = f"SELECT {_COLUMNS} FROM ledger_checkpoints WHERE number = %s"  # noqa: S608

SELECT_NEWEST = f"""
SELECT {_COLUMNS} FROM ledger_checkpoints
WHERE number < COALESCE(%s, 9223372036854775807) ORDER BY number DESC LIMIT %s"""  # noqa: S608

# Every head, and whether the newest checkpoint that holds it holds it as it is now.
SELECT_HEADS = """
SELECT h.account_id, h.version, h.entry_hash,
       last.version IS DISTINCT FROM h.version OR last.entry_hash IS DISTINCT FROM h.entry_hash
FROM credit_heads AS h
LEFT JOIN LATERAL (
    SELECT c.version, c.entry_hash FROM checkpoint_heads AS c
    WHERE c.account_id = h.account_id ORDER BY c.number DESC LIMIT 1
) AS last ON true
ORDER BY h.account_id"""

SELECT_LEAVES = """
SELECT DISTINCT ON (account_id) account_id, version, entry_hash FROM checkpoint_heads
WHERE number <= %s ORDER BY account_id, number DESC"""

_INSERT_CHECKPOINT = f"""
INSERT INTO ledger_checkpoints ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"""  # noqa: S608

_COPY_HEADS = "COPY checkpoint_heads (account_id, number, version, entry_hash) FROM STDIN"


class PostgresCheckpoints(Queries):
    """Reads checkpoints over the pool."""

    async def newest(self, before: int | None, limit: int) -> Sequence[SignedCheckpoint]:
        """Return checkpoints, the newest first, from before a number."""
        return [from_row(row) for row in await self._all(SELECT_NEWEST, (before, limit))]


class Signer(Protocol):
    """Signs texts with one key."""

    public_key: bytes

    def sign(self, text: bytes) -> bytes:
        """Return the signature of a text."""
        ...


def take(
    connection: psycopg.Connection[Any], signer: Signer, now: datetime
) -> SignedCheckpoint | None:
    """Sign all heads as they are in one snapshot.

    Returns None when no head moved since the last checkpoint, or when somebody else is taking
    one. The connection must be in autocommit.
    """
    with _alone(connection) as is_alone:
        if not is_alone:
            return None
        # Reading gives the transaction no id, so that no reader of the logs is held back
        # meanwhile (ADR-0007); what is written afterwards is short.
        last, leaves, changed = _look(connection)
        if not changed:
            return None
        checkpoint = Checkpoint(
            number=last.checkpoint.number + 1 if last else 1,
            taken_at=now,
            account_count=len(leaves),
            root=root_of(leaves),
            previous_hash=last.checkpoint_hash if last else NO_CHECKPOINT,
        )
        signature = signer.sign(checkpoint.text())
        signed = SignedCheckpoint(checkpoint, checkpoint.hash(), signer.public_key, signature)
        _store(connection, signed, changed)
        return signed


def latest(connection: psycopg.Connection[Any]) -> SignedCheckpoint | None:
    """Return the newest checkpoint."""
    return _one(connection, SELECT_LATEST)


def first_after(connection: psycopg.Connection[Any], moment: datetime) -> SignedCheckpoint | None:
    """Return the first checkpoint that was taken then or later."""
    return _one(connection, SELECT_FIRST_AFTER, moment)


def numbered(connection: psycopg.Connection[Any], number: int) -> SignedCheckpoint | None:
    """Return one checkpoint."""
    return _one(connection, SELECT_ONE, number)


def newest(
    connection: psycopg.Connection[Any], before: int | None, limit: int
) -> list[SignedCheckpoint]:
    """Return checkpoints, the newest first, from before a number."""
    cursor = connection.execute(SELECT_NEWEST, (before, limit), binary=True)
    return [from_row(row) for row in cursor]


def leaves_at(connection: psycopg.Connection[Any], number: int) -> list[Leaf]:
    """Return what a checkpoint was taken over, in the order of the account ids."""
    cursor = connection.execute(SELECT_LEAVES, (number,), binary=True)
    return [Leaf(*row) for row in cursor]


def from_row(row: Iterable[Any]) -> SignedCheckpoint:
    """Return the checkpoint that a row of `ledger_checkpoints` holds."""
    number, taken_at, account_count, root, previous_hash, *signed = row
    checkpoint = Checkpoint(number, taken_at, account_count, root, previous_hash)
    return SignedCheckpoint(checkpoint, *signed)


@contextmanager
def _alone(connection: psycopg.Connection[Any]) -> Iterator[bool]:
    # Before the snapshot, so that a second one sees what the first one took.
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
    assert row is not None, "the question has one answer"
    try:
        yield row[0]
    finally:
        if row[0] and not connection.broken:
            connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def _look(
    connection: psycopg.Connection[Any],
) -> tuple[SignedCheckpoint | None, list[Leaf], list[Leaf]]:
    leaves: list[Leaf] = []
    changed: list[Leaf] = []
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        last = latest(connection)
        for *head, is_changed in connection.execute(SELECT_HEADS, binary=True):
            leaf = Leaf(*head)
            leaves.append(leaf)
            if is_changed:
                changed.append(leaf)
    return last, leaves, changed


def _store(
    connection: psycopg.Connection[Any], signed: SignedCheckpoint, changed: list[Leaf]
) -> None:
    one = signed.checkpoint
    row = (
        one.number, one.taken_at, one.account_count, one.root, one.previous_hash,
        signed.checkpoint_hash, signed.public_key, signed.signature,
    )  # fmt: skip
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(_INSERT_CHECKPOINT, row)
        with cursor.copy(_COPY_HEADS) as copy:
            for leaf in changed:
                copy.write_row((leaf.account_id, one.number, leaf.version, leaf.entry_hash))


def _one(
    connection: psycopg.Connection[Any], statement: Any, *parameters: Any
) -> SignedCheckpoint | None:
    row = connection.execute(statement, parameters, binary=True).fetchone()
    return None if row is None else from_row(row)
