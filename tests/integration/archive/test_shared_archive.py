"""Two databases that were given one archive never touch each other's months."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.integration.archive.old_months import MONTH, content_of, make_month

from semalink_adapters.archive.manifest import read_manifest
from semalink_adapters.archive.month_writer import MonthWriter, verify_month
from semalink_adapters.archive.store import ObjectStorage
from semalink_ops.archiving.calendar import LogMonth
from semalink_ops.archiving.months import ArchiveForeign, Archiver

NOW = datetime(2026, 11, 25, tzinfo=UTC)
EVENTS = LogMonth(MONTH, "message_events")


def test_archive_leaves_the_month_of_another_database_as_it_is(
    database_url: str, archiver: Archiver, store: ObjectStorage
) -> None:
    make_month(database_url, 40)
    first = archiver.archive(EVENTS)
    # From here on this is a database that knows nothing of the archive, with other messages.
    archiver.connection.execute("DELETE FROM archived_months")
    make_month(database_url, 7)

    second = archiver.archive(EVENTS)

    for row, row_count in ((first, 160), (second, 28)):
        manifest = read_manifest(store, str(row.manifest_path), str(row.manifest_sha256))
        assert verify_month(store, manifest).row_count == row_count


def test_archive_refuses_a_folder_that_another_database_has(
    database_url: str, archiver: Archiver, store: ObjectStorage
) -> None:
    make_month(database_url, 3)
    before = content_of(database_url, "message_events")
    mine = replace(archiver, token=lambda: "5e3a")
    store.put(f"message_events/{MONTH}/001-5e3a/part-00000.parquet", b"theirs")

    for _ in range(2):
        with pytest.raises(ArchiveForeign, match="another prefix"):
            mine.archive(EVENTS)

    assert store.get(f"message_events/{MONTH}/001-5e3a/part-00000.parquet") == b"theirs"
    assert content_of(database_url, "message_events") == before
    assert archiver.book.find(EVENTS.log, EVENTS.month) is None


def test_write_manifest_deletes_what_was_begun_and_nothing_else(store: ObjectStorage) -> None:
    for name in ("part-00000.parquet", "part-00007.parquet", "notes.txt", "part-00000.parquet.md5"):
        store.put(f"log/{name}", b"x")

    MonthWriter(store, "log").write_manifest("message_events", MONTH, NOW)

    assert store.paths("log") == [
        "log/manifest.json",
        "log/notes.txt",
        "log/part-00000.parquet.md5",
    ]
