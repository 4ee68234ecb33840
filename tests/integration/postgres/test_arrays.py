"""Packed arrays are what the driver would have sent."""

from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semalink_adapters.postgres.arrays import (
    Packed,
    accept_packed,
    pack_bigints,
    pack_blobs,
    pack_texts,
    pack_uuids,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@pytest.mark.parametrize(
    ("pack", "type_name", "values"),
    [
        pytest.param(pack_uuids, "uuid", st.none() | st.uuids(), id="uuids"),
        pytest.param(pack_bigints, "bigint", st.integers(-(2**63), 2**63 - 1), id="bigints"),
        pytest.param(pack_texts, "text", st.none() | TEXTS, id="texts"),
        pytest.param(pack_blobs, "bytea", st.none() | st.binary(), id="blobs"),
    ],
)
def test_packed_array_arrives_as_it_was(
    connection: psycopg.Connection[Any],
    pack: Callable[[Sequence[Any]], Packed],
    type_name: str,
    values: st.SearchStrategy[Any],
) -> None:
    accept_packed(connection)

    @settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(values))
    def arrives(sent: list[Any]) -> None:
        row = connection.execute(f"SELECT %b::{type_name}[]", (pack(sent),)).fetchone()
        assert row == (sent,)

    arrives()


def test_packed_text_with_nul_is_refused_by_the_server(
    connection: psycopg.Connection[Any],
) -> None:
    accept_packed(connection)

    with pytest.raises(psycopg.DataError):
        connection.execute("SELECT %b::text[]", (pack_texts(["a\0b"]),))
