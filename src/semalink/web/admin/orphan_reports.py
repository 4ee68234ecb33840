"""Reports that match no message: listed, looked at, attached by hand, discarded."""

from datetime import timedelta
from typing import Annotated, Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.history import Place
from semalink.application.message_view import MessageView, encode_view
from semalink.application.orphan_reports import (
    AttachReport,
    DiscardReport,
    Orphan,
    OrphanDetail,
    OrphanPlace,
    OrphanView,
    detail_of_orphan,
    parse_place,
    view_of_orphan,
)
from semalink.domain.errors import MessageNotFound
from semalink.domain.report_errors import OrphanReportNotFound
from semalink.web import examples
from semalink.web.admin.roles import ANYONE, OPERATIONS
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.cursor import PlaceCursors
from semalink.web.dependencies import AdminDependencies
from semalink.web.field_types import Cursor, PageSize, Reason
from semalink.web.message_reading import message_uuid
from semalink.web.operation import Operation, Success, route
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply

_AGE_SECONDS_MAX = 366 * 86_400


class OrphanQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which reports are listed."""

    aggregator: Annotated[str, msgspec.Meta(max_length=40, pattern=r"^[^\u0000]*$")] | None = None
    min_age_seconds: Annotated[int, msgspec.Meta(ge=0, le=_AGE_SECONDS_MAX)] = 0
    cursor: Cursor | None = None
    limit: PageSize = 20


class OrphanList(msgspec.Struct, frozen=True):
    """A page of reports that match no message, oldest first."""

    items: list[OrphanView]
    next_cursor: str | None


class OrphanAttachment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which message a report is about, and how that is known."""

    message_id: Annotated[str, msgspec.Meta(max_length=64)]
    reason: Reason


class OrphanDiscarding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a report is put away."""

    reason: Reason


_attachment = msgspec.json.Decoder(OrphanAttachment)
_discarding = msgspec.json.Decoder(OrphanDiscarding)
_PATH = "/admin/v1/reports/orphans"
_ONE = f"{_PATH}/{{report_id:str}}"
_REPORT_ID = "rpt_0193a5c301b07c3e8f21b6a4d9e0aaaa"
_OF_REPORT = {"report_id": _REPORT_ID}
_ORPHAN = {
    "id": _REPORT_ID,
    "aggregator": "africastalking",
    "reference": "ATPid_5f2c9d1e",
    "state": "delivered",
    "description": "Success",
    "failure_code": None,
    "network": "63902",
    "to": "+254******678",
    "reported_at": None,
    "shelved_at": "2026-11-02T08:15:07.120000Z",
}
_BODY = "id=ATPid_5f2c9d1e&status=Success&phoneNumber=%2B254712345678&networkCode=63902"

LIST = Operation(
    method="GET",
    path=_PATH,
    operation_id="listOrphanReports",
    tag="Delivery reports",
    summary="List reports that match no message",
    description=(
        "Reports on the shelf, oldest first. Most find their message within a second, when the "
        "aggregator reported before it answered; those that stay are here."
    ),
    scopes=ANYONE,
    query=OrphanQuery,
    query_notes={
        "aggregator": "Only reports of this aggregator.",
        "min_age_seconds": "Only reports that have lain there for so long.",
        "cursor": "The next_cursor of the page before, with the same filters.",
        "limit": "Reports a page.",
    },
    success=Success(
        200,
        "A page of reports.",
        OrphanList,
        {"items": [_ORPHAN], "next_cursor": None},
        headers={"Link": 'The next page, rel="next"; absent on the last.'},
    ),
    problems=("invalid_cursor",),
)
SHOW = Operation(
    method="GET",
    path=_ONE,
    operation_id="getOrphanReport",
    tag="Delivery reports",
    summary="Look at a report that matches no message",
    description="The report with the body that it came in, which names the recipient.",
    scopes=OPERATIONS,
    path_examples=_OF_REPORT,
    success=Success(
        200,
        "The report.",
        OrphanDetail,
        {**_ORPHAN, "content_type": "application/x-www-form-urlencoded", "body": _BODY},
    ),
    problems=("orphan_report_not_found",),
)
ATTACH = Operation(
    method="POST",
    path=f"{_ONE}/attach",
    operation_id="attachOrphanReport",
    tag="Delivery reports",
    summary="Give a report to its message",
    description=(
        "Applies the report to the message that you name, as if it had found it by itself; its "
        "money follows the same rules."
    ),
    scopes=OPERATIONS,
    path_examples=_OF_REPORT,
    body=OrphanAttachment,
    body_examples={
        "known from the aggregator": {
            "message_id": examples.MESSAGE_ID,
            "reason": "The aggregator's page shows this id for the message.",
        }
    },
    success=Success(200, "The message after the report.", MessageView, examples.DELIVERED),
    problems=("orphan_report_not_found", "message_not_found", "report_does_not_fit"),
)
DISCARD = Operation(
    method="POST",
    path=f"{_ONE}/discard",
    operation_id="discardOrphanReport",
    tag="Delivery reports",
    summary="Put a report away",
    description="Takes a report off the shelf that is about nothing of ours; its body stays kept.",
    scopes=OPERATIONS,
    path_examples=_OF_REPORT,
    body=OrphanDiscarding,
    body_examples={"of another platform": {"reason": "Sent by the platform before this one."}},
    success=Success(204, "It is off the shelf."),
    problems=("orphan_report_not_found",),
)


class OrphanPages:
    """Shows the shelf and settles what lies on it."""

    def __init__(self, deps: AdminDependencies) -> None:
        self._deps = deps
        self._cursors = PlaceCursors(deps.key_pepper)

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of reports."""
        query = read_query(request, OrphanQuery)
        filters = f"{LIST.path}:{query.aggregator}:{query.min_age_seconds}"
        place = self._cursors.read(query.cursor, filters)
        found = await self._deps.orphans.orphans(
            query.aggregator,
            shelved_before=arrival_of(request.scope).at - timedelta(seconds=query.min_age_seconds),
            after=None if place is None else OrphanPlace(place.id, place.version),
            limit=query.limit + 1,
        )
        page = found[: query.limit]
        items = [view_of_orphan(orphan) for orphan in page]
        if len(found) <= query.limit:
            return Reply(200, msgspec.json.encode(OrphanList(items, None)))
        cursor = self._cursors.write(_place_of(page[-1]), filters)
        body = msgspec.json.encode(OrphanList(items, cursor))
        return Reply(200, body, [next_link(LIST.path, query, cursor)])

    async def show(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with one report and its body."""
        return Reply(200, msgspec.json.encode(detail_of_orphan(await self._orphan(request))))

    async def attach(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Apply it to a message."""
        asked = await read_json(request, _attachment)
        orphan = await self._orphan(request)
        message_id = message_uuid(asked.message_id)
        payer_id = await self._deps.orphans.billing_account_of(message_id)
        if payer_id is None:
            raise MessageNotFound
        cause = arrival_of(request.scope).cause
        await self._deps.ledger.execute(
            AttachReport(orphan.parsed, message_id, payer_id, asked.reason, cause)
        )
        message = await self._deps.reads.message(message_id, None)
        assert message is not None, "a message that was reported on is there"
        return Reply(200, encode_view(message))

    async def discard(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Take it off the shelf."""
        asked = await read_json(request, _discarding)
        orphan = await self._orphan(request)
        cause = arrival_of(request.scope).cause
        await self._deps.ledger.execute(DiscardReport(orphan.parsed, asked.reason, cause))
        return Reply(204)

    async def _orphan(self, request: Request[Any, Any, Any]) -> Orphan:
        place = parse_place(request.path_params["report_id"])
        orphan = await self._deps.orphans.orphan(place)
        if orphan is None:
            raise OrphanReportNotFound
        return orphan


def _place_of(orphan: Orphan) -> Place:
    return Place(orphan.shelved_at, 0, orphan.parsed.report_id, orphan.parsed.part)


def orphan_routes(deps: AdminDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of reports that match no message."""
    pages = OrphanPages(deps)
    return [
        route(LIST, pages.list),
        route(SHOW, pages.show),
        route(ATTACH, pages.attach),
        route(DISCARD, pages.discard),
    ]
