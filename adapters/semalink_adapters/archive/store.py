"""Object storage: a folder, or whatever speaks S3."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, S3Store


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is waited for: each request, and all that are tried again together."""

    request_seconds: float
    retry_seconds: float
    connect_seconds: float = 5.0
    retries_max: int = 5


#: For whole files; a run that fails goes on later.
PATIENT = Patience(60, 20)
#: For what somebody waits for.
QUICK = Patience(4, 3, connect_seconds=2, retries_max=2)


class ArchiveUnavailable(Exception):
    """The object storage does not answer, or refuses us."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"The archive cannot be used ({what}). Check SEMALINK_ARCHIVE_URL, its endpoint and"
            " its credentials, and run the same command again."
        )


class ArchivedFileMissing(Exception):
    """A file is not in the archive."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is missing in the archive.")


class Store(Protocol):
    """Files by their paths; each method raises ArchiveUnavailable."""

    def put(self, path: str, content: bytes) -> None:
        """Write a whole file; it is there when this returns."""
        ...

    def get(self, path: str) -> bytes:
        """Return a whole file; raises ArchivedFileMissing."""
        ...

    def ranges(self, path: str, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return parts of a file, each from its start to before its end."""
        ...

    def paths(self, prefix: str) -> list[str]:
        """Return the paths below a folder, in order."""
        ...

    def delete(self, path: str) -> None:
        """Delete a file; none is no fault."""
        ...


@dataclass(frozen=True, slots=True)
class Access:
    """How an S3-compatible store is reached; unset, as the environment of AWS says."""

    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)


#: Returns once a file, or the names in a folder, survive a loss of power; raises OSError.
Sync = Callable[[Path], None]


def sync_to_disk(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@dataclass(frozen=True, slots=True)
class Folder:
    """Where the files of a store are on this machine's disks."""

    root: Path
    sync: Sync = sync_to_disk

    def settle(self, path: str) -> None:
        """Bring a file to the disk, and every folder that leads to it."""
        file = self.root / path
        self.sync(file)
        for folder in file.parents:
            self.sync(folder)
            if folder == self.root.parent:
                return


class ObjectStorage:
    """A store below one address; with its folder when that is on a disk of ours."""

    def __init__(self, store: ObjectStore, folder: Folder | None = None) -> None:
        self._store = store
        self._folder = folder

    def put(self, path: str, content: bytes) -> None:
        """Write a whole file; large ones in parts, of which none is seen before the last."""
        try:
            obstore.put(self._store, path, content)
            if self._folder is not None:
                # It was written and renamed only, which a loss of power may undo.
                self._folder.settle(path)
        except (BaseError, OSError) as refused:
            raise ArchiveUnavailable(type(refused).__name__) from refused

    def get(self, path: str) -> bytes:
        """Return a whole file."""
        try:
            return bytes(obstore.get(self._store, path).bytes())
        except FileNotFoundError as missing:
            raise ArchivedFileMissing(path) from missing
        except (BaseError, OSError) as refused:
            raise ArchiveUnavailable(type(refused).__name__) from refused

    def ranges(self, path: str, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return parts of a file; those that lie close together are fetched as one."""
        try:
            found = obstore.get_ranges(
                self._store,
                path,
                starts=[start for start, _ in spans],
                ends=[end for _, end in spans],
            )
            return [bytes(part) for part in found]
        except FileNotFoundError as missing:
            raise ArchivedFileMissing(path) from missing
        except (BaseError, OSError) as refused:
            raise ArchiveUnavailable(type(refused).__name__) from refused

    def paths(self, prefix: str) -> list[str]:
        """Return the paths below a folder, in order."""
        try:
            found = obstore.list(self._store, prefix).collect()
            return sorted(entry["path"] for entry in found)
        except (BaseError, OSError) as refused:
            raise ArchiveUnavailable(type(refused).__name__) from refused

    def delete(self, path: str) -> None:
        """Delete a file; none is no fault."""
        try:
            obstore.delete(self._store, path)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as refused:
            raise ArchiveUnavailable(type(refused).__name__) from refused


def open_store(
    url: str, access: Access, *, patience: Patience = PATIENT, sync: Sync = sync_to_disk
) -> ObjectStorage:
    """Return the store below ``file:///folder`` or ``s3://bucket/prefix``; a folder is made."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        try:
            root = _make_folder(Path(unquote(parts.path)), sync)
            return ObjectStorage(LocalStore(prefix=root), Folder(root, sync))
        except OSError as refused:
            raise ArchiveUnavailable(type(refused).__name__) from refused
    assert parts.scheme == "s3", "the setting takes file:// and s3:// only"
    return ObjectStorage(
        S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            config=_config(access),
            client_options={
                "timeout": timedelta(seconds=patience.request_seconds),
                "connect_timeout": timedelta(seconds=patience.connect_seconds),
                # Only for an endpoint that says so itself, such as one on this machine.
                "allow_http": (access.endpoint or "").startswith("http://"),
            },
            retry_config={
                "max_retries": patience.retries_max,
                "retry_timeout": timedelta(seconds=patience.retry_seconds),
            },
        )
    )


def _make_folder(root: Path, sync: Sync) -> Path:
    missing = [folder for folder in (root, *root.parents) if not folder.exists()]
    root.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)
    return root


def _config(access: Access) -> Any:
    given = {
        "endpoint": access.endpoint,
        "region": access.region,
        "access_key_id": access.access_key_id,
        "secret_access_key": access.secret_access_key,
    }
    return {name: value for name, value in given.items() if value is not None}
