"""Any account's balance at any time, and its entries."""

from dataclasses import replace
from typing import Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.domain.errors import AccountNotFound
from semalink.web import examples
from semalink.web.admin.ids import account_id_of
from semalink.web.admin.roles import ANYONE
from semalink.web.balance import BALANCE
from semalink.web.dependencies import AdminDependencies
from semalink.web.ledger_entries import LIST_ENTRIES, BalanceQuery, EntryPages, EntryQuery
from semalink.web.operation import route
from semalink.web.query import read_query
from semalink.web.reply import Reply

_ACCOUNT = "/admin/v1/accounts/{account_id:str}"
_OF_ACCOUNT = {"account_id": examples.ACCOUNT_ID}

BALANCE_OF = replace(
    BALANCE,
    path=f"{_ACCOUNT}/balance",
    operation_id="getBalanceOfAccount",
    summary="Read an account's balance",
    scopes=ANYONE,
    path_examples=_OF_ACCOUNT,
)
ENTRIES_OF = replace(
    LIST_ENTRIES,
    path=f"{_ACCOUNT}/entries",
    operation_id="listEntriesOfAccount",
    summary="List what moved an account's credits",
    description="The ledger entries of one account, newest first, with the balance after each.",
    scopes=ANYONE,
    path_examples=_OF_ACCOUNT,
    problems=("account_not_found", "invalid_cursor"),
)


class AnyLedger:
    """Shows balances and entries of any account."""

    def __init__(self, deps: AdminDependencies) -> None:
        self._reads = deps.reads
        self._pages = EntryPages(deps.reads, deps.key_pepper)

    async def balance(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with the balance of one account."""
        query = read_query(request, BalanceQuery)
        return Reply(
            200, msgspec.json.encode(await self._pages.balance(account_id_of(request), query))
        )

    async def entries(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of the entries of one account."""
        query = read_query(request, EntryQuery)
        account_id = account_id_of(request)
        if await self._reads.account(account_id) is None:
            raise AccountNotFound
        path = ENTRIES_OF.path.replace("{account_id:str}", request.path_params["account_id"])
        return await self._pages.own(path, account_id, query)


def any_ledger_routes(deps: AdminDependencies) -> list[HTTPRouteHandler]:
    """Return the routes that read any account's credits."""
    ledger = AnyLedger(deps)
    return [route(BALANCE_OF, ledger.balance), route(ENTRIES_OF, ledger.entries)]
