"""The feed of an account: everything that webhooks push, to be pulled in order."""

from typing import Annotated, Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.feed import FeedReads, Payload
from semalink.domain.errors import UnknownEventType
from semalink.domain.event_types import EVENT_TYPES, is_known, matches
from semalink.web import webhook_examples
from semalink.web.arrival import arrival_of
from semalink.web.dependencies import ApiDependencies
from semalink.web.operation import Operation, Success, route
from semalink.web.query import read_query
from semalink.web.reply import Reply
from semalink.web.webhook_deliveries import READ

TAG = "Events"
SEQUENCE_MAX = 2**62

#: What each event tells, for people.
MEANINGS = {
    "message.accepted": "We took responsibility for a message.",
    "message.submitted": "An aggregator took the message.",
    "message.delivered": "The handset has it.",
    "message.failed": "The network tried and could not deliver.",
    "message.rejected": "An aggregator or operator would not carry it.",
    "message.expired": "Its validity passed before it was delivered.",
    "message.unknown": "Nobody could say in time what became of it.",
    "message.cancelled": "Its campaign was cancelled before any aggregator had it.",
    "credit.topped_up": "Credits were bought.",
    "credit.adjusted": "The balance was corrected.",
    "credit.limit_set": "The credit limit was changed.",
    "credit.transferred_out": "Credits went to another account of the same agent.",
    "credit.transferred_in": "Credits came from another account of the same agent.",
    "credit.limit_neared": "Less than a fifth of the credit limit remains.",
    "credit.reserved": "Credits were set aside for a message.",
    "credit.charged": "Reserved credits were spent.",
    "credit.released": "Reserved credits were given back unspent.",
    "credit.reservation_expired": "Nobody resolved a reservation in time; it was given back.",
    "credit.refunded": "Charged credits were given back.",
    "campaign.scheduled": "A campaign starts by itself at its time.",
    "campaign.sent_back": "A campaign is a draft again, because something stood in its way.",
    "campaign.started": "The whole cost of a campaign is reserved, and it is sent.",
    "campaign.paused": "Nothing more of a campaign is handed over for now.",
    "campaign.resumed": "A paused campaign goes on.",
    "campaign.cancelled": "Nothing more of a campaign is sent.",
    "campaign.completed": "Nothing of a campaign is left to be handed over.",
    "campaign.settled": "What a campaign did not spend went back.",
    "webhook_endpoint.warned": "An endpoint fails, and is disabled if it goes on so.",
    "webhook_endpoint.disabled": "Nothing is sent to an endpoint any more.",
}


class FeedQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which piece of the feed is read."""

    after: Annotated[int, msgspec.Meta(ge=0, le=SEQUENCE_MAX)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100
    types: Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)] | None = None


class FeedPiece(msgspec.Struct, frozen=True):
    """A piece of the feed, in order."""

    items: list[Payload]
    #: The `after` of what follows; it may be past events of other types.
    next_after: int
    #: Whether there is more already.
    has_more: bool


class EventType(msgspec.Struct, frozen=True):
    """A kind of event that endpoints may ask for."""

    name: str
    meaning: str


class EventTypes(msgspec.Struct, frozen=True):
    """Every kind of event."""

    items: list[EventType]


LIST = Operation(
    method="GET",
    path="/v1/events",
    operation_id="listEvents",
    tag=TAG,
    summary="Read the feed",
    description=(
        "The same events that webhooks carry, in one order that never changes. Sequences begin at "
        "1 and have no gap, so whoever goes on from its last next_after misses nothing. Events "
        "are kept for at least 30 days. Keys of both modes read the same feed."
    ),
    scopes=READ,
    query=FeedQuery,
    query_notes={
        "after": "Only what follows this sequence; 0 from the beginning.",
        "limit": "Events at most.",
        "types": 'Names or patterns with commas between, such as "message.*,credit.refunded".',
    },
    success=Success(
        200,
        "What follows; nothing when there is nothing yet.",
        FeedPiece,
        {"items": [webhook_examples.FED], "next_after": 17, "has_more": False},
    ),
    problems=("events_no_longer_kept", "unknown_event_type"),
)
TYPES = Operation(
    method="GET",
    path="/v1/event-types",
    operation_id="listEventTypes",
    tag=TAG,
    summary="List event types",
    description="Every kind of event that an endpoint may ask for.",
    scopes=READ,
    success=Success(
        200,
        "The event types.",
        EventTypes,
        {"items": [{"name": "message.delivered", "meaning": MEANINGS["message.delivered"]}]},
    ),
)


class EventPages:
    """Shows the feed of the caller's account."""

    def __init__(self, reads: FeedReads) -> None:
        self._reads = reads
        types = EventTypes([EventType(name, MEANINGS[name]) for name in EVENT_TYPES])
        self._types = msgspec.json.encode(types)

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a piece of the feed, in the bytes that webhooks carry."""
        query = read_query(request, FeedQuery)
        account_id = arrival_of(request.scope).caller.account_id
        names = None if query.types is None else _names(query.types)
        found = await self._reads.after(account_id, query.after, names, query.limit)
        more = b"true" if found.has_more else b"false"
        body = b'{"items":[%b],"next_after":%d,"has_more":%b}' % (
            b",".join(found.payloads),
            found.next_after,
            more,
        )
        return Reply(200, body)

    async def types(
        self,
        request: Request[Any, Any, Any],
    ) -> ASGIApp:
        """Answer with every kind of event."""
        return Reply(200, self._types)


def event_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of the feed."""
    pages = EventPages(deps.feed)
    return [route(LIST, pages.list), route(TYPES, pages.types)]


def _names(patterns: str) -> list[str]:
    asked = patterns.split(",")
    for place, pattern in enumerate(asked):
        if not is_known(pattern):
            raise UnknownEventType(place)
    return [name for name in EVENT_TYPES if any(matches(pattern, name) for pattern in asked)]
