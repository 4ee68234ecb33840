"""Publishing many messages at a time, with a bound on how many wait for the broker's answer."""

import asyncio
from collections.abc import Sequence
from itertools import count

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import Header, StatusCode

from semalink.application.bus import Outgoing, PublishOutcome, PublishState

ACKED = PublishOutcome(PublishState.ACKED)
DUPLICATE = PublishOutcome(PublishState.DUPLICATE)
TIMED_OUT = PublishOutcome(PublishState.FAILED, "timeout")
NO_STREAM = PublishOutcome(PublishState.FAILED, "no_stream")
DISCONNECTED = PublishOutcome(PublishState.FAILED, "disconnected")
NOT_SENT = PublishOutcome(PublishState.FAILED, "not_sent")
TOO_LARGE = PublishOutcome(PublishState.FAILED, "too_large")

_MESSAGE_TOO_LARGE = 10054


class _Refusal(msgspec.Struct):
    err_code: int = 0


class _Answer(msgspec.Struct):
    duplicate: bool = False
    error: _Refusal | None = None


_decoder = msgspec.json.Decoder(_Answer)


class AckWindow:
    """The messages of one client that wait for an answer.

    The library's own window never lets go of a message whose answer was lost with a connection;
    here each page has a deadline, and gives back its places when it ends.
    """

    def __init__(self, client: Client, *, size: int, ack_seconds: float) -> None:
        self._client = client
        self._ack_seconds = ack_seconds
        self._places = asyncio.Semaphore(size)
        self._waiting: dict[str, asyncio.Future[PublishOutcome]] = {}
        self._tokens = count()
        self._inbox = client.new_inbox()
        self._opening = asyncio.Lock()
        self._open = False

    @property
    def waiting(self) -> int:
        """How many messages wait for an answer now."""
        return len(self._waiting)

    def abandon(self) -> None:
        """End every wait now: the client is gone, and the answers with it."""
        for future in list(self._waiting.values()):
            if not future.done():
                future.set_result(DISCONNECTED)

    async def publish(
        self, items: Sequence[Outgoing], headers: Sequence[dict[str, str]]
    ) -> list[PublishOutcome]:
        """Publish each message once and wait for the answers; what was not answered has failed."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._ack_seconds
        sent: list[asyncio.Future[PublishOutcome]] = []
        try:
            await self._subscribe()
            for item, header in zip(items, headers, strict=True):
                if not await self._take_place(deadline - loop.time()):
                    break
                sent.append(await self._send(item, header))
            unanswered = [future for future in sent if not future.done()]
            if unanswered:
                await asyncio.wait(unanswered, timeout=max(0.0, deadline - loop.time()))
        except nats.errors.Error:
            # The client was closed, or could not buffer any more: the rest was not sent.
            pass
        finally:
            for future in sent:
                future.cancel()
        outcomes = [TIMED_OUT if future.cancelled() else future.result() for future in sent]
        return outcomes + [NOT_SENT] * (len(items) - len(sent))

    async def _subscribe(self) -> None:
        async with self._opening:
            if not self._open:
                await self._client.subscribe(f"{self._inbox}.*", cb=self._on_answer)
                self._open = True

    async def _take_place(self, timeout_seconds: float) -> bool:
        if not self._places.locked():
            # No wait, so no timer: this is the path of all but a full window.
            await self._places.acquire()
            return True
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._places.acquire()
        except TimeoutError:
            return False
        return True

    async def _send(self, item: Outgoing, header: dict[str, str]) -> asyncio.Future[PublishOutcome]:
        token = str(next(self._tokens))
        future: asyncio.Future[PublishOutcome] = asyncio.get_running_loop().create_future()
        self._waiting[token] = future

        def leave(_: asyncio.Future[PublishOutcome]) -> None:
            del self._waiting[token]
            self._places.release()

        future.add_done_callback(leave)
        try:
            await self._client.publish(
                item.subject, item.payload, reply=f"{self._inbox}.{token}", headers=header
            )
        except nats.errors.MaxPayloadError:
            future.set_result(TOO_LARGE)
        except nats.errors.Error:
            future.set_result(NOT_SENT)
        except asyncio.CancelledError:
            future.cancel()
            raise
        return future

    async def _on_answer(self, message: Msg) -> None:
        future = self._waiting.get(message.subject.rpartition(".")[2])
        # A late answer: its page has ended, and the message was or will be published again.
        if future is not None and not future.done():
            future.set_result(_read_answer(message))


def _read_answer(message: Msg) -> PublishOutcome:
    if message.headers and message.headers.get(Header.STATUS) == StatusCode.SERVICE_UNAVAILABLE:
        return NO_STREAM
    answer = _decoder.decode(message.data)
    if answer.error is None:
        return DUPLICATE if answer.duplicate else ACKED
    if answer.error.err_code == _MESSAGE_TOO_LARGE:
        return TOO_LARGE
    return PublishOutcome(PublishState.FAILED, f"refused_{answer.error.err_code}")
