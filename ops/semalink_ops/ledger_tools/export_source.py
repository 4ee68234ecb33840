"""What an export is taken from: one snapshot that is complete, and a checkpoint that covers it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from semalink.domain.checkpoint import Leaf, SignedCheckpoint
from semalink_adapters.postgres import checkpoints
from semalink_adapters.postgres.ledger_export import (
    LONGEST_WRITE,
    Cut,
    Snapshot,
    connect,
    have_ended,
    open_snapshot,
    read_mark,
    read_time,
)

_APPLICATION_NAME = "semalink-export"
_WAIT_SECONDS_MAX = 60.0
_PAUSE_SECONDS = 0.1
_ATTEMPTS_MAX = 50


class ExportImpossible(Exception):
    """Why there can be no export now, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Range:
    """What is asked for: entries from an instant, or the first ever, up to another one."""

    since: datetime | None
    #: None for now.
    until: datetime | None
    #: None for all.
    account_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A snapshot with the range that is cut out of it."""

    snapshot: Snapshot
    since: datetime | None
    until: datetime
    cuts: list[Cut]
    #: What the cuts are bound to; None without a key to sign with.
    checkpoint: SignedCheckpoint | None
    leaves: list[Leaf]


@contextmanager
def open_source(
    database_url: str, asked: Range, signer: checkpoints.Signer | None
) -> Iterator[Source]:
    """Wait until the range is complete, take a checkpoint where one is needed, and open both."""
    with connect(database_url, application_name=_APPLICATION_NAME, autocommit=True) as connection:
        until = _settle(connection, asked)
        for _ in range(_ATTEMPTS_MAX):
            number = _checkpoint_for(connection, until, signer)
            with open_snapshot(database_url, application_name=_APPLICATION_NAME) as snapshot:
                source = _read_source(snapshot, asked, until, number)
                if signer is None or _is_covered(source):
                    yield source
                    return
            # Somebody else is taking a checkpoint this very moment: ours is the next one.
            time.sleep(_PAUSE_SECONDS)
    raise ExportImpossible(
        "No checkpoint covers the range. Look at `semalink ledger verify`; it names what is wrong."
    )


def _settle(connection: psycopg.Connection[Any], asked: Range) -> datetime:
    now = read_time(connection)
    until = asked.until or now
    if until > now:
        raise ExportImpossible(
            f"{until:%Y-%m-%d %H:%M:%S}Z has not come yet. Leave --to away to export up to now."
        )
    if asked.since is not None and asked.since >= until:
        raise ExportImpossible("The range is empty: --from must be before --to.")
    if until > now - LONGEST_WRITE:
        _wait_for_writers(connection)
    return until


def _wait_for_writers(connection: psycopg.Connection[Any]) -> None:
    mark = read_mark(connection)
    give_up_at = time.monotonic() + _WAIT_SECONDS_MAX
    while not have_ended(connection, mark):
        if time.monotonic() > give_up_at:
            raise ExportImpossible(
                f"A transaction has been writing for more than {_WAIT_SECONDS_MAX:.0f} seconds, "
                "so that what it recorded is not known. Find it in pg_stat_activity, "
                "or export up to an earlier --to."
            )
        time.sleep(_PAUSE_SECONDS)


def _checkpoint_for(
    connection: psycopg.Connection[Any], until: datetime, signer: checkpoints.Signer | None
) -> int | None:
    if signer is None:
        return None
    # Clocks of two machines differ; after so long every one has passed the instant.
    found = checkpoints.first_after(connection, until + LONGEST_WRITE)
    if found is None:
        found = checkpoints.take(connection, signer, read_time(connection))
    if found is None:
        # Nothing moved since the newest one.
        found = checkpoints.latest(connection)
    return found.checkpoint.number if found else None


def _read_source(snapshot: Snapshot, asked: Range, until: datetime, number: int | None) -> Source:
    cuts = snapshot.cuts(asked.since, until, asked.account_id)
    if number is None:
        return Source(snapshot, asked.since, until, cuts, None, [])
    checkpoint = checkpoints.numbered(snapshot.connection, number)
    leaves = checkpoints.leaves_at(snapshot.connection, number)
    return Source(snapshot, asked.since, until, cuts, checkpoint, leaves)


def _is_covered(source: Source) -> bool:
    if source.checkpoint is None:
        # Only an empty ledger has none.
        return not source.cuts
    reached = {leaf.account_id: leaf.version for leaf in source.leaves}
    return all(reached.get(cut.account_id, 0) >= cut.last for cut in source.cuts)
