"""An agent's price list, and what it earns by it."""

from typing import Annotated, Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.credit_reading import MarginView
from semalink.application.message_view import MessageView
from semalink.application.reading import MessageFilter
from semalink.application.terms import SetPriceList
from semalink.domain.account import Kind
from semalink.domain.calendar import month_bounds, month_of
from semalink.domain.errors import AccountNotFound, NotAnAgent
from semalink.domain.price_list import InvalidPriceList, PriceList
from semalink.web import examples
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.cursor import Cursors
from semalink.web.customers import OF_CUSTOMER, READ, WRITE, customer_of
from semalink.web.dependencies import ApiDependencies
from semalink.web.field_types import Cursor, PageSize
from semalink.web.live_keys import writing
from semalink.web.message_reading import message_uuid
from semalink.web.operation import Operation, Success, route
from semalink.web.problems import EdgeRefusal, FieldProblem
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply


class NewPriceList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an agent's customers pay; destinations that are not named cost what we ask."""

    segment_micros: Annotated[
        dict[str, int],
        msgspec.Meta(
            max_length=1_000,
            description='Micros a segment by country, as "KE", or network, as "KE/safaricom".',
        ),
    ]


class TooCheap(msgspec.Struct, frozen=True):
    """A price that does not cover what the agent pays. Micros a segment."""

    destination: str
    price_micros: int
    cost_micros: int


class PriceListView(msgspec.Struct, frozen=True):
    """A price list, and where it loses money."""

    segment_micros: dict[str, int]
    below_cost: list[TooCheap]


class SoldMessage(msgspec.Struct, frozen=True):
    """A customer's message, and what its agent earned with it. Money in micros."""

    message: MessageView
    price_micros: int
    #: What leaves the agent's credits.
    cost_micros: int
    #: Price less cost of what stands charged; nothing before the charge and after a refund.
    margin_micros: int


class SoldMessages(msgspec.Struct, frozen=True):
    """A page of a customer's messages, newest first."""

    items: list[SoldMessage]
    next_cursor: str | None


class SoldQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of messages is listed."""

    cursor: Cursor | None = None
    limit: PageSize = 20


class MarginQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of which month margins are told: this one unless given."""

    month: Annotated[str, msgspec.Meta(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$")] | None = None


class Margins(msgspec.Struct, frozen=True):
    """What an agent earned with each customer in a month, in East Africa Time."""

    month: str
    items: list[MarginView]


_decoder = msgspec.json.Decoder(NewPriceList)
_LIST_EXAMPLE = {"segment_micros": {"KE": 950_000, "KE/safaricom": 1_000_000}, "below_cost": []}

READ_PRICES = Operation(
    method="GET",
    path="/v1/price-list",
    operation_id="getPriceList",
    tag="Customers",
    summary="Read the price list",
    description="What the customers of the agent that calls pay for a segment.",
    scopes=READ,
    success=Success(200, "The price list.", PriceListView, _LIST_EXAMPLE),
    problems=("account_not_found", "not_an_agent"),
)
SET_PRICES = Operation(
    method="PUT",
    path="/v1/price-list",
    operation_id="setPriceList",
    tag="Customers",
    summary="Set the price list",
    description=(
        "Replaces the whole list; it holds within a second on every process, for messages that "
        "are accepted from then on. The answer names prices that do not cover what the agent pays."
    ),
    scopes=WRITE,
    body=NewPriceList,
    body_examples={"Kenya": {"segment_micros": {"KE": 950_000, "KE/safaricom": 1_000_000}}},
    success=Success(200, "The list holds from now on.", PriceListView, _LIST_EXAMPLE),
    problems=("account_not_found", "not_an_agent"),
)
SOLD = Operation(
    method="GET",
    path="/v1/customers/{customer_id:str}/messages",
    operation_id="listCustomerMessages",
    tag="Customers",
    summary="List a customer's messages with their margin",
    description="Live messages of one customer, newest first, with price, cost and margin.",
    scopes=READ,
    path_examples=OF_CUSTOMER,
    query=SoldQuery,
    query_notes={"cursor": "The next_cursor of the page before.", "limit": "Messages a page."},
    success=Success(
        200,
        "A page of messages.",
        SoldMessages,
        {
            "items": [
                {
                    "message": {**examples.DELIVERED, "account_id": examples.CUSTOMER_ID},
                    "price_micros": 800_000,
                    "cost_micros": 600_000,
                    "margin_micros": 200_000,
                }
            ],
            "next_cursor": None,
        },
        headers={"Link": 'The next page, rel="next"; absent on the last.'},
    ),
    problems=("account_not_found", "invalid_cursor"),
)
MARGINS = Operation(
    method="GET",
    path="/v1/margins",
    operation_id="listMargins",
    tag="Customers",
    summary="Read the margin of a month",
    description=(
        "Price, cost and margin per customer of what was charged less what was refunded in a "
        "month of East Africa Time (UTC+3)."
    ),
    scopes=READ,
    query=MarginQuery,
    query_notes={"month": "As 2026-11; this month unless given."},
    success=Success(200, "The margins.", Margins, {"month": "2026-11", "items": [examples.MARGIN]}),
)


class PricePages:
    """Shows and sets prices, and tells margins."""

    def __init__(self, deps: ApiDependencies) -> None:
        self._deps = deps
        self._cursors = Cursors(deps.key_pepper)

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with the caller's price list."""
        account = await self._deps.reads.account(arrival_of(request.scope).caller.account_id)
        if account is None:
            raise AccountNotFound
        if account.kind != Kind.AGENT:
            raise NotAnAgent
        return self._shown(account.price_list, PriceList.from_mapping(account.price_list))

    async def replace(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Replace the caller's price list."""
        arrival = writing(request)
        asked = await read_json(request, _decoder)
        prices = read_price_list(asked.segment_micros)
        command = SetPriceList(arrival.caller.account_id, asked.segment_micros, arrival.cause)
        await self._deps.ledger.execute(command)
        return self._shown(asked.segment_micros, prices)

    async def sold(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a customer's messages and what they earned."""
        query = read_query(request, SoldQuery)
        customer_id, _ = await customer_of(request, self._deps)
        path = SOLD.path.replace("{customer_id:str}", request.path_params["customer_id"])
        before = self._cursors.read(query.cursor, path)
        found = await self._deps.reads.messages(
            customer_id, MessageFilter(mode="live"), before=before, limit=query.limit + 1
        )
        page = list(found[: query.limit])
        ids = [message_uuid(message.id) for message in page]
        costs = await self._deps.reads.message_costs(ids)
        items = [
            _sold(message, costs[message_id]) for message_id, message in zip(ids, page, strict=True)
        ]
        if len(found) <= query.limit:
            return Reply(200, msgspec.json.encode(SoldMessages(items, None)))
        cursor = self._cursors.write(ids[-1], path)
        body = msgspec.json.encode(SoldMessages(items, cursor))
        return Reply(200, body, [next_link(path, query, cursor)])

    async def margins(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with what the caller earned in a month."""
        arrival = arrival_of(request.scope)
        month = read_query(request, MarginQuery).month or month_of(arrival.at)
        found = await self._deps.reads.margins(arrival.caller.account_id, *month_bounds(month))
        return Reply(200, msgspec.json.encode(Margins(month, list(found))))

    def _shown(self, segment_micros: dict[str, int], prices: PriceList) -> Reply:
        below = [TooCheap(*one) for one in prices.below_cost(self._deps.rules().rate_card)]
        return Reply(200, msgspec.json.encode(PriceListView(segment_micros, below)))


def read_price_list(segment_micros: dict[str, int]) -> PriceList:
    """Return a price list as a request gives it; raises EdgeRefusal, which says what is wrong."""
    try:
        return PriceList.from_mapping(segment_micros)
    except InvalidPriceList as fault:
        problem = FieldProblem("/segment_micros", "invalid_value", str(fault))
        raise EdgeRefusal("validation_failed", str(fault), errors=[problem]) from fault


def _sold(message: MessageView, cost_micros: int) -> SoldMessage:
    stands = message.charged_micros > message.refunded_micros
    margin = message.price_micros - cost_micros if stands else 0
    return SoldMessage(message, message.price_micros, cost_micros, margin)


def price_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of prices and margins."""
    pages = PricePages(deps)
    return [
        route(READ_PRICES, pages.read),
        route(SET_PRICES, pages.replace),
        route(SOLD, pages.sold),
        route(MARGINS, pages.margins),
    ]
