"""Checks signed checkpoints against one another, against known keys and against the entries."""

from collections import deque
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from typing import Any

import psycopg

from semalink.application.ledger_findings import Finding, Kind
from semalink.domain import merkle
from semalink.domain.checkpoint import NO_CHECKPOINT, Leaf, SignedCheckpoint
from semalink_adapters.ed25519 import is_signed_by
from semalink_adapters.postgres import checkpoints

#: So many leaves are hashed for roots; the root of the last checkpoint is always computed.
ROOT_LEAVES_MAX = 2_000_000
#: A root costs at least as much as so many leaves, so that the checkpoints kept meanwhile are few.
ROOT_COST_MIN = 20

_FETCH = 10_000

_SELECT_FIRST = """
SELECT min(number) FROM ledger_checkpoints
WHERE %(since)s::timestamptz IS NULL OR taken_at >= %(since)s"""

# With the one before the first, to which that is chained.
_SELECT_ALL = """
SELECT number, taken_at, account_count, root, previous_hash, checkpoint_hash, public_key, signature
FROM ledger_checkpoints WHERE number >= %(first)s - 1 ORDER BY number"""

# The older ones as well: an account has a leaf only where it moved.
_SELECT_LEAVES = """
SELECT number, account_id, version, entry_hash FROM checkpoint_heads ORDER BY number"""

_SELECT_STRAY_LEAVES = """
SELECT c.account_id, c.version, c.number, e.entry_hash IS NULL
FROM checkpoint_heads AS c
LEFT JOIN ledger_entries AS e
    ON e.originator_id = c.account_id AND e.originator_version = c.version
WHERE c.number >= %(first)s AND e.entry_hash IS DISTINCT FROM c.entry_hash
ORDER BY c.account_id, c.number"""

Connection = psycopg.Connection[Any]


def audit_checkpoints(
    connection: Connection,
    keys: Collection[bytes],
    since: datetime | None = None,
    *,
    budget: int = ROOT_LEAVES_MAX,
    tell_left: Callable[[int], None] = lambda _: None,
) -> Iterator[Finding]:
    """Check every signature and link, every leaf against its entry, and roots within a budget.

    Without ``keys`` each signature is checked by the key that is stored with it. Checkpoints
    taken before ``since`` are taken for proven. ``tell_left`` is told how many roots were left.
    """
    first = _first_number(connection, since)
    if first is None:
        tell_left(0)
        return
    last: SignedCheckpoint | None = None
    chosen: deque[SignedCheckpoint] = deque()
    count = cost = 0
    for signed in _all(connection, first):
        if signed.checkpoint.number >= first:
            yield from _signature(signed, keys)
            yield from _link(signed, last)
            chosen.append(signed)
            count, cost = count + 1, cost + _cost(signed)
            while cost > budget and len(chosen) > 1:
                cost -= _cost(chosen.popleft())
        last = signed
    tell_left(count - len(chosen))
    yield from _roots(connection, chosen)
    for account_id, version, number, is_gone in connection.execute(
        _SELECT_STRAY_LEAVES, {"first": first}
    ):
        detail = "the entry that it holds " + ("is gone" if is_gone else "has another hash now")
        yield Finding(
            kind=Kind.CHECKPOINT_MISMATCH,
            detail=detail,
            account_id=account_id.hex,
            version=version,
            checkpoint=number,
        )


def _first_number(connection: Connection, since: datetime | None) -> int | None:
    row = connection.execute(_SELECT_FIRST, {"since": since}).fetchone()
    return None if row is None else row[0]


def _all(connection: Connection, first: int) -> Iterator[SignedCheckpoint]:
    with connection.cursor("audit_checkpoints") as cursor:
        cursor.itersize = 1_000
        cursor.execute(_SELECT_ALL, {"first": first}, binary=True)
        for row in cursor:
            yield checkpoints.from_row(row)


def _cost(signed: SignedCheckpoint) -> int:
    return max(signed.checkpoint.account_count, ROOT_COST_MIN)


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


def _roots(connection: Connection, chosen: deque[SignedCheckpoint]) -> Iterator[Finding]:
    # One pass over all leaves in the order of the checkpoints, each account's newest kept.
    leaves: dict[Any, bytes] = {}
    with connection.cursor("audit_leaves") as cursor:
        cursor.itersize = _FETCH
        cursor.execute(_SELECT_LEAVES, binary=True)
        for number, account_id, version, entry_hash in cursor:
            while chosen and chosen[0].checkpoint.number < number:
                yield from _root(leaves, chosen.popleft())
            leaves[account_id] = Leaf(account_id, version, entry_hash).encode()
    while chosen:
        yield from _root(leaves, chosen.popleft())


def _root(leaves: dict[Any, bytes], signed: SignedCheckpoint) -> Iterator[Finding]:
    # A leaf begins with the account id, by which the root wants them ordered.
    if merkle.root(sorted(leaves.values())) != signed.checkpoint.root:
        yield _found(Kind.CHECKPOINT_MISMATCH, signed, "its leaves do not make its root")


def _found(kind: Kind, signed: SignedCheckpoint, detail: str) -> Finding:
    return Finding(kind=kind, detail=detail, checkpoint=signed.checkpoint.number)
