"""The shelf of reports that match no message, for operators."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from semalink.application.orphan_reports import Orphan, OrphanPlace
from semalink.application.ports import DeliveryReport
from semalink.application.reporting import ParsedReport
from semalink.domain.message import Message
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.queries import Queries

_COLUMNS = """
SELECT s.report_id, s.part, s.aggregator, s.report, s.shelved_at,
       coalesce(r.content_type, ''), coalesce(r.body, '')
FROM report_shelf AS s LEFT JOIN inbound_reports AS r ON r.report_id = s.report_id"""

SELECT_ORPHANS = (
    _COLUMNS
    + """
WHERE (%(aggregator)s::text IS NULL OR s.aggregator = %(aggregator)s)
  AND s.shelved_at <= %(shelved_before)s
  AND (s.report_id, s.part) > (%(report_id)s, %(part)s)
ORDER BY s.report_id, s.part LIMIT %(limit)s"""
)

SELECT_ORPHAN = _COLUMNS + " WHERE s.report_id = %s AND s.part = %s"

SELECT_CREATED = """
SELECT topic, state FROM message_events WHERE originator_id = %s AND originator_version = 1"""

_BEFORE_ALL = OrphanPlace(UUID(int=0), -1)

_report_decoder = msgspec.json.Decoder(DeliveryReport)


class PostgresOrphans(Queries):
    """Orphans over a pool; each raises ReadsUnavailable while the database is away."""

    async def orphans(
        self,
        aggregator: str | None,
        *,
        shelved_before: datetime,
        after: OrphanPlace | None,
        limit: int,
    ) -> Sequence[Orphan]:
        """Return reports, oldest first, from behind a place."""
        place = after or _BEFORE_ALL
        asked = {
            "aggregator": aggregator,
            "shelved_before": shelved_before,
            "report_id": place.report_id,
            "part": place.part,
            "limit": limit,
        }
        return [_orphan(row) for row in await self._all(SELECT_ORPHANS, asked)]

    async def orphan(self, place: OrphanPlace) -> Orphan | None:
        """Return one report; None when it is not on the shelf."""
        rows = await self._all(SELECT_ORPHAN, (place.report_id, place.part))
        return _orphan(rows[0]) if rows else None

    async def billing_account_of(self, message_id: UUID) -> UUID | None:
        """Return whose credits pay for a message; None when there is no such message."""
        for topic, state in await self._all(SELECT_CREATED, (message_id,)):
            created = EventMapper.read(topic, state)
            assert isinstance(created, Message.Created), "the first step of a message"
            return created.billing_account_id
        return None


def _orphan(row: Any) -> Orphan:
    report_id, part, aggregator, report, shelved_at, content_type, body = row
    parsed = ParsedReport(report_id, part, aggregator, _report_decoder.decode(report))
    return Orphan(parsed, shelved_at, content_type, body)
