"""The feed of each account: what of the logs it may see, numbered without a gap."""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import msgspec

from semalink.application.event_view import (
    entry_view,
    message_of,
    movement_view,
    public_event_id,
    public_name,
)
from semalink.application.message_view import view_of
from semalink.domain.campaign import Campaign
from semalink.domain.cause import Cause
from semalink.domain.credit_account import CreditAccount
from semalink.domain.event_types import EVENT_TYPES, MESSAGE_EVENTS, matches
from semalink.domain.ids import ACCOUNT_PREFIX, CAMPAIGN_PREFIX, ENDPOINT_PREFIX, format_id
from semalink.domain.message import Message
from semalink.domain.webhook_delivery import Subject, WebhookDelivery, delivery_id_of
from semalink.domain.webhook_endpoint import WebhookEndpoint

#: Version of the payloads; a field that goes or changes its meaning makes a new one.
PAYLOAD_VERSION = 1

_CAMPAIGN_FACTS = ("start_at", "message_count", "reason", "code", "detail")
_MESSAGES, _ALL = frozenset(MESSAGE_EVENTS), frozenset(EVENT_TYPES)


class FeedItem(NamedTuple):
    """One event as one account may see it."""

    account_id: UUID
    event_id: str
    name: str
    at: datetime
    message_id: UUID | None
    #: What the payload holds as ``data``.
    shown: Any


class Numbered(NamedTuple):
    """An item with its place in the feed and the bytes that are sent, signed and served."""

    item: FeedItem
    sequence: int
    payload: bytes


class Payload(msgspec.Struct, frozen=True):
    """An event as webhooks carry it and the feed serves it."""

    version: int
    #: Also the header `webhook-id`.
    id: str
    #: Position in the account's feed, from 1, without a gap.
    sequence: int
    type: str
    at: datetime
    account_id: str
    data: Any


class CreditMovement(msgspec.Struct, frozen=True):
    """A movement of credits. Money in micros; null where it is not the reader's to see."""

    #: Number of the ledger entry.
    entry: int | None
    amount_micros: int | None
    posted_after_micros: int | None
    reserved_after_micros: int | None
    credit_limit_after_micros: int | None
    available_after_micros: int | None
    message_id: str | None
    #: The agent's customer on whose behalf it happened, and what that customer pays.
    customer_id: str | None
    price_micros: int | None
    details: dict[str, Any]
    campaign_id: str | None = None


class EndpointChange(msgspec.Struct, frozen=True):
    """What happened to an endpoint by itself."""

    endpoint_id: str
    #: Why it was disabled.
    reason: str | None = None
    #: Per cent of the time to being disabled.
    percent: int | None = None


class CampaignChange(msgspec.Struct, frozen=True):
    """What happened to a campaign; what it came to is told by its results."""

    campaign_id: str
    #: When it starts, once it is scheduled.
    start_at: datetime | None = None
    #: How many messages it sends, once it was started.
    message_count: int | None = None
    #: Why it was paused or cancelled, in the words of whoever did it.
    reason: str | None = None
    #: Why it is a draft again.
    code: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """An endpoint that takes deliveries, and what it asked for."""

    endpoint_id: UUID
    account_id: UUID
    event_types: tuple[str, ...]
    #: Nothing from before it was registered is sent to it.
    since: datetime


@dataclass(frozen=True, slots=True)
class FeedSlice:
    """A piece of an account's feed."""

    #: Payloads, in order.
    payloads: Sequence[bytes]
    #: Where to go on; what is not of the types asked for is passed over.
    next_after: int
    has_more: bool


class FeedReads(Protocol):
    """Reads of feeds; raises ReadsUnavailable while the database is away."""

    async def after(
        self, account_id: UUID, sequence: int, names: Sequence[str] | None, limit: int
    ) -> FeedSlice:
        """Return what follows a sequence; raises EventsNoLongerKept when that was dropped."""
        ...


@dataclass(frozen=True, slots=True)
class Known:
    """What must be known beside a page of events to tell what they mean."""

    #: Messages as they stood before the page; they are moved on with it.
    messages: MutableMapping[UUID, Message] = field(default_factory=dict)
    #: Steps of messages that come later in the log than the steps after them.
    gaps: Mapping[tuple[UUID, int], Any] = field(default_factory=dict)
    #: The account of each endpoint and each campaign.
    owners: Mapping[UUID, UUID] = field(default_factory=dict)


def items_of(page: Iterable[Any], known: Known) -> Iterator[FeedItem]:
    """Yield what accounts may see of a page of events, each stream in order."""
    for event in page:
        if isinstance(event, Message.Event):
            message = _moved_on(event, known)
            name = public_name(event)
            if name in _MESSAGES:
                yield FeedItem(
                    message.asked.account_id,
                    public_event_id(event),
                    name,
                    event.timestamp,
                    event.originator_id,
                    view_of(message),
                )
        elif isinstance(event, CreditAccount.Event):
            yield from _of_entry(event)
        elif isinstance(event, WebhookEndpoint.Event):
            yield from _of_endpoint(event, known.owners)
        elif isinstance(event, Campaign.Event):
            yield from _of_campaign(event, known.owners)


def number(items: Iterable[FeedItem], last_sequences: MutableMapping[UUID, int]) -> list[Numbered]:
    """Give each item the next number of its account, and move the numbers on."""
    numbered: list[Numbered] = []
    encode = msgspec.json.Encoder().encode
    for item in items:
        account_id, event_id, name, at, _, shown = item
        sequence = last_sequences.get(account_id, 0) + 1
        last_sequences[account_id] = sequence
        account = format_id(ACCOUNT_PREFIX, account_id)
        payload = Payload(PAYLOAD_VERSION, event_id, sequence, name, at, account, shown)
        numbered.append(Numbered(item, sequence, encode(payload)))
    return numbered


def deliveries_of(
    numbered: Iterable[Numbered], subscriptions: Iterable[Subscription], cause: Cause
) -> list[WebhookDelivery.Created]:
    """Return the beginning of a delivery for each endpoint that asked for an item."""
    by_account: dict[UUID, list[Subscription]] = {}
    for one in subscriptions:
        by_account.setdefault(one.account_id, []).append(one)
    created: list[WebhookDelivery.Created] = []
    if not by_account:
        return created
    wanted: dict[tuple[UUID, str], bool] = {}
    for item, sequence, _ in numbered:
        for one in by_account.get(item.account_id, ()):
            key = (one.endpoint_id, item.name)
            if key not in wanted:
                wanted[key] = any(matches(pattern, item.name) for pattern in one.event_types)
            if wanted[key] and item.at >= one.since:
                created.append(_delivery(one, item, sequence, cause))
    return created


def _moved_on(event: Any, known: Known) -> Message:
    message_id = event.originator_id
    message = known.messages.get(message_id)
    while message is not None and message.version + 1 < event.originator_version:
        message = known.gaps[message_id, message.version + 1].mutate(message)
    moved: Message = event.mutate(message)
    known.messages[message_id] = moved
    return moved


def _delivery(
    to: Subscription, item: FeedItem, sequence: int, cause: Cause
) -> WebhookDelivery.Created:
    delivery = WebhookDelivery.create(
        delivery_id_of(item.event_id, item.at, to.endpoint_id),
        Subject(
            to.endpoint_id, item.account_id, item.event_id, item.name, sequence, item.message_id
        ),
        cause,
    )
    [created] = delivery.collect_events()
    assert isinstance(created, WebhookDelivery.Created), "a delivery begins with it"
    return created


def _of_entry(entry: Any) -> Iterator[FeedItem]:
    name = public_name(entry)
    if name not in _ALL:
        return
    view = entry_view(entry, entry.timestamp)
    message_id = message_of(entry)
    yield FeedItem(entry.originator_id, view.id, name, view.at, message_id, _movement(view))
    customer_id = getattr(entry, "sub_account_id", None)
    if customer_id is not None:
        # In the customer's own prices; whose credits they are is not told.
        seen = movement_view(entry, entry.timestamp)
        yield FeedItem(customer_id, seen.id, name, seen.at, message_id, _movement(seen))


def _movement(view: Any) -> CreditMovement:
    return CreditMovement(
        entry=view.entry,
        amount_micros=view.amount_micros,
        posted_after_micros=view.posted_after_micros,
        reserved_after_micros=view.reserved_after_micros,
        credit_limit_after_micros=view.credit_limit_after_micros,
        available_after_micros=view.available_after_micros,
        message_id=view.message_id,
        customer_id=view.customer_id,
        price_micros=view.price_micros,
        details=view.data,
        campaign_id=view.campaign_id,
    )


def _of_endpoint(event: WebhookEndpoint.Event, owners: Mapping[UUID, UUID]) -> Iterator[FeedItem]:
    percent = getattr(event, "percent", None)
    is_news = bool(percent) or isinstance(event, WebhookEndpoint.Disabled)
    account_id = owners.get(event.originator_id)
    if is_news and account_id is not None:
        endpoint_id = format_id(ENDPOINT_PREFIX, event.originator_id)
        reason = getattr(event, "reason", None)
        shown = EndpointChange(endpoint_id, reason, percent)
        event_id = public_event_id(event)
        yield FeedItem(account_id, event_id, public_name(event), event.timestamp, None, shown)


def _of_campaign(event: Campaign.Event, owners: Mapping[UUID, UUID]) -> Iterator[FeedItem]:
    name = public_name(event)
    account_id = owners.get(event.originator_id)
    if name in _ALL and account_id is not None:
        shown = CampaignChange(
            format_id(CAMPAIGN_PREFIX, event.originator_id),
            **{fact: getattr(event, fact, None) or None for fact in _CAMPAIGN_FACTS},
        )
        yield FeedItem(account_id, public_event_id(event), name, event.timestamp, None, shown)
