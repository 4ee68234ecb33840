"""Any account's message and its history, for those who look into complaints."""

from dataclasses import replace
from typing import Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.explaining import ExplainingReads
from semalink.application.message_view import encode_view
from semalink.domain.errors import MessageNotFound
from semalink.web.admin.roles import ANYONE
from semalink.web.dependencies import AdminDependencies
from semalink.web.message_explaining import EXPLAIN
from semalink.web.message_reading import READ_EVENTS, READ_ONE, Events, message_uuid
from semalink.web.operation import route
from semalink.web.reply import Reply

READ_ANY = replace(
    READ_ONE,
    path="/admin/v1/messages/{message_id:str}",
    operation_id="getAnyMessage",
    description="The message as it stands now, whichever account sent it.",
    scopes=ANYONE,
)
READ_ANY_EVENTS = replace(
    READ_EVENTS,
    path="/admin/v1/messages/{message_id:str}/events",
    operation_id="listAnyMessageEvents",
    scopes=ANYONE,
)

EXPLAIN_ANY = replace(
    EXPLAIN,
    path="/admin/v1/messages/{message_id:str}/explain",
    operation_id="explainAnyMessage",
    description=EXPLAIN.description + " Nothing of whoever pays is left out.",
    scopes=ANYONE,
)


class AnyMessages:
    """Shows messages of any account."""

    def __init__(self, reads: ExplainingReads) -> None:
        self._reads = reads

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with one message."""
        message_id = message_uuid(request.path_params["message_id"])
        message = await self._reads.message(message_id, None)
        if message is None:
            raise MessageNotFound
        return Reply(200, encode_view(message))

    async def events(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with the history of one message."""
        message_id = message_uuid(request.path_params["message_id"])
        events = await self._reads.history(message_id, None)
        if events is None:
            raise MessageNotFound
        return Reply(200, msgspec.json.encode(Events(events, None)))

    async def explain(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with why one message went as it did."""
        message_id = message_uuid(request.path_params["message_id"])
        explanation = await self._reads.explanation(message_id, None)
        if explanation is None:
            raise MessageNotFound
        return Reply(200, msgspec.json.encode(explanation))


def any_message_routes(deps: AdminDependencies) -> list[HTTPRouteHandler]:
    """Return the routes that read any message."""
    messages = AnyMessages(deps.reads)
    return [
        route(READ_ANY, messages.read),
        route(READ_ANY_EVENTS, messages.events),
        route(EXPLAIN_ANY, messages.explain),
    ]
