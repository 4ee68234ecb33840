"""Closing months on PostgreSQL, and reading what closed ones left.

A closing reads the entries of each account and then writes its position and its statements in one
short transaction; the event, and with it the row in ``accounting_months``, comes last. Killed at
any point, it goes on where it was when asked again: what is there is kept, and a month counts as
closed, and its statements are shown, only with that row.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from semalink.application.ledger import Ledger
from semalink.application.months import (
    ClosedMonth,
    FrozenPosition,
    JournalBalance,
    StatementAltered,
    TrialBalance,
    check_may_close,
    closing_of,
    open_months_of,
)
from semalink.application.reading import ReadsUnavailable
from semalink.application.statements import (
    NOTHING,
    Position,
    StatementBuilder,
    encode_statement,
    position_after,
)
from semalink.domain.calendar import month_bounds
from semalink.domain.cause import Cause
from semalink.domain.errors import StatementNotFound
from semalink.domain.ids import ACCOUNT_PREFIX, format_id
from semalink.domain.postings import JOURNAL_ACCOUNTS
from semalink_adapters.postgres.ledger_export import (
    HAVE_ENDED,
    LONGEST_WRITE,
    SELECT_MARK,
)
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.open_statements import (
    Clock,
    OpenStatements,
    database_time,
    read_entries,
)
from semalink_adapters.postgres.sessions import CONNECT_TIMEOUT_SECONDS, KEEPALIVES, KEPT_ALIVE

#: Accounts whose positions are looked up at once.
PAGE_SIZE = 200
#: Entries of an account that are read at once.
ENTRIES_READ = 2_000

LOCK = "SELECT pg_advisory_lock(hashtextextended('accounting_months', 0))"

SELECT_MONTHS = """
SELECT month, account_count, entry_count, posted_micros, reserved_micros, positions_sha256,
       closed_by, closed_at
FROM accounting_months """

SELECT_FIRST = "SELECT recorded_at FROM ledger_entries ORDER BY xid, notification_id LIMIT 1"

# The last entry before the end is one probe of the index by time.
SELECT_ENDS = """
SELECT h.account_id, e.originator_version, e.topic, e.state, e.entry_hash, p.closing_version,
       p.closing_posted_micros, p.closing_reserved_micros, p.closing_limit_micros
FROM credit_heads AS h
CROSS JOIN LATERAL (
    SELECT originator_version, topic, state, entry_hash FROM ledger_entries
    WHERE originator_id = h.account_id AND recorded_at < %(end)s
    ORDER BY recorded_at DESC, originator_version DESC LIMIT 1) AS e
LEFT JOIN month_positions AS p ON p.month = %(before)s AND p.account_id = h.account_id
WHERE h.account_id > %(after)s AND NOT EXISTS (
    SELECT FROM month_positions AS m WHERE m.month = %(month)s AND m.account_id = h.account_id)
ORDER BY h.account_id LIMIT %(limit)s"""

INSERT_POSITION = """
INSERT INTO month_positions VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING"""

# A customer whose agent pays has credits of its own, in which nothing happens: what it spent of
# its agent's is its statement, and there is no other.
INSERT_STATEMENT = """
INSERT INTO statements (account_id, month, document, sha256)
SELECT %(id)s, %(month)s, %(document)s, sha256(%(document)s)
WHERE NOT %(is_own)s OR NOT EXISTS (
    SELECT FROM accounts WHERE account_id = %(id)s AND billing_account_id <> account_id)
ON CONFLICT DO NOTHING"""

SELECT_POSITIONS = """
SELECT account_id, opening_version, opening_posted_micros, opening_reserved_micros,
       opening_limit_micros, closing_version, closing_posted_micros, closing_reserved_micros,
       closing_limit_micros, closing_entry_hash
FROM month_positions WHERE month = %s ORDER BY account_id"""

SELECT_STATEMENT = """
SELECT EXISTS (SELECT FROM accounting_months WHERE month = %(month)s),
       s.document, s.sha256
FROM (VALUES (1)) AS one LEFT JOIN statements AS s
    ON s.account_id = %(id)s AND s.month = %(month)s"""

SELECT_STATEMENT_MONTHS = """
SELECT month FROM statements JOIN accounting_months USING (month)
WHERE account_id = %s ORDER BY month DESC"""

# Of an agent's customer, the months in which it spent.
SELECT_OPEN = """
SELECT (SELECT max(month) FROM accounting_months),
       (SELECT recorded_at FROM ledger_entries
        WHERE originator_id = %(id)s AND originator_version = 1),
       (SELECT ARRAY(SELECT month FROM customer_spending WHERE sub_account_id = a.account_id)
        FROM accounts AS a WHERE account_id = %(id)s AND billing_account_id <> account_id)"""

_MOVED = "COALESCE(sum({0}) FILTER (WHERE %(month)s::text IS NULL OR month = %(month)s), 0)::bigint"
_HELD = "COALESCE(sum({0}), 0)::bigint"

SELECT_SUMS = f"""
SELECT {", ".join(_MOVED.format(name) for name in JOURNAL_ACCOUNTS)},
       {", ".join(_HELD.format(name) for name in JOURNAL_ACCOUNTS)},
       {_MOVED.format("entry_count")}
FROM journal_totals WHERE %(month)s::text IS NULL OR month <= %(month)s"""  # noqa: S608 - constants

COMPARE_HEADS = """
SELECT count(*) FILTER (WHERE version = last_version),
       count(*) FILTER (WHERE version IS DISTINCT FROM last_version),
       (array_agg(account_id ORDER BY account_id) FILTER (
            WHERE version = last_version AND (
                entry_count <> version OR reserved <> -reserved_micros
                OR customer_credits <> reserved_micros - posted_micros)))[:100]
FROM credit_heads LEFT JOIN (
    SELECT account_id, max(last_version) AS last_version, sum(entry_count) AS entry_count,
           sum(customer_credits) AS customer_credits, sum(reserved) AS reserved
    FROM journal_totals GROUP BY account_id) AS j USING (account_id)"""


# The sums of all accounts are compared with all heads: by hash, not one by one.
ONE_INSTANT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
READ_WHOLE = """
SELECT set_config('enable_hashjoin', 'on', true), set_config('enable_seqscan', 'on', true)"""

#: Whatever writes to the ledger has ended by then, or hangs.
WRITERS_SECONDS_MAX = 2 * LONGEST_WRITE.total_seconds()
_PAUSE_SECONDS = 0.05


class PostgresMonths:
    """Closes months over a connection of its own and reads over the pool of the reads."""

    def __init__(
        self,
        pool: AsyncConnectionPool[Any],
        ledger: Ledger,
        database_url: str,
        *,
        read_time: Clock = database_time,
        writers_seconds_max: float = WRITERS_SECONDS_MAX,
    ) -> None:
        self._pool = pool
        self._ledger = ledger
        self._database_url = database_url
        self._read_time = read_time
        self._writers_seconds_max = writers_seconds_max
        self._open = OpenStatements(database_url, read_time)

    async def close(self, month: str, cause: Cause) -> tuple[ClosedMonth, bool]:
        """Close a month and return it, and whether it was closed before."""
        async with self._connection() as connection:
            # One closing at a time; the lock goes with the connection.
            await connection.execute(LOCK)
            known = await _all(connection, SELECT_MONTHS + "WHERE month = %s", (month,))
            if known:
                return ClosedMonth(*known[0]), True
            [[before]] = await _all(connection, "SELECT max(month) FROM accounting_months", ())
            first = await _all(connection, SELECT_FIRST, ())
            now = await self._read_time(connection)
            check_may_close(month, now, before, first[0][0] if first else None)
            await self._wait_for_writers(connection)
            await _freeze(connection, month, before)
            positions = await _all(connection, SELECT_POSITIONS, (month,))
            command = closing_of(month, map(position_of, positions), cause)
            answer = await self._ledger.execute(command)
            return answer.value, False

    async def closed(self) -> Sequence[ClosedMonth]:
        """Return all closed months, newest first."""
        rows = await self._read(SELECT_MONTHS + "ORDER BY month DESC", ())
        return [ClosedMonth(*row) for row in rows]

    async def statement_months(self, account_id: UUID) -> Sequence[str]:
        """Return the closed months of which an account has a statement, newest first."""
        return [row[0] for row in await self._read(SELECT_STATEMENT_MONTHS, (account_id,))]

    async def statement(self, account_id: UUID, month: str) -> bytes:
        """Return the stored document of a closed month; of an open one, what happened so far."""
        asked = {"id": account_id, "month": month}
        [[is_closed, document, stored_hash]] = await self._read(SELECT_STATEMENT, asked)
        if not is_closed:
            return await self._open.statement(account_id, month)
        if document is None:
            raise StatementNotFound
        if hashlib.sha256(document).digest() != stored_hash:
            msg = f"The statement of {month} was altered; `semalink ledger verify` says more."
            raise StatementAltered(msg)
        return bytes(document)

    async def open_months(self, account_id: UUID) -> Sequence[str]:
        """Return the months that began and are not closed, of an account's time, newest first."""
        async with self._reading() as connection:
            now = await self._read_time(connection)
            asked = {"id": account_id}
            [[last_closed, first_entry_at, spent]] = await _all(connection, SELECT_OPEN, asked)
        found = open_months_of(first_entry_at, last_closed, now)
        return [month for month in found if spent is None or month in spent]

    async def trial_balance(self, month: str | None) -> TrialBalance:
        """Return the sums of the journal, up to the end of a month or up to now."""
        async with self._reading() as connection, connection.transaction():
            await connection.execute(ONE_INSTANT)
            await connection.execute(READ_WHOLE)
            [sums] = await _all(connection, SELECT_SUMS, {"month": month})
            [[compared, behind, differing]] = await _all(connection, COMPARE_HEADS, ())
        count = len(JOURNAL_ACCOUNTS)
        moved, held = sums[:count], sums[count : 2 * count]
        return TrialBalance(
            month=month,
            accounts=[
                JournalBalance(*one) for one in zip(JOURNAL_ACCOUNTS, moved, held, strict=True)
            ],
            sum_micros=sum(held),
            entry_count=sums[-1],
            compared_count=compared,
            behind_count=behind,
            differing=[format_id(ACCOUNT_PREFIX, one) for one in differing or ()],
        )

    async def _wait_for_writers(self, connection: psycopg.AsyncConnection[Any]) -> None:
        # An entry gets its time before it can be seen: one of the month may still be on its way.
        [mark] = await _all(connection, SELECT_MARK, ())
        try:
            async with asyncio.timeout(self._writers_seconds_max):
                while await _all(connection, HAVE_ENDED, mark) != [(True,)]:  # noqa: ASYNC110 - asks
                    await asyncio.sleep(_PAUSE_SECONDS)
        except TimeoutError as lasting:
            msg = "A transaction has been writing for long: find it in pg_stat_activity, ask again."
            raise ReadsUnavailable(msg) from lasting

    async def _read(self, statement: str, parameters: Any) -> list[Any]:
        async with self._reading() as connection:
            return await _all(connection, statement, parameters)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (PoolTimeout, psycopg.OperationalError, psycopg.InterfaceError) as away:
            msg = "The database is away."
            raise ReadsUnavailable(msg) from away

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        try:
            connection = await psycopg.AsyncConnection.connect(
                self._database_url,
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                options=KEPT_ALIVE,
                application_name="semalink-month-close",
                **KEEPALIVES,
            )
            async with connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError) as away:
            msg = "The database is away."
            raise ReadsUnavailable(msg) from away


async def _all(connection: psycopg.AsyncConnection[Any], statement: str, values: Any) -> list[Any]:
    cursor = await connection.execute(statement.encode(), values)
    return await cursor.fetchall()


async def _freeze(connection: psycopg.AsyncConnection[Any], month: str, before: str | None) -> None:
    """Write what is not written yet of the positions and statements of a month."""
    asked = {"month": month, "before": before, "end": month_bounds(month)[1], "limit": PAGE_SIZE}
    after = UUID(int=0)
    while ends := await _all(connection, SELECT_ENDS, {**asked, "after": after}):
        for end in ends:
            position = _frozen(end)
            builder = StatementBuilder(month, position.account_id, position.opening)
            # Read first: a transaction that wrote would hold back every reader of the logs.
            span = (position.account_id, position.opening.version, position.closing.version)
            async with connection.transaction():
                await read_entries(connection, span, builder, page_size=ENTRIES_READ)
            await _store(connection, month, position, builder)
        after = ends[-1][0]


def _frozen(end: Sequence[Any]) -> FrozenPosition:
    account_id, version, topic, state, entry_hash, opening_version, *opened = end
    entry = EventMapper.read(topic, state)
    return FrozenPosition(
        account_id,
        NOTHING if opening_version is None else Position(opening_version, *opened),
        position_after(version, entry),
        bytes(entry_hash),
    )


async def _store(
    connection: psycopg.AsyncConnection[Any],
    month: str,
    position: FrozenPosition,
    builder: StatementBuilder,
) -> None:
    opening, closing = position.opening, position.closing
    statements = builder.build(closing, position.entry_hash)
    async with connection.transaction(), connection.cursor() as cursor:
        await cursor.execute(
            INSERT_POSITION,
            (
                month,
                position.account_id,
                opening.version,
                opening.posted_micros,
                opening.reserved_micros,
                opening.credit_limit_micros,
                closing.version,
                closing.posted_micros,
                closing.reserved_micros,
                closing.credit_limit_micros,
                position.entry_hash,
            ),
        )
        await cursor.executemany(
            INSERT_STATEMENT,
            [
                {
                    "id": account_id,
                    "month": month,
                    "document": encode_statement(statement),
                    "is_own": account_id == position.account_id,
                }
                for account_id, statement in statements.items()
            ],
        )


def position_of(row: Sequence[Any]) -> FrozenPosition:
    """Return the position that a row of SELECT_POSITIONS holds."""
    return FrozenPosition(row[0], Position(*row[1:5]), Position(*row[5:9]), bytes(row[9]))
