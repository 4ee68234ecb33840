"""Keeps one process running: started, started again when it dies, ended when asked."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from semalink_ops.settings import PREFIX
from semalink_ops.up.children import Child
from semalink_ops.up.failures import UpFailed

#: Between a death and the next start: doubled each time, and begun anew after a good while.
_FIRST_PAUSE_SECONDS = 0.2
_PAUSE_SECONDS_MAX = 10.0
_GOOD_WHILE_SECONDS = 30.0
_START_ATTEMPTS_MAX = 4
_LOG_TAIL_BYTES = 2_000
#: Longer than a process takes to end its requests by itself.
_STOP_SECONDS = 25.0
_KILL_SECONDS = 5.0


class Keeper:
    """Runs one process for as long as the platform runs."""

    def __init__(
        self,
        child: Child,
        *,
        environment: Mapping[str, str],
        log_dir: Path,
        say: Callable[[str], None],
        on_start: Callable[[], None],
    ) -> None:
        self.child = child
        self.log_path = log_dir / f"{child.name}.log"
        #: Whether it was of use once; a process that never was is given up soon.
        self.was_ready = False
        self._environment = {**_without_settings(), **environment, **child.environment}
        self._say = say
        self._on_start = on_start
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The id of the process, while there is one."""
        return None if self._process is None else self._process.pid

    def log_tail(self) -> str:
        """Return where its log is, and the end of it."""
        with self.log_path.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - _LOG_TAIL_BYTES))
            return f"The end of {self.log_path}:\n{log.read().decode(errors='replace')}"

    def start(self) -> None:
        """Start it, and keep it running from now on."""
        assert self._running is None, "it is kept once"
        self._running = asyncio.create_task(self._keep_running(), name=f"keep:{self.child.name}")

    async def wait(self) -> None:
        """Wait for its end; raises what made keeping it impossible."""
        assert self._running is not None, "it was started"
        await asyncio.shield(self._running)

    async def stop(self) -> None:
        """Ask it to end, wait for that, and kill it when it takes too long."""
        self._stopping.set()
        if self._running is None:
            return
        self._signal(signal.SIGTERM)
        if not await self._ends_within(_STOP_SECONDS):
            self._say(f"{self.child.name} did not end within {_STOP_SECONDS:g} s; killing it.")
            self.kill()
            await self._ends_within(_KILL_SECONDS)

    def kill(self) -> None:
        """End it at once."""
        self._stopping.set()
        self._signal(signal.SIGKILL)

    async def _ends_within(self, seconds: float) -> bool:
        assert self._running is not None, "it was started"
        done, _ = await asyncio.wait([self._running], timeout=seconds)
        return bool(done)

    async def _keep_running(self) -> None:
        loop = asyncio.get_running_loop()
        pause_seconds = _FIRST_PAUSE_SECONDS
        deaths = 0
        while not self._stopping.is_set():
            started = loop.time()
            status = await self._run_once()
            if self._stopping.is_set():
                return
            deaths += 1
            if not self.was_ready and deaths >= _START_ATTEMPTS_MAX:
                raise UpFailed(
                    f"{self.child.name} {_explain(status)} each time that it was started.\n"
                    f"{self.log_tail()}"
                )
            if loop.time() - started > _GOOD_WHILE_SECONDS:
                pause_seconds = _FIRST_PAUSE_SECONDS
            self._say(
                f"{self.child.name} {_explain(status)}; starting it again in "
                f"{pause_seconds:g} s. Its log: {self.log_path}"
            )
            await self._pause(pause_seconds)
            pause_seconds = min(pause_seconds * 2, _PAUSE_SECONDS_MAX)

    async def _run_once(self) -> int:
        with self.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *_command(self.child),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                # Ctrl-C reaches the group of the terminal; we decide the order of ending.
                start_new_session=True,
            )
        if self._stopping.is_set():
            self._process.terminate()
        self._on_start()
        try:
            return await self._process.wait()
        finally:
            self._process = None

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)


def _command(child: Child) -> list[str]:
    # With -P, no folder of the place where it was started is taken for a library.
    program = [sys.executable, "-P", "-m", "semalink_ops.cli"]
    return [*program, "--parent-pid", str(os.getpid()), *child.arguments]


def _without_settings() -> dict[str, str]:
    return {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}


def _explain(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    return f"was ended by {signal.Signals(-status).name}"
