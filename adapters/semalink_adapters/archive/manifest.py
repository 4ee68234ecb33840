"""What a month of a log came to in the archive: written last, so that it tells of whole files."""

import hashlib
from datetime import datetime
from uuid import UUID

import msgspec

from semalink_adapters.archive.rows import COLUMNS
from semalink_adapters.archive.store import ArchivedFileMissing, Store

#: The form of the files; another one gets another number.
FORMAT = 1


class ArchiveAltered(Exception):
    """A file of the archive is not what was written."""

    def __init__(self, path: str, what: str) -> None:
        self.path = path
        super().__init__(f"{path} is not what was archived: {what}.")


class Span(msgspec.Struct, frozen=True):
    """One part of a file that is fetched by itself, from its start to before its end."""

    start: int
    end: int
    sha256: str


class ArchivedFile(msgspec.Struct, frozen=True):
    """One Parquet file; ids and versions are those of its first and last row."""

    path: str
    row_count: int
    byte_count: int
    sha256: str
    first_id: UUID
    last_id: UUID
    last_version: int
    footer: Span
    #: The row groups, in order.
    groups: list[Span]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One month of one log."""

    format: int = FORMAT
    log: str
    #: As "2026-03", in UTC, by the time in the ids.
    month: str
    columns: tuple[str, ...] = COLUMNS
    row_count: int
    first_id: UUID | None
    last_id: UUID | None
    #: The last place in the order of commits: transaction and position.
    last_xid: int
    last_position: int
    first_recorded_at: datetime | None
    last_recorded_at: datetime | None
    #: Over all rows by id and version, each as a binary COPY writes it.
    content_sha256: str
    files: list[ArchivedFile]
    written_at: datetime


def encode_manifest(manifest: Manifest) -> bytes:
    """Return a manifest as it is stored."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2)


def sha256_of(content: bytes) -> str:
    """Return the hash of a file, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def read_span(store: Store, path: str, span: Span) -> bytes:
    """Return a part of a file; raises ArchiveAltered unless it is what the manifest says."""
    try:
        content = store.ranges(path, [(span.start, span.end)])[0]
    except ArchivedFileMissing as missing:
        raise ArchiveAltered(path, "it is missing") from missing
    if sha256_of(content) != span.sha256:
        raise ArchiveAltered(path, f"its bytes from {span.start} are others than were written")
    return content


def read_manifest(store: Store, path: str, sha256: str) -> Manifest:
    """Return the manifest at a path; raises ArchiveAltered unless it has this hash."""
    try:
        content = store.get(path)
    except ArchivedFileMissing as missing:
        raise ArchiveAltered(path, "it is missing") from missing
    if sha256_of(content) != sha256:
        raise ArchiveAltered(path, "its SHA-256 is another one than the database holds")
    manifest = msgspec.json.decode(content, type=Manifest)
    if manifest.format != FORMAT:
        raise ArchiveAltered(path, f"its form {manifest.format} is unknown to this release")
    return manifest


def read_file(store: Store, file: ArchivedFile) -> bytes:
    """Return a file; raises ArchiveAltered unless it is what its manifest says."""
    try:
        content = store.get(file.path)
    except ArchivedFileMissing as missing:
        raise ArchiveAltered(file.path, "it is missing") from missing
    if sha256_of(content) != file.sha256:
        raise ArchiveAltered(file.path, "its SHA-256 is another one than its manifest says")
    return content
