"""The Celcom family's wire format, with its misspellings and its mix of numbers and strings."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from semalink_ops.sandbox import faults
from semalink_ops.sandbox.celcom_reports import WIRE, delivery_report
from semalink_ops.sandbox.magic_numbers import Act, act_of
from semalink_ops.sandbox.phone_numbers import from_celcom, is_e164, local_form
from semalink_ops.sandbox.sandbox import SANDBOX, Sandbox
from semalink_ops.sandbox.settings import Credential
from semalink_ops.sandbox.takings import Order, Taking

_BALANCE = "545.00"
_REFERENCE_DIGITS_MAX = 20

_REFUSALS = {
    Act.INVALID_NUMBER: (1003, "Invalid mobile number"),
    Act.NO_PROVIDER_CREDIT: (
        1004,
        "Low credit units to send message, Current balance 0.00, Required 1",
    ),
    Act.INVALID_SENDER: (1001, "Invalid sender id"),
    Act.FAIL_OVER: (1002, "Network not allowed"),
    Act.PASSING_FAULT: (1005, "Failed. System error"),
}


@dataclass(frozen=True, slots=True)
class _Endpoint:
    code_key: str
    id_is_text: bool


_SENDSMS = _Endpoint("respose-code", id_is_text=False)
_SENDOTP = _Endpoint("respose-code", id_is_text=True)
_SENDBULK = _Endpoint("response-code", id_is_text=True)


class _Refused(Exception):
    """The whole request is refused; nothing in it was looked at."""

    def __init__(self, code: int, description: str) -> None:
        self.code = code
        self.description = description
        super().__init__(f"{code} {description}")


_Body = dict[str, Any]
_Handler = Callable[[web.Request], Awaitable[web.Response]]


def _flat_refusals(handler: _Handler) -> _Handler:
    async def answer(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except _Refused as refusal:
            return _refusal(refusal.code, refusal.description)

    return answer


def _json(answer: object) -> web.Response:
    # Errors answer 200 too: callers have to read the body whatever the HTTP status.
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json")


def _refusal(code: int, description: str) -> web.Response:
    return _json({"response-code": code, "response-description": description})


def _system_error() -> web.Response:
    return _refusal(1005, "Failed. System error")


async def _body_of(request: web.Request) -> _Body:
    try:
        return msgspec.json.decode(await request.read(), type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _Refused(1010, "Unsupported request type") from None


def _word(body: _Body, key: str) -> str:
    value = body.get(key)
    return "" if value is None else str(value).strip()


def _credential(sandbox: Sandbox, body: _Body) -> Credential:
    partner, api_key = _word(body, "partnerID"), _word(body, "apikey")
    if not partner:
        raise _Refused(4091, "No Partner ID is set")
    if not api_key:
        raise _Refused(4092, "No API KEY was provided")
    credential = sandbox.credential_of(partner, api_key)
    if credential is None:
        raise _Refused(1006, "Invalid credentials")
    return credential


async def _send_list(request: web.Request, endpoint: _Endpoint) -> web.Response:
    sandbox = request.app[SANDBOX]
    body = await _body_of(request)
    credential = _credential(sandbox, body)
    mobiles = _word(body, "mobile").split(",")
    if len(mobiles) > sandbox.settings.comma_list_max:
        raise _Refused(1104, "Too many comma separated contacts")
    items = [body | {"mobile": mobile} for mobile in mobiles]
    return await _send(request, credential, items, endpoint)


@_flat_refusals
async def send_sms(request: web.Request) -> web.Response:
    """Take one text for one number, or for each number of a comma list."""
    return await _send_list(request, _SENDSMS)


@_flat_refusals
async def send_otp(request: web.Request) -> web.Response:
    """Take one text on the transactional lane; here the id is a string."""
    return await _send_list(request, _SENDOTP)


@_flat_refusals
async def send_bulk(request: web.Request) -> web.Response:
    """Take a list of texts; the first one's credentials and sender count for all."""
    sandbox = request.app[SANDBOX]
    items = (await _body_of(request)).get("smslist")
    if not isinstance(items, list) or not items or not all(isinstance(i, dict) for i in items):
        raise _Refused(1009, "Unsupported data type")
    credential = _credential(sandbox, items[0])
    if len(items) > sandbox.settings.bulk_max:
        raise _Refused(1012, "Too many messages on SMS LIST")
    sender = items[0].get("shortcode")
    items = [item | {"shortcode": sender} for item in items]
    return await _send(request, credential, items, _SENDBULK)


async def _send(
    request: web.Request, credential: Credential, items: Sequence[_Body], endpoint: _Endpoint
) -> web.Response:
    sandbox = request.app[SANDBOX]
    line = sandbox.lines[credential.aggregator]
    obstruction = await faults.obstruct(sandbox, line, request, _system_error)
    if obstruction is not None:
        return obstruction
    rows: list[_Body] = []
    taken: list[Taking] = []
    for item in items:
        order = _order(item)
        refusal = _judge(order)
        if refusal is None:
            taken.append(sandbox.take(order, line))
            rows.append(_success(taken[-1], item, endpoint))
        else:
            line.submissions["refused"] += 1
            rows.append(_item_refusal(order, item, *refusal))
    return await faults.conclude(
        sandbox,
        request,
        taken=taken,
        wire=WIRE,
        credential=credential,
        answer=_json({"responses": rows}),
    )


def _order(item: _Body) -> Order:
    number = from_celcom(_word(item, "mobile"))
    text = item.get("message")
    return Order(
        number=number,
        text="" if text is None else str(text),
        sender=_word(item, "shortcode"),
        client_id=_word(item, "clientsmsid"),
        act=act_of(number),
    )


def _judge(order: Order) -> tuple[int, str] | None:
    if not order.sender:
        return _REFUSALS[Act.INVALID_SENDER]
    if not is_e164(order.number):
        return _REFUSALS[Act.INVALID_NUMBER]
    if not order.text:
        return (1009, "Unsupported data type")
    return _REFUSALS.get(order.act)


def _success(taking: Taking, item: _Body, endpoint: _Endpoint) -> _Body:
    is_even = taking.sequence % 2 == 0
    mobile = taking.order.number.removeprefix("+")
    row: _Body = {
        endpoint.code_key: 200,
        "response-description": "Success",
        "mobile": mobile if is_even else int(mobile),
        "messageid": str(taking.reference) if endpoint.id_is_text else taking.reference,
        "networkid": 1 if is_even else "1",
    }
    if "clientsmsid" in item:
        row["clientsmsid"] = item["clientsmsid"]
    return row


def _item_refusal(order: Order, item: _Body, code: int, description: str) -> _Body:
    # No messageid, and the number as people write it: so the family's own sample has it.
    row: _Body = {
        "response-code": code,
        "response-description": description,
        "mobile": local_form(order.number),
    }
    if "clientsmsid" in item:
        row["clientsmsid"] = item["clientsmsid"]
    return row


@_flat_refusals
async def get_report(request: web.Request) -> web.Response:
    """Tell the state of one message, or that there is no report of it."""
    sandbox = request.app[SANDBOX]
    body = await _body_of(request)
    credential = _credential(sandbox, body)
    line = sandbox.lines[credential.aggregator]
    obstruction = await faults.obstruct(sandbox, line, request, _system_error)
    if obstruction is not None:
        return obstruction
    reference = _word(body, "messageID")
    line.submissions["reports_asked"] += 1
    is_readable = reference.isdecimal() and len(reference) <= _REFERENCE_DIGITS_MAX
    taking = sandbox.takings.by_reference(int(reference)) if is_readable else None
    if taking is None or taking.aggregator != credential.aggregator:
        return _no_report(line.submissions["reports_asked"])
    if taking.order.act is Act.STALLED:
        is_sent = False
    else:
        half_way = taking.taken_at_tick + line.controls.report_delay_ms / 2000
        is_sent = asyncio.get_running_loop().time() >= half_way
    return _json(delivery_report(taking, is_sent=is_sent))


def _no_report(asked: int) -> web.Response:
    # The family answers either code for an id that it has nothing on.
    return _refusal(1008, "No Delivery Report") if asked % 2 else _refusal(1009, "No dlr")


@_flat_refusals
async def get_balance(request: web.Request) -> web.Response:
    """Tell what is left; with a slash at the end of the path the answer is empty."""
    sandbox = request.app[SANDBOX]
    body = await _body_of(request)
    credential = _credential(sandbox, body)
    line = sandbox.lines[credential.aggregator]
    obstruction = await faults.obstruct(sandbox, line, request, _system_error)
    if obstruction is not None:
        return obstruction
    if request.path.endswith("/"):
        return web.Response()
    return _json({"response-code": 200, "credit": _BALANCE, "partner-id": body["partnerID"]})


def add_routes(app: web.Application) -> None:
    """Serve every path with and without a slash at its end."""
    for name, handler in (
        ("sendsms", send_sms),
        ("sendotp", send_otp),
        ("sendbulk", send_bulk),
        ("getdlr", get_report),
        ("getbalance", get_balance),
    ):
        app.router.add_post(f"/api/services/{name}", handler)
        app.router.add_post(f"/api/services/{name}/", handler)
