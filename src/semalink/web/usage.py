"""What was sent, per day, network, sender and key: in pages, and as a file."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date, datetime
from typing import Annotated, Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.usage_reading import (
    BY_CAMPAIGN,
    CUSTOMER_GRAIN,
    AccountUsageView,
    UsageFilter,
    UsagePlace,
    UsageReads,
    UsageView,
    usage_header,
    usage_lines,
    usage_view,
)
from semalink.web import examples
from semalink.web.arrival import arrival_of
from semalink.web.cursor import TextCursors
from semalink.web.dependencies import ApiDependencies
from semalink.web.field_types import PageSize
from semalink.web.operation import Operation, Success, route
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply
from semalink.web.streamed import StreamedReply

#: Rows of a file that are read at a time.
PIECE_SIZE = 1_000

Word = Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[^\u0000]*$")]
KeyOrCampaign = Annotated[str, msgspec.Meta(pattern=r"^(key_[0-9a-f]{32}|campaign)$")]

COUNTS_EXAMPLE: dict[str, int] = {
    "accepted": 1_204,
    "submitted": 1_204,
    "under_way": 3,
    "delivered": 1_180,
    "failed": 20,
    "rejected": 0,
    "expired": 1,
    "cancelled": 0,
    "unknown": 0,
    "segments": 1_204,
    "price_micros": 963_200_000,
    "charged_micros": 963_200_000,
    "refunded_micros": 16_000_000,
}
_EXAMPLE: dict[str, Any] = {
    "day": "2026-11-02",
    "network": "safaricom",
    "sender": "ACME",
    "source": "api",
    "key_id": examples.API_KEY_ID,
    "counts": COUNTS_EXAMPLE,
}


class UsageFileQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is counted."""

    day_from: date | None = None
    day_before: date | None = None
    network: Word | None = None
    sender: Word | None = None
    key: KeyOrCampaign | None = None


class UsageQuery(UsageFileQuery, frozen=True, forbid_unknown_fields=True):
    """What is counted, in pages."""

    cursor: Annotated[str, msgspec.Meta(max_length=1_000)] | None = None
    limit: PageSize = 20


class Usage(msgspec.Struct, frozen=True):
    """A page of rows, newest day first."""

    items: list[UsageView]
    #: Everything that was recorded before this instant is counted.
    as_of: datetime
    next_cursor: str | None


FILTER_NOTES = {
    "day_from": "Only messages accepted on this day of East Africa Time or later, as `2026-11-02`.",
    "day_before": "Only messages accepted before this day.",
    "network": "Only messages to this network; empty: to one that nobody told.",
    "sender": "Only messages under this sender id.",
    "key": f"Only messages accepted by this key, or `{BY_CAMPAIGN}` for those of campaigns.",
}
PAGE_NOTES = {
    "cursor": "The next_cursor of the page before, with the same filters.",
    "limit": "Rows a page.",
}

LIST_USAGE = Operation(
    method="GET",
    path="/v1/usage",
    operation_id="listUsage",
    tag="Messages",
    summary="Count what was sent",
    description=(
        "Messages of the key's account and mode per day of East Africa Time, network, sender and "
        "key, newest day first. A message counts on the day on which it was accepted, by where it "
        "stands now: accepted = under_way + delivered + failed + rejected + expired + cancelled + "
        "unknown. Everything that was recorded before `as_of` is counted."
    ),
    scopes=frozenset({"messages:read", "ledger:read"}),
    query=UsageQuery,
    query_notes=FILTER_NOTES | PAGE_NOTES,
    success=Success(
        200,
        "A page of rows.",
        Usage,
        {"items": [_EXAMPLE], "as_of": "2026-11-02T08:15:04Z", "next_cursor": None},
        headers={"Link": 'The next page, rel="next"; absent on the last.'},
    ),
    problems=("invalid_cursor",),
)
DOWNLOAD_USAGE = Operation(
    method="GET",
    path="/v1/usage.csv",
    operation_id="downloadUsage",
    tag="Messages",
    summary="Download what was sent",
    description="The same as a CSV file, whole.",
    scopes=LIST_USAGE.scopes,
    query=UsageFileQuery,
    query_notes=FILTER_NOTES,
    success=Success(
        200,
        "The file.",
        None,
        (usage_header(UsageView) + usage_lines([msgspec.convert(_EXAMPLE, UsageView)])).decode(),
        media_type="text/csv",
    ),
)

View = Callable[[Any], UsageView | AccountUsageView]


class UsagePager:
    """Reads pages and files of usage."""

    def __init__(self, reads: UsageReads, pepper: bytes, view: View) -> None:
        self._reads = reads
        self._cursors = TextCursors(pepper)
        self._view = view

    async def page(
        self, path: str, wanted: UsageFilter, query: msgspec.Struct, place: str | None, limit: int
    ) -> Reply:
        """Answer with the page that a query asks for."""
        filters = f"{path}:{wanted}"
        after = _place_of(self._cursors.read(place, filters))
        as_of = await self._reads.counted_until()
        found = await self._reads.usage(wanted, after=after, limit=limit + 1)
        shown: dict[str, Any] = {
            "items": [self._view(row) for row in found[:limit]],
            "as_of": as_of,
            "next_cursor": None,
        }
        if len(found) <= limit:
            return Reply(200, msgspec.json.encode(shown))
        last = found[limit - 1].place
        cursor = self._cursors.write((last.day.isoformat(), *last.kind), filters)
        shown["next_cursor"] = cursor
        return Reply(200, msgspec.json.encode(shown), [next_link(path, query, cursor)])

    async def lines(self, header: bytes, wanted: UsageFilter) -> AsyncIterator[bytes]:
        """Yield a file, a piece at a time."""
        yield header
        after: UsagePlace | None = None
        while rows := await self._reads.usage(wanted, after=after, limit=PIECE_SIZE):
            yield usage_lines([self._view(row) for row in rows])
            after = rows[-1].place


class UsagePages:
    """Answers with what the caller's account sent."""

    def __init__(self, deps: ApiDependencies) -> None:
        self._pager = UsagePager(deps.usage, deps.key_pepper, usage_view)

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page."""
        query = read_query(request, UsageQuery)
        wanted = _filter(request, query)
        return await self._pager.page(LIST_USAGE.path, wanted, query, query.cursor, query.limit)

    async def download(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a file."""
        wanted = _filter(request, read_query(request, UsageFileQuery))
        return file_reply(self._pager.lines(usage_header(UsageView), wanted))


def file_reply(lines: AsyncIterator[bytes]) -> StreamedReply:
    """Return a file of usage."""
    headers = [(b"content-disposition", b'attachment; filename="usage.csv"')]
    return StreamedReply(lines, headers, media_type=b"text/csv; charset=utf-8")


def _filter(request: Request[Any, Any, Any], query: UsageFileQuery) -> UsageFilter:
    caller = arrival_of(request.scope).caller
    return UsageFilter(
        CUSTOMER_GRAIN,
        caller.account_id,
        caller.mode,
        query.day_from,
        query.day_before,
        query.network,
        query.sender,
        api_key=query.key,
    )


def _place_of(texts: Sequence[str] | None) -> UsagePlace | None:
    return None if texts is None else UsagePlace(date.fromisoformat(texts[0]), tuple(texts[1:]))


def usage_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the routes that count what was sent."""
    pages = UsagePages(deps)
    return [route(LIST_USAGE, pages.list), route(DOWNLOAD_USAGE, pages.download)]
