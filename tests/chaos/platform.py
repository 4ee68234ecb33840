"""One running platform, and how to hurt it: everything is known from its quickstart.json."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
from tests.chaos.waiting import until

#: A process that was killed is of use again within this; the longest pause of its keeper is in it.
REVIVAL_SECONDS = 20.0
DATABASE = "postgresql"
BROKER = "nats"


class Platform:
    """The supervisor `semalink up` with all its processes."""

    def __init__(self, supervisor: "subprocess.Popen[str]", data_dir: Path) -> None:
        self.data_dir = data_dir
        self._supervisor = supervisor

    @property
    def quickstart(self) -> dict[str, Any]:
        """What runs, where, with which keys and process ids, as of now."""
        answer: dict[str, Any] = json.loads((self.data_dir / "quickstart.json").read_bytes())
        return answer

    def url(self, name: str) -> str:
        """Return an address by its name, such as "api" or "sandbox"."""
        return str(self.quickstart[f"{name}_url"])

    def pid(self, name: str) -> int:
        """Return the id of a process by its name."""
        return int(self.quickstart["pids"][name])

    def signal(self, name: str, number: signal.Signals) -> int:
        """Send a signal to a process of the platform and return its id."""
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    def kill(self, name: str) -> "Death":
        """End a process as a crash would."""
        return Death(self, name, self.signal(name, signal.SIGKILL))

    def deploy(self, name: str) -> "Death":
        """Have a process end what it has in hand and another one take its place."""
        return Death(self, name, self.signal(name, signal.SIGTERM))

    @property
    def said(self) -> str:
        """What the supervisor has told of its processes."""
        return (self.data_dir / "said.txt").read_text()

    @contextlib.contextmanager
    def unattended(self) -> Iterator[None]:
        """Whatever dies stays dead meanwhile."""
        self._supervisor.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._supervisor.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """A process lives and does nothing meanwhile."""
        pid = self.signal(name, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def wipe_broker(self) -> None:
        """Lose the broker's disk; it must be dead."""
        shutil.rmtree(self.data_dir / BROKER / "store")

    async def sees_fault(self, name: str) -> None:
        """Wait until a process says that it lacks what it needs: the kill is over."""
        url = self.quickstart["ready_urls"][name]

        async def is_of_no_use() -> bool:
            return not await answers_ready(url)

        await until(is_of_no_use, f"{name} lacks something", within_seconds=10)

    async def whole(self) -> bool:
        """Tell whether every process is of use."""
        urls = self.quickstart["ready_urls"].values()
        return all(await asyncio.gather(*(answers_ready(url) for url in urls)))


class Death:
    """One process that was killed, and how long it takes until another is of use in its place."""

    def __init__(self, platform: Platform, name: str, pid: int) -> None:
        self.name = name
        self._platform = platform
        self._pid = pid
        self._died_at = time.monotonic()

    async def overcome(self) -> float:
        """Wait for the successor and return the seconds that it took."""
        what = f"{self.name} lives again and is of use"
        await until(self._has_successor, what, within_seconds=REVIVAL_SECONDS)
        return time.monotonic() - self._died_at

    async def _has_successor(self) -> bool:
        quickstart = self._platform.quickstart
        if quickstart["pids"].get(self.name, self._pid) == self._pid:
            return False
        url = quickstart["ready_urls"].get(self.name)
        return url is None or await answers_ready(url)


async def answers_ready(url: str) -> bool:
    """Tell whether the process behind the address says that it is of use."""
    timeout = aiohttp.ClientTimeout(total=2)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.get(url) as response,
        ):
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
