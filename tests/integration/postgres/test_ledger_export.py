"""An export of the ledger, and its check by the verifier as another machine would run it."""

import asyncio
import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pyarrow.parquet as pq
import pytest

from semalink_adapters.ed25519 import Signer
from semalink_adapters.postgres import checkpoints
from semalink_ops.ledger_tools.export import VERIFIER, Wanted, export
from semalink_ops.ledger_tools.export_source import ExportImpossible, Range

SIGNER = Signer(bytes(range(32)))
KEY = b64encode(SIGNER.public_key).decode()
ALL = Range(None, None)

Export = Callable[..., Path]


def no_progress(written: int, total: int) -> None:
    """Show nothing."""


@pytest.fixture
def exported(database_url: str, tmp_path: Path) -> Export:
    """Exports a range and returns the folder."""
    numbers = iter(range(100))

    def call(wanted: Range = ALL, signer: Signer | None = SIGNER) -> Path:
        folder = tmp_path / f"export{next(numbers)}"
        export(database_url, Wanted(wanted, folder), signer, no_progress)
        return folder

    return call


def verify(folder: Path, *arguments: str, options: str = "-I") -> tuple[int, str]:
    """Run the verifier with nothing of ours within its reach."""
    command = [sys.executable, options, str(VERIFIER), str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


async def trade(desk: Any) -> UUID:
    """Make an account with an entry of several kinds."""
    account_id: UUID = await desk.open_account(10)
    for number in range(3):
        job = await desk.accept_job(account_id)
        await desk.submit(job, f"{account_id.hex}-{number}")
    await desk.accept(account_id)
    return account_id


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def now_of(connection: psycopg.Connection[Any]) -> datetime:
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    at = row[0]
    assert isinstance(at, datetime)
    return at.astimezone(UTC)


async def test_export_of_all_is_found_well(desk: Any, exported: Export):
    await trade(desk)
    await trade(desk)

    folder = exported()

    status, said = verify(folder, "--public-key", KEY)
    assert status == 0, said
    assert "2 accounts, 18 entries. Signed with the key given." in said
    assert not folder.with_name(f"{folder.name}.partial").exists()


async def test_export_is_warned_of_when_it_is_unsigned(desk: Any, exported: Export):
    await trade(desk)

    folder = exported(ALL, None)

    status, said = verify(folder)
    assert (status, "UNSIGNED" in said) == (0, True)
    assert verify(folder, "--public-key", KEY)[0] == 1


async def test_export_is_found_wrong_when_the_key_is_another(desk: Any, exported: Export):
    await trade(desk)
    other = b64encode(Signer(bytes(32)).public_key).decode()

    folder = exported()

    status, said = verify(folder, "--public-key", other)
    assert status == 1
    assert "manifest.json: it is signed with another key than the one given" in said


async def test_export_goes_on_from_what_was_before_the_range(
    desk: Any, exported: Export, connection: psycopg.Connection[Any]
):
    await trade(desk)
    since = now_of(connection)
    await trade(desk)
    first = await desk.open_account(0)
    account_id = await trade(desk)
    middle = now_of(connection)
    await desk.accept(account_id)

    folder = exported(Range(since, None))
    one = exported(Range(middle, None, account_id))

    for each in (folder, one):
        status, said = verify(each, "--public-key", KEY)
        assert status == 0, said
    assert len(lines_of(folder / "opening.ndjson")) == 1
    assert [line["entries"] for line in lines_of(folder / "accounts.ndjson")][-2:] == [1, 10]
    assert first is not None
    (account,) = lines_of(one / "accounts.ndjson")
    assert (account["first_version"], account["last_version"]) == (10, 10)
    assert account["opening"]["reserved_micros"] == 1_000_000
    assert account["closing"]["reserved_micros"] == 2_000_000


async def test_export_of_a_past_range_leads_over_a_bridge_to_a_later_checkpoint(
    desk: Any, exported: Export, connection: psycopg.Connection[Any]
):
    account_id = await trade(desk)
    until = now_of(connection)
    await desk.accept(account_id)
    checkpoints.take(connection, SIGNER, until + timedelta(seconds=20))
    await desk.accept(account_id)

    folder = exported(Range(None, until))
    again = exported(Range(None, until))

    status, said = verify(folder, "--public-key", KEY)
    assert status == 0, said
    assert [line["version"] for line in lines_of(folder / "bridge.ndjson")] == [10]
    for name in ("entries.ndjson", "entries.parquet", "accounts.ndjson", "manifest.json"):
        assert (folder / name).read_bytes() == (again / name).read_bytes()


async def test_export_is_sound_while_others_write(desk: Any, exported: Export):
    accounts = [await desk.open_account(500) for _ in range(3)]

    async def write() -> None:
        for turn in range(300):
            await desk.accept(accounts[turn % 3])

    writing = asyncio.create_task(write())
    folders = [await asyncio.to_thread(exported) for _ in range(3)]
    await writing

    for folder in folders:
        status, said = verify(folder, "--public-key", KEY)
        assert status == 0, said


async def test_parquet_says_what_ndjson_says(desk: Any, exported: Export):
    await trade(desk)

    folder = exported()

    rows = pq.read_table(folder / "entries.parquet").to_pylist()
    for row in rows:
        at = row["recorded_at"]
        row["recorded_at"] = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ").replace(".000000Z", "Z")
    assert rows == lines_of(folder / "entries.ndjson")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("manifest.json", "manifest.json"),
        ("manifest.sig", "manifest.sig"),
        ("accounts.ndjson", "accounts.ndjson"),
        ("opening.ndjson", "opening.ndjson"),
        ("entries.ndjson", "entries.ndjson"),
        ("bridge.ndjson", "bridge.ndjson"),
        ("entries.parquet", "entries.parquet"),
    ],
)
async def test_export_is_found_wrong_when_one_byte_of_a_file_is_another(
    desk: Any, exported: Export, connection: psycopg.Connection[Any], name: str, said: str
):
    account_id = await trade(desk)
    since = now_of(connection)
    await desk.accept(account_id)
    until = now_of(connection)
    await desk.accept(account_id)
    folder = exported(Range(since, until))
    assert verify(folder, "--public-key", KEY)[0] == 0
    original = (folder / name).read_bytes()

    for place in {*range(0, len(original), max(1, len(original) // 12)), len(original) - 1}:
        changed = bytearray(original)
        changed[place] ^= 1
        (folder / name).write_bytes(changed)

        status, found = verify(folder, "--public-key", KEY)

        assert (status, said in found) == (1, True), (place, found)
        assert "Traceback" not in found


def cover_up(folder: Path) -> None:
    """Make size and SHA-256 in the manifest fit, as a careful forger without the key would."""
    from hashlib import sha256  # noqa: PLC0415 - only the forger hashes

    manifest = json.loads((folder / "manifest.json").read_bytes())
    for told in manifest["files"]:
        raw = (folder / told["name"]).read_bytes()
        told["bytes"], told["sha256"] = len(raw), sha256(raw).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def replacing(old: str, new: str) -> Callable[[list[str]], list[str]]:
    return lambda lines: [line.replace(old, new) for line in lines]


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (lambda lines: lines[:3] + lines[4:], "versions 4 to 4 before it are missing"),
        (lambda lines: lines[:-1], "versions 9 to 9 are missing"),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], "it is there twice"),
        (lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], "out of order"),
        (
            replacing('\\"amount_micros\\":1000000', '\\"amount_micros\\":1'),
            "the hash chain is broken",
        ),
        (
            replacing('\\"posted_after_micros\\":9', '\\"posted_after_micros\\":8'),
            "the balance after",
        ),
        (replacing('"actor":"key:desk"', '"actor":"key:else"'), "column actor says 'key:else'"),
        (lambda lines: [*lines[:2], "{", *lines[2:]], "line 3: cannot be read"),
        (lambda lines: [*lines, lines[-1].replace("acct_", "acct_f")], "is of no account"),
    ],
    ids=["dropped", "last", "twice", "reordered", "amount", "balance", "actor", "json", "foreign"],
)
async def test_forged_line_is_named_when_the_hashes_of_files_were_made_to_fit(
    desk: Any, exported: Export, forge: Callable[[list[str]], list[str]], said: str
):
    await trade(desk)
    folder = exported(ALL, None)
    path = folder / "entries.ndjson"
    forged = forge(path.read_text().splitlines())
    path.write_text("".join(f"{line}\n" for line in forged))
    cover_up(folder)

    status, found = verify(folder)

    assert status == 1
    assert said in found, found
    assert "SHA-256" not in found


async def test_rewritten_history_fails_the_checkpoint(desk: Any, exported: Export):
    await trade(desk)
    folder = exported()
    accounts = lines_of(folder / "accounts.ndjson")
    accounts[0]["leaf_index"] = 0
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["checkpoint"]["root"] = "00" * 32
    (folder / "manifest.json").write_text(json.dumps(manifest))

    _, found = verify(folder, "--public-key", KEY)

    assert "the account is not under the checkpoint: its proof fails" in found
    assert "the signature of the checkpoint does not fit" in found


async def test_export_is_refused_when_the_folder_has_something_in_it(
    desk: Any, exported: Export, database_url: str, tmp_path: Path
):
    (tmp_path / "full.partial").mkdir()
    (tmp_path / "full.partial" / "entries.ndjson").write_text("")
    wanted = Wanted(ALL, tmp_path / "full")

    with pytest.raises(ExportImpossible) as refusal:
        export(database_url, wanted, SIGNER, no_progress)

    assert "an export that did not finish" in str(refusal.value)


@pytest.mark.parametrize(
    ("since", "until", "said"),
    [
        (None, timedelta(hours=1), "has not come yet"),
        (timedelta(), timedelta(seconds=-1), "The range is empty"),
    ],
)
async def test_export_is_refused_when_the_range_is_none(
    exported: Export, since: timedelta | None, until: timedelta, said: str
):
    now = datetime.now(UTC)
    wanted = Range(None if since is None else now + since, now + until)

    with pytest.raises(ExportImpossible) as refusal:
        exported(wanted)

    assert said in str(refusal.value)


async def test_export_waits_for_who_began_to_write_before_its_end(
    desk: Any, exported: Export, database_url: str
):
    account_id = await trade(desk)
    with psycopg.connect(database_url) as slow:
        slow.execute("SELECT pg_current_xact_id()")

        exporting = asyncio.create_task(asyncio.to_thread(exported))
        done, _ = await asyncio.wait({exporting}, timeout=1)
        slow.rollback()
        folder = await exporting

    assert done == set()
    (account,) = lines_of(folder / "accounts.ndjson")
    assert account["account"] == f"acct_{account_id.hex}"


async def test_export_of_nothing_is_found_well(exported: Export, desk: Any):
    folder = exported()

    status, said = verify(folder, "--public-key", KEY)

    assert status == 0, said
    assert "0 accounts, 0 entries" in said


async def test_export_loses_nothing_when_the_clock_was_set_back(
    desk: Any, exported: Export, connection: psycopg.Connection[Any]
):
    account_id = await trade(desk)
    since = now_of(connection)
    await desk.accept(account_id)
    # Entries cannot be changed, so the clock is acted out by the column's default.
    default = "ALTER TABLE ledger_entries ALTER recorded_at SET DEFAULT clock_timestamp()"
    connection.execute(f"{default} - interval '1 hour'")
    await desk.accept(account_id)
    connection.execute(default)
    await desk.accept(account_id)

    folder = exported(Range(since, None))

    status, said = verify(folder, "--public-key", KEY)
    assert status == 0, said
    assert "NOTE   1 entries were recorded at a time outside the range." in said
    assert [line["version"] for line in lines_of(folder / "entries.ndjson")] == [10, 11, 12]


async def test_export_names_its_ending_when_the_database_goes_away(
    desk: Any, database_url: str, connection: psycopg.Connection[Any], tmp_path: Path
):
    await trade(desk)
    folder = tmp_path / "export"

    def cut_off(written: int, total: int) -> None:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'semalink-export' AND datname = current_database()"
        )

    with pytest.raises(psycopg.OperationalError):
        export(database_url, Wanted(ALL, folder), SIGNER, cut_off)

    assert not folder.exists()
    status, said = verify(tmp_path / "export.partial")
    assert (status, "manifest.json: it is missing" in said) == (1, True)


async def test_export_is_checked_but_for_signatures_when_cryptography_is_missing(
    desk: Any, exported: Export
):
    await trade(desk)
    folder = exported()

    # Without the folder of installed packages, as on a machine that has only Python.
    status, said = verify(folder, "--public-key", KEY, options="-IS")

    assert status == 1
    assert "manifest.sig: it was not checked: pip install cryptography" in said
    assert "1 accounts, 9 entries" in said
