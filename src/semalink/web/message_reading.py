"""Reading messages: one, its history, or a list."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.message_view import MessageView, encode_view
from semalink.application.reading import Caller, EventView, MessageFilter, Reads
from semalink.domain.errors import MessageNotFound
from semalink.domain.ids import CAMPAIGN_PREFIX, MESSAGE_PREFIX, parse_id
from semalink.domain.phone_number import parse as parse_number
from semalink.web import examples
from semalink.web.arrival import arrival_of
from semalink.web.cursor import Cursors
from semalink.web.dependencies import ApiDependencies
from semalink.web.operation import Operation, Success, route
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply

LIMIT_MAX = 100
LIMIT_DEFAULT = 20
READ = frozenset({"messages:read"})

StatusName = Literal[
    "accepted",
    "submitted",
    "delivered",
    "failed",
    "rejected",
    "expired",
    "cancelled",
    "unknown",
]


class Messages(msgspec.Struct, frozen=True):
    """A page of messages, newest first."""

    items: list[MessageView]
    #: Give it back as ``cursor`` for the page after this; null on the last.
    next_cursor: str | None


class Events(msgspec.Struct, frozen=True):
    """The whole history of a message, oldest first."""

    items: list[EventView]
    next_cursor: str | None


class MessageQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which messages are listed."""

    status: StatusName | None = None
    to: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    sender: Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[^\u0000]*$")] | None = None
    lane: Literal["priority", "normal"] | None = None
    campaign_id: Annotated[str, msgspec.Meta(pattern=r"^cmp_[0-9a-f]{32}$")] | None = None
    accepted_from: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    accepted_before: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    cursor: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT


class CampaignMessageQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which messages of a campaign are listed."""

    status: StatusName | None = None
    cursor: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT


LIST = Operation(
    method="GET",
    path="/v1/messages",
    operation_id="listMessages",
    tag="Messages",
    summary="List messages",
    description=(
        "Messages of the key's account and mode, newest first. A message shows up here a moment "
        "after it was accepted; read it by its id to see it at once. Months that ended more than "
        "90 days ago may be listed no more; their messages are read by id as before."
    ),
    scopes=READ,
    query=MessageQuery,
    query_notes={
        "status": "Only messages that stand so.",
        "to": "Only messages to this number, best written in E.164 with %2B for the plus sign.",
        "sender": "Only messages under this sender id.",
        "lane": "Only messages of this lane.",
        "campaign_id": "Only messages of this campaign.",
        "accepted_from": "Only messages accepted at this time or later, RFC 3339.",
        "accepted_before": "Only messages accepted before this time, RFC 3339.",
        "cursor": "The next_cursor of the page before, with the same filters.",
        "limit": "Messages a page.",
    },
    success=Success(
        200,
        "A page of messages.",
        Messages,
        {"items": [examples.DELIVERED], "next_cursor": None},
        headers={"Link": 'The next page, rel="next"; absent on the last.'},
    ),
    problems=("invalid_cursor", "invalid_number"),
)

READ_ONE = Operation(
    method="GET",
    path="/v1/messages/{message_id:str}",
    operation_id="getMessage",
    tag="Messages",
    summary="Read a message",
    description="The message as it stands now; what was answered 202 is readable at once.",
    scopes=READ,
    path_examples={"message_id": examples.MESSAGE_ID},
    success=Success(200, "The message.", MessageView, examples.DELIVERED),
    problems=("message_not_found",),
)

READ_EVENTS = Operation(
    method="GET",
    path="/v1/messages/{message_id:str}/events",
    operation_id="listMessageEvents",
    tag="Messages",
    summary="Read the history of a message",
    description="Every step of the message and of the credits that pay for it, oldest first.",
    scopes=READ,
    path_examples={"message_id": examples.MESSAGE_ID},
    success=Success(
        200, "The whole history.", Events, {"items": [examples.EVENT], "next_cursor": None}
    ),
    problems=("message_not_found",),
)


class MessagePages:
    """Answers with pages of messages."""

    def __init__(self, reads: Reads, pepper: bytes) -> None:
        self._reads = reads
        self._cursors = Cursors(pepper)

    async def page(
        self,
        path: str,
        account_id: UUID,
        wanted: MessageFilter,
        query: MessageQuery | CampaignMessageQuery,
    ) -> Reply:
        """Answer with the page that a query asks for."""
        filters = f"{account_id}:{wanted}"
        before = self._cursors.read(query.cursor, filters)
        found = await self._reads.messages(account_id, wanted, before=before, limit=query.limit + 1)
        page = list(found[: query.limit])
        if len(found) <= query.limit:
            return Reply(200, msgspec.json.encode(Messages(page, None)))
        cursor = self._cursors.write(message_uuid(page[-1].id), filters)
        link = next_link(path, query, cursor)
        return Reply(200, msgspec.json.encode(Messages(page, cursor)), [link])


class MessageReader:
    """Answers with messages of the caller's account and mode."""

    def __init__(self, deps: ApiDependencies) -> None:
        self._reads = deps.reads
        self._pages = MessagePages(deps.reads, deps.key_pepper)

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with one message."""
        return Reply(200, encode_view(await self._message(request)))

    async def events(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with the history of one message."""
        message = await self._message(request)
        account_id = arrival_of(request.scope).caller.account_id
        events = await self._reads.history(message_uuid(message.id), account_id)
        if events is None:
            raise MessageNotFound
        return Reply(200, msgspec.json.encode(Events(events, None)))

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of messages."""
        query = read_query(request, MessageQuery)
        caller = arrival_of(request.scope).caller
        return await self._pages.page(LIST.path, caller.account_id, _filter(query, caller), query)

    async def _message(self, request: Request[Any, Any, Any]) -> MessageView:
        caller = arrival_of(request.scope).caller
        message_id = message_uuid(request.path_params["message_id"])
        message = await self._reads.message(message_id, caller.account_id)
        if message is None or message.mode != caller.mode:
            raise MessageNotFound
        return message


def message_uuid(text: str) -> UUID:
    """Return the UUID behind a message id; raises MessageNotFound when it is none."""
    message_id = parse_id(MESSAGE_PREFIX, text)
    if message_id is None:
        raise MessageNotFound
    return message_id


def reading_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the routes that read messages."""
    reader = MessageReader(deps)
    return [
        route(LIST, reader.list),
        route(READ_ONE, reader.read),
        route(READ_EVENTS, reader.events),
    ]


def _filter(query: MessageQuery, caller: Caller) -> MessageFilter:
    campaign = query.campaign_id
    return MessageFilter(
        mode=caller.mode,
        status=query.status,
        to=None if query.to is None else parse_number(query.to).e164,
        sender=query.sender,
        lane=query.lane,
        campaign_id=None if campaign is None else parse_id(CAMPAIGN_PREFIX, campaign),
        accepted_from=query.accepted_from,
        accepted_before=query.accepted_before,
    )
