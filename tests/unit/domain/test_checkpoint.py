import hashlib
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

from semalink.domain import merkle
from semalink.domain.checkpoint import NO_CHECKPOINT, Checkpoint, Leaf, root_of

ONE = UUID(int=1)
TWO = UUID(int=2)
AT = datetime(2026, 11, 25, 12, 30, 5, 70, tzinfo=UTC)


def test_leaf_is_the_account_the_version_and_the_hash() -> None:
    leaf = Leaf(ONE, 258, bytes([7]) * 32)

    encoded = leaf.encode()

    assert encoded == bytes(15) + b"\x01" + bytes(6) + b"\x01\x02" + bytes([7]) * 32


def test_text_is_the_same_for_everyone_who_reads_the_form() -> None:
    east_africa = timezone(timedelta(hours=3))
    checkpoint = Checkpoint(7, AT.astimezone(east_africa), 2, bytes([1]) * 32, NO_CHECKPOINT)

    text = checkpoint.text()

    assert text == (
        b"semalink ledger checkpoint 1\n"
        b"number 7\n"
        b"taken_at 2026-11-25T12:30:05.000070Z\n"
        b"account_count 2\n"
        b"root " + b"01" * 32 + b"\n"
        b"previous_hash " + b"00" * 32 + b"\n"
    )
    assert checkpoint.hash() == hashlib.sha256(text).digest()


def test_root_stands_for_the_leaves_in_their_order() -> None:
    leaves = [Leaf(ONE, 1, bytes(32)), Leaf(TWO, 1, bytes(32))]

    root = root_of(leaves)

    assert root == merkle.root([leaf.encode() for leaf in leaves])
    assert root != root_of(leaves[::-1])
