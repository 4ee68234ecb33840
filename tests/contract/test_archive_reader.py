"""A store that hangs takes nothing from anybody who does not read from it."""

import asyncio
import socket
import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from semalink.application.reading import ReadsUnavailable
from semalink_adapters.archive.reader import READ_SECONDS_MAX, READERS_MAX, ArchiveReader
from semalink_adapters.archive.store import (
    QUICK,
    Access,
    ArchiveUnavailable,
    Patience,
    open_store,
)

LOCATED: Any = SimpleNamespace(manifest_path="manifest.json", manifest_sha256="ab")
STREAM = UUID(int=1)


class Hanging:
    """A store that answers nobody until it is let go, and then with a fault."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.let_go = threading.Event()

    def get(self, path: str) -> bytes:
        self.asked.release()
        self.let_go.wait()
        raise ArchiveUnavailable(path)

    def put(self, path: str, content: bytes) -> None:
        raise NotImplementedError

    def ranges(self, path: str, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        raise NotImplementedError

    def paths(self, prefix: str) -> list[str]:
        raise NotImplementedError

    def delete(self, path: str) -> None:
        raise NotImplementedError


async def test_read_is_refused_at_once_while_the_store_hangs() -> None:
    store = Hanging()
    reader = ArchiveReader(store)
    waiting = [asyncio.create_task(reader.read(LOCATED, STREAM)) for _ in range(READERS_MAX)]
    for _ in waiting:
        # On a thread of the pool that everybody shares, which has free ones.
        await asyncio.to_thread(store.asked.acquire)

    with pytest.raises(ReadsUnavailable, match="busy"):
        await reader.read(LOCATED, STREAM)
    store.let_go.set()
    ended = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(one) for one in ended] == [ReadsUnavailable] * READERS_MAX
    with pytest.raises(ReadsUnavailable, match="away"):
        await reader.read(LOCATED, STREAM)


def test_store_gives_a_server_up_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        access = Access(endpoint, "af-south-1", "key", "secret")
        store = open_store("s3://archive/x", access, patience=Patience(0.2, 0.1, retries_max=1))

        with pytest.raises(ArchiveUnavailable):
            store.get("file")

    assert QUICK.request_seconds + QUICK.retry_seconds < READ_SECONDS_MAX
