import base64
import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from semalink_adapters.ed25519 import Signer
from semalink_ops.cli import exit_codes, run

SEED = bytes(range(32))
KEY = base64.b64encode(Signer(SEED).public_key).decode()

Semalink = Callable[..., tuple[int, list[Any]]]
Tamper = Callable[[str], list[Any]]


@pytest.fixture
def semalink(capsys: pytest.CaptureFixture[str]) -> Semalink:
    """Runs one command line and returns its status and its lines of JSON."""

    def call(*arguments: str) -> tuple[int, list[Any]]:
        capsys.readouterr()
        status = run([*arguments, "--json"])
        return status, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return call


@pytest.fixture(autouse=True)
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMALINK_DATABASE_URL", database_url)
    monkeypatch.setenv("SEMALINK_NATS_URL", "nats://127.0.0.1:9")
    monkeypatch.setenv("SEMALINK_KEY_PEPPER", "a-pepper-of-at-least-thirty-two-characters")
    monkeypatch.setenv("SEMALINK_LEDGER_SIGNING_KEY", base64.b64encode(SEED).decode())


@pytest.fixture
def tamper(database_url: str, semalink: Semalink) -> Tamper:
    """Changes the books of an account with credits that was signed, past all guards."""
    _, [opened] = semalink("account", "create", "Acme")
    semalink("account", "top-up", opened["id"], "5", "--reference", "INV-1")
    semalink("ledger", "checkpoint")

    def change(statement: str) -> list[Any]:
        with psycopg.connect(
            database_url, autocommit=True, options="-c session_replication_role=replica"
        ) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    return change


def test_verify_ends_with_0_until_a_balance_is_changed(semalink: Semalink, tamper: Tamper) -> None:
    sound = semalink("ledger", "verify")
    tamper("UPDATE credit_heads SET posted_micros = 1")

    status, [finding, summary] = semalink("ledger", "verify")

    assert sound == (
        exit_codes.OK,
        [{"ok": True, "entries": 2, "findings": {}, "roots_left": 0}],
    )
    assert status == exit_codes.FAILED
    assert (finding["kind"], finding["version"]) == ("head_mismatch", 2)
    assert (summary["ok"], summary["findings"]) == (False, {"head_mismatch": 1})


def test_verify_ends_with_3_when_nothing_is_known_of_the_account(
    semalink: Semalink, tamper: Tamper
) -> None:
    unknown, said = semalink("ledger", "verify", "--account", f"acct_{1:032x}")
    [(account_id,)] = tamper("SELECT account_id FROM credit_heads")
    tamper("DELETE FROM ledger_entries")
    tamper("DELETE FROM credit_heads")

    emptied, findings = semalink("ledger", "verify", "--account", f"acct_{account_id.hex}")

    assert (unknown, said) == (exit_codes.NOT_FOUND, [])
    assert (emptied, findings[0]["kind"]) == (exit_codes.FAILED, "checkpoint_mismatch")


def test_verify_knows_the_keys_of_the_settings(
    semalink: Semalink, tamper: Tamper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMALINK_LEDGER_SIGNING_KEY", base64.b64encode(bytes(32)).decode())
    unknown, findings = semalink("ledger", "verify")
    monkeypatch.setenv("SEMALINK_LEDGER_RETIRED_KEYS", KEY)

    known, _ = semalink("ledger", "verify")

    assert (unknown, findings[0]["kind"]) == (exit_codes.FAILED, "bad_signature")
    assert known == exit_codes.OK


def test_replay_ends_with_6_when_a_balance_differs(semalink: Semalink, tamper: Tamper) -> None:
    sound, [before] = semalink("ledger", "replay")
    tamper("UPDATE credit_heads SET posted_micros = 1")

    status, [difference, after] = semalink("ledger", "replay")

    assert (sound, before) == (exit_codes.OK, {"entries": 2, "differences": 0, "schema": None})
    assert (status, after["differences"]) == (exit_codes.DIFFERENCES, 1)
    assert (difference["replayed"], difference["kept"]) == ("2 5000000 0 0", "2 1 0 0")


def test_checkpoint_signs_and_lists(semalink: Semalink, tamper: Tamper) -> None:
    _, [latest] = semalink("ledger", "checkpoint")

    status, [listed] = semalink("ledger", "checkpoint", "--list")

    assert status == exit_codes.OK
    assert listed["items"] == [latest]
    assert (latest["number"], latest["account_count"], latest["public_key"]) == (1, 1, KEY)


def test_checkpoint_says_how_to_make_a_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SEMALINK_LEDGER_SIGNING_KEY")

    status = run(["ledger", "checkpoint"])

    assert status == exit_codes.USAGE
    assert "openssl rand -base64 32" in capsys.readouterr().err


def test_verify_names_a_month_that_nobody_closed(semalink: Semalink, tamper: Tamper) -> None:
    tamper("INSERT INTO accounting_months VALUES ('2026-10', 0, 0, 0, 0, '', 'x', now())")

    status, [finding, summary] = semalink("ledger", "verify")

    assert status == exit_codes.FAILED
    assert (finding["kind"], summary["findings"]) == ("wrong_position", {"wrong_position": 1})
