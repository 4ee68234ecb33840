"""A customer's sender ids: asked for, listed, read."""

from typing import Annotated, Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.content_reading import SenderIdFilter, SenderIdView
from semalink.application.sender_ids import RequestSenderId
from semalink.domain.content_errors import SenderIdNotFound
from semalink.domain.sender_id import SenderClass, class_of_uses
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.cursor import PlaceCursors
from semalink.web.dependencies import ApiDependencies
from semalink.web.field_types import Cursor, PageSize, Reason
from semalink.web.live_keys import writing
from semalink.web.operation import Operation, Success, route
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply
from semalink.web.sender_id_shapes import (
    EXAMPLE,
    OF_SENDER_ID,
    REQUESTED,
    TAG,
    Class,
    OptOutText,
    SenderIds,
    SenderText,
    State,
    place_of,
    read_opt_out_text,
    read_sender,
    sender_id_in,
)

#: Whoever sends may know under which names, and ask for another: an operator decides.
SCOPES = frozenset({"messages:send"})
READ_SCOPES = frozenset({"messages:send", "messages:read"})
_PATH = "/v1/sender-ids"


class SenderIdRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sender id that an account wants to send under."""

    sender: SenderText
    uses: Annotated[
        list[Class],
        msgspec.Meta(
            min_length=1,
            max_length=2,
            description="What it is for; one that is for both is promotional.",
        ),
    ]
    reason: Reason
    opt_out_text: OptOutText = None


class SenderIdQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which sender ids are listed."""

    state: State | None = None
    sender_class: Class | None = msgspec.field(default=None, name="class")
    cursor: Cursor | None = None
    limit: PageSize = 20


_decoder = msgspec.json.Decoder(SenderIdRequest)

REQUEST = Operation(
    method="POST",
    path=_PATH,
    operation_id="requestSenderId",
    tag=TAG,
    summary="Ask for a sender id",
    description=(
        "An operator decides. Say what you will send under it: one that is used for anything "
        "promotional is promotional as a whole. Asking twice changes nothing; after a rejection "
        "it asks once more."
    ),
    scopes=SCOPES,
    body=SenderIdRequest,
    body_examples={
        "offers": {
            "sender": "ACMEDEALS",
            "uses": ["promotional"],
            "reason": "Weekly offers to customers of our shops who agreed to them.",
        }
    },
    success=Success(
        201,
        "The sender id waits for its decision, or was decided before.",
        SenderIdView,
        REQUESTED,
        headers={"Location": "Where the sender id can be read."},
    ),
    problems=("too_many_sender_ids",),
)
LIST = Operation(
    method="GET",
    path=_PATH,
    operation_id="listSenderIds",
    tag=TAG,
    summary="List sender ids",
    description="The sender ids of your account, the last asked for first.",
    scopes=READ_SCOPES,
    query=SenderIdQuery,
    query_notes={
        "state": "Only those in this state.",
        "class": "Only those of this class.",
        "cursor": "The next_cursor of the page before, with the same filters.",
        "limit": "Sender ids a page.",
    },
    success=Success(
        200,
        "A page of sender ids.",
        SenderIds,
        {"items": [EXAMPLE], "next_cursor": None},
        headers={"Link": 'The next page, rel="next"; absent on the last.'},
    ),
    problems=("invalid_cursor",),
)
READ_ONE = Operation(
    method="GET",
    path=f"{_PATH}/{{sender_id:str}}",
    operation_id="getSenderId",
    tag=TAG,
    summary="Read a sender id",
    description="The sender id, its class and what was decided of it.",
    scopes=READ_SCOPES,
    path_examples=OF_SENDER_ID,
    success=Success(200, "The sender id.", SenderIdView, EXAMPLE),
    problems=("sender_id_not_found",),
)


class SenderIdPages:
    """Takes requests for sender ids, and shows what became of them."""

    def __init__(self, deps: ApiDependencies) -> None:
        self._deps = deps
        self._reads = deps.sender_ids
        self._cursors = PlaceCursors(deps.key_pepper)

    async def request(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Note that the caller wants a sender id."""
        arrival = writing(request)
        asked = await read_json(request, _decoder)
        account_id = arrival.caller.account_id
        command = RequestSenderId(
            account_id,
            read_sender(asked.sender),
            class_of_uses([SenderClass(use) for use in asked.uses]),
            asked.reason,
            arrival.cause,
            read_opt_out_text(asked.opt_out_text),
            await self._reads.waiting_count(account_id),
        )
        answer = await self._deps.ledger.execute(command)
        view = await self._reads.sender_id(answer.value, account_id)
        assert view is not None, "a sender id that was asked for is there"
        location = (b"location", f"{_PATH}/{view.id}".encode())
        return Reply(201, msgspec.json.encode(view), (location,))

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of the caller's sender ids."""
        query = read_query(request, SenderIdQuery)
        account_id = arrival_of(request.scope).caller.account_id
        filters = f"{_PATH}:{account_id}:{query.state}:{query.sender_class}"
        wanted = SenderIdFilter(account_id, query.state, query.sender_class)
        before = self._cursors.read(query.cursor, filters)
        found = await self._reads.sender_ids(wanted, before=before, limit=query.limit + 1)
        page = list(found[: query.limit])
        if len(found) <= query.limit:
            return Reply(200, msgspec.json.encode(SenderIds(page, None)))
        cursor = self._cursors.write(place_of(page[-1]), filters)
        body = msgspec.json.encode(SenderIds(page, cursor))
        return Reply(200, body, [next_link(_PATH, query, cursor)])

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with one sender id of the caller."""
        account_id = arrival_of(request.scope).caller.account_id
        view = await self._reads.sender_id(sender_id_in(request), account_id)
        if view is None:
            raise SenderIdNotFound
        return Reply(200, msgspec.json.encode(view))


def sender_id_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of a customer's sender ids."""
    pages = SenderIdPages(deps)
    return [route(REQUEST, pages.request), route(LIST, pages.list), route(READ_ONE, pages.read)]
