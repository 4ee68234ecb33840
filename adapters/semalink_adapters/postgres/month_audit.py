"""Checks closed months: positions against their entries, and statements against both."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from eventsourcing.utils import TopicError

from semalink.application.ledger_findings import Finding, Kind
from semalink.application.months import ClosedMonth, FrozenPosition, closed_month, closing_of
from semalink.application.statements import (
    NOTHING,
    Position,
    Statement,
    StatementBuilder,
    decode_statement,
)
from semalink.domain.accounting_month import AccountingMonth
from semalink.domain.calendar import month_bounds
from semalink.domain.cause import Cause
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.months import (
    SELECT_MONTHS,
    SELECT_POSITIONS,
    position_of,
)
from semalink_adapters.postgres.open_statements import SELECT_ENTRIES

#: What reading an entry raises when it is none of ours.
_UNREADABLE = (TopicError, msgspec.MsgspecError)

_SELECT_EVENTS = "SELECT topic, state FROM admin_events WHERE topic = %s"

_SELECT_FROZEN = """
SELECT p.month, p.account_id, p.opening_version, p.opening_posted_micros,
       p.opening_reserved_micros, p.opening_limit_micros, p.closing_version,
       p.closing_posted_micros, p.closing_reserved_micros, p.closing_limit_micros,
       p.closing_entry_hash, e.entry_hash, e.topic, e.state
FROM month_positions AS p
LEFT JOIN ledger_entries AS e
    ON e.originator_id = p.account_id AND e.originator_version = p.closing_version
WHERE %(account)s::uuid IS NULL OR p.account_id = %(account)s
ORDER BY p.account_id, p.month"""

_SELECT_ALTERED = """
SELECT account_id, month FROM statements
WHERE sha256 <> sha256(document) AND (%(account)s::uuid IS NULL OR account_id = %(account)s)
ORDER BY account_id, month"""

_SELECT_DOCUMENTS = """
SELECT account_id, document FROM statements WHERE month = %s AND account_id = ANY(%s)"""

_SELECT_IS_PAID_FOR = """
SELECT EXISTS (
    SELECT FROM accounts WHERE account_id = %s AND billing_account_id <> account_id)"""


def audit_months(
    connection: psycopg.Connection[Any], account_id: UUID | None, since: datetime | None
) -> Iterator[Finding]:
    """Check what closings froze; statements of months that ended before ``since`` by hash only."""
    yield from _sums(connection)
    altered = connection.execute(_SELECT_ALTERED, {"account": account_id}).fetchall()
    for owner, month in altered:
        yield _altered(owner, month, "is not what its hash seals")
    last = UUID(int=0)
    expected = NOTHING
    with connection.cursor("audit_months") as cursor:
        cursor.execute(_SELECT_FROZEN, {"account": account_id}, binary=True)
        for month, *row in cursor:
            frozen = position_of(row[:10])
            opening = expected if frozen.account_id == last else NOTHING
            wrong = _difference(frozen, opening, row[10:])
            if wrong:
                yield _wrong(month, wrong, frozen)
            elif since is None or month_bounds(month)[1] > since:
                yield from _statements(connection, month, frozen, altered)
            last, expected = frozen.account_id, frozen.closing


def _sums(connection: psycopg.Connection[Any]) -> Iterator[Finding]:
    topic = AccountingMonth.Created.TOPIC
    events = [EventMapper.read(*row) for row in connection.execute(_SELECT_EVENTS, (topic,))]
    sealed = {event.month: event for event in events}
    rows = connection.execute(SELECT_MONTHS.encode()).fetchall()
    stored = {row[0]: ClosedMonth(*row) for row in rows}
    for month in sorted(sealed.keys() | stored.keys()):
        event = sealed.get(month)
        if event is None or stored.get(month) != closed_month(event):
            yield _wrong(month, "its row and the event that closed it differ")
        elif not _is_sealed(connection, event):
            yield _wrong(month, "its positions are not those that the event sealed")


def _is_sealed(connection: psycopg.Connection[Any], event: AccountingMonth.Created) -> bool:
    with connection.cursor("audit_positions") as cursor:
        cursor.execute(SELECT_POSITIONS.encode(), (event.month,), binary=True)
        cause = Cause(event.actor, event.timestamp, event.request_id)
        found = closing_of(event.month, map(position_of, cursor), cause)
    names = ("account_count", "entry_count", "posted_micros", "reserved_micros", "positions_sha256")
    return all(getattr(found, name) == getattr(event, name) for name in names)


def _difference(frozen: FrozenPosition, opening: Position, entry: list[Any]) -> str:
    entry_hash, topic, state = entry
    if frozen.opening != opening:
        return "it does not open where the month before closed"
    if topic is None:
        return "the entry that it closes with is gone"
    if entry_hash != frozen.entry_hash:
        return "the entry that it closes with has another hash"
    try:
        read = EventMapper.read(topic, state)
    except _UNREADABLE:
        return "the entry that it closes with cannot be read"
    after = (read.posted_after_micros, read.reserved_after_micros, read.credit_limit_after_micros)
    if msgspec.structs.astuple(frozen.closing)[1:] != after:
        return "the entry that it closes with says another balance"
    return ""


def _statements(
    connection: psycopg.Connection[Any],
    month: str,
    frozen: FrozenPosition,
    altered: list[tuple[UUID, str]],
) -> Iterator[Finding]:
    try:
        expected = _made_anew(connection, month, frozen)
    except _UNREADABLE:
        yield _wrong(month, "one of its entries cannot be read", frozen)
        return
    found = connection.execute(_SELECT_DOCUMENTS, (month, list(expected))).fetchall()
    documents = dict(found)
    for owner, statement in expected.items():
        if owner not in documents:
            if owner != frozen.account_id or not _is_paid_for(connection, owner):
                yield _altered(owner, month, "is gone")
        elif (owner, month) not in altered and _read(documents[owner]) != statement:
            yield _altered(owner, month, "says something else than the entries")


def _made_anew(
    connection: psycopg.Connection[Any], month: str, frozen: FrozenPosition
) -> dict[UUID, Statement]:
    builder = StatementBuilder(month, frozen.account_id, frozen.opening)
    span = (frozen.account_id, frozen.opening.version, frozen.closing.version)
    with connection.cursor("audit_statement") as cursor:
        cursor.execute(SELECT_ENTRIES.encode(), span, binary=True)
        for version, recorded_at, topic, state in cursor:
            builder.add(version, recorded_at, EventMapper.read(topic, state))
    return builder.build(frozen.closing, frozen.entry_hash)


def _read(document: bytes) -> Statement | None:
    try:
        return decode_statement(document)
    except msgspec.DecodeError:
        return None


def _is_paid_for(connection: psycopg.Connection[Any], account_id: UUID) -> bool:
    [[is_paid_for]] = connection.execute(_SELECT_IS_PAID_FOR, (account_id,)).fetchall()
    return bool(is_paid_for)


def _wrong(month: str, detail: str, frozen: FrozenPosition | None = None) -> Finding:
    return Finding(
        kind=Kind.WRONG_POSITION,
        detail=f"{month}: {detail}",
        account_id=frozen.account_id.hex if frozen else "",
        version=frozen.closing.version if frozen else 0,
    )


def _altered(owner: UUID, month: str, detail: str) -> Finding:
    return Finding(
        kind=Kind.ALTERED_STATEMENT,
        detail=f"the statement of {month} {detail}",
        account_id=owner.hex,
    )
