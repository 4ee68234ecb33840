"""The command line of the archive, from an old month to an auditor's question and back."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.integration.archive.old_months import MONTH, id_of, make_month

from semalink.domain.ids import MESSAGE_PREFIX, format_id
from semalink_ops.archiving.standing import read_standing
from semalink_ops.cli import exit_codes, run
from semalink_ops.cli.settings_source import read_settings

Semalink = Callable[..., tuple[int, str, str]]
MESSAGE = format_id(MESSAGE_PREFIX, id_of(2))


def _of_month(shown: str) -> list[dict[str, Any]]:
    return [one for one in json.loads(shown)["items"] if one["month"] == MONTH]


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
def archive_folder(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The settings of a platform whose broker is away, and its archive."""
    folder = tmp_path / "archive"
    monkeypatch.setenv("SEMALINK_DATABASE_URL", database_url)
    monkeypatch.setenv("SEMALINK_NATS_URL", "nats://127.0.0.1:9")
    monkeypatch.setenv("SEMALINK_KEY_PEPPER", "a-pepper-of-at-least-thirty-two-characters")
    monkeypatch.setenv("SEMALINK_ARCHIVE_URL", folder.as_uri())
    return folder


def test_history_shows_an_archived_message_and_who_archived_it(
    semalink: Semalink, database_url: str
) -> None:
    make_month(database_url, 5)
    _, before, _ = semalink("history", MESSAGE, "--json")

    would, planned, _ = semalink("archive", "run", "--dry-run", "--json")
    status, shown, said = semalink("archive", "run", "--json")
    again, nothing, _ = semalink("archive", "run", "--json")

    assert (would, status, again, said) == (exit_codes.OK, exit_codes.OK, exit_codes.OK, "")
    due = [(one["log"], one["state"]) for one in _of_month(planned)]
    assert due == [("message_events", "due"), ("webhook_events", "due")]
    done = {one["log"]: one for one in _of_month(shown)}
    assert done["message_events"]["event_count"] == 20
    assert json.loads(nothing)["items"] == []
    assert semalink("history", MESSAGE, "--json")[1] == before
    _, audit, _ = semalink("history", "--name", "archived_month", "--json")
    found = [json.loads(line) for line in audit.splitlines()]
    assert {one["name"] for one in found} == {"archived_month.archived"}
    assert {one["actor"][:4] for one in found} == {"cli:"}
    _, _, hint = semalink("history", "--name", "message.delivered", "--from", "2026-01-01")
    assert "Months up to 2026-06 are archived" in hint
    _, months, _ = semalink("partitions", "list", "--json")
    states = {(one["log"], one["month"]): one["state"] for one in json.loads(months)["items"]}
    assert states["message_events", MONTH] == "archived"
    assert states["refusals", MONTH] == "live"


def test_verify_names_the_file_with_a_byte_that_was_flipped(
    semalink: Semalink, database_url: str, archive_folder: Path
) -> None:
    make_month(database_url, 5)
    semalink("archive", "run")
    before = semalink("archive", "verify", MONTH, "--json")
    (path,) = archive_folder.glob(f"message_events/{MONTH}/001-*/part-*.parquet")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    status, shown, _ = semalink("archive", "verify", MONTH, "--json")

    assert before[0] == exit_codes.OK
    assert [one["fault"] for one in json.loads(before[1])["items"]] == [None, None]
    assert status == exit_codes.DIFFERENCES
    faults = {one["log"]: one["fault"] for one in json.loads(shown)["items"]}
    assert f"message_events/{MONTH}/{path.parent.name}/{path.name} is not what was archived" in str(
        faults["message_events"]
    )
    assert faults["webhook_events"] is None
    assert semalink("archive", "restore", MONTH, "--log", "message_events")[0] == status


def test_restore_brings_a_month_back_and_says_so(semalink: Semalink, database_url: str) -> None:
    make_month(database_url, 5)
    semalink("archive", "run")

    status, shown, _ = semalink("archive", "restore", MONTH, "--json")
    again, _, refused = semalink("archive", "restore", MONTH)

    assert status == exit_codes.OK
    assert [one["state"] for one in json.loads(shown)["items"]] == ["restored", "restored"]
    assert (again, refused) == (exit_codes.NOT_FOUND, f"Error: {MONTH} is not in the archive.\n")
    _, audit, _ = semalink("history", "--name", "archived_month.restored", "--json")
    assert len(audit.splitlines()) == 2


def test_run_leaves_a_restored_month_until_it_is_named(
    semalink: Semalink, database_url: str
) -> None:
    make_month(database_url, 2)
    semalink("archive", "run")
    semalink("archive", "restore", MONTH)

    _, left, _ = semalink("archive", "run", "--json")
    unknown, _, refused = semalink("archive", "run", "--again", "2026-02")
    _, moved, _ = semalink("archive", "run", "--again", MONTH, "--json")

    assert json.loads(left)["items"] == []
    assert (unknown, "2026-02 was not restored" in refused) == (exit_codes.NOT_FOUND, True)
    assert [one["state"] for one in _of_month(moved)] == ["archived", "archived"]


def test_dry_run_tells_what_an_interrupted_run_left(
    semalink: Semalink, database_url: str, owner: psycopg.Connection[Any]
) -> None:
    make_month(database_url, 2)
    semalink("archive", "run")
    # As a run leaves them that ends right after the drop, before the log of settings is told.
    owner.execute("UPDATE archived_months SET state = 'dropped'")

    status, planned, _ = semalink("archive", "run", "--dry-run", "--json")
    _, done, _ = semalink("archive", "run", "--json")

    assert status == exit_codes.OK
    assert [one["state"] for one in _of_month(planned)] == ["would be finished"] * 2
    assert [one["state"] for one in _of_month(done)] == ["archived"] * 2


def test_run_says_which_setting_is_missing_and_what_a_month_looks_like(
    semalink: Semalink, monkeypatch: pytest.MonkeyPatch
) -> None:
    month = semalink("archive", "run", "--before", "March")
    monkeypatch.delenv("SEMALINK_ARCHIVE_URL")
    unset = semalink("archive", "run")

    assert (month[0], unset[0]) == (exit_codes.USAGE, exit_codes.USAGE)
    assert "March is no month; write it as 2026-03." in month[2]
    assert "SEMALINK_ARCHIVE_URL" in unset[2]


def test_ensure_makes_partitions_once(semalink: Semalink, database_url: str) -> None:
    status, first, _ = semalink("partitions", "ensure", "--json")

    assert status == exit_codes.OK
    assert json.loads(first) == {"made": []}


def test_standing_counts_months_that_are_due_and_not_restored(
    semalink: Semalink, database_url: str, archive_folder: Path
) -> None:
    make_month(database_url, 1)
    settings = read_settings(archive_folder)
    now = datetime(2026, 11, 25, tzinfo=UTC)

    before = read_standing(settings, now)
    semalink("archive", "run")
    after = read_standing(settings, datetime.now(UTC))
    semalink("archive", "restore", MONTH)

    assert (before.due_months, before.age_seconds) == (10, 0)
    assert after.due_months == 0
    assert 0 < after.age_seconds < 300
    assert read_standing(settings, datetime.now(UTC)).due_months == 0
