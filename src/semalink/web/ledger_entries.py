"""The entries of an account's credits, and its balance at any point of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.credit_reading import BalanceView, EntryFilter, EntryView
from semalink.application.reading import Reads
from semalink.domain.errors import AccountNotFound, EntryNotFound, PaidByAgent
from semalink.domain.ids import CAMPAIGN_PREFIX, MESSAGE_PREFIX, parse_id
from semalink.web import examples
from semalink.web.arrival import arrival_of
from semalink.web.cursor import Cursors
from semalink.web.dependencies import ApiDependencies
from semalink.web.field_types import Cursor, PageSize
from semalink.web.operation import Operation, Success, route
from semalink.web.problems import EdgeRefusal
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply

#: Entries are numbered within what a BIGINT holds.
ENTRY_MAX = 2**63 - 1

Verb = Literal[
    "created",
    "topped_up",
    "reserved",
    "charged",
    "released",
    "reservation_expired",
    "refunded",
    "adjusted",
    "limit_set",
    "limit_neared",
    "transferred_out",
    "transferred_in",
]


class BalanceQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which balance is asked for: of now unless something is given."""

    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    after_entry: Annotated[int, msgspec.Meta(ge=0, le=ENTRY_MAX)] | None = None


class EntryQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which entries are listed."""

    name: Verb | None = None
    at_from: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    at_before: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    campaign_id: Annotated[str, msgspec.Meta(pattern=r"^cmp_[0-9a-f]{32}$")] | None = None
    cursor: Cursor | None = None
    limit: PageSize = 20


class Entries(msgspec.Struct, frozen=True):
    """A page of entries, newest first."""

    items: list[EntryView]
    next_cursor: str | None


BALANCE_NOTES = {
    "at": "As it was at this instant, RFC 3339; entries are dated when they were recorded.",
    "after_entry": "As it was after this entry.",
}
ENTRY_NOTES = {
    "name": "Only this verb.",
    "at_from": "Only what was recorded at this time or later, RFC 3339.",
    "at_before": "Only what was recorded before this time, RFC 3339.",
    "campaign_id": (
        "Only what this campaign moved: its reservation, each charge and refund, its release. "
        "These show up a moment after they were recorded."
    ),
    "cursor": "The next_cursor of the page before, with the same filters.",
    "limit": "Entries a page; messages a page where the agent pays.",
}
ENTRY_PAGE = Success(
    200,
    "A page of entries.",
    Entries,
    {"items": [examples.ENTRY], "next_cursor": None},
    headers={"Link": 'The next page, rel="next"; absent on the last.'},
)

LIST_ENTRIES = Operation(
    method="GET",
    path="/v1/ledger/entries",
    operation_id="listLedgerEntries",
    tag="Credits",
    summary="List what moved the credits",
    description=(
        "The ledger entries of the account, newest first, with the balance after each. An account "
        "whose agent pays sees what its own messages moved, in its own prices, and no balances; "
        "a page then holds the movements of so many messages."
    ),
    scopes=frozenset({"ledger:read"}),
    query=EntryQuery,
    query_notes=ENTRY_NOTES,
    success=ENTRY_PAGE,
    problems=("invalid_cursor",),
)


class EntryPages:
    """Reads balances of any time, and pages of entries."""

    def __init__(self, reads: Reads, pepper: bytes) -> None:
        self._reads = reads
        self._cursors = Cursors(pepper)

    async def balance(self, account_id: UUID, query: BalanceQuery) -> BalanceView:
        """Return the balance that is asked for; raises what keeps it from being told."""
        if query.at is not None and query.after_entry is not None:
            raise EdgeRefusal("bad_request", "Give at or after_entry, not both.")
        now = await self._reads.balance(account_id)
        if now is None:
            raise AccountNotFound
        if query.at is None and query.after_entry is None:
            return now
        if now.paid_by == "agent":
            raise PaidByAgent
        if query.at is not None:
            return await self._reads.balance_at(account_id, query.at)
        assert query.after_entry is not None, "one of the two is given"
        after = await self._reads.balance_after(account_id, query.after_entry)
        if after is None:
            raise EntryNotFound
        return after

    async def own(self, path: str, account_id: UUID, query: EntryQuery) -> Reply:
        """Answer with a page of the entries of an account that pays for itself."""
        wanted = _filter(query)
        filters = f"{path}:{wanted}"
        before = self._cursors.read(query.cursor, filters)
        found = await self._reads.entries(
            account_id,
            wanted,
            before=None if before is None else before.int,
            limit=query.limit + 1,
        )
        page = list(found[: query.limit])
        last = UUID(int=page[-1].entry or 0) if len(found) > query.limit else None
        return self._page(path, query, page, self._cursor(last, filters))

    async def movements(
        self, path: str, account_id: UUID, payer_id: UUID, query: EntryQuery
    ) -> Reply:
        """Answer with what messages moved for which another account pays."""
        wanted = _filter(query)
        filters = f"{path}:{wanted}"
        before = self._cursors.read(query.cursor, filters)
        found = await self._reads.movements(
            account_id, payer_id, wanted, before=before, limit=query.limit
        )
        last = parse_id(MESSAGE_PREFIX, found[-1].message_id or "") if found else None
        return self._page(path, query, found, self._cursor(last, filters))

    def _cursor(self, last: UUID | None, filters: str) -> str | None:
        return None if last is None else self._cursors.write(last, filters)

    @staticmethod
    def _page(path: str, query: EntryQuery, page: Sequence[EntryView], cursor: str | None) -> Reply:
        link = [] if cursor is None else [next_link(path, query, cursor)]
        return Reply(200, msgspec.json.encode(Entries(list(page), cursor)), link)


def _filter(query: EntryQuery) -> EntryFilter:
    campaign = query.campaign_id
    campaign_id = None if campaign is None else parse_id(CAMPAIGN_PREFIX, campaign)
    return EntryFilter(query.name, query.at_from, query.at_before, campaign_id)


class LedgerReader:
    """Answers with the caller's entries."""

    def __init__(self, deps: ApiDependencies) -> None:
        self._pages = EntryPages(deps.reads, deps.key_pepper)

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of what moved the caller's credits."""
        query = read_query(request, EntryQuery)
        caller = arrival_of(request.scope).caller
        if not caller.is_paid_by_agent:
            return await self._pages.own(LIST_ENTRIES.path, caller.account_id, query)
        return await self._pages.movements(
            LIST_ENTRIES.path, caller.account_id, caller.billing_account_id, query
        )


def ledger_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the route that lists entries."""
    return [route(LIST_ENTRIES, LedgerReader(deps).list)]
