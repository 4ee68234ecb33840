"""An auditor's history: the logs, walked in slices of time, a bounded piece for a page."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool

from semalink.application.archive import ArchivedEvents, NothingArchived
from semalink.application.history import (
    HistoryFilter,
    HistoryPage,
    Place,
    Recorded,
    matches,
    row_of,
    window_of,
)
from semalink_adapters.postgres.history_sources import (
    ARCHIVED,
    Source,
    parameters_of,
    read_archived,
    sources_of,
    span_parameters,
    table_of,
)
from semalink_adapters.postgres.queries import Queries

#: A slice of a log that holds more is made narrower.
SLICE_ROWS_MAX = 20_000
#: A page looks at so many rows and then says where to go on, found or not.
SCANNED_ROWS_MAX = 100_000
SLICES_MAX = 500
#: A page begins no other slice after this.
PAGE_SECONDS_MAX = 2.0
#: What takes longer is answered as being away.
READ_SECONDS_MAX = 8.0

FIRST_WIDTH = timedelta(minutes=1)
NARROWEST = timedelta(milliseconds=1)
_WIDEST = timedelta(days=36_500)
_FACTOR = 4
_MOMENT = timedelta(microseconds=1)
_NO_ID = UUID(int=0)

# Whoever is writing a log holds this lock on it until the commit is seen. What it writes is
# recorded after its transaction began, so nothing before the first of them is still to come.
_HORIZON = """
SELECT coalesce(min(coalesce(a.xact_start, clock_timestamp() - interval '10 seconds')),
                clock_timestamp())
FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.granted
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.relation = ANY(ARRAY[
      'ledger_entries'::regclass::oid, 'message_events'::regclass::oid,
      'admin_events'::regclass::oid, 'webhook_events'::regclass::oid,
      'refusals'::regclass::oid])"""

#: The role that serves is not shown when others began; the user who logged in is, of its own.
_AS_LOGGED_IN, _AS_SERVING = "SET LOCAL ROLE NONE", "RESET ROLE"

_PAYER = "SELECT billing_account_id FROM accounts WHERE account_id = %s"

#: A span of time is found by a bitmap; for what has an index of its own it would be sorted.
_BITMAPS = "SELECT set_config('enable_bitmapscan', %s, true)"


class PostgresHistory(Queries):
    """Pages of the logs over a pool; raises ReadsUnavailable while the database is away."""

    def __init__(
        self,
        pool: AsyncConnectionPool[Any],
        *,
        slice_rows_max: int = SLICE_ROWS_MAX,
        scanned_rows_max: int = SCANNED_ROWS_MAX,
        archived: ArchivedEvents | None = None,
    ) -> None:
        super().__init__(pool, seconds_max=READ_SECONDS_MAX)
        self._archived = archived or NothingArchived()
        self._slice_rows_max = slice_rows_max
        self._scanned_rows_max = scanned_rows_max

    async def page(self, asked: HistoryFilter, after: Place | None, limit: int) -> HistoryPage:
        """Return rows behind a place; a bounded piece of the logs is looked through."""
        return await self._answered(lambda: self._page(asked, after, limit))

    async def _page(self, asked: HistoryFilter, after: Place | None, limit: int) -> HistoryPage:
        archived = await self._from_archive(asked)
        async with self._connection() as connection, connection.transaction():
            await connection.execute("SET TRANSACTION READ ONLY")
            await connection.execute(_AS_LOGGED_IN)
            horizon = await _one(connection, _HORIZON, ())
            await connection.execute(_AS_SERVING)
            payer_id = asked.account_id and await _one(connection, _PAYER, (asked.account_id,))
            walk = _Walk(
                connection=connection,
                asked=asked,
                sources=sources_of(asked, payer_id),
                parameters=parameters_of(asked, payer_id),
                window=window_of(asked, horizon),
                slice_rows_max=self._slice_rows_max,
                scanned_rows_max=self._scanned_rows_max,
                archived=archived,
            )
            return await walk.page(after, limit)

    async def _from_archive(self, asked: HistoryFilter) -> list[Recorded]:
        """Return the archived events of what is asked for by its id; a search finds none."""
        if asked.subject_id is None:
            return []
        return [
            recorded
            for number in ARCHIVED
            for recorded in read_archived(
                number,
                asked.subject_id,
                await self._archived.stream(table_of(number), asked.subject_id),
            )
        ]


async def _one(connection: psycopg.AsyncConnection[Any], statement: str, values: Any) -> Any:
    row = await (await connection.execute(statement, values, binary=True)).fetchone()
    return None if row is None else row[0]


@dataclass(slots=True)
class _Walk:
    """One page's way through the logs."""

    connection: psycopg.AsyncConnection[Any]
    asked: HistoryFilter
    sources: list[Source]
    parameters: dict[str, Any]
    window: tuple[datetime, datetime]
    slice_rows_max: int
    scanned_rows_max: int
    #: Of the months that are not in the database.
    archived: list[Recorded]
    scanned: int = 0

    async def page(self, after: Place | None, limit: int) -> HistoryPage:
        """Return a page behind a place."""
        found: list[Recorded] = []
        deadline = time.monotonic() + PAGE_SECONDS_MAX
        place, width = after, self._first_width()
        for _ in range(SLICES_MAX):
            slice_ = self._slice(place, width)
            if slice_ is None:
                return HistoryPage([row_of(one) for one in found], None)
            count = await self._count(slice_)
            if count > self.slice_rows_max and slice_[1] - slice_[0] > NARROWEST:
                width = (slice_[1] - slice_[0]) / _FACTOR
                continue
            self.scanned += count
            rows, edge = await self._read(slice_, place, limit + 1)
            found += [one for one in rows if matches(one, self.asked)]
            if len(found) > limit:
                return HistoryPage([row_of(one) for one in found[:limit]], found[limit - 1].place)
            place = edge
            if self.scanned >= self.scanned_rows_max or time.monotonic() > deadline:
                break
            if count * _FACTOR * 2 < self.slice_rows_max:
                width = min(width * _FACTOR, _WIDEST)
        return HistoryPage([row_of(one) for one in found], place)

    def _first_width(self) -> timedelta:
        if all(source.is_ordered for source in self.sources):
            return max(self.window[1] - self.window[0], FIRST_WIDTH)
        return FIRST_WIDTH

    def _slice(self, place: Place | None, width: timedelta) -> tuple[datetime, datetime] | None:
        """Return the next slice from a place on; None behind the last."""
        start, end = self.window
        if self.asked.is_newest_first:
            end = end if place is None else min(end, _behind(place))
            start = max(start, end - min(width, end - start)) if end > start else end
        else:
            start = start if place is None else max(start, place.at)
            end = min(end, start + min(width, end - start)) if end > start else start
        return (start, end) if start < end else None

    async def _count(self, slice_: tuple[datetime, datetime]) -> int:
        """Return how many rows the fullest log would have to be looked through for."""
        parameters = {
            **self.parameters,
            **span_parameters(*slice_),
            "count_max": self.slice_rows_max + 1,
        }
        counts = [0]
        for source in self.sources:
            if not source.is_ordered:
                await self._plan_for(source)
                counts.append(await _one(self.connection, source.count(), parameters))
        return max(counts)

    async def _read(
        self, slice_: tuple[datetime, datetime], place: Place | None, row_count: int
    ) -> tuple[list[Recorded], Place]:
        """Return the rows of a slice behind a place, in order, and the place behind them."""
        newest_first = self.asked.is_newest_first
        parameters = {
            **self.parameters,
            **span_parameters(*slice_),
            "row_count": row_count,
            **({} if place is None else _after(place)),
        }
        edge = Place(slice_[0] if newest_first else slice_[1], 0, _NO_ID, 0)
        rows: list[Recorded] = []
        for source in self.sources:
            await self._plan_for(source)
            statement = source.rows(is_newest_first=newest_first, goes_on=place is not None)
            cursor = await self.connection.execute(statement, parameters, binary=True)
            of_source = [source.read(row) for row in await cursor.fetchall()]
            rows += of_source
            if len(of_source) == row_count:
                # There may be more of this log before what other logs tell of later.
                nearest = max if newest_first else min
                edge = nearest(edge, of_source[-1].place)
        rows += self._archived_in(slice_, place)
        rows.sort(key=lambda one: one.place, reverse=newest_first)
        if newest_first:
            return [one for one in rows if one.place >= edge], edge
        return [one for one in rows if one.place <= edge], edge

    def _archived_in(
        self, slice_: tuple[datetime, datetime], place: Place | None
    ) -> Iterator[Recorded]:
        """Yield what the archive has in a slice behind a place."""
        for one in self.archived:
            is_behind = place is None or (
                one.place < place if self.asked.is_newest_first else one.place > place
            )
            if is_behind and slice_[0] <= one.place.at < slice_[1]:
                yield one

    async def _plan_for(self, source: Source) -> None:
        await self.connection.execute(_BITMAPS, ("on" if source.goes_by_time else "off",))


def _behind(place: Place) -> datetime:
    # Other rows of the very moment may follow a row, and none follows the edge of a slice.
    return place.at + _MOMENT if place.source else place.at


def _after(place: Place) -> dict[str, Any]:
    return {
        "after_at": place.at,
        "after_source": place.source,
        "after_id": place.id,
        "after_version": place.version,
    }
