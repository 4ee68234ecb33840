"""Reads of credits, from the ledger's own entries and the tables that are kept with them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from semalink.application.credit_reading import (
    AdjustmentView,
    BalanceView,
    CustomerView,
    EntryFilter,
    EntryView,
    MarginView,
    cost_of,
    customers_balance,
    own_balance,
)
from semalink.application.event_view import entry_view, movement_view
from semalink.domain.ids import ACCOUNT_PREFIX, ADJUSTMENT_PREFIX, format_id
from semalink.domain.message import Message
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.queries import Queries

#: The business month of now: East Africa keeps UTC+3 all year.
_THIS_MONTH = "to_char(clock_timestamp() AT TIME ZONE 'UTC' + interval '3 hours', 'YYYY-MM')"

SELECT_BALANCE = f"""
SELECT a.billing_account_id, h.version, h.posted_micros, h.reserved_micros,
       h.credit_limit_micros, clock_timestamp(), a.spending_cap_micros,
       COALESCE(s.spent_micros, 0)
FROM accounts AS a
JOIN credit_heads AS h ON h.account_id = a.billing_account_id
LEFT JOIN customer_spending AS s ON s.sub_account_id = a.account_id AND s.month = {_THIS_MONTH}
WHERE a.account_id = %s"""  # noqa: S608 - a constant

SELECT_BALANCE_AT = """
SELECT topic, state FROM ledger_entries
WHERE originator_id = %s AND recorded_at <= %s
ORDER BY recorded_at DESC, originator_version DESC LIMIT 1"""

SELECT_BALANCE_AFTER = """
SELECT topic, state, recorded_at FROM ledger_entries
WHERE originator_id = %s AND originator_version = %s"""

# Bounds in time become bounds among the versions, by one probe each, so that a page is a range
# of the primary key.
_VERSION_BEFORE = """COALESCE((
    SELECT originator_version FROM ledger_entries
    WHERE originator_id = %(account_id)s AND recorded_at < %({0})s
    ORDER BY recorded_at DESC, originator_version DESC LIMIT 1), 0)"""

_MOVED = """
    e.message_id = m.message_id AND e.originator_id = %(payer_id)s
    AND (%(topic)s::text IS NULL OR e.topic = %(topic)s)
    AND (%(at_from)s::timestamptz IS NULL OR e.recorded_at >= %(at_from)s)
    AND (%(at_before)s::timestamptz IS NULL OR e.recorded_at < %(at_before)s)"""

# Only messages that moved something wanted count to the page, so that no page is empty but the
# last.
SELECT_MOVEMENTS = f"""
SELECT e.topic, e.state, e.recorded_at FROM (
    SELECT message_id FROM messages AS m
    WHERE account_id = %(account_id)s AND mode = 'live' AND message_id < %(before)s
      AND (%(campaign_id)s::uuid IS NULL OR campaign_id = %(campaign_id)s)
      AND EXISTS (SELECT FROM ledger_entries AS e WHERE {_MOVED})
    ORDER BY message_id DESC LIMIT %(limit)s) AS m
JOIN ledger_entries AS e ON {_MOVED}
ORDER BY e.message_id DESC, e.originator_version DESC"""  # noqa: S608 - constants

# Which entries are about a campaign is told by the read model, what they say by the ledger.
SELECT_OF_CAMPAIGN = """
SELECT e.topic, e.state, e.recorded_at FROM (
    SELECT version FROM entries
    WHERE campaign_id = %(campaign_id)s AND account_id = %(account_id)s
      AND (%(before)s::bigint IS NULL OR version < %(before)s)
      AND (%(name)s::text IS NULL OR name = %(name)s)
      AND (%(at_from)s::timestamptz IS NULL OR recorded_at >= %(at_from)s)
      AND (%(at_before)s::timestamptz IS NULL OR recorded_at < %(at_before)s)
    ORDER BY version DESC LIMIT %(limit)s) AS p
JOIN ledger_entries AS e ON e.originator_id = %(account_id)s AND e.originator_version = p.version
ORDER BY e.originator_version DESC"""

_ADJUSTMENT_COLUMNS = """
SELECT adjustment_id, account_id, amount_micros, category, reason, state, proposed_by,
       proposed_at, decided_by, decided_at, entry_version
FROM adjustments """

SELECT_ADJUSTMENTS = (
    _ADJUSTMENT_COLUMNS
    + """
WHERE (%(state)s::text IS NULL OR state = %(state)s) AND adjustment_id < %(before)s
ORDER BY adjustment_id DESC LIMIT %(limit)s"""
)

_CUSTOMERS = f"""
SELECT a.account_id, a.name, a.tier, a.billing_account_id = a.account_id,
       a.spending_cap_micros, COALESCE(s.spent_micros, 0), a.opened_at
FROM accounts AS a
LEFT JOIN customer_spending AS s ON s.sub_account_id = a.account_id AND s.month = {_THIS_MONTH}
WHERE a.agent_id = %s """  # noqa: S608 - a constant

SELECT_COSTS = """
SELECT topic, state FROM message_events
WHERE originator_id = ANY(%s) AND originator_version = 1"""

SELECT_MARGINS = """
SELECT m.customer_id, a.name, sum(m.sign), sum(m.sign * m.price), sum(m.sign * m.cost)
FROM (
    SELECT CASE topic WHEN 'credit_account.charged.1' THEN 1 ELSE -1 END AS sign,
           (s ->> 'sub_account_id')::uuid AS customer_id,
           (s ->> 'price_micros')::bigint AS price,
           (s ->> 'amount_micros')::bigint AS cost
    FROM (SELECT topic, convert_from(state, 'UTF8')::json AS s FROM ledger_entries
          WHERE originator_id = %s AND recorded_at >= %s AND recorded_at < %s
            AND topic IN ('credit_account.charged.1', 'credit_account.refunded.1')) AS entries
) AS m JOIN accounts AS a ON a.account_id = m.customer_id
GROUP BY m.customer_id, a.name ORDER BY m.customer_id"""

_LAST_ID = UUID(int=2**128 - 1)


class PostgresCreditReads(Queries):
    """Reads of balances, entries, adjustments and customers."""

    async def balance(self, account_id: UUID) -> BalanceView | None:
        """Return what an account may see of the credits it spends, as of now."""
        rows = await self._all(SELECT_BALANCE, (account_id,))
        if not rows:
            return None
        payer_id, version, posted, reserved, limit, as_of, cap, spent = rows[0]
        if payer_id == account_id:
            return own_balance(account_id, version, (posted, reserved, limit), as_of)
        return customers_balance(account_id, cap, spent, as_of)

    async def balance_at(self, account_id: UUID, at: datetime) -> BalanceView:
        """Return the balance of a billing account at an instant."""
        for topic, state in await self._all(SELECT_BALANCE_AT, (account_id, at)):
            return _balance_after(EventMapper.read(topic, state), at)
        return own_balance(account_id, 0, (0, 0, 0), at)

    async def balance_after(self, account_id: UUID, entry: int) -> BalanceView | None:
        """Return the balance of a billing account after an entry."""
        for topic, state, at in await self._all(SELECT_BALANCE_AFTER, (account_id, entry)):
            return _balance_after(EventMapper.read(topic, state), at)
        return None

    async def entries(
        self, account_id: UUID, wanted: EntryFilter, *, before: int | None, limit: int
    ) -> Sequence[EntryView]:
        """Return entries of a billing account, newest first."""
        if wanted.campaign_id is not None:
            return await self._of_campaign(account_id, wanted, before, limit)
        conditions = ["originator_id = %(account_id)s"]
        if before is not None:
            conditions.append("originator_version < %(before)s")
        if wanted.name is not None:
            conditions.append("topic = %(topic)s")
        if wanted.at_from is not None:
            conditions.append(f"originator_version > {_VERSION_BEFORE.format('at_from')}")
        if wanted.at_before is not None:
            conditions.append(f"originator_version <= {_VERSION_BEFORE.format('at_before')}")
        statement = (
            "SELECT topic, state, recorded_at FROM ledger_entries"  # noqa: S608 - constants
            f" WHERE {' AND '.join(conditions)} ORDER BY originator_version DESC LIMIT %(limit)s"
        )
        parameters = {
            **_filter_parameters(wanted),
            "account_id": account_id,
            "before": before,
            "limit": limit,
        }
        rows = await self._all(statement, parameters)
        return [entry_view(EventMapper.read(topic, state), at) for topic, state, at in rows]

    async def _of_campaign(
        self, account_id: UUID, wanted: EntryFilter, before: int | None, limit: int
    ) -> Sequence[EntryView]:
        place = {"account_id": account_id, "before": before, "limit": limit}
        rows = await self._all(SELECT_OF_CAMPAIGN, _filter_parameters(wanted) | place)
        return [entry_view(EventMapper.read(topic, state), at) for topic, state, at in rows]

    async def movements(
        self,
        account_id: UUID,
        payer_id: UUID,
        wanted: EntryFilter,
        *,
        before: UUID | None,
        limit: int,
    ) -> Sequence[EntryView]:
        """Return what the newest messages of an agent's customer moved, in its own prices."""
        parameters = {
            **_filter_parameters(wanted),
            "account_id": account_id,
            "payer_id": payer_id,
            "before": before or _LAST_ID,
            "limit": limit,
        }
        rows = await self._all(SELECT_MOVEMENTS, parameters)
        return [movement_view(EventMapper.read(topic, state), at) for topic, state, at in rows]

    async def adjustment(self, adjustment_id: UUID) -> AdjustmentView | None:
        """Return one adjustment."""
        statement = _ADJUSTMENT_COLUMNS + "WHERE adjustment_id = %s"
        rows = await self._all(statement, (adjustment_id,))
        return _adjustment_view(rows[0]) if rows else None

    async def adjustments(
        self, state: str | None, *, before: UUID | None, limit: int
    ) -> Sequence[AdjustmentView]:
        """Return adjustments, newest first."""
        parameters = {"state": state, "before": before or _LAST_ID, "limit": limit}
        return [_adjustment_view(row) for row in await self._all(SELECT_ADJUSTMENTS, parameters)]

    async def customers(
        self, agent_id: UUID, *, after: UUID | None, limit: int
    ) -> Sequence[CustomerView]:
        """Return an agent's customers in id order."""
        statement = _CUSTOMERS + "AND a.account_id > %s ORDER BY a.account_id LIMIT %s"
        rows = await self._all(statement, (agent_id, after or UUID(int=0), limit))
        return [CustomerView(format_id(ACCOUNT_PREFIX, row[0]), *row[1:]) for row in rows]

    async def customer(self, agent_id: UUID, customer_id: UUID) -> CustomerView | None:
        """Return one customer of an agent."""
        rows = await self._all(_CUSTOMERS + "AND a.account_id = %s", (agent_id, customer_id))
        return CustomerView(format_id(ACCOUNT_PREFIX, rows[0][0]), *rows[0][1:]) if rows else None

    async def message_costs(self, message_ids: Sequence[UUID]) -> Mapping[UUID, int]:
        """Return what each message costs whoever pays for it."""
        rows = await self._all(SELECT_COSTS, (list(message_ids),))
        events = [EventMapper.read(topic, state) for topic, state in rows]
        return {one.originator_id: cost_of(one) for one in events if type(one) is Message.Created}

    async def margins(self, agent_id: UUID, start: datetime, end: datetime) -> Sequence[MarginView]:
        """Return what an agent earned with each customer between two instants."""
        return [
            MarginView(
                format_id(ACCOUNT_PREFIX, customer_id),
                name,
                int(count),
                int(price),
                int(cost),
                int(price - cost),
            )
            for customer_id, name, count, price, cost in await self._all(
                SELECT_MARGINS, (agent_id, start, end)
            )
        ]


def _balance_after(entry: Any, at: datetime) -> BalanceView:
    after = (
        entry.posted_after_micros,
        entry.reserved_after_micros,
        entry.credit_limit_after_micros,
    )
    return own_balance(entry.originator_id, entry.originator_version, after, at)


def _adjustment_view(row: Any) -> AdjustmentView:
    return AdjustmentView(
        format_id(ADJUSTMENT_PREFIX, row[0]), format_id(ACCOUNT_PREFIX, row[1]), *row[2:]
    )


def _filter_parameters(wanted: EntryFilter) -> dict[str, Any]:
    topic = None if wanted.name is None else f"credit_account.{wanted.name}.1"
    return {
        "topic": topic,
        "name": None if wanted.name is None else f"credit.{wanted.name}",
        "at_from": wanted.at_from,
        "at_before": wanted.at_before,
        "campaign_id": wanted.campaign_id,
    }
