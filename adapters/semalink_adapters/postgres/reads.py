"""Reads for the HTTP edge: from the logs where one thing is asked for, else from read models."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from semalink.application.message_view import MessageView, view_of
from semalink.application.reading import (
    AccountView,
    ApiKeyView,
    BalanceView,
    Caller,
    EventView,
    MessageFilter,
    ReadsUnavailable,
)
from semalink.domain.credit_account import CreditAccount
from semalink.domain.ids import (
    ACCOUNT_PREFIX,
    API_KEY_PREFIX,
    EVENT_PREFIX,
    MESSAGE_PREFIX,
    format_id,
)
from semalink.domain.message import Message
from semalink.projections.messages import MESSAGE_COLUMNS, view_from_row
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.partitions import first_id_of
from semalink_adapters.postgres.sessions import CONNECT_TIMEOUT_SECONDS, KEEPALIVES, KEPT_ALIVE
from semalink_adapters.postgres.writer_connection import Fault, fault_of

SELECT_CALLER = """
SELECT k.account_id, a.billing_account_id, k.api_key_id, k.mode, k.scopes, a.tier,
       ARRAY(SELECT s.sender FROM approved_senders AS s WHERE s.account_id = k.account_id)
FROM api_keys AS k JOIN accounts AS a ON a.account_id = k.account_id
WHERE k.key_hash = %s AND k.revoked_at IS NULL"""

SELECT_STREAM = """
SELECT topic, state FROM message_events
WHERE originator_id = %s ORDER BY originator_version"""

SELECT_HISTORY = """
SELECT topic, state FROM message_events WHERE originator_id = %(id)s
UNION ALL
SELECT topic, state FROM ledger_entries WHERE message_id = %(id)s"""

SELECT_BALANCE = """
SELECT h.account_id, h.posted_micros, h.reserved_micros, h.credit_limit_micros,
       clock_timestamp()
FROM accounts AS a JOIN credit_heads AS h ON h.account_id = a.billing_account_id
WHERE a.account_id = %s"""

SELECT_ACCOUNTS = """
SELECT account_id, billing_account_id, name, kind, tier, preferred_aggregator, opened_at
FROM accounts """

SELECT_KEYS = """
SELECT api_key_id, account_id, name, scopes, mode, last_four, issued_at, revoked_at
FROM api_keys WHERE account_id = %s ORDER BY api_key_id"""

#: Facts that every event has and that a history shows apart from the rest.
_ENVELOPE = frozenset(
    {
        "originator_id",
        "originator_version",
        "originator_topic",
        "timestamp",
        "actor",
        "request_id",
    }
)
_ENDINGS = (Message.Failed, Message.Rejected, Message.Expired, Message.Unknown)
#: Which step of a message an entry of its credits belongs to.
_CAUSES: dict[type, tuple[type, ...]] = {
    CreditAccount.Reserved: (Message.Created,),
    CreditAccount.Charged: (Message.Submitted,),
    CreditAccount.Released: _ENDINGS,
    CreditAccount.Refunded: _ENDINGS,
}

#: How far the time of a message and the time in its id may lie apart.
_IDS_APART = timedelta(minutes=1)
_FIRST_MOMENT = datetime(1970, 1, 2, tzinfo=UTC)
_LAST_MOMENT = datetime(9999, 1, 1, tzinfo=UTC)

_PUBLIC_NAMES = {"message": "message", "credit_account": "credit"}


#: What takes longer is answered as being away.
READ_SECONDS_MAX = 5.0


class PostgresReads:
    """Reads over a pool; each raises ReadsUnavailable at once while the database is away."""

    def __init__(
        self, pool: AsyncConnectionPool[Any], *, seconds_max: float = READ_SECONDS_MAX
    ) -> None:
        self._pool = pool
        self._seconds_max = seconds_max

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (PoolTimeout, psycopg.OperationalError, psycopg.InterfaceError) as away:
            msg = "The database is away."
            raise ReadsUnavailable(msg) from away

    async def _all(self, statement: str, parameters: Any) -> list[Any]:
        # A task of its own: a server that hangs answers not even the request to cancel, so the
        # caller must be able to go on without it.
        reading = asyncio.ensure_future(self._all_with_retry(statement, parameters))
        await asyncio.wait((reading,), timeout=self._seconds_max)
        if reading.done():
            return reading.result()
        reading.add_done_callback(_forget)
        reading.cancel()
        msg = "The database hangs."
        raise ReadsUnavailable(msg)

    async def _all_with_retry(self, statement: str, parameters: Any) -> list[Any]:
        try:
            return await self._all_at_once(statement, parameters)
        except ReadsUnavailable as away:
            cause = away.__cause__
            if not isinstance(cause, psycopg.Error) or isinstance(cause, PoolTimeout):
                raise
            if fault_of(cause) is not Fault.BROKEN:
                raise
        # The server may have been restarted behind connections that were idle.
        await self._pool.check()
        return await self._all_at_once(statement, parameters)

    async def _all_at_once(self, statement: str, parameters: Any) -> list[Any]:
        async with self._connection() as connection:
            cursor = await connection.execute(statement, parameters, binary=True)
            return await cursor.fetchall()

    async def caller(self, key_hash: bytes) -> Caller | None:
        """Return who a key that was not revoked speaks for, by its keyed hash."""
        rows = await self._all(SELECT_CALLER, (key_hash,))
        if not rows:
            return None
        account_id, billing_account_id, api_key_id, mode, scopes, tier, senders = rows[0]
        return Caller(
            account_id,
            billing_account_id,
            api_key_id,
            mode,
            frozenset(scopes),
            frozenset(senders),
            tier,
        )

    async def message(self, message_id: UUID, account_id: UUID | None) -> MessageView | None:
        """Return one message from its own events; None for another account's."""
        message: Any = None
        for topic, state in await self._all(SELECT_STREAM, (message_id,)):
            message = EventMapper.read(topic, state).mutate(message)
        if message is None or account_id not in (None, message.asked.account_id):
            return None
        return view_of(message)

    async def history(self, message_id: UUID, account_id: UUID | None) -> list[EventView] | None:
        """Return every step of a message and its credits, oldest first."""
        rows = await self._all(SELECT_HISTORY, {"id": message_id})
        events = [EventMapper.read(topic, state) for topic, state in rows]
        owner = next((event.account_id for event in events if type(event) is Message.Created), None)
        if owner is None or account_id not in (None, owner):
            return None
        return [_event_view(sequence, event) for sequence, event in enumerate(_in_order(events), 1)]

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
        }
        conditions += [
            f"{name} = %({name})s"
            for name in ("status", "recipient", "sender", "lane")
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

    async def balance(self, account_id: UUID) -> BalanceView | None:
        """Return the balance of the account that pays for ``account_id``, as of now."""
        rows = await self._all(SELECT_BALANCE, (account_id,))
        if not rows:
            return None
        billing_account_id, posted, reserved, limit, as_of = rows[0]
        return BalanceView(
            account_id=format_id(ACCOUNT_PREFIX, account_id),
            billing_account_id=format_id(ACCOUNT_PREFIX, billing_account_id),
            posted_micros=posted,
            reserved_micros=reserved,
            credit_limit_micros=limit,
            available_micros=posted - reserved + limit,
            as_of=as_of,
        )

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


def _forget(reading: "asyncio.Future[Any]") -> None:
    if not reading.cancelled():
        # Marks a failure as seen: nobody waits for it any more.
        reading.exception()


def _account_view(row: Any) -> AccountView:
    return AccountView(
        format_id(ACCOUNT_PREFIX, row[0]), format_id(ACCOUNT_PREFIX, row[1]), *row[2:]
    )


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
            if entry.timestamp == step.timestamp and isinstance(step, _CAUSES[type(entry)])
        ]
        yield from caused
        entries = [entry for entry in entries if entry not in caused]
    yield from entries


def _event_view(sequence: int, event: Any) -> EventView:
    kind, name, _ = event.TOPIC.split(".")
    facts = {key: value for key, value in vars(event).items() if key not in _ENVELOPE}
    return EventView(
        id=f"{EVENT_PREFIX}{event.originator_id.hex}_{event.originator_version}",
        sequence=sequence,
        name=f"{_PUBLIC_NAMES[kind]}.{name}",
        at=event.timestamp,
        actor=event.actor,
        request_id=event.request_id,
        data=_public_facts(facts),
    )


def _public_facts(facts: dict[str, Any]) -> dict[str, Any]:
    prefixes = {
        "account_id": ACCOUNT_PREFIX,
        "billing_account_id": ACCOUNT_PREFIX,
        "reservation_id": MESSAGE_PREFIX,
    }
    return {
        key: format_id(prefixes[key], value)
        if key in prefixes
        else msgspec.to_builtins(value, builtin_types=())
        for key, value in facts.items()
    }


def open_pool(database_url: str, *, size: int = 8) -> AsyncConnectionPool[Any]:
    """Return a pool that is not open yet and that gives up fast when the database is away."""
    return AsyncConnectionPool(
        database_url,
        min_size=1,
        max_size=size,
        open=False,
        timeout=1.0,
        reconnect_timeout=10.0,
        kwargs={
            "autocommit": True,
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "options": (
                f"{KEPT_ALIVE} -c statement_timeout=10s"
                # A process that froze holds back no reader of the logs for longer.
                " -c idle_in_transaction_session_timeout=5s"
            ),
            "application_name": "semalink-reads",
            **KEEPALIVES,
        },
    )
