"""Endpoints of webhooks: registered, listed, changed, paused, resumed, removed."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal
from uuid import UUID

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.endpoint_reading import EndpointReads, EndpointView
from semalink.application.webhooks import (
    ChangeEndpoint,
    EndpointStep,
    MadeSecret,
    MoveEndpoint,
    RegisterEndpoint,
)
from semalink.domain.errors import InvalidWebhookUrl, WebhookEndpointNotFound
from semalink.domain.ids import ENDPOINT_PREFIX, parse_id
from semalink.domain.webhook_endpoint import (
    SecretKind,
)
from semalink.web import webhook_examples
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.cursor import Cursors
from semalink.web.dependencies import ApiDependencies
from semalink.web.idempotency import REPLAYED, REPLAYED_NOTE, idempotency_of
from semalink.web.operation import Operation, Success, route
from semalink.web.problems import EdgeRefusal
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply
from semalink.web.webhook_deliveries import READ, TAG, WRITE, health_of
from semalink.web.webhook_ids import endpoint_id_of
from semalink.web.webhook_shapes import (
    EndpointChange,
    EndpointQuery,
    Endpoints,
    EndpointWithHealth,
    EndpointWithSecret,
    NewEndpoint,
    terms_change_of,
    terms_of,
    with_health,
    with_secrets,
)

_PATH = "/v1/webhook-endpoints"
_ONE = f"{_PATH}/{{endpoint_id:str}}"
OF_ENDPOINT = {"endpoint_id": webhook_examples.ENDPOINT_ID}

_new_endpoint = msgspec.json.Decoder(NewEndpoint)
_change = msgspec.json.Decoder(EndpointChange)

REGISTER = Operation(
    method="POST",
    path=_PATH,
    operation_id="registerWebhookEndpoint",
    tag=TAG,
    summary="Register an endpoint",
    description=(
        "Events of the types asked for are sent to the endpoint from now on, signed as Standard "
        "Webhooks are. The secret is shown this once; repeated with the same Idempotency-Key, "
        "the answer has none, and a new one is made by rotation."
    ),
    scopes=WRITE,
    takes_idempotency_key=True,
    body=NewEndpoint,
    body_examples={
        "what becomes of messages": {
            "url": "https://shop.example.com/webhooks",
            "event_types": ["message.*"],
            "description": "Shop backend",
        }
    },
    success=Success(
        201,
        "The endpoint is registered.",
        EndpointWithSecret,
        webhook_examples.NEW_ENDPOINT,
        headers={"Location": "Where the endpoint can be read.", **REPLAYED_NOTE},
    ),
    problems=(
        "invalid_webhook_url",
        "unknown_event_type",
        "too_many_webhook_endpoints",
        "webhooks_not_set_up",
    ),
)
LIST = Operation(
    method="GET",
    path=_PATH,
    operation_id="listWebhookEndpoints",
    tag=TAG,
    summary="List endpoints",
    description="The endpoints of your account, newest first.",
    scopes=READ,
    query=EndpointQuery,
    query_notes={"cursor": "The next_cursor of the page before.", "limit": "Endpoints a page."},
    success=Success(
        200,
        "A page of endpoints.",
        Endpoints,
        {"items": [webhook_examples.ENDPOINT], "next_cursor": None},
        headers={"Link": 'The next page, rel="next"; absent on the last.'},
    ),
    problems=("invalid_cursor",),
)
READ_ONE = Operation(
    method="GET",
    path=_ONE,
    operation_id="getWebhookEndpoint",
    tag=TAG,
    summary="Read an endpoint",
    description="The endpoint, which secrets sign what is sent to it, and how it does.",
    scopes=READ,
    path_examples=OF_ENDPOINT,
    success=Success(
        200, "The endpoint.", EndpointWithHealth, webhook_examples.ENDPOINT_WITH_HEALTH
    ),
    problems=("webhook_endpoint_not_found",),
)
CHANGE = Operation(
    method="PATCH",
    path=_ONE,
    operation_id="changeWebhookEndpoint",
    tag=TAG,
    summary="Change an endpoint",
    description="Holds for what is sent from now on, also for what waits already.",
    scopes=WRITE,
    path_examples=OF_ENDPOINT,
    body=EndpointChange,
    body_examples={"all events, slowly": {"event_types": ["*"], "rate_per_second": 5}},
    success=Success(
        200,
        "The endpoint as it is now.",
        EndpointView,
        {**webhook_examples.ENDPOINT, "event_types": ["*"], "rate_per_second": 5},
    ),
    problems=("webhook_endpoint_not_found", "invalid_webhook_url", "unknown_event_type"),
)
REMOVE = Operation(
    method="DELETE",
    path=_ONE,
    operation_id="removeWebhookEndpoint",
    tag=TAG,
    summary="Remove an endpoint",
    description="Nothing more is sent to it, and what waits for it is given up.",
    scopes=WRITE,
    path_examples=OF_ENDPOINT,
    success=Success(204, "The endpoint is gone."),
    problems=("webhook_endpoint_not_found",),
)
PAUSE = Operation(
    method="POST",
    path=f"{_ONE}/pause",
    operation_id="pauseWebhookEndpoint",
    tag=TAG,
    summary="Pause an endpoint",
    description="Events are held from now on, for 30 days at most, until the endpoint is resumed.",
    scopes=WRITE,
    path_examples=OF_ENDPOINT,
    success=Success(
        200,
        "The endpoint as it is now.",
        EndpointView,
        {**webhook_examples.ENDPOINT, "state": "paused"},
    ),
    problems=("webhook_endpoint_not_found",),
)
RESUME = Operation(
    method="POST",
    path=f"{_ONE}/resume",
    operation_id="resumeWebhookEndpoint",
    tag=TAG,
    summary="Resume an endpoint",
    description=(
        "What was held is sent, at the rate of the endpoint. One that was disabled is enabled "
        "again; what it missed meanwhile is sent by a recovery."
    ),
    scopes=WRITE,
    path_examples=OF_ENDPOINT,
    success=Success(200, "The endpoint as it is now.", EndpointView, webhook_examples.ENDPOINT),
    problems=("webhook_endpoint_not_found",),
)


class EndpointPages:
    """Registers, shows and changes endpoints of the caller's account."""

    def __init__(self, deps: ApiDependencies) -> None:
        self._deps = deps
        self._cursors = Cursors(deps.key_pepper)

    async def register(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Register an endpoint and show its secret this once."""
        arrival = arrival_of(request.scope)
        asked = await read_json(request, _new_endpoint)
        self._check_address(asked.url)
        account_id = arrival.caller.account_id
        made = make_secrets(self._deps, asked.signatures, request)
        answer = await self._deps.ledger.execute(
            RegisterEndpoint(
                self._deps.edge.new_id(arrival.at),
                account_id,
                terms_of(asked),
                made,
                await self._deps.endpoints.endpoint_count(account_id),
                arrival.cause,
                idempotency_of(arrival, REGISTER.route_name, asked),
            )
        )
        view = await endpoint_of(self._deps.endpoints, answer.value, account_id)
        location = (b"location", f"{_PATH}/{view.id}".encode())
        headers = (location, REPLAYED) if answer.replayed else (location,)
        shown = with_secrets(view, () if answer.replayed else made)
        return Reply(201, msgspec.json.encode(shown), headers)

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of endpoints."""
        query = read_query(request, EndpointQuery)
        account_id = arrival_of(request.scope).caller.account_id
        filters = f"{_PATH}:{account_id}"
        before = self._cursors.read(query.cursor, filters)
        found = await self._deps.endpoints.endpoints(
            account_id, before=before, limit=query.limit + 1
        )
        page = list(found[: query.limit])
        if len(found) <= query.limit:
            return Reply(200, msgspec.json.encode(Endpoints(page, None)))
        last_id = parse_id(ENDPOINT_PREFIX, page[-1].id)
        assert last_id is not None, "an endpoint that was read has an id"
        cursor = self._cursors.write(last_id, filters)
        body = msgspec.json.encode(Endpoints(page, cursor))
        return Reply(200, body, [next_link(_PATH, query, cursor)])

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with one endpoint."""
        account_id = arrival_of(request.scope).caller.account_id
        endpoint_id = endpoint_id_of(request)
        view = await endpoint_of(self._deps.endpoints, endpoint_id, account_id)
        health = await health_of(self._deps.deliveries, endpoint_id, account_id)
        return Reply(200, msgspec.json.encode(with_health(view, health)))

    async def change(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Change an endpoint."""
        arrival = arrival_of(request.scope)
        endpoint_id, account_id = endpoint_id_of(request), arrival.caller.account_id
        asked = await read_json(request, _change)
        if asked.url is not None:
            self._check_address(asked.url)
        await self._deps.ledger.execute(
            ChangeEndpoint(endpoint_id, account_id, terms_change_of(asked), arrival.cause)
        )
        return await self._shown(endpoint_id, account_id)

    def move(self, step: EndpointStep) -> Callable[[Request[Any, Any, Any]], Awaitable[ASGIApp]]:
        """Return what answers a request to pause, resume or remove."""

        async def answer(request: Request[Any, Any, Any]) -> ASGIApp:
            arrival = arrival_of(request.scope)
            endpoint_id, account_id = endpoint_id_of(request), arrival.caller.account_id
            await self._deps.ledger.execute(
                MoveEndpoint(endpoint_id, account_id, step, arrival.cause)
            )
            if step is EndpointStep.REMOVE:
                return Reply(204)
            return await self._shown(endpoint_id, account_id)

        return answer

    def _check_address(self, url: str) -> None:
        why = self._deps.webhooks.why_unfit(url)
        if why is not None:
            raise InvalidWebhookUrl(why)

    async def _shown(self, endpoint_id: UUID, account_id: UUID) -> ASGIApp:
        view = await endpoint_of(self._deps.endpoints, endpoint_id, account_id)
        return Reply(200, msgspec.json.encode(view))


async def endpoint_of(
    reads: EndpointReads, endpoint_id: UUID, account_id: UUID | None
) -> EndpointView:
    """Return one endpoint; raises WebhookEndpointNotFound for another account's."""
    view = await reads.endpoint(endpoint_id, account_id)
    if view is None:
        raise WebhookEndpointNotFound
    return view


def make_secrets(
    deps: ApiDependencies, kinds: list[Literal["v1", "v1a"]], request: Request[Any, Any, Any]
) -> tuple[MadeSecret, ...]:
    """Return a new secret of each kind; raises EdgeRefusal where there is no key to seal it."""
    maker = deps.webhooks.secrets
    if maker is None:
        raise EdgeRefusal("webhooks_not_set_up", "This platform has no key to seal secrets with.")
    at = arrival_of(request.scope).at
    return tuple(maker.make(deps.edge.new_id(at), SecretKind(kind)) for kind in sorted(set(kinds)))


def endpoint_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of endpoints."""
    pages = EndpointPages(deps)
    return [
        route(REGISTER, pages.register),
        route(LIST, pages.list),
        route(READ_ONE, pages.read),
        route(CHANGE, pages.change),
        route(REMOVE, pages.move(EndpointStep.REMOVE)),
        route(PAUSE, pages.move(EndpointStep.PAUSE)),
        route(RESUME, pages.move(EndpointStep.RESUME)),
    ]
