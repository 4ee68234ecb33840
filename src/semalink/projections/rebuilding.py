"""Builds a read model anew beside the live one, and puts it in its place."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

from semalink.projections.comparing import Comparison, compare
from semalink.projections.log_pages import ArchivedStreams, Place, Read, horizon
from semalink.projections.projection import Projection, create_tables
from semalink.projections.runner import ProjectionRunner, move_cursor, read_cursor
from semalink.projections.shadow import Pace, Progress, Shadow

#: A swap waits so long for readers, and others wait as long behind it.
SWAP_LOCK_TIMEOUT = "300ms"
SWAP_TRIES_MAX = 60
SWAP_PAUSE_SECONDS = 0.1
SWAP_PAUSE_SECONDS_MAX = 2.0

FindArchived = Callable[[], ArchivedStreams | None]

_TRY_LOCK = text("SELECT pg_try_advisory_lock(hashtextextended(:name, 1))")
_UNLOCK = text("SELECT pg_advisory_unlock(hashtextextended(:name, 1))")
_UNDER_WAY = text("""
SELECT number, state, schema_hash, until_xid::text, until_position, loaded_id, loaded_version,
       xid::text, position, event_count, events_expected
FROM projection_builds WHERE projection = :name AND state IN ('loading', 'following')""")
_BEGIN = text("""
INSERT INTO projection_builds (
    projection, number, state, schema_hash, until_xid, until_position, loaded_id, loaded_version,
    xid, position, events_expected)
SELECT :name, COALESCE(max(number), 1) + 1, 'loading', :schema_hash, CAST(:xid AS xid8), 0,
       CAST('00000000-0000-0000-0000-000000000000' AS uuid), 0, '0', 0, :expected
FROM projection_builds WHERE projection = :name
RETURNING number""")
_SAVE = text("""
UPDATE projection_builds SET
    state = :state, loaded_id = :loaded_id, loaded_version = :loaded_version,
    xid = CAST(:xid AS xid8), position = :position, event_count = :event_count, moved_at = now()
WHERE projection = :name AND number = :number""")
_CONCLUDE = text("""
UPDATE projection_builds
SET state = :state, difference_count = :difference_count, moved_at = now()
WHERE projection = :name AND number = :number""")
_LOCK_RUNNER = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
_LOCK_TIMEOUT = text("SELECT set_config('lock_timeout', :timeout, true)")
_SECONDARY_INDEXES = text("""
SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = to_regclass(:table) AND NOT i.indisprimary""")
_RIGHTS = text("""
SELECT privilege_type, CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE grantee::regrole::text END
FROM pg_class, aclexplode(relacl) WHERE oid = to_regclass(:table)""")
_CONSTRAINTS = text("SELECT conname FROM pg_constraint WHERE conrelid = to_regclass(:table)")


class RebuildUnderWay(Exception):
    """Another process rebuilds this read model at the moment."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is being rebuilt by another process; wait for it or stop it.")


class BuildOutdated(Exception):
    """A rebuild was begun by another release, with other columns."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The rebuild of {name} was begun by another release, which had other columns. Give it"
            f" up with `semalink projections rebuild {name} --cancel` and begin again."
        )


class SwapPutOff(Exception):
    """Readers held the live tables for so long that the swap was given up."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Somebody reads {name} without a pause, so that it could not be swapped. The new"
            f" tables are kept: run the same command again."
        )


def nothing_archived() -> ArchivedStreams | None:
    """Return that every month is in the database."""
    return None


@dataclass(slots=True)
class Rebuild:
    """One rebuild, begun or gone on with; only in this process while it is open."""

    engine: Engine
    projection: Projection
    number: int
    shadow: Shadow
    #: True when an earlier process had begun it.
    is_resumed: bool
    comparison: Comparison | None = field(default=None)

    def compare(self) -> Comparison:
        """Compare the new tables with the live ones."""
        self.comparison = compare(self.shadow)
        return self.comparison

    def swap(self) -> None:
        """Put the new tables in the place of the live ones: in one transaction, tried repeatedly.

        Readers wait for a moment or see the old tables or the new ones, and never none.
        """
        pause = SWAP_PAUSE_SECONDS
        for _ in range(SWAP_TRIES_MAX):
            # Nearly everything is applied before the live tables are locked.
            self.shadow.follow(self._live_place())
            before = self.shadow.progress
            try:
                with self.engine.begin() as tx:
                    self._swap(tx)
            except OperationalError as error:
                self.shadow.progress = before
                if getattr(error.orig, "sqlstate", None) != "55P03":
                    raise
                self.shadow.pace.sleep(pause)
                pause = min(pause * 2, SWAP_PAUSE_SECONDS_MAX)
            else:
                return
        raise SwapPutOff(self.projection.name)

    def _live_place(self) -> Place | None:
        with self.engine.begin() as tx:
            live = read_cursor(tx, self.projection.name)
        return max(self.shadow.progress.place, live)

    def _swap(self, tx: Connection) -> None:
        name = self.projection.name
        tx.execute(_LOCK_TIMEOUT, {"timeout": SWAP_LOCK_TIMEOUT})
        tx.execute(_LOCK_RUNNER, {"name": name})
        live = read_cursor(tx, name)
        while self.shadow.progress.place < live and self.shadow.follow_page(tx, live):
            pass
        tables = ", ".join(table.name for table in self.projection.tables)
        tx.execute(text(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE"))
        for table in self.projection.tables:
            _grant_as(tx, table.name, self.shadow.suffix)
            tx.execute(text(f"DROP TABLE {table.name}"))
            _rename(tx, table.name, self.shadow.suffix)
        move_cursor(tx, name, max(live, self.shadow.progress.place))
        found = self.comparison.difference_count if self.comparison else None
        self._conclude(tx, "swapped", found)

    def cancel(self) -> None:
        """Drop the new tables."""
        with self.engine.begin() as tx:
            drop_tables(tx, self.projection, self.shadow.suffix)
            self._conclude(tx, "cancelled", None)

    def _conclude(self, tx: Connection, state: str, difference_count: int | None) -> None:
        facts = {"name": self.projection.name, "number": self.number, "state": state}
        tx.execute(_CONCLUDE, {**facts, "difference_count": difference_count})


@contextmanager
def open_rebuild(
    engine: Engine,
    projection: Projection,
    read: Read,
    pace: Pace,
    *,
    is_new_allowed: bool = True,
    archived: FindArchived = nothing_archived,
) -> Iterator[Rebuild | None]:
    """Begin a rebuild or go on with the one that was begun; None when there is none to go on with.

    What is archived is asked for when no month can go into the archive any more.
    Raises RebuildUnderWay while another process is at it.
    """
    with only_here(engine, projection.name):
        streams = archived() if is_new_allowed else None
        ProjectionRunner(engine, projection, read)
        with engine.begin() as tx:
            row = tx.execute(_UNDER_WAY, {"name": projection.name}).one_or_none()
            is_resumed = row is not None
            if row is None and is_new_allowed:
                _begin(tx, projection)
                row = tx.execute(_UNDER_WAY, {"name": projection.name}).one()
        if row is None:
            yield None
            return
        opened = _opened(engine, projection, read, pace, row, is_resumed)
        opened.shadow.archived = streams
        yield opened


@contextmanager
def only_here(engine: Engine, name: str) -> Iterator[None]:
    """Keep other processes from rebuilding or verifying the same projection meanwhile."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.execute(_TRY_LOCK, {"name": name}).scalar_one():
            raise RebuildUnderWay(name)
        try:
            yield
        finally:
            # Otherwise it goes with the session, a moment after it was left.
            with suppress(DBAPIError):
                connection.execute(_UNLOCK, {"name": name})
            connection.invalidate()


def drop_tables(tx: Connection, projection: Projection, suffix: str) -> None:
    """Drop a set of tables that is not the live one."""
    assert suffix, "the live tables are never dropped"
    for table in projection.tables:
        tx.execute(text(f"DROP TABLE IF EXISTS {table.name}{suffix}"))


def count_events(tx: Connection, log: str) -> int:
    """Return how many events a log has."""
    return int(tx.execute(text(f"SELECT count(*) FROM {log}")).scalar_one())  # noqa: S608 - constant


def _begin(tx: Connection, projection: Projection) -> None:
    until = horizon(tx)
    number = tx.execute(
        _BEGIN,
        {
            "name": projection.name,
            "schema_hash": projection.schema_hash(),
            "xid": str(until.xid),
            "expected": count_events(tx, projection.log),
        },
    ).scalar_one()
    for statement in create_tables(projection, f"_v{number}", logged=True):
        tx.execute(text(statement))


def _opened(
    engine: Engine,
    projection: Projection,
    read: Read,
    pace: Pace,
    row: Any,
    is_resumed: bool,  # noqa: FBT001 - private
) -> Rebuild:
    progress = Progress(
        Place(int(row.until_xid), row.until_position),
        row.events_expected,
        row.state == "following",
        (row.loaded_id, row.loaded_version),
        Place(int(row.xid), row.position),
        row.event_count,
    )
    shadow = Shadow(engine, projection, read, f"_v{row.number}", progress, pace=pace)

    def save(tx: Connection, moved: Progress) -> None:
        if row.schema_hash != projection.schema_hash():
            raise BuildOutdated(projection.name)
        facts = {
            "name": projection.name,
            "number": row.number,
            "state": "following" if moved.is_loaded else "loading",
            "loaded_id": moved.loaded[0],
            "loaded_version": moved.loaded[1],
            "xid": str(moved.place.xid),
            "position": moved.place.position,
            "event_count": moved.event_count,
        }
        tx.execute(_SAVE, facts)

    shadow = replace(shadow, save=save)
    return Rebuild(engine, projection, row.number, shadow, is_resumed)


def _grant_as(tx: Connection, table: str, suffix: str) -> None:
    for right, grantee in tx.execute(_RIGHTS, {"table": table}).all():
        tx.execute(text(f"GRANT {right} ON {table}{suffix} TO {grantee}"))


def _rename(tx: Connection, table: str, suffix: str) -> None:
    name = table + suffix
    for index in tx.execute(_SECONDARY_INDEXES, {"table": name}).scalars().all():
        tx.execute(text(f"ALTER INDEX {index} RENAME TO {index.removesuffix(suffix)}"))
    for constraint in tx.execute(_CONSTRAINTS, {"table": name}).scalars().all():
        plain = constraint.replace(name, table, 1)
        if plain != constraint:
            tx.execute(text(f"ALTER TABLE {name} RENAME CONSTRAINT {constraint} TO {plain}"))
    tx.execute(text(f"ALTER TABLE {name} RENAME TO {table}"))
