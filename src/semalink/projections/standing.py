"""How every read model stands: how far behind, failing or being rebuilt."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from semalink.projections.projection import Projection

#: More is not counted but said to be "or more".
COUNTED_MAX = 1_000_000
#: Larger tables are estimated by the statistics of the server.
ROWS_COUNTED_MAX = 100_000

_LAG = """
SELECT count(*) AS events,
       COALESCE(EXTRACT(epoch FROM clock_timestamp() - min(recorded_at)), 0)::float8 AS seconds
FROM (
    SELECT e.recorded_at FROM {log} AS e
    WHERE (e.xid, e.notification_id) > (
        COALESCE((SELECT xid FROM cursors WHERE name = :name), '0'),
        COALESCE((SELECT position FROM cursors WHERE name = :name), 0))
    ORDER BY e.xid, e.notification_id LIMIT :most) AS waiting"""

_ROWS = """
SELECT CASE WHEN counted <= :most THEN counted
            ELSE GREATEST(counted, (SELECT reltuples::bigint FROM pg_class
                                    WHERE oid = to_regclass(:table))) END
FROM (SELECT count(*) AS counted FROM (SELECT FROM {table} LIMIT :most + 1) AS first) AS c"""

_BUILD = text("""
SELECT number, state, event_count, events_expected FROM projection_builds
WHERE projection = :name AND state IN ('loading', 'following')""")

_FAILURE = text("""
SELECT error, topic, originator_id, originator_version, attempt_count, since
FROM projection_failures WHERE projection = :name""")

_NOTE_FAILURE = text("""
INSERT INTO projection_failures AS f (
    projection, error, topic, originator_id, originator_version, attempt_count)
VALUES (:name, :error, :topic, :id, :version, 1)
ON CONFLICT (projection) DO UPDATE SET
    error = excluded.error, topic = excluded.topic, originator_id = excluded.originator_id,
    originator_version = excluded.originator_version, attempt_count = f.attempt_count + 1,
    failed_at = now()""")

_FORGET_FAILURE = text("DELETE FROM projection_failures WHERE projection = :name")


@dataclass(frozen=True, slots=True)
class Standing:
    """How one read model stands."""

    name: str
    #: "live", "rebuilding 40 %" or "failing".
    state: str
    #: What it fails at: the class of the error and the event; None while it does not.
    cause: str | None
    lag_events: int
    lag_seconds: float
    rows: int


@dataclass(frozen=True, slots=True)
class Failure:
    """What a read model failed at: the class of the error, and the event by its ids."""

    error: str
    topic: str | None = None
    originator_id: str | None = None
    version: int | None = None


def standings(tx: Connection, projections: Iterable[Projection]) -> Iterator[Standing]:
    """Yield how each read model stands."""
    for projection in projections:
        name = {"name": projection.name}
        lag = tx.execute(text(_LAG.format(log=projection.log)), {**name, "most": COUNTED_MAX}).one()
        failure = tx.execute(_FAILURE, name).one_or_none()
        build = tx.execute(_BUILD, name).one_or_none()
        state = "live"
        if failure is not None:
            state = "failing"
        elif build is not None:
            state = f"rebuilding {_percent(build)} %"
        rows = sum(_count_rows(tx, table.name) for table in projection.tables)
        cause = None if failure is None else _cause(failure)
        yield Standing(projection.name, state, cause, lag.events, lag.seconds, rows)


def lag_seconds(tx: Connection, projection: Projection) -> float:
    """Return the age of the oldest event that a read model does not show."""
    parameters = {"name": projection.name, "most": 1}
    return float(tx.execute(text(_LAG.format(log=projection.log)), parameters).one().seconds)


def note_failure(tx: Connection, name: str, failure: Failure) -> None:
    """Write down what a read model fails at, for lists."""
    facts = {
        "name": name,
        "error": failure.error,
        "topic": failure.topic,
        "id": failure.originator_id,
        "version": failure.version,
    }
    tx.execute(_NOTE_FAILURE, facts)


def forget_failure(tx: Connection, name: str) -> None:
    """Take note that a read model goes on."""
    tx.execute(_FORGET_FAILURE, {"name": name})


def _count_rows(tx: Connection, table: str) -> int:
    parameters = {"most": ROWS_COUNTED_MAX, "table": table}
    return int(tx.execute(text(_ROWS.format(table=table)), parameters).scalar_one())


def _percent(build: Any) -> int:
    expected = max(1, build.events_expected)
    return min(100, int(build.event_count) * 100 // int(expected))


def _cause(failure: Any) -> str:
    if failure.topic is None:
        return str(failure.error)
    return (
        f"{failure.error} at {failure.topic} {failure.originator_id}"
        f" version {failure.originator_version}"
    )
