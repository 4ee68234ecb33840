"""The journal has one balanced row an entry, and its sums however often a page is applied."""

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import IntegrityError

from semalink.domain.cause import Cause
from semalink.domain.credit_account import CreditAccount, Spending
from semalink.domain.credit_entries import OnBehalf
from semalink.domain.postings import JOURNAL_ACCOUNTS
from semalink.projections.journal import project
from semalink.projections.projection import LIVE, Recorded
from semalink_adapters.postgres.migrate import sqlalchemy_url

ACCOUNT, CUSTOMER, MESSAGE = (UUID(int=number) for number in (1, 2, 3))
#: The last hour of October in UTC is the first of November in East Africa Time.
OCTOBER = datetime(2026, 10, 31, 20, 59, tzinfo=UTC)
NOVEMBER = datetime(2026, 10, 31, 21, 0, tzinfo=UTC)
CAUSE = Cause("operator:1", OCTOBER, "req_1")
SUMS = " + ".join(JOURNAL_ACCOUNTS)


@pytest.fixture
def tx(database_url: str) -> Iterator[Connection]:
    """A transaction on a fresh database."""
    engine: Engine = create_engine(sqlalchemy_url(database_url))
    with engine.begin() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def entries() -> list[Recorded]:
    """A top-up in October, and a message of an agent's customer in November."""
    account = CreditAccount.open(ACCOUNT, CAUSE)
    account.spending[CUSTOMER, "2026-11"] = Spending(None, 0)
    account.top_up(10_000, "pay 1", CAUSE)
    account.reserve(MESSAGE, 500, CAUSE, on_behalf=OnBehalf(CUSTOMER, 800, "2026-11"))
    account.charge(MESSAGE, CAUSE)
    moments = (OCTOBER, OCTOBER, NOVEMBER, NOVEMBER)
    return [
        Recorded(ACCOUNT, event.originator_version, at, event)
        for event, at in zip(account.collect_events(), moments, strict=True)
    ]


def totals(tx: Connection) -> list[tuple[object, ...]]:
    rows = tx.execute(
        text(
            "SELECT month, entry_count, last_version, payments, revenue, customer_credits,"
            " agent_margin FROM journal_totals ORDER BY month"
        )
    )
    return [tuple(row) for row in rows]


EXPECTED = [
    ("2026-10", 2, 2, 10_000, 0, -10_000, 0),
    ("2026-11", 2, 4, 0, -500, 500, -300),
]


def test_project_keeps_a_balanced_row_for_every_entry(
    tx: Connection, entries: list[Recorded]
) -> None:
    project(entries, tx, LIVE)

    rows = tx.execute(text(f"SELECT version, month, {SUMS} FROM journal ORDER BY version")).all()

    assert [tuple(row) for row in rows] == [
        (1, "2026-10", 0),
        (2, "2026-10", 0),
        (3, "2026-11", 0),
        (4, "2026-11", 0),
    ]
    assert totals(tx) == EXPECTED


def test_project_counts_an_entry_once_when_pages_overlap(
    tx: Connection, entries: list[Recorded]
) -> None:
    project(entries[:3], tx, LIVE)
    project(entries[1:], tx, LIVE)
    project(entries, tx, LIVE)

    assert totals(tx) == EXPECTED


def test_project_does_nothing_with_foreign_events(tx: Connection) -> None:
    project([Recorded(ACCOUNT, 1, OCTOBER, object())], tx, LIVE)

    assert totals(tx) == []


@pytest.mark.parametrize("table", ["journal", "journal_totals"])
def test_an_unbalanced_row_is_refused_by_the_database(
    tx: Connection, entries: list[Recorded], table: str
) -> None:
    project(entries, tx, LIVE)

    with pytest.raises(IntegrityError, match="check"), tx.begin_nested():
        tx.execute(text(f"UPDATE {table} SET revenue = revenue - 1"))

    assert totals(tx) == EXPECTED
