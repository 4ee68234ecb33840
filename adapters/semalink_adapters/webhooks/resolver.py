"""Names to addresses, on threads of its own: a name server that hangs stops nobody else's names."""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from aiohttp.abc import AbstractResolver, ResolveResult

_THREADS_MAX = 64
#: Of these, those that ask for one account at a time.
_ASKED_MAX = _THREADS_MAX // 8
#: A name that is known and takes longer stands for what it stood for before.
_KNOWN_AFTER_SECONDS = 1.0
#: Names whose addresses are remembered.
_NAMES_MAX = 10_000

#: The account for whose endpoint a name is looked up.
ASKING_FOR: ContextVar[UUID | None] = ContextVar("ASKING_FOR", default=None)

Ask = Callable[[str, int, socket.AddressFamily], list[Any]]


class PooledResolver(AbstractResolver):
    """Asks the system, as every other program on the machine does."""

    def __init__(self, ask: Ask | None = None) -> None:
        self._ask = ask or _ask
        self._threads = ThreadPoolExecutor(_THREADS_MAX, "webhook-names")
        self._places: WeakValueDictionary[UUID | None, asyncio.Semaphore] = WeakValueDictionary()
        self._known: dict[tuple[str, int, socket.AddressFamily], list[ResolveResult]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host; raises OSError when it has none."""
        asker = ASKING_FOR.get()
        places = self._places.get(asker)
        if places is None:
            places = self._places[asker] = asyncio.Semaphore(_ASKED_MAX)
        known = self._known.get((host, port, family))
        if known is not None and places.locked():
            return known
        await places.acquire()
        asked = asyncio.ensure_future(self._look_up(host, port, family, places))
        asked.add_done_callback(_forget_error)
        # What it stood for is as good, because every address is looked at when it is dialled.
        seconds = None if known is None else _KNOWN_AFTER_SECONDS
        done, _ = await asyncio.wait({asked}, timeout=seconds)
        if not done and known is not None:
            return known
        return asked.result()

    async def _look_up(
        self, host: str, port: int, family: socket.AddressFamily, places: asyncio.Semaphore
    ) -> list[ResolveResult]:
        # As long as the thread, whoever still waits for it: it is the thread that is scarce.
        try:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(self._threads, self._ask, host, port, family)
        finally:
            places.release()
        results = [_result(host, entry) for entry in found]
        self._known.pop((host, port, family), None)
        self._known[host, port, family] = results
        while len(self._known) > _NAMES_MAX:
            del self._known[next(iter(self._known))]
        return results

    async def close(self) -> None:
        """Let go of the threads; one that still waits for an answer is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _forget_error(asked: "asyncio.Future[list[ResolveResult]]") -> None:
    # Perhaps nobody waits for it any more; without this the loop would complain.
    if not asked.cancelled():
        asked.exception()


def _ask(host: str, port: int, family: socket.AddressFamily) -> list[Any]:
    return socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)


def _result(host: str, entry: Any) -> ResolveResult:
    family, _, proto, _, address = entry
    return ResolveResult(
        hostname=host,
        host=address[0],
        port=address[1],
        family=family,
        proto=proto,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
