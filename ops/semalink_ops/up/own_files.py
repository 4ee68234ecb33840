"""The folder of `semalink up`: one owner at a time, secrets drawn once, all of it private."""

import fcntl
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from semalink_ops.embedded.data_folder import make_private_folder, read_or_make_secret
from semalink_ops.up.failures import UpFailed

SETTINGS_FILE = "settings.env"
QUICKSTART_FILE = "quickstart.json"
DEMO_FILE = "demo.json"


@contextmanager
def own_folder(path: Path) -> Iterator[None]:
    """Keep every other `semalink up` out of the folder meanwhile."""
    make_private_folder(path)
    with (path / "lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UpFailed(
                f"Another `semalink up` uses {path}. Stop it, or name another folder with "
                "--data-dir."
            ) from error
        yield


class Secrets:
    """Secrets that are drawn once and kept, a private file each."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "secrets"
        make_private_folder(self._folder)

    def get(self, name: str) -> str:
        """Return the secret of this name."""
        return read_or_make_secret(self._folder / name)


def render_environment(variables: Mapping[str, str]) -> str:
    """Return the text of a settings file, which a shell can read as well."""
    lines = [f"{name}={shlex.quote(text)}\n" for name, text in sorted(variables.items())]
    return "".join(["# Written by `semalink up`; changes are lost.\n", *lines])


def parse_environment(text: str) -> dict[str, str]:
    """Return the variables of a settings file; raises ValueError for a broken quotation."""
    words = shlex.split(text, comments=True)
    return dict(word.split("=", 1) for word in words if "=" in word)
