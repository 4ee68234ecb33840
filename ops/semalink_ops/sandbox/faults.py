"""What goes wrong before a message is taken, and between its taking and the answer."""

import asyncio
from collections.abc import Callable, Sequence

from aiohttp import web

from semalink_ops.sandbox.controls import Outage
from semalink_ops.sandbox.line import Line
from semalink_ops.sandbox.magic_numbers import Act
from semalink_ops.sandbox.sandbox import Sandbox
from semalink_ops.sandbox.settings import Credential
from semalink_ops.sandbox.takings import Taking
from semalink_ops.sandbox.wire_format import WireFormat

_CLIENT_CHECK_SECONDS = 0.1


async def obstruct(
    sandbox: Sandbox, line: Line, request: web.Request, passing_fault: Callable[[], web.Response]
) -> web.Response | None:
    """Act out outage, throttling, latency and errors; None lets the request through."""
    if line.controls.outage is not Outage.NONE:
        line.submissions["outage"] += 1
        return await _go_down(sandbox, line.controls.outage, request)
    if line.throttles():
        line.submissions["throttled"] += 1
        return web.Response(status=429, text="Too Many Requests", headers={"Retry-After": "1"})
    latency = line.latency_seconds()
    if latency > 0:
        await asyncio.sleep(latency)
    if line.errs():
        line.submissions["errored"] += 1
        return passing_fault()
    return None


async def _go_down(sandbox: Sandbox, outage: Outage, request: web.Request) -> web.Response:
    if outage is Outage.HTTP_500:
        return web.Response(status=500, text="Internal Server Error")
    if outage is Outage.HANG:
        await _wait_until_client_leaves(sandbox, request)
    return _cut(request)


async def conclude(
    sandbox: Sandbox,
    request: web.Request,
    *,
    taken: Sequence[Taking],
    wire: WireFormat,
    credential: Credential,
    answer: web.Response,
) -> web.Response:
    """Plan the reports of what was taken, and answer as its acts and the switches say."""
    acts = {taking.order.act for taking in taken}
    late = [taking for taking in taken if taking.order.act is Act.TIMEOUT_THEN_DELIVERED]
    at_once = []
    for taking in taken:
        if taking.order.act is Act.REPORT_BEFORE_ANSWER:
            at_once.append(sandbox.report(taking, wire, credential, at_once=True))
        elif taking.order.act is not Act.TIMEOUT_THEN_DELIVERED:
            sandbox.report(taking, wire, credential)
    await _wait_for_reports(sandbox, [settled for settled in at_once if settled is not None])
    if late:
        await _wait_until_client_leaves(sandbox, request)
        for taking in late:
            sandbox.report(taking, wire, credential)
        return _cut(request)
    if taken and sandbox.lines[credential.aggregator].loses_answer():
        sandbox.lines[credential.aggregator].submissions["answer_lost"] += 1
        return _cut(request)
    if Act.UNREADABLE_ANSWER in acts:
        return web.Response(text="<html><body>OK</body></html>", content_type="text/html")
    return answer


async def _wait_for_reports(sandbox: Sandbox, settled: list[asyncio.Future[None]]) -> None:
    # The intake may be down: the answer waits for a while, the report goes on by itself.
    if settled:
        await asyncio.wait(settled, timeout=sandbox.settings.report_first_limit_seconds)


async def _wait_until_client_leaves(sandbox: Sandbox, request: web.Request) -> None:
    checks = int(sandbox.settings.hang_limit_seconds / _CLIENT_CHECK_SECONDS)
    for _ in range(checks):
        if sandbox.stopping or not _is_connected(request):
            return
        await asyncio.sleep(_CLIENT_CHECK_SECONDS)


def _is_connected(request: web.Request) -> bool:
    transport = request.transport
    return transport is not None and not transport.is_closing()


def _cut(request: web.Request) -> web.Response:
    # The response is never written: its connection is gone.
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
