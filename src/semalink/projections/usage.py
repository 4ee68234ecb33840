"""The read model ``usage``: what was sent, per day, account and route, in counts and credits.

A message counts in one row at a time: that of the day on which it was accepted, and of the network
and aggregator that are known of it by now. When one of those changes, it moves. So the counts of a
row always add up: accepted = still under way + delivered + failed + rejected + expired + unknown.

- ``day``: of acceptance, in East Africa Time.
- ``account_id``, ``mode``, ``country``, ``sender``: as the message was accepted.
- ``network``, ``aggregator``: as told last; "" while nobody did.
- ``accepted``, ``submitted``: how many there are, and how many of them an aggregator took.
- ``delivered``, ``failed``, ``rejected``, ``expired``, ``unknown``: by the state they are in now.
- ``segments``: of all that were accepted.
- ``price_micros``: what they cost the sender when all are charged.
- ``charged_micros``, ``refunded_micros``: what the sender was charged, and what came back; an
  agent pays its own cost for a customer, which the ledger tells.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from semalink.domain.calendar import BUSINESS_TIME
from semalink.projections import messages
from semalink.projections.projection import Projection, Recorded, Table, Target

_KEY = ("account_id", "day", "mode", "country", "network", "sender", "aggregator")
_ENDS = ("delivered", "failed", "rejected", "expired", "unknown")
_AMOUNTS = ("segments", "price_micros", "charged_micros", "refunded_micros")
_COUNTS = ("accepted", "submitted", *_ENDS, *_AMOUNTS)

_COLUMNS = f"""
    day date NOT NULL,
    account_id uuid NOT NULL,
    mode text NOT NULL,
    country text NOT NULL,
    network text NOT NULL,
    sender text NOT NULL,
    aggregator text NOT NULL,
    {", ".join(f"{name} bigint NOT NULL" for name in _COUNTS)}"""

_RECORD = f"""(
    account_id uuid, day date, mode text, country text, network text, sender text,
    aggregator text, {", ".join(f"{name} bigint" for name in _COUNTS)})"""

_ADD = f"""
INSERT INTO $usage AS u ({", ".join((*_KEY, *_COUNTS))})
SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS n {_RECORD}
ON CONFLICT ({", ".join(_KEY)}) DO UPDATE SET
    {", ".join(f"{name} = u.{name} + excluded.{name}" for name in _COUNTS)}"""  # noqa: S608 - constants

#: What no message counts in any more is what a replay would never make.
_DROP_EMPTY = f"""
DELETE FROM $usage AS u USING json_to_recordset(CAST(:rows AS json)) AS n {_RECORD}
WHERE u.accepted = 0 AND {" AND ".join(f"u.{name} = n.{name}" for name in _KEY)}"""  # noqa: S608 - constants


class Slot(NamedTuple):
    """The row that a message counts in."""

    account_id: UUID
    day: date
    mode: str
    country: str
    network: str
    sender: str
    aggregator: str


Changes = dict[Slot, Counter[str]]


def count(row: Mapping[str, Any], changes: Changes, sign: int) -> None:
    """Add one message, as a row of ``messages``, to where it counts; or take it away."""
    slot = Slot(
        row["account_id"],
        row["accepted_at"].astimezone(BUSINESS_TIME).date(),
        row["mode"],
        row["country"],
        row["network"] or "",
        row["sender"],
        row.get("aggregator") or "",
    )
    counts = changes.setdefault(slot, Counter())
    counts["accepted"] += sign
    counts["submitted"] += sign * ("submitted_at" in row)
    if row["status"] in _ENDS:
        counts[row["status"]] += sign
    for name in _AMOUNTS:
        counts[name] += sign * row[name]


def fold(earlier: Sequence[Recorded], events: Sequence[Recorded]) -> Changes:
    """Return what a page does: where its messages count now, less where they did before.

    What came before is read from the log, so nothing has to be remembered of a message that ended.
    """
    states = messages.Changes()
    for recorded in earlier:
        messages.fold(recorded.event, states)
    changes: Changes = {}
    for row in states.new.values():
        count(row, changes, -1)
    for recorded in events:
        messages.fold(recorded.event, states)
    for row in states.new.values():
        count(row, changes, 1)
    return changes


def project(events: Sequence[Recorded], tx: Connection, target: Target) -> None:
    """Apply a page of events: read what came before, and add the differences."""
    first: dict[UUID, int] = {}
    for recorded in events:
        first.setdefault(recorded.originator_id, recorded.version)
    begun = {stream: version for stream, version in first.items() if version > 1}
    earlier = target.earlier(tx, begun) if begun else ()
    rows = [
        slot._asdict() | {name: counts[name] for name in _COUNTS}
        for slot, counts in sorted(fold(earlier, events).items())
        if any(counts.values())
    ]
    if rows:
        encoded = msgspec.json.encode(rows).decode()
        tx.execute(target.statement(_ADD), {"rows": encoded})
        if any(row["accepted"] < 0 for row in rows):
            tx.execute(target.statement(_DROP_EMPTY), {"rows": encoded})


USAGE = Projection(
    "usage",
    "message_events",
    (Table("usage", _COLUMNS, _KEY, {"usage_by_day": "(day)"}, "fillfactor = 50"),),
    project,
    loads_whole_streams=True,
)
