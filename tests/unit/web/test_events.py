from typing import Any

import pytest

from semalink.domain.event_types import EVENT_TYPES
from semalink.web.events import MEANINGS

PATH = "/v1/events"


async def send(api: Any, headers: Any, message: Any) -> None:
    assert (await api.post("/v1/messages", json=message, headers=headers)).status_code == 202


async def read(api: Any, headers: Any, query: str = "") -> Any:
    answer = await api.get(f"{PATH}?{query}", headers=headers)
    assert answer.status_code == 200
    return answer.json()


async def test_events_come_in_order_and_go_on_without_a_gap(
    api: Any, acme: Any, bearer: Any, message: Any
) -> None:
    headers = bearer(acme.live)
    for _ in range(2):
        await send(api, headers, message)

    first = await read(api, headers, "limit=3")
    rest = await read(api, headers, f"after={first['next_after']}")

    told = [*first["items"], *rest["items"]]
    assert [one["sequence"] for one in told] == [1, 2, 3, 4, 5]
    assert [one["type"] for one in told[:1]] == ["credit.topped_up"]
    assert (first["has_more"], rest["has_more"], rest["next_after"]) == (True, False, 5)
    assert {one["account_id"] for one in told} == {f"acct_{acme.account_id.hex}"}
    assert message["text"] not in str(told)


async def test_events_are_none_of_another_account(
    api: Any, acme: Any, other: Any, bearer: Any, message: Any
) -> None:
    await send(api, bearer(acme.live), message)

    told = await read(api, bearer(other.live))

    assert [one["type"] for one in told["items"]] == ["credit.topped_up"]


async def test_events_go_on_past_those_of_other_types(
    api: Any, acme: Any, bearer: Any, message: Any
) -> None:
    headers = bearer(acme.live)
    await send(api, headers, message)

    told = await read(api, headers, "types=message.*,credit.refunded&limit=5")

    assert [one["type"] for one in told["items"]] == ["message.accepted"]
    assert (told["next_after"], told["has_more"]) == (3, False)


async def test_events_beyond_the_end_are_none(api: Any, acme: Any, bearer: Any) -> None:
    told = await read(api, bearer(acme.live), "after=99")

    assert told == {"items": [], "next_after": 99, "has_more": False}


async def test_events_that_were_dropped_are_gone(
    platform: Any, api: Any, acme: Any, bearer: Any, message: Any
) -> None:
    await send(api, bearer(acme.live), message)
    platform.feed.dropped_count = 2

    gone = await api.get(f"{PATH}?after=1", headers=bearer(acme.live))
    kept = await read(api, bearer(acme.live), "after=2")

    assert (gone.status_code, gone.json()["code"]) == (410, "events_no_longer_kept")
    assert "after=2" in gone.json()["detail"]
    assert [one["sequence"] for one in kept["items"]] == [3]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("types=nothing", "unknown_event_type"),
        ("after=-1", "validation_failed"),
        ("limit=1001", "validation_failed"),
    ],
)
async def test_events_say_what_of_the_query_is_wrong(
    api: Any, acme: Any, bearer: Any, query: str, code: str
) -> None:
    answer = await api.get(f"{PATH}?{query}", headers=bearer(acme.live))

    assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_event_types_list_every_name_with_its_meaning(
    api: Any, acme: Any, bearer: Any
) -> None:
    answer = await api.get("/v1/event-types", headers=bearer(acme.live))

    assert [one["name"] for one in answer.json()["items"]] == list(EVENT_TYPES)
    assert set(MEANINGS) == set(EVENT_TYPES)
