"""Tells readers of the archive where a month is."""

from typing import NamedTuple

from semalink_adapters.postgres.archived_months import IN_ARCHIVE
from semalink_adapters.postgres.queries import Queries

_LOCATED = """
SELECT manifest_path, manifest_sha256 FROM archived_months
WHERE log = %s AND month = %s AND state = ANY(%s)"""

_LAST_ARCHIVED = """
SELECT max(month) FROM archived_months
WHERE log = 'message_events' AND state IN ('dropped', 'archived', 'restoring')"""


class Located(NamedTuple):
    """Where the manifest of a month is, and its hash."""

    manifest_path: str
    manifest_sha256: str


class PostgresArchivedMonths(Queries):
    """Looks months up over a pool; raises ReadsUnavailable while the database is away."""

    async def located(self, log: str, month: str) -> Located | None:
        """Return where a month is; None when it is not in the archive."""
        rows = await self._all(_LOCATED, (log, month, list(IN_ARCHIVE)))
        return Located(*rows[0]) if rows else None

    async def last_archived_month(self) -> str | None:
        """Return the last month of messages that is in the archive only."""
        rows = await self._all(_LAST_ARCHIVED, ())
        return rows[0][0] if rows else None
