"""How the processes that answer HTTP are served: uvicorn in our loop, ended by our signal."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import uvicorn

from semalink_ops.observability import logs
from semalink_ops.runtime import STOP_SECONDS_MAX, background, run_until_stopped
from semalink_ops.settings import Settings

#: Connections that wait for their acceptance while the loop is busy.
_BACKLOG = 2_048
#: Longer than the minute for which load balancers keep an idle connection.
_KEEP_ALIVE_SECONDS = 65


class PortTaken(Exception):
    """Another program listens where the process should."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"Port {port} of {host} is taken. Stop what listens there, or set another port."
        )


def serve(
    process: str,
    settings: Settings,
    build: Callable[[Settings, asyncio.Event], AbstractAsyncContextManager[Any]],
    listeners: Sequence[socket.socket],
) -> None:
    """Serve the application on the sockets until SIGTERM or SIGINT, then end every request."""
    logs.configure(settings.log_level, process=process)

    async def main(stop: asyncio.Event) -> None:
        async with build(settings, stop) as app:
            server = _Server(_configuration(_Leaving(app, stop), settings.drain_seconds))
            async with background(_end(server, stop, settings.drain_seconds)):
                await server.serve(sockets=list(listeners))

    run_until_stopped(main)


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a bound socket; the system spreads connections over processes that share a port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    # As servers do: a port whose last connection has just closed is free.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno != errno.EADDRINUSE:
            raise
        raise PortTaken(host, port) from error
    return listener


class _Server(uvicorn.Server):
    """Leaves the signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class _Leaving:
    """From the stop on, asks every client to come back on another connection.

    A connection that is closed while a request is on its way gives its client no answer; one that
    was given up by agreement does not.
    """

    def __init__(self, app: Any, stop: asyncio.Event) -> None:
        self._app = app
        self._stop = stop

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._stop.is_set() and scope["type"] == "http":
            await self._app(scope, receive, _closing(send))
        else:
            await self._app(scope, receive, send)


def _closing(send: Any) -> Any:
    async def send_closing(message: Any) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (b"connection", b"close")]
            message = {**message, "headers": headers}
        await send(message)

    return send_closing


async def _end(server: uvicorn.Server, stop: asyncio.Event, drain_seconds: float) -> None:
    await stop.wait()
    # Not ready since then, and still serving: a balancer may not have asked yet.
    await asyncio.sleep(drain_seconds)
    server.should_exit = True


def _configuration(app: Any, drain_seconds: float) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # Who calls is said by the key, never by a header that anyone can send.
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(STOP_SECONDS_MAX - drain_seconds),
    )
