"""Takes a month out of its log: apart from it without locking it, then dropped."""

from typing import Any, LiteralString

import psycopg
from psycopg import errors
from psycopg.sql import SQL, Identifier

#: How often a partition is tried to be detached while others look at it.
_TRIES_MAX = 5

_STANDING = """
SELECT i.inhrelid IS NOT NULL, COALESCE(i.inhdetachpending, false)
FROM pg_class AS c LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
    AND i.inhparent = %s::regclass
WHERE c.oid = to_regclass(%s)"""

_SUM = SQL("SELECT count(*), COALESCE(max(xid)::text, '0') FROM {}")


class DetachPutOff(Exception):
    """Somebody reads the log without a pause, so that the month could not be taken out."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} could not be detached, because a transaction on its log does not end."
            " Nothing is lost; run the same command again."
        )


def standing(connection: psycopg.Connection[Any], log: str, name: str) -> str:
    """Return what a month's table is: "attached", "pending", "apart" or "gone"."""
    row = connection.execute(_STANDING, (log, name)).fetchone()
    if row is None:
        return "gone"
    if not row[0]:
        return "apart"
    return "pending" if row[1] else "attached"


def detach(connection: psycopg.Connection[Any], log: str, name: str) -> None:
    """Take a partition out of its log while it is read and written; raises DetachPutOff.

    The connection must commit each statement. Interrupted, it is finished by the next call.
    """
    connection.execute("SET lock_timeout = '30s'")
    try:
        for _ in range(_TRIES_MAX):
            found = standing(connection, log, name)
            if found in ("apart", "gone"):
                return
            how: LiteralString = "FINALIZE" if found == "pending" else "CONCURRENTLY"
            try:
                connection.execute(
                    SQL("ALTER TABLE {} DETACH PARTITION {} {}").format(
                        Identifier(log), Identifier(name), SQL(how)
                    )
                )
            except (errors.LockNotAvailable, errors.ObjectNotInPrerequisiteState):
                continue
    finally:
        connection.execute("RESET lock_timeout")
    if standing(connection, log, name) != "apart":
        raise DetachPutOff(name)


def sum_of(connection: psycopg.Connection[Any], name: str) -> tuple[int, int]:
    """Return how many rows a table has, and the last transaction that wrote one."""
    row = connection.execute(_SUM.format(Identifier(name))).fetchone()
    assert row is not None, "an aggregate has a row"
    return row[0], int(row[1])


def drop(connection: psycopg.Connection[Any], name: str) -> None:
    """Drop a month that is a partition no more; one that is gone is no fault."""
    connection.execute(SQL("DROP TABLE IF EXISTS {}").format(Identifier(name)))
