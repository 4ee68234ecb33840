"""Usage as the database sums it is what a recount of the messages gives, page by page."""

import random
from typing import Any

from psycopg_pool import AsyncConnectionPool
from sqlalchemy import create_engine
from tests.integration.projections.worlds import START, MessageWorld, record

from semalink.application.usage_reading import (
    CUSTOMER_GRAIN,
    OPERATOR_GRAIN,
    UsageFilter,
    UsageRow,
)
from semalink.domain.message import Message
from semalink.projections.runner import ProjectionRunner
from semalink.projections.usage import USAGE
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_usage import MemoryUsage
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.migrate import sqlalchemy_url
from semalink_adapters.postgres.usage_reads import PostgresUsage


async def _all(reads: Any, wanted: UsageFilter, limit: int) -> list[UsageRow]:
    rows: list[UsageRow] = []
    while page := await reads.usage(wanted, after=rows[-1].place if rows else None, limit=limit):
        rows += page
    return rows


def _in_order(rows: list[UsageRow]) -> list[UsageRow]:
    # The database orders texts by its own rules.
    return sorted(rows, key=lambda row: row.place)


async def test_usage_equals_a_recount_in_pages_of_any_size(
    pool: AsyncConnectionPool[Any], database_url: str
) -> None:
    world = MessageWorld(random.Random(3), 40, 200)
    record(database_url, "message_events", world.log)
    engine, left = create_engine(sqlalchemy_url(database_url)), len(world.log)
    runner = ProjectionRunner(engine, USAGE, EventMapper.read)
    while left > 0:
        left -= runner.step().event_count
    engine.dispose()
    ledger, streams = MemoryLedger(), dict[Any, list[Any]]()
    for event in world.log:
        streams.setdefault(event.originator_id, []).append(event)
    ledger.streams[Message] |= streams
    account_id = world.messages[0].asked.account_id
    real, fake = PostgresUsage(pool), MemoryUsage(ledger, lambda: START)

    for wanted in (
        UsageFilter(OPERATOR_GRAIN),
        UsageFilter(CUSTOMER_GRAIN, account_id, "live"),
        UsageFilter(CUSTOMER_GRAIN, account_id, "test", day_from=START.date(), api_key="campaign"),
        UsageFilter(CUSTOMER_GRAIN, account_id, "live", day_before=START.date()),
        UsageFilter(OPERATOR_GRAIN, network="safaricom", aggregator="celcom"),
    ):
        expected = _in_order(await _all(fake, wanted, 100))
        assert _in_order(await _all(real, wanted, 2)) == expected
        assert _in_order(await _all(real, wanted, 100)) == expected
    assert await real.counted_until() > START
