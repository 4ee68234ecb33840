"""Checks of campaigns in PostgreSQL, as a worker sees them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid5

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool

from semalink.application.campaign_checking import (
    PAGE_SIZE,
    PAGE_TASK,
    PAGES_AHEAD,
    TOTALS_TASK,
    Checking,
    Finding,
    Group,
    PageWork,
    Recipient,
)
from semalink.application.tasks import CONTENT_QUEUE, Task
from semalink.domain.campaign_errors import TooManyRecipients
from semalink.domain.campaign_plan import Plan
from semalink.domain.contact_errors import ContactListNotFound
from semalink_adapters.postgres.campaigns import MISSING_LISTS
from semalink_adapters.postgres.opt_out_reads import opted_out_of
from semalink_adapters.postgres.tasks import call_for_task, ready_connection, take_task

#: With the campaign's id it keeps a new check from writing recipients down while an old one is
#: still at a page of them. Workers only: the ledger never waits for it.
CHECK_LOCK = 7_230_019

#: A campaign has at most so many recipients.
RECIPIENTS_MAX = 1_000_000

LOCK_TO_FREEZE = "SELECT pg_advisory_xact_lock(%s, hashtext(%s))"
LOCK_TO_LOOK = "SELECT pg_advisory_xact_lock_shared(%s, hashtext(%s))"

# Sets are joined here, not rows looked up, and a million of them take longer than a page.
SET_BASED = """
SELECT set_config('enable_hashjoin', 'on', true), set_config('enable_seqscan', 'on', true),
       set_config('enable_bitmapscan', 'on', true), set_config('work_mem', '64MB', true),
       set_config('statement_timeout', '120s', true)"""

SELECT_CHECKING = """
SELECT account_id, plan FROM campaigns
WHERE campaign_id = %s AND state = 'checking' AND check_version = %s"""

FORGET = "DELETE FROM campaign_recipients WHERE campaign_id = %s"

# No further than one too many: what is refused must not cost what is allowed a hundred times.
COUNT_GIVEN = """
SELECT count(*) FROM (
    SELECT 1 FROM (
        SELECT 1 FROM unnest(%(uploads)s::uuid[]) AS u (id)
        JOIN campaign_uploads AS i ON i.upload_id = u.id
        UNION ALL
        SELECT 1 FROM unnest(%(list_ids)s::uuid[]) AS l (id) JOIN contacts AS c ON c.list_id = l.id
    ) AS given LIMIT %(limit)s
) AS counted"""

# Those that were given with the campaign come first, then the lists in their order; of one number
# the first counts. A number that no sender id may reach is told before its duplicates are.
FREEZE = f"""
INSERT INTO campaign_recipients (
    campaign_id, place, number, country, network, variables, state, reason)
SELECT %(campaign_id)s, row_number() OVER (ORDER BY r.source, r.place, r.number) - 1,
       r.number, r.country, COALESCE(n.network, r.network),
       CASE WHEN found.reason IS NULL THEN r.variables END,
       CASE WHEN found.reason IS NULL THEN 'unchecked' ELSE 'left_out' END, found.reason
FROM (
    SELECT s.*, row_number() OVER (PARTITION BY s.number ORDER BY s.source, s.place) AS turn
    FROM (
        SELECT u.ordinality AS source, i.place, i.number, i.country, i.network, i.variables
        FROM unnest(%(uploads)s::uuid[]) WITH ORDINALITY AS u (id, ordinality)
        JOIN campaign_uploads AS i ON i.upload_id = u.id
        UNION ALL
        SELECT 1000 + l.ordinality, 0, c.number, c.country, c.network, c.attributes
        FROM unnest(%(list_ids)s::uuid[]) WITH ORDINALITY AS l (id, ordinality)
        JOIN contacts AS c ON c.list_id = l.id
    ) AS s
) AS r
LEFT JOIN number_networks AS n ON n.number = r.number
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN r.country IS NULL THEN 'invalid_number'
        WHEN r.turn > 1 THEN 'duplicate'
        WHEN {opted_out_of("%(account_id)s", "%(sender)s", "r.number")} THEN 'opted_out'
    END AS reason
) AS found"""  # noqa: S608

BEGIN_CHECK = """
INSERT INTO campaign_checks (campaign_id, check_version, recipient_count, pages_left)
VALUES (%(campaign_id)s, %(check)s, %(count)s, %(pages)s)
ON CONFLICT (campaign_id) DO UPDATE SET check_version = excluded.check_version,
    recipient_count = excluded.recipient_count, checked_count = 0,
    pages_left = excluded.pages_left"""

SELECT_PAGE = """
SELECT place, number, network, COALESCE(variables, '{}') FROM campaign_recipients
WHERE campaign_id = %s AND place >= %s AND place < %s AND state = 'unchecked' ORDER BY place"""

# Variables made way for the text: nobody needs them any more, and a row that stays small stays
# in its page, so that no index is touched.
STORE_FINDINGS = """
UPDATE campaign_recipients AS r SET
    variables = NULL,
    state = f.state, reason = f.reason, reason_detail = f.reason_detail, text = f.text,
    country = COALESCE(f.country, r.country), encoding = f.encoding, segments = f.segments,
    price_micros = f.price_micros, cost_micros = f.cost_micros,
    priced_by = f.priced_by, shadow_rules = string_to_array(f.shadow_rules, ',')
FROM unnest(
    %s::int[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
    %s::smallint[], %s::bigint[], %s::bigint[], %s::text[], %s::text[]
) AS f (place, state, reason, reason_detail, text, country, encoding, segments, price_micros,
        cost_micros, priced_by, shadow_rules)
WHERE r.campaign_id = %s AND r.place >= %s AND r.place < %s AND r.place = f.place"""

# The page is read by its range and hashed. Without a hash, and before the first statistics of a
# table that was just filled, each finding would be compared with each recipient.
PAGE_BASED = """
SELECT set_config('enable_hashjoin', 'on', true), set_config('enable_nestloop', 'off', true)"""

END_PAGE = """
UPDATE campaign_checks
SET pages_left = pages_left - 1, checked_count = LEAST(checked_count + %s, recipient_count)
WHERE campaign_id = %s AND check_version = %s RETURNING pages_left, recipient_count"""

SELECT_GROUPS = """
SELECT state, reason, reason_detail, country, network, segments, count(*),
       COALESCE(sum(price_micros), 0)::bigint, COALESCE(sum(cost_micros), 0)::bigint,
       count(*) FILTER (WHERE shadow_rules IS NOT NULL)
FROM campaign_recipients WHERE campaign_id = %s
GROUP BY state, reason, reason_detail, country, network, segments"""

Connection = psycopg.AsyncConnection[Any]


class PostgresCampaignChecks:
    """Each call raises NotReady while the database is away."""

    def __init__(
        self,
        pool: AsyncConnectionPool[Any],
        *,
        recipients_max: int = RECIPIENTS_MAX,
        page_size: int = PAGE_SIZE,
    ) -> None:
        self._pool = pool
        self._recipients_max = recipients_max
        self._page_size = page_size

    async def freeze(self, task_id: UUID, campaign_id: UUID, check: int) -> None:
        """Write down all recipients and ask for their first pages, in one transaction."""
        async with ready_connection(self._pool) as connection, connection.transaction():
            if not await take_task(connection, task_id):
                return
            await connection.execute(LOCK_TO_FREEZE, (CHECK_LOCK, campaign_id.hex))
            checking = await _checking(connection, campaign_id, check)
            if checking is None:
                return
            await connection.execute(SET_BASED)
            count = await self._write_down(connection, checking)
            firsts = range(0, count, self._page_size)
            asked = {
                "campaign_id": campaign_id,
                "check": check,
                "count": count,
                "pages": len(firsts),
            }
            await connection.execute(BEGIN_CHECK, asked)
            for first in firsts[:PAGES_AHEAD]:
                await call_for_task(connection, _task(PAGE_TASK, checking, check, first))
            if not firsts:
                await call_for_task(connection, _task(TOTALS_TASK, checking, check))

    async def look_at_page(
        self, task_id: UUID, campaign_id: UUID, check: int, first: int, work: PageWork
    ) -> None:
        """Write down what is found of a page; ask for one further on, or at last for the totals."""
        async with ready_connection(self._pool) as connection, connection.transaction():
            if not await take_task(connection, task_id):
                return
            await connection.execute(LOCK_TO_LOOK, (CHECK_LOCK, campaign_id.hex))
            checking = await _checking(connection, campaign_id, check)
            if checking is None:
                return
            behind = first + self._page_size
            rows = await connection.execute(SELECT_PAGE, (campaign_id, first, behind))
            page = [Recipient(*row) for row in await rows.fetchall()]
            found = await work(checking, page)
            if found:
                columns = _columns(found)
                parameters = (*columns, campaign_id, first, behind)
                await connection.execute(PAGE_BASED)
                await connection.execute(STORE_FINDINGS, parameters, binary=True)
            ended = await connection.execute(END_PAGE, (self._page_size, campaign_id, check))
            [(pages_left, recipient_count)] = await ended.fetchall()
            further = first + PAGES_AHEAD * self._page_size
            if further < recipient_count:
                await call_for_task(connection, _task(PAGE_TASK, checking, check, further))
            if not pages_left:
                await call_for_task(connection, _task(TOTALS_TASK, checking, check))

    async def groups(
        self, campaign_id: UUID, check: int
    ) -> tuple[Checking, Sequence[Group]] | None:
        """Return all recipients by kind; None when the check is wanted no more."""
        async with ready_connection(self._pool) as connection, connection.transaction():
            checking = await _checking(connection, campaign_id, check)
            if checking is None:
                return None
            await connection.execute(SET_BASED)
            rows = await connection.execute(SELECT_GROUPS, (campaign_id,))
            return checking, [Group(*row) for row in await rows.fetchall()]

    async def end(self, task_id: UUID) -> None:
        """Take note that a task is done."""
        async with ready_connection(self._pool) as connection:
            await take_task(connection, task_id)

    async def _write_down(self, connection: Connection, checking: Checking) -> int:
        plan, campaign_id = checking.plan, checking.campaign_id
        list_ids = list(plan.list_ids)
        missing = await connection.execute(MISSING_LISTS, (list_ids, checking.account_id))
        if await missing.fetchone() is not None:
            raise ContactListNotFound
        asked = {
            "campaign_id": campaign_id,
            "account_id": checking.account_id,
            "sender": plan.sender,
            "uploads": list(plan.uploads),
            "list_ids": list_ids,
            "limit": self._recipients_max + 1,
        }
        given = await connection.execute(COUNT_GIVEN, asked)
        [(given_count,)] = await given.fetchall()
        if given_count > self._recipients_max:
            raise TooManyRecipients(self._recipients_max)
        await connection.execute(FORGET, (campaign_id,))
        return (await connection.execute(FREEZE, asked)).rowcount


async def _checking(connection: Connection, campaign_id: UUID, check: int) -> Checking | None:
    cursor = await connection.execute(SELECT_CHECKING, (campaign_id, check))
    row = await cursor.fetchone()
    return None if row is None else Checking(campaign_id, row[0], msgspec.convert(row[1], Plan))


def _task(kind: str, checking: Checking, check: int, first: int | None = None) -> Task:
    payload: dict[str, Any] = {"campaign_id": checking.campaign_id.hex, "check": check}
    if first is not None:
        payload["first"] = first
    task_id = uuid5(checking.campaign_id, f"{kind}:{check}:{first}")
    return Task(task_id, CONTENT_QUEUE, kind, checking.account_id, payload)


def _columns(found: Sequence[Finding]) -> list[list[Any]]:
    return [
        [one.place for one in found],
        [one.state for one in found],
        [one.reason for one in found],
        [one.reason_detail for one in found],
        [one.text for one in found],
        [one.country for one in found],
        [one.encoding for one in found],
        [one.segments for one in found],
        [one.price_micros for one in found],
        [one.cost_micros for one in found],
        [one.priced_by for one in found],
        # No name of a rule holds a comma; arrays of one length would be needed otherwise.
        [",".join(one.shadow_rules) or None for one in found],
    ]
