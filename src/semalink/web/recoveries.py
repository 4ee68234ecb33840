"""Recoveries: all that an endpoint missed in a time is sent to it again."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.delivery_reading import DeliveryReads, RecoveryView
from semalink.application.webhook_recovery import MoveRecovery, StartRecovery, Step
from semalink.domain.errors import RecoveryNotFound, UnknownEventType
from semalink.domain.event_types import is_known
from semalink.domain.ids import ENDPOINT_PREFIX, RECOVERY_PREFIX, format_id, parse_id
from semalink.domain.recovery import RecoveryMode, Wanted
from semalink.web import webhook_examples
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.cursor import Cursors
from semalink.web.dependencies import ApiDependencies
from semalink.web.field_types import Cursor, PageSize
from semalink.web.idempotency import REPLAYED, REPLAYED_NOTE, idempotency_of
from semalink.web.operation import Operation, Success, route
from semalink.web.problems import EdgeRefusal, FieldProblem
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply
from semalink.web.webhook_deliveries import READ, TAG, WRITE, Moment
from semalink.web.webhook_ids import endpoint_id_of, recovery_id_of

#: Payloads are kept so long, and what is no longer kept cannot be sent again.
KEPT = timedelta(days=30)
RATE_MAX = 500
_PATH = "/v1/webhook-endpoints/{endpoint_id:str}/recoveries"
_ONE = f"{_PATH}/{{recovery_id:str}}"
_OF_ENDPOINT = {"endpoint_id": webhook_examples.ENDPOINT_ID}
_OF_RECOVERY = {**_OF_ENDPOINT, "recovery_id": webhook_examples.RECOVERY_ID}
_PAUSED = {**webhook_examples.RECOVERY, "state": "paused"}
_CANCELLED = {
    **webhook_examples.RECOVERY,
    "state": "cancelled",
    "ended_at": "2026-11-02T11:05:00Z",
}


class NewRecovery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be sent again."""

    #: Events that happened at this time or later.
    since: Moment
    #: Events that happened before this time; left out: until now.
    until: Moment | None = None
    event_types: (
        Annotated[
            list[Annotated[str, msgspec.Meta(min_length=1, max_length=64)]],
            msgspec.Meta(
                min_length=1,
                max_length=50,
                description=(
                    'Names of events, or patterns such as "message.*"; left out: whatever '
                    "failed, or is missing of what the endpoint asks for."
                ),
            ),
        ]
        | None
    ) = None
    mode: Annotated[
        Literal["failed", "missing"],
        msgspec.Meta(
            description=(
                "failed: events whose delivery failed, was cancelled, or waits for another attempt "
                "after one that failed. missing: events that were never sent to this endpoint, "
                "because it was not there or did not ask for them."
            )
        ),
    ] = "failed"
    #: How many events are sent a second; the rate of the endpoint bounds them as well.
    rate_per_second: Annotated[int, msgspec.Meta(ge=1, le=RATE_MAX)] = 50


class RecoveryQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of recoveries is listed."""

    cursor: Cursor | None = None
    limit: PageSize = 20


class Recoveries(msgspec.Struct, frozen=True):
    """A page of recoveries, newest first."""

    items: list[RecoveryView]
    next_cursor: str | None


_new_recovery = msgspec.json.Decoder(NewRecovery)

START = Operation(
    method="POST",
    path=_PATH,
    operation_id="startWebhookRecovery",
    tag=TAG,
    summary="Start a recovery",
    description=(
        "Finds what the endpoint missed in a time and sends it again, at a rate, each event once. "
        "It goes on by itself, over restarts of the platform too; read it to follow it."
    ),
    scopes=WRITE,
    takes_idempotency_key=True,
    path_examples=_OF_ENDPOINT,
    body=NewRecovery,
    body_examples={
        "what failed since eight": {"since": "2026-11-02T08:00:00Z"},
        "before it was registered": {
            "since": "2026-11-01T00:00:00Z",
            "until": "2026-11-02T00:00:00Z",
            "mode": "missing",
            "event_types": ["message.delivered", "message.failed"],
            "rate_per_second": 20,
        },
    },
    success=Success(
        201,
        "The recovery runs.",
        RecoveryView,
        webhook_examples.NEW_RECOVERY,
        headers={"Location": "Where the recovery can be read.", **REPLAYED_NOTE},
    ),
    problems=(
        "webhook_endpoint_not_found",
        "webhook_endpoint_disabled",
        "too_many_recoveries",
        "unknown_event_type",
    ),
)
LIST = Operation(
    method="GET",
    path=_PATH,
    operation_id="listWebhookRecoveries",
    tag=TAG,
    summary="List recoveries",
    description="The recoveries of an endpoint, newest first; none for another account's.",
    scopes=READ,
    path_examples=_OF_ENDPOINT,
    query=RecoveryQuery,
    query_notes={"cursor": "The next_cursor of the page before.", "limit": "Recoveries a page."},
    success=Success(
        200,
        "A page of recoveries.",
        Recoveries,
        {"items": [webhook_examples.RECOVERY], "next_cursor": None},
        headers={"Link": 'The next page, rel="next"; absent on the last.'},
    ),
    problems=("invalid_cursor", "webhook_endpoint_not_found"),
)
READ_ONE = Operation(
    method="GET",
    path=_ONE,
    operation_id="getWebhookRecovery",
    tag=TAG,
    summary="Read a recovery",
    description="The recovery and how far it is.",
    scopes=READ,
    path_examples=_OF_RECOVERY,
    success=Success(200, "The recovery.", RecoveryView, webhook_examples.RECOVERY),
    problems=("webhook_endpoint_not_found", "recovery_not_found"),
)


def _step(step: Step, summary: str, description: str, example: Any) -> Operation:
    return Operation(
        method="POST",
        path=f"{_ONE}/{step.value}",
        operation_id=f"{step.value}WebhookRecovery",
        tag=TAG,
        summary=summary,
        description=description,
        scopes=WRITE,
        path_examples=_OF_RECOVERY,
        success=Success(200, "The recovery as it stands now.", RecoveryView, example),
        problems=("webhook_endpoint_not_found", "recovery_not_found", "recovery_ended"),
    )


PAUSE = _step(
    Step.PAUSE,
    "Pause a recovery",
    "Sends nothing more for now; what was sent goes its way. Twice is once.",
    _PAUSED,
)
RESUME = _step(
    Step.RESUME, "Resume a recovery", "Goes on where it stood.", webhook_examples.RECOVERY
)
CANCEL = _step(
    Step.CANCEL,
    "Cancel a recovery",
    "Sends nothing more for good; what was sent goes its way.",
    _CANCELLED,
)


class RecoveryPages:
    """Starts, shows and stops recoveries."""

    def __init__(self, deps: ApiDependencies) -> None:
        self._deps = deps
        self._lister = RecoveryLister(deps.deliveries, deps.key_pepper, LIST)

    async def start(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Start a recovery."""
        arrival = arrival_of(request.scope)
        endpoint_id = endpoint_id_of(request)
        asked = await read_json(request, _new_recovery)
        account_id = arrival.caller.account_id
        answer = await self._deps.ledger.execute(
            StartRecovery(
                self._deps.edge.new_id(arrival.at),
                account_id,
                _wanted(endpoint_id, asked, arrival.at),
                arrival.cause,
                idempotency_of(arrival, START.route_name, (endpoint_id.hex, asked)),
                await self._deps.deliveries.recoveries_under_way(endpoint_id),
            )
        )
        view = await recovery_of(self._deps.deliveries, answer.value, endpoint_id, account_id)
        path = f"{_PATH.replace('{endpoint_id:str}', view.webhook_endpoint_id)}/{view.id}"
        location = (b"location", path.encode())
        headers = (location, REPLAYED) if answer.replayed else (location,)
        return Reply(201, msgspec.json.encode(view), headers)

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of recoveries."""
        return await self._lister.list(request, arrival_of(request.scope).caller.account_id)

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with one recovery."""
        account_id = arrival_of(request.scope).caller.account_id
        view = await recovery_of(
            self._deps.deliveries, recovery_id_of(request), endpoint_id_of(request), account_id
        )
        return Reply(200, msgspec.json.encode(view))

    def move(self, step: Step) -> Callable[[Request[Any, Any, Any]], Awaitable[ASGIApp]]:
        """Return what answers a request to pause, resume or cancel."""

        async def answer(request: Request[Any, Any, Any]) -> ASGIApp:
            arrival = arrival_of(request.scope)
            account_id = arrival.caller.account_id
            endpoint_id, recovery_id = endpoint_id_of(request), recovery_id_of(request)
            await self._deps.ledger.execute(
                MoveRecovery(recovery_id, endpoint_id, account_id, step, arrival.cause)
            )
            view = await recovery_of(self._deps.deliveries, recovery_id, endpoint_id, account_id)
            return Reply(200, msgspec.json.encode(view))

        return answer


class RecoveryLister:
    """Answers with pages of the recoveries of an endpoint."""

    def __init__(self, reads: DeliveryReads, pepper: bytes, operation: Operation) -> None:
        self._reads = reads
        self._cursors = Cursors(pepper)
        self._path = operation.path

    async def list(self, request: Request[Any, Any, Any], account_id: UUID | None) -> ASGIApp:
        """Answer with a page; with none of another account's endpoint."""
        query = read_query(request, RecoveryQuery)
        endpoint_id = endpoint_id_of(request)
        filters = f"{self._path}:{account_id}:{endpoint_id}"
        before = self._cursors.read(query.cursor, filters)
        found = await self._reads.recoveries(
            endpoint_id, account_id, before=before, limit=query.limit + 1
        )
        page = list(found[: query.limit])
        if len(found) <= query.limit:
            return Reply(200, msgspec.json.encode(Recoveries(page, None)))
        last_id = parse_id(RECOVERY_PREFIX, page[-1].id)
        assert last_id is not None, "a recovery that was read has an id"
        cursor = self._cursors.write(last_id, filters)
        path = self._path.replace("{endpoint_id:str}", format_id(ENDPOINT_PREFIX, endpoint_id))
        body = msgspec.json.encode(Recoveries(page, cursor))
        return Reply(200, body, [next_link(path, query, cursor)])


async def recovery_of(
    reads: DeliveryReads, recovery_id: UUID, endpoint_id: UUID, account_id: UUID | None
) -> RecoveryView:
    """Return a recovery of an endpoint; raises RecoveryNotFound for another account's."""
    view = await reads.recovery(recovery_id, account_id)
    if view is None or view.webhook_endpoint_id != format_id(ENDPOINT_PREFIX, endpoint_id):
        raise RecoveryNotFound
    return view


def recovery_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of recoveries."""
    pages = RecoveryPages(deps)
    return [
        route(START, pages.start),
        route(LIST, pages.list),
        route(READ_ONE, pages.read),
        route(PAUSE, pages.move(Step.PAUSE)),
        route(RESUME, pages.move(Step.RESUME)),
        route(CANCEL, pages.move(Step.CANCEL)),
    ]


def _wanted(endpoint_id: UUID, asked: NewRecovery, now: datetime) -> Wanted:
    until = now if asked.until is None else min(asked.until, now)
    problems = []
    if asked.since >= until:
        told = "It must lie before until, and in the past."
        problems.append(FieldProblem("/since", "invalid_value", told))
    elif asked.since < now - KEPT:
        told = "Events are kept for 30 days; choose a later time."
        problems.append(FieldProblem("/since", "invalid_value", told))
    if problems:
        raise EdgeRefusal("validation_failed", "The time is not one to recover.", errors=problems)
    event_types = asked.event_types or []
    for place, pattern in enumerate(event_types):
        if not is_known(pattern):
            raise UnknownEventType(place)
    return Wanted(
        endpoint_id,
        RecoveryMode(asked.mode),
        asked.since,
        until,
        tuple(dict.fromkeys(event_types)),
        asked.rate_per_second,
    )
