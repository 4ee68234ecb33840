"""One run of a server under its keeper: started, stopped, killed, never orphaned."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_exponential,
)

from semalink_ops.embedded import keeper

_LOG_TAIL_BYTES = 2_000
_MARGIN_SECONDS = 5.0


class EmbeddedServerFailed(Exception):
    """A server that we start ourselves did not start, or not stay; says where to look."""

    def __init__(self, name: str, why: str, log_path: Path | None = None) -> None:
        tail = "" if log_path is None else f" The end of {log_path}:\n{_tail(log_path)}"
        super().__init__(f"{name}: {why}{tail}")


class NotReady(Exception):
    """The server does not answer yet."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How one server is run."""

    name: str
    command: Sequence[str]
    log_path: Path
    #: What ends it, from gentle to hard, each with the seconds that it is given.
    escalation: Sequence[tuple[signal.Signals, float]]
    #: The user and group to run as; None for our own.
    ids: tuple[int, int] | None = None


class GuardedServer:
    """One run of a server, from start to end."""

    def __init__(self, launch: Launch, lock: IO[bytes]) -> None:
        self._launch = launch
        with launch.log_path.open("ab") as log:
            self._keeper = subprocess.Popen(  # noqa: S603 - the command is ours, and no shell reads it
                _keeper_command(launch, lock.fileno()),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=(lock.fileno(),),
                # Ctrl-C reaches the group of the terminal; the servers must outlive the workers.
                start_new_session=True,
            )
        assert self._keeper.stdout is not None, "a pipe was asked for"
        with self._keeper.stdout as answers:
            answer = answers.readline()
        if not answer:
            self.stop()
            raise EmbeddedServerFailed(launch.name, "it could not be started.", launch.log_path)
        self.pid = int(answer)

    @property
    def keeper_pid(self) -> int:
        """The process that ends the server when ours is gone."""
        return self._keeper.pid

    @property
    def is_running(self) -> bool:
        """Whether the server lives."""
        return self._keeper.poll() is None

    def await_ready(self, probe: Callable[[], None], seconds: float) -> None:
        """Return once the probe stops raising NotReady; end the server when it never does."""
        attempts = Retrying(
            retry=retry_if_exception_type(NotReady),
            stop=stop_after_delay(seconds),
            wait=wait_exponential(multiplier=0.01, max=0.2),
        )
        try:
            attempts(self._probe_living, probe)
        except RetryError as error:
            self.stop()
            last = error.last_attempt.exception()
            why = f"it did not answer within {seconds:g} seconds: {last}."
            raise EmbeddedServerFailed(self._launch.name, why, self._launch.log_path) from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server gently, and harder when that takes too long."""
        assert self._keeper.stdin is not None, "a pipe was asked for"
        with contextlib.suppress(BrokenPipeError):
            self._keeper.stdin.close()
        bound = sum(seconds for _, seconds in self._launch.escalation) + _MARGIN_SECONDS
        self._keeper.wait(bound)

    def kill(self) -> None:
        """End the server as a crash would."""
        assert self._keeper.stdin is not None, "a pipe was asked for"
        # A broken pipe means that the server had ended by itself, and its keeper with it.
        with contextlib.suppress(BrokenPipeError):
            self._keeper.stdin.write(keeper.KILL)
            self._keeper.stdin.flush()
        self._keeper.wait(_MARGIN_SECONDS)
        self.stop()

    def _probe_living(self, probe: Callable[[], None]) -> None:
        if not self.is_running:
            why = f"it ended with status {self._keeper.returncode}."
            raise EmbeddedServerFailed(self._launch.name, why, self._launch.log_path)
        probe()


def _keeper_command(launch: Launch, lock: int) -> list[str]:
    ids = "" if launch.ids is None else ":".join(str(part) for part in launch.ids)
    stops = ",".join(f"{stop.name}:{seconds}" for stop, seconds in launch.escalation)
    # With -I and -S nothing of the environment or of installed packages runs in the keeper.
    python = [sys.executable, "-I", "-S", keeper.__file__]
    return [*python, ids, stops, str(lock), *launch.command]


def _tail(path: Path) -> str:
    with path.open("rb") as log:
        log.seek(0, os.SEEK_END)
        log.seek(max(0, log.tell() - _LOG_TAIL_BYTES))
        return log.read().decode(errors="replace")
