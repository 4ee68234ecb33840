"""What aggregators say they charged, against what they should have."""

from datetime import date
from typing import Annotated, Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.reconciliation import DayOfRoute, Reconciliation, Suspect
from semalink.domain.archive_errors import MonthArchived
from semalink.web.admin.roles import ANYONE
from semalink.web.operation import Operation, Success, route
from semalink.web.problems import EdgeRefusal, FieldProblem
from semalink.web.query import read_query
from semalink.web.reply import Reply

DAYS_MAX = 92

_Route = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]


class DaysQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """Which days and route are compared."""

    from_: date
    to: date
    route: _Route | None = None


class MessagesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which day of which route is explained."""

    day: date
    route: _Route


class Days(msgspec.Struct, frozen=True):
    """Days of routes, by day."""

    items: list[DayOfRoute]
    next_cursor: str | None = None


class Suspects(msgspec.Struct, frozen=True):
    """Messages that may explain a drift."""

    items: list[Suspect]
    next_cursor: str | None = None


DAYS = Operation(
    method="GET",
    path="/admin/v1/reconciliation",
    operation_id="reconcile",
    tag="Finance",
    summary="Reconcile with the aggregators",
    description=(
        "For each day in East Africa Time and each aggregator: what it says it charged, by the "
        "cost of each message or by its balance, and what our segments cost by contract."
    ),
    scopes=ANYONE,
    query=DaysQuery,
    query_notes={
        "from": "The first day.",
        "to": "The last day.",
        "route": "One aggregator only.",
    },
    success=Success(
        200,
        "The days.",
        Days,
        {
            "items": [
                {
                    "day": "2026-11-24",
                    "route": "africastalking",
                    "message_count": 3,
                    "segments": 3,
                    "billed_micros": 2_400_000,
                    "expected_micros": 2_400_000,
                    "reported_micros": 3_200_000,
                    "source": "messages",
                    "drift_micros": 800_000,
                    "unreported_count": 0,
                    "topped_up_micros": 0,
                }
            ],
            "next_cursor": None,
        },
    ),
    problems=(MonthArchived.code,),
)
MESSAGES = Operation(
    method="GET",
    path="/admin/v1/reconciliation/messages",
    operation_id="explainDrift",
    tag="Finance",
    summary="Explain a drift",
    description="Messages of a day and route whose cost is not what it should be, or in doubt.",
    scopes=ANYONE,
    query=MessagesQuery,
    query_notes={"day": "The day in East Africa Time.", "route": "The aggregator."},
    success=Success(
        200,
        "The messages.",
        Suspects,
        {
            "items": [
                {
                    "id": "msg_01a205f21d1e72bcb5976aed02f014a7",
                    "country": "KE",
                    "network": "safaricom",
                    "segments": 1,
                    "expected_micros": 800_000,
                    "reported_micros": 1_600_000,
                    "reason": "other_cost",
                }
            ],
            "next_cursor": None,
        },
    ),
    problems=(MonthArchived.code,),
)


class ReconciliationPages:
    """Shows days and what explains them."""

    def __init__(self, reconciliation: Reconciliation) -> None:
        self._reconciliation = reconciliation

    async def days(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with the days."""
        query = read_query(request, DaysQuery)
        if not 0 <= (query.to - query.from_).days < DAYS_MAX:
            problem = FieldProblem(
                "/to", "invalid_value", f"It must follow within {DAYS_MAX} days of `from`."
            )
            raise EdgeRefusal(
                "validation_failed", "1 of the query parameters is not valid.", errors=[problem]
            )
        found = await self._reconciliation.days(query.from_, query.to, query.route)
        return Reply(200, msgspec.json.encode(Days(found)))

    async def messages(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with the messages that may explain a drift."""
        query = read_query(request, MessagesQuery)
        found = await self._reconciliation.explain(query.day, query.route)
        return Reply(200, msgspec.json.encode(Suspects(found)))


def reconciliation_routes(reconciliation: Reconciliation) -> list[HTTPRouteHandler]:
    """Return the routes of reconciliation."""
    pages = ReconciliationPages(reconciliation)
    return [route(DAYS, pages.days), route(MESSAGES, pages.messages)]
