import asyncio
import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer

from semalink_adapters.webhooks.guarded_client import (
    KEPT_BYTES,
    READ_BYTES_MAX,
    AddressForbidden,
    Answer,
    GuardedClient,
)
from semalink_adapters.webhooks.resolver import PooledResolver

Serve = Callable[[Any], Awaitable[TestServer]]

HEADERS = {"content-type": "application/json", "webhook-id": "evt_1"}


class FlippingResolver(AbstractResolver):
    """A name server that gives another address each time that it is asked."""

    def __init__(self, *answers: str) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=6, flags=0)
        ]

    async def close(self) -> None:
        pass


async def post(url: str, **settings: Any) -> Answer:
    async with GuardedClient(**settings) as client:
        return await client.post(url, b"{}", HEADERS)


async def accept(request: web.Request) -> web.Response:
    return web.Response(status=202, text=(await request.text()) + str(dict(request.headers)))


async def test_post_brings_the_answer_and_sends_only_our_headers(serve: Serve):
    server = await serve(accept)

    answer = await post(str(server.make_url("/hook")), allows_private=True)

    assert (answer.status, answer.error_class) == (202, None)
    assert answer.body.startswith(b"{}")
    assert b"Accept-Encoding" not in answer.body
    assert b"webhook-id" in answer.body


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "fd00::1",
        "fe80::1",
    ],
)
async def test_post_dials_no_name_that_stands_for_a_private_address(address: str):
    resolver = FlippingResolver(address)

    answer = await post("https://hooks.example.com/", resolver=resolver)

    assert (answer.status, answer.error_class, resolver.asked) == (None, "blocked_ip", 1)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "localhost"]
)
async def test_post_dials_no_private_address_by_itself(host: str):
    answer = await post(f"https://{host}/", resolver=FlippingResolver("127.0.0.1"))

    assert answer.error_class == "unfit_url"


async def test_post_dials_no_network_that_the_installation_forbids():
    resolver = FlippingResolver("41.90.1.2")

    answer = await post(
        "https://hooks.example.com/",
        resolver=resolver,
        also_forbidden=[ip_network("41.90.0.0/16")],
    )

    assert (answer.error_class, resolver.asked) == ("blocked_ip", 1)


async def test_post_is_not_taken_in_by_a_name_that_changes_after_it_was_looked_at():
    resolver = FlippingResolver("1.1.1.1", "127.0.0.1")
    [first] = await resolver.resolve("hooks.example.com", 443)
    client = GuardedClient(resolver=resolver)

    # What was public when it was looked at ...
    client._open_socket((first["family"], socket.SOCK_STREAM, 6, "", (first["host"], 443))).close()
    # ... is dialled only as what it is then.
    async with client:
        answer = await client.post("https://hooks.example.com/", b"{}", HEADERS)

    assert answer.error_class == "blocked_ip"
    assert resolver.asked == 2


async def test_open_socket_refuses_whatever_the_connector_was_told():
    async with GuardedClient() as client:
        with pytest.raises(AddressForbidden):
            client._open_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 443)))


async def test_post_follows_no_redirect(serve: Serve):
    seen = []

    async def redirect(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    server = await serve(redirect)

    answer = await post(str(server.make_url("/hook")), allows_private=True)

    assert (answer.status, seen) == (307, ["/hook"])


async def test_post_keeps_the_first_of_a_long_answer(serve: Serve):
    async def talk(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * (KEPT_BYTES * 10))

    server = await serve(talk)

    answer = await post(str(server.make_url("/")), allows_private=True)

    assert (answer.status, answer.body) == (200, b"x" * KEPT_BYTES)
    assert answer.body_sha256 is not None


async def test_post_reads_an_endless_answer_no_further_than_the_bound(serve: Serve):
    sent = 0

    async def never_end(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while sent < 100 * READ_BYTES_MAX:
            await response.write(b"x" * 65_536)
            sent += 65_536
        return response

    server = await serve(never_end)

    answer = await post(str(server.make_url("/")), allows_private=True)

    assert (answer.status, len(answer.body)) == (200, KEPT_BYTES)
    assert sent < 100 * READ_BYTES_MAX


async def test_post_gives_up_waiting(serve: Serve):
    async def hang(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    server = await serve(hang)

    answer = await post(str(server.make_url("/")), allows_private=True, total_seconds=0.1)

    assert (answer.status, answer.error_class) == (None, "timeout")


async def test_post_says_that_nobody_listens(unused_tcp_port: int):
    answer = await post(f"http://127.0.0.1:{unused_tcp_port}/", allows_private=True)

    assert answer.error_class == "connect"


async def test_post_says_that_the_other_side_speaks_no_tls(serve: Serve):
    server = await serve(accept)

    answer = await post(f"https://127.0.0.1:{server.port}/", allows_private=True)

    assert answer.error_class == "tls"


async def test_post_says_that_the_connection_broke(serve: Serve):
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    server = await serve(hang_up)

    answer = await post(str(server.make_url("/")), allows_private=True)

    assert answer.error_class == "read"


@pytest.mark.parametrize(
    ("raw", "status", "error_class"),
    [
        (b"", None, "read"),
        (b"no protocol\r\n\r\n", None, "read"),
        (b"HTTP/1.1 999999 x\r\n\r\n", None, "read"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort", None, "read"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", None, "read"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", None, "read"),
        (b"HTTP/1.1 200 OK\r\nA: \x00\r\nContent-Length: 0\r\n\r\n", None, "read"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", 200, None),
        (b"HTTP/1.1 503 x\r\nServer: caf\xe9\r\nContent-Length: 0\r\n\r\n", 503, None),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 x\r\n\r\n", 204, None),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", 200, None),
    ],
)
async def test_post_survives_whatever_is_answered(
    raw: bytes, status: int | None, error_class: str | None
):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(raw)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    answered = await post(f"http://127.0.0.1:{port}/", allows_private=True)
    server.close()

    assert (answered.status, answered.error_class) == (status, error_class)


async def test_post_says_that_a_name_has_no_address():
    answer = await post("http://nobody.invalid/", allows_private=True)

    assert answer.error_class == "dns"


async def test_resolve_asks_the_system():
    resolver = PooledResolver()

    [found, *_] = await resolver.resolve("127.0.0.1", 80)
    await resolver.close()

    assert (found["host"], found["port"]) == ("127.0.0.1", 80)
