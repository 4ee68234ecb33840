"""The embedded NATS server: on disk before it answers, private, restartable, wipeable."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from semalink_adapters.jetstream.broker_check import check_server
from semalink_ops.embedded.data_folder import lock_folder
from semalink_ops.embedded.guarded import EmbeddedServerFailed
from semalink_ops.embedded.nats import EmbeddedNats
from semalink_ops.embedded.ports import free_port

# A process that starts a server, says so, and waits to be killed.
_OWNER = """
import sys
from pathlib import Path
from semalink_ops.embedded.nats import EmbeddedNats

server = EmbeddedNats(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
server.start()
print("started", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedNats]:
    with EmbeddedNats(tmp_path / "nats", free_port(), free_port()) as server:
        yield server


async def _publish(server: EmbeddedNats) -> None:
    client = await nats.connect(server.url)
    try:
        await client.jetstream().add_stream(name="KEPT", subjects=["kept"])
        await client.jetstream().publish("kept", b"7")
    finally:
        await client.close()


async def _count(server: EmbeddedNats) -> int:
    client = await nats.connect(server.url)
    try:
        return (await client.jetstream().stream_info("KEPT")).state.messages
    finally:
        await client.close()


async def test_restart_keeps_a_stream(broker: EmbeddedNats) -> None:
    await _publish(broker)

    broker.restart()

    assert await _count(broker) == 1


async def test_start_keeps_a_stream_when_the_server_was_killed(broker: EmbeddedNats) -> None:
    await _publish(broker)

    broker.kill()
    assert not broker.is_running
    broker.start()

    assert await _count(broker) == 1


async def test_start_keeps_a_stream_of_the_run_before(tmp_path: Path) -> None:
    with EmbeddedNats(tmp_path / "nats", free_port(), free_port()) as first:
        await _publish(first)

    with EmbeddedNats(tmp_path / "nats", free_port(), free_port()) as second:
        found = await _count(second)

    assert found == 1


async def test_wipe_store_loses_every_stream(broker: EmbeddedNats) -> None:
    await _publish(broker)

    broker.kill()
    broker.wipe_store()
    broker.start()

    with pytest.raises(NotFoundError):
        await _count(broker)


async def test_server_is_what_the_platform_asks_of_a_broker(broker: EmbeddedNats) -> None:
    client = await nats.connect(broker.url)

    report = await check_server(client, monitor_urls=[broker.monitor_url], require_sync=True)

    await client.close()
    assert report.sync_always


async def test_server_refuses_a_client_without_the_token(broker: EmbeddedNats) -> None:
    without_token = f"nats://127.0.0.1:{broker.port}"
    client = Client()

    with pytest.raises(nats.errors.Error, match="Authorization Violation"):
        await client.connect(without_token, allow_reconnect=False)

    # A refused client leaves its connection open.
    await client.close()
    assert (broker.data_dir / "token").stat().st_mode & 0o777 == 0o600
    assert (broker.data_dir / "nats.conf").stat().st_mode & 0o777 == 0o600


def test_start_refuses_a_taken_port(tmp_path: Path, broker: EmbeddedNats) -> None:
    second = EmbeddedNats(tmp_path / "second", free_port(), broker.monitor_port)

    with pytest.raises(EmbeddedServerFailed, match=f"listens on port {broker.monitor_port}"):
        second.start()

    assert broker.is_running


def test_server_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    server = EmbeddedNats(tmp_path / "nats", free_port(), free_port())
    owner = subprocess.Popen(
        [
            *(sys.executable, "-c", _OWNER, str(server.data_dir)),
            *(str(server.port), str(server.monitor_port)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert owner.stdout is not None
    owner.stdout.readline()

    with owner:
        owner.kill()

    # The lock is free once the server is gone.
    lock_folder(server.data_dir, "NATS").close()
    assert "Server Exiting" in server.log_path.read_text()


async def test_clean_nats_starts_without_any_stream(clean_nats: EmbeddedNats) -> None:
    client = await nats.connect(clean_nats.url)

    streams = await client.jetstream().streams_info()

    await client.close()
    assert streams == []
