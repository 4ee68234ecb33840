"""A customer's endpoint for webhooks: takes what comes, checks its signature, answers as told."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks.webhooks import Webhook


@dataclass
class Receiver:
    """What was received, and what is answered."""

    url: str = ""
    secret: str = ""
    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    said: str = ""
    #: Every event that was taken, in the order of its arrival.
    taken: list[Any] = field(default_factory=list)
    #: The exact bodies of them by the id of the event.
    bodies: dict[str, bytes] = field(default_factory=dict)
    #: How many requests came, taken or not.
    request_count: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        """Check one request as any customer would, and answer."""
        self.request_count += 1
        body = await request.read()
        # Raises for a signature that does not fit: the answer is then 500, and nothing is taken.
        event = Webhook(self.secret).verify(body.decode(), dict(request.headers.items()))
        assert request.headers["webhook-id"] == json.loads(body)["id"]
        if self.status < 300:
            self.taken.append(event)
            self.bodies[event["id"]] = body
        return web.Response(status=self.status, headers=self.headers, text=self.said)

    def names(self) -> list[str]:
        """Return the types of the events that were taken, in order of arrival."""
        return [event["type"] for event in self.taken]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Listen on a free port meanwhile."""
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/hooks", receiver.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        _, port = runner.addresses[0]
        receiver.url = f"http://127.0.0.1:{port}/hooks"
        yield receiver
    finally:
        await runner.cleanup()
