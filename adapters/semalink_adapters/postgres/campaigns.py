"""Campaigns in PostgreSQL, as the API sees them, and the recipients given with them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from semalink.application.campaign_commands import Owner
from semalink.application.campaign_reading import (
    CampaignFilter,
    CampaignRecord,
    InlineRecipient,
    Progress,
    RecipientFilter,
    RecipientView,
    Sample,
)
from semalink.domain.campaign_plan import Plan, Totals
from semalink_adapters.postgres.queries import Queries

_CAMPAIGN = """
SELECT campaign_id, account_id, billing_account_id, mode, state, plan, revision, quote,
       problem_code, problem_detail, start_at, message_count, started_at, completed_at,
       settled_at, checked_at, created_by, created_at, changed_at
FROM campaigns"""

#: Which columns hold documents.
_PLAN, _QUOTE = 5, 7

SELECT_CAMPAIGN = f"{_CAMPAIGN} WHERE campaign_id = %s"

#: What is asked of a column, by the name of the filter.
_CONDITIONS = {
    "account_id": "account_id = %(account_id)s",
    "mode": "mode = %(mode)s",
    "state": "state = %(state)s",
    "before": "campaign_id < %(before)s",
}

SELECT_PROGRESS = """
SELECT checked_count, recipient_count FROM campaign_checks AS k
JOIN campaigns AS c ON c.campaign_id = k.campaign_id AND c.check_version = k.check_version
WHERE k.campaign_id = %s"""

SELECT_RECIPIENTS = """
SELECT place, number, country, network, state, reason, reason_detail, segments, price_micros
FROM campaign_recipients
WHERE campaign_id = %(campaign_id)s AND place > %(after)s
  AND (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(reason)s::text IS NULL OR reason = %(reason)s)
ORDER BY place LIMIT %(limit)s"""

SELECT_SAMPLES = """
SELECT number, text, segments, encoding FROM campaign_recipients
WHERE campaign_id = %s AND state = 'ready' ORDER BY place LIMIT %s"""

MISSING_LISTS = """
SELECT asked.id FROM unnest(%s::uuid[]) AS asked (id)
WHERE NOT EXISTS (
    SELECT FROM contact_lists AS l
    WHERE l.list_id = asked.id AND l.account_id = %s AND l.state = 'active')"""

ADD_UPLOAD = """
COPY campaign_uploads (upload_id, place, number, country, network, variables) FROM STDIN"""

DISCARD_UPLOAD = "DELETE FROM campaign_uploads WHERE upload_id = %s"


class PostgresCampaigns(Queries):
    """Each call raises ReadsUnavailable while the database is away."""

    async def campaign(self, campaign_id: UUID, owner: Owner | None) -> CampaignRecord | None:
        """Return one campaign; None when there is none or it is another owner's."""
        for row in await self._all(SELECT_CAMPAIGN, (campaign_id,)):
            record = record_from(row)
            if owner in (None, Owner(record.account_id, record.mode)):
                return record
        return None

    async def campaigns(
        self, wanted: CampaignFilter, *, before: UUID | None, limit: int
    ) -> Sequence[CampaignRecord]:
        """Return campaigns, newest first, starting below the id ``before``."""
        owner = wanted.owner
        asked: dict[str, Any] = {
            "account_id": wanted.account_id if owner is None else owner.account_id,
            "mode": None if owner is None else owner.mode,
            "state": wanted.state,
            "before": before,
            "limit": limit,
        }
        conditions = [text for name, text in _CONDITIONS.items() if asked[name] is not None]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        statement = f"{_CAMPAIGN}{where} ORDER BY campaign_id DESC LIMIT %(limit)s"
        return [record_from(row) for row in await self._all(statement, asked)]

    async def progress(self, campaign_id: UUID) -> Progress | None:
        """Return how far the last check is; None while nobody was written down."""
        rows = await self._all(SELECT_PROGRESS, (campaign_id,))
        return Progress(*rows[0]) if rows else None

    async def recipients(
        self, campaign_id: UUID, wanted: RecipientFilter, *, after: int, limit: int
    ) -> Sequence[RecipientView]:
        """Return recipients as the last check found them, behind the place ``after``."""
        asked = {
            "campaign_id": campaign_id,
            "after": after,
            "state": wanted.state,
            "reason": wanted.reason,
            "limit": limit,
        }
        return [RecipientView(*row) for row in await self._all(SELECT_RECIPIENTS, asked)]

    async def samples(self, campaign_id: UUID, limit: int) -> Sequence[Sample]:
        """Return texts of the first recipients that get one."""
        return [Sample(*row) for row in await self._all(SELECT_SAMPLES, (campaign_id, limit))]

    async def missing_lists(self, account_id: UUID, list_ids: Sequence[UUID]) -> Sequence[UUID]:
        """Return those of the contact lists that the account does not have."""
        rows = await self._all(MISSING_LISTS, (list(list_ids), account_id))
        return [row[0] for row in rows]

    async def add_upload(self, upload_id: UUID, recipients: Sequence[InlineRecipient]) -> None:
        """Keep a batch of recipients, which counts once the plan of a campaign names it."""

        async def add() -> None:
            async with self._connection() as connection, connection.transaction():
                # A try that broke off may have left its rows behind.
                await connection.execute(DISCARD_UPLOAD, (upload_id,))
                async with connection.cursor().copy(ADD_UPLOAD) as copy:
                    for place, one in enumerate(recipients):
                        variables = msgspec.json.encode(dict(one.variables)).decode()
                        await copy.write_row(
                            (upload_id, place, one.number, one.country, one.network, variables)
                        )

        await self._answered(add)

    async def discard_upload(self, upload_id: UUID) -> None:
        """Forget a batch that no campaign was given."""

        async def discard() -> None:
            async with self._connection() as connection:
                await connection.execute(DISCARD_UPLOAD, (upload_id,))

        await self._answered(discard)


def record_from(row: Sequence[Any]) -> CampaignRecord:
    """Return the campaign that a row of the table holds."""
    values = list(row)
    values[_PLAN] = msgspec.convert(row[_PLAN], Plan)
    values[_QUOTE] = None if row[_QUOTE] is None else msgspec.convert(row[_QUOTE], Totals)
    return CampaignRecord(*values)
