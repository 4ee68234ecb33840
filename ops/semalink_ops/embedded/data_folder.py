"""The folder of one embedded server: private, locked while the server lives, with its secret."""

import fcntl
import os
import secrets
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_exponential,
)

from semalink_ops.embedded.guarded import EmbeddedServerFailed

#: How long the server of an owner that was killed may take to end before we give up on its data.
_LOCK_SECONDS = 30.0
_PRIVATE_FILE = 0o600
_PRIVATE_FOLDER = 0o700
_SECRET_BYTES = 32


def make_private_folder(path: Path) -> None:
    """Create the folder, open to its owner only, unless it is there."""
    path.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)


def lock_folder(path: Path, server_name: str) -> IO[bytes]:
    """Return the lock of the folder, after waiting for what a killed owner left to end.

    Whoever inherits the open file holds the lock too, until the last one closes it.
    """
    lock = (path / "lock").open("ab")
    attempts = Retrying(
        retry=retry_if_exception_type(BlockingIOError),
        stop=stop_after_delay(_LOCK_SECONDS),
        wait=wait_exponential(multiplier=0.01, max=0.2),
    )
    with ExitStack() as undo:
        undo.callback(lock.close)
        try:
            attempts(fcntl.flock, lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except RetryError as error:
            why = f"another process uses {path}. Stop it, or name another folder."
            raise EmbeddedServerFailed(server_name, why) from error
        undo.pop_all()
    return lock


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def read_or_make_secret(path: Path) -> str:
    """Return the secret in the file, after drawing one when there is none."""
    if not path.exists():
        write_private(path, secrets.token_hex(_SECRET_BYTES))
    return path.read_text()
