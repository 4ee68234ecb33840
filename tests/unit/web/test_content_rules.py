from typing import Any

import pytest

PATH = "/admin/v1/content-rules"
RULE = {
    "mode": "shadow",
    "reason": "Offers of loans against a fee are not sent.",
    "note": "Complaints.",
    "phrases": ["pay fee"],
    "words": ["loan"],
}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", PATH),
        ("GET", f"{PATH}/loans"),
        ("PUT", f"{PATH}/loans"),
        ("POST", f"{PATH}/loans/remove"),
        ("GET", f"{PATH}/loans/matches"),
    ],
)
async def test_content_rules_are_not_shown_without_key(admin: Any, method: str, path: str) -> None:
    answer = await admin.request(method, path)

    assert answer.status_code == 401


async def test_set_content_rule_makes_and_changes_it(
    admin: Any, admin_key: str, bearer: Any
) -> None:
    operator = bearer(admin_key)

    made = await admin.put(f"{PATH}/loans", json=RULE, headers=operator)
    changed = await admin.put(f"{PATH}/loans", json={**RULE, "mode": "block"}, headers=operator)
    read = await admin.get(f"{PATH}/loans", headers=operator)

    assert made.status_code == 200
    assert (made.json()["mode"], made.json()["origin"]) == ("shadow", "operators")
    assert read.json() == changed.json()
    assert (read.json()["mode"], read.json()["words"]) == ("block", ["loan"])
    assert read.json()["changed_by"].startswith("operator:")


@pytest.mark.parametrize(
    ("name", "changes", "pointer"),
    [
        ("Loans", {}, "/name"),
        ("l" * 61, {}, "/name"),
        ("loans", {"mode": "warn"}, "/mode"),
        ("loans", {"phrases": [" "]}, "/phrases/0"),
        ("loans", {"phrases": ["pay fee", "\u200b"]}, "/phrases/1"),
        ("loans", {"words": ["\u00ad\u2060\ufeff"]}, "/words/0"),
        ("loans", {"phrases": ["\ufdfa" * 60]}, "/phrases/0"),
        ("loans", {"phrases": [], "words": []}, "/phrases"),
        ("loans", {"reason": ""}, "/reason"),
        ("loans", {"note": ""}, "/note"),
    ],
)
async def test_set_content_rule_says_which_field_is_wrong(
    admin: Any, admin_key: str, bearer: Any, name: str, changes: dict[str, Any], pointer: str
) -> None:
    answer = await admin.put(f"{PATH}/{name}", json={**RULE, **changes}, headers=bearer(admin_key))

    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]


async def test_list_shows_rules_of_the_file_and_of_operators(
    admin: Any, admin_key: str, bearer: Any
) -> None:
    operator = bearer(admin_key)
    await admin.put(f"{PATH}/loans", json=RULE, headers=operator)

    every = await admin.get(PATH, headers=operator)
    of_file = await admin.get(f"{PATH}?origin=file&mode=block", headers=operator)

    assert [one["name"] for one in every.json()["items"]] == ["loans", "pin_theft"]
    assert [one["name"] for one in of_file.json()["items"]] == ["pin_theft"]


async def test_remove_content_rule_lets_the_file_s_hold_again(
    admin: Any, admin_key: str, bearer: Any
) -> None:
    operator, removal = bearer(admin_key), {"note": "Not needed."}
    await admin.put(f"{PATH}/pin_theft", json=RULE, headers=operator)

    removed = await admin.post(f"{PATH}/pin_theft/remove", json=removal, headers=operator)
    read = await admin.get(f"{PATH}/pin_theft", headers=operator)
    absent = await admin.get(f"{PATH}/loans", headers=operator)
    again = await admin.post(f"{PATH}/pin_theft/remove", json=removal, headers=operator)

    assert removed.status_code == 204
    assert read.json()["origin"] == "file"
    for answer in (absent, again):
        assert (answer.status_code, answer.json()["code"]) == (404, "content_rule_not_found")


async def test_matches_show_what_a_rule_blocked_and_never_the_text(
    api: Any, admin: Any, platform: Any, acme: Any, admin_key: str, bearer: Any
) -> None:
    operator = bearer(admin_key)
    asked = {"to": "+254712345678", "text": "Send your PIN", "sender": "ACME"}
    for _ in range(2):
        platform.clock.pass_by(seconds=1)
        await api.post("/v1/messages", json=asked, headers=bearer(acme.live))
    path = f"{PATH}/pin_theft/matches?mode=block&limit=1"

    first = await admin.get(path, headers=operator)
    second = await admin.get(f"{path}&cursor={first.json()['next_cursor']}", headers=operator)
    shadow = await admin.get(f"{PATH}/pin_theft/matches?mode=shadow", headers=operator)
    read = await admin.get(f"{PATH}/pin_theft", headers=operator)

    [match] = first.json()["items"]
    assert (match["mode"], match["message_id"]) == ("block", None)
    assert match["account_id"] == f"acct_{acme.account_id.hex}"
    assert match["refusal_id"].startswith("rfs_")
    assert "rel=" in first.headers["Link"]
    assert second.json()["next_cursor"] is None
    assert shadow.json()["items"] == []
    assert read.json()["blocked_last_day"] == 2
    assert "PIN" not in first.text
