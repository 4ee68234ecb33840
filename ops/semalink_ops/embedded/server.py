"""What every embedded server can do: start, stop, restart, and crash on demand."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

from semalink_ops.embedded.data_folder import lock_folder, make_private_folder
from semalink_ops.embedded.guarded import EmbeddedServerFailed, GuardedServer, Launch
from semalink_ops.embedded.ports import is_free

#: A crash with two gigabytes of log behind it takes its time to recover.
_START_SECONDS = 120.0


class EmbeddedServer(ABC):
    """A server on the loopback interface that keeps its data in a folder and ends with us."""

    NAME: ClassVar[str]

    def __init__(self, data_dir: Path, port: int) -> None:
        self.data_dir = data_dir.absolute()
        self.port = port
        self._run: GuardedServer | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def is_running(self) -> bool:
        """Whether the server lives."""
        return self._run is not None and self._run.is_running

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self._current_run.pid

    @property
    def keeper_pid(self) -> int:
        """The process that ends the server when ours is gone."""
        return self._current_run.keeper_pid

    @property
    def log_path(self) -> Path:
        """What the server says of itself."""
        return self.data_dir / "log" / f"{self.NAME.lower()}.log"

    def start(self) -> None:
        """Start the server on its data and return once it answers."""
        assert self._run is None, "it was started before"
        make_private_folder(self.data_dir)
        make_private_folder(self.log_path.parent)
        with lock_folder(self.data_dir, self.NAME) as lock:
            self._refuse_taken_ports()
            run = GuardedServer(self._prepare(), lock)
        run.await_ready(self._probe, _START_SECONDS)
        self._run = run

    def stop(self) -> None:
        """End the server and return once it is gone; without effect when it is."""
        if self._run is not None:
            self._run.stop()
            self._run = None

    def kill(self) -> None:
        """End the server as a crash would."""
        self._current_run.kill()
        self._run = None

    def restart(self) -> None:
        """Stop the server and start it on the same data and port."""
        self.stop()
        self.start()

    @property
    def _current_run(self) -> GuardedServer:
        assert self._run is not None, "it was not started"
        return self._run

    @property
    def _ports(self) -> tuple[int, ...]:
        return (self.port,)

    def _refuse_taken_ports(self) -> None:
        for port in self._ports:
            if not is_free(port):
                why = f"another program listens on port {port}. Stop it, or name another port."
                raise EmbeddedServerFailed(self.NAME, why)

    @abstractmethod
    def _prepare(self) -> Launch:
        """Make the data ready and say how to run the server on it."""

    @abstractmethod
    def _probe(self) -> None:
        """Raise NotReady unless the server answers."""
