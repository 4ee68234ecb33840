"""An agent's customers: opened, listed, capped, given credits."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.accounts import OpenAccount
from semalink.application.credit_reading import CustomerView
from semalink.application.credits import TransferCredits
from semalink.application.terms import SetSpendingCap
from semalink.domain.account import Kind, Tier
from semalink.domain.errors import AccountNotFound
from semalink.domain.ids import ACCOUNT_PREFIX, TRANSFER_PREFIX, format_id, parse_id
from semalink.web import examples
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.cursor import Cursors
from semalink.web.dependencies import ApiDependencies
from semalink.web.field_types import (
    AmountMicros,
    Cursor,
    LimitMicros,
    Name,
    PageSize,
    Reason,
    account_uuid,
)
from semalink.web.idempotency import REPLAYED, REPLAYED_NOTE, idempotency_of
from semalink.web.live_keys import writing
from semalink.web.operation import Operation, Success, route
from semalink.web.problems import EdgeRefusal, FieldProblem
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply

READ = frozenset({"customers:read"})
WRITE = frozenset({"customers:write"})
_PATH = "/v1/customers"
_ONE = f"{_PATH}/{{customer_id:str}}"
OF_CUSTOMER = {"customer_id": examples.CUSTOMER_ID}


class NewCustomer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A customer to be opened; its agent pays for it unless it pays for itself."""

    name: Name
    tier: Literal["starter", "growth", "enterprise"] = "starter"
    pays_itself: bool = False


class SpendingCap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be spent of the agent's credits in a month, in the customer's prices."""

    spending_cap_micros: Annotated[LimitMicros | None, msgspec.Meta(description="Null: no cap.")]


class NewTransfer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Credits to be given to a customer that pays for itself."""

    amount_micros: AmountMicros
    reason: Reason


class Transferred(msgspec.Struct, frozen=True):
    """Credits that a customer was given, and what the agent has left."""

    id: str
    customer_id: str
    amount_micros: int
    posted_micros: int
    available_micros: int


class Customers(msgspec.Struct, frozen=True):
    """A page of customers, oldest first."""

    items: list[CustomerView]
    next_cursor: str | None


class CustomerQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of customers is listed."""

    cursor: Cursor | None = None
    limit: PageSize = 20


_new_customer = msgspec.json.Decoder(NewCustomer)
_cap = msgspec.json.Decoder(SpendingCap)
_new_transfer = msgspec.json.Decoder(NewTransfer)

OPEN = Operation(
    method="POST",
    path=_PATH,
    operation_id="openCustomer",
    tag="Customers",
    summary="Open a customer",
    description=(
        "Opens an account under the agent that calls. What the customer sends is priced by the "
        "agent's price list, and its cost leaves the agent's credits, unless it pays for itself. "
        "Months of spending are those of East Africa Time (UTC+3)."
    ),
    scopes=WRITE,
    takes_idempotency_key=True,
    body=NewCustomer,
    body_examples={"paid by the agent": {"name": "Duka la Mama"}},
    success=Success(
        201,
        "The customer is open.",
        CustomerView,
        examples.CUSTOMER,
        headers={"Location": "Where the customer can be read.", **REPLAYED_NOTE},
    ),
    problems=("not_an_agent",),
)
LIST = Operation(
    method="GET",
    path=_PATH,
    operation_id="listCustomers",
    tag="Customers",
    summary="List customers",
    description="The customers of the agent that calls, oldest first; none for other accounts.",
    scopes=READ,
    query=CustomerQuery,
    query_notes={"cursor": "The next_cursor of the page before.", "limit": "Customers a page."},
    success=Success(
        200,
        "A page of customers.",
        Customers,
        {"items": [examples.CUSTOMER], "next_cursor": None},
        headers={"Link": 'The next page, rel="next"; absent on the last.'},
    ),
    problems=("invalid_cursor",),
)
READ_ONE = Operation(
    method="GET",
    path=_ONE,
    operation_id="getCustomer",
    tag="Customers",
    summary="Read a customer",
    description="The customer, its cap and what it spent this month.",
    scopes=READ,
    path_examples=OF_CUSTOMER,
    success=Success(200, "The customer.", CustomerView, examples.CUSTOMER),
    problems=("account_not_found",),
)
CAP = Operation(
    method="PUT",
    path=f"{_ONE}/spending-cap",
    operation_id="setSpendingCap",
    tag="Customers",
    summary="Cap a customer's spending",
    description=(
        "Bounds what the customer may spend of the agent's credits in a month. What it reserved "
        "counts at once, and what is given back counts no more. Null lifts the cap."
    ),
    scopes=WRITE,
    path_examples=OF_CUSTOMER,
    body=SpendingCap,
    body_examples={"500 credits": {"spending_cap_micros": 500_000_000}},
    success=Success(200, "The cap holds from now on.", CustomerView, examples.CUSTOMER),
    problems=("account_not_found", "not_paid_by_agent"),
)
TRANSFER = Operation(
    method="POST",
    path=f"{_ONE}/transfers",
    operation_id="transferToCustomer",
    tag="Customers",
    summary="Give credits to a customer",
    description="Moves credits that the agent bought to a customer that pays for itself.",
    scopes=WRITE,
    takes_idempotency_key=True,
    path_examples=OF_CUSTOMER,
    body=NewTransfer,
    body_examples={"250": {"amount_micros": 250_000_000, "reason": "first credits"}},
    success=Success(
        201,
        "The customer has the credits.",
        Transferred,
        {
            "id": examples.TRANSFER_ID,
            "customer_id": examples.CUSTOMER_ID,
            "amount_micros": 250_000_000,
            "posted_micros": 250_000_000,
            "available_micros": 249_200_000,
        },
        headers=REPLAYED_NOTE,
    ),
    problems=("account_not_found", "insufficient_credits", "paid_by_agent"),
)


class CustomerPages:
    """Opens, shows and bounds customers."""

    def __init__(self, deps: ApiDependencies) -> None:
        self._deps = deps
        self._cursors = Cursors(deps.key_pepper)

    async def open(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Open a customer under the caller."""
        arrival = writing(request)
        asked = await read_json(request, _new_customer)
        _check_tier(asked.tier, arrival.caller.tier)
        command = OpenAccount(
            self._deps.edge.new_id(arrival.at),
            asked.name,
            Kind.CUSTOMER,
            Tier(asked.tier),
            arrival.cause,
            idempotency_of(arrival, OPEN.route_name, asked),
            agent_id=arrival.caller.account_id,
            pays_itself=asked.pays_itself,
        )
        answer = await self._deps.ledger.execute(command)
        opened = answer.value
        view = CustomerView(
            id=format_id(ACCOUNT_PREFIX, opened.account_id),
            name=opened.name,
            tier=opened.tier.value,
            pays_itself=opened.billing_account_id == opened.account_id,
            spending_cap_micros=None,
            spent_this_month_micros=0,
            opened_at=opened.opened_at,
        )
        location = (b"location", f"{_PATH}/{view.id}".encode())
        headers = (location, REPLAYED) if answer.replayed else (location,)
        return Reply(201, msgspec.json.encode(view), headers)

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of the caller's customers."""
        query = read_query(request, CustomerQuery)
        agent_id = arrival_of(request.scope).caller.account_id
        filters = f"{LIST.path}:{agent_id}"
        after = self._cursors.read(query.cursor, filters)
        found = await self._deps.reads.customers(agent_id, after=after, limit=query.limit + 1)
        page = list(found[: query.limit])
        if len(found) <= query.limit:
            return Reply(200, msgspec.json.encode(Customers(page, None)))
        last_id = parse_id(ACCOUNT_PREFIX, page[-1].id)
        assert last_id is not None, "a customer that was read has an id"
        cursor = self._cursors.write(last_id, filters)
        body = msgspec.json.encode(Customers(page, cursor))
        return Reply(200, body, [next_link(LIST.path, query, cursor)])

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with one customer of the caller."""
        _, view = await customer_of(request, self._deps)
        return Reply(200, msgspec.json.encode(view))

    async def cap(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Bound what a customer may spend of the caller's credits."""
        arrival = writing(request)
        asked = await read_json(request, _cap)
        customer_id, view = await customer_of(request, self._deps)
        agent_id = arrival.caller.account_id
        command = SetSpendingCap(
            customer_id,
            customer_id if view.pays_itself else agent_id,
            asked.spending_cap_micros,
            arrival.cause,
        )
        await self._deps.ledger.execute(command)
        changed = msgspec.structs.replace(view, spending_cap_micros=asked.spending_cap_micros)
        return Reply(200, msgspec.json.encode(changed))

    async def transfer(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Give the caller's credits to a customer that pays for itself."""
        arrival = writing(request)
        asked = await read_json(request, _new_transfer)
        customer_id, _ = await customer_of(request, self._deps)
        command = TransferCredits(
            self._deps.edge.new_id(arrival.at),
            arrival.caller.account_id,
            customer_id,
            asked.amount_micros,
            asked.reason,
            arrival.cause,
            idempotency_of(arrival, TRANSFER.route_name, (customer_id.hex, asked)),
        )
        answer = await self._deps.ledger.execute(command)
        moved = answer.value
        shown = Transferred(
            id=format_id(TRANSFER_PREFIX, moved.transfer_id),
            customer_id=format_id(ACCOUNT_PREFIX, customer_id),
            amount_micros=moved.amount_micros,
            posted_micros=moved.sender.posted_micros,
            available_micros=moved.sender.available_micros,
        )
        return Reply(201, msgspec.json.encode(shown), (REPLAYED,) if answer.replayed else ())


async def customer_of(
    request: Request[Any, Any, Any], deps: ApiDependencies
) -> tuple[UUID, CustomerView]:
    """Return the customer that a path names; raises AccountNotFound for another agent's."""
    customer_id = account_uuid(request.path_params["customer_id"])
    agent_id = arrival_of(request.scope).caller.account_id
    view = await deps.reads.customer(agent_id, customer_id)
    if view is None:
        raise AccountNotFound
    return customer_id, view


def _check_tier(asked: str, own: str) -> None:
    # How fast customers may send is the platform's to sell.
    tiers = [str(tier) for tier in Tier]
    if tiers.index(asked) > tiers.index(own):
        detail = f"A customer's tier may not be above your own, which is {own}."
        problem = FieldProblem("/tier", "invalid_value", detail)
        raise EdgeRefusal("validation_failed", detail, errors=[problem])


def customer_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of customers."""
    pages = CustomerPages(deps)
    return [
        route(OPEN, pages.open),
        route(LIST, pages.list),
        route(READ_ONE, pages.read),
        route(CAP, pages.cap),
        route(TRANSFER, pages.transfer),
    ]
