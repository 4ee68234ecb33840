import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.chaos.waiting import until
from tests.e2e.conftest import PROGRAM, environment

from semalink_ops.embedded.ports import free_port

DRAIN_SECONDS = 3
#: What is in hand has so long from SIGTERM on, and a process some seconds more.
STOP_SECONDS_MAX = 24


@contextmanager
def _process(data_dir: Path, *command: str, **settings: str) -> "Iterator[subprocess.Popen[str]]":
    """Run another process of the platform in the folder meanwhile."""
    with subprocess.Popen(
        [*PROGRAM, *command, "--data-dir", str(data_dir)],
        env=environment() | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        yield process
        process.kill()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(trust_env=False) as session:
        yield session


async def _ready(http: aiohttp.ClientSession, url: str) -> tuple[int, Any]:
    async with http.get(f"{url}/health/ready") as response:
        return response.status, await response.json()


async def test_api_is_not_ready_from_sigterm_on_and_serves_until_it_has_drained(
    data_dir: Path, platform: dict[str, Any], http: aiohttp.ClientSession
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    headers = {"Authorization": f"Bearer {platform['api_key']}"}

    async def is_ready() -> bool:
        return (await _ready(http, url))[0] == 200

    async def balance() -> tuple[int, str | None]:
        async with http.get(f"{url}/v1/balance", headers=headers) as response:
            return response.status, response.headers.get("Connection")

    settings = {"SEMALINK_API_PORT": str(port), "SEMALINK_DRAIN_SECONDS": str(DRAIN_SECONDS)}
    with _process(data_dir, "api", **settings) as process:
        await until(is_ready, "it is ready", within_seconds=30, ignoring=(aiohttp.ClientError,))
        before = await balance()

        process.send_signal(signal.SIGTERM)

        async def is_leaving() -> bool:
            return not await is_ready()

        await until(is_leaving, "it says that it leaves", within_seconds=DRAIN_SECONDS)
        status, problem = await _ready(http, url)
        meanwhile = await balance()
        exit_status = process.wait(STOP_SECONDS_MAX)

    assert before == (200, None)
    assert (status, problem["errors"][0]["pointer"]) == (503, "/checks/in_service")
    assert meanwhile == (200, "close")
    assert exit_status == 0
