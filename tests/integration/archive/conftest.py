"""An archive in a folder, and what moves months there and back."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from semalink.domain.cause import Cause
from semalink_adapters.archive.store import Access, ObjectStorage, open_store
from semalink_adapters.postgres.archived_months import open_owner
from semalink_ops.archiving.months import Archiver

NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStorage:
    """An archive in a folder."""
    return open_store((tmp_path / "archive").as_uri(), Access())


@pytest.fixture
def owner(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that owns the tables."""
    with open_owner(database_url) as connection:
        yield connection


@pytest.fixture
def recorded() -> list[Any]:
    """The commands that would record events in the log of settings."""
    return []


@pytest.fixture
def archiver(owner: psycopg.Connection[Any], store: ObjectStorage, recorded: list[Any]) -> Archiver:
    """Archives with files so small that a month has several."""
    return Archiver(
        owner,
        store,
        recorded.append,
        lambda: Cause("cli:ops", NOW, "req_1"),
        page_rows=50,
        file_bytes_max=1,
    )
