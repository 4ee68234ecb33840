"""Why a message went as it did, for its customer."""

from typing import Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.explaining import Explanation
from semalink.domain.errors import MessageNotFound
from semalink.web import examples
from semalink.web.arrival import arrival_of
from semalink.web.dependencies import ApiDependencies
from semalink.web.message_reading import READ, message_uuid
from semalink.web.operation import Operation, Success, route
from semalink.web.reply import Reply

EXPLAIN = Operation(
    method="GET",
    path="/v1/messages/{message_id:str}/explain",
    operation_id="explainMessage",
    tag="Messages",
    summary="Explain a message",
    description=(
        "Why the message went as it did: each attempt with the route that was chosen and the "
        "aggregator's answer, the characters that set the encoding, the price, what was charged "
        "and given back, the reports in the provider's words, and the time of every step. "
        "Answers are shown without keys, phone numbers, sums of money and the text."
    ),
    scopes=READ,
    path_examples={"message_id": examples.MESSAGE_ID},
    success=Success(200, "The explanation.", Explanation, examples.EXPLANATION),
    problems=("message_not_found",),
)


class MessageExplainer:
    """Explains messages of the caller's account and mode."""

    def __init__(self, deps: ApiDependencies) -> None:
        self._reads = deps.reads

    async def explain(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with the explanation of one message."""
        caller = arrival_of(request.scope).caller
        message_id = message_uuid(request.path_params["message_id"])
        message = await self._reads.message(message_id, caller.account_id)
        if message is None or message.mode != caller.mode:
            raise MessageNotFound
        explanation = await self._reads.explanation(message_id, caller.account_id)
        if explanation is None:
            raise MessageNotFound
        return Reply(200, msgspec.json.encode(explanation))


def explaining_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the route that explains messages."""
    return [route(EXPLAIN, MessageExplainer(deps).explain)]
