from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from semalink.domain.checkpoint import NO_CHECKPOINT, Checkpoint, SignedCheckpoint

Bearer = Callable[..., dict[str, str]]
PATH = "/admin/v1/ledger/checkpoints"


def checkpoint(number: int) -> SignedCheckpoint:
    taken_at = datetime(2026, 11, 25, 12, number, tzinfo=UTC)
    one = Checkpoint(number, taken_at, 2, bytes([number]) * 32, NO_CHECKPOINT)
    return SignedCheckpoint(one, one.hash(), bytes(32), bytes(64))


async def test_list_checkpoints_answers_in_pages_newest_first(
    admin: Any, platform: Any, bearer: Bearer
) -> None:
    key = await platform.open_platform()
    platform.checkpoints.taken = [checkpoint(number) for number in (1, 2, 3)]

    first = await admin.get(f"{PATH}?limit=2", headers=bearer(key))
    cursor = first.json()["next_cursor"]
    second = await admin.get(f"{PATH}?limit=2&cursor={cursor}", headers=bearer(key))

    assert [one["number"] for one in first.json()["items"]] == [3, 2]
    assert [one["number"] for one in second.json()["items"]] == [1]
    assert second.json()["next_cursor"] is None
    assert second.json()["items"][0]["text"] == checkpoint(1).checkpoint.text().decode()


async def test_list_checkpoints_refuses_a_cursor_of_its_own_making(
    admin: Any, platform: Any, bearer: Bearer
) -> None:
    key = await platform.open_platform()

    answer = await admin.get(f"{PATH}?cursor=AAAA", headers=bearer(key))

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")
