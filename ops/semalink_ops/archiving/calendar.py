"""Months of logs: their names, bounds and partitions."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from semalink.application.archive import ARCHIVED_LOGS
from semalink_adapters.postgres import partitions

#: A month is archived when it ended longer ago.
KEPT_DAYS = 90

_MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])", re.ASCII)
_NAMED = """
SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = %s::regclass ORDER BY 1"""


class NoMonth(Exception):
    """What was given is no month that can be archived."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text} is no month; write it as 2026-03.")


class LogMonth(NamedTuple):
    """One month of one log."""

    month: str
    log: str

    @property
    def table(self) -> str:
        """The name of its partition."""
        return f"{self.log}_{self.month.replace('-', '_')}"

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        """Its first moment and that of the next month, in UTC."""
        start = datetime.strptime(self.month, "%Y-%m").replace(tzinfo=UTC)
        return start, partitions.month_start(start, 1)

    @property
    def ids(self) -> tuple[UUID, UUID]:
        """The smallest id of the month, and of the next."""
        start, end = self.bounds
        return partitions.first_id_of(start), partitions.first_id_of(end)


def checked_month(text: str) -> str:
    """Return a month as it was written; raises NoMonth."""
    if _MONTH.fullmatch(text) is None:
        raise NoMonth(text)
    return text


def months_in_database(connection: psycopg.Connection[Any]) -> list[LogMonth]:
    """Return the months of which there are partitions, oldest first."""
    found = []
    for log in ARCHIVED_LOGS:
        for (name,) in connection.execute(_NAMED, (log,)).fetchall():
            found.append(LogMonth(name[-7:].replace("_", "-"), log))
    return sorted(found)


def end_of_due(now: datetime, before: str | None) -> datetime:
    """Return the moment before which months must have ended to be archived.

    This month and the last one always stay: new partitions are made beside them.
    """
    if before is None:
        return now - timedelta(days=KEPT_DAYS)
    asked, _ = LogMonth(checked_month(before), "").bounds
    return min(asked, partitions.month_start(now, -1))
