"""Feeds a log to a read model: page by page, each with its cursor in one transaction."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, text

PAGE_SIZE = 2_000

#: A page ends below the oldest transaction that may still commit, so nothing is ever skipped.
#: The order is by the column: a bare ``xid`` would be the text that is selected.
_READ_PAGE = """
SELECT xid::text, notification_id, topic, state, recorded_at FROM {log} AS e
WHERE (e.xid, e.notification_id) > (CAST(:xid AS xid8), :position)
  AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY e.xid, e.notification_id LIMIT :page_size"""

#: Plans that were made while a table was empty would read it whole ever after.
_LOOK_UP_BY_KEY = text("""
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
       set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)""")
# An advisory lock, because a locked row would give the transaction its id, and a reader that holds
# an id holds back all other readers while it works through its page.
_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")
_READ_CURSOR = text("SELECT xid::text, position FROM cursors WHERE name = :name")
_MAKE_CURSOR = text(
    "INSERT INTO cursors (name, xid, position) VALUES (:name, '0', 0) ON CONFLICT DO NOTHING"
)
_MOVE_CURSOR = text(
    "UPDATE cursors SET xid = CAST(:xid AS xid8), position = :position, moved_at = now()"
    " WHERE name = :name"
)


@dataclass(frozen=True, slots=True)
class Projection:
    """A read model: its name, the log it reads and how it applies a page of events."""

    name: str
    log: str
    project: Callable[[Iterable[Any], Connection], None]


@dataclass(frozen=True, slots=True)
class Page:
    """How far one step came."""

    event_count: int
    #: Seconds since the last event of the page was recorded; 0 when there was none.
    lag_seconds: float
    #: How many events it had of each topic; every event is in one page of one runner.
    topics: Mapping[str, int] = field(default_factory=dict)


class ProjectionRunner:
    """Applies one projection; a second runner of the same one stands by."""

    def __init__(
        self, engine: Engine, projection: Projection, read: Callable[[str, bytes], Any]
    ) -> None:
        self._engine = engine
        self._projection = projection
        self._read = read
        self._read_page = text(_READ_PAGE.format(log=projection.log))
        with engine.begin() as tx:
            tx.execute(_MAKE_CURSOR, {"name": projection.name})

    @property
    def name(self) -> str:
        """The name of the projection."""
        return self._projection.name

    def step(self) -> Page:
        """Apply the next page and move the cursor, or do nothing when another runner is at it."""
        with self._engine.begin() as tx:
            tx.execute(_LOOK_UP_BY_KEY)
            if not tx.execute(_LOCK, {"name": self._projection.name}).scalar_one():
                return Page(0, 0.0)
            cursor = tx.execute(_READ_CURSOR, {"name": self._projection.name}).one()
            rows = tx.execute(
                self._read_page,
                {"xid": cursor.xid, "position": cursor.position, "page_size": PAGE_SIZE},
            ).all()
            if not rows:
                return Page(0, 0.0)
            self._projection.project((self._read(row.topic, bytes(row.state)) for row in rows), tx)
            last = rows[-1]
            tx.execute(
                _MOVE_CURSOR,
                {
                    "name": self._projection.name,
                    "xid": last.xid,
                    "position": last.notification_id,
                },
            )
            now = tx.execute(text("SELECT clock_timestamp()")).scalar_one()
            lag_seconds = (now - last.recorded_at).total_seconds()
            return Page(len(rows), lag_seconds, Counter(row.topic for row in rows))
