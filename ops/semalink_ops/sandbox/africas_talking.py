"""Africa's Talking's wire format: the form, the bulk JSON and the balance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from aiohttp import web

from semalink_ops.sandbox import faults
from semalink_ops.sandbox.magic_numbers import Act, act_of
from semalink_ops.sandbox.phone_numbers import is_e164, network_code
from semalink_ops.sandbox.sandbox import SANDBOX, Sandbox
from semalink_ops.sandbox.settings import Credential
from semalink_ops.sandbox.takings import Order, Taking
from semalink_ops.sandbox.wire_format import WireFormat

_BALANCE = "KES 1785.50"
_DEFAULT_SENDER = "AFRICASTKNG"
_PRICE_OF_A_PART = Decimal("0.8000")

_REFUSALS = {
    Act.BLACKLISTED: (406, "UserInBlacklist"),
    Act.INVALID_NUMBER: (403, "InvalidPhoneNumber"),
    Act.NO_PROVIDER_CREDIT: (405, "InsufficientBalance"),
    Act.INVALID_SENDER: (402, "InvalidSenderId"),
    Act.PASSING_FAULT: (500, "InternalServerError"),
}

_STATUSES: Mapping[Act, tuple[str, ...]] = {
    Act.DELIVERED: ("Success",),
    Act.ABSENT: ("AbsentSubscriber",),
    Act.BLACKLISTED: (),
    Act.REJECTED: ("Rejected",),
    Act.EXPIRED: ("Expired",),
    Act.STALLED: ("Buffered",),
    Act.DUPLICATE_REPORT: ("Success", "Success"),
    Act.REPORT_BEFORE_ANSWER: ("Success",),
    Act.OUT_OF_ORDER: ("Success", "Sent"),
    Act.TIMEOUT_THEN_DELIVERED: ("Success",),
    Act.UNRECOGNISED_STATUS: ("HandsetMemoryFull",),
    Act.INVALID_NUMBER: (),
    Act.NO_PROVIDER_CREDIT: (),
    Act.INVALID_SENDER: (),
    Act.FAILED: ("Failed",),
    Act.FAILED_THEN_DELIVERED: ("AbsentSubscriber", "Success"),
    # No status of theirs says that they do not know: the report simply stays away.
    Act.UNKNOWN: ("Sent",),
    Act.NO_REPORT: (),
    Act.FAIL_OVER: ("Success",),
    Act.PASSING_FAULT: (),
    Act.UNREADABLE_ANSWER: ("Success",),
}

_FAILURE_REASONS = {"Rejected": "UserAccountSuspended", "Failed": "DeliveryFailure"}


def _message_id(taking: Taking) -> str:
    return f"ATPid_{taking.reference:032x}"


def _render(taking: Taking, status: str) -> bytes:
    fields = {
        "id": _message_id(taking),
        "status": status,
        "phoneNumber": taking.order.number,
        "networkCode": network_code(taking.order.number),
    }
    if status in _FAILURE_REASONS:
        fields["failureReason"] = _FAILURE_REASONS[status]
    return urlencode(fields).encode()


WIRE = WireFormat(
    statuses=_STATUSES,
    passing=frozenset({"Sent", "Submitted", "Buffered"}),
    content_type="application/x-www-form-urlencoded",
    render=_render,
)


@dataclass(frozen=True, slots=True)
class _Submission:
    """One text for several numbers, as either endpoint says it."""

    username: str
    numbers: Sequence[str]
    text: str
    sender: str
    is_queued: bool


class _BulkBody(msgspec.Struct, frozen=True, rename="camel"):
    username: str
    message: str
    sender_id: str
    phone_numbers: list[str]
    enqueue: int = 1


async def send_form(request: web.Request) -> web.Response:
    """Take one text for the numbers of a comma list."""
    body = (await request.read()).decode(errors="replace")
    fields = dict(parse_qsl(body, keep_blank_values=True))
    for name in ("username", "to", "message"):
        if not fields.get(name):
            return web.Response(status=400, text=f"Request is missing required form field '{name}'")
    submission = _Submission(
        username=fields["username"],
        numbers=[number.strip() for number in fields["to"].split(",")],
        text=fields["message"],
        sender=fields.get("from") or _DEFAULT_SENDER,
        is_queued=fields.get("enqueue") == "1",
    )
    return await _send(request, submission)


async def send_bulk(request: web.Request) -> web.Response:
    """Take one text for a JSON list of numbers."""
    try:
        body = msgspec.json.decode(await request.read(), type=_BulkBody)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return web.Response(status=400, text="The request content was malformed")
    submission = _Submission(
        username=body.username,
        numbers=body.phone_numbers,
        text=body.message,
        sender=body.sender_id,
        is_queued=body.enqueue == 1,
    )
    return await _send(request, submission)


def _credential(sandbox: Sandbox, request: web.Request, username: str) -> Credential | None:
    return sandbox.credential_of(username, request.headers.get("apiKey", ""))


def _unauthorised() -> web.Response:
    return web.Response(status=401, text="The supplied authentication is invalid")


def _server_error() -> web.Response:
    return web.Response(status=500, text="Internal Server Error")


async def _send(request: web.Request, submission: _Submission) -> web.Response:
    sandbox = request.app[SANDBOX]
    credential = _credential(sandbox, request, submission.username)
    if credential is None:
        return _unauthorised()
    line = sandbox.lines[credential.aggregator]
    obstruction = await faults.obstruct(sandbox, line, request, _server_error)
    if obstruction is not None:
        return obstruction
    orders = _orders(submission)
    if len(orders) == 1 and orders[0].act is Act.INVALID_SENDER:
        line.submissions["refused"] += 1
        return _answer("InvalidSenderId", [])
    rows: list[dict[str, Any]] = []
    taken: list[Taking] = []
    cost = _cost(submission.text)
    for order in orders:
        refusal = _judge(order)
        if refusal is None:
            taken.append(sandbox.take(order, line))
            rows.append(_success(taken[-1], cost, is_queued=submission.is_queued))
        else:
            line.submissions["refused"] += 1
            rows.append(_recipient_refusal(order.number, *refusal))
    total = f"Sent to {len(taken)}/{len(rows)} Total Cost: KES {cost * len(taken):.4f}"
    return await faults.conclude(
        sandbox,
        request,
        taken=taken,
        wire=WIRE,
        credential=credential,
        answer=_answer(total, rows),
    )


def _orders(submission: _Submission) -> list[Order]:
    return [
        Order(
            number=number,
            text=submission.text,
            sender=submission.sender,
            # This wire format has no place for an id of the caller.
            client_id="",
            act=act_of(number),
        )
        for number in submission.numbers
    ]


def _judge(order: Order) -> tuple[int, str] | None:
    if not is_e164(order.number):
        return _REFUSALS[Act.INVALID_NUMBER]
    return _REFUSALS.get(order.act)


def _cost(text: str) -> Decimal:
    # Naive on purpose: providers count parts without looking at pairs that may not be split.
    single, part = (160, 153) if text.isascii() else (70, 67)
    parts = 1 if len(text) <= single else -(-len(text) // part)
    return _PRICE_OF_A_PART * parts


def _success(taking: Taking, cost: Decimal, *, is_queued: bool) -> dict[str, Any]:
    return {
        "statusCode": 102 if is_queued else 101,
        "number": taking.order.number,
        "status": "Queued" if is_queued else "Success",
        "cost": f"KES {cost:.4f}",
        "messageId": _message_id(taking),
    }


def _recipient_refusal(number: str, code: int, status: str) -> dict[str, Any]:
    return {
        "statusCode": code,
        "number": number,
        "status": status,
        "cost": "0",
        "messageId": "None",
    }


def _answer(message: str, rows: Sequence[Mapping[str, Any]]) -> web.Response:
    answer = {"SMSMessageData": {"Message": message, "Recipients": rows}}
    return web.Response(
        status=201,
        body=msgspec.json.encode(answer),
        content_type="application/json",
        charset="utf-8",
    )


async def get_user(request: web.Request) -> web.Response:
    """Tell what is left; the key is spelt either way, in turn."""
    sandbox = request.app[SANDBOX]
    credential = _credential(sandbox, request, request.query.get("username", ""))
    if credential is None:
        return _unauthorised()
    line = sandbox.lines[credential.aggregator]
    obstruction = await faults.obstruct(sandbox, line, request, _server_error)
    if obstruction is not None:
        return obstruction
    line.submissions["balances_asked"] += 1
    key = "userData" if line.submissions["balances_asked"] % 2 else "UserData"
    return web.Response(
        body=msgspec.json.encode({key: {"balance": _BALANCE}}), content_type="application/json"
    )


def add_routes(app: web.Application) -> None:
    """Serve every path with and without a slash at its end."""
    for slash in ("", "/"):
        app.router.add_post("/version1/messaging" + slash, send_form)
        app.router.add_post("/version1/messaging/bulk" + slash, send_bulk)
        app.router.add_get("/version1/user" + slash, get_user)
