"""Waiting until processes say that they are of use."""

import asyncio
from collections.abc import Callable

import aiohttp
from tenacity import AsyncRetrying, retry_if_result, wait_fixed

_ASK_SECONDS = 2.0
_PAUSE_SECONDS = 0.05


async def wait_ready(url: str, session: aiohttp.ClientSession) -> None:
    """Return once the address answers 200; whoever waits sets the limit."""
    asking = AsyncRetrying(
        retry=retry_if_result(lambda is_ready: not is_ready), wait=wait_fixed(_PAUSE_SECONDS)
    )
    await asking(_is_ready, url, session)


async def wait_all_ready(urls: dict[str, str], on_ready: Callable[[str], None]) -> None:
    """Return once every address answers 200; tell of each by its name."""
    # Never through a proxy of the environment: the processes are on this machine.
    timeout = aiohttp.ClientTimeout(total=_ASK_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:

        async def wait(name: str, url: str) -> None:
            await wait_ready(url, session)
            on_ready(name)

        async with asyncio.TaskGroup() as group:
            for name, url in urls.items():
                group.create_task(wait(name, url))


async def _is_ready(url: str, session: aiohttp.ClientSession) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
