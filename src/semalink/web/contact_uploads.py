"""Taking in a file of contacts as it comes: decompressed, checked, cut, stored piece by piece."""

import hashlib
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any
from uuid import UUID

from litestar import Request

from semalink.application.contact_reading import Contacts
from semalink.domain.contact_columns import Columns, read_columns
from semalink.domain.contact_errors import InvalidCompression
from semalink.domain.contact_file import FileCutter, Piece
from semalink.domain.contact_import import ContactSource
from semalink.web.arrival import arrival_of
from semalink.web.contact_shapes import ImportQuery
from semalink.web.problems import EdgeRefusal
from semalink.web.upload_limits import UploadLimits

FORMATS = {
    b"text/csv": "csv",
    b"application/csv": "csv",
    b"application/x-ndjson": "ndjson",
    b"application/ndjson": "ndjson",
    b"application/jsonl": "ndjson",
}

_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_CHUNK_BYTES = 64 * 1024
#: What is smaller than this may be compressed however well.
_FREE_BYTES = 1024 * 1024


def format_of(request: Request[Any, Any, Any]) -> str:
    """Return what the body is said to be; raises EdgeRefusal for what is not read here."""
    headers = arrival_of(request.scope).headers
    said = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if said not in FORMATS:
        raise EdgeRefusal(
            "unsupported_media_type",
            "The Content-Type is neither text/csv nor application/x-ndjson.",
        )
    if headers.get(b"content-encoding", b"identity").strip().lower() not in {
        b"identity",
        b"gzip",
    }:
        raise EdgeRefusal("unsupported_media_type", "The Content-Encoding is not gzip.")
    return FORMATS[said]


class Upload:
    """One file on its way into the database."""

    def __init__(
        self,
        contacts: Contacts,
        import_id: UUID,
        query: ImportQuery,
        file_format: str,
        limits: UploadLimits,
    ) -> None:
        self._contacts = contacts
        self._import_id = import_id
        self._query = query
        self._format = file_format
        self._limits = limits
        is_csv = file_format == "csv"
        self._cutter = FileCutter(limits.file, has_quotes=is_csv, has_header=is_csv)
        self._columns: Columns | None = None
        self._hash = hashlib.sha256()
        self._piece_count = 0

    async def take(self, request: Request[Any, Any, Any]) -> None:
        """Store the file piece by piece; raises what is wrong with it, as soon as it shows."""
        async for chunk in _chunks(request, self._limits):
            self._hash.update(chunk)
            pieces = self._cutter.feed(chunk)
            self._look_at_header()
            await self._store(pieces)
        pieces = self._cutter.finish()
        self._look_at_header()
        await self._store(pieces)

    def source(self, list_id: UUID) -> ContactSource:
        """Return what was taken in."""
        columns = self._columns
        return ContactSource(
            list_id=list_id,
            format=self._format,
            default_country=self._query.default_country,
            row_count=self._cutter.row_count,
            piece_count=self._piece_count,
            byte_count=self._cutter.byte_count,
            sha256=self._hash.hexdigest(),
            columns=() if columns is None else columns.names,
            delimiter="" if columns is None else columns.delimiter,
            number_column=(
                self._query.number_column if columns is None else columns.names[columns.number_at]
            ),
        )

    def _look_at_header(self) -> None:
        if self._columns is None and self._cutter.header is not None:
            header = self._cutter.header.decode().removesuffix("\r")
            self._columns = read_columns(header, self._query.number_column)

    async def _store(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            await self._contacts.add_piece(self._import_id, self._piece_count, piece)
            self._piece_count += 1


async def _chunks(request: Request[Any, Any, Any], limits: UploadLimits) -> AsyncIterator[bytes]:
    """Yield the file in small chunks; raises EdgeRefusal when it is too large or breaks off."""
    encoding = arrival_of(request.scope).headers.get(b"content-encoding", b"identity")
    if encoding.strip().lower() != b"gzip":
        length = 0
        async for body in _bodies(request):
            length += len(body)
            _check_length(length, limits)
            for start in range(0, len(body), _CHUNK_BYTES):
                yield body[start : start + _CHUNK_BYTES]
        return
    gunzip = _Gunzip(limits)
    async for body in _bodies(request):
        for chunk in gunzip.feed(body):
            yield chunk
    gunzip.finish()


async def _bodies(request: Request[Any, Any, Any]) -> AsyncIterator[bytes]:
    while True:
        event = await request.receive()
        if event["type"] != "http.request":
            raise EdgeRefusal("incomplete_body", "The client went away within the file.")
        if event["body"]:
            yield event["body"]
        if not event.get("more_body", False):
            return


class _Gunzip:
    """Decompresses step by step; what grows too much is refused before it has grown."""

    def __init__(self, limits: UploadLimits) -> None:
        self._limits = limits
        self._engine = zlib.decompressobj(_GZIP_WINDOW)
        self._taken = 0
        self._given = 0

    def feed(self, body: bytes) -> Iterator[bytes]:
        self._taken += len(body)
        while body:
            if self._engine.eof:
                # Files that were compressed apart and put together.
                self._engine = zlib.decompressobj(_GZIP_WINDOW)
            try:
                chunk = self._engine.decompress(body, _CHUNK_BYTES)
            except zlib.error:
                raise InvalidCompression("The file is not gzip.") from None
            self._given += len(chunk)
            self._check_growth()
            yield chunk
            body = self._engine.unconsumed_tail or self._engine.unused_data

    def finish(self) -> None:
        if not self._engine.eof:
            raise InvalidCompression("The compressed file breaks off.")

    def _check_growth(self) -> None:
        _check_length(self._given, self._limits)
        if self._given > max(_FREE_BYTES, self._taken * self._limits.ratio_max):
            raise EdgeRefusal(
                "body_too_large",
                f"The file grows to more than {self._limits.ratio_max} times what was sent. "
                "Send it without compression.",
            )


def _check_length(length: int, limits: UploadLimits) -> None:
    if length > limits.bytes_max:
        raise EdgeRefusal(
            "body_too_large",
            f"The file has more than {limits.bytes_max} bytes. Split it into several imports.",
        )
