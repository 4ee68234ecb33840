"""Three brokers that are one cluster, as in production, and how to lose one of them."""

import os
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path

from nats.js import JetStreamContext

from semalink_ops.embedded.nats import _find_program
from semalink_ops.embedded.ports import LOOPBACK, free_port

NAMES = ("broker-a", "broker-b", "broker-c")
_CONFIGURATION = Path(__file__).parents[3] / "ops" / "deploy" / "broker.conf"
_TOKEN = "integration"
_STOP_SECONDS = 10


class Member:
    """One server of the cluster, on the configuration that production runs on."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.port, self.monitor_port, self.route_port = (free_port() for _ in range(3))
        self._folder = folder
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def route(self) -> str:
        return f"nats-route://user:password@{LOOPBACK}:{self.route_port}"

    def start(self, routes: Iterable[str]) -> None:
        """Start the server on its store and return at once."""
        self._folder.mkdir(exist_ok=True)
        configuration = self._folder / "broker.conf"
        configuration.write_text(self._on_our_ports(_CONFIGURATION.read_text()))
        self._server = subprocess.Popen(
            [_find_program(), "--config", configuration, "-l", self._folder / "broker.log"],
            env={"PATH": os.defpath, **self._variables(routes)},
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        """End the server as a crash would."""
        if self._server is not None:
            self._server.send_signal(signal.SIGKILL)
            self._server.wait(_STOP_SECONDS)
            self._server = None

    def _on_our_ports(self, text: str) -> str:
        ports = {4222: self.port, 8222: self.monitor_port, 6222: self.route_port}
        for port, ours in ports.items():
            address = f'"0.0.0.0:{port}"'
            assert text.count(address) == 1, address
            text = text.replace(address, f'"{LOOPBACK}:{ours}"')
        return text

    def _variables(self, routes: Iterable[str]) -> dict[str, str]:
        return {
            "SEMALINK_BROKER_NAME": self.name,
            # The machine of each is said to be another one.
            "SEMALINK_BROKER_HOST": f"host:{self.name}",
            "SEMALINK_BROKER_STORE": str(self._folder / "store"),
            "SEMALINK_BROKER_TOKEN": f'"{_TOKEN}"',
            "SEMALINK_BROKER_ROUTE_USER": "user",
            "SEMALINK_BROKER_ROUTE_PASSWORD": "password",
            **{
                f"SEMALINK_BROKER_ROUTE_{letter}": route
                for letter, route in zip("ABC", routes, strict=True)
            },
        }


class Cluster:
    """Three members with a store each."""

    def __init__(self, folder: Path) -> None:
        self._members = {name: Member(name, folder / name) for name in NAMES}

    @property
    def url(self) -> str:
        """The addresses of all members."""
        members = self._members.values()
        return ",".join(f"nats://{_TOKEN}@{LOOPBACK}:{member.port}" for member in members)

    @property
    def monitor_urls(self) -> list[str]:
        """Where each member tells its state."""
        return [f"http://{LOOPBACK}:{member.monitor_port}" for member in self._members.values()]

    def start(self, name: str) -> None:
        """Start one member on its store."""
        self._members[name].start([member.route for member in self._members.values()])

    def start_all(self) -> None:
        """Start every member."""
        for name in NAMES:
            self.start(name)

    def kill(self, name: str) -> None:
        """End one member as a crash would."""
        self._members[name].kill()

    def kill_all(self) -> None:
        """End every member that lives."""
        for name in NAMES:
            self.kill(name)


async def leader_of(js: JetStreamContext, stream: str) -> str:
    """Return the member that leads the stream."""
    found = (await js.stream_info(stream)).cluster
    assert found is not None
    assert found.leader in NAMES
    return found.leader


async def is_whole(js: JetStreamContext, stream: str) -> bool:
    """Tell whether every member has everything that is in the stream."""
    found = (await js.stream_info(stream)).cluster
    replicas = found.replicas or [] if found is not None else []
    return len(replicas) == len(NAMES) - 1 and all(
        replica.current and not replica.offline for replica in replicas
    )


async def is_empty(js: JetStreamContext, stream: str) -> bool:
    """Tell whether everything was taken out of the stream."""
    return (await js.stream_info(stream)).state.messages == 0
