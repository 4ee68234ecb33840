from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from uuid_utils.compat import uuid7

from semalink.application.route_book import RouteTally, second_of
from semalink.application.stall_watch import MinuteTally
from semalink.domain.route_health import Tally
from semalink_adapters.postgres.stall_reads import PostgresStallReads

MINUTE = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


async def test_stalls_are_counted_by_minute_and_network(
    pool: Any, connection: psycopg.Connection[Any]
) -> None:
    reads = PostgresStallReads(pool)
    second = second_of(MINUTE)
    await reads.add(
        [
            RouteTally("celcom", Tally(second, "airtel", 30, 4)),
            RouteTally("celcom", Tally(second + 59, "airtel", 5, 0)),
            RouteTally("celcom", Tally(second + 60, "airtel", 7, 0)),
        ],
        [],
    )
    for at, network in ((MINUTE, None), (MINUTE + timedelta(seconds=59), "airtel")):
        connection.execute(
            "INSERT INTO awaited_reports (message_id, account_id, billing_account_id, aggregator,"
            " network, reference, submitted_at) VALUES (%s, %s, %s, 'celcom', %s, 'r', %s)",
            (uuid7(), uuid7(), uuid7(), network, at),
        )

    span = (MINUTE, MINUTE + timedelta(minutes=1))
    submitted = await reads.submitted(*span)
    unreported = await reads.unreported(*span)

    assert submitted == [MinuteTally("celcom", "airtel", MINUTE, 31)]
    assert sorted(unreported, key=lambda each: each.network) == [
        MinuteTally("celcom", "", MINUTE, 1),
        MinuteTally("celcom", "airtel", MINUTE, 1),
    ]
