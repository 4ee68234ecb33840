"""The read model ``entries``: one row a ledger entry, for lists by account and by customer.

- ``account_id``, ``version``: the billing account and the number of the entry in it.
- ``recorded_at``: when the entry was recorded, under the lock of its account.
- ``name``: what happened, such as "credit.reserved".
- ``amount_micros``: what moved, as the entry says it; null where nothing did.
- ``posted_after_micros``, ``reserved_after_micros``, ``credit_limit_after_micros``: the balance
  after the entry.
- ``reservation_id``: the reservation that it is about; for one message it is the message's id.
- ``message_id``: the message, where the reservation is for many.
- ``campaign_id``: the campaign that it is about; null for what is about none.
- ``sub_account_id``, ``price_micros``: the agent's customer on whose behalf it happened, and what
  that customer pays; null when it happened for the billing account itself.
- ``actor``, ``request_id``: who caused it, in which request.
- ``facts``: the rest of what the entry says, as JSON.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from semalink.domain.credit_entries import Entry
from semalink.projections.projection import Projection, Recorded, Table, Target

_COLUMNS = """
    account_id uuid NOT NULL,
    version bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    name text NOT NULL,
    amount_micros bigint,
    posted_after_micros bigint NOT NULL,
    reserved_after_micros bigint NOT NULL,
    credit_limit_after_micros bigint NOT NULL,
    reservation_id uuid,
    message_id uuid,
    sub_account_id uuid,
    price_micros bigint,
    actor text NOT NULL,
    request_id text NOT NULL,
    facts json NOT NULL,
    campaign_id uuid"""

ENTRY_COLUMNS = (
    "account_id, version, recorded_at, name, amount_micros, posted_after_micros,"
    " reserved_after_micros, credit_limit_after_micros, reservation_id, message_id,"
    " sub_account_id, price_micros, actor, request_id, facts, campaign_id"
)

_VALUES = ENTRY_COLUMNS.replace("facts", "CAST(facts AS json)")

_STORE = f"""
INSERT INTO $entries ({ENTRY_COLUMNS})
SELECT {_VALUES} FROM json_to_recordset(CAST(:rows AS json)) AS n (
    account_id uuid, version bigint, recorded_at timestamptz, name text, amount_micros bigint,
    posted_after_micros bigint, reserved_after_micros bigint, credit_limit_after_micros bigint,
    reservation_id uuid, message_id uuid, sub_account_id uuid, price_micros bigint, actor text,
    request_id text, facts text, campaign_id uuid)
ON CONFLICT (account_id, version) DO NOTHING"""  # noqa: S608 - constants

_OWN_COLUMNS = (
    "amount_micros", "posted_after_micros", "reserved_after_micros", "credit_limit_after_micros",
    "reservation_id", "message_id", "sub_account_id", "price_micros", "actor", "request_id",
    "campaign_id",
)  # fmt: skip

#: Of every event: they are columns under other names, or the clock of the process.
_NOT_FACTS = ("originator_id", "originator_version", "originator_topic", "timestamp")


def row_of(recorded: Recorded) -> dict[str, Any] | None:
    """Return the row of one entry; None for another event."""
    entry = recorded.event
    if not isinstance(entry, Entry):
        return None
    rest = msgspec.to_builtins(entry)
    row = {name: rest.pop(name, None) for name in _OWN_COLUMNS}
    for name in _NOT_FACTS:
        rest.pop(name, None)
    _, verb, _ = str(recorded.event.TOPIC).split(".")
    row["account_id"] = recorded.originator_id
    row["version"] = recorded.version
    row["recorded_at"] = recorded.recorded_at
    row["name"] = f"credit.{verb}"
    # As text within the text: PostgreSQL unpacks no string that holds a NUL.
    row["facts"] = msgspec.json.encode(rest).decode()
    return row


def project(events: Sequence[Recorded], tx: Connection, target: Target) -> None:
    """Apply a page of entries in one statement."""
    rows = [row for row in map(row_of, events) if row is not None]
    if rows:
        tx.execute(target.statement(_STORE), {"rows": msgspec.json.encode(rows).decode()})


ENTRIES = Projection(
    "entries",
    "ledger_entries",
    (
        Table(
            "entries",
            _COLUMNS,
            ("account_id", "version"),
            {
                "entries_by_customer": (
                    "(sub_account_id, account_id, version) WHERE sub_account_id IS NOT NULL"
                ),
                "entries_by_campaign": (
                    "(campaign_id, account_id, version) WHERE campaign_id IS NOT NULL"
                ),
            },
        ),
    ),
    project,
    stream_column="account_id",
)
