"""Any account's endpoints of webhooks, for those who look into complaints."""

from dataclasses import replace
from typing import Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.domain.ids import ENDPOINT_PREFIX, parse_id
from semalink.web.admin.roles import ANYONE
from semalink.web.cursor import Cursors
from semalink.web.dependencies import AdminDependencies
from semalink.web.field_types import AccountText, Cursor, PageSize, account_uuid
from semalink.web.operation import route
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply
from semalink.web.webhook_deliveries import health_of
from semalink.web.webhook_endpoints import LIST, READ_ONE, endpoint_of
from semalink.web.webhook_ids import endpoint_id_of
from semalink.web.webhook_shapes import Endpoints, with_health


class AnyEndpointQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which endpoints are listed."""

    account_id: AccountText | None = None
    cursor: Cursor | None = None
    limit: PageSize = 20


LIST_ANY = replace(
    LIST,
    path="/admin/v1/webhook-endpoints",
    operation_id="listAnyWebhookEndpoints",
    description="The endpoints of all accounts, newest first.",
    scopes=ANYONE,
    query=AnyEndpointQuery,
    query_notes={
        "account_id": "Only endpoints of this account.",
        "cursor": "The next_cursor of the page before, with the same account.",
        "limit": "Endpoints a page.",
    },
    problems=("invalid_cursor", "account_not_found"),
)
READ_ANY = replace(
    READ_ONE,
    path="/admin/v1/webhook-endpoints/{endpoint_id:str}",
    operation_id="getAnyWebhookEndpoint",
    scopes=ANYONE,
)


class AnyEndpoints:
    """Shows endpoints of any account."""

    def __init__(self, deps: AdminDependencies) -> None:
        self._reads = deps.endpoints
        self._deliveries = deps.deliveries
        self._cursors = Cursors(deps.key_pepper)

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of endpoints."""
        query = read_query(request, AnyEndpointQuery)
        account_id = None if query.account_id is None else account_uuid(query.account_id)
        filters = f"{LIST_ANY.path}:{account_id}"
        before = self._cursors.read(query.cursor, filters)
        found = await self._reads.endpoints(account_id, before=before, limit=query.limit + 1)
        page = list(found[: query.limit])
        if len(found) <= query.limit:
            return Reply(200, msgspec.json.encode(Endpoints(page, None)))
        last_id = parse_id(ENDPOINT_PREFIX, page[-1].id)
        assert last_id is not None, "an endpoint that was read has an id"
        cursor = self._cursors.write(last_id, filters)
        body = msgspec.json.encode(Endpoints(page, cursor))
        return Reply(200, body, [next_link(LIST_ANY.path, query, cursor)])

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with one endpoint."""
        endpoint_id = endpoint_id_of(request)
        view = await endpoint_of(self._reads, endpoint_id, None)
        health = await health_of(self._deliveries, endpoint_id, None)
        return Reply(200, msgspec.json.encode(with_health(view, health)))


def any_endpoint_routes(deps: AdminDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of any account's endpoints."""
    pages = AnyEndpoints(deps)
    return [route(LIST_ANY, pages.list), route(READ_ANY, pages.read)]
