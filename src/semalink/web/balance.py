"""The balance of the caller's credits, now or at any point of their history."""

from typing import Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.credit_reading import BalanceView
from semalink.web import examples
from semalink.web.arrival import arrival_of
from semalink.web.dependencies import ApiDependencies
from semalink.web.ledger_entries import BALANCE_NOTES, BalanceQuery, EntryPages
from semalink.web.operation import Operation, Success, route
from semalink.web.query import read_query
from semalink.web.reply import Reply

BALANCE = Operation(
    method="GET",
    path="/v1/balance",
    operation_id="getBalance",
    tag="Credits",
    summary="Read the balance",
    description=(
        "The credits of the account, as of now, of an instant, or after an entry. Available is "
        "posted less reserved plus the credit limit. An account whose agent pays has no credits: "
        "it sees what it spent this month and its cap, and the rest is null."
    ),
    scopes=frozenset({"balance:read"}),
    query=BalanceQuery,
    query_notes=BALANCE_NOTES,
    success=Success(200, "The balance.", BalanceView, examples.BALANCE),
    problems=("account_not_found", "entry_not_found", "paid_by_agent"),
)


class BalanceReader:
    """Answers with balances."""

    def __init__(self, deps: ApiDependencies) -> None:
        self._pages = EntryPages(deps.reads, deps.key_pepper)

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with the caller's balance."""
        query = read_query(request, BalanceQuery)
        account_id = arrival_of(request.scope).caller.account_id
        return Reply(200, msgspec.json.encode(await self._pages.balance(account_id, query)))


def balance_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the route that reads the balance."""
    return [route(BALANCE, BalanceReader(deps).read)]
