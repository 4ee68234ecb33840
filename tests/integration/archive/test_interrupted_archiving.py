"""Whatever call fails, a month is whole in one place or in both, and the next run goes on."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
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

from semalink_adapters.archive.manifest import ArchiveAltered, read_manifest
from semalink_adapters.archive.store import ObjectStorage, Store
from semalink_adapters.postgres.archived_months import ArchiveBusy, ReadModelBusy, take_lock
from semalink_ops.archiving.calendar import LogMonth
from semalink_ops.archiving.months import Archiver, MonthChanged, MonthElsewhere
from semalink_ops.archiving.restoring import MonthForeign, Restorer

EVENTS = LogMonth(MONTH, "message_events")


class Killed(Exception):
    """The process ended here."""


@dataclass
class Faults:
    """Ends the process at one call, before or after it took effect."""

    at: int
    calls: int = 0

    def call(self, work: Any, *values: Any, **named: Any) -> Any:
        result = work(*values, **named)
        # The call took effect, and nobody was told: for the next run, as if it died before another.
        self.calls += 1
        if self.calls == self.at:
            raise Killed
        return result


@dataclass
class FailingStore:
    """A store whose calls count as those of the process."""

    store: Store
    faults: Faults

    def put(self, path: str, content: bytes) -> None:
        self.faults.call(self.store.put, path, content)

    def get(self, path: str) -> bytes:
        found: bytes = self.faults.call(self.store.get, path)
        return found

    def ranges(self, path: str, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        return self.store.ranges(path, spans)

    def paths(self, prefix: str) -> list[str]:
        found: list[str] = self.faults.call(self.store.paths, prefix)
        return found

    def delete(self, path: str) -> None:
        self.faults.call(self.store.delete, path)


class FailingConnection:
    """A connection whose statements count as calls of the process."""

    def __init__(self, connection: psycopg.Connection[Any], faults: Faults) -> None:
        self._connection, self._faults = connection, faults

    def execute(self, *values: Any, **named: Any) -> Any:
        return self._faults.call(self._connection.execute, *values, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def _failing(archiver: Archiver, at: int) -> Archiver:
    faults = Faults(at)
    connection: Any = FailingConnection(archiver.connection, faults)

    def record(command: Any) -> None:
        faults.call(archiver.record, command)

    store = FailingStore(archiver.store, faults)
    return replace(archiver, connection=connection, store=store, record=record)


def test_archive_goes_on_from_any_call_that_failed(
    database_url: str, archiver: Archiver, store: ObjectStorage
) -> None:
    make_month(database_url, 12)
    before = content_of(database_url, "message_events")
    small = replace(archiver, page_rows=20)

    for at in count(1):
        is_killed = False
        try:
            _failing(small, at).archive(EVENTS)
        except Killed:
            is_killed = True
            if _state(small) not in ("dropped", "archived"):
                assert content_of(database_url, EVENTS.table) == before
            small.archive(EVENTS)
        assert _state(small) == "archived"
        Restorer(small, database_url).restore(EVENTS)
        assert content_of(database_url, "message_events") == before
        if not is_killed:
            assert at > 20
            return


def test_restore_begins_again_after_any_call_that_failed(
    database_url: str, archiver: Archiver
) -> None:
    make_month(database_url, 12)
    before = content_of(database_url, "message_events")
    small = replace(archiver, page_rows=20)

    for at in count(1):
        small.archive(EVENTS)
        try:
            Restorer(_failing(small, at), database_url).restore(EVENTS)
        except Killed:
            if _state(small) != "restored":
                Restorer(small, database_url).restore(EVENTS)
        else:
            assert at > 10
            return
        assert content_of(database_url, "message_events") == before


def _state(archiver: Archiver) -> str | None:
    row = archiver.book.find(EVENTS.log, EVENTS.month)
    return row and row.state


def test_archive_goes_on_behind_the_files_that_were_written(
    database_url: str, archiver: Archiver
) -> None:
    make_month(database_url, 40)
    with pytest.raises(Killed):
        _failing_at_put(archiver, 3).archive(EVENTS)
    begun = archiver.book.find(EVENTS.log, EVENTS.month)

    row = archiver.archive(EVENTS)

    assert begun is not None
    assert (begun.state, begun.row_count) == ("exporting", 100)
    assert (row.generation, row.row_count) == (1, 160)


def _failing_at_put(archiver: Archiver, at: int) -> Archiver:
    puts = count(1)

    class Failing(FailingStore):
        def put(self, path: str, content: bytes) -> None:
            if next(puts) == at:
                raise Killed
            self.store.put(path, content)

    return replace(archiver, store=Failing(archiver.store, Faults(0)))


def test_archive_drops_nothing_that_the_store_changed(
    database_url: str, archiver: Archiver
) -> None:
    make_month(database_url, 40)
    before = content_of(database_url, "message_events")

    class Rotting(FailingStore):
        def get(self, path: str) -> bytes:
            content = self.store.get(path)
            return content if "part-00002" not in path else content[:-1] + b"\0"

    with pytest.raises(ArchiveAltered, match="part-00002"):
        replace(archiver, store=Rotting(archiver.store, Faults(0))).archive(EVENTS)

    assert content_of(database_url, "message_events") == before


def test_archive_puts_a_month_back_that_got_rows_meanwhile(
    database_url: str, archiver: Archiver
) -> None:
    make_month(database_url, 40)

    class Late(FailingStore):
        def get(self, path: str) -> bytes:
            if path.endswith("manifest.json"):
                insert_events(archiver.connection, live_through(77, random.Random(1)))
            return self.store.get(path)

    with pytest.raises(MonthChanged, match="nothing was dropped"):
        replace(archiver, store=Late(archiver.store, Faults(0))).archive(EVENTS)
    let_read(database_url)
    row = archiver.archive(EVENTS)

    assert (row.generation, row.row_count) == (2, 164)
    manifest = read_manifest(archiver.store, str(row.manifest_path), str(row.manifest_sha256))
    assert manifest.last_id == id_of(77)


def test_restore_refuses_a_month_of_a_database_that_counted_further(
    database_url: str, archiver: Archiver, owner: psycopg.Connection[Any]
) -> None:
    make_month(database_url, 3)
    archiver.archive(EVENTS)
    owner.execute("UPDATE cursors SET xid = '1' WHERE name = 'usage'")

    with pytest.raises(MonthForeign, match="usage"):
        Restorer(archiver, database_url).restore(EVENTS)

    row = archiver.book.find(EVENTS.log, EVENTS.month)
    assert row is not None
    assert row.state == "archived"
    with pytest.raises(MonthElsewhere, match="not in the archive"):
        Restorer(archiver, database_url).restore(LogMonth("2026-01", "message_events"))


def test_second_run_is_kept_out_while_one_works_or_a_read_model_is_rebuilt(
    database_url: str, owner: psycopg.Connection[Any]
) -> None:
    with psycopg.connect(database_url, autocommit=True) as other:
        take_lock(other, ["usage"])
        with pytest.raises(ArchiveBusy):
            take_lock(owner, ["usage"])
        other.execute("SELECT pg_advisory_unlock(7230045)")
        with pytest.raises(ReadModelBusy, match="usage"):
            take_lock(owner, ["usage"])
