"""Reads a range of the ledger out of one snapshot, account by account."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from semalink_adapters.postgres.hash_chain import GENESIS
from semalink_adapters.postgres.sessions import CONNECT_TIMEOUT_SECONDS, KEPT_ALIVE

#: Nothing that writes to the ledger lasts longer: locks and idle transactions end sooner.
LONGEST_WRITE = timedelta(seconds=15)

_ROWS_A_FETCH = 5_000

SELECT_TIME = "SELECT clock_timestamp()"
# An id of its own: the upper end of a snapshot lies below the ids of those that only began.
SELECT_MARK = "SELECT pg_current_xact_id()::text"

# A row takes its transaction id before its time, so that whatever was recorded before an instant
# belongs to a transaction that had begun by then.
HAVE_ENDED = "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= %s::xid8"

# The last entry before an instant is one probe of the index by time.
_LAST_BEFORE = """
    SELECT e.originator_version FROM ledger_entries AS e
    WHERE e.originator_id = h.account_id AND e.recorded_at < {}
    ORDER BY e.recorded_at DESC, e.originator_version DESC LIMIT 1"""

SELECT_CUTS = f"""
SELECT account_id, before, greatest(before, last) FROM (
    SELECT h.account_id,
           coalesce(({_LAST_BEFORE.format("%(since)s::timestamptz")}), 0) AS before,
           coalesce(({_LAST_BEFORE.format("%(until)s::timestamptz")}), 0) AS last
    FROM credit_heads AS h
    WHERE %(account_id)s::uuid IS NULL OR h.account_id = %(account_id)s::uuid
) AS cuts
WHERE greatest(before, last) > 0
ORDER BY account_id"""  # noqa: S608 - nothing but our own text is put in

SELECT_ENTRIES = """
SELECT w.place - 1, e.originator_version, e.recorded_at, e.topic, e.state, e.entry_hash,
       (SELECT p.entry_hash FROM ledger_entries AS p
        WHERE %(with_previous)s AND p.originator_id = w.account_id
          AND p.originator_version = e.originator_version - 1)
FROM unnest(%(accounts)s::uuid[], %(firsts)s::bigint[], %(lasts)s::bigint[])
     WITH ORDINALITY AS w(account_id, first, last, place)
CROSS JOIN LATERAL (
    SELECT * FROM ledger_entries AS l
    WHERE l.originator_id = w.account_id AND l.originator_version BETWEEN w.first AND w.last
    ORDER BY l.originator_version
) AS e"""


class LedgerChanged(Exception):
    """The ledger is not as its own order promises: an entry is missing or out of place."""


class Cut(NamedTuple):
    """Which versions of an account lie in a range: those above ``before``, up to ``last``."""

    account_id: UUID
    before: int
    last: int


class Span(NamedTuple):
    """Versions of one account, both ends included."""

    account_id: UUID
    first: int
    last: int


class EntryRow(NamedTuple):
    """One ledger entry as it is stored."""

    account_id: UUID
    version: int
    recorded_at: datetime
    topic: str
    state: bytes
    entry_hash: bytes
    previous_hash: bytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The ledger at one instant, whatever is written meanwhile."""

    connection: psycopg.Connection[Any]

    def cuts(self, since: datetime | None, until: datetime, account_id: UUID | None) -> list[Cut]:
        """Return the range of each account that had an entry before ``until``, in id order."""
        asked = {"since": since or "-infinity", "until": until, "account_id": account_id}
        return [Cut(*row) for row in self.connection.execute(SELECT_CUTS, asked).fetchall()]

    def entries(
        self, spans: Sequence[Span], *, with_previous: bool = False
    ) -> Iterator[list[EntryRow]]:
        """Yield the entries of spans in their order, a page at a time.

        The hash of the entry before each is read only when asked for; it is empty otherwise.
        A span that is not there without a gap raises LedgerChanged.
        """
        asked = {
            "accounts": [span.account_id for span in spans],
            "firsts": [span.first for span in spans],
            "lasts": [span.last for span in spans],
            "with_previous": with_previous,
        }
        expected = _expected(spans)
        # Named, so that the rows stay at the server until they are fetched.
        with self.connection.cursor(name="ledger_export") as cursor:
            cursor.execute(SELECT_ENTRIES, asked, binary=True)
            while rows := cursor.fetchmany(_ROWS_A_FETCH):
                page = []
                for place, *stored, previous in rows:
                    account_id, version = spans[place].account_id, stored[0]
                    if next(expected, None) != (place, version):
                        raise LedgerChanged(_gap(account_id, version))
                    page.append(EntryRow._make((account_id, *stored, previous or GENESIS)))
                yield page
        missing = next(expected, None)
        if missing is not None:
            raise LedgerChanged(_gap(spans[missing[0]].account_id, missing[1]))


@contextmanager
def open_snapshot(database_url: str, *, application_name: str) -> Iterator[Snapshot]:
    """Open a snapshot that cannot write; it is taken at the first read."""
    with connect(database_url, application_name=application_name) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield Snapshot(connection)


def connect(
    database_url: str, *, application_name: str, autocommit: bool = False
) -> psycopg.Connection[Any]:
    """Open a connection that looks everything up by key."""
    return psycopg.connect(
        database_url,
        autocommit=autocommit,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        # The same bytes wherever the server believes to be.
        options=f"{KEPT_ALIVE} -c timezone=UTC -c idle_in_transaction_session_timeout=0",
        application_name=application_name,
    )


def read_time(connection: psycopg.Connection[Any]) -> datetime:
    """Return the time of the database, by which entries are recorded."""
    at = _one(connection, SELECT_TIME)
    assert isinstance(at, datetime), "a clock tells the time"
    return at


def read_mark(connection: psycopg.Connection[Any]) -> str:
    """Return a mark: whatever has begun to write has begun before it."""
    return str(_one(connection, SELECT_MARK))


def have_ended(connection: psycopg.Connection[Any], mark: str) -> bool:
    """Say whether every transaction that began to write before the mark has ended."""
    return bool(_one(connection, HAVE_ENDED, mark))


def _one(connection: psycopg.Connection[Any], statement: Any, *parameters: Any) -> Any:
    row = connection.execute(statement, parameters).fetchone()
    assert row is not None, "a SELECT without FROM returns a row"
    return row[0]


def _expected(spans: Sequence[Span]) -> Iterator[tuple[int, int]]:
    for place, span in enumerate(spans):
        for version in range(span.first, span.last + 1):
            yield place, version


def _gap(account_id: UUID, version: int) -> str:
    return (
        f"Account {account_id} has no entry, or one too many, at version {version}; "
        "`semalink ledger verify` says more."
    )
