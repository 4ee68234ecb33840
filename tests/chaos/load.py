"""Customers' programs that send under load and give up on nothing until it was answered."""

import asyncio
import random
from dataclasses import dataclass, field
from uuid import UUID

import aiohttp
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_delay,
    wait_random,
)
from tests.chaos.customers import Client, Reply

GIVE_UP_SECONDS = 40.0
_BROKEN = (aiohttp.ClientError, TimeoutError, ConnectionError)


@dataclass(frozen=True, slots=True)
class Asked:
    """One message as it is sent; its key makes every repetition the same."""

    idempotency_key: str
    to: str
    text: str
    lane: str
    ttl_seconds: int | None = None

    def body(self) -> dict[str, object]:
        """Return the body of the request."""
        body: dict[str, object] = {
            "to": self.to,
            "text": self.text,
            "sender": "SEMALINK",
            "lane": self.lane,
        }
        if self.ttl_seconds is not None:
            body["ttl_seconds"] = self.ttl_seconds
        return body


@dataclass(slots=True)
class Load:
    """Messages of one account, each with a text and a number of its own."""

    client: Client
    #: Begins every text and every key, so that no two loads meet.
    name: str
    chance: random.Random
    per_second: float = 60.0
    priority_share: float = 0.3
    acknowledged: dict[UUID, Asked] = field(default_factory=dict)
    #: Answers other than 202, with how often each came.
    refused: dict[int, int] = field(default_factory=dict)
    #: How often a connection broke.
    broken_count: int = 0
    #: How often nobody listened.
    unreachable_count: int = 0
    _number: int = 0
    _progress: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, stop: asyncio.Event) -> None:
        """Send at a steady rate until the stop, then wait for the last answers."""
        async with asyncio.TaskGroup() as sending:
            while not stop.is_set():
                sending.create_task(self.send(self.next()))
                await self._pause(stop)

    async def _pause(self, stop: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(1 / self.per_second):
                await stop.wait()
        except TimeoutError:
            return

    def next(self) -> Asked:
        """Return a message that was not sent before."""
        self._number += 1
        return Asked(
            idempotency_key=f"{self.name}-{self._number}",
            to=f"+2547{self.chance.randrange(10_000_000, 30_000_000):08d}",
            text=f"Habari {self.name} {self._number}",
            lane="priority" if self.chance.random() < self.priority_share else "normal",
        )

    async def send(self, asked: Asked) -> UUID:
        """Send one message, again under the same key until it is acknowledged; return its id."""
        repeating = AsyncRetrying(
            retry=retry_if_exception_type(_BROKEN) | retry_if_result(lambda reply: reply is None),
            wait=wait_random(0.05, 0.3),
            stop=stop_after_delay(GIVE_UP_SECONDS),
        )
        reply: Reply | None = await repeating(self._try, asked)
        assert reply is not None
        message_id = UUID(reply.body["id"].removeprefix("msg_"))
        self.acknowledged[message_id] = asked
        self._progress.set()
        return message_id

    async def reach(self, count: int) -> None:
        """Return once so many messages were acknowledged."""
        while len(self.acknowledged) < count:
            self._progress.clear()
            await self._progress.wait()

    async def _try(self, asked: Asked) -> Reply | None:
        try:
            reply = await self.client.ask(
                "POST", "/v1/messages", asked.body(), idempotency_key=asked.idempotency_key
            )
        except _BROKEN as error:
            self.broken_count += 1
            self.unreachable_count += isinstance(error, aiohttp.ClientConnectorError)
            raise
        if reply.status == 202:
            return reply
        self.refused[reply.status] = self.refused.get(reply.status, 0) + 1
        assert reply.status == 503, reply
        assert reply.body["retryable"], reply
        return None
