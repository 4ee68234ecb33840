"""The read model ``journal``: one row of balanced postings an entry, and sums of each month.

``journal`` has, for each ledger entry, its ``account_id``, ``version``, ``recorded_at`` and
``month`` (of East Africa Time), and a column of signed micros for each account of the journal
(see ``semalink.domain.postings``); the database itself refuses a row that does not balance.

``journal_totals`` has their sums by ``month`` and ``account_id``, with ``entry_count`` and
``last_version``, so that a trial balance reads one row an account and month.
"""

from collections.abc import Sequence
from dataclasses import asdict

import msgspec
from sqlalchemy import Connection

from semalink.domain.calendar import month_of
from semalink.domain.credit_entries import Entry
from semalink.domain.postings import JOURNAL_ACCOUNTS, postings_of
from semalink.projections.projection import Projection, Recorded, Table, Target

_SUMS = ", ".join(JOURNAL_ACCOUNTS)
_AMOUNTS = ", ".join(f"{name} bigint NOT NULL" for name in JOURNAL_ACCOUNTS)
_BALANCED = f"CHECK ({' + '.join(JOURNAL_ACCOUNTS)} = 0)"

_JOURNAL_COLUMNS = f"""
    account_id uuid NOT NULL,
    version bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    month text NOT NULL,
    {_AMOUNTS},
    {_BALANCED}"""

_TOTALS_COLUMNS = f"""
    month text NOT NULL,
    account_id uuid NOT NULL,
    entry_count bigint NOT NULL,
    last_version bigint NOT NULL,
    {_AMOUNTS},
    {_BALANCED}"""

# Only what is new in the journal counts to the sums, so that a page can be applied again.
_STORE = f"""
WITH added AS (
    INSERT INTO $journal (account_id, version, recorded_at, month, {_SUMS})
    SELECT account_id, version, recorded_at, month, {_SUMS}
    FROM json_to_recordset(CAST(:rows AS json)) AS n (
        account_id uuid, version bigint, recorded_at timestamptz, month text,
        {", ".join(f"{name} bigint" for name in JOURNAL_ACCOUNTS)})
    ON CONFLICT (account_id, version) DO NOTHING
    RETURNING *)
INSERT INTO $journal_totals AS t (month, account_id, entry_count, last_version, {_SUMS})
SELECT month, account_id, count(*), max(version),
       {", ".join(f"sum({name})" for name in JOURNAL_ACCOUNTS)}
FROM added GROUP BY month, account_id
ON CONFLICT (month, account_id) DO UPDATE SET
    entry_count = t.entry_count + excluded.entry_count,
    last_version = greatest(t.last_version, excluded.last_version),
    {", ".join(f"{name} = t.{name} + excluded.{name}" for name in JOURNAL_ACCOUNTS)}"""  # noqa: S608 - constants


def project(events: Sequence[Recorded], tx: Connection, target: Target) -> None:
    """Apply a page of entries in one statement."""
    rows = [
        {
            "account_id": recorded.originator_id,
            "version": recorded.version,
            "recorded_at": recorded.recorded_at,
            "month": month_of(recorded.recorded_at),
            **asdict(postings_of(recorded.event)),
        }
        for recorded in events
        if isinstance(recorded.event, Entry)
    ]
    if rows:
        tx.execute(target.statement(_STORE), {"rows": msgspec.json.encode(rows).decode()})


JOURNAL = Projection(
    "journal",
    "ledger_entries",
    (
        Table("journal", _JOURNAL_COLUMNS, ("account_id", "version")),
        Table(
            "journal_totals", _TOTALS_COLUMNS, ("month", "account_id"), storage="fillfactor = 50"
        ),
    ),
    project,
    stream_column="account_id",
)
