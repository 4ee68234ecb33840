"""Delivery reports in PostgreSQL: raw as they came, the work list and the shelf."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from semalink.application.bus import NotReady
from semalink.application.ports import DeliveryReport
from semalink.application.relaying import ReportPayload
from semalink.application.reporting import Owner, ParsedReport, RawReport
from semalink.application.submission import Job

# On the work list as being in its queue: should that be lost now, the relay fills it in again.
STORE_INLINE = """
WITH stored AS (
    INSERT INTO inbound_reports (report_id, aggregator, content_type, body, received_at)
    VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
    RETURNING report_id, received_at
)
INSERT INTO pending_reports (report_id, received_at, refilled_at)
SELECT report_id, received_at, now() FROM stored"""

LOAD_RAW = """
SELECT report_id, aggregator, content_type, body FROM inbound_reports
WHERE report_id = ANY(%b) ORDER BY position"""

OWNERS = """
SELECT r.aggregator, r.reference, r.message_id, r.billing_account_id
FROM provider_references AS r
JOIN unnest(%b::text[], %b::text[]) AS asked (aggregator, reference)
    ON r.aggregator = asked.aggregator AND r.reference = asked.reference"""

SHELVE = """
INSERT INTO report_shelf (report_id, part, aggregator, reference, recipient, report)
VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""

OWNERS_OF_SENDER = """
SELECT account_id FROM approved_senders WHERE lower(sender) = lower(%s)
ORDER BY account_id LIMIT 2"""

STRIKE_OFF = "DELETE FROM pending_reports WHERE report_id = ANY(%b)"

MATCHED_ON_SHELF = """
SELECT s.report_id, s.part, s.aggregator, s.report, r.message_id, r.billing_account_id
FROM report_shelf AS s
JOIN provider_references AS r ON r.aggregator = s.aggregator AND r.reference = s.reference
ORDER BY s.report_id, s.part LIMIT %s"""

# After a minute no submission of that time is still in flight, so a report that names a recipient
# can only be about the one message to it whose answer was lost. With two such messages, or reports
# under two references, it stays; so does a report that is older than the message.
MATCHED_BY_NUMBER = """
SELECT s.report_id, s.part, s.aggregator, s.report, p.message_id, p.billing_account_id,
       p.campaign_id
FROM report_shelf AS s
JOIN LATERAL (
    SELECT min(message_id::text)::uuid AS message_id,
           min(billing_account_id::text)::uuid AS billing_account_id,
           min(campaign_id::text)::uuid AS campaign_id,
           min(queued_at) AS queued_at
    FROM pending_submissions
    WHERE state = 'unknown' AND aggregator = s.aggregator AND recipient = s.recipient
    HAVING count(*) = 1
) AS p ON p.queued_at < s.shelved_at
WHERE s.shelved_at < now() - interval '60 seconds'
  AND NOT EXISTS (
    SELECT FROM provider_references AS r
    WHERE r.aggregator = s.aggregator AND r.reference = s.reference
  )
  AND NOT EXISTS (
    SELECT FROM report_shelf AS other
    WHERE other.aggregator = s.aggregator AND other.recipient = s.recipient
      AND other.reference <> s.reference AND other.shelved_at > p.queued_at
  )
ORDER BY s.report_id, s.part LIMIT %s"""

# No dearer than the join over the shelf before it.
COUNT_SHELVED = "SELECT count(*) FROM report_shelf"

UNSHELVE = """
DELETE FROM report_shelf AS s USING unnest(%s::uuid[], %s::integer[]) AS done (report_id, part)
WHERE s.report_id = done.report_id AND s.part = done.part"""

OVERDUE_UNKNOWNS = """
SELECT message_id, account_id, billing_account_id, campaign_id FROM pending_submissions
WHERE state = 'unknown' AND due_at <= now() ORDER BY due_at LIMIT %s"""

# A worker that still has it in hand is given a minute.
EXPIRED_UNSENT = """
SELECT message_id, account_id, billing_account_id, campaign_id FROM pending_submissions
WHERE state IN ('queued', 'postponed', 'parked', 'held', 'waiting')
  AND expires_at < now() - interval '60 seconds'
ORDER BY expires_at LIMIT %s"""

PARK = """
UPDATE pending_submissions SET state = 'parked', due_at = NULL
WHERE message_id = %s AND state IN ('queued', 'waiting', 'postponed')"""

_report_decoder = msgspec.json.Decoder(DeliveryReport)

_AWAY = (PoolTimeout, psycopg.OperationalError, psycopg.InterfaceError)


class PostgresReports:
    """The report book, and what else the workers ask the database."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except _AWAY as away:
            msg = "The database is away."
            raise NotReady(msg) from away

    async def load(self, payloads: Sequence[ReportPayload]) -> Sequence[RawReport]:
        """Return stored reports; those that came inline are stored first."""
        inline = [payload for payload in payloads if payload.body is not None]
        async with self._connection() as connection:
            for payload in inline:
                await connection.execute(
                    STORE_INLINE,
                    (
                        payload.report_id,
                        payload.aggregator,
                        payload.content_type,
                        payload.body,
                        payload.received_at,
                    ),
                )
            ids = [payload.report_id for payload in payloads]
            cursor = await connection.execute(LOAD_RAW, (ids,), prepare=True, binary=True)
            return [RawReport(*row) for row in await cursor.fetchall()]

    async def owners(
        self, references: Sequence[tuple[str, str]]
    ) -> Mapping[tuple[str, str], Owner]:
        """Return the messages behind (aggregator, reference) pairs, where known."""
        if not references:
            return {}
        columns = [list(column) for column in zip(*references, strict=True)]
        async with self._connection() as connection:
            cursor = await connection.execute(OWNERS, columns, prepare=True, binary=True)
            rows = await cursor.fetchall()
        return {(row[0], row[1]): Owner(row[2], row[3]) for row in rows}

    async def owners_of_sender(self, sender: str) -> Sequence[UUID]:
        """Return the accounts that may send under it, in upper or lower case; two at most."""
        async with self._connection() as connection:
            cursor = await connection.execute(OWNERS_OF_SENDER, (sender,), binary=True)
            return [row[0] for row in await cursor.fetchall()]

    async def finish(self, report_ids: Sequence[UUID], shelved: Sequence[ParsedReport]) -> None:
        """Shelve what matches no message yet and strike the reports off the work list."""
        async with self._connection() as connection, connection.transaction():
            for parsed in shelved:
                report = parsed.report
                await connection.execute(
                    SHELVE,
                    (
                        parsed.report_id,
                        parsed.part,
                        parsed.aggregator,
                        report.reference,
                        report.to,
                        msgspec.json.encode(report),
                    ),
                )
            await connection.execute(STRIKE_OFF, (list(report_ids),), prepare=True)

    async def set_aside(self, report_ids: Sequence[UUID]) -> None:
        """Strike reports off the work list undone; what came stays stored."""
        async with self._connection() as connection:
            await connection.execute(STRIKE_OFF, (list(report_ids),), prepare=True)

    async def matched_on_shelf(self, limit: int) -> Sequence[tuple[ParsedReport, Owner]]:
        """Return shelved reports whose message is known by now."""
        return await self._shelved(MATCHED_ON_SHELF, limit)

    async def matched_by_number(self, limit: int) -> Sequence[tuple[ParsedReport, Owner]]:
        """Return shelved reports that name the only recipient whose outcome is unknown."""
        return await self._shelved(MATCHED_BY_NUMBER, limit)

    async def unshelve(self, reports: Sequence[ParsedReport]) -> None:
        """Take reports off the shelf."""
        places = [one.report_id for one in reports], [one.part for one in reports]
        async with self._connection() as connection:
            await connection.execute(UNSHELVE, places)

    async def count_shelved(self) -> int:
        """Return how many reports are on the shelf; raises NotReady."""
        async with self._connection() as connection:
            row = await (await connection.execute(COUNT_SHELVED)).fetchone()
        return int(row[0]) if row else 0

    async def overdue_unknowns(self, limit: int) -> Sequence[Job]:
        """Return messages whose lost answer was waited for long enough."""
        return await self._jobs(OVERDUE_UNKNOWNS, limit)

    async def expired_unsent(self, limit: int) -> Sequence[Job]:
        """Return messages that were not handed over a minute after their validity passed."""
        return await self._jobs(EXPIRED_UNSENT, limit)

    async def park(self, message_id: UUID) -> None:
        """Take a message that became a dead letter off the list of what a queue must hold."""
        async with self._connection() as connection:
            await connection.execute(PARK, (message_id,))

    async def _jobs(self, statement: str, limit: int) -> Sequence[Job]:
        async with self._connection() as connection:
            cursor = await connection.execute(statement, (limit,), binary=True)
            return [Job(*row) for row in await cursor.fetchall()]

    async def _shelved(self, statement: str, limit: int) -> Sequence[tuple[ParsedReport, Owner]]:
        async with self._connection() as connection:
            cursor = await connection.execute(statement, (limit,), binary=True)
            rows = await cursor.fetchall()
        return [
            (ParsedReport(row[0], row[1], row[2], _report_decoder.decode(row[3])), Owner(*row[4:]))
            for row in rows
        ]
