"""The platform as one thing: it starts, runs until the stop, and ends in order."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from semalink_adapters.postgres.migrate import upgrade
from semalink_ops.embedded.data_folder import make_private_folder, write_private
from semalink_ops.settings import Settings, variable
from semalink_ops.up.children import STOP_STAGES, children
from semalink_ops.up.demo import Demo, record_demo
from semalink_ops.up.failures import UpFailed
from semalink_ops.up.keeping import Keeper
from semalink_ops.up.local_routes import write_dedicated_routes
from semalink_ops.up.local_settings import HOST, local_settings
from semalink_ops.up.own_files import (
    DEMO_FILE,
    QUICKSTART_FILE,
    SETTINGS_FILE,
    Secrets,
    render_environment,
)
from semalink_ops.up.ports import Ports
from semalink_ops.up.quickstart import Quickstart, describe, write_quickstart
from semalink_ops.up.readiness import wait_all_ready
from semalink_ops.up.servers import Servers

#: Processes that are not ready by then never will be.
_READY_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to run, and where."""

    data_dir: Path
    ports: Ports
    workers: int
    #: Its settings count before ours.
    environment: Mapping[str, str]


class Platform:
    """All servers and processes of one machine."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._say = say
        self._keepers: list[Keeper] = []
        self._quickstart: Quickstart | None = None
        self._quickstart_path = plan.data_dir / QUICKSTART_FILE
        self._servers = Servers(
            plan.data_dir,
            plan.ports,
            environment=plan.environment,
            say=say,
            on_start=self._publish,
        )

    async def run(self, stop: asyncio.Event, on_ready: Callable[[Quickstart], None]) -> None:
        """Start everything, tell when it is ready, and end it at the stop or when it fails."""
        # While it exists, what it says is so.
        self._quickstart_path.unlink(missing_ok=True)
        try:
            if await self._ends_first(self._start(), stop):
                assert self._quickstart is not None, "it was written at the end of the start"
                on_ready(self._quickstart)
                watches = [keeper.wait() for keeper in self._keepers]
                await self._ends_first(_all(self._servers.keep_running(), *watches), stop)
        finally:
            await self._stop()

    def kill(self) -> None:
        """End everything at once."""
        for keeper in self._keepers:
            keeper.kill()
        self._servers.kill()

    async def _start(self) -> None:
        await self._servers.start()
        settings = self._settings()
        self._say("PostgreSQL and NATS answer; starting the processes.")
        await asyncio.to_thread(upgrade, settings.database_url.reveal())
        self._keepers = self._make_keepers(settings)
        for keeper in self._keepers:
            keeper.start()
        demo = Demo.read_or_draw(
            self._plan.data_dir / DEMO_FILE, settings.key_pepper.reveal().encode()
        )
        await record_demo(demo, settings)
        await self._await_ready()
        processes = [keeper.child for keeper in self._keepers]
        self._quickstart = describe(settings, demo, processes, self._plan.data_dir)
        self._publish()

    def _settings(self) -> Settings:
        secrets = Secrets(self._plan.data_dir)
        sandbox_url = f"http://{HOST}:{self._plan.ports.sandbox}"
        routes_path = write_dedicated_routes(self._plan.data_dir, secrets, sandbox_url)
        settings = local_settings(
            self._plan.environment,
            ports=self._plan.ports,
            secrets=secrets,
            workers=self._plan.workers,
            servers={
                **self._servers.variables(),
                variable("dedicated_routes_path"): str(routes_path),
                variable("archive_url"): (self._plan.data_dir.absolute() / "archive").as_uri(),
            },
        )
        write_private(
            self._plan.data_dir / SETTINGS_FILE, render_environment(settings.to_environment())
        )
        return settings

    def _make_keepers(self, settings: Settings) -> list[Keeper]:
        log_dir = self._plan.data_dir / "log"
        make_private_folder(log_dir)
        environment = settings.to_environment()
        return [
            Keeper(
                child,
                environment=environment,
                log_dir=log_dir,
                say=self._say,
                on_start=self._publish,
            )
            for child in children(self._plan.ports)
        ]

    async def _await_ready(self) -> None:
        waiting = {keeper.child.name: keeper for keeper in self._keepers}

        def ready(name: str) -> None:
            waiting.pop(name).was_ready = True

        urls = {name: keeper.child.ready_url for name, keeper in waiting.items()}
        watches = [keeper.wait() for keeper in self._keepers]
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await _first(wait_all_ready(urls, ready), *watches)
        except TimeoutError as error:
            name, keeper = next(iter(waiting.items()))
            raise UpFailed(
                f"{name} was not ready within {_READY_SECONDS:g} seconds.\n{keeper.log_tail()}"
            ) from error

    def _publish(self) -> None:
        """Write down what runs, now that a process id has changed."""
        if self._quickstart is None:
            return
        pids = {keeper.child.name: keeper.pid for keeper in self._keepers if keeper.pid is not None}
        log_paths = {keeper.child.name: keeper.log_path for keeper in self._keepers}
        log_paths |= self._servers.log_paths
        self._quickstart = msgspec.structs.replace(
            self._quickstart,
            pids=pids | self._servers.pids,
            log_paths={name: str(path) for name, path in log_paths.items()},
        )
        write_quickstart(self._quickstart_path, self._quickstart)

    async def _stop(self) -> None:
        self._quickstart = None
        self._quickstart_path.unlink(missing_ok=True)
        for stage in STOP_STAGES:
            ending = [keeper for keeper in self._keepers if keeper.child.stop_stage == stage]
            await asyncio.gather(*(keeper.stop() for keeper in ending))
        await self._servers.stop()

    async def _ends_first(self, work: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
        """Do the work unless the stop comes before its end; tell whether it ended."""
        working = asyncio.create_task(work)
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if working.done():
            working.result()
            return True
        working.cancel()
        await asyncio.wait({working})
        return False


async def _all(*works: Coroutine[Any, Any, None]) -> None:
    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(work)


async def _first(*works: Coroutine[Any, Any, None]) -> None:
    """Return when the first of them ends, or raise what it raises."""
    tasks = {asyncio.create_task(work) for work in works}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    for task in done:
        task.result()
