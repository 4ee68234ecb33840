"""A month goes into the archive while everything runs, and is still answered for."""

import json
import random
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psycopg
from tests.e2e.conftest import semalink
from tests.integration.archive.old_months import MIDDLE, MONTH, id_of, insert_events, live_through

from semalink.domain.ids import ACCOUNT_PREFIX, MESSAGE_PREFIX, format_id, parse_id
from semalink_adapters.postgres import append_only, partitions

MESSAGE = format_id(MESSAGE_PREFIX, id_of(3))
PATIENCE_SECONDS = 20.0


def test_archived_message_is_read_through_the_api_as_before(
    platform: dict[str, Any], data_dir: Path
) -> None:
    account_id = parse_id(ACCOUNT_PREFIX, platform["account_id"])
    assert account_id is not None
    with psycopg.connect(platform["database_url"], autocommit=True) as connection:
        partitions.ensure(connection, MIDDLE, append_only.guard_partition)
        dice = random.Random(3)
        events = [step for one in range(1, 6) for step in live_through(one, dice, owner=account_id)]
        insert_events(connection, events)
    before = [_read(platform, path) for path in ("", "/events", "/explain")]

    archived = _archive(data_dir)

    assert {one["event_count"] for one in archived if one["month"] == MONTH} == {0, 20}
    assert [_read(platform, path) for path in ("", "/events", "/explain")] == before
    assert before[0]["status"] == "delivered"
    shown = semalink("history", MESSAGE, "--json", data_dir=data_dir)
    assert [one["name"] for one in json.loads(shown.stdout)["items"]] == [
        "message.accepted",
        "message.submit_started",
        "message.submitted",
        "message.delivered",
    ]


def _archive(data_dir: Path) -> list[dict[str, Any]]:
    """Archive what is due, once everyone who reads the log has read it."""
    done: list[dict[str, Any]] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        ended = semalink("archive", "run", "--json", data_dir=data_dir)
        done += json.loads(ended.stdout)["items"]
        if ended.returncode == 0:
            return done
    raise AssertionError(ended.stdout)


def _read(platform: dict[str, Any], path: str) -> Any:
    request = Request(
        f"{platform['api_url']}/v1/messages/{MESSAGE}{path}",
        headers={"Authorization": f"Bearer {platform['api_key']}"},
    )
    with urlopen(request, timeout=5) as answer:
        return json.load(answer)
