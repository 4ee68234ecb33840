"""The servers under the platform: PostgreSQL and NATS, ours unless the environment names others."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from semalink_ops.embedded.guarded import EmbeddedServerFailed
from semalink_ops.embedded.nats import EmbeddedNats
from semalink_ops.embedded.postgres import EmbeddedPostgres
from semalink_ops.embedded.server import EmbeddedServer
from semalink_ops.settings import variable
from semalink_ops.up.ports import Ports

_DATABASE = variable("database_url")
_BROKER = variable("nats_url")
_LOOK_SECONDS = 0.5
_FIRST_PAUSE_SECONDS = 0.5
_PAUSE_SECONDS_MAX = 10.0


class Servers:
    """The servers that are started here, and started again when they die."""

    def __init__(
        self,
        data_dir: Path,
        ports: Ports,
        *,
        environment: Mapping[str, str],
        say: Callable[[str], None],
        on_start: Callable[[], None],
    ) -> None:
        self._say = say
        self._on_start = on_start
        self._postgres = (
            None
            if environment.get(_DATABASE)
            else EmbeddedPostgres(data_dir / "postgres", ports.postgres)
        )
        self._nats = (
            None
            if environment.get(_BROKER)
            else EmbeddedNats(data_dir / "nats", ports.nats, ports.nats_monitor)
        )
        self._starts: list[asyncio.Task[None]] = []

    @property
    def _ours(self) -> list[EmbeddedServer]:
        return [server for server in (self._postgres, self._nats) if server is not None]

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of those that live, by name."""
        return {server.NAME.lower(): server.pid for server in self._ours if server.is_running}

    @property
    def log_paths(self) -> dict[str, Path]:
        """What each says of itself, by name."""
        return {server.NAME.lower(): server.log_path for server in self._ours}

    def variables(self) -> dict[str, str]:
        """Return the settings by which processes find them; they must have been started."""
        found = {}
        if self._postgres is not None:
            found[_DATABASE] = self._postgres.dsn
        if self._nats is not None:
            found[_BROKER] = self._nats.url
            found[variable("nats_monitor_urls")] = self._nats.monitor_url
        return found

    async def start(self) -> None:
        """Start both at once and return when both answer."""
        self._starts = [
            asyncio.create_task(asyncio.to_thread(server.start)) for server in self._ours
        ]
        # Not a group: a start cannot be cancelled, and ``stop`` waits for it.
        await asyncio.gather(*(asyncio.shield(start) for start in self._starts))

    async def keep_running(self) -> None:
        """Start again whichever dies, until cancelled."""
        await asyncio.gather(*(self._keep(server) for server in self._ours))

    async def stop(self) -> None:
        """End the broker, then the database, once they are all the way up."""
        if self._starts:
            await asyncio.wait(self._starts)
        for server in reversed(self._ours):
            await asyncio.to_thread(server.stop)

    def kill(self) -> None:
        """End both as a crash would."""
        for server in self._ours:
            if server.is_running:
                server.kill()

    async def _keep(self, server: EmbeddedServer) -> None:
        pause_seconds = _FIRST_PAUSE_SECONDS
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if server.is_running:
                continue
            self._say(f"{server.NAME} died; starting it again. Its log: {server.log_path}")
            restart = asyncio.create_task(asyncio.to_thread(server.restart))
            self._starts.append(restart)
            try:
                await asyncio.shield(restart)
            except EmbeddedServerFailed as error:
                self._say(str(error))
                await asyncio.sleep(pause_seconds)
                pause_seconds = min(pause_seconds * 2, _PAUSE_SECONDS_MAX)
            else:
                self._on_start()
                pause_seconds = _FIRST_PAUSE_SECONDS
