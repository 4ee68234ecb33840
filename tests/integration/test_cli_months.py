import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from semalink.domain.calendar import month_bounds, month_of
from semalink_ops.cli import exit_codes, run

#: The month before this one, so that it is over.
MONTH = month_of(month_bounds(month_of(datetime.now(UTC)))[0] - timedelta(hours=1))

Semalink = Callable[..., tuple[int, str, str]]


@pytest.fixture
def semalink(capsys: pytest.CaptureFixture[str]) -> Semalink:
    """Runs one command line and returns its status, what it printed and what it said."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run(list(arguments))
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return call


@pytest.fixture(autouse=True)
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of a platform whose database is fresh and whose broker is away."""
    monkeypatch.setenv("SEMALINK_DATABASE_URL", database_url)
    monkeypatch.setenv("SEMALINK_NATS_URL", "nats://127.0.0.1:9")
    monkeypatch.setenv("SEMALINK_KEY_PEPPER", "a-pepper-of-at-least-thirty-two-characters")


@pytest.fixture
def account_id(semalink: Semalink, database_url: str) -> str:
    """An account that was credited in the month before this one."""
    _, shown, _ = semalink("account", "create", "Acme", "--json")
    account_id: str = json.loads(shown)["id"]
    semalink("account", "top-up", account_id, "12.50", "--reference", "INV-1")
    with psycopg.connect(database_url) as connection:
        # Without the guards of the log: time cannot be waited for.
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(
            "UPDATE ledger_entries SET recorded_at = %s + (originator_version || 's')::interval",
            (month_bounds(MONTH)[0],),
        )
    return account_id


def test_close_month_closes_it_and_says_when_it_was(semalink: Semalink, account_id: str) -> None:
    first, shown, _ = semalink("ledger", "close-month", MONTH, "--json")
    second, again, said = semalink("ledger", "close-month", MONTH)

    closed: dict[str, Any] = json.loads(shown)
    assert (first, second) == (exit_codes.OK, exit_codes.OK)
    assert (closed["closed_before"], closed["month"]["posted_micros"]) == (False, 12_500_000)
    assert "closed before" in said
    assert closed["month"]["positions_sha256"] in again


def test_close_month_is_refused_while_it_lasts(semalink: Semalink, account_id: str) -> None:
    status, _, said = semalink("ledger", "close-month", month_of(datetime.now(UTC)))

    assert status == exit_codes.FAILED
    assert "not over" in said


@pytest.mark.parametrize("command", ["close-month", "trial-balance", "statement"])
def test_commands_refuse_what_is_no_month(semalink: Semalink, command: str) -> None:
    arguments = {"trial-balance": ["--month"], "statement": ["acct_1"]}.get(command, [])

    status, _, said = semalink("ledger", command, *arguments, "November")

    assert status == exit_codes.USAGE
    assert "2026-11" in said


@pytest.mark.parametrize(
    ("wanted", "begins"), [("json", '{"form"'), ("csv", "section,"), ("html", "<!doctype html>")]
)
def test_statement_prints_the_same_to_stdout_and_to_a_file(
    semalink: Semalink, account_id: str, tmp_path: Path, wanted: str, begins: str
) -> None:
    semalink("ledger", "close-month", MONTH)
    asked = ("ledger", "statement", account_id, MONTH, "--format", wanted)

    status, shown, _ = semalink(*asked)
    semalink(*asked, "--output", str(tmp_path / "statement"))

    assert status == exit_codes.OK
    assert shown.startswith(begins)
    assert (tmp_path / "statement").read_bytes() == shown.encode()


def test_statement_of_an_open_month_says_that_it_is_not_final(
    semalink: Semalink, account_id: str
) -> None:
    status, shown, said = semalink("ledger", "statement", account_id, MONTH)

    statement: dict[str, Any] = json.loads(shown)
    assert status == exit_codes.OK
    assert (statement["closed"], statement["closing"]["posted_micros"]) == (False, 12_500_000)
    assert "not final" in said


def test_statement_of_a_month_that_has_not_begun_is_refused(
    semalink: Semalink, account_id: str
) -> None:
    status, _, said = semalink("ledger", "statement", account_id, "2099-12")

    assert status == exit_codes.FAILED
    assert "not begun" in said


def test_trial_balance_adds_up_to_nothing(semalink: Semalink, account_id: str) -> None:
    status, shown, _ = semalink("ledger", "trial-balance", "--json")
    table, _, said = semalink("ledger", "trial-balance", "--month", MONTH)

    assert (status, table) == (exit_codes.OK, exit_codes.OK)
    assert json.loads(shown)["sum_micros"] == 0
    assert "1 have entries that are not in it yet" in said
