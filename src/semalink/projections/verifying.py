"""Compares a live read model with a replay of its log."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from semalink.projections.comparing import Comparison, compare
from semalink.projections.log_pages import Read, horizon
from semalink.projections.projection import Projection, create_tables
from semalink.projections.rebuilding import (
    FindArchived,
    count_events,
    drop_tables,
    nothing_archived,
    only_here,
)
from semalink.projections.runner import ProjectionRunner
from semalink.projections.shadow import Pace, Progress, Shadow

_SUFFIX = "_check"


class NoSample(Exception):
    """The rows of a read model are made of many streams, so that no sample can be compared."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Every row of {name} is made of many streams, so that a sample says nothing. Leave"
            f" --sample away."
        )


def verify(
    engine: Engine,
    projection: Projection,
    read: Read,
    pace: Pace,
    sample_size: int | None = None,
    archived: FindArchived = nothing_archived,
) -> Comparison:
    """Replay the log, or a sample of its streams, into tables of its own and compare every row."""
    if sample_size is not None and projection.stream_column is None:
        raise NoSample(projection.name)
    with only_here(engine, projection.name):
        streams = archived()
        ProjectionRunner(engine, projection, read)
        with engine.begin() as tx:
            # What a verification left that was killed.
            drop_tables(tx, projection, _SUFFIX)
            for statement in create_tables(projection, _SUFFIX, logged=False):
                tx.execute(text(statement))
            only = None if sample_size is None else _sample(tx, projection.log, sample_size)
            expected = count_events(tx, projection.log) if only is None else 0
            progress = Progress(horizon(tx), expected)
        shadow = Shadow(engine, projection, read, _SUFFIX, progress, pace=pace, only=only)
        shadow.archived = streams if only is None else None
        try:
            shadow.load()
            return compare(shadow)
        finally:
            with engine.begin() as tx:
                drop_tables(tx, projection, _SUFFIX)


def _sample(tx: Connection, log: str, size: int) -> Sequence[UUID]:
    # From the log, so that a row that is missing is found as well.
    statement = text(
        f"SELECT originator_id FROM {log} WHERE originator_version = 1"  # noqa: S608 - constant
        " ORDER BY random() LIMIT :size"
    )
    return tx.execute(statement, {"size": size}).scalars().all()
