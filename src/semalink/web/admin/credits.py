"""Top-ups: payments that become credits."""

from typing import Annotated, Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.accounts import TopUp, TopUpRecorded
from semalink.domain.ids import ACCOUNT_PREFIX, format_id
from semalink.web import examples
from semalink.web.admin.ids import account_id_of
from semalink.web.admin.roles import MONEY
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.dependencies import AdminDependencies
from semalink.web.field_types import AMOUNT_MICROS_MAX, AmountMicros
from semalink.web.idempotency import REPLAYED, REPLAYED_NOTE
from semalink.web.operation import Operation, Success, route
from semalink.web.problems import EdgeRefusal, FieldProblem
from semalink.web.reply import Reply


class NewTopUp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A payment to be credited. Money in micros: 1 credit = 1,000,000 micros."""

    amount_micros: Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_MICROS_MAX)]
    payment_reference: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=120,
            pattern=r"^[!-~]([ -~]*[!-~])?$",
            description="Names the payment across the platform; it is credited once.",
        ),
    ]
    #: ISO 4217 code of the money that was paid; with ``paid_minor_units`` or not at all.
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$")] | None = None
    #: How much was paid, in the smallest unit of the currency.
    paid_minor_units: AmountMicros | None = None


class ToppedUp(msgspec.Struct, frozen=True):
    """A payment that was credited, and the balance after it."""

    account_id: str
    amount_micros: int
    payment_reference: str
    posted_micros: int
    available_micros: int


_decoder = msgspec.json.Decoder(NewTopUp)

TOP_UP = Operation(
    method="POST",
    path="/admin/v1/accounts/{account_id:str}/top-ups",
    operation_id="topUpAccount",
    tag="Credits",
    summary="Credit a payment",
    description=(
        "Adds the credits of one payment. The payment reference makes it happen once: given again "
        "with the same account and amount, it gets the first answer; otherwise 409."
    ),
    scopes=MONEY,
    path_examples={"account_id": examples.ACCOUNT_ID},
    body=NewTopUp,
    body_examples={
        "500 credits": {"amount_micros": 500_000_000, "payment_reference": "MPESA-SKL81H4Q0P"},
        "with what was paid": {
            "amount_micros": 500_000_000,
            "payment_reference": "MPESA-SKL81H4Q0P",
            "currency": "KES",
            "paid_minor_units": 42_500,
        },
    },
    success=Success(
        201,
        "The payment is credited.",
        ToppedUp,
        {
            "account_id": examples.ACCOUNT_ID,
            "amount_micros": 500_000_000,
            "payment_reference": "MPESA-SKL81H4Q0P",
            "posted_micros": 500_000_000,
            "available_micros": 500_000_000,
        },
        headers=REPLAYED_NOTE,
    ),
    problems=("account_not_found", "paid_by_agent", "payment_reference_reused"),
)


class TopUps:
    """Credits payments."""

    def __init__(self, deps: AdminDependencies) -> None:
        self._ledger = deps.ledger

    async def record(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Credit one payment, once."""
        account_id = account_id_of(request)
        asked = await read_json(request, _decoder)
        if (asked.currency is None) != (asked.paid_minor_units is None):
            problem = FieldProblem("/currency", "incomplete", "Give currency and amount together.")
            raise EdgeRefusal("validation_failed", "The payment is incomplete.", errors=[problem])
        cause = arrival_of(request.scope).cause
        answer = await self._ledger.execute(
            TopUp(
                account_id,
                asked.amount_micros,
                asked.payment_reference,
                cause,
                currency=asked.currency or "",
                paid_minor_units=asked.paid_minor_units,
            )
        )
        headers = (REPLAYED,) if answer.replayed else ()
        return Reply(201, msgspec.json.encode(_shown(answer.value)), headers)


def _shown(recorded: TopUpRecorded) -> ToppedUp:
    return ToppedUp(
        account_id=format_id(ACCOUNT_PREFIX, recorded.account_id),
        amount_micros=recorded.amount_micros,
        payment_reference=recorded.payment_reference,
        posted_micros=recorded.posted_micros,
        available_micros=recorded.available_micros,
    )


def credit_routes(deps: AdminDependencies) -> list[HTTPRouteHandler]:
    """Return the route of top-ups."""
    return [route(TOP_UP, TopUps(deps).record)]
