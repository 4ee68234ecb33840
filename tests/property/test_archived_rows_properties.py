"""Whatever rows there are, they come back from Parquet as they were, and are hashed the same."""

from collections.abc import Sequence
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from semalink_adapters.archive.month_writer import read_pages
from semalink_adapters.archive.parquet import FileWriter
from semalink_adapters.archive.rows import Columns
from semalink_adapters.archive.tally import Tally

_INT64 = st.integers(0, 2**63 - 1)


@st.composite
def rows(draw: st.DrawFn) -> bytes:
    fields = (
        draw(st.binary(min_size=16, max_size=16)),
        draw(_INT64).to_bytes(8, "big"),
        draw(st.text(min_size=1, max_size=20).map(str.encode)),
        draw(st.binary(max_size=50)),
        draw(_INT64).to_bytes(8, "big"),
        draw(_INT64).to_bytes(8, "big"),
        draw(st.integers(0, 250 * 10**15)).to_bytes(8, "big"),
    )
    return b"\0\7" + b"".join(len(field).to_bytes(4, "big") + field for field in fields)


@given(st.lists(rows(), min_size=1, max_size=30), st.data())
def test_rows_survive_any_cut_into_pages(written: list[bytes], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(written)))
    file, whole, parts = FileWriter(), Tally(), Tally()

    for part in filter(None, (written[:cut], written[cut:])):
        file.add(_columns(part))
        parts.add(part)
    whole.add(written)
    read = [row for page in read_pages(file.close()) for row in page]

    assert read == written
    assert parts.sum == whole.sum
    assert parts.last_place == whole.last_place
    assert parts.recorded_span == whole.recorded_span
    assert parts.first_id == UUID(bytes=written[0][6:22])


def _columns(part: Sequence[bytes]) -> Columns:
    columns = Columns()
    for row in part:
        columns.add(row)
    return columns
