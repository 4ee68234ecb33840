"""How an account sends: its sender ids and the aggregator that it prefers."""

from typing import Annotated, Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.accounts import PreferRoute
from semalink.application.sender_ids import ApproveSender
from semalink.domain.sender_id import SenderClass
from semalink.web import examples
from semalink.web.admin.ids import account_id_of
from semalink.web.admin.roles import OPERATIONS
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.dependencies import AdminDependencies
from semalink.web.operation import Operation, Success, route
from semalink.web.reply import Reply
from semalink.web.sender_id_shapes import (
    Class,
    OptOutText,
    SenderText,
    invalid_field,
    read_opt_out_text,
    read_sender,
    refuse_shared,
)


class NewSender(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sender id to be approved."""

    sender: SenderText
    sender_class: Class = msgspec.field(default="transactional", name="class")
    reason: Annotated[str, msgspec.Meta(max_length=500, pattern=r"^[^\u0000-\u001f\u007f]*$")] = ""
    opt_out_text: OptOutText = None


class PreferredRoute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The aggregator that is tried first; null for the platform's order."""

    aggregator: Annotated[str, msgspec.Meta(max_length=40)] | None


_sender_decoder = msgspec.json.Decoder(NewSender)
_route_decoder = msgspec.json.Decoder(PreferredRoute)
_OF_ACCOUNT = {"account_id": examples.ACCOUNT_ID}

APPROVE_SENDER = Operation(
    method="POST",
    path="/admin/v1/accounts/{account_id:str}/senders",
    operation_id="approveSender",
    tag="Accounts",
    summary="Approve a sender id",
    description=(
        "Lets an account send under a sender id, whether it asked for it or not; approving it "
        "twice changes nothing. Unless a class is given, it is transactional. A sender id that "
        "all accounts share is refused."
    ),
    scopes=OPERATIONS,
    path_examples=_OF_ACCOUNT,
    body=NewSender,
    body_examples={
        "name": {"sender": "ACME"},
        "short code": {"sender": "40123"},
        "promotional": {
            "sender": "ACMEDEALS",
            "class": "promotional",
            "reason": "Letter of 3 November.",
        },
    },
    success=Success(
        201,
        "The sender id is approved.",
        NewSender,
        {"sender": "ACME", "class": "transactional", "reason": "", "opt_out_text": None},
    ),
    problems=("account_not_found",),
)
PREFER_ROUTE = Operation(
    method="PUT",
    path="/admin/v1/accounts/{account_id:str}/route",
    operation_id="preferRoute",
    tag="Accounts",
    summary="Choose an account's first aggregator",
    description="Messages of the account try this aggregator first; the others stay its fallback.",
    scopes=OPERATIONS,
    path_examples=_OF_ACCOUNT,
    body=PreferredRoute,
    body_examples={"one": {"aggregator": "africastalking"}, "none": {"aggregator": None}},
    success=Success(200, "The choice holds.", PreferredRoute, {"aggregator": "africastalking"}),
    problems=("account_not_found",),
)


class SendingSettings:
    """Sets how accounts send."""

    def __init__(self, deps: AdminDependencies) -> None:
        self._ledger = deps.ledger
        self._aggregators = frozenset(deps.aggregators)
        self._shared = deps.shared_senders

    async def approve_sender(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Approve a sender id."""
        account_id = account_id_of(request)
        asked = await read_json(request, _sender_decoder)
        refuse_shared(asked.sender, self._shared)
        command = ApproveSender(
            account_id,
            read_sender(asked.sender),
            arrival_of(request.scope).cause,
            SenderClass(asked.sender_class),
            asked.reason,
            read_opt_out_text(asked.opt_out_text),
        )
        await self._ledger.execute(command)
        return Reply(201, msgspec.json.encode(asked))

    async def prefer_route(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Choose the aggregator that is tried first."""
        account_id = account_id_of(request)
        asked = await read_json(request, _route_decoder)
        if asked.aggregator is not None and asked.aggregator not in self._aggregators:
            known = ", ".join(sorted(self._aggregators))
            raise invalid_field("aggregator", f"The aggregators are {known}.")
        cause = arrival_of(request.scope).cause
        await self._ledger.execute(PreferRoute(account_id, asked.aggregator, cause))
        return Reply(200, msgspec.json.encode(asked))


def sending_settings_routes(deps: AdminDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of sender ids and routes."""
    settings = SendingSettings(deps)
    return [
        route(APPROVE_SENDER, settings.approve_sender),
        route(PREFER_ROUTE, settings.prefer_route),
    ]
