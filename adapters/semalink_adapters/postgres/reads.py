"""Reads for the HTTP edge: from the logs where one thing is asked for, else from read models."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from semalink.application.archive import ArchivedEvents, NothingArchived
from semalink.application.event_view import Reader, history_of, reader_of
from semalink.application.explaining import Explanation, explain
from semalink.application.message_view import MessageView, view_of
from semalink.application.reading import (
    AccountView,
    ApiKeyView,
    Caller,
    EventView,
    MessageFilter,
)
from semalink.domain.account import Tier
from semalink.domain.credit_account import CreditAccount
from semalink.domain.ids import (
    ACCOUNT_PREFIX,
    API_KEY_PREFIX,
    format_id,
)
from semalink.domain.limit import Limit
from semalink.domain.message import Message
from semalink.domain.price_list import PriceList, Terms
from semalink.domain.rate_limit import Limits, limit_of
from semalink.projections.messages import MESSAGE_COLUMNS, view_from_row
from semalink_adapters.postgres.credit_reads import PostgresCreditReads
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.partitions import first_id_of
from semalink_adapters.postgres.queries import READ_SECONDS_MAX

SELECT_CALLER = """
SELECT k.account_id, a.billing_account_id, k.api_key_id, k.mode, k.scopes, a.tier,
       ARRAY(SELECT s.sender FROM approved_senders AS s WHERE s.account_id = k.account_id),
       CASE WHEN p.account_id <> a.account_id THEN p.price_list END,
       COALESCE(a.refunded_on, p.refunded_on),
       a.rate_per_second, a.burst, k.rate_per_second, k.burst,
       (SELECT count(*) FROM api_keys AS o
        WHERE o.account_id = k.account_id AND o.mode = k.mode AND o.revoked_at IS NULL),
       (SELECT json_object_agg(s.sender, s.opt_out_text) FROM approved_senders AS s
        WHERE s.account_id = k.account_id AND EXISTS (
            SELECT FROM approved_senders AS o
            WHERE lower(o.sender) = lower(s.sender) AND o.class = 'promotional'))
FROM api_keys AS k
JOIN accounts AS a ON a.account_id = k.account_id
JOIN accounts AS p ON p.account_id = a.billing_account_id
WHERE k.key_hash = %s AND k.revoked_at IS NULL"""

SELECT_STREAM = """
SELECT topic, state FROM message_events
WHERE originator_id = %s ORDER BY originator_version"""

SELECT_HISTORY = """
SELECT topic, state FROM message_events WHERE originator_id = %(id)s
UNION ALL
SELECT topic, state FROM ledger_entries WHERE message_id = %(id)s"""

SELECT_ACCOUNTS = """
SELECT account_id, billing_account_id, name, kind, tier, preferred_aggregator, opened_at,
       agent_id, spending_cap_micros, price_list, refunded_on, rate_per_second, burst,
       campaigns_need_approval
FROM accounts """

SELECT_KEYS = """
SELECT api_key_id, account_id, name, scopes, mode, last_four, issued_at, revoked_at,
       rate_per_second, burst
FROM api_keys WHERE account_id = %s ORDER BY api_key_id"""

_ENDINGS = (Message.Failed, Message.Rejected, Message.Expired, Message.Unknown, Message.Cancelled)
#: Which step of a message an entry of its credits belongs to.
_CAUSES: dict[type, tuple[type, ...]] = {
    CreditAccount.Reserved: (Message.Created,),
    CreditAccount.Charged: (Message.Submitted,),
    CreditAccount.Released: _ENDINGS,
    CreditAccount.ReservationExpired: _ENDINGS,
    CreditAccount.Refunded: _ENDINGS,
}

#: How far the time of a message and the time in its id may lie apart.
_IDS_APART = timedelta(minutes=1)
_FIRST_MOMENT = datetime(1970, 1, 2, tzinfo=UTC)
_LAST_MOMENT = datetime(9999, 1, 1, tzinfo=UTC)


class PostgresReads(PostgresCreditReads):
    """Reads over a pool; each raises ReadsUnavailable at once while the database is away."""

    def __init__(
        self,
        pool: AsyncConnectionPool[Any],
        *,
        seconds_max: float = READ_SECONDS_MAX,
        archived: ArchivedEvents | None = None,
    ) -> None:
        super().__init__(pool, seconds_max=seconds_max)
        self._archived = archived or NothingArchived()

    async def caller(self, key_hash: bytes) -> Caller | None:
        """Return who a key that was not revoked speaks for, by its keyed hash."""
        rows = await self._all(SELECT_CALLER, (key_hash,))
        if not rows:
            return None
        account_id, billing_account_id, api_key_id, mode, scopes, tier, senders, *more = rows[0]
        promotional = more.pop() or {}
        return Caller(
            account_id,
            billing_account_id,
            api_key_id,
            mode,
            frozenset(scopes),
            frozenset(senders),
            tier,
            _terms(billing_account_id, *more[:2]),
            _limits(tier, *more[2:]),
            promotional,
        )

    async def message(self, message_id: UUID, account_id: UUID | None) -> MessageView | None:
        """Return one message from its own events; None for another account's."""
        message: Any = None
        rows = await self._all(SELECT_STREAM, (message_id,))
        for topic, state in rows or await self._archived_rows(message_id):
            message = EventMapper.read(topic, state).mutate(message)
        if message is None or account_id not in (None, message.asked.account_id):
            return None
        return view_of(message)

    async def history(self, message_id: UUID, account_id: UUID | None) -> list[EventView] | None:
        """Return every step of a message and its credits, oldest first."""
        found = await self._story(message_id, account_id)
        return found and history_of(*found)

    async def explanation(self, message_id: UUID, account_id: UUID | None) -> Explanation | None:
        """Return why a message went as it did."""
        found = await self._story(message_id, account_id)
        return found and explain(*found)

    async def _story(
        self, message_id: UUID, account_id: UUID | None
    ) -> tuple[list[Any], Reader] | None:
        """Return all events of a message in order, and who reads them."""
        rows = await self._all(SELECT_HISTORY, {"id": message_id})
        events = [EventMapper.read(topic, state) for topic, state in rows]
        if not any(isinstance(event, Message.Event) for event in events):
            archived = await self._archived_rows(message_id)
            events += [EventMapper.read(topic, state) for topic, state in archived]
        asked = next((event for event in events if type(event) is Message.Created), None)
        if asked is None or account_id not in (None, asked.account_id):
            return None
        return list(_in_order(events)), reader_of(account_id, asked.billing_account_id)

    async def _archived_rows(self, message_id: UUID) -> list[tuple[str, bytes]]:
        """Return the events of a message that is not in the log: topics and states."""
        found = await self._archived.stream("message_events", message_id)
        return [(event.topic, event.state) for event in found]

    async def messages(
        self, account_id: UUID, wanted: MessageFilter, *, before: UUID | None, limit: int
    ) -> Sequence[MessageView]:
        """Return messages, newest first, starting below the id ``before``."""
        conditions = ["account_id = %(account_id)s", "mode = %(mode)s"]
        parameters: dict[str, Any] = {
            "account_id": account_id,
            "mode": wanted.mode,
            "status": wanted.status,
            "recipient": wanted.to,
            "sender": wanted.sender,
            "lane": wanted.lane,
            "campaign_id": wanted.campaign_id,
        }
        conditions += [
            f"{name} = %({name})s"
            for name in ("status", "recipient", "sender", "lane", "campaign_id")
            if parameters[name] is not None
        ]
        for condition, value in (
            ("accepted_at >= %(accepted_from)s", wanted.accepted_from),
            ("accepted_at < %(accepted_before)s", wanted.accepted_before),
            ("message_id < %(before)s", before),
            # An id tells its time, so that the index leads to it; give or take, because the id
            # was made a moment apart from the time that is shown.
            ("message_id >= %(first_id)s", wanted.accepted_from),
            ("message_id < %(last_id)s", wanted.accepted_before),
        ):
            if value is not None:
                conditions.append(condition)
        parameters |= {
            "accepted_from": wanted.accepted_from,
            "accepted_before": wanted.accepted_before,
            "first_id": _id_near(wanted.accepted_from, -_IDS_APART),
            "last_id": _id_near(wanted.accepted_before, _IDS_APART),
            "before": before,
            "limit": limit,
        }
        statement = (
            f"SELECT {MESSAGE_COLUMNS} FROM messages WHERE {' AND '.join(conditions)}"  # noqa: S608
            " ORDER BY message_id DESC LIMIT %(limit)s"
        )
        return [view_from_row(row) for row in await self._all(statement, parameters)]

    async def account(self, account_id: UUID) -> AccountView | None:
        """Return one account."""
        rows = await self._all(SELECT_ACCOUNTS + "WHERE account_id = %s", (account_id,))
        return _account_view(rows[0]) if rows else None

    async def accounts(self, *, after: UUID | None, limit: int) -> Sequence[AccountView]:
        """Return accounts in id order, starting above the id ``after``."""
        statement = SELECT_ACCOUNTS + "WHERE account_id > %s ORDER BY account_id LIMIT %s"
        rows = await self._all(statement, (after or UUID(int=0), limit))
        return [_account_view(row) for row in rows]

    async def api_keys(self, account_id: UUID) -> Sequence[ApiKeyView]:
        """Return all keys of an account, oldest first."""
        return [
            ApiKeyView(
                format_id(API_KEY_PREFIX, row[0]), format_id(ACCOUNT_PREFIX, row[1]), *row[2:]
            )
            for row in await self._all(SELECT_KEYS, (account_id,))
        ]


def _id_near(moment: datetime | None, apart: timedelta) -> UUID | None:
    if moment is None:
        return None
    # Within what an id can tell, whatever a request asks for.
    return first_id_of(min(max(moment, _FIRST_MOMENT), _LAST_MOMENT) + apart)


def _account_view(row: Any) -> AccountView:
    agent_id = row[7]
    agreed = Limit.of(row[11], row[12])
    limit = limit_of(Tier(row[4]), agreed)
    return AccountView(
        format_id(ACCOUNT_PREFIX, row[0]),
        format_id(ACCOUNT_PREFIX, row[1]),
        name=row[2],
        kind=row[3],
        tier=row[4],
        preferred_aggregator=row[5],
        opened_at=row[6],
        agent_id=format_id(ACCOUNT_PREFIX, agent_id) if agent_id else None,
        spending_cap_micros=row[8],
        price_list=row[9],
        refunded_on=row[10],
        rate_per_second=limit.rate_per_second,
        burst=limit.burst,
        is_limit_agreed=agreed is not None,
        campaigns_need_approval=row[13],
    )


def _limits(
    tier: str,
    rate: int | None,
    burst: int | None,
    key_rate: int | None,
    key_burst: int | None,
    key_count: int,
) -> Limits:
    account = limit_of(Tier(tier), Limit.of(rate, burst))
    return Limits(account, Limit.of(key_rate, key_burst), key_count)


def _terms(
    payer_id: UUID, prices: dict[str, int] | None, refunded_on: Sequence[str] | None
) -> Terms:
    rule = None if refunded_on is None else tuple(refunded_on)
    if prices is None:
        return Terms(refunded_on=rule)
    return Terms(PriceList.from_mapping(prices), format_id(ACCOUNT_PREFIX, payer_id), rule)


def _in_order(events: Sequence[Any]) -> Iterator[Any]:
    """Order by the message's own steps: clocks of two machines may disagree, versions cannot."""
    by_version = sorted(events, key=lambda event: event.originator_version)
    entries = [event for event in by_version if isinstance(event, CreditAccount.Event)]
    for step in by_version:
        if not isinstance(step, Message.Event):
            continue
        yield step
        caused = [
            entry
            for entry in entries
            if entry.timestamp == step.timestamp and isinstance(step, _CAUSES.get(type(entry), ()))
        ]
        yield from caused
        entries = [entry for entry in entries if entry not in caused]
    yield from entries
