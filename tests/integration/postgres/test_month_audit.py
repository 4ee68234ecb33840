"""Tampers with frozen months directly, each kind in its way, and has it named."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.ledger_findings import Finding
from semalink.domain.account import Kind, Tier
from semalink.domain.calendar import month_bounds, month_of
from semalink.domain.cause import Cause
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.ledger_streams import Snapshot
from semalink_adapters.postgres.month_audit import audit_months
from semalink_adapters.postgres.months import PostgresMonths
from semalink_adapters.postgres.queries import open_pool

#: The two months before this one, so that they are over.
MONTH = month_of(month_bounds(month_of(datetime.now(UTC)))[0] - timedelta(hours=1))
BEFORE = month_of(month_bounds(MONTH)[0] - timedelta(hours=1))

Tamper = Callable[..., None]


@pytest.fixture
def tamper(database_url: str) -> Iterator[Tamper]:
    """Change a table past everything that guards it."""
    with psycopg.connect(
        database_url, autocommit=True, options="-c session_replication_role=replica"
    ) as owner:

        def change(statement: Any, *parameters: Any) -> None:
            assert owner.execute(statement, parameters).rowcount > 0

        yield change


@pytest.fixture
async def account_id(database_url: str, tamper: Tamper) -> UUID:
    """An account, beside an agent and its customer, with two closed months."""
    cause = Cause("cli:tests", datetime.now(UTC), "req_1")
    account_id, agent_id, customer_id = uuid7(), uuid7(), uuid7()
    pool = open_pool(database_url, size=1)
    async with pool, GroupCommit(database_url) as ledger:
        for one, kind, agent in (
            (account_id, Kind.DIRECT, None),
            (agent_id, Kind.AGENT, None),
            (customer_id, Kind.CUSTOMER, agent_id),
        ):
            command = OpenAccount(one, "A", kind, Tier.STARTER, cause, agent_id=agent)
            await ledger.execute(command)
        await ledger.execute(TopUp(account_id, 1_000, "pay 1", cause))
        await ledger.execute(TopUp(account_id, 500, "pay 2", cause))
        backdate = "UPDATE ledger_entries SET recorded_at = %s WHERE originator_version "
        tamper(backdate + "<= 2", month_bounds(BEFORE)[0])
        tamper(backdate + "> 2", month_bounds(MONTH)[0])
        months = PostgresMonths(pool, ledger, database_url)
        await months.close(BEFORE, cause)
        await months.close(MONTH, cause)
    return account_id


def audit(
    connection: psycopg.Connection[Any],
    account_id: UUID | None = None,
    since: datetime | None = None,
) -> list[Finding]:
    with connection.transaction():
        Snapshot.begin(connection)
        return list(audit_months(connection, account_id, since))


def test_audit_finds_nothing_in_months_as_they_were_closed(
    account_id: UUID, connection: psycopg.Connection[Any]
) -> None:
    everything = audit(connection)
    one = audit(connection, account_id)
    recent = audit(connection, since=month_bounds(MONTH)[0])

    assert everything == one == recent == []


OF_ONE = " WHERE account_id = %s AND month = '" + MONTH + "'"
TAMPERINGS = {
    "a balance": (
        "UPDATE month_positions SET closing_posted_micros = closing_posted_micros + 1" + OF_ONE,
        [("wrong_position", "not those"), ("wrong_position", "another balance")],
    ),
    "a version": (
        "UPDATE month_positions SET closing_version = 9" + OF_ONE,
        [("wrong_position", "not those"), ("wrong_position", "is gone")],
    ),
    "a hash": (
        "UPDATE month_positions SET closing_entry_hash = sha256('x')" + OF_ONE,
        [("wrong_position", "not those"), ("wrong_position", "another hash")],
    ),
    "an opening": (
        "UPDATE month_positions SET opening_posted_micros = 0" + OF_ONE,
        [("wrong_position", "not those"), ("wrong_position", "does not open")],
    ),
    "a position removed": (
        "DELETE FROM month_positions" + OF_ONE,
        [("wrong_position", "not those")],
    ),
    "a document": (
        "UPDATE statements SET document = document || ' '::bytea" + OF_ONE,
        [("altered_statement", "hash seals")],
    ),
    "a document and its hash": (
        "UPDATE statements SET document = d, sha256 = sha256(d) FROM (SELECT account_id AS a,"
        " month AS m, convert_to(replace(convert_from(document, 'UTF8'), 'pay 2', 'pay 3'),"
        " 'UTF8') AS d FROM statements) AS x" + OF_ONE + " AND a = account_id AND m = month",
        [("altered_statement", "something else")],
    ),
    "a document that is none": (
        "UPDATE statements SET document = 'x', sha256 = sha256('x')" + OF_ONE,
        [("altered_statement", "something else")],
    ),
    "a document removed": (
        "DELETE FROM statements" + OF_ONE,
        [("altered_statement", "is gone")],
    ),
}


@pytest.mark.parametrize("what", TAMPERINGS)
def test_audit_names_what_was_tampered_with(
    account_id: UUID, connection: psycopg.Connection[Any], tamper: Tamper, what: str
) -> None:
    statement, expected = TAMPERINGS[what]
    connection.execute("ALTER TABLE statements DROP CONSTRAINT statements_check")
    tamper(statement, account_id)

    findings = audit(connection)

    assert [str(one.kind) for one in findings] == [kind for kind, _ in expected]
    assert all(
        said in one.detail and MONTH in one.detail
        for one, (_, said) in zip(findings, expected, strict=True)
    )
    assert {one.account_id for one in findings} <= {account_id.hex, ""}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounting_months SET posted_micros = 7",
        "DELETE FROM accounting_months",
        "DELETE FROM admin_events WHERE topic = 'accounting_month.closed.1'",
    ],
)
def test_audit_names_a_month_whose_row_and_event_differ(
    account_id: UUID, connection: psycopg.Connection[Any], tamper: Tamper, statement: str
) -> None:
    tamper(statement)

    findings = audit(connection, account_id)

    assert [(str(one.kind), one.detail[:7]) for one in findings] == [
        ("wrong_position", BEFORE),
        ("wrong_position", MONTH),
    ]


@pytest.mark.parametrize(("version", "said"), [(3, "closes with"), (1, "one of its entries")])
def test_audit_names_a_month_with_an_entry_that_cannot_be_read(
    account_id: UUID,
    connection: psycopg.Connection[Any],
    tamper: Tamper,
    version: int,
    said: str,
) -> None:
    tamper(
        "UPDATE ledger_entries SET topic = 'credit_account.given.1'"
        " WHERE originator_id = %s AND originator_version = %s",
        account_id,
        version,
    )

    findings = audit(connection)

    assert [str(one.kind) for one in findings] == ["wrong_position"]
    assert said in findings[0].detail
