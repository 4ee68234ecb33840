"""How the processes without a server of their own run: a body, with health beside it."""

import asyncio
from collections.abc import Awaitable, Callable

from semalink_ops.bootstrap import Core, open_core
from semalink_ops.observability import logs
from semalink_ops.observability.health import serve_health
from semalink_ops.runtime import run_until_stopped, until_stop
from semalink_ops.settings import Settings

Body = Callable[[Core, asyncio.Event], Awaitable[None]]


def run(process: str, settings: Settings, body: Body) -> None:
    """Run the body until SIGTERM or SIGINT, and answer for its health meanwhile."""
    logs.configure(settings.log_level, process=process)

    async def main(stop: asyncio.Event) -> None:
        async with (
            open_core(settings, process) as core,
            serve_health(
                settings.host,
                settings.metrics_port,
                ready=until_stop(core.check, stop),
                registry=core.metrics.registry,
            ),
        ):
            await body(core, stop)

    run_until_stopped(main)
