"""What the archive expects of a store, of a folder and of a server that speaks S3 alike."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from semalink_adapters.archive.store import (
    Access,
    ArchivedFileMissing,
    ArchiveUnavailable,
    ObjectStorage,
    open_store,
    sync_to_disk,
)
from semalink_ops.embedded.ports import free_port

_REGION = "af-south-1"
_BUCKET = "semalink-archive"


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    """A server that speaks S3, with a bucket."""
    port = free_port()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    endpoint = f"http://127.0.0.1:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=_REGION,
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    client.create_bucket(Bucket=_BUCKET, CreateBucketConfiguration={"LocationConstraint": _REGION})
    client.close()
    yield endpoint
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStorage:
    """Each kind of store, with nothing in it."""
    if request.param == "folder":
        return open_store((tmp_path / "archive").as_uri(), Access())
    endpoint = request.getfixturevalue("s3_endpoint")
    access = Access(endpoint, _REGION, "key", "secret")
    return open_store(f"s3://{_BUCKET}/{tmp_path.name}", access)


def test_get_returns_what_was_put(store: ObjectStorage) -> None:
    content = bytes(range(256)) * 50_000

    store.put("log/2026-03/part-00000.parquet", b"old")
    store.put("log/2026-03/part-00000.parquet", content)

    assert store.get("log/2026-03/part-00000.parquet") == content


def test_ranges_returns_parts_of_a_file(store: ObjectStorage) -> None:
    store.put("file", b"0123456789")

    assert store.ranges("file", [(0, 3), (8, 10)]) == [b"012", b"89"]


def test_paths_lists_a_folder_and_nothing_beside_it(store: ObjectStorage) -> None:
    for path in ("log/2026-03/b", "log/2026-03/a", "log/2026-030/c", "log/2026-04/d"):
        store.put(path, b"x")

    assert store.paths("log/2026-03") == ["log/2026-03/a", "log/2026-03/b"]
    assert store.paths("none") == []


def test_get_says_what_is_missing(store: ObjectStorage) -> None:
    with pytest.raises(ArchivedFileMissing, match="log/none"):
        store.get("log/none")
    with pytest.raises(ArchivedFileMissing, match="log/none"):
        store.ranges("log/none", [(0, 1)])


def test_delete_leaves_nothing_and_minds_no_repetition(store: ObjectStorage) -> None:
    store.put("file", b"x")

    store.delete("file")
    store.delete("file")

    assert store.paths("") == []


def test_store_that_refuses_us_is_unavailable_and_told_without_its_secret(
    s3_endpoint: str,
) -> None:
    access = Access(s3_endpoint, _REGION, "key", "a-secret")
    store = open_store("s3://no-such-bucket/x", access)

    with pytest.raises(ArchiveUnavailable) as refused:
        store.put("file", b"x")

    assert "SEMALINK_ARCHIVE_URL" in str(refused.value)
    assert "a-secret" not in f"{refused.value}{access}"


def test_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")

    with pytest.raises(ArchiveUnavailable):
        open_store((tmp_path / "file" / "archive").as_uri(), Access())


def test_put_returns_when_a_file_and_the_folders_to_it_are_on_disk(tmp_path: Path) -> None:
    root = tmp_path / "srv" / "archive"
    synced: list[tuple[str, bool]] = []
    file = root / "log" / "2026-03" / "part-00000.parquet"

    def sync(path: Path) -> None:
        synced.append((str(path.relative_to(tmp_path)), file.exists()))
        sync_to_disk(path)

    store = open_store(root.as_uri(), Access(), sync=sync)
    store.put("log/2026-03/part-00000.parquet", b"x")

    assert synced == [
        ("srv", False), (".", False), ("srv/archive/log/2026-03/part-00000.parquet", True),
        ("srv/archive/log/2026-03", True), ("srv/archive/log", True), ("srv/archive", True),
        ("srv", True),
    ]  # fmt: skip


def test_put_is_refused_when_the_disk_does_not_take_it(tmp_path: Path) -> None:
    def sync(path: Path) -> None:
        raise OSError(5, "Input/output error", str(path))

    store = open_store(tmp_path.as_uri(), Access(), sync=sync)

    with pytest.raises(ArchiveUnavailable):
        store.put("file", b"x")
