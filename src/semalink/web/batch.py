"""Sending many messages at once: one outcome for each, in order."""

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.sending import BatchItem, BatchOutcome, Checked
from semalink.web import examples
from semalink.web.arrival import Arrival, arrival_of
from semalink.web.body import read_json
from semalink.web.content import SendMessage, check_message
from semalink.web.dependencies import ApiDependencies
from semalink.web.idempotency import REPLAYED, REPLAYED_NOTE, idempotency_of
from semalink.web.limiting import admit_messages
from semalink.web.messages import SEND_SCOPES, log_accepted
from semalink.web.operation import Operation, Success, route
from semalink.web.reply import Reply

BATCH_BYTES_MAX = 2 * 1024 * 1024
MESSAGES_MAX = 1_000
#: Other requests get their turn after so many checks, or log lines.
_CHECKS_AT_A_STRETCH = 100


class SendBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Messages to be sent together."""

    messages: Annotated[list[SendMessage], msgspec.Meta(min_length=1, max_length=MESSAGES_MAX)]


_decoder = msgspec.json.Decoder(SendBatch)

SEND_MANY = Operation(
    method="POST",
    path="/v1/messages/batch",
    operation_id="sendMessageBatch",
    tag="Messages",
    summary="Send up to 1,000 messages",
    description=(
        "Decides each message on its own: a refused one stops no other. The answer has one item "
        "a message, in order, with the message or with why it was refused. An Idempotency-Key "
        "covers the batch as a whole."
    ),
    scopes=SEND_SCOPES,
    body=SendBatch,
    body_examples={"two messages": {"messages": [examples.SEND, {**examples.SEND, "to": "+1"}]}},
    takes_idempotency_key=True,
    success=Success(
        202,
        "The batch was decided.",
        BatchOutcome,
        {
            "accepted_count": 1,
            "refused_count": 1,
            "items": [
                {"index": 0, "message": examples.ACCEPTED},
                {
                    "index": 1,
                    "refused": {
                        "code": "invalid_number",
                        "detail": "The number has too few digits. "
                        "Write the number in E.164, as +254712345678.",
                        "pointer": "/messages/1/to",
                    },
                },
            ],
        },
        headers=REPLAYED_NOTE,
    ),
    problems=("batch_over_burst",),
    counts_messages=True,
)


class BatchSender:
    """Accepts batches of messages."""

    def __init__(self, deps: ApiDependencies) -> None:
        self._deps = deps

    async def accept(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Reserve and record what can be sent and paid, refuse the rest, answer for each."""
        arrival = arrival_of(request.scope)
        asked = await read_json(request, _decoder, bytes_max=BATCH_BYTES_MAX)
        await admit_messages(self._deps, arrival, len(asked.messages))
        idempotency = idempotency_of(arrival, SEND_MANY.route_name, asked)
        checked = await self._check(asked, arrival)
        answer = await self._deps.sending.accept_batch(
            arrival.caller.billing_account_id,
            checked,
            arrival.cause,
            idempotency,
            arrival.caller.account_id,
        )
        if not answer.replayed:
            await _log_items(answer.value, arrival.request_id)
        headers = (REPLAYED,) if answer.replayed else ()
        return Reply(202, msgspec.json.encode(_with_places(answer.value)), headers)

    async def _check(self, asked: SendBatch, arrival: Arrival) -> list[Checked]:
        checked: list[Checked] = []
        for index, message in enumerate(asked.messages, 1):
            checked.append(check_message(message, arrival, self._deps))
            if index % _CHECKS_AT_A_STRETCH == 0:
                await asyncio.sleep(0)
        # Each refusal is told with its item, none with the request as a whole.
        arrival.refusals = ()
        return checked


async def _log_items(outcome: BatchOutcome, request_id: str) -> None:
    for index, item in enumerate(outcome.items, 1):
        if item.message is not None:
            log_accepted(item.message, request_id)
        if index % _CHECKS_AT_A_STRETCH == 0:
            await asyncio.sleep(0)


def _with_places(outcome: BatchOutcome) -> BatchOutcome:
    items = [_with_place(item) for item in outcome.items]
    return msgspec.structs.replace(outcome, items=items)


def _with_place(item: BatchItem) -> BatchItem:
    refused = item.refused
    if refused is None or refused.pointer is None:
        return item
    place = f"/messages/{item.index}{refused.pointer}"
    return msgspec.structs.replace(item, refused=msgspec.structs.replace(refused, pointer=place))


def batch_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the route that sends many messages."""
    return [route(SEND_MANY, BatchSender(deps).accept)]
