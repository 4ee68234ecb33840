import asyncio
import socket
from threading import Event
from typing import Any
from uuid import UUID

import pytest

from semalink_adapters.webhooks.resolver import ASKING_FOR, PooledResolver

HANGS = "hangs.example.com"


class NameServer:
    """Knows every name, and answers for one only when it is told to."""

    def __init__(self) -> None:
        self.may_answer = Event()
        self.asked: list[str] = []

    def ask(self, host: str, port: int, family: socket.AddressFamily) -> list[Any]:
        self.asked.append(host)
        if host.endswith(HANGS):
            self.may_answer.wait(20)
        return [(family, socket.SOCK_STREAM, 6, "", ("41.90.1.2", port))]


@pytest.fixture
def server() -> NameServer:
    return NameServer()


async def look_up(resolver: PooledResolver, account: int, host: str) -> str:
    ASKING_FOR.set(UUID(int=account))
    [found] = await resolver.resolve(host, 443)
    return found["host"]


async def test_resolve_leaves_threads_to_others_when_the_names_of_an_account_hang(
    server: NameServer,
):
    resolver = PooledResolver(server.ask)
    hanging = [
        asyncio.ensure_future(look_up(resolver, 1, f"{number}.{HANGS}")) for number in range(100)
    ]

    found = await asyncio.wait_for(look_up(resolver, 2, "fine.example.com"), 10)
    hung = len(server.asked) - 1
    server.may_answer.set()
    await asyncio.gather(*hanging)
    await resolver.close()

    assert (found, hung) == ("41.90.1.2", 8)


async def test_resolve_gives_what_is_known_when_asking_anew_hangs(server: NameServer):
    resolver = PooledResolver(server.ask)
    server.may_answer.set()
    await look_up(resolver, 1, HANGS)
    server.may_answer.clear()

    found = await asyncio.wait_for(look_up(resolver, 1, HANGS), 10)
    server.may_answer.set()
    await resolver.close()

    assert (found, server.asked) == ("41.90.1.2", [HANGS, HANGS])
