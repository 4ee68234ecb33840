"""What was sent and what was left at the aggregators, from the tables."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool
from uuid_utils.compat import uuid7

from semalink.application.reconciliation import Reconciliation
from semalink.domain.archive_errors import MonthArchived
from semalink.domain.reconciliation import ProviderRates, business_day
from semalink_adapters.postgres.reconciliation import PostgresReconciliation

RATES = ProviderRates.from_mapping(
    {"africastalking": {"version": 1, "prices": {"KE": {"default": "0.80"}}}}
)

INSERT_MESSAGE = """
INSERT INTO messages (
    message_id, account_id, status, mode, recipient, sender, lane, country, network, encoding,
    segments, price_micros, possible_duplicate, aggregator, metadata, accepted_at, submitted_at,
    expires_at, version, cost_micros, provider_cost_micros, provider_currency)
VALUES (%(id)s, %(id)s, %(status)s, %(mode)s, '+254711000001', 'S', 'normal', 'KE', 'safaricom',
    'GSM-7', %(segments)s, 900000, %(duplicate)s, 'africastalking', '{}', %(at)s, %(at)s, %(at)s, 3,
    800000, %(cost)s, 'KES')"""


def insert(connection: psycopg.Connection[Any], at: datetime, **facts: Any) -> Any:
    defaults = {"status": "delivered", "mode": "live", "segments": 1, "duplicate": False}
    row = {"id": uuid7(), "at": at, "cost": 800_000, **defaults, **facts}
    connection.execute(INSERT_MESSAGE, row)
    return row["id"]


async def test_sums_and_suspects_are_those_of_the_day_and_of_live_messages(
    connection: psycopg.Connection[Any], pool: AsyncConnectionPool[Any]
) -> None:
    now = datetime.now(UTC)
    day = business_day(now)
    insert(connection, now)
    dearer = insert(connection, now, cost=1_600_000)
    silent = insert(connection, now, cost=None)
    doubled = insert(connection, now, duplicate=True)
    insert(connection, now, mode="test", cost=10**9)
    insert(connection, now - timedelta(days=1), cost=10**9)
    reconciliation = Reconciliation(PostgresReconciliation(pool), RATES)

    [summed] = await reconciliation.days(day, day)
    explained = await reconciliation.explain(day, "africastalking")

    assert (summed.message_count, summed.segments) == (4, 4)
    assert (summed.expected_micros, summed.reported_micros) == (3_200_000, 3_200_000)
    assert (summed.billed_micros, summed.unreported_count) == (3_200_000, 1)
    assert [(one.id, one.reason) for one in explained] == [
        (f"msg_{dearer.hex}", "other_cost"),
        (f"msg_{silent.hex}", "no_cost"),
        (f"msg_{doubled.hex}", "possible_duplicate"),
    ]


async def test_balance_is_written_down_once_by_several_workers(
    pool: AsyncConnectionPool[Any],
) -> None:
    book = PostgresReconciliation(pool)
    now = datetime.now(UTC)
    apart = timedelta(minutes=5)

    kept = [
        await book.record_balance("celcom", said, micros, at=at, apart=apart)
        for said, micros, at in (
            ("545.00", 545, now - timedelta(days=2)),
            ("540.00", 540, now - timedelta(minutes=10)),
            ("540.00", 540, now - timedelta(minutes=9)),
            ("530.00", 530, now),
        )
    ]

    day = business_day(now)
    found = await book.snapshots("celcom", day, day)
    assert kept == [True, True, False, True]
    assert [snapshot.left_micros for snapshot in found][-1] == 530
    assert found[0].left_micros in (545, 540)


async def test_days_refuses_days_of_a_month_that_is_archived(
    connection: psycopg.Connection[Any], pool: AsyncConnectionPool[Any]
) -> None:
    connection.execute(
        "INSERT INTO archived_months (log, month, state, generation, folder, row_count,"
        " changed_at, changed_by) VALUES ('message_events', '2026-03', 'archived', 1, 'f', 9,"
        " now(), 'cli:ops')"
    )
    reconciliation = Reconciliation(PostgresReconciliation(pool), RATES)

    with pytest.raises(MonthArchived, match="archive restore 2026-03"):
        await reconciliation.days(date(2026, 4, 1), date(2026, 4, 9))
    with pytest.raises(MonthArchived):
        await reconciliation.explain(date(2026, 3, 9), "africastalking")
    assert await reconciliation.days(date(2026, 4, 9), date(2026, 4, 9)) == []
