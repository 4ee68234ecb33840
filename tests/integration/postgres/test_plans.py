"""Hot statements find their rows by index, also with a plan that was made while all was empty."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from semalink.projections.log_pages import page_query
from semalink_adapters.postgres import (
    awaited_changes,
    awaited_reports,
    batch,
    contacts,
    credit_reads,
    dead_letter_work,
    endpoint_reads,
    feed,
    feed_log,
    opt_out_reads,
    outbox,
    reads,
    reports,
    tables,
    turns,
    webhook_claims,
    webhook_dispatch,
)
from semalink_adapters.postgres.sessions import LOOK_UP_BY_KEY

ROW_COUNT = 100_000
SOME_ID = UUID("01a205f4-df04-75df-a46a-627e62b795df")
NOW = datetime(2026, 11, 23, tzinfo=UTC)

READ_PAGE = (
    page_query("message_events")
    .replace(":xid", "%s")
    .replace(":position", "%s")
    .replace(":page_size", "%s")
)

READ_FEED = endpoint_reads.SELECT_FEED
for name, value in {
    "account_id": f"'{SOME_ID}'",
    "after": "17",
    "until": "10017",
    "names": "NULL",
    "limit": "100",
}.items():
    READ_FEED = READ_FEED.replace(f"%({name})s", value)

#: As a check of a campaign leaves out contacts of a list.
OPTED_OUT_CONTACTS = (
    "SELECT CASE WHEN "
    + opt_out_reads.opted_out_of("%s", "'ACME'", "c.number")
    + " THEN 'opted_out' END FROM contacts AS c WHERE c.list_id = %s"
)

#: Statements that go on from a place in a log; they must not sort either.
FROM_A_CURSOR = [
    pytest.param(outbox.NEXT_JOBS, ("98", 99_000, 1_000), id="next_jobs"),
    pytest.param(outbox.NEXT_REPORTS, ("98", 99_000, 1_000), id="next_reports"),
    pytest.param(READ_PAGE, ("98", 99_000, 2_000), id="read_page"),
    pytest.param(feed_log.NEXT["message_events"], ("98", 99_000, 1_000), id="feed_page"),
]
BY_KEY = [
    pytest.param(batch.LOAD_HEADS, ([SOME_ID], [SOME_ID], ["key"]), id="heads_and_outcomes"),
    pytest.param(batch.LOAD_RESERVATIONS, ([SOME_ID],), id="reservations"),
    pytest.param(batch.LOAD_MESSAGES, ([SOME_ID],), id="messages"),
    pytest.param(batch.LOAD_SETTINGS, ([SOME_ID],), id="settings"),
    pytest.param(tables.DELETE_PENDING, ([SOME_ID],), id="pending"),
    pytest.param(tables.DELETE_RESERVATIONS, ([SOME_ID],), id="resolved"),
    pytest.param(awaited_changes.DELETE_AWAITED, ([SOME_ID],), id="no_longer_awaited"),
    pytest.param(awaited_reports.CLAIM_OVERDUE, (NOW, 100), id="reports_overdue"),
    pytest.param(
        awaited_reports.CLAIM_DUE.replace("%(aggregator)s", "'celcom'").replace("%(limit)s", "10"),
        (),
        id="reports_to_ask_for",
    ),
    pytest.param(awaited_changes.NOTE_STATES, ([SOME_ID], ["queued"]), id="noted"),
    pytest.param(outbox.DUE_JOBS, (100,), id="due_jobs"),
    pytest.param(outbox.URGENT_JOBS, (SOME_ID, 100), id="urgent_jobs"),
    pytest.param(outbox.QUEUED_JOBS, ("normal", SOME_ID, 0.0, 100), id="queued_jobs"),
    pytest.param(turns.HOLD, ([SOME_ID],), id="held"),
    pytest.param(turns.ACCOUNTS_WAITING, (), id="accounts_waiting"),
    pytest.param(turns.FIRST_WAITING, ([SOME_ID], [8]), id="first_waiting"),
    pytest.param(turns.COUNT_WAITING, (), id="count_waiting"),
    pytest.param(turns.DEALT_OUT, ([SOME_ID],), id="dealt_out"),
    pytest.param(turns.STILL_QUEUED, ([SOME_ID],), id="still_queued"),
    pytest.param(turns.PUBLISHED_BEFORE, (100,), id="published_before"),
    pytest.param(reports.OWNERS, (["celcom"], ["ref"]), id="owners"),
    pytest.param(reports.OVERDUE_UNKNOWNS, (100,), id="overdue"),
    pytest.param(reports.EXPIRED_UNSENT, (100,), id="expired_unsent"),
    pytest.param(reports.LOAD_RAW, ([SOME_ID],), id="raw_reports"),
    pytest.param(reads.SELECT_STREAM, (SOME_ID,), id="stream"),
    pytest.param(reads.SELECT_HISTORY.replace("%(id)s", "%s"), (SOME_ID, SOME_ID), id="history"),
    pytest.param(reads.SELECT_CALLER, (b"hash",), id="caller"),
    pytest.param(credit_reads.SELECT_BALANCE_AT, (SOME_ID, NOW), id="balance_at"),
    pytest.param(credit_reads.SELECT_BALANCE_AFTER, (SOME_ID, 9), id="balance_after"),
    pytest.param(credit_reads.SELECT_BALANCE, (SOME_ID,), id="balance"),
    pytest.param(feed_log.EARLIER, ([SOME_ID], [3], SOME_ID, SOME_ID), id="feed_earlier"),
    pytest.param(feed.LAST_SEQUENCES, ([SOME_ID],), id="feed_numbers"),
    pytest.param(feed.SUBSCRIPTIONS, ([SOME_ID],), id="subscriptions"),
    pytest.param(READ_FEED, (), id="feed"),
    pytest.param(endpoint_reads.SELECT_IN_VAIN, (200,), id="waiting_in_vain"),
    pytest.param(webhook_dispatch.TARGETS_DUE, (), id="webhooks_due"),
    pytest.param(webhook_dispatch.ISSUE, ([SOME_ID], [8], [50], 500), id="webhooks_issued"),
    pytest.param(webhook_dispatch.TAKE_BACK, ([SOME_ID],), id="webhooks_taken_back"),
    pytest.param(webhook_dispatch.TAKE_BACK_LOST, (timedelta(minutes=2),), id="webhooks_lost"),
    pytest.param(webhook_dispatch.ISSUED_NOW, (None, None, 500), id="webhooks_out"),
    pytest.param(webhook_dispatch.COUNT_HELD, (), id="webhooks_held"),
    pytest.param(
        webhook_claims.CLAIM, ([SOME_ID], [1], timedelta(seconds=75)), id="webhooks_claimed"
    ),
    pytest.param(
        webhook_claims.PUT_OFF, (timedelta(seconds=2), [SOME_ID], [1]), id="webhooks_put_off"
    ),
    pytest.param(webhook_claims.SECRETS, ([SOME_ID],), id="webhook_secrets"),
    pytest.param(dead_letter_work.SELECT_ARRIVING, (200,), id="dead_letters_arriving"),
    pytest.param(endpoint_reads.COUNT_ENDPOINTS, (SOME_ID,), id="endpoint_count"),
    pytest.param(contacts.CONTACTS, (SOME_ID, "", None, None, "x", "x", 9), id="contacts"),
    pytest.param(opt_out_reads.LOAD_OPTED_OUT, ([SOME_ID], ["ACME"], ["+1"]), id="opted_out"),
    pytest.param(opt_out_reads.LOAD_UNWANTED, ([SOME_ID],), id="unwanted"),
]


@pytest.fixture
def session(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A session as ours are."""
    with psycopg.connect(database_url, autocommit=True, options=LOOK_UP_BY_KEY) as session:
        yield session


def _steps(plan: Any) -> list[str]:
    """Return what the plan does, outermost first."""
    steps = [plan["Node Type"]]
    for part in plan.get("Plans", ()):
        steps += _steps(part)
    return steps


def _explain(session: psycopg.Connection[Any], statement: str, parameters: tuple[Any, ...]) -> Any:
    cursor = session.execute("EXPLAIN (FORMAT JSON) " + statement, parameters)
    [[explained]] = cursor.fetchall()
    return explained[0]["Plan"]


def _fill(connection: psycopg.Connection[Any]) -> None:
    """Write many rows under transaction ids that lie in the past."""
    numbers = f"generate_series(1, {ROW_COUNT}) AS n"
    connection.execute(
        "INSERT INTO message_events (originator_id, originator_version, topic, state, xid)"
        f" SELECT uuidv7(), 1, 'x', '', (n / 1000)::text::xid8 FROM {numbers}"
    )
    connection.execute(
        "INSERT INTO inbound_reports"
        " (report_id, aggregator, content_type, body, received_at, xid)"
        f" SELECT uuidv7(), 'celcom', '', '', now(), (n / 1000)::text::xid8 FROM {numbers}"
    )
    connection.execute(
        "INSERT INTO idempotency_keys (scope, key, fingerprint)"
        f" SELECT uuidv7(), n::text, '' FROM {numbers}"
    )


@pytest.mark.parametrize(("statement", "parameters"), [*FROM_A_CURSOR, *BY_KEY])
def test_plan_of_an_empty_table_reads_by_index(
    session: psycopg.Connection[Any], statement: str, parameters: tuple[Any, ...]
) -> None:
    steps = _steps(_explain(session, statement, parameters))

    assert any("Index" in step for step in steps)
    assert not {"Seq Scan", "Hash Join", "Merge Join"} & set(steps)


def test_opt_outs_of_contacts_are_found_by_number(session: psycopg.Connection[Any]) -> None:
    session.execute(
        "INSERT INTO opt_outs"
        " (opt_out_id, account_id, sender, number, source, how, recorded_at, recorded_by)"
        " SELECT uuidv7(), %s, '', '+' || n, 'api', '', now(), ''"
        " FROM generate_series(1, 5000) AS n",
        (SOME_ID,),
    )
    session.execute("ANALYZE opt_outs")

    plan = _explain(session, OPTED_OUT_CONTACTS, (SOME_ID, SOME_ID))

    assert "opt_outs_of_number" in str(plan)


def test_messages_that_were_given_up_are_found_by_their_own_index(
    session: psycopg.Connection[Any],
) -> None:
    plan = _explain(session, dead_letter_work.SELECT_UNSEEN, (200,))

    assert "pending_submissions_parked" in str(plan)
    assert "dead_letters_about" in str(plan)
    assert not {"Seq Scan", "Sort"} & set(_steps(plan))


def test_balance_at_an_instant_is_one_probe(session: psycopg.Connection[Any]) -> None:
    plan = _explain(session, credit_reads.SELECT_BALANCE_AT, (SOME_ID, NOW))

    assert _steps(plan)[:2] == ["Limit", "Index Scan"]
    assert "ledger_entries_by_time" in str(plan)


@pytest.mark.parametrize("is_analysed", [False, True])
def test_cursors_go_on_by_index_in_a_full_log(
    session: psycopg.Connection[Any], connection: psycopg.Connection[Any], *, is_analysed: bool
) -> None:
    _fill(connection)
    if is_analysed:
        connection.execute("ANALYZE")

    for parameter in FROM_A_CURSOR:
        statement, parameters = parameter.values
        plan = _explain(session, statement, parameters)
        assert not {"Seq Scan", "Sort", "Incremental Sort"} & set(_steps(plan))
        assert "ROW(" in str(plan)
        assert len(session.execute(statement, parameters).fetchall()) >= 900


@pytest.mark.parametrize(
    ("column", "wanted", "index"),
    [("mode", "live", "messages_by_account"), ("recipient", "+1", "messages_by_recipient")],
)
def test_list_of_messages_goes_by_its_account(
    session: psycopg.Connection[Any], column: str, wanted: str, index: str
) -> None:
    listing = (
        f"SELECT {reads.MESSAGE_COLUMNS} FROM messages WHERE account_id = %s AND {column} = %s"
        " AND message_id < %s ORDER BY message_id DESC LIMIT %s"
    )

    plan = _explain(session, listing, (SOME_ID, wanted, SOME_ID, 50))

    assert index in str(plan)
    assert "Sort" not in _steps(plan)
