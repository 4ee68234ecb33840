"""Statements of months: as data, as a table, as a page to print."""

from typing import Any, Literal
from uuid import UUID

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.months import Months
from semalink.application.statement_rendering import FORMATS
from semalink.application.statements import Statement, decode_statement
from semalink.domain.calendar import month_bounds
from semalink.web import examples
from semalink.web.arrival import arrival_of
from semalink.web.dependencies import ApiDependencies
from semalink.web.operation import Operation, Success, route
from semalink.web.problems import EdgeRefusal
from semalink.web.query import read_query
from semalink.web.reply import Reply

_READ_SCOPES = frozenset({"balance:read"})

# The page has its styles in itself, and nothing else.
_PAGE_POLICY = (
    b"content-security-policy",
    b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
)

MONTH_EXAMPLE = "2026-10"

STATEMENT_EXAMPLE: dict[str, Any] = {
    "form": "semalink.statement.1",
    "month": MONTH_EXAMPLE,
    "account_id": examples.ACCOUNT_ID,
    "opening": {
        "version": 1,
        "posted_micros": 0,
        "reserved_micros": 0,
        "credit_limit_micros": 0,
    },
    "closing": {
        "version": 4,
        "posted_micros": 499_200_000,
        "reserved_micros": 0,
        "credit_limit_micros": 0,
    },
    "closing_entry_hash": "5f" * 32,
    "singles": [
        {
            "version": 2,
            "at": "2026-10-02T08:15:04Z",
            "kind": "topped_up",
            "amount_micros": 500_000_000,
            "reference": "MPESA-SKL81H4Q0P",
            "reason": "",
        }
    ],
    "days": [
        {"day": "2026-10-02", "kind": "charged", "count": 1, "amount_micros": 800_000},
        {"day": "2026-10-02", "kind": "reserved", "count": 1, "amount_micros": 800_000},
    ],
    "customers": [],
    "totals": [
        {"kind": "charged", "count": 1, "amount_micros": 800_000},
        {"kind": "reserved", "count": 1, "amount_micros": 800_000},
        {"kind": "topped_up", "count": 1, "amount_micros": 500_000_000},
    ],
}


class StatementQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In which form a statement is wanted."""

    format: Literal["json", "csv", "html"] = "json"


class StatementMonth(msgspec.Struct, frozen=True, omit_defaults=True):
    """A month of which there is a statement."""

    month: str
    #: False while entries may still come; absent, which is true, once the month is closed.
    closed: bool = True


class StatementMonths(msgspec.Struct, frozen=True):
    """Months of which there are statements, newest first."""

    items: list[StatementMonth]
    next_cursor: str | None = None


LIST = Operation(
    method="GET",
    path="/v1/statements",
    operation_id="listStatements",
    tag="Credits",
    summary="List statements",
    description=(
        "The months of which your account has a statement, newest first. A month that is not "
        "closed has `closed: false`: its statement is what happened so far."
    ),
    scopes=_READ_SCOPES,
    success=Success(
        200,
        "The months.",
        StatementMonths,
        {
            "items": [{"month": "2026-11", "closed": False}, {"month": MONTH_EXAMPLE}],
            "next_cursor": None,
        },
    ),
)
READ = Operation(
    method="GET",
    path="/v1/statements/{month:str}",
    operation_id="getStatement",
    tag="Credits",
    summary="Read a statement",
    description=(
        "What happened to your credits in a month of East Africa Time, frozen when the month was "
        "closed: the same bytes whenever asked again. Of a month that began and is not closed, "
        "what happened until `as_of`, with `closed: false`: it is not final. What a campaign "
        "reserved, was charged, got back and released is under `campaigns`. With `format=csv` a "
        "table, with `format=html` a page to print. An account whose agent pays sees what it sent "
        "and spent."
    ),
    scopes=_READ_SCOPES,
    path_examples={"month": MONTH_EXAMPLE},
    query=StatementQuery,
    query_notes={"format": "`json`, `csv` or `html`."},
    success=Success(200, "The statement.", Statement, STATEMENT_EXAMPLE),
    problems=("month_not_closed", "statement_not_found", "not_found"),
)


class Statements:
    """Answers with statements of the caller's own account."""

    def __init__(self, months: Months) -> None:
        self._months = months

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with the months."""
        return await months_reply(self._months, arrival_of(request.scope).caller.account_id)

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with one statement."""
        account_id = arrival_of(request.scope).caller.account_id
        return await statement_reply(self._months, request, account_id)


async def months_reply(months: Months, account_id: UUID) -> Reply:
    """Return the list of an account's statements."""
    running = await months.open_months(account_id)
    closed = await months.statement_months(account_id)
    shown = StatementMonths(
        # One that was closed between the two is shown once.
        [StatementMonth(month, closed=False) for month in running if month not in closed]
        + [StatementMonth(month) for month in closed]
    )
    return Reply(200, msgspec.json.encode(shown))


async def statement_reply(
    months: Months, request: Request[Any, Any, Any], account_id: UUID
) -> Reply:
    """Return one statement in the form that the query asks for."""
    wanted = read_query(request, StatementQuery).format
    month = month_in_path(request)
    document = await months.statement(account_id, month)
    media_type, render = FORMATS[wanted]
    headers = [_PAGE_POLICY] if wanted == "html" else []
    if wanted == "csv":
        so_far = "" if decode_statement(document).closed else "-so-far"
        name = f'attachment; filename="statement-{month}{so_far}.csv"'
        headers = [(b"content-disposition", name.encode())]
    return Reply(200, render(document), headers, media_type=media_type.encode())


def month_in_path(request: Request[Any, Any, Any]) -> str:
    """Return the month that a path names; raises EdgeRefusal for what is none."""
    return checked_month(request.path_params["month"])


def checked_month(month: str) -> str:
    """Return a month as it was written; raises EdgeRefusal for what is none."""
    try:
        month_bounds(month)
    except ValueError:
        raise EdgeRefusal("not_found", "Write a month as 2026-11.") from None
    return month


def statement_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of statements."""
    statements = Statements(deps.months)
    return [route(LIST, statements.list), route(READ, statements.read)]
