"""Sender ids of all accounts: listed, and decided by operators."""

from typing import Annotated, Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.content_reading import SenderIdFilter, SenderIdView
from semalink.application.sender_ids import (
    ApproveSender,
    ChangeSenderClass,
    RejectSender,
    WithdrawSender,
)
from semalink.domain.content_errors import SenderIdNotFound
from semalink.domain.sender_id import SenderClass
from semalink.web.admin.roles import ANYONE, OPERATIONS
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.cursor import PlaceCursors
from semalink.web.dependencies import AdminDependencies
from semalink.web.field_types import AccountText, Cursor, PageSize, Reason, account_uuid
from semalink.web.operation import Operation, Success, route
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply
from semalink.web.sender_id_shapes import (
    EXAMPLE,
    OF_SENDER_ID,
    TAG,
    Class,
    OptOutText,
    SenderIds,
    State,
    place_of,
    read_opt_out_text,
    refuse_shared,
    sender_id_in,
)


class Classing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The class of a sender id, and why."""

    sender_class: Class = msgspec.field(name="class")
    reason: Reason
    opt_out_text: OptOutText = None


class Refusal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why nothing may be sent under a sender id."""

    reason: Reason


class AnySenderIdQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which sender ids are listed."""

    account_id: AccountText | None = None
    state: State | None = None
    sender_class: Class | None = msgspec.field(default=None, name="class")
    sender: Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[^\u0000]*$")] | None = None
    cursor: Cursor | None = None
    limit: PageSize = 20


_classing = msgspec.json.Decoder(Classing)
_refusal = msgspec.json.Decoder(Refusal)
_PATH = "/admin/v1/sender-ids"
_ONE = f"{_PATH}/{{sender_id:str}}"
_CLASS_EXAMPLES = {"promotional": {"class": "promotional", "reason": "Letter of 3 November."}}
_REASON_EXAMPLES = {"another's name": {"reason": "The name belongs to another company."}}

LIST = Operation(
    method="GET",
    path=_PATH,
    operation_id="listAnySenderIds",
    tag=TAG,
    summary="List sender ids",
    description=(
        "Sender ids of all accounts, the last asked for first. `state=requested` is what waits "
        "for a decision."
    ),
    scopes=ANYONE,
    query=AnySenderIdQuery,
    query_notes={
        "account_id": "Only those of this account.",
        "state": "Only those in this state.",
        "class": "Only those of this class.",
        "sender": "Only this sender id, whoever has it.",
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
    problems=("invalid_cursor", "account_not_found"),
)
READ_ONE = Operation(
    method="GET",
    path=_ONE,
    operation_id="getAnySenderId",
    tag=TAG,
    summary="Read a sender id",
    description="The sender id; who decided it, and when, is in its history.",
    scopes=ANYONE,
    path_examples=OF_SENDER_ID,
    success=Success(200, "The sender id.", SenderIdView, EXAMPLE),
    problems=("sender_id_not_found",),
)
APPROVE = Operation(
    method="POST",
    path=f"{_ONE}/approve",
    operation_id="approveSenderId",
    tag=TAG,
    summary="Approve a sender id",
    description=(
        "Lets the account send under it. A sender id that any account uses for anything "
        "promotional counts as promotional for all of them, in whatever letters they write it. "
        "One that all accounts share is refused: its class is in the settings."
    ),
    scopes=OPERATIONS,
    path_examples=OF_SENDER_ID,
    body=Classing,
    body_examples=_CLASS_EXAMPLES,
    success=Success(200, "The sender id is approved.", SenderIdView, EXAMPLE),
    problems=("sender_id_not_found",),
)
REJECT = Operation(
    method="POST",
    path=f"{_ONE}/reject",
    operation_id="rejectSenderId",
    tag=TAG,
    summary="Reject a sender id",
    description="Says no to a request. The account reads the reason, and may ask once more.",
    scopes=OPERATIONS,
    path_examples=OF_SENDER_ID,
    body=Refusal,
    body_examples=_REASON_EXAMPLES,
    success=Success(
        200, "The sender id is rejected.", SenderIdView, {**EXAMPLE, "state": "rejected"}
    ),
    problems=("sender_id_not_found", "sender_id_in_other_state"),
)
WITHDRAW = Operation(
    method="POST",
    path=f"{_ONE}/withdraw",
    operation_id="withdrawSenderId",
    tag=TAG,
    summary="Withdraw a sender id",
    description="Within a second nothing more is accepted under it. What was accepted is sent.",
    scopes=OPERATIONS,
    path_examples=OF_SENDER_ID,
    body=Refusal,
    body_examples=_REASON_EXAMPLES,
    success=Success(
        200, "The sender id is withdrawn.", SenderIdView, {**EXAMPLE, "state": "withdrawn"}
    ),
    problems=("sender_id_not_found", "sender_id_in_other_state"),
)
CLASS = Operation(
    method="PUT",
    path=f"{_ONE}/class",
    operation_id="changeSenderIdClass",
    tag=TAG,
    summary="Class a sender id anew",
    description="Changes the class of an approved sender id, and the text that is added.",
    scopes=OPERATIONS,
    path_examples=OF_SENDER_ID,
    body=Classing,
    body_examples=_CLASS_EXAMPLES,
    success=Success(200, "The class holds from now on.", SenderIdView, EXAMPLE),
    problems=("sender_id_not_found", "sender_id_in_other_state"),
)


class SenderIdDesk:
    """Shows and decides sender ids."""

    def __init__(self, deps: AdminDependencies) -> None:
        self._ledger = deps.ledger
        self._reads = deps.sender_ids
        self._shared = deps.shared_senders
        self._cursors = PlaceCursors(deps.key_pepper)

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of sender ids."""
        query = read_query(request, AnySenderIdQuery)
        wanted = SenderIdFilter(
            None if query.account_id is None else account_uuid(query.account_id),
            query.state,
            query.sender_class,
            query.sender,
        )
        filters = f"{_PATH}:{wanted}"
        before = self._cursors.read(query.cursor, filters)
        found = await self._reads.sender_ids(wanted, before=before, limit=query.limit + 1)
        page = list(found[: query.limit])
        if len(found) <= query.limit:
            return Reply(200, msgspec.json.encode(SenderIds(page, None)))
        cursor = self._cursors.write(place_of(page[-1]), filters)
        body = msgspec.json.encode(SenderIds(page, cursor))
        return Reply(200, body, [next_link(_PATH, query, cursor)])

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with one sender id."""
        return await self._shown(request)

    async def approve(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Let its account send under it."""
        asked = await read_json(request, _classing)
        view = await self._view(request)
        refuse_shared(view.sender, self._shared)
        await self._ledger.execute(
            ApproveSender(
                account_uuid(view.account_id),
                view.sender,
                arrival_of(request.scope).cause,
                SenderClass(asked.sender_class),
                asked.reason,
                read_opt_out_text(asked.opt_out_text),
            )
        )
        return await self._shown(request)

    async def reject(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Say no."""
        return await self._stop(request, RejectSender)

    async def withdraw(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Let nothing more be sent under it."""
        return await self._stop(request, WithdrawSender)

    async def change_class(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Class it anew."""
        asked = await read_json(request, _classing)
        view = await self._view(request)
        refuse_shared(view.sender, self._shared)
        await self._ledger.execute(
            ChangeSenderClass(
                account_uuid(view.account_id),
                view.sender,
                SenderClass(asked.sender_class),
                asked.reason,
                arrival_of(request.scope).cause,
                read_opt_out_text(asked.opt_out_text),
            )
        )
        return await self._shown(request)

    async def _stop(
        self, request: Request[Any, Any, Any], command: type[RejectSender | WithdrawSender]
    ) -> ASGIApp:
        asked = await read_json(request, _refusal)
        view = await self._view(request)
        cause = arrival_of(request.scope).cause
        account_id = account_uuid(view.account_id)
        await self._ledger.execute(command(account_id, view.sender, asked.reason, cause))
        return await self._shown(request)

    async def _view(self, request: Request[Any, Any, Any]) -> SenderIdView:
        view = await self._reads.sender_id(sender_id_in(request), None)
        if view is None:
            raise SenderIdNotFound
        return view

    async def _shown(self, request: Request[Any, Any, Any]) -> Reply:
        return Reply(200, msgspec.json.encode(await self._view(request)))


def any_sender_id_routes(deps: AdminDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of sender ids."""
    desk = SenderIdDesk(deps)
    return [
        route(LIST, desk.list),
        route(READ_ONE, desk.read),
        route(APPROVE, desk.approve),
        route(REJECT, desk.reject),
        route(WITHDRAW, desk.withdraw),
        route(CLASS, desk.change_class),
    ]
