import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool
from uuid_utils.compat import uuid7

from semalink.application.accounts import OpenAccount
from semalink.application.history import HistoryFilter, HistoryRow, Place
from semalink.application.terms import SetSpendingCap
from semalink.domain.account import Kind, Tier
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.history import PostgresHistory
from semalink_adapters.postgres.history_sources import parameters_of, sources_of, span_parameters

FEW = 8
DAY = timedelta(days=1)
BUSY = UUID("01900000000070008000000000000001")

#: Enough for a plan to matter, from two weeks ago on.
FILL = """
INSERT INTO ledger_entries (
    originator_id, originator_version, topic, state, recorded_at, entry_hash)
SELECT '01900000000070008000000000000001', n, 'credit_account.reserved.1', repeat('x', 500)::bytea,
       now() - (5000 - n) * interval '4 minutes', sha256('x')
FROM generate_series(1, 5000) AS n"""


@pytest.fixture
def history(pool: AsyncConnectionPool[Any]) -> PostgresHistory:
    """A history that gives up soon."""
    return PostgresHistory(pool, slice_rows_max=FEW, scanned_rows_max=2 * FEW)


@pytest.fixture
async def agency(desk: Any) -> tuple[UUID, UUID]:
    """An agent and a customer that it pays for."""
    agent_id, customer_id = uuid7(), uuid7()
    await desk.ledger.execute(OpenAccount(agent_id, "Agent", Kind.AGENT, Tier.GROWTH, desk.cause()))
    await desk.ledger.execute(
        OpenAccount(
            customer_id, "Duka", Kind.CUSTOMER, Tier.STARTER, desk.cause(),
            agent_id=agent_id, pays_itself=False,
        )
    )  # fmt: skip
    return agent_id, customer_id


async def follow(history: PostgresHistory, asked: HistoryFilter) -> list[list[HistoryRow]]:
    """Return every page."""
    pages: list[list[HistoryRow]] = []
    place: Place | None = None
    while True:
        page = await history.page(asked, place, 100)
        pages.append(page.rows)
        place = page.next
        if place is None:
            return pages


@pytest.mark.parametrize("is_newest_first", [True, False])
async def test_page_looks_through_a_bounded_piece_and_says_where_to_go_on(
    history: PostgresHistory, desk: Any, *, is_newest_first: bool
) -> None:
    account_id = await desk.open_account(message_count=30)
    for _ in range(30):
        await desk.accept(account_id)

    asked = HistoryFilter(actor="key:desk", is_newest_first=is_newest_first)
    nobody = await follow(history, HistoryFilter(actor="key:nobody"))
    pages = await follow(history, asked)

    rows = [row for page in pages for row in page]
    # Opened twice, paid once, and two events for each message.
    assert len(rows) == len({row.id for row in rows}) == 3 + 2 * 30
    assert [row.at for row in rows] == sorted((row.at for row in rows), reverse=is_newest_first)
    assert max(len(page) for page in pages) < len(rows)
    assert len(nobody) > 1
    assert not any(nobody)


async def test_walk_misses_nothing_that_several_writers_record_meanwhile(
    pool: AsyncConnectionPool[Any], desk: Any, database_url: str
) -> None:
    history = PostgresHistory(pool)
    account_ids = [await desk.open_account(message_count=200) for _ in range(4)]

    async def write(ledger: GroupCommit, account_id: UUID) -> None:
        for _ in range(60):
            await ledger.execute(desk.accepting(account_id))

    async def walk() -> list[str]:
        told: list[str] = []
        place: Place | None = None
        while True:
            page = await history.page(HistoryFilter(is_newest_first=False), place, 7)
            told += [row.id for row in page.rows]
            place = page.next
            if place is None:
                return told

    async with GroupCommit(database_url) as second:
        ledgers = [desk.ledger, second, desk.ledger, second]
        writers = [
            asyncio.create_task(write(ledger, account_id))
            for ledger, account_id in zip(ledgers, account_ids, strict=True)
        ]
        walks = []
        while not all(writer.done() for writer in writers):
            walks.append(await walk())
        await asyncio.gather(*writers)
    whole = await walk()

    assert len(whole) == len(set(whole))
    assert walks
    for told in walks:
        assert told == whole[: len(told)]


async def test_page_holds_back_what_an_older_writer_may_still_precede(
    pool: AsyncConnectionPool[Any], desk: Any, database_url: str
) -> None:
    history = PostgresHistory(pool)
    await desk.open_account()
    asked = HistoryFilter(is_newest_first=False)
    before = await history.page(asked, None, 100)

    with psycopg.connect(database_url) as slow:
        slow.execute("LOCK TABLE admin_events IN ROW EXCLUSIVE MODE")
        await desk.open_account()
        during = await history.page(asked, None, 100)
    after = await history.page(asked, None, 100)

    assert during.rows == before.rows
    assert len(after.rows) == 2 * len(before.rows)


async def test_history_of_an_agents_customer_holds_what_the_agent_paid_for_it(
    pool: AsyncConnectionPool[Any], desk: Any, agency: Any
) -> None:
    agent_id, customer_id = agency
    await desk.ledger.execute(SetSpendingCap(customer_id, agent_id, 700, desk.cause()))
    await desk.ledger.execute(SetSpendingCap(customer_id, agent_id, 900, desk.cause()))

    history = PostgresHistory(pool)
    of_customer = await history.page(HistoryFilter(account_id=customer_id), None, 100)
    of_agent = await history.page(HistoryFilter(account_id=agent_id), None, 100)

    latest = of_customer.rows[0]
    assert (latest.name, latest.before, latest.facts) == (
        "account.spending_cap_set", {"cap_micros": 700}, {"cap_micros": 900},
    )  # fmt: skip
    assert sorted(row.name for row in of_customer.rows) == [
        "account.created", "account.spending_cap_set", "account.spending_cap_set",
        "credit.created",
    ]  # fmt: skip
    assert {row.name for row in of_agent.rows} == {"account.created", "credit.created"}


@pytest.mark.parametrize(
    ("asked", "table", "index"),
    [
        ({}, "message_events", "recorded_at_idx"),
        ({}, "ledger_entries", "ledger_entries_by_recording"),
        ({"actor": "key:a"}, "admin_events", "admin_events_by_recording"),
        ({"name": "refused"}, "refusals", "recorded_at"),
    ],
)
def test_span_of_time_is_found_by_a_small_index(
    connection: psycopg.Connection[Any], asked: dict[str, Any], table: str, index: str
) -> None:
    plan = plan_of(connection, HistoryFilter(**asked), table, bitmaps="on")

    assert index in plan
    assert "Seq Scan" not in plan


def test_change_of_a_limit_is_found_at_once(connection: psycopg.Connection[Any]) -> None:
    asked = HistoryFilter(account_id=BUSY, name="credit.limit_set")

    plan = plan_of(connection, asked, "ledger_entries", bitmaps="off", span=30 * DAY)

    assert "ledger_entries_by_hand" in plan


def plan_of(
    connection: psycopg.Connection[Any],
    asked: HistoryFilter,
    table: str,
    *,
    bitmaps: str,
    span: timedelta = DAY,
) -> str:
    """Return the plan of the rows of one log, as the history asks for them."""
    now = datetime.now(UTC)
    connection.execute(FILL)
    connection.execute("ANALYZE ledger_entries")
    connection.execute("SET enable_seqscan = off")
    connection.execute(f"SET enable_bitmapscan = {bitmaps}")
    [source] = [one for one in sources_of(asked, None) if f" {table} " in one.count()]
    statement = source.rows(is_newest_first=True, goes_on=False)
    parameters = {**parameters_of(asked, None), **span_parameters(now - span, now), "row_count": 51}
    rows = connection.execute(f"EXPLAIN {statement}", parameters).fetchall()
    return "\n".join(row[0] for row in rows)
