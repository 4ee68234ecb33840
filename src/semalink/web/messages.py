"""Sending one message: the route that everything else waits for."""

from typing import Any

import msgspec
import structlog
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.message_view import MessageView, encode_view
from semalink.web import examples
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.content import SENDING_PROBLEMS, SendMessage, check_message
from semalink.web.dependencies import ApiDependencies
from semalink.web.idempotency import REPLAYED, REPLAYED_NOTE, idempotency_of
from semalink.web.limiting import admit_messages
from semalink.web.operation import Operation, Success, route
from semalink.web.reply import Reply

SEND_SCOPES = frozenset({"messages:send"})

_log = structlog.get_logger(__name__)
_decoder = msgspec.json.Decoder(SendMessage)

SEND = Operation(
    method="POST",
    path="/v1/messages",
    operation_id="sendMessage",
    tag="Messages",
    summary="Send a message",
    description=(
        "Checks the content, reserves the price and records the message in one decision, then "
        "answers. 202 means that the message is on disk and will be sent or, failing that, its "
        "credits released. Messages of test keys go to the sandbox and cost nothing."
    ),
    scopes=SEND_SCOPES,
    body=SendMessage,
    body_examples={
        "one-time password": examples.SEND,
        "plain": {"to": "+254712345678", "text": "Karibu!", "sender": "ACME"},
    },
    takes_idempotency_key=True,
    success=Success(
        202,
        "The message was accepted.",
        MessageView,
        examples.ACCEPTED,
        headers={"Location": "Where the message can be read.", **REPLAYED_NOTE},
    ),
    problems=(
        *SENDING_PROBLEMS,
        "recipient_opted_out",
        "insufficient_credits",
        "spending_cap_reached",
    ),
    counts_messages=True,
)


def log_accepted(message: MessageView, request_id: str) -> None:
    """Log that a message was taken on; its id leads to all that follows."""
    _log.info(
        "message_accepted",
        message_id=message.id,
        account_id=message.account_id,
        request_id=request_id,
    )


class MessageSender:
    """Accepts single messages."""

    def __init__(self, deps: ApiDependencies) -> None:
        self._deps = deps

    async def accept(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Reserve the price, record the message, answer at once; workers do the sending."""
        deps = self._deps
        arrival = arrival_of(request.scope)
        caller = arrival.caller
        await admit_messages(deps, arrival, 1)
        asked = await read_json(request, _decoder)
        idempotency = idempotency_of(arrival, SEND.route_name, asked)
        checked = check_message(asked, arrival, deps)
        answer = await deps.sending.accept(
            caller.billing_account_id,
            checked,
            arrival.cause,
            idempotency,
            caller.account_id,
        )
        if not answer.replayed:
            log_accepted(answer.value, arrival.request_id)
        location = (b"location", b"/v1/messages/" + answer.value.id.encode())
        headers = (location, REPLAYED) if answer.replayed else (location,)
        return Reply(202, answer.written or encode_view(answer.value), headers)


def sending_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the route that sends one message."""
    return [route(SEND, MessageSender(deps).accept)]
