"""The sandbox as an aiohttp application, and its serving."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from semalink_ops.sandbox import africas_talking, celcom, control, health
from semalink_ops.sandbox.sandbox import SANDBOX, Sandbox
from semalink_ops.sandbox.settings import SandboxSettings

#: A sendbulk of a thousand long texts fits.
_BODY_MAX_BYTES = 4 * 1024 * 1024
#: Requests under way at shutdown get so long to end.
_SHUTDOWN_SECONDS = 2.0


def create_app(settings: SandboxSettings) -> web.Application:
    """Build the application; the pushing of reports starts and stops with it."""
    app = web.Application(client_max_size=_BODY_MAX_BYTES)
    app[SANDBOX] = Sandbox(settings)
    celcom.add_routes(app)
    africas_talking.add_routes(app)
    control.add_routes(app)
    health.add_routes(app)
    app.cleanup_ctx.append(_push_reports)
    app.on_shutdown.append(_end_silent_connections)
    return app


async def _push_reports(app: web.Application) -> AsyncIterator[None]:
    async with app[SANDBOX].reports.running():
        yield


async def _end_silent_connections(app: web.Application) -> None:
    app[SANDBOX].stopping = True


@asynccontextmanager
async def running(settings: SandboxSettings, *, host: str, port: int) -> AsyncIterator[int]:
    """Serve inside the block and yield the port, which differs from the one asked for when 0."""
    runner = web.AppRunner(
        create_app(settings), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def serve(
    settings: SandboxSettings,
    *,
    host: str,
    port: int,
    on_started: Callable[[int], None] | None = None,
) -> None:
    """Serve until cancelled; then end every request and every report before returning."""
    async with running(settings, host=host, port=port) as bound_port:
        if on_started is not None:
            on_started(bound_port)
        await asyncio.Event().wait()
