"""The bus on JetStream: publishing with acknowledgement, and pokes without."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import Header
from opentelemetry.propagate import inject
from tenacity import (
    AsyncRetrying,
    RetryError,
    TryAgain,
    stop_after_delay,
    wait_random_exponential,
)

from semalink.application.bus import (
    BusObserver,
    Outgoing,
    PublishOutcome,
    PublishState,
    Unobserved,
    work_count,
)
from semalink_adapters.jetstream.ack_window import DISCONNECTED, TOO_LARGE, AckWindow
from semalink_adapters.jetstream.connection import BusConnection

WINDOW = 1_000
TRACE_HEADER = "traceparent"

_UNTRIED = PublishOutcome(PublishState.FAILED, "untried")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a publish waits, and how long it is tried again under the same message id."""

    ack_seconds: float = 5.0
    #: Longer than the election of a leader, which took 4 to 7 seconds.
    total_seconds: float = 10.0
    retry_seconds: tuple[float, float] = (0.05, 1.0)


@dataclass(slots=True)
class _Listener:
    subject: str
    callback: Callable[[], None]
    client: Client | None = None

    async def on_message(self, _: Msg) -> None:
        self.callback()


class JetStreamBus:
    """A Bus on one connection; it may be used before the broker is there."""

    def __init__(
        self,
        connection: BusConnection,
        *,
        patience: Patience | None = None,
        observer: BusObserver | None = None,
    ) -> None:
        self._connection = connection
        self._patience = patience or Patience()
        self._observer = Unobserved() if observer is None else observer
        self._window: tuple[Client, AckWindow] | None = None
        self._poking: dict[str, asyncio.Task[None]] = {}
        self._listeners: list[_Listener] = []
        connection.prepare_with(self._listen)
        connection.call_at_loss(self._abandon_window)

    @property
    def connected(self) -> bool:
        """Tell whether the broker can be reached now."""
        return self._connection.connected

    async def publish(
        self,
        subject: str,
        payload: bytes,
        *,
        message_id: str,
        headers: Mapping[str, str] | None = None,
    ) -> PublishOutcome:
        """Store one message, trying again for a bounded time."""
        [outcome] = await self.publish_many([Outgoing(subject, payload, message_id, headers or {})])
        return outcome

    async def publish_many(self, items: Sequence[Outgoing]) -> Sequence[PublishOutcome]:
        """Store many messages in few round trips; one outcome for each, in order."""
        outcomes = [_UNTRIED] * len(items)
        retries = AsyncRetrying(
            wait=wait_random_exponential(
                multiplier=self._patience.retry_seconds[0], max=self._patience.retry_seconds[1]
            ),
            stop=stop_after_delay(self._patience.total_seconds),
        )
        # The outcomes say which messages the broker did not take, and why.
        with suppress(RetryError):
            await retries(self._publish_missing, items, outcomes)
        for item, outcome in zip(items, outcomes, strict=True):
            self._observer.published(item.subject, outcome.state, work_count(item.headers))
        return outcomes

    async def poke(self, subject: str) -> None:
        """Wake whoever listens; losing it costs a moment, so nothing is checked."""
        if not self._connection.connected:
            return
        # Whoever listens also looks by itself, a moment later.
        with suppress(nats.errors.Error):
            await self._connection.client.publish(subject)

    def poke_soon(self, subject: str) -> None:
        """Poke from code that cannot wait; pokes that overtake one another become one."""
        if subject not in self._poking:
            task = asyncio.get_running_loop().create_task(self.poke(subject))
            self._poking[subject] = task
            task.add_done_callback(lambda _: self._poking.pop(subject))

    async def on_poke(self, subject: str, callback: Callable[[], None]) -> None:
        """Call back at each poke from now on, across reconnections."""
        self._listeners.append(_Listener(subject, callback))
        if self._connection.connected:
            await self._listen(self._connection.js)

    async def _publish_missing(
        self, items: Sequence[Outgoing], outcomes: list[PublishOutcome]
    ) -> None:
        missing = [place for place, outcome in enumerate(outcomes) if _worth_trying(outcome)]
        for start in range(0, len(missing), WINDOW):
            page = missing[start : start + WINDOW]
            results = await self._publish_page([items[place] for place in page])
            for place, outcome in zip(page, results, strict=True):
                outcomes[place] = outcome
        if any(_worth_trying(outcome) for outcome in outcomes):
            raise TryAgain

    async def _publish_page(self, page: Sequence[Outgoing]) -> Sequence[PublishOutcome]:
        # The client would buffer without an end in sight; a message that failed is not lost.
        if not self._connection.connected:
            return [DISCONNECTED] * len(page)
        return await self._current_window().publish(page, [_headers(item) for item in page])

    def _current_window(self) -> AckWindow:
        client = self._connection.client
        if self._window is None or self._window[0] is not client:
            window = AckWindow(client, size=WINDOW, ack_seconds=self._patience.ack_seconds)
            self._window = (client, window)
        return self._window[1]

    def _abandon_window(self) -> None:
        if self._window is not None:
            self._window[1].abandon()

    async def _listen(self, _: JetStreamContext) -> None:
        # Every connection has a new client, which listens to nothing yet.
        client = self._connection.client
        for listener in self._listeners:
            if listener.client is not client:
                listener.client = client
                await client.subscribe(listener.subject, cb=listener.on_message)


def _worth_trying(outcome: PublishOutcome) -> bool:
    return not outcome.stored and outcome is not TOO_LARGE


def _headers(item: Outgoing) -> dict[str, str]:
    headers = dict(item.headers)
    if TRACE_HEADER not in headers:
        # The relay publishes for a request that is over, and brings that request's context.
        inject(headers)
    headers[Header.MSG_ID.value] = item.message_id
    return headers
