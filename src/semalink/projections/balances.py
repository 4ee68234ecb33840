"""The read model ``balances``: one row a billing account, as its last entry left it.

- ``account_id``: the billing account.
- ``version``: of its last entry.
- ``posted_micros``, ``reserved_micros``, ``credit_limit_micros``: after that entry; what is
  available is posted - reserved + limit.
- ``is_low``: from a warning that little remains until enough does again.
- ``recorded_at``: when the last entry was recorded.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from semalink.domain.credit_account import CreditAccount
from semalink.domain.credit_entries import (
    LOW_PART,
    Adjusted,
    Entry,
    LimitNeared,
    LimitSet,
    Refunded,
    ToppedUp,
    TransferredIn,
)
from semalink.projections.projection import Projection, Recorded, Table, Target

_COLUMNS = """
    account_id uuid NOT NULL,
    version bigint NOT NULL,
    posted_micros bigint NOT NULL,
    reserved_micros bigint NOT NULL,
    credit_limit_micros bigint NOT NULL,
    is_low boolean NOT NULL,
    recorded_at timestamptz NOT NULL"""

#: is_low is null where the page does not say; the row then keeps what it had.
_STORE = """
INSERT INTO $balances AS b (
    account_id, version, posted_micros, reserved_micros, credit_limit_micros, is_low, recorded_at)
SELECT n.account_id, n.version, n.posted_micros, n.reserved_micros, n.credit_limit_micros,
       COALESCE(n.is_low, o.is_low, false), n.recorded_at
FROM json_to_recordset(CAST(:rows AS json)) AS n (
    account_id uuid, version bigint, posted_micros bigint, reserved_micros bigint,
    credit_limit_micros bigint, is_low boolean, recorded_at timestamptz)
LEFT JOIN $balances AS o USING (account_id)
ON CONFLICT (account_id) DO UPDATE SET
    version = excluded.version, posted_micros = excluded.posted_micros,
    reserved_micros = excluded.reserved_micros,
    credit_limit_micros = excluded.credit_limit_micros,
    is_low = excluded.is_low, recorded_at = excluded.recorded_at
WHERE b.version < excluded.version"""

_GAINS = (ToppedUp, Refunded, Adjusted, LimitSet, TransferredIn)

Changes = dict[UUID, dict[str, Any]]


def fold(recorded: Recorded, changes: Changes) -> None:
    """Add what one entry does to ``balances``; other events do nothing."""
    entry = recorded.event
    if not isinstance(entry, Entry):
        return
    row = changes.setdefault(
        recorded.originator_id, {"account_id": recorded.originator_id, "is_low": None}
    )
    row["version"] = recorded.version
    row["recorded_at"] = recorded.recorded_at
    row["posted_micros"] = entry.posted_after_micros
    row["reserved_micros"] = entry.reserved_after_micros
    row["credit_limit_micros"] = entry.credit_limit_after_micros
    if isinstance(entry, LimitNeared):
        row["is_low"] = True
    elif isinstance(entry, CreditAccount.Created) or (
        isinstance(entry, _GAINS) and _has_enough(entry)
    ):
        row["is_low"] = False


def _has_enough(entry: Entry) -> bool:
    limit = entry.credit_limit_after_micros
    available = entry.posted_after_micros - entry.reserved_after_micros + limit
    return available * LOW_PART >= limit


def project(events: Sequence[Recorded], tx: Connection, target: Target) -> None:
    """Apply a page of entries in one statement."""
    changes: Changes = {}
    for recorded in events:
        fold(recorded, changes)
    if changes:
        rows = msgspec.json.encode(list(changes.values())).decode()
        tx.execute(target.statement(_STORE), {"rows": rows})


BALANCES = Projection(
    "balances",
    "ledger_entries",
    (Table("balances", _COLUMNS, ("account_id",), storage="fillfactor = 50"),),
    project,
    stream_column="account_id",
)
