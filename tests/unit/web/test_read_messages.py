from typing import Any
from urllib.parse import urlencode

import pytest

from semalink.domain.status import Status
from semalink.web.message_reading import StatusName

PATH = "/v1/messages"


@pytest.fixture
async def sent(
    api: Any, platform: Any, acme: Any, other: Any, bearer: Any, message: Any
) -> list[str]:
    ids = []
    for number in range(5):
        asked = {**message, "lane": "priority" if number % 2 else "normal"}
        answer = await api.post(PATH, json=asked, headers=bearer(acme.live))
        ids.append(answer.json()["id"])
        platform.clock.pass_by(minutes=1)
    await api.post(PATH, json=message, headers=bearer(acme.test))
    await api.post(PATH, json=message, headers=bearer(other.live))
    return ids[::-1]


async def listed(api: Any, headers: Any, **query: Any) -> Any:
    return await api.get(f"{PATH}?{urlencode(query)}", headers=headers)


@pytest.mark.parametrize("path", [PATH, f"{PATH}/msg_0", f"{PATH}/msg_0/events"])
async def test_read_is_refused_without_key(api: Any, path: str) -> None:
    answer = await api.get(path)

    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["", "/events"])
@pytest.mark.parametrize("message_id", ["msg_0", "acct_" + "0" * 32, "msg_" + "0" * 32, "msg_é"])
async def test_read_finds_nothing(
    api: Any, acme: Any, bearer: Any, message_id: str, path: str
) -> None:
    answer = await api.get(f"{PATH}/{message_id}{path}", headers=bearer(acme.live))

    assert answer.status_code == 404
    assert answer.json()["code"] == "message_not_found"


async def test_read_finds_nothing_of_the_other_mode(
    api: Any, acme: Any, bearer: Any, sent: list[str]
) -> None:
    answer = await api.get(f"{PATH}/{sent[0]}", headers=bearer(acme.test))

    assert answer.status_code == 404


async def test_read_shows_what_was_accepted(api: Any, acme: Any, bearer: Any, message: Any) -> None:
    accepted = await api.post(PATH, json=message, headers=bearer(acme.live))

    answer = await api.get(accepted.headers["Location"], headers=bearer(acme.live))

    assert answer.status_code == 200
    assert answer.json() == accepted.json()


async def test_events_show_message_and_credits(
    api: Any, acme: Any, bearer: Any, sent: list[str]
) -> None:
    answer = await api.get(f"{PATH}/{sent[0]}/events", headers=bearer(acme.live))

    assert answer.status_code == 200
    items = answer.json()["items"]
    assert [item["name"] for item in items] == ["message.accepted", "credit.reserved"]
    assert [item["sequence"] for item in items] == [1, 2]
    assert items[1]["data"]["reservation_id"] == sent[0]
    assert answer.json()["next_cursor"] is None


async def test_head_sends_no_body(api: Any, acme: Any, bearer: Any, sent: list[str]) -> None:
    answer = await api.head(f"{PATH}/{sent[0]}", headers=bearer(acme.live))

    assert answer.status_code == 200
    assert answer.content == b""
    assert int(answer.headers["Content-Length"]) > 0


async def test_list_shows_own_messages_of_the_mode(
    api: Any, acme: Any, bearer: Any, sent: list[str]
) -> None:
    answer = await listed(api, bearer(acme.live))

    assert answer.status_code == 200
    assert [item["id"] for item in answer.json()["items"]] == sent
    assert answer.json()["next_cursor"] is None
    assert "Link" not in answer.headers


async def test_list_goes_on_with_cursor_and_link(
    api: Any, acme: Any, bearer: Any, sent: list[str]
) -> None:
    headers = bearer(acme.live)
    first = await listed(api, headers, limit=2, sender="ACME")

    by_cursor = await listed(
        api, headers, limit=2, sender="ACME", cursor=first.json()["next_cursor"]
    )
    target, relation = first.headers["Link"].split("; ")
    by_link = await api.get(target.strip("<>"), headers=headers)

    assert [item["id"] for item in first.json()["items"]] == sent[:2]
    assert [item["id"] for item in by_cursor.json()["items"]] == sent[2:4]
    assert relation == 'rel="next"'
    assert by_link.json() == by_cursor.json()


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ({"lane": "priority"}, [1, 3]),
        ({"status": "accepted"}, [0, 1, 2, 3, 4]),
        ({"status": "delivered"}, []),
        ({"to": "0712 345 678"}, [0, 1, 2, 3, 4]),
        ({"to": "+254712345679"}, []),
        ({"sender": "SemaLink"}, []),
        ({"accepted_from": "2026-11-02T08:18:04Z"}, [0, 1]),
        ({"accepted_before": "2026-11-02T11:16:04+03:00"}, [4]),
    ],
)
async def test_list_filters(
    api: Any, acme: Any, bearer: Any, sent: list[str], query: Any, places: list[int]
) -> None:
    answer = await listed(api, bearer(acme.live), **query)

    assert [item["id"] for item in answer.json()["items"]] == [sent[place] for place in places]


async def test_list_refuses_cursor_of_others(
    api: Any, acme: Any, other: Any, bearer: Any, sent: list[str]
) -> None:
    cursor = (await listed(api, bearer(acme.live), limit=2)).json()["next_cursor"]
    flipped = cursor[:5] + ("A" if cursor[5] != "A" else "B") + cursor[6:]

    answers = [
        await listed(api, bearer(other.live), cursor=cursor),
        await listed(api, bearer(acme.test), cursor=cursor),
        await listed(api, bearer(acme.live), cursor=cursor, lane="normal"),
        await listed(api, bearer(acme.live), cursor=flipped),
        await listed(api, bearer(acme.live), cursor="nonsense!"),
        await listed(api, bearer(acme.live), cursor=""),
    ]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {
        (400, "invalid_cursor")
    }


async def test_list_names_every_invalid_parameter(api: Any, acme: Any, bearer: Any) -> None:
    query = "limit=101&status=lost&accepted_from=yesterday&sender=%00&colour=red&lane=a&lane=b"

    answer = await api.get(f"{PATH}?{query}", headers=bearer(acme.live))

    assert answer.status_code == 422
    assert {error["pointer"] for error in answer.json()["errors"]} == {
        "/limit",
        "/status",
        "/accepted_from",
        "/sender",
        "/colour",
        "/lane",
    }


async def test_list_refuses_invalid_number(api: Any, acme: Any, bearer: Any) -> None:
    answer = await listed(api, bearer(acme.live), to="12")

    assert answer.json()["code"] == "invalid_number"


async def test_list_refuses_endless_query(api: Any, acme: Any, bearer: Any) -> None:
    answer = await api.get(f"{PATH}?" + "a=1&" * 60, headers=bearer(acme.live))

    assert answer.status_code == 400


def test_statuses_of_filter_are_those_of_messages() -> None:
    assert StatusName.__args__ == tuple(status.value for status in Status)
