"""Fills a set of tables beside the live one: loaded stream by stream, then fed as it is."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from semalink.projections.log_pages import (
    GROWTHS_MAX,
    LOOK_UP_BY_KEY,
    START,
    ArchivedStreams,
    LogOutOfOrder,
    LogReader,
    Place,
    Read,
    StreamRow,
    place_of,
)
from semalink.projections.projection import Projection, Target, create_indexes

#: Nobody reads the tables yet, so that a page may take longer than one of the live runner.
LOAD_PAGE_SIZE = 10_000
FOLLOW_PAGE_SIZE = 5_000
NO_STREAM = UUID(int=0), 0

_INVALID_INDEXES = text("""
SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE NOT i.indisvalid AND i.indrelid = to_regclass(:table)""")


@dataclass(slots=True)
class Progress:
    """How far a set of tables has come."""

    #: The load reads what is not beyond this place.
    until: Place
    events_expected: int
    is_loaded: bool = False
    #: The last event of the load: stream and version.
    loaded: tuple[UUID, int] = NO_STREAM
    #: After the load, how far the tables have come in the order of commits.
    place: Place = START
    event_count: int = 0


@dataclass(frozen=True, slots=True)
class Pace:
    """What a load may take, and whom it tells."""

    #: Events a second; None: as fast as it goes.
    rate: int | None = None
    tell: Callable[[Progress], None] = lambda _: None
    sleep: Callable[[float], None] = time.sleep


Save = Callable[[Connection, Progress], None]


@dataclass(slots=True)
class Shadow:
    """A set of tables that nobody reads yet; one process fills it."""

    engine: Engine
    projection: Projection
    read: Read
    suffix: str
    progress: Progress
    #: Writes the progress down in the transaction of a page.
    save: Save = lambda _, __: None
    pace: Pace = field(default_factory=Pace)
    #: Only these streams; None: all.
    only: Sequence[UUID] | None = None
    #: What was archived, for read models that count it.
    archived: ArchivedStreams | None = None

    def load(self) -> None:
        """Read the log stream by stream to where it was at the beginning; can be gone on with."""
        log = LogReader(self.projection.log, self.read)
        target = Target(self.suffix, self.projection.loads_whole_streams, log.earlier)
        while not self.progress.is_loaded:
            started = time.monotonic()
            count = self._load_page(log, target)
            self._keep_pace(count, started)
        self.follow_indexes()

    def follow_indexes(self) -> None:
        """Make the indexes that are missing, without holding readers of the log back."""
        # Concurrently: a transaction that makes an index has a number for as long as it takes, and
        # no reader of a log goes past it.
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in self.projection.tables:
                name = table.name + self.suffix
                for index in connection.execute(_INVALID_INDEXES, {"table": name}).scalars():
                    connection.execute(text(f"DROP INDEX {index}"))
            for statement in create_indexes(self.projection, self.suffix):
                kind = "CREATE INDEX CONCURRENTLY IF NOT EXISTS"
                connection.execute(text(statement.replace("CREATE INDEX", kind, 1)))
            for table in self.projection.tables:
                connection.execute(text(f"ANALYZE {table.name}{self.suffix}"))

    def follow(self, until: Place | None = None) -> None:
        """Go on in the order of commits, to a place or to the end."""
        while True:
            started = time.monotonic()
            with self.engine.begin() as tx:
                count = self.follow_page(tx, until)
            self._keep_pace(count, started)
            if count < FOLLOW_PAGE_SIZE:
                return

    def follow_page(self, tx: Connection, until: Place | None) -> int:
        """Apply the next page in the transaction; return how many events it had."""
        log = LogReader(self.projection.log, self.read)
        tx.execute(LOOK_UP_BY_KEY)
        rows = log.page(tx, self.progress.place, FOLLOW_PAGE_SIZE, until)
        if self.only is not None:
            wanted = [row for row in rows if row.originator_id in set(self.only)]
        else:
            wanted = list(rows)
        if wanted:
            target = Target(self.suffix, earlier=log.earlier)
            self.projection.project(log.recorded(wanted), tx, target)
        moved = self.progress
        if rows:
            moved = replace(moved, place=place_of(rows[-1]))
            moved.event_count += len(wanted)
            self.save(tx, moved)
        self.progress = moved
        return len(rows)

    def _load_page(self, log: LogReader, target: Target) -> int:
        size = LOAD_PAGE_SIZE
        if self.pace.rate is not None:
            size = max(1, min(size, self.pace.rate))
        moved = replace(self.progress)
        with self.engine.begin() as tx:
            tx.execute(LOOK_UP_BY_KEY)
            rows = self._read_streams(tx, log, size)
            if rows:
                self.projection.project(log.recorded_streams(rows), tx, target)
                moved.loaded = rows[-1][0], rows[-1][1]
                moved.event_count += len(rows)
            else:
                moved.is_loaded, moved.place = True, moved.until
            self.save(tx, moved)
        self.progress = moved
        return len(rows)

    def _read_streams(self, tx: Connection, log: LogReader, size: int) -> Sequence[StreamRow]:
        for growth in range(GROWTHS_MAX):
            limit = size << growth
            rows = self._next_streams(tx, log, limit)
            if len(rows) < limit or not self.projection.loads_whole_streams:
                return rows
            # The last stream may go on beyond the page.
            last = rows[-1][0]
            whole = [row for row in rows if row[0] != last]
            if whole:
                return whole
        raise LogOutOfOrder(self.projection.log)

    def _next_streams(self, tx: Connection, log: LogReader, limit: int) -> Sequence[StreamRow]:
        loaded, until = self.progress.loaded, self.progress.until
        live = log.streams(tx, loaded, until, limit, self.only)
        if self.archived is None or not self.projection.counts_archived:
            return live
        # A month that was restored lies between others that were not.
        rows = sorted([*self.archived.page(log.log, loaded, limit), *live], key=_key)
        return rows[:limit]

    def _keep_pace(self, count: int, started: float) -> None:
        self.pace.tell(self.progress)
        if self.pace.rate is not None:
            left = count / self.pace.rate - (time.monotonic() - started)
            if left > 0:
                self.pace.sleep(left)


def _key(row: StreamRow) -> tuple[UUID, int]:
    return row[0], row[1]
