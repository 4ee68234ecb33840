"""What every account sent, for finance: per day, network, sender, aggregator and key."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.usage_reading import (
    OPERATOR_GRAIN,
    AccountUsageView,
    UsageFilter,
    account_usage_view,
    usage_header,
    usage_lines,
)
from semalink.web import examples
from semalink.web.admin.roles import ANYONE
from semalink.web.dependencies import AdminDependencies
from semalink.web.field_types import AccountText, PageSize, account_uuid
from semalink.web.operation import route
from semalink.web.query import read_query
from semalink.web.usage import (
    COUNTS_EXAMPLE,
    DOWNLOAD_USAGE,
    FILTER_NOTES,
    LIST_USAGE,
    PAGE_NOTES,
    UsageFileQuery,
    UsagePager,
    Word,
    file_reply,
)

_EXAMPLE: dict[str, Any] = {
    "day": "2026-11-02",
    "account_id": examples.ACCOUNT_ID,
    "mode": "live",
    "network": "safaricom",
    "sender": "ACME",
    "aggregator": "celcom",
    "source": "api",
    "key_id": examples.API_KEY_ID,
    "counts": COUNTS_EXAMPLE,
}


class AnyUsageFileQuery(UsageFileQuery, frozen=True, forbid_unknown_fields=True):
    """What is counted."""

    account_id: AccountText | None = None
    mode: Literal["live", "test"] | None = None
    aggregator: Word | None = None


class AnyUsageQuery(AnyUsageFileQuery, frozen=True, forbid_unknown_fields=True):
    """What is counted, in pages."""

    cursor: Annotated[str, msgspec.Meta(max_length=1_000)] | None = None
    limit: PageSize = 20


class AccountUsage(msgspec.Struct, frozen=True):
    """A page of rows, newest day first."""

    items: list[AccountUsageView]
    #: Everything that was recorded before this instant is counted.
    as_of: datetime
    next_cursor: str | None


_NOTES = FILTER_NOTES | {
    "account_id": "Only messages of this account.",
    "mode": "Only real messages, or only those of test keys.",
    "aggregator": "Only messages that this aggregator was asked last to carry.",
}

LIST_ALL = replace(
    LIST_USAGE,
    path="/admin/v1/usage",
    operation_id="listUsageOfAccounts",
    tag="Finance",
    summary="Count what accounts sent",
    description=(
        "Messages per day of East Africa Time, account, mode, network, sender, aggregator and key, "
        "newest day first, in the senders' own prices. A message counts on the day on which it was "
        "accepted, by where it stands now. Everything that was recorded before `as_of` is counted."
    ),
    scopes=ANYONE,
    query=AnyUsageQuery,
    query_notes=_NOTES | PAGE_NOTES,
    success=replace(
        LIST_USAGE.success,
        shape=AccountUsage,
        example={"items": [_EXAMPLE], "as_of": "2026-11-02T08:15:04Z", "next_cursor": None},
    ),
    problems=("account_not_found", "invalid_cursor"),
)
DOWNLOAD_ALL = replace(
    DOWNLOAD_USAGE,
    path="/admin/v1/usage.csv",
    operation_id="downloadUsageOfAccounts",
    tag="Finance",
    summary="Download what accounts sent",
    scopes=ANYONE,
    query=AnyUsageFileQuery,
    query_notes=_NOTES,
    success=replace(
        DOWNLOAD_USAGE.success,
        example=(
            usage_header(AccountUsageView)
            + usage_lines([msgspec.convert(_EXAMPLE, AccountUsageView)])
        ).decode(),
    ),
    problems=("account_not_found",),
)


class AnyUsage:
    """Answers with what accounts sent."""

    def __init__(self, deps: AdminDependencies) -> None:
        self._pager = UsagePager(deps.usage, deps.key_pepper, account_usage_view)

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page."""
        query = read_query(request, AnyUsageQuery)
        wanted = _filter(query)
        return await self._pager.page(LIST_ALL.path, wanted, query, query.cursor, query.limit)

    async def download(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a file."""
        wanted = _filter(read_query(request, AnyUsageFileQuery))
        return file_reply(self._pager.lines(usage_header(AccountUsageView), wanted))


def _filter(query: AnyUsageFileQuery) -> UsageFilter:
    return UsageFilter(
        OPERATOR_GRAIN,
        None if query.account_id is None else account_uuid(query.account_id),
        query.mode,
        query.day_from,
        query.day_before,
        query.network,
        query.sender,
        query.aggregator,
        query.key,
    )


def any_usage_routes(deps: AdminDependencies) -> list[HTTPRouteHandler]:
    """Return the routes that count what accounts sent."""
    pages = AnyUsage(deps)
    return [route(LIST_ALL, pages.list), route(DOWNLOAD_ALL, pages.download)]
