"""Any account's deliveries and recoveries, for those who look into complaints."""

from dataclasses import replace
from typing import Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.delivery_reading import check_at_rest
from semalink.application.webhook_recovery import ResendDelivery
from semalink.domain.ids import ACCOUNT_PREFIX, parse_id
from semalink.web.admin.roles import ADMIN, ANYONE, AUDITOR, OPERATIONS, OPS
from semalink.web.arrival import arrival_of
from semalink.web.dependencies import AdminDependencies
from semalink.web.operation import route
from semalink.web.recoveries import LIST as LIST_RECOVERIES
from semalink.web.recoveries import RecoveryLister
from semalink.web.reply import Reply
from semalink.web.webhook_deliveries import (
    HEALTH,
    LIST,
    READ_ONE,
    RESEND,
    DeliveryLister,
    delivery_of,
    health_of,
)
from semalink.web.webhook_ids import delivery_id_of, endpoint_id_of, endpoint_uuid

_ONE = "/admin/v1/webhook-deliveries/{delivery_id:str}"

LIST_ANY = replace(
    LIST,
    path="/admin/v1/webhook-deliveries",
    operation_id="listAnyWebhookDeliveries",
    description="Events on their way to endpoints of all accounts, newest event first.",
    scopes=ANYONE,
)
# A payload may hold a number, and what an endpoint answers may hold anything.
READ_ANY = replace(
    READ_ONE,
    path=_ONE,
    operation_id="getAnyWebhookDelivery",
    scopes=frozenset({ADMIN, OPS, AUDITOR}),
)
RESEND_ANY = replace(
    RESEND, path=f"{_ONE}/resend", operation_id="resendAnyWebhookDelivery", scopes=OPERATIONS
)
LIST_ANY_RECOVERIES = replace(
    LIST_RECOVERIES,
    path="/admin/v1/webhook-endpoints/{endpoint_id:str}/recoveries",
    operation_id="listAnyWebhookRecoveries",
    description="The recoveries of an endpoint, newest first.",
    scopes=ANYONE,
)
READ_ANY_HEALTH = replace(
    HEALTH,
    path="/admin/v1/webhook-endpoints/{endpoint_id:str}/health",
    operation_id="getAnyWebhookEndpointHealth",
    scopes=ANYONE,
)


class AnyDeliveries:
    """Shows deliveries of any account, and sends them again."""

    def __init__(self, deps: AdminDependencies) -> None:
        self._deps = deps
        self._lister = DeliveryLister(deps.deliveries, deps.key_pepper, LIST_ANY)
        self._recoveries = RecoveryLister(deps.deliveries, deps.key_pepper, LIST_ANY_RECOVERIES)

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of deliveries of all accounts."""
        return await self._lister.list(request, None)

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with one delivery."""
        detail = await delivery_of(self._deps.deliveries, delivery_id_of(request), None)
        return Reply(200, msgspec.json.encode(detail))

    async def resend(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Begin a new round of attempts of a customer's delivery."""
        delivery_id = delivery_id_of(request)
        reads = self._deps.deliveries
        detail = await delivery_of(reads, delivery_id, None)
        check_at_rest(detail)
        account_id = parse_id(ACCOUNT_PREFIX, detail.account_id)
        assert account_id is not None, "a delivery that was read is of an account"
        endpoint_id = endpoint_uuid(detail.webhook_endpoint_id)
        cause = arrival_of(request.scope).cause
        await self._deps.ledger.execute(ResendDelivery(delivery_id, endpoint_id, account_id, cause))
        opened = await delivery_of(reads, delivery_id, None)
        return Reply(202, msgspec.json.encode(opened))

    async def health(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with how an endpoint does."""
        view = await health_of(self._deps.deliveries, endpoint_id_of(request), None)
        return Reply(200, msgspec.json.encode(view))

    async def recoveries(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of the recoveries of an endpoint."""
        return await self._recoveries.list(request, None)


def any_webhook_routes(deps: AdminDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of any account's webhooks."""
    pages = AnyDeliveries(deps)
    return [
        route(LIST_ANY, pages.list),
        route(READ_ANY, pages.read),
        route(RESEND_ANY, pages.resend),
        route(READ_ANY_HEALTH, pages.health),
        route(LIST_ANY_RECOVERIES, pages.recoveries),
    ]
