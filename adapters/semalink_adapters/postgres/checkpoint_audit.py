"""Checks signed checkpoints against one another, against known keys and against the entries."""

from collections.abc import Collection, Iterator
from typing import Any

import psycopg

from semalink.application.ledger_findings import Finding, Kind
from semalink.domain.checkpoint import NO_CHECKPOINT, SignedCheckpoint, root_of
from semalink_adapters.ed25519 import is_signed_by
from semalink_adapters.postgres import checkpoints

#: So many leaves are hashed for roots; the root of the last checkpoint is always computed.
ROOT_LEAVES_MAX = 2_000_000

_SELECT_ALL = """
SELECT number, taken_at, account_count, root, previous_hash, checkpoint_hash, public_key, signature
FROM ledger_checkpoints ORDER BY number"""

_SELECT_STRAY_LEAVES = """
SELECT c.account_id, c.version, c.number, e.entry_hash IS NULL
FROM checkpoint_heads AS c
LEFT JOIN ledger_entries AS e
    ON e.originator_id = c.account_id AND e.originator_version = c.version
WHERE e.entry_hash IS DISTINCT FROM c.entry_hash
ORDER BY c.account_id, c.number"""


def audit_checkpoints(
    connection: psycopg.Connection[Any], keys: Collection[bytes]
) -> Iterator[Finding]:
    """Check every signature and link, every leaf against its entry, and roots within a budget.

    Without ``keys`` each signature is checked by the key that is stored with it.
    """
    last: SignedCheckpoint | None = None
    budget = ROOT_LEAVES_MAX
    for signed in _all(connection):
        yield from _signature(signed, keys)
        yield from _link(signed, last)
        budget -= signed.checkpoint.account_count
        if budget >= 0:
            yield from _root(connection, signed)
        last = signed
    if last is not None and budget < 0:
        yield from _root(connection, last)
    for account_id, version, number, is_gone in connection.execute(_SELECT_STRAY_LEAVES):
        detail = "the entry that it holds " + ("is gone" if is_gone else "has another hash now")
        yield Finding(
            kind=Kind.CHECKPOINT_MISMATCH,
            detail=detail,
            account_id=account_id.hex,
            version=version,
            checkpoint=number,
        )


def _all(connection: psycopg.Connection[Any]) -> Iterator[SignedCheckpoint]:
    with connection.cursor("audit_checkpoints") as cursor:
        cursor.itersize = 1_000
        cursor.execute(_SELECT_ALL, binary=True)
        for row in cursor:
            yield checkpoints.from_row(row)


def _signature(signed: SignedCheckpoint, keys: Collection[bytes]) -> Iterator[Finding]:
    if keys and signed.public_key not in keys:
        detail = "it is signed with a key that is not among the known ones"
        yield _found(Kind.BAD_SIGNATURE, signed, detail)
    elif not is_signed_by(signed.public_key, signed.checkpoint.text(), signed.signature):
        yield _found(Kind.BAD_SIGNATURE, signed, "the signature is not of this text")


def _link(signed: SignedCheckpoint, last: SignedCheckpoint | None) -> Iterator[Finding]:
    one = signed.checkpoint
    number, previous = (
        (last.checkpoint.number, last.checkpoint_hash) if last else (0, NO_CHECKPOINT)
    )
    if one.number != number + 1:
        yield _found(Kind.CHECKPOINT_MISMATCH, signed, f"it follows number {number}")
    elif one.previous_hash != previous:
        yield _found(Kind.CHECKPOINT_MISMATCH, signed, "it is chained to another checkpoint")
    if signed.checkpoint_hash != one.hash():
        yield _found(Kind.CHECKPOINT_MISMATCH, signed, "its hash is not of its text")


def _root(connection: psycopg.Connection[Any], signed: SignedCheckpoint) -> Iterator[Finding]:
    leaves = checkpoints.leaves_at(connection, signed.checkpoint.number)
    if root_of(leaves) != signed.checkpoint.root:
        yield _found(Kind.CHECKPOINT_MISMATCH, signed, "its leaves do not make its root")


def _found(kind: Kind, signed: SignedCheckpoint, detail: str) -> Finding:
    return Finding(kind=kind, detail=detail, checkpoint=signed.checkpoint.number)
