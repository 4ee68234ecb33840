"""The whole platform, started as its users start it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

STOP_SECONDS = 60.0


@dataclass(frozen=True)
class Running:
    """A `semalink up` that is ready."""

    process: "subprocess.Popen[str]"
    data_dir: Path

    def quickstart(self) -> dict[str, Any]:
        """Read what runs now; process ids change when a process is started again."""
        found: dict[str, Any] = json.loads((self.data_dir / "quickstart.json").read_text())
        return found

    def interrupt(self) -> int:
        """Press Ctrl-C, and return the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_SECONDS)


def semalink(*arguments: str, data_dir: Path) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end."""
    return subprocess.run(
        [*PROGRAM, *arguments, "--data-dir", str(data_dir)],
        capture_output=True,
        check=False,
        env=environment(),
        text=True,
        timeout=60,
    )


@contextmanager
def running_platform(data_dir: Path, *options: str, **settings: str) -> Iterator[Running]:
    """Run `semalink up` on free ports meanwhile, with these variables."""
    data_dir.mkdir(exist_ok=True)
    said = data_dir / "said.txt"
    with (
        said.open("a") as stderr,
        subprocess.Popen(
            [*PROGRAM, "up", "--port", "0", "--json", "--data-dir", str(data_dir), *options],
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment() | settings,
            text=True,
            # A Ctrl-C of whoever runs the tests must not reach it.
            start_new_session=True,
        ) as process,
    ):
        assert process.stdout is not None
        # The one line says that everything is ready; the end of the stream, that it never will be.
        try:
            assert process.stdout.readline(), said.read_text()
            yield Running(process, data_dir)
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def environment() -> dict[str, str]:
    """Return the environment without settings of whoever runs the tests."""
    return {name: text for name, text in os.environ.items() if not name.startswith("SEMALINK_")}


PROGRAM = (sys.executable, "-m", "semalink_ops.cli")


@contextmanager
def folder_for_servers() -> Iterator[Path]:
    """Make a folder that goes with the test, as a database has eighty megabytes."""
    with tempfile.TemporaryDirectory(prefix="semalink-") as folder:
        # The database may run as another user, and what it keeps is private by itself.
        Path(folder).chmod(0o711)
        yield Path(folder) / "var"


@pytest.fixture(scope="session")
def running() -> Iterator[Running]:
    """One platform for the session, whose routes stay in use however much is made to fail."""
    with folder_for_servers() as data_dir, running_platform(data_dir) as platform:
        for route in ("celcom", "africastalking"):
            said = (route, "enable", "--reason", "its failures are meant")
            kept = semalink("routes", "override", *said, data_dir=data_dir)
            assert kept.returncode == 0, kept.stderr
        yield platform


@pytest.fixture
def platform(running: Running) -> dict[str, Any]:
    """What quickstart.json says of the platform of the session."""
    return running.quickstart()


@pytest.fixture
def data_dir(running: Running) -> Path:
    """The folder of the platform of the session."""
    return running.data_dir


@pytest.fixture
def own_data_dir() -> Iterator[Path]:
    """A folder for a platform of the test's own."""
    with folder_for_servers() as folder:
        yield folder


@pytest.fixture(name="semalink")
def semalink_fixture() -> Any:
    """Runs one command to its end."""
    return semalink


@pytest.fixture(name="running_platform")
def running_platform_fixture() -> Any:
    """Runs a platform of the test's own."""
    return running_platform
