"""Changes read models past the projector, and has it named."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import NullPool, create_engine

from semalink.application.ledger_findings import Finding
from semalink.projections.balances import BALANCES
from semalink.projections.entries import ENTRIES
from semalink.projections.journal import JOURNAL
from semalink.projections.runner import ProjectionRunner
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.migrate import sqlalchemy_url
from semalink_adapters.postgres.projection_drift import audit_projections

Tamper = Callable[..., None]
READ_MODELS = {one.name: one for one in (BALANCES, ENTRIES, JOURNAL)}


Project = Callable[[str, int], None]


@pytest.fixture
def project(database_url: str) -> Iterator[Project]:
    """Brings a read model on by so many entries."""
    engine = create_engine(sqlalchemy_url(database_url), poolclass=NullPool)

    def bring_on(name: str, count: int) -> None:
        runner = ProjectionRunner(engine, READ_MODELS[name], EventMapper.read)
        runner.page_size = count
        # Others on the server may hold readers back for a moment.
        while count > 0:
            count -= runner.step().event_count

    yield bring_on
    engine.dispose()


@pytest.fixture
async def account_id(desk: Any) -> UUID:
    """An account with five entries, and another one with three."""
    account_id: UUID = await desk.open_account(message_count=5)
    await desk.submit(await desk.accept_job(account_id), "ref-1")
    await desk.accept(account_id)
    await desk.accept(await desk.open_account(message_count=1))
    return account_id


def audit(connection: psycopg.Connection[Any], account_id: UUID | None = None) -> list[Finding]:
    with connection.transaction():
        return list(audit_projections(connection, account_id))


DRIFTS = {
    "a balance": ("balances", "UPDATE balances SET posted_micros = 1 WHERE account_id = %s"),
    "a balance removed": ("balances", "DELETE FROM balances WHERE account_id = %s"),
    "an older balance": (
        "balances",
        (
            "UPDATE balances SET (version, posted_micros, reserved_micros) = (2, 5000000, 0)"
            " WHERE account_id = %s"
        ),
    ),
    "a row removed": ("entries", "DELETE FROM entries WHERE account_id = %s AND version = 3"),
    "the last row removed": (
        "entries",
        "DELETE FROM entries WHERE account_id = %s AND version = 5",
    ),
    "all rows removed": ("entries", "DELETE FROM entries WHERE account_id = %s"),
    "an amount": (
        "entries",
        "UPDATE entries SET amount_micros = 7 WHERE account_id = %s AND version = 3",
    ),
    "postings": (
        "journal",
        (
            "UPDATE journal SET customer_credits = customer_credits + 1, payments = payments - 1"
            " WHERE account_id = %s AND version = 5"
        ),
    ),
    "postings removed": ("journal", "DELETE FROM journal WHERE account_id = %s AND version = 3"),
    "all postings removed": ("journal", "DELETE FROM journal WHERE account_id = %s"),
}


@pytest.mark.parametrize("what", DRIFTS)
def test_audit_names_a_read_model_that_drifted(
    account_id: UUID,
    project: Project,
    connection: psycopg.Connection[Any],
    tamper: Tamper,
    what: str,
) -> None:
    name, change = DRIFTS[what]
    project(name, 8)
    sound = audit(connection)
    tamper(change, account_id)

    drifted = audit(connection)

    assert sound == []
    assert {(str(one.kind), one.projection, one.account_id) for one in drifted} == {
        ("projection_drift", name, account_id.hex)
    }


@pytest.mark.parametrize("name", READ_MODELS)
def test_audit_finds_nothing_in_a_read_model_that_is_on_its_way(
    account_id: UUID, project: Project, connection: psycopg.Connection[Any], name: str
) -> None:
    findings = []
    for count in (3, 3, 2):
        project(name, count)
        findings += audit(connection, account_id)

    assert findings == []
