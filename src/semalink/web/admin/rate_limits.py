"""How fast accounts and their keys may send: seen and set while everything runs."""

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.limits import SetApiKeyRateLimit, SetRateLimit
from semalink.domain.account import Tier
from semalink.domain.errors import AccountNotFound
from semalink.domain.limit import Limit
from semalink.web import examples
from semalink.web.admin.ids import account_id_of, api_key_id_of
from semalink.web.admin.roles import ANYONE, OPERATIONS
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.dependencies import AdminDependencies
from semalink.web.field_types import Reason
from semalink.web.operation import Operation, Success, route
from semalink.web.problems import EdgeRefusal, FieldProblem
from semalink.web.reply import Reply

RATE_MAX = 100_000
BURST_MAX = 1_000_000

Rate = Annotated[int, msgspec.Meta(ge=1, le=RATE_MAX)]
Burst = Annotated[int, msgspec.Meta(ge=1, le=BURST_MAX)]


class NewRateLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How fast an account may send, in messages; without a rate and a burst, as its tier says."""

    reason: Reason
    #: Null: the tier stays.
    tier: Literal["starter", "growth", "enterprise"] | None = None
    rate_per_second: Rate | None = None
    burst: Burst | None = None


class NewKeyRateLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How fast one key may send; without a rate and a burst, as fast as its account."""

    reason: Reason
    rate_per_second: Rate | None = None
    burst: Burst | None = None


class KeyRateLimit(msgspec.Struct, frozen=True):
    """The limit of one key's own."""

    id: str
    name: str
    mode: str
    rate_per_second: int
    burst: int


class RateLimitView(msgspec.Struct, frozen=True):
    """How fast an account may send, in messages, and the keys with a limit of their own."""

    account_id: str
    tier: str
    rate_per_second: int
    #: At once after a pause, and the most that one batch may hold.
    burst: int
    #: Whether rate and burst were agreed on; else they are the tier's.
    is_limit_agreed: bool
    keys: list[KeyRateLimit]


_limit = msgspec.json.Decoder(NewRateLimit)
_key_limit = msgspec.json.Decoder(NewKeyRateLimit)
_ACCOUNT = "/admin/v1/accounts/{account_id:str}"
_OF_ACCOUNT = {"account_id": examples.ACCOUNT_ID}
_EXAMPLE = {
    "account_id": examples.ACCOUNT_ID,
    "tier": "enterprise",
    "rate_per_second": 250,
    "burst": 1_500,
    "is_limit_agreed": True,
    "keys": [
        {
            "id": examples.API_KEY_ID,
            "name": "shop backend",
            "mode": "live",
            "rate_per_second": 20,
            "burst": 100,
        }
    ],
}
_HOLDS = "It holds in every process within two seconds."

READ = Operation(
    method="GET",
    path=f"{_ACCOUNT}/rate-limit",
    operation_id="getRateLimit",
    tag="Accounts",
    summary="Read a rate limit",
    description="How fast the account and its keys may send.",
    scopes=ANYONE,
    path_examples=_OF_ACCOUNT,
    success=Success(200, "The limits.", RateLimitView, _EXAMPLE),
    problems=("account_not_found",),
)
SET = Operation(
    method="PUT",
    path=f"{_ACCOUNT}/rate-limit",
    operation_id="setRateLimit",
    tag="Accounts",
    summary="Set a rate limit",
    description=(
        "Moves the account to a tier, or sets the rate and burst that were agreed on; without "
        "these two, the tier's hold. A burst is at least as large as the rate. " + _HOLDS
    ),
    scopes=OPERATIONS,
    path_examples=_OF_ACCOUNT,
    body=NewRateLimit,
    body_examples={
        "to a tier": {"tier": "growth", "reason": "Upgrade, contract 2026-31."},
        "as agreed": {
            "tier": "enterprise",
            "rate_per_second": 250,
            "burst": 1_500,
            "reason": "Contract 2026-32.",
        },
    },
    success=Success(200, "The limit is set.", RateLimitView, _EXAMPLE),
    problems=("account_not_found",),
)
SET_OF_KEY = Operation(
    method="PUT",
    path=f"{_ACCOUNT}/api-keys/{{key_id:str}}/rate-limit",
    operation_id="setApiKeyRateLimit",
    tag="Accounts",
    summary="Set the rate limit of one key",
    description=(
        "Bounds what one key may send of what its account may; without a rate and a burst, it is "
        "bounded by its account only. " + _HOLDS
    ),
    scopes=OPERATIONS,
    path_examples={**_OF_ACCOUNT, "key_id": examples.API_KEY_ID},
    body=NewKeyRateLimit,
    body_examples={
        "a slow one": {"rate_per_second": 20, "burst": 100, "reason": "It loops now and then."}
    },
    success=Success(200, "The limit is set.", RateLimitView, _EXAMPLE),
    problems=("account_not_found", "api_key_not_found"),
)


class RateLimitPages:
    """Shows and sets rate limits."""

    def __init__(self, deps: AdminDependencies) -> None:
        self._deps = deps

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with the limits of an account."""
        return await self._shown(request)

    async def set(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Set the limit of an account."""
        account_id = account_id_of(request)
        asked = await read_json(request, _limit)
        tier = None if asked.tier is None else Tier(asked.tier)
        agreed = _checked(asked.rate_per_second, asked.burst)
        cause = arrival_of(request.scope).cause
        await self._deps.ledger.execute(SetRateLimit(account_id, tier, agreed, asked.reason, cause))
        return await self._shown(request)

    async def set_of_key(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Set the limit of one key."""
        account_id, api_key_id = account_id_of(request), api_key_id_of(request)
        asked = await read_json(request, _key_limit)
        limit = _checked(asked.rate_per_second, asked.burst)
        cause = arrival_of(request.scope).cause
        await self._deps.ledger.execute(
            SetApiKeyRateLimit(account_id, api_key_id, limit, asked.reason, cause)
        )
        return await self._shown(request)

    async def _shown(self, request: Request[Any, Any, Any]) -> Reply:
        account_id = account_id_of(request)
        account = await self._deps.reads.account(account_id)
        if account is None:
            raise AccountNotFound
        keys = [
            KeyRateLimit(one.id, one.name, one.mode, one.rate_per_second, one.burst)
            for one in await self._deps.reads.api_keys(account_id)
            if one.rate_per_second is not None and one.burst is not None
        ]
        view = RateLimitView(
            account_id=account.id,
            tier=account.tier,
            rate_per_second=account.rate_per_second,
            burst=account.burst,
            is_limit_agreed=account.is_limit_agreed,
            keys=keys,
        )
        return Reply(200, msgspec.json.encode(view))


def _checked(rate_per_second: int | None, burst: int | None) -> Limit | None:
    if (rate_per_second is None) != (burst is None):
        detail = "Give rate_per_second and burst together, or neither."
        pointer = "/burst" if burst is None else "/rate_per_second"
        raise _invalid(pointer, "required", detail)
    if rate_per_second is not None and burst is not None and burst < rate_per_second:
        detail = "A burst must be at least as large as the rate of a second."
        raise _invalid("/burst", "invalid_value", detail)
    return Limit.of(rate_per_second, burst)


def _invalid(pointer: str, code: str, detail: str) -> EdgeRefusal:
    problem = FieldProblem(pointer, code, detail)
    return EdgeRefusal("validation_failed", detail, errors=[problem])


def rate_limit_routes(deps: AdminDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of rate limits."""
    pages = RateLimitPages(deps)
    return [
        route(READ, pages.read),
        route(SET, pages.set),
        route(SET_OF_KEY, pages.set_of_key),
    ]
