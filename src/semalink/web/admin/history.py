"""The history of anything, for auditors: who did what, when and why, or was refused."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.history import REFUSED, HistoryFilter, HistoryRow
from semalink.domain.ids import (
    ACCOUNT_PREFIX,
    DELIVERY_PREFIX,
    ENDPOINT_PREFIX,
    MESSAGE_PREFIX,
    parse_id,
)
from semalink.web import examples
from semalink.web.admin.roles import ANYONE
from semalink.web.cursor import PlaceCursors
from semalink.web.dependencies import AdminDependencies
from semalink.web.operation import Operation, Success, route
from semalink.web.problems import EdgeRefusal, FieldProblem
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply

LIMIT_MAX = 200
LIMIT_DEFAULT = 50
CAMPAIGN_PREFIX = "cmp_"

_MESSAGE_ID = Annotated[str, msgspec.Meta(pattern="^msg_[0-9a-f]{32}$")]
_ACCOUNT_ID = Annotated[str, msgspec.Meta(pattern="^acct_[0-9a-f]{32}$")]
_CAMPAIGN_ID = Annotated[str, msgspec.Meta(pattern="^cmp_[0-9a-f]{32}$")]
_ENDPOINT_ID = Annotated[str, msgspec.Meta(pattern="^whe_[0-9a-f]{32}$")]
_DELIVERY_ID = Annotated[str, msgspec.Meta(pattern="^whk_[0-9a-f]{32}$")]
_MOMENT = Annotated[datetime, msgspec.Meta(tz=True)]
_NAME = r"^[a-z_]+(\.[a-z_]+)?$"


class HistoryQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rows are listed; everything given must be true of each."""

    message_id: _MESSAGE_ID | None = None
    account_id: _ACCOUNT_ID | None = None
    reservation_id: _MESSAGE_ID | None = None
    campaign_id: _CAMPAIGN_ID | None = None
    webhook_endpoint_id: _ENDPOINT_ID | None = None
    webhook_delivery_id: _DELIVERY_ID | None = None
    actor: Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\u0000]+$")] | None = None
    request_id: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_.-]{1,64}$")] | None = None
    name: Annotated[str, msgspec.Meta(max_length=80, pattern=_NAME)] | None = None
    from_at: _MOMENT | None = None
    before_at: _MOMENT | None = None
    refused: bool = False
    oldest_first: bool = False
    cursor: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT


class HistoryRows(msgspec.Struct, frozen=True):
    """A page of a history."""

    items: list[HistoryRow]
    #: Give it back as ``cursor`` for the page after this; null on the last. A page may hold few
    #: rows or none and still have one after it.
    next_cursor: str | None


_LIMIT_SET = {
    "id": f"evt_{examples.ACCOUNT_ID.removeprefix(ACCOUNT_PREFIX)}_42",
    "at": "2026-11-02T08:15:04.310000Z",
    "decided_at": "2026-11-02T08:15:04.299000Z",
    "name": "credit.limit_set",
    "actor": "operator:key_0198c0de5ca17000800000000000000c",
    "request_id": "req_0198c0de5ca17000800000000000000d",
    "account_id": examples.ACCOUNT_ID,
    "message_id": None,
    "reason": "contract 2026/117",
    "detail": None,
    "facts": {"credit_limit_micros": 500_000_000, "posted_after_micros": 0},
    "before": {"credit_limit_micros": 200_000_000},
}

READ_HISTORY = Operation(
    method="GET",
    path="/admin/v1/history",
    operation_id="readHistory",
    tag="History",
    summary="Read what happened, and what was refused",
    description=(
        "Every step of messages, credits, accounts and adjustments, and every refused command: "
        "who, when, what, why. Filters combine. Without a time range, an id given leads to the "
        "time; otherwise the last 24 hours are read. A page looks through a bounded piece of the "
        "logs, so it may hold few items and still have a next_cursor. Texts, phone numbers and "
        "keys are not shown."
    ),
    scopes=ANYONE,
    query=HistoryQuery,
    query_notes={
        "message_id": "Only this message and its credits.",
        "account_id": "Only this account: its settings, credits, messages and refusals.",
        "reservation_id": "Only the credits and the message of this reservation.",
        "campaign_id": "Only this campaign and its credits.",
        "webhook_endpoint_id": "Only this endpoint of webhooks.",
        "webhook_delivery_id": "Only this delivery of a webhook, with each attempt.",
        "actor": "Only what this actor did, for example operator:key_….",
        "request_id": "Only what came of this request or unit of work.",
        "name": "Only events of this name, or whose names begin so up to a point.",
        "from_at": "Only what was recorded at this time or later, RFC 3339.",
        "before_at": "Only what was recorded before this time, RFC 3339.",
        "refused": "Only refused commands.",
        "oldest_first": "Begin with the oldest instead of the newest.",
        "cursor": "The next_cursor of the page before, with the same filters.",
        "limit": "Rows a page.",
    },
    success=Success(
        200,
        "A page of the history.",
        HistoryRows,
        {"items": [_LIMIT_SET], "next_cursor": None},
        headers={"Link": 'The next page, rel="next"; absent on the last.'},
    ),
    problems=("invalid_cursor",),
)


class HistoryReader:
    """Answers auditors."""

    def __init__(self, deps: AdminDependencies) -> None:
        self._history = deps.history
        self._cursors = PlaceCursors(deps.key_pepper)

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of the history."""
        query = read_query(request, HistoryQuery)
        asked = filter_of(query)
        filters = str(asked)
        after = self._cursors.read(query.cursor, filters)
        page = await self._history.page(asked, after, query.limit)
        if page.next is None:
            return Reply(200, msgspec.json.encode(HistoryRows(page.rows, None)))
        cursor = self._cursors.write(page.next, filters)
        link = next_link(READ_HISTORY.path, query, cursor)
        return Reply(200, msgspec.json.encode(HistoryRows(page.rows, cursor)), [link])


def filter_of(query: HistoryQuery) -> HistoryFilter:
    """Return what a query asks for; raises EdgeRefusal when its parts exclude one another."""
    subjects = {
        subject
        for subject in (
            _id(MESSAGE_PREFIX, query.message_id),
            _id(MESSAGE_PREFIX, query.reservation_id),
            _id(CAMPAIGN_PREFIX, query.campaign_id),
            _id(ENDPOINT_PREFIX, query.webhook_endpoint_id),
            _id(DELIVERY_PREFIX, query.webhook_delivery_id),
        )
        if subject is not None
    }
    if len(subjects) > 1:
        raise _refusal(
            "/reservation_id",
            "Ask for one message, reservation, campaign, endpoint or delivery at once.",
        )
    name = query.name
    if query.refused:
        if name is not None and name.partition(".")[0] != REFUSED:
            raise _refusal("/name", "With refused=true, a name begins with refused.")
        name = name or REFUSED
    return HistoryFilter(
        subject_id=subjects.pop() if subjects else None,
        account_id=_id(ACCOUNT_PREFIX, query.account_id),
        actor=query.actor,
        request_id=query.request_id,
        name=name,
        from_at=query.from_at and query.from_at.astimezone(UTC),
        before_at=query.before_at and query.before_at.astimezone(UTC),
        is_newest_first=not query.oldest_first,
    )


def _id(prefix: str, text: str | None) -> UUID | None:
    return None if text is None else parse_id(prefix, text)


def _refusal(pointer: str, detail: str) -> EdgeRefusal:
    problem = FieldProblem(pointer, "conflicting", detail)
    return EdgeRefusal("validation_failed", detail, errors=[problem])


def history_routes(deps: AdminDependencies) -> list[HTTPRouteHandler]:
    """Return the route of the history."""
    return [route(READ_HISTORY, HistoryReader(deps).read)]
