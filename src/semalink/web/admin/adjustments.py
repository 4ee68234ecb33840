"""Adjustments of balances: proposed by one person, approved or rejected by another."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.credit_reading import AdjustmentView
from semalink.application.credits import (
    ApproveAdjustment,
    ProposeAdjustment,
    RejectAdjustment,
)
from semalink.domain.adjustment import Category
from semalink.domain.errors import AdjustmentNotFound
from semalink.domain.ids import ACCOUNT_PREFIX, ADJUSTMENT_PREFIX, parse_id
from semalink.web import examples
from semalink.web.admin.ids import account_id_of
from semalink.web.admin.roles import ANYONE, MONEY
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.cursor import Cursors
from semalink.web.dependencies import AdminDependencies
from semalink.web.field_types import AMOUNT_MICROS_MAX, Cursor, PageSize, Reason
from semalink.web.idempotency import REPLAYED, REPLAYED_NOTE, idempotency_of
from semalink.web.operation import Operation, Success, route
from semalink.web.problems import EdgeRefusal, FieldProblem
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply


class NewAdjustment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A correction to be proposed; below nothing it takes credits away. Money in micros."""

    amount_micros: Annotated[int, msgspec.Meta(ge=-AMOUNT_MICROS_MAX, le=AMOUNT_MICROS_MAX)]
    category: Literal["correction", "goodwill", "write_off", "opening_balance"]
    reason: Reason


class Rejection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why an adjustment is not made."""

    reason: Reason


class AdjustmentQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which adjustments are listed."""

    state: Literal["proposed", "applied", "rejected"] | None = None
    cursor: Cursor | None = None
    limit: PageSize = 20


class Adjustments(msgspec.Struct, frozen=True):
    """A page of adjustments, newest first."""

    items: list[AdjustmentView]
    next_cursor: str | None


_new_adjustment = msgspec.json.Decoder(NewAdjustment)
_rejection = msgspec.json.Decoder(Rejection)
_PATH = "/admin/v1/adjustments"
_ONE = f"{_PATH}/{{adjustment_id:str}}"
_OF_ADJUSTMENT = {"adjustment_id": examples.ADJUSTMENT_ID}
_APPLIED = {
    **examples.ADJUSTMENT,
    "state": "applied",
    "decided_by": "operator:key_01939f00bb207e2d8b66d1ef6ffe0006",
    "decided_at": "2026-11-04T07:20:00Z",
    "entry": 4,
}

PROPOSE = Operation(
    method="POST",
    path="/admin/v1/accounts/{account_id:str}/adjustments",
    operation_id="proposeAdjustment",
    tag="Credits",
    summary="Propose an adjustment",
    description="Asks for a correction of a balance; nothing moves before another key approves it.",
    scopes=MONEY,
    takes_idempotency_key=True,
    path_examples={"account_id": examples.ACCOUNT_ID},
    body=NewAdjustment,
    body_examples={
        "goodwill": {
            "amount_micros": 25_000_000,
            "category": "goodwill",
            "reason": "Outage of 3 November.",
        }
    },
    success=Success(
        201, "The adjustment waits.", AdjustmentView, examples.ADJUSTMENT, headers=REPLAYED_NOTE
    ),
    problems=("account_not_found", "paid_by_agent"),
)
LIST = Operation(
    method="GET",
    path=_PATH,
    operation_id="listAdjustments",
    tag="Credits",
    summary="List adjustments",
    description="Adjustments of all accounts, newest first.",
    scopes=ANYONE,
    query=AdjustmentQuery,
    query_notes={
        "state": "Only those that stand so.",
        "cursor": "The next_cursor of the page before, with the same state.",
        "limit": "Adjustments a page.",
    },
    success=Success(
        200,
        "A page of adjustments.",
        Adjustments,
        {"items": [examples.ADJUSTMENT], "next_cursor": None},
        headers={"Link": 'The next page, rel="next"; absent on the last.'},
    ),
    problems=("invalid_cursor",),
)
APPROVE = Operation(
    method="POST",
    path=f"{_ONE}/approve",
    operation_id="approveAdjustment",
    tag="Credits",
    summary="Approve an adjustment",
    description="Agrees to what another key proposed, and applies it at once.",
    scopes=MONEY,
    path_examples=_OF_ADJUSTMENT,
    success=Success(200, "The balance is adjusted.", AdjustmentView, _APPLIED),
    problems=(
        "adjustment_not_found",
        "adjustment_decided",
        "same_person",
        "insufficient_credits",
    ),
)
REJECT = Operation(
    method="POST",
    path=f"{_ONE}/reject",
    operation_id="rejectAdjustment",
    tag="Credits",
    summary="Reject an adjustment",
    description="Closes an adjustment without effect; whoever proposed it may withdraw it so.",
    scopes=MONEY,
    path_examples=_OF_ADJUSTMENT,
    body=Rejection,
    body_examples={"twice": {"reason": "Entered twice."}},
    success=Success(
        200,
        "Nothing was moved.",
        AdjustmentView,
        {**_APPLIED, "state": "rejected", "entry": None},
    ),
    problems=("adjustment_not_found", "adjustment_decided"),
)


class AdjustmentPages:
    """Takes, lists and decides adjustments."""

    def __init__(self, deps: AdminDependencies) -> None:
        self._deps = deps
        self._cursors = Cursors(deps.key_pepper)

    async def propose(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Record a proposal."""
        account_id = account_id_of(request)
        arrival = arrival_of(request.scope)
        asked = await read_json(request, _new_adjustment)
        if not asked.amount_micros:
            problem = FieldProblem("/amount_micros", "invalid_value", "It must not be nothing.")
            raise EdgeRefusal("validation_failed", "The amount is nothing.", errors=[problem])
        command = ProposeAdjustment(
            self._deps.edge.new_id(arrival.at),
            account_id,
            asked.amount_micros,
            Category(asked.category),
            asked.reason,
            arrival.cause,
            idempotency_of(arrival, PROPOSE.route_name, (account_id.hex, asked)),
        )
        answer = await self._deps.ledger.execute(command)
        view = await self._read(answer.value.adjustment_id)
        headers = (REPLAYED,) if answer.replayed else ()
        return Reply(201, msgspec.json.encode(view), headers)

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of adjustments."""
        query = read_query(request, AdjustmentQuery)
        filters = f"{LIST.path}:{query.state}"
        before = self._cursors.read(query.cursor, filters)
        found = await self._deps.reads.adjustments(
            query.state, before=before, limit=query.limit + 1
        )
        page = list(found[: query.limit])
        if len(found) <= query.limit:
            return Reply(200, msgspec.json.encode(Adjustments(page, None)))
        last_id = parse_id(ADJUSTMENT_PREFIX, page[-1].id)
        assert last_id is not None, "an adjustment that was read has an id"
        cursor = self._cursors.write(last_id, filters)
        body = msgspec.json.encode(Adjustments(page, cursor))
        return Reply(200, body, [next_link(LIST.path, query, cursor)])

    async def approve(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Agree, and apply it."""
        adjustment_id, account_id = await self._find(request)
        cause = arrival_of(request.scope).cause
        await self._deps.ledger.execute(ApproveAdjustment(adjustment_id, account_id, cause))
        return Reply(200, msgspec.json.encode(await self._read(adjustment_id)))

    async def reject(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Close it without effect."""
        asked = await read_json(request, _rejection)
        adjustment_id, account_id = await self._find(request)
        cause = arrival_of(request.scope).cause
        command = RejectAdjustment(adjustment_id, account_id, asked.reason, cause)
        await self._deps.ledger.execute(command)
        return Reply(200, msgspec.json.encode(await self._read(adjustment_id)))

    async def _find(self, request: Request[Any, Any, Any]) -> tuple[UUID, UUID]:
        adjustment_id = parse_id(ADJUSTMENT_PREFIX, request.path_params["adjustment_id"])
        if adjustment_id is None:
            raise AdjustmentNotFound
        account_id = parse_id(ACCOUNT_PREFIX, (await self._read(adjustment_id)).account_id)
        assert account_id is not None, "an adjustment that was read has an account"
        return adjustment_id, account_id

    async def _read(self, adjustment_id: UUID) -> AdjustmentView:
        found = await self._deps.reads.adjustment(adjustment_id)
        if found is None:
            raise AdjustmentNotFound
        return found


def adjustment_routes(deps: AdminDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of adjustments."""
    pages = AdjustmentPages(deps)
    return [
        route(PROPOSE, pages.propose),
        route(LIST, pages.list),
        route(APPROVE, pages.approve),
        route(REJECT, pages.reject),
    ]
