"""Compares two sets of tables at the same place of their log, row by row."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from semalink.projections.log_pages import LOOK_UP_BY_KEY, LogReader, Read
from semalink.projections.projection import Projection, Table
from semalink.projections.runner import ProjectionRunner, read_cursor
from semalink.projections.shadow import Shadow

#: How many differing rows are named.
NAMED_MAX = 100
#: How many pages the live tables may be behind the new ones when they meet.
CATCH_UP_PAGES_MAX = 10_000
RUNNER_PAUSE_SECONDS = 0.02
#: The projector has so many pauses for itself, because it also counts what it applies.
PAUSES_FOR_PROJECTOR = 25

_WAIT_FOR_RUNNER = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
_PATIENCE = text("SELECT set_config('lock_timeout', '30s', true)")

_DIFFERENCES = """
SELECT {keys}, CASE WHEN l.digest IS NULL THEN 'missing' WHEN s.digest IS NULL THEN 'surplus'
                    ELSE 'different' END, count(*) OVER ()
FROM (SELECT {keys}, {digest} AS digest FROM {live}{only}) AS l
FULL JOIN (SELECT {keys}, {digest} AS digest FROM {shadow}{only}) AS s USING ({keys})
WHERE l.digest IS DISTINCT FROM s.digest
ORDER BY {keys} LIMIT :limit"""


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that is not as a replay makes it."""

    table: str
    #: The values of its key, with slashes between.
    key: str
    #: In the live table it is missing, surplus or different.
    fault: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison found."""

    difference_count: int
    #: The first of them.
    named: Sequence[Difference]


class LiveStandsStill(Exception):
    """The live read model does not come to where the new one is, so nothing can be compared."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The live read model {name} does not move on, so that the new one cannot be compared"
            f" with it. `semalink projections list` says why."
        )


def compare(shadow: Shadow) -> Comparison:
    """Bring both sets to one place and compare what every row says there.

    The live runner waits only while the new tables are brought to where it stands; both go on
    while the comparison looks at a snapshot.
    """
    with met(shadow) as snapshot:
        found = 0
        named: list[Difference] = []
        for table in shadow.projection.tables:
            rows = snapshot.execute(
                text(_query(table, shadow)), _parameters(shadow.only, NAMED_MAX)
            ).all()
            found += rows[0][-1] if rows else 0
            named += (Difference(table.name, "/".join(map(str, row[:-2])), row[-2]) for row in rows)
        return Comparison(found, named[:NAMED_MAX])


@contextmanager
def met(shadow: Shadow) -> Iterator[Connection]:
    """Yield a snapshot in which both sets of tables are at the same place."""
    name = shadow.projection.name
    bring_live_forward(shadow.engine, shadow.projection, shadow.read, shadow)
    snapshots = shadow.engine.execution_options(isolation_level="REPEATABLE READ")
    with snapshots.connect() as snapshot:
        with shadow.engine.begin() as tx:
            tx.execute(_PATIENCE)
            tx.execute(_WAIT_FOR_RUNNER, {"name": name})
            shadow.follow(read_cursor(tx, name))
            # The first statement takes the snapshot, while the runner still waits.
            snapshot.execute(text("SELECT 1"))
        yield snapshot


def bring_live_forward(engine: Engine, projection: Projection, read: Read, shadow: Shadow) -> None:
    """Wait for the live tables, or feed them when nobody else does; raises LiveStandsStill."""
    log = LogReader(projection.log, read)
    runner = ProjectionRunner(engine, projection, read)
    with ThreadPoolExecutor(1) as steps:
        for turn in range(CATCH_UP_PAGES_MAX):
            with engine.begin() as tx:
                tx.execute(LOOK_UP_BY_KEY)
                live = read_cursor(tx, projection.name)
                if not log.page(tx, live, 1, shadow.progress.place):
                    return
            if turn < PAUSES_FOR_PROJECTOR:
                shadow.pace.sleep(RUNNER_PAUSE_SECONDS)
                continue
            step = steps.submit(runner.step)
            # Whatever stops the live tables, the new ones may be what mends it.
            if step.exception() is not None:
                raise LiveStandsStill(projection.name)
            if not step.result().event_count:
                shadow.pace.sleep(RUNNER_PAUSE_SECONDS)
    raise LiveStandsStill(projection.name)


def _query(table: Table, shadow: Shadow) -> str:
    columns = ", ".join(column_names(table))
    only = ""
    if shadow.only is not None:
        only = f" WHERE {shadow.projection.stream_column} = ANY(CAST(:ids AS uuid[]))"
    return _DIFFERENCES.format(
        keys=", ".join(table.key),
        digest=f"hashtextextended(ROW({columns})::text, 0)",
        live=table.name,
        shadow=table.name + shadow.suffix,
        only=only,
    )


def _parameters(only: Sequence[UUID] | None, limit: int) -> dict[str, Any]:
    ids = {} if only is None else {"ids": [str(stream) for stream in only]}
    return {"limit": limit, **ids}


def column_names(table: Table) -> list[str]:
    """Return the names of a table's columns, in their order; its constraints are none."""
    words = (line.split()[0] for line in table.columns.split(","))
    return [word for word in words if word not in ("CHECK", "CONSTRAINT")]
