"""A provider on a loopback port, and the adapters that call it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from semalink.application.ports import Aggregator
from semalink_adapters.aggregators.africas_talking import AfricasTalking, AfricasTalkingSettings
from semalink_adapters.aggregators.celcom import Celcom, CelcomSettings
from semalink_adapters.aggregators.exchange import Timeouts, new_session

RECORDINGS = Path(__file__).parents[2] / "recordings"
CELCOM_KEY = "k3y-0f-c3lcom"
AFRICAS_TALKING_KEY = "k3y-0f-africa"


@dataclass
class Request:
    """What reached the provider."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


Answering = Callable[[Request], web.Response]


@dataclass
class Provider:
    """Answers each path as it was told, and remembers what it was asked."""

    answers: dict[str, Answering] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    #: While this is clear, requests arrive and are not answered.
    is_answering: asyncio.Event = field(default_factory=asyncio.Event)
    cuts_connections: bool = False
    url: str = ""
    most_at_once: int = 0
    _at_once: int = 0
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def answer(
        self,
        call: str,
        body: bytes | str,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Answer every call whose path ends so with the same body."""
        raw = body.encode() if isinstance(body, str) else body
        self.answers[call] = lambda _: web.Response(status=status, body=raw, headers=headers)

    async def wait_for_requests(self, count: int) -> None:
        """Return once so many requests have arrived."""
        while len(self.requests) < count:
            self._arrived.clear()
            await asyncio.wait_for(self._arrived.wait(), timeout=10)

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Serve one request."""
        seen = Request(
            request.method,
            request.path,
            request.query_string,
            dict(request.headers),
            await request.read(),
        )
        self.requests.append(seen)
        self._arrived.set()
        if self.cuts_connections and request.transport is not None:
            request.transport.abort()
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await self.is_answering.wait()
        self._at_once -= 1
        return self.answers[request.path.rstrip("/").rsplit("/", 1)[1]](seen)


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    stand_in = Provider()
    stand_in.is_answering.set()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", stand_in.respond)
    server = TestServer(app)
    await server.start_server()
    stand_in.url = str(server.make_url("/"))
    yield stand_in
    stand_in.is_answering.set()
    await server.close()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with new_session(limit_per_host=16) as opened:
        yield opened


@pytest.fixture
def impatient() -> Timeouts:
    return Timeouts(connect_seconds=1.0, read_seconds=0.05, total_seconds=1.0)


@pytest.fixture
def closed_url() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def recording() -> Callable[[str], bytes]:
    return lambda name: (RECORDINGS / name).read_bytes()


@pytest.fixture
def celcom(session: aiohttp.ClientSession, provider: Provider) -> Callable[..., Celcom]:
    def build(name: str = "celcom", **changes: object) -> Celcom:
        settings = {
            "partner_id": "4455",
            "api_key": CELCOM_KEY,
            "base_url": provider.url,
            "connect_retry_seconds": 0.0,
            **changes,
        }
        return Celcom(CelcomSettings(**settings), session, name=name)  # type: ignore[arg-type]

    return build


@pytest.fixture
def africas_talking(
    session: aiohttp.ClientSession, provider: Provider
) -> Callable[..., AfricasTalking]:
    def build(**changes: object) -> AfricasTalking:
        settings = {
            "username": "semalink",
            "api_key": AFRICAS_TALKING_KEY,
            "base_url": provider.url,
            "connect_retry_seconds": 0.0,
            **changes,
        }
        return AfricasTalking(AfricasTalkingSettings(**settings), session)  # type: ignore[arg-type]

    return build


@pytest.fixture
def build_adapter(
    celcom: Callable[..., Celcom], africas_talking: Callable[..., AfricasTalking]
) -> Callable[..., Aggregator]:
    """Return the adapter that calls the provider, by the folder of its recordings."""

    def build(kind: str, **changes: object) -> Aggregator:
        return celcom(**changes) if kind == "celcom" else africas_talking(**changes)

    return build
