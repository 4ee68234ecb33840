"""Events as whoever reads them sees them: customers nothing of their agent's, or of ours."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum, auto
from typing import Any
from uuid import UUID

import msgspec

from semalink.application.credit_reading import EntryView
from semalink.application.message_view import campaign_of
from semalink.application.provider_words import hide_amounts
from semalink.application.reading import EventView
from semalink.domain.credit_account import CreditAccount
from semalink.domain.ids import (
    ACCOUNT_PREFIX,
    ADJUSTMENT_PREFIX,
    CAMPAIGN_PREFIX,
    EVENT_PREFIX,
    MESSAGE_PREFIX,
    TRANSFER_PREFIX,
    format_id,
)

#: Facts that every event has and that a history shows apart from the rest.
_ENVELOPE = frozenset(
    {
        "originator_id",
        "originator_version",
        "originator_topic",
        "timestamp",
        "actor",
        "request_id",
    }
)
#: What auditors read of an event and customers do not: which rules are only being tried out.
_INTERNAL = frozenset({"shadow_rules"})
_NOT_SHOWN = _ENVELOPE | _INTERNAL
_PUBLIC_NAMES = {
    "message": "message",
    "credit_account": "credit",
    "campaign": "campaign",
    "webhook_endpoint": "webhook_endpoint",
}
_PREFIXES = {
    "account_id": ACCOUNT_PREFIX,
    "billing_account_id": ACCOUNT_PREFIX,
    "sub_account_id": ACCOUNT_PREFIX,
    "counterpart_id": ACCOUNT_PREFIX,
    "reservation_id": MESSAGE_PREFIX,
    "message_id": MESSAGE_PREFIX,
    "campaign_id": CAMPAIGN_PREFIX,
    "adjustment_id": ADJUSTMENT_PREFIX,
    "transfer_id": TRANSFER_PREFIX,
}
#: One reservation pays for a whole campaign.
_CAMPAIGN_PREFIXES = {**_PREFIXES, "reservation_id": CAMPAIGN_PREFIX}
#: What of a message's steps tells of whoever pays for it.
_PAYERS = frozenset(
    {"billing_account_id", "cost", "cost_micros", "priced_by", "charge_version", "answer"}
)
#: What of a message's steps is between the platform and its provider.
_PROVIDERS = frozenset({"cost"})
#: What a provider said, which may name what the platform pays or has.
_PROVIDERS_WORDS = frozenset({"answer", "detail", "description"})
#: What of its credits a customer may see whose agent pays.
_CUSTOMERS = frozenset(
    {"reservation_id", "campaign_id", "price_micros", "spending_month", "expires_at"}
)
#: What an entry shows in fields of its own.
_COLUMNS = frozenset(
    {
        "amount_micros",
        "posted_after_micros",
        "reserved_after_micros",
        "credit_limit_after_micros",
        "reservation_id",
        "message_id",
        "sub_account_id",
        "price_micros",
        "campaign_id",
    }
)


class Reader(Enum):
    """Who reads what happened to a message."""

    OPERATOR = auto()
    #: The account itself, which pays.
    PAYER = auto()
    #: The account itself, for which its agent pays.
    SPONSORED = auto()


def reader_of(account_id: UUID | None, billing_account_id: UUID) -> Reader:
    """Return who reads as an account, or as an operator for None."""
    if account_id is None:
        return Reader.OPERATOR
    return Reader.PAYER if account_id == billing_account_id else Reader.SPONSORED


def history_of(events: Iterable[Any], reader: Reader) -> list[EventView]:
    """Return a history; nobody but operators reads what the platform pays and has."""
    view = _VIEWS[reader]
    return [view(sequence, event) for sequence, event in enumerate(events, 1)]


def entry_view(entry: Any, recorded_at: datetime) -> EntryView:
    """Return a ledger entry as the account that pays sees it."""
    facts = {key: value for key, value in _facts(entry).items() if key not in _COLUMNS}
    message_id = message_of(entry)
    customer_id = getattr(entry, "sub_account_id", None)
    posted, reserved = entry.posted_after_micros, entry.reserved_after_micros
    limit = entry.credit_limit_after_micros
    return EntryView(
        id=public_event_id(entry),
        entry=entry.originator_version,
        name=public_name(entry),
        at=entry.timestamp,
        recorded_at=recorded_at,
        actor=entry.actor,
        request_id=entry.request_id,
        amount_micros=getattr(entry, "amount_micros", None),
        posted_after_micros=posted,
        reserved_after_micros=reserved,
        credit_limit_after_micros=limit,
        available_after_micros=posted - reserved + limit,
        message_id=None if message_id is None else format_id(MESSAGE_PREFIX, message_id),
        customer_id=customer_id and format_id(ACCOUNT_PREFIX, customer_id),
        price_micros=getattr(entry, "price_micros", None),
        data=_public(facts),
        campaign_id=campaign_of(getattr(entry, "campaign_id", None)),
    )


def movement_view(entry: Any, recorded_at: datetime) -> EntryView:
    """Return a ledger entry as the customer sees it for whom its agent pays."""
    message_id = message_of(entry)
    price = entry.price_micros
    return EntryView(
        id=_movement_id(entry),
        entry=None,
        name=public_name(entry),
        at=entry.timestamp,
        recorded_at=recorded_at,
        actor=entry.actor,
        request_id=entry.request_id,
        amount_micros=price,
        posted_after_micros=None,
        reserved_after_micros=None,
        credit_limit_after_micros=None,
        available_after_micros=None,
        message_id=None if message_id is None else format_id(MESSAGE_PREFIX, message_id),
        customer_id=None,
        price_micros=price,
        data={},
        campaign_id=campaign_of(entry.campaign_id),
    )


def public_name(event: Any) -> str:
    """Return the name of an event as the API tells it, such as "credit.charged"."""
    kind, name, _ = event.TOPIC.split(".")
    return f"{_PUBLIC_NAMES[kind]}.{name}"


def _view(sequence: int, event: Any) -> EventView:
    return _shown(sequence, event, public_event_id(event), _facts(event))


def _payers_view(sequence: int, event: Any) -> EventView:
    return _shown(sequence, event, public_event_id(event), _without_provider(_facts(event)))


def _without_provider(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: hide_amounts(value) if key in _PROVIDERS_WORDS and value else value
        for key, value in facts.items()
        if key not in _PROVIDERS
    }


def _sponsored_view(sequence: int, event: Any) -> EventView:
    facts = _facts(event)
    if isinstance(event, CreditAccount.Event):
        # The id of the entry would tell whose credits these are, and how many entries they have.
        shown = {key: value for key, value in facts.items() if key in _CUSTOMERS}
        return _shown(sequence, event, _movement_id(event), shown)
    shown = {key: value for key, value in facts.items() if key not in _PAYERS}
    return _shown(sequence, event, public_event_id(event), _without_provider(shown))


_VIEWS = {
    Reader.OPERATOR: _view,
    Reader.PAYER: _payers_view,
    Reader.SPONSORED: _sponsored_view,
}


def _shown(sequence: int, event: Any, event_id: str, facts: Mapping[str, Any]) -> EventView:
    return EventView(
        id=event_id,
        sequence=sequence,
        name=public_name(event),
        at=event.timestamp,
        actor=event.actor,
        request_id=event.request_id,
        data=_public(facts),
    )


def public_event_id(event: Any) -> str:
    """Return the id of an event as the API tells it."""
    return f"{EVENT_PREFIX}{event.originator_id.hex}_{event.originator_version}"


def _movement_id(entry: Any) -> str:
    about = getattr(entry, "message_id", None) or entry.reservation_id
    return f"{EVENT_PREFIX}{about.hex}_{public_name(entry).replace('.', '_')}"


def message_of(entry: Any) -> UUID | None:
    """Return the message that a ledger entry is about; None where it is about none, or many."""
    message_id: UUID | None = getattr(entry, "message_id", None)
    if message_id is None and getattr(entry, "campaign_id", None) is None:
        message_id = getattr(entry, "reservation_id", None)
    return message_id


def _facts(event: Any) -> dict[str, Any]:
    facts = {key: value for key, value in vars(event).items() if key not in _NOT_SHOWN}
    if facts.get("campaign_id", event) is None:
        # Most belong to none, and say nothing of it.
        del facts["campaign_id"]
    return facts


def _public(facts: Mapping[str, Any]) -> dict[str, Any]:
    prefixes = _CAMPAIGN_PREFIXES if "campaign_id" in facts else _PREFIXES
    return {
        key: format_id(prefixes[key], value)
        if key in prefixes and value is not None
        else msgspec.to_builtins(value, builtin_types=())
        for key, value in facts.items()
    }
