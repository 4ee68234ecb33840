"""Deliveries of webhooks: listed, read with every attempt, sent again, tried out."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.delivery_reading import (
    DeliveryDetail,
    DeliveryFilter,
    DeliveryReads,
    DeliveryView,
    EndpointHealthView,
    check_at_rest,
)
from semalink.application.webhook_recovery import ResendDelivery, SendTest
from semalink.domain.errors import WebhookDeliveryNotFound, WebhookEndpointNotFound
from semalink.domain.ids import DELIVERY_PREFIX, parse_id
from semalink.web import webhook_examples
from semalink.web.arrival import arrival_of
from semalink.web.cursor import Cursors
from semalink.web.dependencies import ApiDependencies
from semalink.web.field_types import Cursor, PageSize
from semalink.web.message_reading import message_uuid
from semalink.web.operation import Operation, Success, route
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply
from semalink.web.webhook_ids import delivery_id_of, endpoint_id_of, endpoint_uuid

READ = frozenset({"webhooks:read"})
WRITE = frozenset({"webhooks:write"})
TAG = "Webhooks"
_PATH = "/v1/webhook-deliveries"
_ONE = f"{_PATH}/{{delivery_id:str}}"
_OF_DELIVERY = {"delivery_id": webhook_examples.DELIVERY_ID}

StateName = Literal["waiting", "sending", "delivered", "failed", "cancelled"]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
IdText = Annotated[str, msgspec.Meta(max_length=64)]


class DeliveryQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which deliveries are listed."""

    webhook_endpoint_id: IdText | None = None
    state: StateName | None = None
    event_type: Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[a-z_.*]+$")] | None = None
    message_id: IdText | None = None
    created_from: Moment | None = None
    created_before: Moment | None = None
    cursor: Cursor | None = None
    limit: PageSize = 20


class Deliveries(msgspec.Struct, frozen=True):
    """A page of deliveries, newest event first."""

    items: list[DeliveryView]
    next_cursor: str | None


LIST = Operation(
    method="GET",
    path=_PATH,
    operation_id="listWebhookDeliveries",
    tag=TAG,
    summary="List deliveries",
    description="Events on their way to your endpoints and how far each is, newest event first.",
    scopes=READ,
    query=DeliveryQuery,
    query_notes={
        "webhook_endpoint_id": "Only deliveries to this endpoint.",
        "state": "Only deliveries that stand so.",
        "event_type": 'Only events of this name, or of a pattern such as "message.*".',
        "message_id": "Only events of this message.",
        "created_from": "Only deliveries made at this time or later, RFC 3339.",
        "created_before": "Only deliveries made before this time, RFC 3339.",
        "cursor": "The next_cursor of the page before, with the same filters.",
        "limit": "Deliveries a page.",
    },
    success=Success(
        200,
        "A page of deliveries.",
        Deliveries,
        {"items": [webhook_examples.DELIVERY], "next_cursor": None},
        headers={"Link": 'The next page, rel="next"; absent on the last.'},
    ),
    problems=("invalid_cursor", "message_not_found", "webhook_endpoint_not_found"),
)
READ_ONE = Operation(
    method="GET",
    path=_ONE,
    operation_id="getWebhookDelivery",
    tag=TAG,
    summary="Read a delivery",
    description=(
        "The delivery, the exact body that is signed and sent, and every attempt: what was "
        "answered, how long it took, what went wrong, which secrets signed it."
    ),
    scopes=READ,
    path_examples=_OF_DELIVERY,
    success=Success(200, "The delivery.", DeliveryDetail, webhook_examples.DELIVERY_DETAIL),
    problems=("webhook_delivery_not_found",),
)
RESEND = Operation(
    method="POST",
    path=f"{_ONE}/resend",
    operation_id="resendWebhookDelivery",
    tag=TAG,
    summary="Send a delivery again",
    description=(
        "Begins a new round of attempts, whatever came of the last one; the event keeps its id. "
        "While an endpoint is paused the delivery is held until it is resumed."
    ),
    scopes=WRITE,
    path_examples=_OF_DELIVERY,
    success=Success(
        202, "An attempt is due now.", DeliveryDetail, webhook_examples.DELIVERY_DETAIL
    ),
    problems=(
        "webhook_delivery_not_found",
        "webhook_endpoint_not_found",
        "webhook_endpoint_disabled",
        "webhook_delivery_under_way",
    ),
)
TEST = Operation(
    method="POST",
    path="/v1/webhook-endpoints/{endpoint_id:str}/test",
    operation_id="testWebhookEndpoint",
    tag=TAG,
    summary="Send a test event",
    description=(
        'Sends an event of the type "webhook.test" to the endpoint, signed as any other. It is in '
        "no feed and of no message. Read the delivery to see what came of it."
    ),
    scopes=WRITE,
    path_examples={"endpoint_id": webhook_examples.ENDPOINT_ID},
    success=Success(
        202, "The test event is on its way.", DeliveryDetail, webhook_examples.TEST_DELIVERY
    ),
    problems=("webhook_endpoint_not_found", "webhook_endpoint_disabled"),
)


HEALTH = Operation(
    method="GET",
    path="/v1/webhook-endpoints/{endpoint_id:str}/health",
    operation_id="getWebhookEndpointHealth",
    tag=TAG,
    summary="Read how an endpoint does",
    description=(
        "Whether deliveries flow, when the next one is tried, how many wait or are held, and when "
        "the endpoint last took one."
    ),
    scopes=READ,
    path_examples={"endpoint_id": webhook_examples.ENDPOINT_ID},
    success=Success(200, "How it does.", EndpointHealthView, webhook_examples.HEALTH),
    problems=("webhook_endpoint_not_found",),
)


class DeliveryPages:
    """Shows deliveries of the caller's account and sends them again."""

    def __init__(self, deps: ApiDependencies) -> None:
        self._deps = deps
        self._reads = deps.deliveries
        self._lister = DeliveryLister(deps.deliveries, deps.key_pepper, LIST)

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of deliveries."""
        return await self._lister.list(request, arrival_of(request.scope).caller.account_id)

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with one delivery and its attempts."""
        account_id = arrival_of(request.scope).caller.account_id
        detail = await self._delivery(delivery_id_of(request), account_id)
        return Reply(200, msgspec.json.encode(detail))

    async def resend(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Begin a new round of attempts."""
        arrival = arrival_of(request.scope)
        account_id = arrival.caller.account_id
        delivery_id = delivery_id_of(request)
        detail = await self._delivery(delivery_id, account_id)
        check_at_rest(detail)
        endpoint_id = endpoint_uuid(detail.webhook_endpoint_id)
        await self._deps.ledger.execute(
            ResendDelivery(delivery_id, endpoint_id, account_id, arrival.cause)
        )
        return Reply(202, msgspec.json.encode(await self._delivery(delivery_id, account_id)))

    async def test(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Send a test event to an endpoint."""
        arrival = arrival_of(request.scope)
        account_id = arrival.caller.account_id
        delivery_id = self._deps.edge.new_id(arrival.at)
        await self._deps.ledger.execute(
            SendTest(delivery_id, endpoint_id_of(request), account_id, arrival.cause)
        )
        detail = await self._delivery(delivery_id, account_id)
        location = (b"location", f"{_PATH}/{detail.id}".encode())
        return Reply(202, msgspec.json.encode(detail), [location])

    async def health(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with how an endpoint does."""
        account_id = arrival_of(request.scope).caller.account_id
        view = await health_of(self._reads, endpoint_id_of(request), account_id)
        return Reply(200, msgspec.json.encode(view))

    async def _delivery(self, delivery_id: UUID, account_id: UUID) -> DeliveryDetail:
        return await delivery_of(self._reads, delivery_id, account_id)


class DeliveryLister:
    """Answers with pages of deliveries, of one account or of all."""

    def __init__(self, reads: DeliveryReads, pepper: bytes, operation: Operation) -> None:
        self._reads = reads
        self._cursors = Cursors(pepper)
        self._path = operation.path

    async def list(self, request: Request[Any, Any, Any], account_id: UUID | None) -> ASGIApp:
        """Answer with a page of deliveries of an account, or of all."""
        query = read_query(request, DeliveryQuery)
        wanted = _filter(query, account_id)
        filters = f"{self._path}:{wanted}"
        before = self._cursors.read(query.cursor, filters)
        found = await self._reads.deliveries(wanted, before=before, limit=query.limit + 1)
        page = list(found[: query.limit])
        if len(found) <= query.limit:
            return Reply(200, msgspec.json.encode(Deliveries(page, None)))
        last_id = parse_id(DELIVERY_PREFIX, page[-1].id)
        assert last_id is not None, "a delivery that was read has an id"
        cursor = self._cursors.write(last_id, filters)
        body = msgspec.json.encode(Deliveries(page, cursor))
        return Reply(200, body, [next_link(self._path, query, cursor)])


async def delivery_of(
    reads: DeliveryReads, delivery_id: UUID, account_id: UUID | None
) -> DeliveryDetail:
    """Return one delivery; raises WebhookDeliveryNotFound for another account's."""
    detail = await reads.delivery(delivery_id, account_id)
    if detail is None:
        raise WebhookDeliveryNotFound
    return detail


async def health_of(
    reads: DeliveryReads, endpoint_id: UUID, account_id: UUID | None
) -> EndpointHealthView:
    """Return how an endpoint does; raises WebhookEndpointNotFound for another account's."""
    view = await reads.health(endpoint_id, account_id)
    if view is None:
        raise WebhookEndpointNotFound
    return view


def delivery_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of deliveries."""
    pages = DeliveryPages(deps)
    return [
        route(LIST, pages.list),
        route(READ_ONE, pages.read),
        route(RESEND, pages.resend),
        route(TEST, pages.test),
        route(HEALTH, pages.health),
    ]


def _filter(query: DeliveryQuery, account_id: UUID | None) -> DeliveryFilter:
    endpoint = query.webhook_endpoint_id
    return DeliveryFilter(
        account_id=account_id,
        endpoint_id=None if endpoint is None else endpoint_uuid(endpoint),
        state=query.state,
        event_type=query.event_type,
        message_id=None if query.message_id is None else message_uuid(query.message_id),
        created_from=query.created_from,
        created_before=query.created_before,
    )
