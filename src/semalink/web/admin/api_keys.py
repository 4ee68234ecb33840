"""API keys of customers: issued, listed without their secret, revoked."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.accounts import IssueApiKey, IssuedKey, RevokeApiKey
from semalink.application.reading import ApiKeyView
from semalink.domain.errors import AccountNotFound
from semalink.domain.ids import ACCOUNT_PREFIX, API_KEY_PREFIX, format_id
from semalink.web import examples
from semalink.web.admin.ids import account_id_of, api_key_id_of
from semalink.web.admin.roles import ADMINS, ANYONE
from semalink.web.api_key import make_key
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.dependencies import AdminDependencies
from semalink.web.field_types import Name
from semalink.web.idempotency import idempotency_of
from semalink.web.operation import Operation, Success, route
from semalink.web.problems import EdgeRefusal
from semalink.web.reply import Reply

CustomerScope = Literal[
    "messages:send",
    "messages:read",
    "balance:read",
    "ledger:read",
    "contacts:read",
    "contacts:write",
    "customers:read",
    "customers:write",
    "webhooks:read",
    "webhooks:write",
    "opt_outs:read",
    "opt_outs:write",
    "campaigns:read",
    "campaigns:write",
]


class NewApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key to be issued; operators' keys are made on the command line only."""

    name: Name
    scopes: Annotated[list[CustomerScope], msgspec.Meta(min_length=1, max_length=20)]
    mode: Literal["live", "test"]


class IssuedApiKey(msgspec.Struct, frozen=True):
    """A key that was just issued."""

    id: str
    account_id: str
    name: str
    scopes: list[str]
    mode: str
    last_four: str
    #: The key itself; it is shown this once and stored nowhere.
    key: str


class ApiKeys(msgspec.Struct, frozen=True):
    """All keys of an account, oldest first."""

    items: list[ApiKeyView]
    next_cursor: str | None


_decoder = msgspec.json.Decoder(NewApiKey)
_PATH = "/admin/v1/accounts/{account_id:str}/api-keys"
_OF_ACCOUNT = {"account_id": examples.ACCOUNT_ID}

ISSUE = Operation(
    method="POST",
    path=_PATH,
    operation_id="issueApiKey",
    tag="Accounts",
    summary="Issue an API key",
    description=(
        "Makes a key and shows it this once; only its keyed hash is stored. Repeated with the same "
        "Idempotency-Key, it makes no second key and answers 409, as the first is not shown again."
    ),
    scopes=ADMINS,
    takes_idempotency_key=True,
    path_examples=_OF_ACCOUNT,
    body=NewApiKey,
    body_examples={
        "sending": {
            "name": "shop backend",
            "scopes": ["messages:send", "messages:read"],
            "mode": "live",
        }
    },
    success=Success(
        201,
        "The key works from now on.",
        IssuedApiKey,
        {
            "id": examples.API_KEY_ID,
            "account_id": examples.ACCOUNT_ID,
            "name": "shop backend",
            "scopes": ["messages:read", "messages:send"],
            "mode": "live",
            "last_four": "7Qx2",
            "key": "sl_live_… (47 characters)",
        },
    ),
    problems=("account_not_found", "api_key_already_issued"),
)
LIST = Operation(
    method="GET",
    path=_PATH,
    operation_id="listApiKeys",
    tag="Accounts",
    summary="List API keys",
    description="All keys of an account, those that were revoked included.",
    scopes=ANYONE,
    path_examples=_OF_ACCOUNT,
    success=Success(200, "The keys.", ApiKeys, {"items": [examples.API_KEY], "next_cursor": None}),
    problems=("account_not_found",),
)
REVOKE = Operation(
    method="DELETE",
    path=f"{_PATH}/{{key_id:str}}",
    operation_id="revokeApiKey",
    tag="Accounts",
    summary="Revoke an API key",
    description="Stops a key for good, within a second on every process.",
    scopes=ADMINS,
    path_examples={**_OF_ACCOUNT, "key_id": examples.API_KEY_ID},
    success=Success(204, "The key works no more."),
    problems=("account_not_found", "api_key_not_found"),
)


class ApiKeyPages:
    """Issues, lists and revokes keys."""

    def __init__(self, deps: AdminDependencies) -> None:
        self._deps = deps

    async def issue(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Issue a key and show it this once."""
        account_id = account_id_of(request)
        arrival = arrival_of(request.scope)
        asked = await read_json(request, _decoder)
        api_key_id = self._deps.edge.new_id(arrival.at)
        scopes = sorted(set(asked.scopes))
        made = make_key(asked.mode, self._deps.key_pepper)
        issued = IssuedKey(
            api_key_id, asked.name, list(scopes), asked.mode, made.key_hash.hex(), made.last_four
        )
        # The path is part of what was asked: a key for one account is none for another.
        asked_for = (account_id.hex, asked)
        idempotency = idempotency_of(arrival, ISSUE.route_name, asked_for)
        answer = await self._deps.ledger.execute(
            IssueApiKey(account_id, issued, arrival.cause, idempotency)
        )
        if answer.replayed:
            raise _already_issued(answer.value)
        shown = IssuedApiKey(
            id=format_id(API_KEY_PREFIX, api_key_id),
            account_id=format_id(ACCOUNT_PREFIX, account_id),
            name=asked.name,
            scopes=list(scopes),
            mode=asked.mode,
            last_four=made.last_four,
            key=made.secret,
        )
        return Reply(201, msgspec.json.encode(shown))

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with all keys of an account."""
        account_id = account_id_of(request)
        keys = await self._deps.reads.api_keys(account_id)
        if not keys and await self._deps.reads.account(account_id) is None:
            raise AccountNotFound
        return Reply(200, msgspec.json.encode(ApiKeys(list(keys), None)))

    async def revoke(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Revoke a key and tell every process."""
        account_id, api_key_id = account_id_of(request), api_key_id_of(request)
        cause = arrival_of(request.scope).cause
        await self._deps.ledger.execute(RevokeApiKey(account_id, api_key_id, cause))
        self._deps.on_key_revoked(api_key_id)
        return Reply(204)


def _already_issued(api_key_id: UUID) -> EdgeRefusal:
    public_id = format_id(API_KEY_PREFIX, api_key_id)
    return EdgeRefusal(
        "api_key_already_issued",
        f"This Idempotency-Key issued {public_id}, whose secret is not shown again. "
        "Revoke it and issue another.",
        headers={"Idempotent-Replayed": "true"},
    )


def api_key_routes(deps: AdminDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of API keys."""
    pages = ApiKeyPages(deps)
    return [route(ISSUE, pages.issue), route(LIST, pages.list), route(REVOKE, pages.revoke)]
