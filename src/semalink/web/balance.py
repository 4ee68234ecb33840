"""The balance of the account that pays."""

from typing import Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.credit_reading import BalanceView
from semalink.application.reading import Reads
from semalink.domain.errors import AccountNotFound
from semalink.web import examples
from semalink.web.arrival import arrival_of
from semalink.web.dependencies import ApiDependencies
from semalink.web.operation import Operation, Success, route
from semalink.web.reply import Reply

BALANCE = Operation(
    method="GET",
    path="/v1/balance",
    operation_id="getBalance",
    tag="Credits",
    summary="Read the balance",
    description=(
        "The credits of the account that pays for the key's account, as of now. "
        "Available is posted less reserved plus the credit limit."
    ),
    scopes=frozenset({"balance:read"}),
    success=Success(200, "The balance.", BalanceView, examples.BALANCE),
    problems=("account_not_found",),
)


class BalanceReader:
    """Answers with balances."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with the caller's balance."""
        balance = await self._reads.balance(arrival_of(request.scope).caller.account_id)
        if balance is None:
            raise AccountNotFound
        return Reply(200, msgspec.json.encode(balance))


def balance_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the route that reads the balance."""
    return [route(BALANCE, BalanceReader(deps.reads).read)]
