"""The terms of accounts: limits, caps, prices, refunds, and transfers between accounts."""

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.credits import BalanceAfter, SetCreditLimit, TransferCredits
from semalink.application.reading import AccountView
from semalink.application.terms import SetPriceList, SetRefundRule, SetSpendingCap
from semalink.domain.errors import AccountNotFound
from semalink.domain.ids import ACCOUNT_PREFIX, TRANSFER_PREFIX, format_id
from semalink.web import examples
from semalink.web.admin.ids import account_id_of
from semalink.web.admin.roles import MONEY, TERMS
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.customers import SpendingCap
from semalink.web.dependencies import AdminDependencies
from semalink.web.field_types import (
    AccountText,
    AmountMicros,
    LimitMicros,
    Reason,
    account_uuid,
)
from semalink.web.idempotency import REPLAYED, REPLAYED_NOTE, idempotency_of
from semalink.web.operation import Operation, Success, route
from semalink.web.prices import NewPriceList, read_price_list
from semalink.web.reply import Reply


class NewCreditLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far an account may go below what it bought, in micros; 0 is prepaid."""

    credit_limit_micros: LimitMicros
    reason: Reason


class RefundRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Final states that give a charge back; null: as the platform does."""

    refunded_on: (
        Annotated[
            list[Literal["failed", "rejected", "expired", "unknown"]], msgspec.Meta(max_length=4)
        ]
        | None
    )


class NewTransfer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Credits to be moved between an agent and a customer of it that pays for itself."""

    from_account_id: AccountText
    to_account_id: AccountText
    amount_micros: AmountMicros
    reason: Reason


class Balance(msgspec.Struct, frozen=True):
    """A balance after a change, in micros of a credit."""

    account_id: str
    posted_micros: int
    reserved_micros: int
    credit_limit_micros: int
    available_micros: int
    #: The newest entry.
    entry: int


class Transferred(msgspec.Struct, frozen=True):
    """Credits that were moved, and both balances after it."""

    id: str
    amount_micros: int
    sender: Balance
    receiver: Balance


_limit = msgspec.json.Decoder(NewCreditLimit)
_cap = msgspec.json.Decoder(SpendingCap)
_prices = msgspec.json.Decoder(NewPriceList)
_rule = msgspec.json.Decoder(RefundRule)
_new_transfer = msgspec.json.Decoder(NewTransfer)
_ACCOUNT = "/admin/v1/accounts/{account_id:str}"
_OF_ACCOUNT = {"account_id": examples.ACCOUNT_ID}
_BALANCE = {
    "account_id": examples.ACCOUNT_ID,
    "posted_micros": 0,
    "reserved_micros": 800_000,
    "credit_limit_micros": 5_000_000_000,
    "available_micros": 4_999_200_000,
    "entry": 4,
}

LIMIT = Operation(
    method="PUT",
    path=f"{_ACCOUNT}/credit-limit",
    operation_id="setCreditLimit",
    tag="Credits",
    summary="Set the credit limit",
    description=(
        "Changes how far the account may go below what it bought, by an entry in its ledger. "
        "A limit below what is used already is refused."
    ),
    scopes=MONEY,
    path_examples=_OF_ACCOUNT,
    body=NewCreditLimit,
    body_examples={
        "postpaid": {"credit_limit_micros": 5_000_000_000, "reason": "Contract 2026-14."}
    },
    success=Success(200, "The limit holds from now on.", Balance, _BALANCE),
    problems=("account_not_found", "credit_limit_too_low", "paid_by_agent"),
)
CAP = Operation(
    method="PUT",
    path=f"{_ACCOUNT}/spending-cap",
    operation_id="setAnySpendingCap",
    tag="Accounts",
    summary="Cap a customer's spending",
    description="Bounds what a customer may spend of its agent's credits in a month.",
    scopes=TERMS,
    path_examples=_OF_ACCOUNT,
    body=SpendingCap,
    body_examples={"500 credits": {"spending_cap_micros": 500_000_000}},
    success=Success(200, "The cap holds from now on.", AccountView, examples.ACCOUNT),
    problems=("account_not_found", "not_paid_by_agent"),
)
PRICES = Operation(
    method="PUT",
    path=f"{_ACCOUNT}/price-list",
    operation_id="setAnyPriceList",
    tag="Accounts",
    summary="Set an agent's price list",
    description="Replaces what the agent's customers pay; it can be read with the account.",
    scopes=TERMS,
    path_examples=_OF_ACCOUNT,
    body=NewPriceList,
    body_examples={"Kenya": {"segment_micros": {"KE": 950_000, "KE/safaricom": 1_000_000}}},
    success=Success(200, "The list holds from now on.", AccountView, examples.ACCOUNT),
    problems=("account_not_found", "not_an_agent"),
)
REFUND_RULE = Operation(
    method="PUT",
    path=f"{_ACCOUNT}/refund-rule",
    operation_id="setRefundRule",
    tag="Accounts",
    summary="Set what gives a charge back",
    description=(
        "Chooses the final states after which a charge of the account's messages is refunded. "
        "A customer without a rule of its own, whose agent pays, follows its agent's."
    ),
    scopes=TERMS,
    path_examples=_OF_ACCOUNT,
    body=RefundRule,
    body_examples={"rejected and failed": {"refunded_on": ["rejected", "failed"]}},
    success=Success(
        200, "The rule holds for messages accepted from now on.", AccountView, examples.ACCOUNT
    ),
    problems=("account_not_found",),
)
TRANSFER = Operation(
    method="POST",
    path="/admin/v1/transfers",
    operation_id="transferCredits",
    tag="Credits",
    summary="Move credits between an agent and its customer",
    description="Takes from one and gives to the other in one; only what was bought, no limit.",
    scopes=MONEY,
    takes_idempotency_key=True,
    body=NewTransfer,
    body_examples={
        "to a customer": {
            "from_account_id": examples.ACCOUNT_ID,
            "to_account_id": examples.CUSTOMER_ID,
            "amount_micros": 250_000_000,
            "reason": "First credits.",
        }
    },
    success=Success(
        201,
        "The credits are moved.",
        Transferred,
        {
            "id": examples.TRANSFER_ID,
            "amount_micros": 250_000_000,
            "sender": _BALANCE,
            "receiver": {**_BALANCE, "account_id": examples.CUSTOMER_ID},
        },
        headers=REPLAYED_NOTE,
    ),
    problems=("account_not_found", "not_related", "paid_by_agent", "insufficient_credits"),
)


class TermPages:
    """Sets terms, and moves credits by them."""

    def __init__(self, deps: AdminDependencies) -> None:
        self._deps = deps

    async def limit(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Set a credit limit."""
        account_id = account_id_of(request)
        asked = await read_json(request, _limit)
        cause = arrival_of(request.scope).cause
        command = SetCreditLimit(account_id, asked.credit_limit_micros, asked.reason, cause)
        answer = await self._deps.ledger.execute(command)
        return Reply(200, msgspec.json.encode(_balance(answer.value)))

    async def cap(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Cap a customer's spending."""
        asked = await read_json(request, _cap)
        view = await self._account(request)
        command = SetSpendingCap(
            account_id_of(request),
            account_uuid(view.billing_account_id),
            asked.spending_cap_micros,
            arrival_of(request.scope).cause,
        )
        await self._deps.ledger.execute(command)
        return await self._shown(request)

    async def prices(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Set an agent's price list."""
        account_id = account_id_of(request)
        asked = await read_json(request, _prices)
        read_price_list(asked.segment_micros)
        cause = arrival_of(request.scope).cause
        await self._deps.ledger.execute(SetPriceList(account_id, asked.segment_micros, cause))
        return await self._shown(request)

    async def refund_rule(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Set what gives a charge back."""
        account_id = account_id_of(request)
        asked = await read_json(request, _rule)
        cause = arrival_of(request.scope).cause
        await self._deps.ledger.execute(SetRefundRule(account_id, asked.refunded_on, cause))
        return await self._shown(request)

    async def transfer(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Move credits between an agent and its customer."""
        arrival = arrival_of(request.scope)
        asked = await read_json(request, _new_transfer)
        command = TransferCredits(
            self._deps.edge.new_id(arrival.at),
            account_uuid(asked.from_account_id),
            account_uuid(asked.to_account_id),
            asked.amount_micros,
            asked.reason,
            arrival.cause,
            idempotency_of(arrival, TRANSFER.route_name, asked),
        )
        answer = await self._deps.ledger.execute(command)
        moved = answer.value
        shown = Transferred(
            format_id(TRANSFER_PREFIX, moved.transfer_id),
            moved.amount_micros,
            _balance(moved.sender),
            _balance(moved.receiver),
        )
        return Reply(201, msgspec.json.encode(shown), (REPLAYED,) if answer.replayed else ())

    async def _account(self, request: Request[Any, Any, Any]) -> AccountView:
        view = await self._deps.reads.account(account_id_of(request))
        if view is None:
            raise AccountNotFound
        return view

    async def _shown(self, request: Request[Any, Any, Any]) -> Reply:
        return Reply(200, msgspec.json.encode(await self._account(request)))


def _balance(after: BalanceAfter) -> Balance:
    return Balance(
        account_id=format_id(ACCOUNT_PREFIX, after.account_id),
        posted_micros=after.posted_micros,
        reserved_micros=after.reserved_micros,
        credit_limit_micros=after.credit_limit_micros,
        available_micros=after.available_micros,
        entry=after.version,
    )


def term_routes(deps: AdminDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of terms and transfers."""
    pages = TermPages(deps)
    return [
        route(LIMIT, pages.limit),
        route(CAP, pages.cap),
        route(PRICES, pages.prices),
        route(REFUND_RULE, pages.refund_rule),
        route(TRANSFER, pages.transfer),
    ]
