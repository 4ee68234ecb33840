"""Reads a log page by page, in the order of commits or stream by stream, and skips nothing."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from sqlalchemy import Connection, Row, text

from semalink.projections.projection import Recorded

Read = Callable[[str, bytes], Any]
#: Stream, version, time of the insert, topic and state.
StreamRow = tuple[UUID, int, datetime, str, bytes]


class ArchivedStreams(Protocol):
    """The events of months that are not in the database any more."""

    def page(self, log: str, after: tuple[UUID, int], size: int) -> Sequence[StreamRow]:
        """Return the next rows behind a stream and version; fewer only at the end."""
        ...


#: How often a page that cuts a stream out of order is doubled before that is called a fault.
GROWTHS_MAX = 6

_COLUMNS = (
    "e.xid::text, e.notification_id, e.originator_id, e.originator_version, e.topic, e.state,"
    " e.recorded_at"
)

#: A page ends below the oldest transaction that may still commit, so nothing is ever skipped.
#: The order is by the column: a bare ``xid`` would be the text that is selected.
_READ_PAGE = """
SELECT {columns} FROM {log} AS e
WHERE (e.xid, e.notification_id) > (CAST(:xid AS xid8), :position)
  AND e.xid < pg_snapshot_xmin(pg_current_snapshot()){until}
ORDER BY e.xid, e.notification_id LIMIT :page_size"""

_UNTIL = " AND (e.xid, e.notification_id) <= (CAST(:until_xid AS xid8), :until_position)"

_READ_STREAMS = """
SELECT e.originator_id, e.originator_version, e.recorded_at, e.topic, e.state FROM {log} AS e
WHERE (e.originator_id, e.originator_version) > (%(id)s, %(version)s)
  AND (e.xid, e.notification_id) <= (CAST(%(until_xid)s::text AS xid8), %(until_position)s){only}
ORDER BY e.originator_id, e.originator_version LIMIT %(page_size)s"""

_ONLY = " AND e.originator_id = ANY(%(ids)s)"

_READ_EARLIER = """
SELECT {columns}
FROM unnest(CAST(:ids AS uuid[]), CAST(:versions AS bigint[])) AS p(id, version)
JOIN {log} AS e ON e.originator_id = p.id AND e.originator_version < p.version
ORDER BY e.originator_version"""

#: Two transactions that wrote to one stream have their numbers from when each began to write, so
#: the second may have the smaller one. Both are below the horizon together.
_IS_OUT_OF_ORDER = """
SELECT EXISTS (
    SELECT FROM unnest(CAST(:ids AS uuid[]), CAST(:versions AS bigint[])) AS p(id, version)
    JOIN {log} AS e ON e.originator_id = p.id AND e.originator_version = p.version
    WHERE (e.xid, e.notification_id) > (CAST(:xid AS xid8), :position)
      AND e.xid < pg_snapshot_xmin(pg_current_snapshot()))"""

#: Plans that were made while a table was empty would read it whole ever after.
LOOK_UP_BY_KEY = text("""
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
       set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)""")

_HORIZON = text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")


class Place(NamedTuple):
    """A place in a log: everything up to and with it was read."""

    xid: int
    position: int


START = Place(0, 0)


class LogOutOfOrder(Exception):
    """A page could not be cut so that every stream in it is in order."""

    def __init__(self, log: str) -> None:
        super().__init__(f"No page of {log} could be cut in order; this is a bug.")


class LogReader:
    """Reads one log for one projection."""

    def __init__(self, log: str, read: Read) -> None:
        self.log = log
        self._read = read

    def page(
        self, tx: Connection, after: Place, size: int, until: Place | None = None
    ) -> Sequence[Row[Any]]:
        """Return the next rows in the order of commits, a few more when that keeps streams whole.

        A stream never has a later event in this page than in the next.
        """
        statement = text(page_query(self.log, until=until is not None))
        parameters: dict[str, Any] = {"xid": str(after.xid), "position": after.position}
        if until:
            parameters |= {"until_xid": str(until.xid), "until_position": until.position}
        for growth in range(GROWTHS_MAX):
            limit = size << growth
            rows = tx.execute(statement, parameters | {"page_size": limit}).all()
            if len(rows) < limit or not self._is_out_of_order(tx, rows):
                return rows
        raise LogOutOfOrder(self.log)

    def streams(
        self,
        tx: Connection,
        after: tuple[UUID, int],
        until: Place,
        size: int,
        only: Sequence[UUID] | None = None,
    ) -> Sequence[StreamRow]:
        """Return the next rows stream by stream, of what is not beyond the place."""
        parameters: dict[str, Any] = {
            "id": after[0],
            "version": after[1],
            "until_xid": str(until.xid),
            "until_position": until.position,
            "page_size": size,
        }
        if only is not None:
            parameters["ids"] = list(only)
        statement = _READ_STREAMS.format(log=self.log, only=_ONLY if only is not None else "")
        # The driver itself, in binary: a load reads the whole log, and this halves its reading.
        driver: Any = tx.connection.driver_connection
        with driver.cursor(binary=True) as cursor:
            rows: Sequence[StreamRow] = cursor.execute(statement, parameters).fetchall()
            return rows

    def recorded_streams(self, rows: Iterable[StreamRow]) -> list[Recorded]:
        """Return the events of rows that were read stream by stream."""
        read = self._read
        return [
            Recorded(stream, version, recorded_at, read(topic, state))
            for stream, version, recorded_at, topic, state in rows
        ]

    def earlier(self, tx: Connection, before: Mapping[UUID, int]) -> Sequence[Recorded]:
        """Return what came in each stream before a version of it."""
        statement = text(_READ_EARLIER.format(columns=_COLUMNS, log=self.log))
        parameters = {
            "ids": [str(stream) for stream in before],
            "versions": list(before.values()),
        }
        return self.recorded(tx.execute(statement, parameters))

    def recorded(self, rows: Iterable[Row[Any]]) -> list[Recorded]:
        """Return the events of rows, each stream in the order of its versions."""
        read = self._read
        events = [
            Recorded(
                row.originator_id,
                row.originator_version,
                row.recorded_at,
                read(row.topic, bytes(row.state)),
            )
            for row in rows
        ]
        events.sort(key=_version)
        return events

    def _is_out_of_order(self, tx: Connection, rows: Sequence[Row[Any]]) -> bool:
        held = {(row.originator_id, row.originator_version) for row in rows}
        wanted = [
            (stream, version - 1)
            for stream, version in held
            if version > 1 and (stream, version - 1) not in held
        ]
        if not wanted:
            return False
        last = rows[-1]
        return bool(
            tx.execute(
                text(_IS_OUT_OF_ORDER.format(log=self.log)),
                {
                    "ids": [str(stream) for stream, _ in wanted],
                    "versions": [version for _, version in wanted],
                    "xid": last.xid,
                    "position": last.notification_id,
                },
            ).scalar_one()
        )


def page_query(log: str, *, until: bool = False) -> str:
    """Return the statement that reads a page in the order of commits."""
    return _READ_PAGE.format(columns=_COLUMNS, log=log, until=_UNTIL if until else "")


def place_of(row: Row[Any]) -> Place:
    """Return where in the log a row stands."""
    return Place(int(row.xid), row.notification_id)


def horizon(tx: Connection) -> Place:
    """Return the place below which nothing can be added any more."""
    return Place(int(tx.execute(_HORIZON).scalar_one()), 0)


def _version(recorded: Recorded) -> int:
    return recorded.version
