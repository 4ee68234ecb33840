"""The control endpoint: switches, and what the handsets received."""

import ipaddress
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any

import msgspec
from aiohttp import web

from semalink_ops.sandbox.controls import patched, replaced
from semalink_ops.sandbox.line import Line
from semalink_ops.sandbox.magic_numbers import ACT_BY_NUMBER
from semalink_ops.sandbox.opt_outs import Stop, call_back
from semalink_ops.sandbox.sandbox import SANDBOX, Sandbox
from semalink_ops.sandbox.takings import Taking

_PAGE_DEFAULT = 1_000
_PAGE_MAX = 10_000


def _json(answer: object, status: int = 200) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(answer), content_type="application/json"
    )


def _problem(status: int, code: str, detail: str) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode({"status": status, "code": code, "detail": detail}),
        content_type="application/problem+json",
    )


async def get_state(request: web.Request) -> web.Response:
    """Show every aggregator's switches and counters, and what is pending."""
    return _json(_state(request.app[SANDBOX]))


def _state(sandbox: Sandbox) -> dict[str, Any]:
    return {
        "aggregators": {name: _line_state(line) for name, line in sandbox.lines.items()},
        "reports_pending": sandbox.reports.pending,
        "wrong_credentials": sandbox.strangers,
        "handsets": _summary(sandbox),
    }


def _line_state(line: Line) -> dict[str, Any]:
    return {"controls": line.controls, "submissions": line.submissions, "reports": line.reports}


async def change_controls(request: web.Request) -> web.Response:
    """Change the switches that are named (PATCH), or put the others back to default (PUT)."""
    sandbox = request.app[SANDBOX]
    line = sandbox.lines.get(request.match_info["aggregator"])
    if line is None:
        names = ", ".join(sandbox.lines)
        return _problem(404, "aggregator_not_found", f"The aggregators are: {names}.")
    body = await request.read()
    try:
        controls = patched(line.controls, body) if request.method == "PATCH" else replaced(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as refusal:
        return _problem(400, "invalid_controls", f"{refusal}.")
    line.set_controls(controls)
    return _json(_line_state(line))


async def reset(request: web.Request) -> web.Response:
    """Forget messages, reports and counters, and put every switch back."""
    sandbox = request.app[SANDBOX]
    sandbox.reset()
    return _json(_state(sandbox))


async def get_magic_numbers(_request: web.Request) -> web.Response:
    """List the magic numbers with what they act out."""
    return _json(
        {"items": [{"number": number, "act": act} for number, act in ACT_BY_NUMBER.items()]}
    )


def _summary(sandbox: Sandbox) -> dict[str, int]:
    takings = sandbox.takings
    return {
        "handsets": takings.handsets,
        "messages_taken": takings.taken,
        "messages_held": takings.held,
        "duplicates": takings.duplicates,
        "text_duplicates": takings.text_duplicates,
        "first_sequence": takings.first_sequence,
        "last_sequence": takings.last_sequence,
    }


async def get_handsets(request: web.Request) -> web.Response:
    """Count what all handsets received."""
    return _json(_summary(request.app[SANDBOX]))


async def get_handset(request: web.Request) -> web.Response:
    """List what one handset received, with how often each message came."""
    number = "+" + request.match_info["number"].strip().removeprefix("+")
    received = request.app[SANDBOX].takings.of_handset(number)
    by_client_id = Counter(taking.order.client_id for taking in received)
    by_client_id.pop("", None)
    return _json(
        {
            "number": number,
            "count": len(received),
            "count_by_client_id": by_client_id,
            "count_by_text": Counter(taking.order.text for taking in received),
            "items": [_row(taking) for taking in received],
        }
    )


def _row(taking: Taking) -> dict[str, Any]:
    return {
        "sequence": taking.sequence,
        "aggregator": taking.aggregator,
        "reference": str(taking.reference),
        "client_id": taking.order.client_id or None,
        "number": taking.order.number,
        "sender": taking.order.sender,
        "text": taking.order.text,
        "count": taking.count or taking.text_count,
        "text_count": taking.text_count,
        "act": taking.order.act,
        "status": taking.status,
        "taken_at_ms": int(taking.taken_at * 1000),
    }


async def get_deliveries(request: web.Request) -> web.Response:
    """Page through everything that was taken after a sequence; optionally only the repeats."""
    sandbox = request.app[SANDBOX]
    try:
        since = int(request.query.get("since", "0"))
        limit = min(int(request.query.get("limit", _PAGE_DEFAULT)), _PAGE_MAX)
    except ValueError:
        return _problem(400, "invalid_query", "`since` and `limit` are whole numbers.")
    if since < 0 or limit < 1:
        return _problem(400, "invalid_query", "`since` is at least 0 and `limit` at least 1.")
    takings = sandbox.takings.since(since)
    if request.query.get("repeats") == "true":
        takings = (taking for taking in takings if max(taking.count, taking.text_count) > 1)
    items = [_row(taking) for taking in islice(takings, limit)]
    is_last = len(items) < limit
    return _json(
        {
            "items": items,
            "next_since": sandbox.takings.last_sequence if is_last else items[-1]["sequence"],
            "first_sequence": sandbox.takings.first_sequence,
        }
    )


async def stop_sender(request: web.Request) -> web.Response:
    """Let a subscriber stop a sender id; answers with what the intake said to the callback."""
    sandbox = request.app[SANDBOX]
    try:
        stop = msgspec.json.decode(await request.read(), type=Stop)
    except (msgspec.DecodeError, UnicodeDecodeError) as refusal:
        return _problem(400, "invalid_opt_out", f"{refusal}.")
    if stop.aggregator not in sandbox.lines:
        names = ", ".join(sandbox.lines)
        return _problem(404, "aggregator_not_found", f"The aggregators are: {names}.")
    return _json({"intake_status": await call_back(sandbox.settings, stop)})


_Handler = Callable[[web.Request], Awaitable[web.Response]]


def _from_this_machine(handler: _Handler) -> _Handler:
    async def answer(request: web.Request) -> web.Response:
        if request.app[SANDBOX].settings.control_open or _is_loopback(request.remote):
            return await handler(request)
        return _problem(403, "loopback_only", "The control endpoint answers this machine only.")

    return answer


def _is_loopback(remote: str | None) -> bool:
    return remote is not None and ipaddress.ip_address(remote).is_loopback


def add_routes(app: web.Application) -> None:
    """Serve the control endpoint to callers from this machine."""
    for method, path, handler in (
        ("GET", "/control", get_state),
        ("POST", "/control/reset", reset),
        ("GET", "/control/magic-numbers", get_magic_numbers),
        ("GET", "/control/handsets", get_handsets),
        ("GET", "/control/handsets/{number}", get_handset),
        ("GET", "/control/deliveries", get_deliveries),
        ("POST", "/control/opt-outs", stop_sender),
        ("PATCH", "/control/{aggregator}", change_controls),
        ("PUT", "/control/{aggregator}", change_controls),
    ):
        app.router.add_route(method, path, _from_this_machine(handler))
