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
    for at, network, polls, next_poll_at in (
        (MINUTE, None, 1, None),
        (MINUTE + timedelta(seconds=59), "airtel", 0, None),
        (MINUTE, "safaricom", 0, MINUTE),
    ):
        connection.execute(
            "INSERT INTO awaited_reports (message_id, account_id, billing_account_id, aggregator,"
            " network, reference, submitted_at, polls, next_poll_at)"
            " VALUES (%s, %s, %s, 'celcom', %s, 'r', %s, %s, %s)",
            (uuid7(), uuid7(), uuid7(), network, at, polls, next_poll_at),
        )

    span = (MINUTE, MINUTE + timedelta(minutes=1))
    submitted = await reads.submitted(*span)
    unreported = await reads.unreported(*span)
    unasked = await reads.unasked(*span)

    assert submitted == [MinuteTally("celcom", "airtel", MINUTE, 31)]
    assert sorted(unreported, key=lambda each: each.network) == [
        MinuteTally("celcom", "", MINUTE, 1),
        MinuteTally("celcom", "airtel", MINUTE, 1),
    ]
    assert unasked == [MinuteTally("celcom", "safaricom", MINUTE, 1)]


async def test_reports_that_wait_to_be_read_show(
    pool: Any, connection: psycopg.Connection[Any]
) -> None:
    reads = PostgresStallReads(pool)
    before = await reads.is_behind()
    connection.execute(
        "INSERT INTO pending_reports (report_id, received_at)"
        " VALUES (%s, now() - interval '2 minutes')",
        (uuid7(),),
    )

    assert not before
    assert await reads.is_behind()


async def test_a_stalled_route_is_heard_of_when_a_probe_is_no_longer_awaited(
    pool: Any, connection: psycopg.Connection[Any]
) -> None:
    reads, route_id, probe_id = PostgresStallReads(pool), uuid7(), uuid7()
    connection.execute("INSERT INTO routes (route_id, name) VALUES (%s, 'celcom')", (route_id,))
    connection.execute(
        "INSERT INTO route_circuits (route_id, network, is_open, since, cause, probe_at,"
        " error_permille, taken_probes) VALUES (%s, '', true, now(), 'stall', now(), 1000, %s)",
        (route_id, [probe_id]),
    )
    connection.execute(
        "INSERT INTO awaited_reports (message_id, account_id, billing_account_id, aggregator,"
        " reference, submitted_at) VALUES (%s, %s, %s, 'celcom', 'r', now())",
        (probe_id, uuid7(), uuid7()),
    )
    before = await reads.heard_of()
    connection.execute("DELETE FROM awaited_reports WHERE message_id = %s", (probe_id,))

    after = await reads.heard_of()

    assert before == []
    assert after == [("celcom", "")]
