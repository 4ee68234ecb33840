"""How a recovery looks through the feed of an account on a real database."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from tests.contract.delivery_worlds import World, now, postgres_world

INSERT = """
INSERT INTO account_events (
    account_id, sequence, event_id, name, occurred_at, payload, recorded_at)
VALUES (%s, %s, %s, 'message.delivered', %s, '{}', %s)"""


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with postgres_world(database_url) as made:
        yield made


@pytest.fixture
def feed(world: World, connection: psycopg.Connection[object]) -> None:
    """Forty events: ten of ten days ago, one every three hours, and ten of now."""
    ages = [timedelta(days=10)] * 10 + [timedelta(hours=3 * (20 - n)) for n in range(20)]
    for number, age in enumerate(ages + [timedelta(minutes=1)] * 10, 1):
        at = now() - age
        row = (world.account_id, number, f"evt_{uuid4().hex}_3", at, at)
        connection.execute(INSERT, row)


async def matched(world: World, recovery_id: UUID, pages: int) -> tuple[int, bool]:
    [job] = await world.book.under_way()
    for _ in range(pages):
        await world.book.match(job)
    view = await world.view(recovery_id)
    return view.matched_count, view.is_matched


@pytest.mark.usefixtures("feed")
async def test_recovery_begins_where_its_time_begins(world: World) -> None:
    recovery_id = await world.recover("missing")

    # Ten in pages of three, after the two hours that a clock may be wrong.
    found = await matched(world, recovery_id, 4)

    assert found == (10, True)


@pytest.mark.usefixtures("feed")
async def test_recovery_ends_soon_after_its_time_ends(world: World) -> None:
    times = {"since": now() - timedelta(days=11), "until": now() - timedelta(days=9)}
    recovery_id = await world.recover("missing", **times)

    found = await matched(world, recovery_id, 5)

    assert found == (10, True)
