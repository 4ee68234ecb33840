"""What auditors ask of the logs: who did what, when and why, refused commands included."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import msgspec

from semalink.application.event_view import message_of
from semalink.domain.ids import (
    ACCOUNT_PREFIX,
    CAMPAIGN_PREFIX,
    ENDPOINT_PREFIX,
    EVENT_PREFIX,
    MESSAGE_PREFIX,
    SECRET_PREFIX,
    format_id,
)

REFUSAL_PREFIX = "rfs_"
#: How the names of events begin, by the first part of their topics.
KINDS = {
    "message": "message",
    "credit_account": "credit",
    "account": "account",
    "adjustment": "adjustment",
    "accounting_month": "month",
    "archived_month": "archived_month",
    "webhook_endpoint": "webhook_endpoint",
    "webhook_delivery": "webhook_delivery",
    "recovery": "recovery",
    "campaign": "campaign",
    "contact_list": "contact_list",
    "contact_import": "contact_import",
    "dead_letter": "dead_letter",
    "dead_letter_job": "dead_letter_job",
    "route": "route",
    "sender_route": "sender",
    "sender_id": "sender_id",
    "content_rule": "content_rule",
    "orphan_report": "orphan_report",
    "opt_out": "opt_out",
}
REFUSED = "refused"
DELIVERIES = "webhook_delivery"
#: Kinds whose streams have the id of an account.
_OF_ACCOUNTS = frozenset({"account", "credit_account"})
#: An account and its credits share their id; this tells their events apart.
_MARKS = {"account": "settings_"}

#: Stands for what is kept and not shown here.
REDACTED = "<redacted>"
_PRIVATE = frozenset(
    {
        "text",
        "to",
        "recipient",
        "metadata",
        "key_hash",
        "traceparent",
        "response_body",
        "payload",
        "how",
        "consent",
    }
)
_ENVELOPE = frozenset(
    {
        "originator_id", "originator_version", "originator_topic", "timestamp",
        "actor", "request_id", "reason", "failure_code", "description", "detail",
    }
)  # fmt: skip
_PREFIXES = {
    "account_id": ACCOUNT_PREFIX,
    "billing_account_id": ACCOUNT_PREFIX,
    "agent_id": ACCOUNT_PREFIX,
    "sub_account_id": ACCOUNT_PREFIX,
    "counterpart_id": ACCOUNT_PREFIX,
    "reservation_id": MESSAGE_PREFIX,
    "message_id": MESSAGE_PREFIX,
    "campaign_id": CAMPAIGN_PREFIX,
    "endpoint_id": ENDPOINT_PREFIX,
    "secret_id": SECRET_PREFIX,
}
_CAMPAIGN_PREFIXES = {**_PREFIXES, "reservation_id": CAMPAIGN_PREFIX}

#: What is asked without an id that leads to a time goes back so far.
DEFAULT_SPAN = timedelta(hours=24)
#: A clock may be so far from another one.
CLOCKS_APART = timedelta(minutes=1)
#: How long after its id was made a request is still recorded; reports may wait to be understood.
REQUEST_SPAN = timedelta(hours=1)
REPORT_SPAN = timedelta(days=7)
_REQUEST_SPANS = {"req_": REQUEST_SPAN, "job_": REQUEST_SPAN, "rpt_": REPORT_SPAN}
_UUID_VERSION = 7
#: Before any platform, and a time that an id can tell.
_FIRST_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """What is asked for; everything given must be true of a row."""

    #: A message, a reservation or a campaign: what the events are about.
    subject_id: UUID | None = None
    account_id: UUID | None = None
    actor: str | None = None
    request_id: str | None = None
    #: A whole name, as "credit.limit_set", or its beginning, as "credit".
    name: str | None = None
    from_at: datetime | None = None
    before_at: datetime | None = None
    is_newest_first: bool = True

    @property
    def asks_for_deliveries(self) -> bool:
        """Whether deliveries of webhooks may be among it: by an id or their name only.

        There are several for each message, and what else happened would drown in them.
        """
        first = (self.name or "").partition(".")[0]
        return first == DELIVERIES or (self.name is None and self.subject_id is not None)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a row stands: rows have one order, whichever log they come from."""

    at: datetime
    #: Number of the log; below all of them to stand before every row of the moment.
    source: int
    id: UUID
    version: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event or a refusal as it was found, with what leads to whom it concerns."""

    place: Place
    caused_at: datetime
    name: str
    actor: str
    request_id: str
    id: str
    account_id: UUID | None
    #: The agent's customer for whom an entry of the agent was made.
    customer_id: UUID | None
    message_id: UUID | None
    reason: str | None
    detail: str | None
    facts: dict[str, Any]
    #: The facts that the event replaced, where it replaced any.
    before: dict[str, Any] | None = None


class HistoryRow(msgspec.Struct, frozen=True):
    """One thing that happened, or was refused: who, when, what and why."""

    id: str
    #: When it was recorded, by which rows are ordered.
    at: datetime
    #: When it was decided.
    decided_at: datetime
    #: For example "credit.limit_set" or "refused.accept_message".
    name: str
    actor: str
    request_id: str
    account_id: str | None
    message_id: str | None
    #: A reason that a person gave, or the code of a failure or refusal.
    reason: str | None
    detail: str | None
    facts: dict[str, Any]
    #: What the facts were before, where the event changed them.
    before: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Some rows, and where to go on; rows may be few while there is more."""

    rows: list[HistoryRow]
    next: Place | None


class History(Protocol):
    """The logs, in the order of recording; raises ReadsUnavailable while they are away."""

    async def page(self, asked: HistoryFilter, after: Place | None, limit: int) -> HistoryPage:
        """Return rows behind a place; a bounded piece of the logs is looked through."""
        ...


def recorded_event(
    event: Any, place: Place, *, owner_id: UUID | None, before: dict[str, Any] | None = None
) -> Recorded:
    """Return an event as a row; ``owner_id`` is the account whose message it belongs to."""
    kind, step, _ = event.TOPIC.split(".")
    version = event.originator_version
    reason = getattr(event, "reason", None) or getattr(event, "failure_code", None)
    message_id = message_of(event)
    own_id = event.originator_id if kind in _OF_ACCOUNTS else None
    return Recorded(
        place=place,
        caused_at=event.timestamp,
        name=f"{KINDS[kind]}.{step}",
        actor=event.actor,
        request_id=event.request_id,
        id=f"{EVENT_PREFIX}{event.originator_id.hex}_{_MARKS.get(kind, '')}{version}",
        account_id=getattr(event, "account_id", None) or owner_id or own_id,
        customer_id=getattr(event, "sub_account_id", None),
        message_id=event.originator_id if kind == "message" else message_id,
        reason=reason,
        detail=getattr(event, "description", None) or getattr(event, "detail", None),
        facts=public_facts(event),
        before=before,
    )


def public_facts(event: Any) -> dict[str, Any]:
    """Return what an event says beside who, when and why; nothing private."""
    facts = {name: fact for name, fact in vars(event).items() if name not in _ENVELOPE}
    if facts.get("campaign_id", event) is None:
        del facts["campaign_id"]
    prefixes = _CAMPAIGN_PREFIXES if "campaign_id" in facts else _PREFIXES
    return {name: _shown(name, fact, prefixes) for name, fact in facts.items()}


def _shown(name: str, fact: Any, prefixes: Mapping[str, str]) -> Any:
    if name in _PRIVATE:
        return REDACTED
    if name in prefixes and isinstance(fact, UUID):
        return format_id(prefixes[name], fact)
    return msgspec.to_builtins(fact)


def row_of(found: Recorded) -> HistoryRow:
    """Return a row as it is shown."""
    return HistoryRow(
        id=found.id,
        at=found.place.at,
        decided_at=found.caused_at,
        name=found.name,
        actor=found.actor,
        request_id=found.request_id,
        account_id=_id(ACCOUNT_PREFIX, found.account_id),
        message_id=_id(MESSAGE_PREFIX, found.message_id),
        reason=found.reason,
        detail=found.detail,
        facts=found.facts,
        before=found.before,
    )


def _id(prefix: str, value: UUID | None) -> str | None:
    return None if value is None else format_id(prefix, value)


def has_name(name: str, wanted: str | None) -> bool:
    """Tell whether a name is the wanted one, or begins with it up to a point."""
    return wanted is None or name == wanted or name.startswith(f"{wanted}.")


def window_of(asked: HistoryFilter, now: datetime) -> tuple[datetime, datetime]:
    """Return the time that must be looked through: as asked, or as the ids given lead to."""
    start, end = _implied_window(asked, now)
    return max(asked.from_at or start, _FIRST_MOMENT), min(asked.before_at or end, now)


def _implied_window(asked: HistoryFilter, now: datetime) -> tuple[datetime, datetime]:
    end = asked.before_at or now
    made = request_made_at(asked.request_id) if asked.request_id else None
    if made is not None and asked.request_id:
        return made - CLOCKS_APART, made + _REQUEST_SPANS[asked.request_id[:4]]
    for each in (asked.subject_id, asked.account_id):
        made = time_in(each) if each else None
        if made is not None:
            return made - CLOCKS_APART, end
    return end - DEFAULT_SPAN, end


def request_made_at(request_id: str) -> datetime | None:
    """Return the time inside a request id of our own making; None for a client's."""
    if request_id[:4] not in _REQUEST_SPANS:
        return None
    try:
        return time_in(UUID(hex=request_id[4:]))
    except ValueError:
        return None


def time_in(made: UUID) -> datetime | None:
    """Return the time inside a UUIDv7; None for another UUID."""
    if made.version != _UUID_VERSION:
        return None
    # The first 48 bits are milliseconds; not all of them are a time that can be told.
    try:
        return datetime.fromtimestamp((made.int >> 80) / 1000, tz=UTC)
    except (OverflowError, ValueError):
        return None


def matches(found: Recorded, asked: HistoryFilter) -> bool:
    """Tell whether a row is one that was asked for, its time apart."""
    return (
        asked.actor in (None, found.actor)
        and asked.request_id in (None, found.request_id)
        and has_name(found.name, asked.name)
        and asked.subject_id in (None, found.message_id, found.place.id)
        and (asked.account_id is None or asked.account_id in _accounts_of(found))
    )


def _accounts_of(found: Recorded) -> tuple[UUID | None, ...]:
    return found.account_id, found.customer_id
