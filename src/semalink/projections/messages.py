"""The read model ``messages``: one row a message, for lists."""

from collections.abc import Iterable, Sequence
from functools import singledispatch
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from semalink.application.message_view import MessageView, Route, failure_of
from semalink.domain.ids import ACCOUNT_PREFIX, MESSAGE_PREFIX, format_id
from semalink.domain.message import Message

NAME = "messages"
LOG = "message_events"

MESSAGE_COLUMNS = (
    "message_id, account_id, status, mode, recipient, sender, lane, country, network, encoding,"
    " segments, price_micros, charged_micros, refunded_micros, possible_duplicate, aggregator,"
    " reference, failure_code, metadata, accepted_at, submitted_at, finished_at, expires_at"
)

_RECORD = """(
    message_id uuid, account_id uuid, status text, mode text, recipient text, sender text,
    lane text, country text, network text, encoding text, segments integer,
    price_micros bigint, charged_micros bigint, refunded_micros bigint,
    possible_duplicate boolean, aggregator text, reference text, failure_code text,
    metadata text, accepted_at timestamptz, submitted_at timestamptz,
    finished_at timestamptz, expires_at timestamptz, version bigint)"""

_VALUES = MESSAGE_COLUMNS.replace("metadata", "CAST(metadata AS json)")

INSERT_NEW = text(f"""
INSERT INTO messages ({MESSAGE_COLUMNS}, version)
SELECT {_VALUES}, version
FROM json_to_recordset(CAST(:rows AS json)) AS new {_RECORD}
ON CONFLICT (message_id) DO NOTHING""")  # noqa: S608 - constants

UPDATE_KNOWN = text(f"""
UPDATE messages AS m SET
    status = CASE WHEN c.status = 'submitted' AND m.status <> 'accepted' THEN m.status
                  ELSE COALESCE(c.status, m.status) END,
    network = COALESCE(c.network, m.network),
    charged_micros = COALESCE(c.charged_micros, m.charged_micros),
    refunded_micros = COALESCE(c.refunded_micros, m.refunded_micros),
    possible_duplicate = COALESCE(c.possible_duplicate, m.possible_duplicate),
    aggregator = COALESCE(c.aggregator, m.aggregator),
    reference = COALESCE(c.reference, m.reference),
    failure_code = CASE WHEN c.status = 'delivered' THEN NULL
                        ELSE COALESCE(c.failure_code, m.failure_code) END,
    submitted_at = COALESCE(c.submitted_at, m.submitted_at),
    finished_at = COALESCE(c.finished_at, m.finished_at),
    version = c.version
FROM json_to_recordset(CAST(:rows AS json)) AS c {_RECORD}
WHERE m.message_id = c.message_id AND m.version < c.version""")  # noqa: S608 - constants


class Changes:
    """What a page of events does to the rows: new ones, and columns of known ones."""

    def __init__(self) -> None:
        self.new: dict[UUID, dict[str, Any]] = {}
        self.known: dict[UUID, dict[str, Any]] = {}

    def row(self, event: Message.Event) -> dict[str, Any]:
        """Return the row that the event changes, new in this page or known before."""
        row = self.new.get(event.originator_id)
        if row is None:
            row = self.known.setdefault(event.originator_id, {"message_id": event.originator_id})
        row["version"] = event.originator_version
        return row


@singledispatch
def fold(event: object, changes: Changes) -> None:
    """Add what one event does to ``messages``; other events do nothing."""


@fold.register
def _(event: Message.Created, changes: Changes) -> None:
    changes.new[event.originator_id] = {
        "message_id": event.originator_id,
        "account_id": event.account_id,
        "status": "accepted",
        "mode": event.mode,
        "recipient": event.to,
        "sender": event.sender,
        "lane": event.lane,
        "country": event.country,
        "network": event.network,
        "encoding": event.encoding,
        "segments": event.segments,
        "price_micros": event.price_micros,
        "charged_micros": 0,
        "refunded_micros": 0,
        "possible_duplicate": False,
        # As text within the text: PostgreSQL unpacks no string that holds a NUL.
        "metadata": msgspec.json.encode(event.metadata).decode(),
        "accepted_at": event.timestamp,
        "expires_at": event.expires_at,
        "version": event.originator_version,
    }


@fold.register
def _(event: Message.SubmitStarted, changes: Changes) -> None:
    row = changes.row(event)
    row["aggregator"] = event.aggregator
    if event.possible_duplicate:
        row["possible_duplicate"] = True


@fold.register
def _(event: Message.Submitted, changes: Changes) -> None:
    row = changes.row(event)
    # A message that ended as unknown stays so when its answer comes after all.
    if row.get("status", "accepted") == "accepted":
        row["status"] = "submitted"
    row["aggregator"] = event.aggregator
    row["reference"] = event.reference
    if event.charged_micros:
        row["charged_micros"] = event.charged_micros
    row["submitted_at"] = event.timestamp
    if event.network:
        row["network"] = _storable(event.network)


@fold.register
def _(event: Message.Delivered, changes: Changes) -> None:
    row = changes.row(event)
    row["status"] = "delivered"
    row["finished_at"] = event.timestamp
    row.pop("failure_code", None)
    if event.network:
        row["network"] = _storable(event.network)


@fold.register(Message.Failed)
@fold.register(Message.Rejected)
@fold.register(Message.Expired)
@fold.register(Message.Unknown)
def _(event: Any, changes: Changes) -> None:
    row = changes.row(event)
    row["status"] = event.STATUS.value
    row["failure_code"] = event.failure_code
    row["finished_at"] = event.timestamp
    if event.refunded_micros:
        row["refunded_micros"] = event.refunded_micros


@fold.register(Message.SubmitRefused)
@fold.register(Message.OutcomeUnknown)
@fold.register(Message.ReportNoted)
def _(event: Any, changes: Changes) -> None:
    changes.row(event)


def _storable(word: str) -> str:
    # A provider's word must not stop the projection: PostgreSQL stores no NUL in a text.
    return word.replace("\0", "\ufffd")


def project(events: Iterable[object], tx: Connection) -> None:
    """Apply a page of events in two statements."""
    changes = Changes()
    for event in events:
        fold(event, changes)
    for statement, rows in ((INSERT_NEW, changes.new), (UPDATE_KNOWN, changes.known)):
        if rows:
            encoded = msgspec.json.encode(list(rows.values())).decode()
            tx.execute(statement, {"rows": encoded})


def view_from_row(row: Sequence[Any]) -> MessageView:
    """Return what customers see of a row selected as ``MESSAGE_COLUMNS``."""
    (
        message_id, account_id, status, mode, recipient, sender, lane, country, network, encoding,
        segments, price, charged, refunded, possible_duplicate, aggregator, reference,
        failure_code, metadata, accepted_at, submitted_at, finished_at, expires_at,
    ) = row  # fmt: skip
    return MessageView(
        id=format_id(MESSAGE_PREFIX, message_id),
        status=status,
        to=recipient,
        sender=sender,
        lane=lane,
        mode=mode,
        encoding=encoding,
        segments=segments,
        price_micros=price,
        charged_micros=charged,
        refunded_micros=refunded,
        possible_duplicate=possible_duplicate,
        country=country,
        network=network,
        route=Route(aggregator, reference) if aggregator else None,
        failure=failure_of(failure_code),
        metadata=metadata,
        campaign_id=None,
        account_id=format_id(ACCOUNT_PREFIX, account_id),
        accepted_at=accepted_at,
        submitted_at=submitted_at,
        finished_at=finished_at,
        expires_at=expires_at,
    )
