"""Statements about deliveries and recoveries find their rows by index, whatever was known first."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest

from semalink_adapters.postgres import delivery_reads, recoveries, recovery_changes
from semalink_adapters.postgres.sessions import LOOK_UP_BY_KEY

ID = UUID("01a205f4-df04-75df-a46a-627e62b795df")
NOW = datetime(2026, 11, 23, tzinfo=UTC)
NAMED = {"id": ID, "ids": [ID], "pause_ms": 200, "count_max": 100, "endpoint_id": ID,
         "before": None, "limit": 9}  # fmt: skip
WAITING = "d.state = 'waiting'"
LISTED = "SELECT d.delivery_id FROM webhook_deliveries AS d WHERE {} ORDER BY d.delivery_id DESC"


@pytest.fixture
def session(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A session as ours are."""
    with psycopg.connect(database_url, autocommit=True, options=LOOK_UP_BY_KEY) as session:
        yield session


def plan_of(session: psycopg.Connection[Any], statement: str, parameters: Any) -> str:
    rows = session.execute(f"EXPLAIN {statement}", parameters).fetchall()
    return "\n".join(line for (line,) in rows)


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        pytest.param(recoveries.UNDER_WAY, (9,), id="under_way"),
        pytest.param(recoveries.TAKE_TURN, NAMED, id="take_turn"),
        pytest.param(recoveries.SELECT_MATCHING, (ID,), id="matching"),
        pytest.param(recoveries.NEXT_EVENTS, (ID, 1, 9), id="next_events"),
        pytest.param(recoveries.SELECT_STATES, ([ID],), id="states"),
        pytest.param(recoveries.ROOM, NAMED | {"ahead_seconds": 2}, id="room"),
        pytest.param(recoveries.DUE, (ID, 9), id="due"),
        pytest.param(recoveries.SKIP, NAMED, id="skip"),
        pytest.param(recoveries.SKIP_DROPPED, NAMED, id="skip_dropped"),
        pytest.param(
            recoveries.SEQUENCE_BEFORE, {"account_id": ID, "moment": NOW}, id="sequence_before"
        ),
        pytest.param(recovery_changes.COUNT_ENDED, ([ID], ["failed"]), id="count_ended"),
        pytest.param(recovery_changes.COUNT_SENT, ([ID], [ID]), id="count_sent"),
        pytest.param(delivery_reads.SELECT_DELIVERY, (ID,), id="delivery"),
        pytest.param(delivery_reads.SELECT_STEPS, (ID,), id="steps"),
        pytest.param(delivery_reads.SELECT_HEALTH, NAMED, id="health"),
        pytest.param(delivery_reads.SELECT_RECOVERIES, NAMED, id="recoveries"),
    ],
)
def test_statement_reads_by_index(
    session: psycopg.Connection[Any], statement: str, parameters: Any
) -> None:
    plan = plan_of(session, statement, parameters)

    assert "Index" in plan
    assert not [one for one in ("Seq Scan", "Hash Join", "Merge Join") if one in plan], plan


@pytest.mark.parametrize(
    ("condition", "parameters", "index"),
    [
        ("d.account_id = %s", (ID,), "by_account"),
        ("d.endpoint_id = %s", (ID,), "by_endpoint"),
        ("d.account_id = %s AND d.state = 'failed'", (ID,), "failed_by_account"),
        ("d.account_id = %s AND d.state = 'waiting'", (ID,), "open_by_account"),
        ("d.account_id = %s AND d.state IN ('issued', 'sending')", (ID,), "open_by_account"),
        ("d.account_id = %s AND d.state = 'cancelled'", (ID,), "cancelled_by_account"),
        ("d.account_id = %s AND d.message_id = %s", (ID, ID), "by_message"),
        ("d.state = 'failed'", (), "failed"),
        ("d.state = 'cancelled'", (), "cancelled"),
    ],
)
def test_list_of_deliveries_goes_on_in_order(
    session: psycopg.Connection[Any], condition: str, parameters: Any, index: str
) -> None:
    plan = plan_of(session, f"{LISTED.format(condition)} LIMIT 9", parameters)

    assert f" webhook_deliveries_{index} " in plan
    assert "Sort" not in plan


def test_list_of_all_that_waits_stops_at_its_page(
    session: psycopg.Connection[Any], connection: psycopg.Connection[Any]
) -> None:
    connection.execute(
        "INSERT INTO webhook_deliveries"
        " (delivery_id, endpoint_id, account_id, event_id, event_name, state, created_at)"
        " SELECT uuidv7(), uuidv7(), uuidv7(), n::text, 'x',"
        " CASE WHEN n % 2 = 0 THEN 'waiting' ELSE 'delivered' END, now()"
        " FROM generate_series(1, 20000) AS n"
    )
    connection.execute("ANALYZE webhook_deliveries")

    plan = plan_of(session, f"{LISTED.format(WAITING)} LIMIT 9", ())

    assert " webhook_deliveries_open " in plan
    assert "Sort" not in plan


def test_list_of_deliveries_of_a_message_reads_no_others_whoever_asks(
    session: psycopg.Connection[Any],
) -> None:
    plan = plan_of(session, f"{LISTED.format('d.message_id = %s')} LIMIT 9", (ID,))

    assert " webhook_deliveries_by_message " in plan
