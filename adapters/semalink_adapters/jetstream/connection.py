"""One connection to the broker that is always being made, and never waited for."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import nats.errors
import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from semalink.application.bus import BrokerUnfit

logger = structlog.get_logger(__name__)

#: Run after each connection and reconnection, in order; raises BrokerUnfit to refuse the broker.
Preparation = Callable[[JetStreamContext], Awaitable[None]]

_API_SECONDS = 5.0
_PING_SECONDS = 5
_PENDING_BYTES = 8 * 2**20
_FLUSH_SECONDS = 2.0
_CLOSE_SECONDS = 2
# Workers that lost one broker together must not come back in step.
_RECONNECT_SECONDS = (0.1, 0.5)
_LOOK_SECONDS = 0.5


class BusConnection:
    """Connects in the background, for ever; ``connected`` says how that goes.

    A process that can work without the broker starts without it. Each connection has a client of
    its own: the library's reconnection loses sockets when a handshake fails, sends old answers to
    a broker that may be empty now, and ends for good when the broker revokes the credentials.
    """

    def __init__(self, url: str, name: str) -> None:
        self._servers = url.split(",")
        if not all(urlsplit(server).hostname for server in self._servers):
            raise ValueError("The address of the broker is not of the form nats://host:port.")
        self._name = name
        self._preparations: list[Preparation] = []
        self._loss_callbacks: list[Callable[[], None]] = []
        self._runner: asyncio.Task[None] | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._preparing_lock = asyncio.Lock()
        self._up = asyncio.Event()
        self._prepared = asyncio.Event()
        self._outage_logged = False
        self._renew_client()
        #: Grows with each loss of the connection: what was known of the broker may be wrong since.
        self.losses = 0
        #: What the last preparation raised; None when it went well or has not run.
        self.refusal: Exception | None = None

    @property
    def connected(self) -> bool:
        """Tell whether the broker can be reached now."""
        return self._up.is_set() and self._client.is_connected

    @property
    def ready(self) -> bool:
        """Tell whether the broker can be reached and was found and made fit for use."""
        return self.connected and self._prepared.is_set() and self.refusal is None

    @property
    def client(self) -> Client:
        """The client of the moment; after a loss a new one takes its place."""
        return self._client

    @property
    def js(self) -> JetStreamContext:
        """The JetStream context of the client of the moment."""
        return self._js

    def prepare_with(self, preparation: Preparation) -> None:
        """Run this after each connection and reconnection from now on."""
        self._preparations.append(preparation)

    def call_at_loss(self, callback: Callable[[], None]) -> None:
        """Call back at each loss of the connection from now on."""
        self._loss_callbacks.append(callback)

    def start(self) -> None:
        """Begin to connect in the background."""
        assert self._runner is None, "a connection is started once"
        self._runner = asyncio.create_task(self._run(), name=f"bus:{self._name}")

    async def wait_connected(self, timeout_seconds: float) -> bool:
        """Wait for the broker, at most so long; tell whether it came."""
        return self._up.is_set() or await _within(self._up, timeout_seconds)

    async def wait_ready(self, timeout_seconds: float) -> bool:
        """Wait until the broker is fit for use; raise what a preparation found wrong with it."""
        await _within(self._prepared, timeout_seconds)
        if self._runner is not None and self._runner.done():
            # It never ends of itself; a bug that ended it is shown here.
            self._runner.result()
        if isinstance(self.refusal, BrokerUnfit):
            raise self.refusal
        return self.ready

    async def prepare_again(self) -> None:
        """Run the preparations once more: something that they made is gone."""
        async with self._preparing_lock:
            for preparation in self._preparations:
                await preparation(self._js)

    async def close(self) -> None:
        """Send what is still unsent, within a bound, and go."""
        self._up.clear()
        self._prepared.clear()
        for task in (self._runner, self._preparing):
            if task is not None:
                task.cancel()
                await asyncio.wait([task], timeout=_CLOSE_SECONDS)
        if self._client.is_connected:
            try:
                await self._client.flush(timeout=_CLOSE_SECONDS)
            except (nats.errors.Error, TimeoutError, OSError) as error:
                logger.warning("broker_flush_failed", error_type=type(error).__name__)
        await self._client.close()

    async def _run(self) -> None:
        while True:
            if await self._connect_client():
                self._came_up()
                await self._wait_closed()
                self._went_down()
            else:
                await self._client.close()
            await asyncio.sleep(random.uniform(*_RECONNECT_SECONDS))  # noqa: S311
            self._renew_client()

    async def _wait_closed(self) -> None:
        # Looked for as well: the library does not call back when the connection ended with
        # something still unsent.
        while not self._client.is_closed:
            await _within(self._client_closed, _LOOK_SECONDS)

    def _renew_client(self) -> None:
        # One for each client: the last word of an old one says nothing about the next.
        self._client_closed = asyncio.Event()
        self._client = Client()
        self._js = self._client.jetstream(timeout=_API_SECONDS)

    async def _connect_client(self) -> bool:
        # The annotations of the library say int where it takes seconds as a float.
        options: dict[str, Any] = {
            "allow_reconnect": False,
            # An absent broker is waited for inside ``connect``.
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": random.uniform(*_RECONNECT_SECONDS),  # noqa: S311
            "ping_interval": _PING_SECONDS,
            "pending_size": _PENDING_BYTES,
            "flush_timeout": _FLUSH_SECONDS,
            "name": self._name,
        }
        closed = self._client_closed

        async def on_closed() -> None:
            closed.set()

        try:
            await self._client.connect(
                self._servers, error_cb=self._on_error, closed_cb=on_closed, **options
            )
        except (nats.errors.Error, TimeoutError, OSError) as error:
            # The broker answers and refuses us, or went away during the handshake.
            await self._on_error(error)
        return self._client.is_connected

    async def _on_error(self, error: Exception) -> None:
        # One line an outage: the client reports each failed attempt.
        if not self._outage_logged:
            self._outage_logged = True
            logger.warning("broker_failed", connection=self._name, error_type=type(error).__name__)

    def _came_up(self) -> None:
        self._up.set()
        self._outage_logged = False
        logger.info("broker_connected", connection=self._name, losses=self.losses)
        self._preparing = asyncio.create_task(self._prepare(), name=f"bus-prepare:{self._name}")

    def _went_down(self) -> None:
        logger.warning("broker_disconnected", connection=self._name)
        self._up.clear()
        self._prepared.clear()
        self.losses += 1
        if self._preparing is not None:
            self._preparing.cancel()
        for callback in self._loss_callbacks:
            callback()

    async def _prepare(self) -> None:
        # A broker that just started answers 503 until it has read its disk, however long that
        # takes. The next loss of the connection, or the end of this one, ends the retries.
        retries = AsyncRetrying(
            retry=retry_if_exception_type((nats.errors.Error, TimeoutError)),
            wait=wait_random_exponential(multiplier=0.05, max=1),
        )
        try:
            await retries(self._run_preparations)
            self.refusal = None
        except BrokerUnfit as refusal:
            self.refusal = refusal
            logger.error("broker_refused", connection=self._name, reason=str(refusal))  # noqa: TRY400
        self._prepared.set()

    async def _run_preparations(self) -> None:
        try:
            await self.prepare_again()
        except (nats.errors.Error, TimeoutError) as error:
            if self.refusal is None:
                logger.warning("broker_not_prepared", error_type=type(error).__name__)
            self.refusal = error
            raise


async def connect(
    url: str, name: str, *preparations: Preparation, wait_seconds: float = 0
) -> BusConnection:
    """Begin to connect and return at once, or as soon as the broker is ready within the wait.

    ``url`` may name several servers, separated by commas. A broker that is absent raises
    nothing; one that must not be used raises BrokerUnfit, when the wait was long enough to see it.
    """
    connection = BusConnection(url, name)
    for preparation in preparations:
        connection.prepare_with(preparation)
    connection.start()
    if wait_seconds > 0:
        try:
            await connection.wait_ready(wait_seconds)
        except BrokerUnfit:
            await connection.close()
            raise
    return connection


async def _within(event: asyncio.Event, timeout_seconds: float) -> bool:
    try:
        async with asyncio.timeout(timeout_seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
