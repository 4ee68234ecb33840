"""A month goes into the archive and back without losing or changing anything."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.integration.archive.old_months import (
    MONTH,
    content_of,
    id_of,
    insert_events,
    let_read,
    live_through,
    make_month,
)

from semalink_adapters.archive.manifest import read_manifest
from semalink_adapters.archive.store import Access, ObjectStorage, open_store
from semalink_ops.archiving.calendar import LogMonth, months_in_database
from semalink_ops.archiving.months import Archiver, MonthBlocked, MonthElsewhere
from semalink_ops.archiving.restoring import Restorer

MESSAGES = LogMonth(MONTH, "message_events")


def _listed(connection: psycopg.Connection[Any]) -> list[Any]:
    return connection.execute("SELECT * FROM messages ORDER BY message_id").fetchall()


def test_archive_drops_a_month_that_is_in_the_store(
    database_url: str, archiver: Archiver, store: ObjectStorage, recorded: list[Any]
) -> None:
    make_month(database_url, 40)

    row = archiver.archive(MESSAGES)

    assert row.state == "archived"
    assert MESSAGES not in months_in_database(archiver.connection)
    manifest = read_manifest(store, str(row.manifest_path), str(row.manifest_sha256))
    assert (manifest.row_count, manifest.first_id, manifest.last_id) == (160, id_of(1), id_of(40))
    assert [command.facts["event_count"] for command in recorded] == [160]
    assert _listed(archiver.connection) == []


def test_archive_verifies_a_month_after_all_of_it_is_on_disk(
    database_url: str, archiver: Archiver, tmp_path: Path
) -> None:
    make_month(database_url, 40)
    root = tmp_path / "archive"
    seen: list[str] = []

    def sync(path: Path) -> None:
        seen.append(path.name)

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(archiver.connection, name)

        def execute(self, statement: Any, *values: Any) -> Any:
            if "state = 'verified'" in str(statement):
                seen.append("verified")
            return archiver.connection.execute(statement, *values)

    watched: Any = Watched()
    store = open_store(root.as_uri(), Access(), sync=sync)
    row = replace(archiver, connection=watched, store=store).archive(MESSAGES)

    files = {path.name for path in (root / str(row.manifest_path)).parent.iterdir()}
    assert len(files) == 5
    assert files <= set(seen[: seen.index("verified")])


def test_restore_brings_back_the_very_same_rows(database_url: str, archiver: Archiver) -> None:
    make_month(database_url, 40)
    before, listed = content_of(database_url, MESSAGES.table), _listed(archiver.connection)
    archiver.archive(MESSAGES)

    Restorer(archiver, database_url).restore(MESSAGES)

    assert content_of(database_url, MESSAGES.table) == before
    assert content_of(database_url, "message_events") == before
    assert _listed(archiver.connection) == listed
    with pytest.raises(MonthElsewhere, match="not in the archive"):
        Restorer(archiver, database_url).restore(MESSAGES)


def test_archive_moves_a_restored_month_again(database_url: str, archiver: Archiver) -> None:
    make_month(database_url, 5)
    first = archiver.archive(MESSAGES)
    Restorer(archiver, database_url).restore(MESSAGES)

    second = archiver.archive(MESSAGES)

    assert (second.state, second.generation) == ("archived", 2)
    assert second.content_sha256 == first.content_sha256


def test_archive_names_what_a_month_still_has(database_url: str, archiver: Archiver) -> None:
    make_month(database_url, 3)
    unfinished = live_through(9, random.Random(9))[:2]
    insert_events(archiver.connection, unfinished)

    with pytest.raises(MonthBlocked) as unread:
        archiver.archive(MESSAGES)
    let_read(database_url)
    with pytest.raises(MonthBlocked) as still_open:
        archiver.archive(MESSAGES)

    assert [one.what for one in unread.value.found] == ["readers that have not read it"]
    assert "usage" in unread.value.found[0].first
    assert [(one.what, one.first) for one in still_open.value.found] == [
        ("messages that are not final", str(id_of(9)))
    ]
    assert len(content_of(database_url, MESSAGES.table)) == 14
