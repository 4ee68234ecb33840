"""Streams what an audit of the ledger needs, account by account, in one snapshot."""

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from semalink.application.ledger_audit import AccountAudit, EntryRow, Head
from semalink.application.ledger_findings import Finding

_FETCH = 10_000

# A time that is beyond what Python knows was not recorded, and is read as none.
# Streamed in this order by the primary key, however large the table is.
_ENTRIES = """
SELECT originator_id, originator_version, topic, state, entry_hash, message_id,
       CASE WHEN recorded_at BETWEEN '1000-01-01' AND '9999-01-01' THEN recorded_at END, false
FROM ledger_entries {where} ORDER BY originator_id, originator_version"""

# From the entry before the first one of the time asked for, or from the last entry: by version,
# because a clock that was set back must not part an account in two.
_ENTRIES_SINCE = """
SELECT e.originator_id, e.originator_version, e.topic, e.state, e.entry_hash, e.message_id,
       CASE WHEN recorded_at BETWEEN '1000-01-01' AND '9999-01-01' THEN recorded_at END,
       e.originator_version < f.first
FROM (
    SELECT h.account_id, COALESCE(
        (SELECT min(l.originator_version) FROM ledger_entries AS l
         WHERE l.originator_id = h.account_id AND l.recorded_at >= %(since)s),
        (SELECT max(l.originator_version) + 1 FROM ledger_entries AS l
         WHERE l.originator_id = h.account_id)) AS first
    FROM (SELECT account_id FROM credit_heads
          UNION SELECT originator_id FROM ledger_entries WHERE recorded_at >= %(since)s) AS h
    {where_head}
) AS f
JOIN ledger_entries AS e
    ON e.originator_id = f.account_id AND e.originator_version >= f.first - 1
ORDER BY e.originator_id, e.originator_version"""

_HEADS = """
SELECT account_id, version, posted_micros, reserved_micros, credit_limit_micros, entry_hash
FROM credit_heads {where_head} ORDER BY account_id"""

_RESERVATIONS = """
SELECT account_id, reservation_id, amount_micros
FROM open_reservations {where_head} ORDER BY account_id"""

_COUNT = "SELECT COALESCE(sum(version), 0)::bigint FROM credit_heads {where_head}"

_COUNT_SINCE = """
SELECT count(*) FROM ledger_entries
WHERE recorded_at >= %(since)s AND (%(account)s::uuid IS NULL OR originator_id = %(account)s)"""

# Also of what only a trace is left.
_IS_KNOWN = """
SELECT EXISTS (SELECT FROM credit_heads WHERE account_id = %(account)s)
    OR EXISTS (SELECT FROM ledger_entries WHERE originator_id = %(account)s)
    OR EXISTS (SELECT FROM open_reservations WHERE account_id = %(account)s)
    OR EXISTS (SELECT FROM checkpoint_heads WHERE account_id = %(account)s)"""

_first = itemgetter(0)


class Snapshot:
    """Everything as it is at one instant, read over one connection that is in a transaction."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        account_id: UUID | None = None,
        since: datetime | None = None,
    ) -> None:
        self._connection = connection
        self._since = since
        self._facts = {"account": account_id, "since": since}
        of_one = account_id is not None
        self._where: dict[str, Any] = {
            "where": "WHERE originator_id = %(account)s" if of_one else "",
            "where_head": "WHERE account_id = %(account)s" if of_one else "",
        }

    @staticmethod
    def begin(connection: psycopg.Connection[Any]) -> None:
        """Fix the instant, for the transaction that the connection is in."""
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    def count(self) -> int:
        """Return about how many entries there are to read."""
        statement: LiteralString = _COUNT_SINCE if self._since else _COUNT
        query: Any = statement.format(**self._where)
        row = self._connection.execute(query, self._facts).fetchone()
        assert row is not None, "a count is one row"
        return int(row[0])

    def is_known(self) -> bool:
        """Return whether there is anything of the one account that is asked for."""
        row = self._connection.execute(_IS_KNOWN, self._facts).fetchone()
        assert row is not None, "the question has one answer"
        return bool(row[0])

    def audit(self, advance: Callable[[int], None]) -> Iterator[Finding]:
        """Check every account; ``advance`` is told how many entries were read."""
        entries = groupby(self._stream("entries", self._entries_statement()), _first)
        heads = groupby(self._stream("heads", _HEADS), _first)
        reservations = groupby(self._stream("reservations", _RESERVATIONS), _first)
        streams = [_Groups(entries), _Groups(heads), _Groups(reservations)]
        while True:
            ids = [stream.key for stream in streams if stream.key is not None]
            if not ids:
                return
            account_id = min(ids)
            audit = AccountAudit(account_id)
            read = _enter_all(audit, streams[0].take(account_id), advance)
            head = next((Head(*row[1:]) for row in streams[1].take(account_id)), None)
            is_open = {row[1]: row[2] for row in streams[2].take(account_id)}
            streams[1].skip(account_id)
            if read or head or is_open:
                yield from audit.end(head, is_open)

    def _entries_statement(self) -> str:
        return _ENTRIES_SINCE if self._since else _ENTRIES

    def _stream(self, name: str, statement: str) -> Iterator[tuple[Any, ...]]:
        cursor = self._connection.cursor(f"audit_{name}")
        cursor.itersize = _FETCH
        query: Any = statement.format(**self._where)
        cursor.execute(query, self._facts, binary=True)
        yield from cursor
        cursor.close()


class _Groups:
    """The rows of one account after the other; ``key`` is the account that comes next."""

    def __init__(self, groups: Iterator[tuple[UUID, Iterator[Any]]]) -> None:
        self._groups = groups
        self.key: UUID | None = None
        self._rows: Iterator[Any] = iter(())
        self._advance()

    def take(self, key: UUID) -> Iterator[Any]:
        """Yield the rows of this account, if it comes next."""
        if self.key == key:
            yield from self._rows
            self._advance()

    def skip(self, key: UUID) -> None:
        """Leave the rest of this account."""
        for _ in self.take(key):
            pass

    def _advance(self) -> None:
        self.key, self._rows = next(self._groups, (None, iter(())))


def _enter_all(
    audit: AccountAudit, rows: Iterator[tuple[Any, ...]], advance: Callable[[int], None]
) -> int:
    read = 0
    for row in rows:
        entry = EntryRow(*row[1:7])
        if row[7]:
            audit.start_after(entry)
        else:
            audit.enter(entry)
        read += 1
        if not read % _FETCH:
            advance(_FETCH)
    advance(read % _FETCH)
    return read
