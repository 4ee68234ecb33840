"""The files of an export: a line of JSON an entry, and the same entries as columns."""

from collections.abc import Sequence
from datetime import datetime
from hashlib import file_digest
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from semalink.domain.ids import ACCOUNT_PREFIX, MESSAGE_PREFIX
from semalink_adapters.postgres.ledger_export import EntryRow

#: Lines to a row group of Parquet: what is held in memory at once.
ROWS_A_GROUP = 50_000

_MICROS = pa.int64()
_SCHEMA = pa.schema(
    [
        pa.field("account", pa.string(), nullable=False),
        pa.field("version", pa.int64(), nullable=False),
        pa.field("recorded_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("amount_micros", _MICROS),
        pa.field("posted_after_micros", _MICROS, nullable=False),
        pa.field("reserved_after_micros", _MICROS, nullable=False),
        pa.field("credit_limit_after_micros", _MICROS, nullable=False),
        pa.field("actor", pa.string(), nullable=False),
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("message_id", pa.string()),
        pa.field("sub_account_id", pa.string()),
        pa.field("topic", pa.string(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("entry_hash", pa.string(), nullable=False),
    ]
)
#: Few different texts: the others would fill a dictionary for nothing.
_REPEATED = ["account", "name", "actor", "sub_account_id", "topic"]


class Line(msgspec.Struct, frozen=True, gc=False):
    """An entry as it is exported: what people read, then what the hash is made of."""

    account: str
    version: int
    recorded_at: datetime
    name: str
    amount_micros: int | None
    posted_after_micros: int
    reserved_after_micros: int
    credit_limit_after_micros: int
    actor: str
    request_id: str
    message_id: str | None
    sub_account_id: str | None
    topic: str
    state: str
    entry_hash: str


class OpeningLine(msgspec.Struct, frozen=True, gc=False):
    """The last entry before the range, and the hash that it goes on from."""

    previous_hash: str
    entry: Line


class _State(msgspec.Struct, gc=False):
    """What any entry's state may hold and people want to read."""

    actor: str
    request_id: str
    posted_after_micros: int
    reserved_after_micros: int
    credit_limit_after_micros: int = 0
    amount_micros: int | None = None
    message_id: str | None = None
    reservation_id: str | None = None
    sub_account_id: str | None = None
    campaign_id: str | None = None


_decoder = msgspec.json.Decoder(_State)
_encoder = msgspec.json.Encoder()


class EntriesWriter(Protocol):
    """Writes entries into one file, in the order that they come."""

    def write(self, lines: Sequence[Line]) -> None:
        """Take lines; they need not be on disk yet."""
        ...

    def close(self) -> None:
        """Bring everything to the file."""
        ...


def line_of(row: EntryRow) -> Line:
    """Return an entry as it is exported."""
    state = _decoder.decode(row.state)
    # What a campaign reserves is about no single message.
    reserved_for = state.reservation_id if state.campaign_id is None else None
    message_id = state.message_id or reserved_for
    return Line(
        f"{ACCOUNT_PREFIX}{row.account_id.hex}",
        row.version,
        row.recorded_at,
        row.topic.split(".")[1],
        state.amount_micros,
        state.posted_after_micros,
        state.reserved_after_micros,
        state.credit_limit_after_micros,
        state.actor,
        state.request_id,
        _public(MESSAGE_PREFIX, message_id),
        _public(ACCOUNT_PREFIX, state.sub_account_id),
        row.topic,
        row.state.decode(),
        row.entry_hash.hex(),
    )


class NdjsonWriter:
    """A line of JSON for each struct."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, lines: Sequence[Any]) -> None:
        """Write lines."""
        self._file.write(_encoder.encode_lines(lines))

    def close(self) -> None:
        """Bring everything to the file."""
        self._file.close()


class ParquetWriter:
    """Columns of entries, compressed with zstd; `state` is the JSON text that was hashed."""

    def __init__(self, path: Path) -> None:
        # Fresh memory goes back to the system: what a writer keeps would grow with the file.
        self._pool = pa.system_memory_pool()
        self._writer = pq.ParquetWriter(
            path,
            _SCHEMA,
            compression="zstd",
            use_dictionary=_REPEATED,
        )
        self._waiting: list[Line] = []

    def write(self, lines: Sequence[Line]) -> None:
        """Take lines, and write a row group when there are enough."""
        self._waiting += lines
        while len(self._waiting) >= ROWS_A_GROUP:
            self._write_group(self._waiting[:ROWS_A_GROUP])
            del self._waiting[:ROWS_A_GROUP]

    def close(self) -> None:
        """Write what waits, and the end of the file."""
        if self._waiting:
            self._write_group(self._waiting)
            self._waiting = []
        self._writer.close()

    def _write_group(self, lines: Sequence[Line]) -> None:
        columns = zip(*map(msgspec.structs.astuple, lines), strict=True)
        arrays = [
            pa.array(column, type=field.type, memory_pool=self._pool)
            for column, field in zip(columns, _SCHEMA, strict=True)
        ]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA), ROWS_A_GROUP)


#: By the name of a format: the file's ending and its writer.
FORMATS: dict[str, type[NdjsonWriter] | type[ParquetWriter]] = {
    "ndjson": NdjsonWriter,
    "parquet": ParquetWriter,
}


def fingerprint(path: Path) -> dict[str, Any]:
    """Return the size and the SHA-256 of a file."""
    with path.open("rb") as file:
        digest = file_digest(file, "sha256")
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def _public(prefix: str, uuid_text: str | None) -> str | None:
    return None if uuid_text is None else prefix + uuid_text.replace("-", "")
