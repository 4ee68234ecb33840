"""The read model ``usage``: what was sent, per day, account and route, in counts and credits.

A message counts in one row at a time: that of the day on which it was accepted, and of the network
and aggregator that are known of it by now. When one of those changes, it moves. So the counts of a
row always add up: accepted = still under way + delivered + failed + rejected + expired + cancelled
+ unknown.

- ``day``: of acceptance, in East Africa Time.
- ``account_id``, ``mode``, ``country``, ``sender``: as the message was accepted.
- ``network``, ``aggregator``: as told last; "" while nobody did.
- ``api_key``: the id of the key by which it was accepted, such as "key_0193…"; "campaign" when a
  campaign sent it, which tells itself who made it; "" for anything else.
- ``accepted``, ``submitted``: how many there are, and how many of them an aggregator took.
- ``delivered``, ``failed``, ``rejected``, ``expired``, ``cancelled``, ``unknown``: by the state
  they are in now.
- ``segments``: of all that were accepted.
- ``price_micros``: what they cost the sender when all are charged.
- ``charged_micros``, ``refunded_micros``: what the sender was charged, and what came back; an
  agent pays its own cost for a customer, which the ledger tells.

The same messages count in the read models of campaigns; see ``campaign_results``.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from semalink.domain.calendar import BUSINESS_TIME
from semalink.domain.message import Message
from semalink.projections import campaign_results, messages
from semalink.projections.projection import Projection, Recorded, Table, Target

_KEY = ("account_id", "day", "mode", "country", "network", "sender", "aggregator", "api_key")
_ENDS = ("delivered", "failed", "rejected", "expired", "cancelled", "unknown")
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
    api_key text NOT NULL,
    {", ".join(f"{name} bigint NOT NULL" for name in _COUNTS)}"""

_RECORD = f"""(
    account_id uuid, day date, mode text, country text, network text, sender text,
    aggregator text, api_key text, {", ".join(f"{name} bigint" for name in _COUNTS)})"""

_ADD = f"""
INSERT INTO $usage AS u ({", ".join((*_KEY, *_COUNTS))})
SELECT {", ".join((*_KEY, *_COUNTS))}
FROM json_to_recordset(CAST(:rows AS json)) AS n {_RECORD}
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
    api_key: str


@dataclass(slots=True)
class Changes:
    """What a page does to what was sent, and to campaigns."""

    usage: dict[Slot, Counter[str]] = field(default_factory=dict)
    campaigns: campaign_results.Changes = field(default_factory=campaign_results.Changes)


def count(row: Mapping[str, Any], api_key: str, changes: Changes, sign: int) -> None:
    """Add one message, as a row of ``messages``, to where it counts; or take it away."""
    campaign_results.count(row, changes.campaigns, sign)
    slot = Slot(
        row["account_id"],
        row["accepted_at"].astimezone(BUSINESS_TIME).date(),
        row["mode"],
        row["country"],
        row["network"] or "",
        row["sender"],
        row.get("aggregator") or "",
        api_key,
    )
    counts = changes.usage.setdefault(slot, Counter())
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
    changes, keys = Changes(), dict[UUID, str]()
    for recorded in earlier:
        _move_on(recorded.event, states, keys)
    for message_id, row in states.new.items():
        count(row, keys[message_id], changes, -1)
    for recorded in events:
        _move_on(recorded.event, states, keys)
    for message_id, row in states.new.items():
        count(row, keys[message_id], changes, 1)
    return changes


def _move_on(event: Any, states: messages.Changes, keys: dict[UUID, str]) -> None:
    messages.fold(event, states)
    if isinstance(event, Message.Created):
        keys[event.originator_id] = _key_of(event)


def _key_of(event: Message.Created) -> str:
    if event.campaign_id is not None:
        return "campaign"
    kind, _, name = event.actor.partition(":")
    return name if kind == "key" else ""


def project(events: Sequence[Recorded], tx: Connection, target: Target) -> None:
    """Apply a page of events: read what came before, and add the differences."""
    first: dict[UUID, int] = {}
    for recorded in events:
        first.setdefault(recorded.originator_id, recorded.version)
    begun = {stream: version for stream, version in first.items() if version > 1}
    earlier = target.earlier(tx, begun) if begun else ()
    changes = fold(earlier, events)
    campaign_results.write(changes.campaigns, tx, target)
    rows = [
        slot._asdict() | {name: counts[name] for name in _COUNTS}
        for slot, counts in sorted(changes.usage.items())
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
    (
        Table("usage", _COLUMNS, _KEY, {"usage_by_day": "(day)"}, "fillfactor = 50"),
        *campaign_results.TABLES,
    ),
    project,
    loads_whole_streams=True,
)
