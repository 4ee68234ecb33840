from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from semalink.domain.checkpoint import NO_CHECKPOINT, SignedCheckpoint, root_of
from semalink_adapters.ed25519 import Signer, is_signed_by
from semalink_adapters.postgres.checkpoints import first_after, latest, leaves_at, numbered, take

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def signer() -> Signer:
    return Signer(bytes(range(32)))


def assert_taken(taken: SignedCheckpoint | None) -> SignedCheckpoint:
    assert taken is not None
    return taken


def _versions(connection: psycopg.Connection[Any], number: int) -> dict[UUID, int]:
    return {leaf.account_id: leaf.version for leaf in leaves_at(connection, number)}


async def test_take_signs_all_heads(
    desk: Any, books: Any, connection: psycopg.Connection[Any], signer: Signer
) -> None:
    account_id = await desk.open_account(message_count=2)
    other_id = await desk.open_account()

    taken = assert_taken(take(connection, signer, NOW))

    one = taken.checkpoint
    leaves = leaves_at(connection, 1)
    assert (one.number, one.account_count, one.previous_hash) == (1, 2, NO_CHECKPOINT)
    assert [leaf.account_id for leaf in leaves] == sorted([account_id, other_id])
    assert root_of(leaves) == one.root
    assert leaves[0].entry_hash == books.head(leaves[0].account_id)[3]
    assert is_signed_by(signer.public_key, one.text(), taken.signature)
    assert latest(connection) == taken


async def test_take_does_nothing_when_no_head_moved(
    desk: Any, connection: psycopg.Connection[Any], signer: Signer
) -> None:
    await desk.open_account()
    first = take(connection, signer, NOW)

    second = take(connection, signer, NOW + timedelta(seconds=5))

    assert second is None
    assert latest(connection) == first


async def test_take_keeps_the_leaves_of_every_checkpoint(
    desk: Any, connection: psycopg.Connection[Any], signer: Signer
) -> None:
    moving = await desk.open_account(message_count=5)
    still = await desk.open_account()
    first = assert_taken(take(connection, signer, NOW))
    await desk.accept(moving)
    later = await desk.open_account()

    second = assert_taken(take(connection, signer, NOW + timedelta(seconds=5)))

    assert second.checkpoint.previous_hash == first.checkpoint_hash
    assert _versions(connection, 1) == {moving: 2, still: 1}
    assert _versions(connection, 2) == {moving: 3, still: 1, later: 1}
    for taken in (first, second):
        leaves = leaves_at(connection, taken.checkpoint.number)
        assert root_of(leaves) == taken.checkpoint.root
    [(changed,)] = connection.execute("SELECT count(*) FROM checkpoint_heads WHERE number = 2")
    assert changed == 2


async def test_take_leaves_it_to_whoever_is_at_it(
    desk: Any, database_url: str, connection: psycopg.Connection[Any], signer: Signer
) -> None:
    await desk.open_account()
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(7230004)")

        meanwhile = take(connection, signer, NOW)
        other.execute("SELECT pg_advisory_unlock(7230004)")

    assert meanwhile is None
    assert take(connection, signer, NOW) is not None


async def test_checkpoints_are_found_by_time_and_number(
    desk: Any, connection: psycopg.Connection[Any], signer: Signer
) -> None:
    account_id = await desk.open_account(message_count=1)
    first = take(connection, signer, NOW)
    await desk.accept(account_id)
    second = take(connection, signer, NOW + timedelta(seconds=5))

    found = [first_after(connection, NOW + timedelta(seconds=after)) for after in (-1, 0, 1, 6)]

    assert found == [first, first, second, None]
    assert numbered(connection, 2) == second
