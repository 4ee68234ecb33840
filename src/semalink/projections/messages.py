"""The read model ``messages``: one row a message, for lists.

- ``message_id``, ``account_id``: the message and who sent it.
- ``status``: accepted, submitted, delivered, failed, rejected, expired, cancelled or unknown.
- ``mode``, ``recipient``, ``sender``, ``lane``, ``country``, ``encoding``, ``segments``,
  ``metadata``, ``accepted_at``, ``expires_at``: as it was accepted.
- ``network``: as told last by the numbering plan, the aggregator or a report.
- ``price_micros``: what the sender pays; ``cost_micros``: what leaves the credits that pay, which
  differs for an agent's customer and is never shown to it.
- ``charged_micros``, ``refunded_micros``: what left and came back, in cost.
- ``possible_duplicate``: whether it may have been handed over twice.
- ``aggregator``, ``reference``: who carries it, under which id of theirs.
- ``provider_cost_micros``, ``provider_currency``: what the aggregator says that it took, in
  micros of that currency; null where it said nothing readable.
- ``failure_code``: why it was not delivered.
- ``submitted_at``, ``finished_at``: when it was taken, and when its state became final.
- ``campaign_id``: the campaign that it belongs to; null for one that was sent by itself.
- ``version``: of its last event.
"""

import re
from collections.abc import Sequence
from functools import singledispatch
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from semalink.application.message_view import MessageView, Route, campaign_of, failure_of
from semalink.domain import message_steps
from semalink.domain.ids import ACCOUNT_PREFIX, MESSAGE_PREFIX, format_id
from semalink.domain.message import Message
from semalink.domain.money import parse_credits
from semalink.projections.projection import Projection, Recorded, Table, Target

#: Those that customers see, as ``view_from_row`` reads them.
MESSAGE_COLUMNS = (
    "message_id, account_id, status, mode, recipient, sender, lane, country, network, encoding,"
    " segments, price_micros, charged_micros, refunded_micros, possible_duplicate, aggregator,"
    " reference, failure_code, metadata, accepted_at, submitted_at, finished_at, expires_at,"
    " campaign_id"
)

_ALL_COLUMNS = f"{MESSAGE_COLUMNS}, cost_micros, provider_cost_micros, provider_currency, version"

_RECORD = """(
    message_id uuid, account_id uuid, status text, mode text, recipient text, sender text,
    lane text, country text, network text, encoding text, segments integer,
    price_micros bigint, charged_micros bigint, refunded_micros bigint,
    possible_duplicate boolean, aggregator text, reference text, failure_code text,
    metadata text, accepted_at timestamptz, submitted_at timestamptz,
    finished_at timestamptz, expires_at timestamptz, cost_micros bigint,
    provider_cost_micros bigint, provider_currency text, version bigint, campaign_id uuid)"""

_VALUES = _ALL_COLUMNS.replace("metadata", "CAST(metadata AS json)")

_INSERT_NEW = f"""
INSERT INTO $messages ({_ALL_COLUMNS})
SELECT {_VALUES}
FROM json_to_recordset(CAST(:rows AS json)) AS new {_RECORD}
ON CONFLICT (message_id) DO NOTHING"""  # noqa: S608 - constants

_UPDATE_KNOWN = f"""
UPDATE $messages AS m SET
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
    provider_cost_micros = COALESCE(c.provider_cost_micros, m.provider_cost_micros),
    provider_currency = COALESCE(c.provider_currency, m.provider_currency),
    version = c.version
FROM json_to_recordset(CAST(:rows AS json)) AS c {_RECORD}
WHERE m.message_id = c.message_id AND m.version < c.version"""  # noqa: S608 - constants

#: As Africa's Talking writes a cost: "KES 0.8000".
_COST = re.compile(r"([A-Z]{3}) ([0-9]{1,12})(?:\.([0-9]{1,6})0*)?", re.ASCII)


class Changes:
    """What a page of events does to the rows: new ones, and columns of known ones."""

    def __init__(self) -> None:
        self.new: dict[UUID, dict[str, Any]] = {}
        self.known: dict[UUID, dict[str, Any]] = {}

    def row(self, event: message_steps.Step) -> dict[str, Any]:
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
        "cost_micros": event.price_micros if event.cost_micros is None else event.cost_micros,
        "charged_micros": 0,
        "refunded_micros": 0,
        "possible_duplicate": False,
        # As text within the text: PostgreSQL unpacks no string that holds a NUL.
        "metadata": msgspec.json.encode(event.metadata).decode(),
        "accepted_at": event.timestamp,
        "expires_at": event.expires_at,
        "campaign_id": event.campaign_id,
        "version": event.originator_version,
    }


@fold.register
def _(event: message_steps.SubmitStarted, changes: Changes) -> None:
    row = changes.row(event)
    row["aggregator"] = event.aggregator
    if event.possible_duplicate:
        row["possible_duplicate"] = True


@fold.register
def _(event: message_steps.Submitted, changes: Changes) -> None:
    row = changes.row(event)
    # A message that ended as unknown stays so when its answer comes after all.
    if row.get("status", "accepted") == "accepted":
        row["status"] = "submitted"
    row["aggregator"] = event.aggregator
    row["reference"] = event.reference
    if event.charged_micros:
        row["charged_micros"] = event.charged_micros
    row["submitted_at"] = event.timestamp
    provider_cost = parse_provider_cost(event.cost)
    if provider_cost is not None:
        row["provider_currency"], row["provider_cost_micros"] = provider_cost
    if event.network:
        row["network"] = _storable(event.network)


@fold.register
def _(event: message_steps.Delivered, changes: Changes) -> None:
    row = changes.row(event)
    row["status"] = "delivered"
    row["finished_at"] = event.timestamp
    row.pop("failure_code", None)
    if event.network:
        row["network"] = _storable(event.network)


@fold.register(message_steps.Failed)
@fold.register(message_steps.Rejected)
@fold.register(message_steps.Expired)
@fold.register(message_steps.Unknown)
@fold.register(message_steps.Cancelled)
def _(event: Any, changes: Changes) -> None:
    row = changes.row(event)
    row["status"] = event.STATUS.value
    row["failure_code"] = event.failure_code
    row["finished_at"] = event.timestamp
    if event.refunded_micros:
        row["refunded_micros"] = event.refunded_micros


@fold.register(message_steps.SubmitRefused)
@fold.register(message_steps.PutOff)
@fold.register(message_steps.OutcomeUnknown)
@fold.register(message_steps.ReportNoted)
def _(event: Any, changes: Changes) -> None:
    changes.row(event)


def parse_provider_cost(cost: str | None) -> tuple[str, int] | None:
    """Return the currency and the exact micros of a cost such as "KES 0.8000"; None: unreadable."""
    match = _COST.fullmatch(cost) if cost else None
    if match is None:
        return None
    currency, whole, decimals = match.groups(default="0")
    return currency, parse_credits(f"{whole}.{decimals}")


def _storable(word: str) -> str:
    # A provider's word must not stop the projection: PostgreSQL stores no NUL in a text.
    return word.replace("\0", "\ufffd")


def project(events: Sequence[Recorded], tx: Connection, target: Target) -> None:
    """Apply a page of events in two statements."""
    changes = Changes()
    for recorded in events:
        fold(recorded.event, changes)
    if target.is_new:
        _copy(changes, tx, target)
        return
    for statement, rows in ((_INSERT_NEW, changes.new), (_UPDATE_KNOWN, changes.known)):
        if rows:
            encoded = msgspec.json.encode(list(rows.values())).decode()
            tx.execute(target.statement(statement), {"rows": encoded})


def _copy(changes: Changes, tx: Connection, target: Target) -> None:
    assert not changes.known, "a new table is loaded with whole messages"
    driver: Any = tx.connection.driver_connection
    names = _ALL_COLUMNS.split(", ")
    with (
        driver.cursor() as cursor,
        cursor.copy(f"COPY {target.name('messages')} ({_ALL_COLUMNS}) FROM STDIN") as rows,
    ):
        for row in changes.new.values():
            rows.write_row([row.get(name) for name in names])


def view_from_row(row: Sequence[Any]) -> MessageView:
    """Return what customers see of a row selected as ``MESSAGE_COLUMNS``."""
    (
        message_id, account_id, status, mode, recipient, sender, lane, country, network, encoding,
        segments, price, charged, refunded, possible_duplicate, aggregator, reference,
        failure_code, metadata, accepted_at, submitted_at, finished_at, expires_at, campaign_id,
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
        campaign_id=campaign_of(campaign_id),
        account_id=format_id(ACCOUNT_PREFIX, account_id),
        accepted_at=accepted_at,
        submitted_at=submitted_at,
        finished_at=finished_at,
        expires_at=expires_at,
    )


_TABLE = Table(
    "messages",
    """
    message_id uuid NOT NULL,
    account_id uuid NOT NULL,
    status text NOT NULL,
    mode text NOT NULL,
    recipient text NOT NULL,
    sender text NOT NULL,
    lane text NOT NULL,
    country text NOT NULL,
    network text,
    encoding text NOT NULL,
    segments integer NOT NULL,
    price_micros bigint NOT NULL,
    charged_micros bigint DEFAULT 0 NOT NULL,
    refunded_micros bigint DEFAULT 0 NOT NULL,
    possible_duplicate boolean DEFAULT false NOT NULL,
    aggregator text,
    reference text,
    failure_code text,
    metadata json NOT NULL,
    accepted_at timestamptz NOT NULL,
    submitted_at timestamptz,
    finished_at timestamptz,
    expires_at timestamptz NOT NULL,
    version bigint NOT NULL,
    cost_micros bigint NOT NULL,
    provider_cost_micros bigint,
    provider_currency text,
    campaign_id uuid""",
    ("message_id",),
    {
        "messages_by_account": "(account_id, mode, message_id DESC)",
        "messages_by_recipient": "(account_id, recipient, message_id DESC)",
        "messages_by_campaign": "(campaign_id, message_id) WHERE campaign_id IS NOT NULL",
    },
    "fillfactor = 80",
)

MESSAGES = Projection(
    "messages",
    "message_events",
    (_TABLE,),
    project,
    loads_whole_streams=True,
    stream_column="message_id",
    counts_archived=False,
)
