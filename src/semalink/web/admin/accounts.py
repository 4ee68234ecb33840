"""Accounts: open one, read one, list them."""

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.accounts import AccountOpened, OpenAccount
from semalink.application.reading import AccountView
from semalink.domain.account import Kind, Tier
from semalink.domain.errors import AccountNotFound
from semalink.domain.ids import ACCOUNT_PREFIX, format_id, parse_id
from semalink.domain.rate_limit import limit_of
from semalink.web import examples
from semalink.web.admin.ids import account_id_of
from semalink.web.admin.roles import ADMINS, ANYONE
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.cursor import Cursors
from semalink.web.dependencies import AdminDependencies
from semalink.web.field_types import Name, account_uuid
from semalink.web.idempotency import REPLAYED, REPLAYED_NOTE, idempotency_of
from semalink.web.operation import Operation, Success, route
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply


class NewAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An account to be opened; it holds nothing yet.

    A customer names its agent, which pays for it unless it pays for itself.
    """

    name: Name
    kind: Literal["direct", "agent", "customer"] = "direct"
    tier: Literal["starter", "growth", "enterprise"] = "starter"
    agent_id: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    pays_itself: bool = False


class Accounts(msgspec.Struct, frozen=True):
    """A page of accounts, oldest first."""

    items: list[AccountView]
    next_cursor: str | None


class AccountQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of accounts is listed."""

    cursor: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20


_decoder = msgspec.json.Decoder(NewAccount)

OPEN = Operation(
    method="POST",
    path="/admin/v1/accounts",
    operation_id="openAccount",
    tag="Accounts",
    summary="Open an account",
    description="Opens an account and its credits, together. It may send once it has credits.",
    scopes=ADMINS,
    takes_idempotency_key=True,
    body=NewAccount,
    body_examples={
        "direct": {"name": "Acme Stores", "kind": "direct", "tier": "starter"},
        "agent's customer": {
            "name": "Duka la Mama",
            "kind": "customer",
            "agent_id": examples.ACCOUNT_ID,
        },
    },
    success=Success(
        201,
        "The account is open.",
        AccountView,
        examples.ACCOUNT,
        headers={"Location": "Where the account can be read.", **REPLAYED_NOTE},
    ),
    problems=("account_not_found", "agent_required", "not_an_agent"),
)
LIST = Operation(
    method="GET",
    path="/admin/v1/accounts",
    operation_id="listAccounts",
    tag="Accounts",
    summary="List accounts",
    description="All accounts, oldest first.",
    scopes=ANYONE,
    query=AccountQuery,
    query_notes={"cursor": "The next_cursor of the page before.", "limit": "Accounts a page."},
    success=Success(
        200,
        "A page of accounts.",
        Accounts,
        {"items": [examples.ACCOUNT], "next_cursor": None},
        headers={"Link": 'The next page, rel="next"; absent on the last.'},
    ),
    problems=("invalid_cursor",),
)
READ = Operation(
    method="GET",
    path="/admin/v1/accounts/{account_id:str}",
    operation_id="getAccount",
    tag="Accounts",
    summary="Read an account",
    description="The account as it is set up now.",
    scopes=ANYONE,
    path_examples={"account_id": examples.ACCOUNT_ID},
    success=Success(200, "The account.", AccountView, examples.ACCOUNT),
    problems=("account_not_found",),
)


class AccountPages:
    """Opens and shows accounts."""

    def __init__(self, deps: AdminDependencies) -> None:
        self._deps = deps
        self._cursors = Cursors(deps.key_pepper)

    async def open(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Open an account."""
        arrival = arrival_of(request.scope)
        asked = await read_json(request, _decoder)
        account_id = self._deps.edge.new_id(arrival.at)
        kind, tier = Kind(asked.kind), Tier(asked.tier)
        idempotency = idempotency_of(arrival, OPEN.route_name, asked)
        answer = await self._deps.ledger.execute(
            OpenAccount(
                account_id,
                asked.name,
                kind,
                tier,
                arrival.cause,
                idempotency,
                agent_id=None if asked.agent_id is None else account_uuid(asked.agent_id),
                pays_itself=asked.pays_itself,
            )
        )
        opened = _view_of(answer.value)
        location = (b"location", f"{OPEN.path}/{opened.id}".encode())
        headers = (location, REPLAYED) if answer.replayed else (location,)
        return Reply(201, msgspec.json.encode(opened), headers)

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of accounts."""
        query = read_query(request, AccountQuery)
        after = self._cursors.read(query.cursor, LIST.path)
        found = await self._deps.reads.accounts(after=after, limit=query.limit + 1)
        page = list(found[: query.limit])
        if len(found) <= query.limit:
            return Reply(200, msgspec.json.encode(Accounts(page, None)))
        last_id = parse_id(ACCOUNT_PREFIX, page[-1].id)
        assert last_id is not None, "an account that was read has an id"
        cursor = self._cursors.write(last_id, LIST.path)
        link = next_link(LIST.path, query, cursor)
        return Reply(200, msgspec.json.encode(Accounts(page, cursor)), [link])

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with one account."""
        account = await self._deps.reads.account(account_id_of(request))
        if account is None:
            raise AccountNotFound
        return Reply(200, msgspec.json.encode(account))


def _view_of(opened: AccountOpened) -> AccountView:
    public_id = format_id(ACCOUNT_PREFIX, opened.account_id)
    payer_id = opened.billing_account_id or opened.account_id
    limit = limit_of(opened.tier, None)
    return AccountView(
        id=public_id,
        billing_account_id=format_id(ACCOUNT_PREFIX, payer_id),
        name=opened.name,
        kind=opened.kind.value,
        tier=opened.tier.value,
        preferred_aggregator=None,
        opened_at=opened.opened_at,
        agent_id=format_id(ACCOUNT_PREFIX, opened.agent_id) if opened.agent_id else None,
        rate_per_second=limit.rate_per_second,
        burst=limit.burst,
    )


def account_routes(deps: AdminDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of accounts."""
    pages = AccountPages(deps)
    return [route(OPEN, pages.open), route(LIST, pages.list), route(READ, pages.read)]
