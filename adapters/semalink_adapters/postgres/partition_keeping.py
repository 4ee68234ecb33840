"""Partitions as operators and schedulers see them: made ahead, and listed with what they hold."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from semalink_adapters.postgres import append_only, partitions

_LIST = """
SELECT log, month, state, row_count, byte_count FROM (
    SELECT i.inhparent::regclass::text AS log, replace(right(c.relname, 7), '_', '-') AS month,
           'live' AS state, greatest(c.reltuples, 0)::bigint AS row_count,
           pg_total_relation_size(c.oid) AS byte_count
    FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = ANY(%s::regclass[]::oid[])
    UNION ALL
    SELECT log, month, 'archived', row_count, byte_count FROM archived_months
    WHERE state IN ('dropped', 'archived', 'restoring')
) AS months ORDER BY log, month"""


@dataclass(frozen=True, slots=True)
class PartitionView:
    """One month of one log."""

    log: str
    month: str
    #: "live" or "archived".
    state: str
    #: By the statistics of the server, or as it was archived.
    row_count: int
    #: With its indexes, or of its files in the archive.
    byte_count: int


def ensure_partitions(database_url: str, now: datetime) -> list[str]:
    """Make the partitions of the last, this and the next months; return the new ones."""
    with psycopg.connect(database_url, autocommit=True, connect_timeout=2) as connection:
        return partitions.ensure(connection, now, append_only.guard_partition)


def list_partitions(connection: psycopg.Connection[Any]) -> list[PartitionView]:
    """Return the months of every log, oldest first."""
    rows = connection.execute(_LIST, (list(partitions.PARTITIONED),)).fetchall()
    return [PartitionView(*row) for row in rows]
