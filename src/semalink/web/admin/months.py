"""Closing months, the trial balance, and any account's statements."""

from dataclasses import replace
from typing import Annotated, Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.months import ClosedMonth, Months, TrialBalance
from semalink.web import examples
from semalink.web.admin.ids import account_id_of
from semalink.web.admin.roles import ANYONE, MONEY
from semalink.web.arrival import arrival_of
from semalink.web.dependencies import AdminDependencies
from semalink.web.operation import Operation, Success, route
from semalink.web.query import read_query
from semalink.web.reply import Reply
from semalink.web.statements import (
    LIST,
    MONTH_EXAMPLE,
    READ,
    checked_month,
    month_in_path,
    months_reply,
    statement_reply,
)

_CLOSED: dict[str, Any] = {
    "month": MONTH_EXAMPLE,
    "account_count": 12,
    "entry_count": 48_210,
    "posted_micros": 91_250_400_000,
    "reserved_micros": 0,
    "positions_sha256": "5f" * 32,
    "closed_by": "operator:0198c0de5ca17000800000000000000a",
    "closed_at": "2026-11-01T06:00:00Z",
}


class MonthQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The month that is asked for."""

    month: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}$")] | None = None


class ClosedMonths(msgspec.Struct, frozen=True):
    """Closed months, newest first."""

    items: list[ClosedMonth]
    next_cursor: str | None = None


class Closing(msgspec.Struct, frozen=True):
    """A month that is closed, and whether it was before this request."""

    month: ClosedMonth
    closed_before: bool


LIST_MONTHS = Operation(
    method="GET",
    path="/admin/v1/months",
    operation_id="listMonths",
    tag="Finance",
    summary="List closed months",
    description="The months that were closed, newest first, and what each came to.",
    scopes=ANYONE,
    success=Success(200, "The months.", ClosedMonths, {"items": [_CLOSED], "next_cursor": None}),
)
CLOSE_MONTH = Operation(
    method="POST",
    path="/admin/v1/months/{month:str}/close",
    operation_id="closeMonth",
    tag="Finance",
    summary="Close a month",
    description=(
        "Freezes where every billing account stood at the end of a month of East Africa Time and "
        "writes the statements. Asked again it changes nothing and says so; interrupted, it goes "
        "on where it was. Months are closed in order, each after it is over."
    ),
    scopes=MONEY,
    path_examples={"month": MONTH_EXAMPLE},
    success=Success(
        200, "The month is closed.", Closing, {"month": _CLOSED, "closed_before": False}
    ),
    problems=("month_not_finished", "month_out_of_order", "not_found"),
)
TRIAL_BALANCE = Operation(
    method="GET",
    path="/admin/v1/trial-balance",
    operation_id="getTrialBalance",
    tag="Finance",
    summary="Read the trial balance",
    description=(
        "The sums of the journal by its accounts, in signed micros: debits are positive, credits "
        "negative. They add up to nothing, and no billing account's journal differs from its "
        "balance; accounts with entries that are not in the journal yet are counted as behind."
    ),
    scopes=ANYONE,
    query=MonthQuery,
    query_notes={"month": "Up to the end of this month, as `2026-11`; up to now without it."},
    success=Success(
        200,
        "The trial balance.",
        TrialBalance,
        {
            "month": None,
            "accounts": [
                {
                    "account": "customer_credits",
                    "movement_micros": -500_000_000,
                    "balance_micros": -500_000_000,
                },
                {
                    "account": "payments",
                    "movement_micros": 500_000_000,
                    "balance_micros": 500_000_000,
                },
            ],
            "sum_micros": 0,
            "entry_count": 2,
            "compared_count": 1,
            "behind_count": 0,
            "differing": [],
        },
    ),
    problems=("not_found",),
)
LIST_OF_ACCOUNT = replace(
    LIST,
    path="/admin/v1/accounts/{account_id:str}/statements",
    operation_id="listAccountStatements",
    tag="Finance",
    description=(
        "The months of which an account has a statement, newest first. A month that is not "
        "closed has `closed: false`: its statement is what happened so far."
    ),
    scopes=ANYONE,
    path_examples={"account_id": examples.ACCOUNT_ID},
    problems=("account_not_found",),
)
READ_OF_ACCOUNT = replace(
    READ,
    path="/admin/v1/accounts/{account_id:str}/statements/{month:str}",
    operation_id="getAccountStatement",
    tag="Finance",
    scopes=ANYONE,
    path_examples={"account_id": examples.ACCOUNT_ID, "month": MONTH_EXAMPLE},
    problems=(*READ.problems, "account_not_found"),
)


class MonthPages:
    """Closes months and shows what they came to."""

    def __init__(self, months: Months) -> None:
        self._months = months

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with the closed months."""
        found = await self._months.closed()
        return Reply(200, msgspec.json.encode(ClosedMonths(list(found))))

    async def close(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Close a month."""
        cause = arrival_of(request.scope).cause
        month, closed_before = await self._months.close(month_in_path(request), cause)
        return Reply(200, msgspec.json.encode(Closing(month, closed_before)))

    async def trial_balance(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with the trial balance."""
        month = read_query(request, MonthQuery).month
        if month is not None:
            checked_month(month)
        return Reply(200, msgspec.json.encode(await self._months.trial_balance(month)))

    async def list_of_account(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with the months of which an account has a statement."""
        return await months_reply(self._months, account_id_of(request))

    async def read_of_account(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with one statement of any account."""
        return await statement_reply(self._months, request, account_id_of(request))


def month_routes(deps: AdminDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of months, the trial balance and statements."""
    pages = MonthPages(deps.months)
    return [
        route(LIST_MONTHS, pages.list),
        route(CLOSE_MONTH, pages.close),
        route(TRIAL_BALANCE, pages.trial_balance),
        route(LIST_OF_ACCOUNT, pages.list_of_account),
        route(READ_OF_ACCOUNT, pages.read_of_account),
    ]
