"""Tampers with the tables directly, each kind in its way, and has it named."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from semalink.application.ledger_findings import Finding, Kind
from semalink_adapters.ed25519 import Signer
from semalink_adapters.postgres.checkpoint_audit import ROOT_COST_MIN, audit_checkpoints
from semalink_adapters.postgres.checkpoints import take
from semalink_adapters.postgres.hash_chain import GENESIS, entry_hash
from semalink_adapters.postgres.ledger_replay import Replay
from semalink_adapters.postgres.ledger_streams import Snapshot
from semalink_adapters.postgres.projection_drift import audit_projections

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SIGNER = Signer(bytes(range(32)))

Tamper = Callable[..., None]


@pytest.fixture
async def account_id(desk: Any, connection: psycopg.Connection[Any]) -> UUID:
    """An account with messages charged and open, beside another one; all signed."""
    account_id: UUID = await desk.open_account(message_count=5)
    job = await desk.accept_job(account_id)
    await desk.submit(job, "ref-1")
    await desk.accept(account_id)
    await desk.accept(await desk.open_account(message_count=1))
    assert take(connection, SIGNER, NOW) is not None
    return account_id


def audit(
    connection: psycopg.Connection[Any],
    account_id: UUID | None = None,
    since: datetime | None = None,
) -> list[Finding]:
    with connection.transaction():
        Snapshot.begin(connection)
        findings = list(Snapshot(connection, account_id, since).audit(lambda _: None))
        if not any(one.kind is Kind.UNREADABLE_ENTRY for one in findings):
            findings += audit_projections(connection, account_id)
        return findings + list(audit_checkpoints(connection, {SIGNER.public_key}))


def kinds(findings: list[Finding]) -> set[str]:
    return {str(one.kind) for one in findings}


def test_audit_finds_nothing_in_a_sound_ledger(
    account_id: UUID, connection: psycopg.Connection[Any]
) -> None:
    everything = audit(connection)
    one = audit(connection, account_id)
    recent = audit(connection, since=datetime.now(UTC) - timedelta(hours=1))
    later = audit(connection, since=datetime.now(UTC) + timedelta(hours=1))

    assert everything == one == recent == later == []


TAMPERINGS = {
    "a state": (
        (
            "UPDATE ledger_entries SET state = convert_to(replace(convert_from(state, 'UTF8'),"
            " 'payment-', 'pbyment-'), 'UTF8') WHERE originator_id = %s AND originator_version = 2"
        ),
        {"broken_link"},
    ),
    "a hash": (
        (
            "UPDATE ledger_entries SET entry_hash = sha256('x')"
            " WHERE originator_id = %s AND originator_version = 2"
        ),
        {"broken_link"},
    ),
    "an amount": (
        (
            "UPDATE ledger_entries SET state = convert_to(replace(convert_from(state, 'UTF8'),"
            " '\"amount_micros\":5000000', '\"amount_micros\":9000000'), 'UTF8')"
            " WHERE originator_id = %s AND originator_version = 2"
        ),
        {"broken_link", "wrong_balance"},
    ),
    "an entry removed": (
        "DELETE FROM ledger_entries WHERE originator_id = %s AND originator_version = 3",
        {"missing_entry"},
    ),
    "the last entry removed": (
        "DELETE FROM ledger_entries WHERE originator_id = %s AND originator_version = 5",
        {"missing_entry", "checkpoint_mismatch"},
    ),
    "all entries removed": (
        "DELETE FROM ledger_entries WHERE originator_id = %s",
        {"missing_entry", "checkpoint_mismatch"},
    ),
    "a reservation removed": (
        "DELETE FROM open_reservations WHERE account_id = %s",
        {"open_reservation_mismatch"},
    ),
    "a reservation changed": (
        "UPDATE open_reservations SET amount_micros = 7 WHERE account_id = %s",
        {"open_reservation_mismatch"},
    ),
    "a balance": (
        "UPDATE credit_heads SET posted_micros = posted_micros + 1 WHERE account_id = %s",
        {"head_mismatch"},
    ),
    "a head removed": (
        "DELETE FROM credit_heads WHERE account_id = %s",
        {"head_mismatch"},
    ),
    "what an entry is filed under": (
        (
            "UPDATE ledger_entries SET message_id = originator_id"
            " WHERE originator_id = %s AND originator_version = 3"
        ),
        {"misfiled_entry"},
    ),
    "a topic": (
        (
            "UPDATE ledger_entries SET topic = 'credit_account.given.1'"
            " WHERE originator_id = %s AND originator_version = 2"
        ),
        {"broken_link", "unreadable_entry"},
    ),
    "a leaf": (
        "UPDATE checkpoint_heads SET entry_hash = sha256('x') WHERE account_id = %s",
        {"checkpoint_mismatch"},
    ),
    "a leaf removed": (
        "DELETE FROM checkpoint_heads WHERE account_id = %s",
        {"checkpoint_mismatch"},
    ),
}


@pytest.mark.parametrize("what", TAMPERINGS)
def test_audit_names_what_was_tampered_with(
    account_id: UUID, connection: psycopg.Connection[Any], tamper: Tamper, what: str
) -> None:
    statement, expected = TAMPERINGS[what]
    tamper(statement, account_id)

    findings = audit(connection)

    assert kinds(findings) == expected
    assert {one.account_id for one in findings if not one.checkpoint} <= {account_id.hex}


def test_audit_names_a_history_that_was_written_anew_with_its_hashes(
    account_id: UUID, books: Any, connection: psycopg.Connection[Any], tamper: Tamper
) -> None:
    statement, _ = TAMPERINGS["a state"]
    tamper(statement, account_id)
    reseal(books, tamper, account_id)

    findings = audit(connection)

    assert kinds(findings) == {"checkpoint_mismatch"}
    assert [(one.account_id, one.version) for one in findings] == [(account_id.hex, 5)]


def test_audit_names_a_reservation_that_was_resolved_twice(
    account_id: UUID, books: Any, connection: psycopg.Connection[Any], tamper: Tamper
) -> None:
    tamper(
        "INSERT INTO ledger_entries (originator_id, originator_version, topic, state, message_id,"
        " entry_hash) SELECT originator_id, 6, topic, convert_to(regexp_replace("
        "convert_from(state, 'UTF8'), '\"originator_version\":4', '\"originator_version\":6'),"
        " 'UTF8'), message_id, sha256('x') FROM ledger_entries"
        " WHERE originator_id = %s AND originator_version = 4",
        account_id,
    )
    reseal(books, tamper, account_id)

    findings = audit(connection)

    assert "double_resolution" in kinds(findings)


def test_audit_names_a_balance_below_what_is_there(
    account_id: UUID, books: Any, connection: psycopg.Connection[Any], tamper: Tamper
) -> None:
    tamper(
        "UPDATE ledger_entries SET state = convert_to(replace(replace(convert_from(state, 'UTF8'),"
        " '\"amount_micros\":1000000', '\"amount_micros\":9000000'),"
        " '\"reserved_after_micros\":1000000', '\"reserved_after_micros\":9000000'), 'UTF8')"
        " WHERE originator_id = %s AND originator_version = 3",
        account_id,
    )

    findings = audit(connection)

    assert "overdrawn" in kinds(findings)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "UPDATE ledger_checkpoints SET signature = set_byte(signature, 0, 255)",
            {"bad_signature"},
        ),
        (
            "UPDATE ledger_checkpoints SET account_count = account_count + 1",
            {"bad_signature", "checkpoint_mismatch"},
        ),
        ("UPDATE ledger_checkpoints SET public_key = sha256('x')", {"bad_signature"}),
        ("UPDATE ledger_checkpoints SET previous_hash = sha256('x')", None),
        ("UPDATE ledger_checkpoints SET number = 2", None),
    ],
)
def test_audit_names_a_checkpoint_that_was_changed(
    account_id: UUID,
    connection: psycopg.Connection[Any],
    tamper: Tamper,
    statement: str,
    expected: set[str] | None,
) -> None:
    tamper(statement)

    findings = audit(connection)

    assert kinds(findings) == (expected or {"bad_signature", "checkpoint_mismatch"})


def test_audit_of_recent_entries_names_what_is_wrong_there(
    account_id: UUID, connection: psycopg.Connection[Any], tamper: Tamper
) -> None:
    [(since,)] = connection.execute(
        "SELECT recorded_at FROM ledger_entries"
        " WHERE originator_id = %s AND originator_version = 3",
        (account_id,),
    )
    sound = audit(connection, since=since)
    tamper("UPDATE open_reservations SET amount_micros = 7 WHERE account_id = %s", account_id)

    findings = audit(connection, since=since)

    assert sound == []
    assert kinds(findings) == {"open_reservation_mismatch"}


def test_audit_names_entries_whose_time_was_changed(
    account_id: UUID, connection: psycopg.Connection[Any], tamper: Tamper
) -> None:
    tamper(
        "UPDATE ledger_entries SET recorded_at = '2020-01-01'"
        " WHERE originator_id = %s AND originator_version <= 2",
        account_id,
    )
    tamper(
        "UPDATE ledger_entries SET recorded_at = 'infinity'"
        " WHERE originator_id = %s AND originator_version = 5",
        account_id,
    )

    findings = audit(connection)

    assert [(str(one.kind), one.version) for one in findings] == [
        ("wrong_time", 1),
        ("wrong_time", 2),
        ("wrong_time", 5),
    ]


async def test_audit_computes_the_newest_roots_within_its_budget(
    account_id: UUID, desk: Any, connection: psycopg.Connection[Any], tamper: Tamper
) -> None:
    for hours in (1, 2):
        await desk.accept(account_id)
        assert take(connection, SIGNER, NOW + timedelta(hours=hours)) is not None
    tamper("DELETE FROM checkpoint_heads WHERE account_id = %s AND number = 1", account_id)
    tamper("DELETE FROM checkpoint_heads WHERE account_id = %s AND number = 2", account_id)

    of_all = roots(connection, budget=3 * ROOT_COST_MIN)
    of_two = roots(connection, budget=3 * ROOT_COST_MIN - 1)
    of_one = roots(connection, budget=0)
    recent = roots(connection, budget=3 * ROOT_COST_MIN, since=NOW + timedelta(seconds=1))

    assert of_all == ([1, 2], [0])
    assert of_two == ([2], [1])
    assert of_one == ([], [2])
    assert recent == ([2], [0])


def roots(
    connection: psycopg.Connection[Any], budget: int, since: datetime | None = None
) -> tuple[list[int], list[int]]:
    """Return which checkpoints are wrong, and how many roots were left."""
    left: list[int] = []
    with connection.transaction():
        Snapshot.begin(connection)
        findings = list(
            audit_checkpoints(
                connection, {SIGNER.public_key}, since, budget=budget, tell_left=left.append
            )
        )
    return [one.checkpoint for one in findings], left


def test_replay_finds_nothing_until_a_balance_and_a_reservation_are_changed(
    account_id: UUID, database_url: str, connection: psycopg.Connection[Any], tamper: Tamper
) -> None:
    sound = replay(database_url, connection)
    tamper("UPDATE credit_heads SET posted_micros = 7000000 WHERE account_id = %s", account_id)
    tamper("DELETE FROM open_reservations WHERE account_id = %s", account_id)

    differences = replay(database_url, connection)

    assert sound == []
    assert Counter(one[0] for one in differences) == {"balance": 1, "reservation": 1}
    assert differences[0][3:] == ("5 4000000 1000000 0", "5 7000000 1000000 0")
    [(left,)] = connection.execute(
        "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'ledger_replay%'"
    )
    assert left == 0


def replay(database_url: str, reader: psycopg.Connection[Any]) -> list[Any]:
    with psycopg.connect(database_url, autocommit=True) as writer, reader.transaction():
        Snapshot.begin(reader)
        rebuilt = Replay(reader, writer)
        rebuilt.run(lambda _: None)
        found = list(rebuilt.differences())
        rebuilt.drop()
        return found


def reseal(books: Any, tamper: Tamper, account_id: UUID) -> None:
    """Make the chain whole again, as somebody with all rights would."""
    sealed = GENESIS
    for version, topic, state, _ in books.entries(account_id):
        sealed = entry_hash(sealed, stored(account_id, version, topic, state))
        tamper(
            "UPDATE ledger_entries SET entry_hash = %s"
            " WHERE originator_id = %s AND originator_version = %s",
            sealed,
            account_id,
            version,
        )
    tamper("UPDATE credit_heads SET entry_hash = %s WHERE account_id = %s", sealed, account_id)


def stored(account_id: UUID, version: int, topic: str, state: bytes) -> Any:
    from eventsourcing.persistence import StoredEvent  # noqa: PLC0415

    return StoredEvent(account_id, version, topic, state)
