"""A sandbox on a free port, and an intake that collects what it reports."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import pytest
from aiohttp import web

from semalink_ops.sandbox import Controls, Credential, SandboxSettings, running

WAIT_SECONDS = 10.0

CREDENTIALS = {
    "100": Credential("celcom", api_key="celcom-key", secret="celcom-secret"),
    "semalink": Credential("africastalking", api_key="at-key", secret="at-secret"),
    "tests": Credential("sandbox", api_key="test-key", secret="test-secret"),
}


@dataclass
class Intake:
    url: str = ""
    #: Paths and bodies of the reports, as they came.
    received: asyncio.Queue[tuple[str, dict[str, Any]]] = field(default_factory=asyncio.Queue)
    #: Statuses of the next answers; 200 when there is none.
    answers: deque[int] = field(default_factory=deque)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_post("/dlr/{aggregator}/{secret}", self.take)
        app.router.add_post("/opt-out/{aggregator}/{secret}", self.take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield
        finally:
            await runner.cleanup()

    async def take(self, request: web.Request) -> web.Response:
        if request.content_type == "application/json":
            body = await request.json()
        else:
            body = dict(parse_qsl(await request.text()))
        self.received.put_nowait((request.path, body))
        return web.Response(status=self.answers.popleft() if self.answers else 200)

    async def next_report(self) -> tuple[str, dict[str, Any]]:
        return await asyncio.wait_for(self.received.get(), WAIT_SECONDS)

    async def next_status(self) -> str:
        _, body = await self.next_report()
        return str(body.get("status") or body.get("description"))


@dataclass
class Caller:
    session: aiohttp.ClientSession
    port: int

    @classmethod
    @asynccontextmanager
    async def of_sandbox(cls, **changes: Any) -> AsyncIterator["Caller"]:
        settings: dict[str, Any] = {
            "credentials": CREDENTIALS,
            "controls": Controls(report_delay_ms=0),
            "report_retry_first_seconds": 0.001,
        }
        async with (
            running(SandboxSettings(**(settings | changes)), host="127.0.0.1", port=0) as port,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WAIT_SECONDS)) as session,
        ):
            yield cls(session, port)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def post_json(self, path: str, body: Any) -> dict[str, Any]:
        async with self.session.post(self.url(path), json=body) as answer:
            return dict(await answer.json())

    async def celcom(
        self, number: str, *, text: str = "Habari", client_id: str = "m1", **more: object
    ) -> dict[str, Any]:
        body = {
            "partnerID": "100",
            "apikey": "celcom-key",
            "mobile": number.removeprefix("+"),
            "message": text,
            "shortcode": "SEMALINK",
            "clientsmsid": client_id,
        }
        return await self.post_json("/api/services/sendsms", body | more)

    async def send_celcom(self, number: str, **more: Any) -> dict[str, Any]:
        answer = await self.celcom(number, **more)
        return dict(answer["responses"][0])

    def post_form(self, to: str, **more: str) -> Any:
        form = {"username": "semalink", "to": to, "message": "Habari", "from": "SEMALINK"} | more
        return self.session.post(
            self.url("/version1/messaging"), data=form, headers={"apiKey": "at-key"}
        )

    async def africas_talking(self, to: str, **more: str) -> dict[str, Any]:
        async with self.post_form(to, **more) as answer:
            return dict((await answer.json())["SMSMessageData"])

    async def send_africas_talking(self, to: str, **more: str) -> dict[str, Any]:
        return dict((await self.africas_talking(to, **more))["Recipients"][0])

    async def report_of(self, reference: object) -> dict[str, Any]:
        return await self.post_json(
            "/api/services/getdlr",
            {"partnerID": "100", "apikey": "celcom-key", "messageID": str(reference)},
        )

    async def control(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        async with self.session.request(method, self.url(f"/control{path}"), json=body) as answer:
            assert answer.status == 200, await answer.text()
            return dict(await answer.json())

    async def switch(self, aggregator: str, **controls: object) -> None:
        await self.control("PATCH", f"/{aggregator}", controls)

    async def wait_for_state(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(WAIT_SECONDS):
            while not holds(state := await self.control("GET", "")):
                pass
        return state


StartSandbox = Callable[..., Any]
ExpectQuiet = Callable[[], Awaitable[None]]


@pytest.fixture
async def intake() -> AsyncIterator[Intake]:
    collector = Intake()
    async with collector.running():
        yield collector


@pytest.fixture
def start_sandbox(intake: Intake) -> StartSandbox:
    def start(**changes: Any) -> Any:
        return Caller.of_sandbox(**({"dlr_url": intake.url} | changes))

    return start


@pytest.fixture
async def caller(start_sandbox: StartSandbox) -> AsyncIterator[Caller]:
    async with start_sandbox() as started:
        yield started


@pytest.fixture
def expect_quiet(caller: Caller, intake: Intake) -> ExpectQuiet:
    async def expect() -> None:
        # Reports leave in the order in which they are due: one that is due last ends the wait.
        await caller.celcom("+254711000009", text="the last one")
        assert await intake.next_status() == "DeliveredToTerminal"
        await caller.wait_for_state(lambda state: state["reports_pending"] == 0)
        assert intake.received.empty()

    return expect
