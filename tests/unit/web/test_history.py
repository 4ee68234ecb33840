from typing import Any

import pytest

from semalink.application.credits import SetCreditLimit

HISTORY = "/admin/v1/history"


@pytest.fixture
def operator(admin_key: str, bearer: Any) -> Any:
    return bearer(admin_key)


async def set_limit(platform: Any, account_id: Any, limit_micros: int) -> None:
    await platform.ledger.execute(
        SetCreditLimit(account_id, limit_micros, "contract 117", platform.cause)
    )


async def test_history_answers_who_changed_a_limit(
    admin: Any, platform: Any, acme: Any, operator: Any
) -> None:
    await set_limit(platform, acme.account_id, 200)
    asked = {"account_id": f"acct_{acme.account_id.hex}", "name": "credit.limit_set"}

    answer = await admin.get(HISTORY, params=asked, headers=operator)

    assert answer.status_code == 200
    [row] = answer.json()["items"]
    assert (row["actor"], row["reason"]) == ("operator:tests", "contract 117")
    assert (row["before"], row["facts"]["credit_limit_micros"]) == (
        {"credit_limit_micros": 0}, 200,
    )  # fmt: skip


async def test_history_pages_lead_to_every_row_once(
    admin: Any, platform: Any, acme: Any, operator: Any
) -> None:
    whole = (await admin.get(HISTORY, headers=operator)).json()["items"]
    cursor, told = None, []

    for _ in range(len(whole)):
        asked = {"limit": 1} if cursor is None else {"limit": 1, "cursor": cursor}
        page = (await admin.get(HISTORY, params=asked, headers=operator)).json()
        told += page["items"]
        cursor = page["next_cursor"]

    assert told == whole
    assert cursor is None


async def test_history_links_to_the_next_page(admin: Any, acme: Any, operator: Any) -> None:
    first = await admin.get(HISTORY, params={"limit": 1}, headers=operator)

    link = first.headers["Link"].partition(">")[0].removeprefix("<")
    second = await admin.get(link, headers=operator)

    assert second.status_code == 200
    assert second.json()["items"] != first.json()["items"]


async def test_history_refuses_a_cursor_of_other_filters(
    admin: Any, acme: Any, operator: Any
) -> None:
    first = await admin.get(HISTORY, params={"limit": 1}, headers=operator)
    asked = {"cursor": first.json()["next_cursor"], "refused": True}

    answer = await admin.get(HISTORY, params=asked, headers=operator)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


async def test_history_refuses_a_cursor_that_was_not_given_out(admin: Any, operator: Any) -> None:
    answer = await admin.get(HISTORY, params={"cursor": "AAAA"}, headers=operator)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


@pytest.mark.parametrize(
    "asked",
    [
        {"refused": True, "name": "credit"},
        {"message_id": f"msg_{'0' * 32}", "campaign_id": f"cmp_{'1' * 32}"},
        {"message_id": "msg_1"},
        {"from_at": "2026-11-24T00:00:00"},
        {"limit": 0},
    ],
)
async def test_history_refuses_what_makes_no_sense(
    admin: Any, operator: Any, asked: dict[str, Any]
) -> None:
    answer = await admin.get(HISTORY, params=asked, headers=operator)

    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


async def test_history_shows_only_refusals_when_asked_for_them(
    admin: Any, api: Any, acme: Any, operator: Any, bearer: Any, message: dict[str, Any]
) -> None:
    refused = await api.post(
        "/v1/messages", json=message | {"sender": "NOT-MINE"}, headers=bearer(acme.live)
    )

    answer = await admin.get(HISTORY, params={"refused": True}, headers=operator)

    [row] = answer.json()["items"]
    assert (row["name"], row["reason"]) == ("refused.accept_message", refused.json()["code"])
    assert row["request_id"] == refused.headers["X-Request-Id"]


async def test_history_hides_texts_numbers_and_hashes_of_keys(
    admin: Any, api: Any, acme: Any, operator: Any, bearer: Any, message: dict[str, Any]
) -> None:
    await api.post("/v1/messages", json=message, headers=bearer(acme.live))

    answer = await admin.get(HISTORY, headers=operator)

    facts = [row["facts"] for row in answer.json()["items"]]
    assert {one["text"] for one in facts if "text" in one} == {"<redacted>"}
    assert {one["to"] for one in facts if "to" in one} == {"<redacted>"}
    assert {one["key_hash"] for one in facts if "key_hash" in one} == {"<redacted>"}
    assert message["to"] not in answer.text


@pytest.mark.parametrize("role", ["admin", "auditor", "finance", "ops"])
async def test_history_is_open_to_every_role(
    admin: Any, platform: Any, acme: Any, bearer: Any, role: str
) -> None:
    _, key = await platform.issue(acme.account_id, "operator", [role])

    answer = await admin.get(HISTORY, headers=bearer(key))

    assert answer.status_code == 200


async def test_history_is_closed_to_customers(
    admin: Any, platform: Any, acme: Any, bearer: Any
) -> None:
    _, key = await platform.issue(acme.account_id, "operator", ["messages:read"])

    answer = await admin.get(HISTORY, headers=bearer(key))

    assert answer.status_code == 403
