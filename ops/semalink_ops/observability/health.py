"""Liveness, readiness and metrics of a process that serves nothing else."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

Ready = Callable[[], Awaitable[dict[str, bool]]]


@asynccontextmanager
async def serve_health(
    host: str, port: int, *, ready: Ready, registry: CollectorRegistry
) -> AsyncIterator[int]:
    """Serve /health/live, /health/ready and /metrics meanwhile; yields the port, chosen for 0."""
    app = web.Application()
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


class _Probes:
    def __init__(self, ready: Ready, registry: CollectorRegistry) -> None:
        self._ready = ready
        self._registry = registry

    async def answer_live(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    async def answer_ready(self, _request: web.Request) -> web.Response:
        checks = await self._ready()
        is_ready = all(checks.values())
        return web.json_response(
            {"status": "ready" if is_ready else "not_ready", "checks": checks},
            status=200 if is_ready else 503,
        )

    async def answer_metrics(self, _request: web.Request) -> web.Response:
        body, content_type = render_metrics(self._registry)
        return web.Response(body=body, headers={"Content-Type": content_type})
