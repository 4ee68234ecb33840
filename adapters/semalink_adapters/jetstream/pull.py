"""Pulling messages: one request asks for many and is answered as soon as there are any."""

import asyncio
from collections import deque
from contextlib import suppress

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import Header, StatusCode

# The broker ends a request by itself; this long after, its answer was lost.
_GRACE_SECONDS = 0.25
_ENDED = (StatusCode.NO_MESSAGES, StatusCode.REQUEST_TIMEOUT)


class PullRefused(Exception):
    """The broker did not take the request: the consumer, its stream or its leader is gone."""

    def __init__(self, status: str) -> None:
        super().__init__(f"The broker answered a request for messages with status {status}.")


class Pull:
    """The requests of one worker to one consumer.

    The library's own ``fetch`` makes two tasks and a random id for each message, which is most of
    what a message costs.
    """

    def __init__(self, client: Client, stream: str, consumer: str) -> None:
        self._client = client
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None
        self._arrived: deque[Msg] = deque()
        self._wanted = 0
        self._number = 0
        self._status: str | None = None
        self._over = asyncio.Event()

    async def open(self) -> None:
        """Listen for what the requests will bring."""
        self._subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._on_message)

    async def fetch(self, count: int, wait_seconds: float) -> list[Msg]:
        """Return up to ``count`` messages: those that wait, or the first that comes in time.

        Raises PullRefused when there is nothing to pull from, and errors of the client.
        """
        if not self._arrived:
            await self._request(count, wait_seconds)
        taken = [self._arrived.popleft() for _ in range(min(count, len(self._arrived)))]
        if not taken and self._status is not None and self._status not in _ENDED:
            raise PullRefused(self._status)
        return taken

    async def close(self) -> list[Msg]:
        """Stop listening; return what arrived and was not fetched."""
        if self._subscription is not None:
            # A client that is gone took its subscriptions with it.
            with suppress(nats.errors.Error):
                await self._subscription.unsubscribe()
        leftover = list(self._arrived)
        self._arrived.clear()
        return leftover

    async def _request(self, count: int, wait_seconds: float) -> None:
        self._over.clear()
        self._status = None
        self._wanted = count
        self._number += 1
        # Together the two mean: wait for the first message, then end when there are no more.
        request = {"batch": count, "expires": int(wait_seconds * 1e9), "no_wait": True}
        await self._client.publish(
            self._next, msgspec.json.encode(request), reply=f"{self._inbox}.{self._number}"
        )
        try:
            async with asyncio.timeout(wait_seconds + _GRACE_SECONDS):
                await self._over.wait()
        except TimeoutError:
            # The request or its end was lost with a connection; what did arrive counts.
            pass

    async def _on_message(self, message: Msg) -> None:
        if message.reply:
            self._arrived.append(message)
            if len(self._arrived) >= self._wanted:
                self._over.set()
        elif message.subject.endswith(f".{self._number}"):
            # The end of an earlier request says nothing about this one.
            self._status = (message.headers or {}).get(Header.STATUS)
            self._over.set()
