"""Routes: how they do, and what operators say of them."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.route_reading import RouteOverride, RouteReport
from semalink.application.routes import (
    DedicateRoute,
    OverrideAccountRoute,
    OverrideRoute,
    OverrideSenderRoute,
)
from semalink.domain.content_check import is_sender_id
from semalink.domain.routing import RouteMode
from semalink.web import examples
from semalink.web.admin.ids import account_id_of
from semalink.web.admin.roles import ANYONE, OPERATIONS
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.dependencies import AdminDependencies
from semalink.web.operation import Operation, Success, route
from semalink.web.problems import EdgeRefusal, FieldProblem
from semalink.web.reply import Reply

_Reason = Annotated[
    str, msgspec.Meta(min_length=1, max_length=200, description="For whoever asks later why.")
]
_Until = Annotated[
    datetime | None,
    msgspec.Meta(description="When it ends by itself, RFC 3339; null for no end."),
]
_Name = Annotated[str, msgspec.Meta(max_length=40)]


class NewRouteOverride(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of a route, whatever its health; auto leaves it to health again."""

    mode: RouteMode
    reason: _Reason
    expires_at: _Until = None


class NewDetour(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The route of an account's or a sender id's messages; null leaves it to health again."""

    route: _Name | None
    reason: _Reason
    expires_at: _Until = None


class NewDedication(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The route that an account has for itself; null takes it back."""

    route: _Name | None
    reason: _Reason


class RouteReports(msgspec.Struct, frozen=True):
    """Every route."""

    items: list[RouteReport]
    next_cursor: str | None = None


class RouteOverrides(msgspec.Struct, frozen=True):
    """Every override that holds."""

    items: list[RouteOverride]
    next_cursor: str | None = None


_override_decoder = msgspec.json.Decoder(NewRouteOverride)
_detour_decoder = msgspec.json.Decoder(NewDetour)
_dedication_decoder = msgspec.json.Decoder(NewDedication)

_OVERRIDE: dict[str, Any] = {
    "scope": "route",
    "subject": "celcom",
    "route": "celcom",
    "mode": "disable",
    "reason": "maintenance at the aggregator",
    "set_by": "operator:0198c0de5ca17000800000000000000a",
    "set_at": "2026-11-02T08:15:04Z",
    "expires_at": "2026-11-02T10:00:00Z",
}
_REPORT: dict[str, Any] = {
    "name": "celcom",
    "state": "open",
    "dedicated": False,
    "override": None,
    "out_of_use": [
        {
            "network": "all",
            "state": "open",
            "cause": "outage",
            "since": "2026-11-02T08:15:04Z",
            "probe_at": "2026-11-02T08:15:19Z",
        }
    ],
    "last_minute": {
        "attempts": 410,
        "errors": 12,
        "error_permille": 29,
        "failures_in_a_row": 12,
    },
    "last_day": {
        "trips": 1,
        "probes": 0,
        "probes_failed": 0,
        "recoveries": 0,
        "attempts": 8_210,
        "errors": 31,
        "p50_ms": 200,
        "p95_ms": 500,
        "hours": [
            {
                "hour": "2026-11-02T08:00:00Z",
                "attempts": 8_210,
                "errors": 31,
                "error_permille": 3,
            }
        ],
    },
}
_DETOUR_EXAMPLES = {
    "set": {
        "route": "africastalking",
        "reason": "complaints of late messages",
        "expires_at": "2026-11-03T00:00:00Z",
    },
    "clear": {"route": None, "reason": "solved"},
}

LIST_ROUTES = Operation(
    method="GET",
    path="/admin/v1/routes",
    operation_id="listRoutes",
    tag="Routes",
    summary="Show how routes do",
    description=(
        "Every route with its state, what operators said of it, its last minute and its last day: "
        "trips, probes, attempts and errors by hour, and how long answers took. Its events are in "
        "the history under the names route.…."
    ),
    scopes=ANYONE,
    success=Success(200, "The routes.", RouteReports, {"items": [_REPORT], "next_cursor": None}),
)
LIST_OVERRIDES = Operation(
    method="GET",
    path="/admin/v1/route-overrides",
    operation_id="listRouteOverrides",
    tag="Routes",
    summary="List overrides and dedicated routes",
    description="What operators said of routes, sender ids and accounts, and still holds.",
    scopes=ANYONE,
    success=Success(
        200, "The overrides.", RouteOverrides, {"items": [_OVERRIDE], "next_cursor": None}
    ),
)
OVERRIDE_ROUTE = Operation(
    method="POST",
    path="/admin/v1/routes/{name:str}/override",
    operation_id="overrideRoute",
    tag="Routes",
    summary="Override a route",
    description=(
        "`prefer` puts a route first for every message, `disable` takes it out of use, `enable` "
        "keeps it in use however it does, `auto` leaves it to health again. All workers obey "
        "within a second."
    ),
    scopes=OPERATIONS,
    path_examples={"name": "celcom"},
    body=NewRouteOverride,
    body_examples={
        "disable": {
            "mode": "disable",
            "reason": "maintenance at the aggregator",
            "expires_at": "2026-11-02T10:00:00Z",
        },
        "auto": {"mode": "auto", "reason": "maintenance is over"},
    },
    success=Success(
        200,
        "The override holds.",
        NewRouteOverride,
        {"mode": "disable", "reason": "maintenance", "expires_at": None},
    ),
    problems=("not_found",),
)
OVERRIDE_ACCOUNT = Operation(
    method="PUT",
    path="/admin/v1/accounts/{account_id:str}/route-override",
    operation_id="overrideAccountRoute",
    tag="Routes",
    summary="Override the route of an account",
    description="The account's messages take this route first, whatever its health.",
    scopes=OPERATIONS,
    path_examples={"account_id": examples.ACCOUNT_ID},
    body=NewDetour,
    body_examples=_DETOUR_EXAMPLES,
    success=Success(200, "The override holds.", NewDetour, _DETOUR_EXAMPLES["set"]),
    problems=("account_not_found",),
)
DEDICATE_ROUTE = Operation(
    method="PUT",
    path="/admin/v1/accounts/{account_id:str}/dedicated-route",
    operation_id="dedicateRoute",
    tag="Routes",
    summary="Give an account a route of its own",
    description=(
        "An enterprise account's messages take this route while it does well, then the shared "
        "ones. No account takes a dedicated route that was not given to it."
    ),
    scopes=OPERATIONS,
    path_examples={"account_id": examples.ACCOUNT_ID},
    body=NewDedication,
    body_examples={
        "give": {"route": "celcom-acme", "reason": "contract 2026/117"},
        "take back": {"route": None, "reason": "contract ended"},
    },
    success=Success(
        200,
        "The route is the account's.",
        NewDedication,
        {"route": "celcom-acme", "reason": "contract 2026/117"},
    ),
    problems=("account_not_found", "not_enterprise"),
)
OVERRIDE_SENDER = Operation(
    method="PUT",
    path="/admin/v1/senders/{sender:str}/route-override",
    operation_id="overrideSenderRoute",
    tag="Routes",
    summary="Override the route of a sender id",
    description="Messages of this sender id, of any account, take this route first.",
    scopes=OPERATIONS,
    path_examples={"sender": "ACME"},
    body=NewDetour,
    body_examples=_DETOUR_EXAMPLES,
    success=Success(200, "The override holds.", NewDetour, _DETOUR_EXAMPLES["set"]),
    problems=("not_found",),
)


class RoutesDesk:
    """Shows and overrides routes."""

    def __init__(self, deps: AdminDependencies) -> None:
        self._ledger = deps.ledger
        self._routes = deps.routes
        self._clock = deps.edge.clock

    async def list_routes(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with every route."""
        reports = await self._routes.reports(self._clock())
        return Reply(200, msgspec.json.encode(RouteReports(reports)))

    async def list_overrides(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with what operators said."""
        overrides = await self._routes.overrides(self._clock())
        return Reply(200, msgspec.json.encode(RouteOverrides(overrides)))

    async def override_route(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Say what becomes of a route."""
        name = request.path_params["name"]
        if name not in self._routes.names:
            known = ", ".join(self._routes.names)
            raise EdgeRefusal("not_found", f"The routes are {known}.")
        asked = await read_json(request, _override_decoder)
        if asked.mode is RouteMode.PREFER and name not in self._routes.shared:
            raise _invalid("mode", "A dedicated route comes first for its account anyway.")
        expires_at = self._end(asked.expires_at)
        cause = arrival_of(request.scope).cause
        command = OverrideRoute(name, asked.mode, asked.reason, expires_at, cause)
        await self._ledger.execute(command)
        return Reply(200, msgspec.json.encode(asked))

    async def override_account(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Choose the route of an account's messages."""
        account_id = account_id_of(request)
        asked = await self._read_detour(request)
        cause = arrival_of(request.scope).cause
        expires_at = self._end(asked.expires_at)
        await self._ledger.execute(
            OverrideAccountRoute(account_id, asked.route, asked.reason, expires_at, cause)
        )
        return Reply(200, msgspec.json.encode(asked))

    async def override_sender(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Choose the route of a sender id's messages."""
        sender = request.path_params["sender"]
        if not is_sender_id(sender):
            raise EdgeRefusal("not_found", "This can be no sender id on the air.")
        asked = await self._read_detour(request)
        cause = arrival_of(request.scope).cause
        expires_at = self._end(asked.expires_at)
        await self._ledger.execute(
            OverrideSenderRoute(sender, asked.route, asked.reason, expires_at, cause)
        )
        return Reply(200, msgspec.json.encode(asked))

    async def dedicate(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Give an account a route of its own, or take it back."""
        account_id = account_id_of(request)
        asked = await read_json(request, _dedication_decoder)
        if asked.route is not None and asked.route not in self._routes.dedicated:
            known = ", ".join(self._routes.dedicated) or "none; set one up first"
            raise _invalid("route", f"The dedicated routes are: {known}.")
        cause = arrival_of(request.scope).cause
        await self._ledger.execute(DedicateRoute(account_id, asked.route, asked.reason, cause))
        return Reply(200, msgspec.json.encode(asked))

    async def _read_detour(self, request: Request[Any, Any, Any]) -> NewDetour:
        asked = await read_json(request, _detour_decoder)
        if asked.route is not None and asked.route not in self._routes.shared:
            # A dedicated one would carry strangers' messages on its owner's contract.
            shared = ", ".join(self._routes.shared)
            raise _invalid("route", f"The routes that all accounts share are {shared}.")
        return asked

    def _end(self, expires_at: datetime | None) -> datetime | None:
        if expires_at is None:
            return None
        if expires_at.tzinfo is None or expires_at <= self._clock():
            raise _invalid("expires_at", "Give a time to come, with its offset from UTC.")
        return expires_at.astimezone(UTC)


def _invalid(name: str, detail: str) -> EdgeRefusal:
    problem = FieldProblem(f"/{name}", "invalid_value", detail)
    return EdgeRefusal("validation_failed", "1 of the fields is not valid.", errors=[problem])


def route_routes(deps: AdminDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of routes."""
    desk = RoutesDesk(deps)
    return [
        route(LIST_ROUTES, desk.list_routes),
        route(LIST_OVERRIDES, desk.list_overrides),
        route(OVERRIDE_ROUTE, desk.override_route),
        route(OVERRIDE_ACCOUNT, desk.override_account),
        route(DEDICATE_ROUTE, desk.dedicate),
        route(OVERRIDE_SENDER, desk.override_sender),
    ]
