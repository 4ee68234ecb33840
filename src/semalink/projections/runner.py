"""Feeds a log to a read model: page by page, each with its cursor in one transaction."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, Row, text

from semalink.projections.log_pages import LOOK_UP_BY_KEY, LogReader, Place, Read, place_of
from semalink.projections.projection import Projection, Target

PAGE_SIZE = 2_000

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
class Page:
    """How far one step came."""

    event_count: int
    #: Seconds since the last event of the page was recorded; 0 when there was none.
    lag_seconds: float
    #: How many events it had of each topic; every event is in one page of one runner.
    topics: Mapping[str, int] = field(default_factory=dict)


class ProjectionRunner:
    """Applies one projection; a second runner of the same one stands by."""

    def __init__(self, engine: Engine, projection: Projection, read: Read) -> None:
        self._engine = engine
        self._projection = projection
        self._log = LogReader(projection.log, read)
        self._target = Target(earlier=self._log.earlier)
        #: How many events the next page has at most.
        self.page_size = PAGE_SIZE
        #: The first event of the page that was last begun: topic, stream and version.
        self.began_at: tuple[str, str, int] | None = None
        with engine.begin() as tx:
            tx.execute(_MAKE_CURSOR, {"name": projection.name})

    @property
    def name(self) -> str:
        """The name of the projection."""
        return self._projection.name

    def step(self) -> Page:
        """Apply the next page and move the cursor, or do nothing when another runner is at it."""
        with self._engine.begin() as tx:
            tx.execute(LOOK_UP_BY_KEY)
            if not tx.execute(_LOCK, {"name": self.name}).scalar_one():
                return Page(0, 0.0)
            rows = self._log.page(tx, read_cursor(tx, self.name), self.page_size)
            if not rows:
                return Page(0, 0.0)
            first = rows[0]
            self.began_at = first.topic, str(first.originator_id), first.originator_version
            self._apply(tx, rows)
            now = tx.execute(text("SELECT clock_timestamp()")).scalar_one()
            lag_seconds = (now - rows[-1].recorded_at).total_seconds()
            return Page(len(rows), lag_seconds, Counter(row.topic for row in rows))

    def _apply(self, tx: Connection, rows: Sequence[Row[Any]]) -> None:
        self._projection.project(self._log.recorded(rows), tx, self._target)
        move_cursor(tx, self.name, place_of(rows[-1]))


def read_cursor(tx: Connection, name: str) -> Place:
    """Return how far a projection has come."""
    row = tx.execute(_READ_CURSOR, {"name": name}).one()
    return Place(int(row.xid), row.position)


def move_cursor(tx: Connection, name: str, place: Place) -> None:
    """Set how far a projection has come."""
    tx.execute(_MOVE_CURSOR, {"name": name, "xid": str(place.xid), "position": place.position})
