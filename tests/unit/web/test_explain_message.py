from typing import Any

import pytest

PATH = "/v1/messages"


@pytest.fixture
async def sent(api: Any, acme: Any, bearer: Any, message: Any) -> str:
    asked = {**message, "text": "Tŵr"}
    answer = await api.post(PATH, json=asked, headers=bearer(acme.live))
    identifier: str = answer.json()["id"]
    return identifier


async def test_explain_tells_why_a_message_stands_so(
    api: Any, acme: Any, bearer: Any, sent: str
) -> None:
    answer = await api.get(f"{PATH}/{sent}/explain", headers=bearer(acme.live))

    told = answer.json()
    assert answer.status_code == 200
    assert (told["id"], told["status"], told["attempts"]) == (sent, "accepted", [])
    assert told["text"]["forcing_characters"] == [{"character": "ŵ", "positions": [1]}]
    assert [entry["name"] for entry in told["credits"]] == ["credit.reserved"]


@pytest.mark.parametrize("message_id", ["msg_0", "msg_" + "0" * 32])
async def test_explain_finds_nothing(api: Any, acme: Any, bearer: Any, message_id: str) -> None:
    answer = await api.get(f"{PATH}/{message_id}/explain", headers=bearer(acme.live))

    assert answer.json()["code"] == "message_not_found"


async def test_explain_finds_nothing_of_others_or_the_other_mode(
    api: Any, acme: Any, other: Any, bearer: Any, sent: str
) -> None:
    for key in (other.live, acme.test):
        answer = await api.get(f"{PATH}/{sent}/explain", headers=bearer(key))
        assert answer.status_code == 404


async def test_operators_see_any_message_explained(
    admin: Any, admin_key: str, bearer: Any, sent: str
) -> None:
    headers = bearer(admin_key)

    answer = await admin.get(f"/admin/v1/messages/{sent}/explain", headers=headers)
    missing = await admin.get(f"/admin/v1/messages/msg_{'0' * 32}/explain", headers=headers)

    assert answer.json()["price"]["cost_micros"] == 800_000
    assert missing.json()["code"] == "message_not_found"
