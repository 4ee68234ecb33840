import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from semalink_ops.cli import exit_codes, run

SEED = b64encode(bytes(range(32))).decode()

Semalink = Callable[..., tuple[int, str, str]]


@pytest.fixture
def semalink(
    capsys: pytest.CaptureFixture[str], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Semalink:
    """Runs one command line on a fresh database and returns its status and what it said."""
    monkeypatch.setenv("SEMALINK_DATABASE_URL", database_url)
    monkeypatch.setenv("SEMALINK_NATS_URL", "nats://127.0.0.1:9")
    monkeypatch.setenv("SEMALINK_KEY_PEPPER", "a-pepper-of-at-least-thirty-two-characters")
    monkeypatch.setenv("SEMALINK_LEDGER_SIGNING_KEY", SEED)

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run(list(arguments))
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return call


@pytest.fixture
def account_id(semalink: Semalink) -> str:
    """An account with credits."""
    _, out, _ = semalink("account", "create", "Acme", "--json")
    account_id = str(json.loads(out)["id"])
    semalink("account", "top-up", account_id, "12.50", "--reference", "INV-1")
    return account_id


def test_ledger_export_is_verified_by_what_lies_beside_it(
    semalink: Semalink, account_id: str, tmp_path: Path
) -> None:
    folder = tmp_path / "export"

    status, out, said = semalink(
        "ledger", "export", "--output", str(folder), "--with-verifier", "--account", account_id,
        "--json",
    )  # fmt: skip

    assert status == exit_codes.OK, said
    manifest: dict[str, Any] = json.loads(out)
    assert manifest["totals"]["topped_up"] == {"count": 1, "amount_micros": 12_500_000}
    command = [sys.executable, "-I", str(folder / "verify_export.py"), str(folder)]
    checked = subprocess.run(
        [*command, "--public-key", manifest["public_key"]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
    assert "1 accounts, 2 entries" in checked.stdout


def test_ledger_export_tells_the_sums_and_how_to_check(
    semalink: Semalink, account_id: str, tmp_path: Path
) -> None:
    folder = tmp_path / "export"

    status, out, said = semalink("ledger", "export", "--output", str(folder))

    assert status == exit_codes.OK
    assert "topped_up\t1 entries, 12.5" in out
    assert f"python verify_export.py {folder} --public-key " in said


def test_ledger_export_says_that_it_is_unsigned_when_there_is_no_key(
    semalink: Semalink, account_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEMALINK_LEDGER_SIGNING_KEY")

    status, _, said = semalink("ledger", "export", "--output", str(tmp_path / "export"))

    assert status == exit_codes.OK
    assert "unsigned" in said


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--month", "2026-13"), exit_codes.USAGE, "no month such as"),
        (("--month", "2026-10", "--from", "2026-10"), exit_codes.USAGE, "give either"),
        (("--from", "yesterday"), exit_codes.USAGE, "no time such as"),
        (("--format", "csv"), exit_codes.USAGE, "'csv' is none of"),
        (("--format", "parquet"), exit_codes.USAGE, "ndjson must be among them"),
        (("--account", "acct_nothing"), exit_codes.USAGE, "not the id of an account"),
        (("--to", "9999-01-01"), exit_codes.FAILED, "has not come yet"),
    ],
)
def test_ledger_export_is_refused_when_the_range_cannot_be(
    semalink: Semalink, tmp_path: Path, arguments: tuple[str, ...], status: int, said: str
) -> None:
    folder = tmp_path / "export"

    answer, _, why = semalink("ledger", "export", "--output", str(folder), *arguments)

    assert answer == status
    assert said in why
    assert not folder.exists()


def test_ledger_export_writes_a_past_month_as_one_format(
    semalink: Semalink, account_id: str, tmp_path: Path
) -> None:
    folder = tmp_path / "export"

    status, out, _ = semalink(
        "ledger", "export", "--month", "2026-01", "--format", "ndjson", "--output", str(folder),
        "--json",
    )  # fmt: skip

    assert status == exit_codes.OK
    assert json.loads(out)["from"] == "2025-12-31T21:00:00.000000Z"
    assert not (folder / "entries.parquet").exists()


def test_ledger_verifier_prints_a_program(semalink: Semalink) -> None:
    status, out, _ = semalink("ledger", "verifier")

    assert status == exit_codes.OK
    compile(out, "verify_export.py", "exec")
