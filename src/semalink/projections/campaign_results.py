"""The read models ``campaign_results`` and ``campaign_curve``: what became of each campaign.

They are written with ``usage``, from the same messages, so that nothing is read or worked out twice
for them; a message that belongs to no campaign costs nothing here.

``campaign_results`` has one row a ``campaign_id``, ``network`` (as told last; "" while nobody did),
``status`` and ``failure_code`` ("" where nothing failed), of the messages that stand so now:

- ``messages``: how many.
- ``submitted``: how many of them an aggregator took.
- ``segments``, ``price_micros``, ``charged_micros``, ``refunded_micros``: as in ``usage``, in the
  sender's own prices.

``campaign_curve`` has one row a ``campaign_id`` and ``minute`` in which something happened:

- ``accepted``, ``submitted``, ``delivered``: messages to which that happened in this minute.
- ``ended``: those that ended in another way.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from semalink.projections.projection import Table, Target

_RESULT_KEY = ("campaign_id", "network", "status", "failure_code")
_AMOUNTS = ("segments", "price_micros", "charged_micros", "refunded_micros")
_RESULT_COUNTS = ("messages", "submitted", *_AMOUNTS)
_CURVE_KEY = ("campaign_id", "minute")
_CURVE_COUNTS = ("accepted", "submitted", "delivered", "ended")

_RESULT_COLUMNS = f"""
    campaign_id uuid NOT NULL,
    network text NOT NULL,
    status text NOT NULL,
    failure_code text NOT NULL,
    {", ".join(f"{name} bigint NOT NULL" for name in _RESULT_COUNTS)}"""
_CURVE_COLUMNS = f"""
    campaign_id uuid NOT NULL,
    minute timestamptz NOT NULL,
    {", ".join(f"{name} bigint NOT NULL" for name in _CURVE_COUNTS)}"""

TABLES = (
    Table("campaign_results", _RESULT_COLUMNS, _RESULT_KEY, storage="fillfactor = 50"),
    Table("campaign_curve", _CURVE_COLUMNS, _CURVE_KEY, storage="fillfactor = 50"),
)


class Result(NamedTuple):
    """The row of ``campaign_results`` that a message counts in."""

    campaign_id: UUID
    network: str
    status: str
    failure_code: str


class Minute(NamedTuple):
    """A row of ``campaign_curve``."""

    campaign_id: UUID
    minute: datetime


@dataclass(slots=True)
class Changes:
    """What a page does to both tables."""

    results: dict[Result, Counter[str]] = field(default_factory=dict)
    curve: dict[Minute, Counter[str]] = field(default_factory=dict)


def count(row: Mapping[str, Any], changes: Changes, sign: int) -> None:
    """Add one message, as a row of ``messages``, to where it counts; or take it away."""
    campaign_id = row["campaign_id"]
    if campaign_id is None:
        return
    status = row["status"]
    result = Result(campaign_id, row["network"] or "", status, row.get("failure_code") or "")
    counts = changes.results.setdefault(result, Counter())
    counts["messages"] += sign
    counts["submitted"] += sign * ("submitted_at" in row)
    for name in _AMOUNTS:
        counts[name] += sign * row[name]
    for name, at in (
        ("accepted", row["accepted_at"]),
        ("submitted", row.get("submitted_at")),
        ("delivered" if status == "delivered" else "ended", row.get("finished_at")),
    ):
        if at is not None:
            minute = Minute(campaign_id, at.replace(second=0, microsecond=0))
            changes.curve.setdefault(minute, Counter())[name] += sign


def write(changes: Changes, tx: Connection, target: Target) -> None:
    """Add the changes of a page to both tables: a handful of rows, however many its messages."""
    _add(_RESULTS, changes.results.items(), tx, target)
    _add(_CURVE, changes.curve.items(), tx, target)


@dataclass(frozen=True, slots=True)
class _Written:
    """How a table is added to."""

    counts: tuple[str, ...]
    add: str
    drop_empty: str


def _written(table: str, kinds: Mapping[str, str], counts: tuple[str, ...]) -> _Written:
    types = [*(f"{name} {kind}" for name, kind in kinds.items())]
    record = f"({', '.join([*types, *(f'{name} bigint' for name in counts)])})"
    columns = ", ".join((*kinds, *counts))
    add = f"""
INSERT INTO ${table} AS u ({columns})
SELECT {columns} FROM json_to_recordset(CAST(:rows AS json)) AS n {record}
ON CONFLICT ({", ".join(kinds)}) DO UPDATE SET
    {", ".join(f"{name} = u.{name} + excluded.{name}" for name in counts)}"""  # noqa: S608 - constants
    # What nothing counts in any more is what a replay would never make.
    drop_empty = f"""
DELETE FROM ${table} AS u USING json_to_recordset(CAST(:rows AS json)) AS n {record}
WHERE {" AND ".join(f"u.{name} = n.{name}" for name in kinds)}
  AND {" AND ".join(f"u.{name} = 0" for name in counts)}"""  # noqa: S608 - constants
    return _Written(counts, add, drop_empty)


_RESULTS = _written(
    "campaign_results",
    {"campaign_id": "uuid", "network": "text", "status": "text", "failure_code": "text"},
    _RESULT_COUNTS,
)
_CURVE = _written("campaign_curve", {"campaign_id": "uuid", "minute": "timestamptz"}, _CURVE_COUNTS)


def _add(
    written: _Written,
    changes: Iterable[tuple[Result | Minute, Counter[str]]],
    tx: Connection,
    target: Target,
) -> None:
    rows = [
        slot._asdict() | {name: counts[name] for name in written.counts}
        for slot, counts in sorted(changes, key=_slot)
        if any(counts.values())
    ]
    if rows:
        encoded = msgspec.json.encode(rows).decode()
        tx.execute(target.statement(written.add), {"rows": encoded})
        if any(row[name] < 0 for row in rows for name in written.counts):
            tx.execute(target.statement(written.drop_empty), {"rows": encoded})


def _slot(change: tuple[Result | Minute, Counter[str]]) -> tuple[Any, ...]:
    return change[0]
