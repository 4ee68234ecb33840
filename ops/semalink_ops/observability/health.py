"""Liveness, readiness and metrics of a process that serves nothing else."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from semalink.domain.ids import REQUEST_PREFIX
from semalink.web.problem_types import PROBLEM_TYPES
from semalink_ops.runtime import new_request_id

Ready = Callable[[], Awaitable[dict[str, bool]]]


@asynccontextmanager
async def serve_health(
    host: str, port: int, *, ready: Ready, registry: CollectorRegistry
) -> AsyncIterator[int]:
    """Serve /health/live, /health/ready and /metrics meanwhile; yields the port, chosen for 0."""
    app = web.Application(middlewares=[_answer_problems])
    probes = _Probes(ready, registry)
    app.add_routes(
        [
            web.get("/health/live", probes.answer_live),
            web.get("/health/ready", probes.answer_ready),
            web.get("/metrics", probes.answer_metrics),
        ]
    )
    # The supervisor asks every few seconds; its questions are no events.
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def render_metrics(registry: CollectorRegistry) -> tuple[bytes, str]:
    """Return the body and the content type of /metrics."""
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4


@web.middleware
async def _answer_problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as refused:
        allow = ", ".join(sorted(refused.allowed_methods))
        return _problem("method_not_allowed", headers={"Allow": allow})
    except web.HTTPNotFound:
        return _problem("not_found", "This process answers /health/live, /health/ready, /metrics.")


def _not_ready(failed: Sequence[str]) -> web.Response:
    errors = [
        {
            "pointer": f"/checks/{name}",
            "code": "check_failed",
            "detail": "The check did not pass in time.",
        }
        for name in failed
    ]
    detail = f"These do not work: {', '.join(failed)}."
    return _problem("service_unavailable", detail, errors, {"Retry-After": "1"})


def _problem(
    code: str,
    detail: str | None = None,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    known = PROBLEM_TYPES[code]
    request_id = new_request_id(REQUEST_PREFIX)
    problem = {
        "type": f"/problems/{code}",
        "title": known.title,
        "status": known.status,
        "detail": detail or known.remedy,
        "instance": f"/requests/{request_id}",
        "code": code,
        "request_id": request_id,
        "retryable": known.retryable,
        "errors": list(errors),
    }
    return web.Response(
        body=msgspec.json.encode(problem),
        status=known.status,
        content_type="application/problem+json",
        headers={"X-Request-Id": request_id, "Request-Id": request_id, **(headers or {})},
    )


class _Probes:
    def __init__(self, ready: Ready, registry: CollectorRegistry) -> None:
        self._ready = ready
        self._registry = registry

    async def answer_live(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def answer_ready(self, _request: web.Request) -> web.Response:
        checks = await self._ready()
        failed = [name for name, works in checks.items() if not works]
        if failed:
            return _not_ready(failed)
        return web.json_response({"status": "ok", "checks": dict.fromkeys(checks, "ok")})

    async def answer_metrics(self, _request: web.Request) -> web.Response:
        body, content_type = render_metrics(self._registry)
        return web.Response(body=body, headers={"Content-Type": content_type})
