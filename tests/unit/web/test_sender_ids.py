from typing import Any

import pytest

from semalink.application.sender_ids import WAITING_MAX

WANTED = {"sender": "OFFERS", "uses": ["promotional"], "reason": "Weekly offers."}
LETTER = {"class": "promotional", "reason": "Letter on file."}


async def request(api: Any, key: dict[str, str], **changes: Any) -> Any:
    answer = await api.post("/v1/sender-ids", json={**WANTED, **changes}, headers=key)
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/sender-ids"), ("GET", "/v1/sender-ids"), ("GET", "/v1/sender-ids/snd_1")],
)
async def test_sender_ids_are_not_shown_without_key(api: Any, method: str, path: str) -> None:
    answer = await api.request(method, path)

    assert answer.status_code == 401


async def test_sender_id_of_another_account_is_not_found(
    api: Any, acme: Any, other: Any, bearer: Any
) -> None:
    asked = await request(api, bearer(other.live))

    for sender_id in (asked["id"], "snd_nothing"):
        answer = await api.get(f"/v1/sender-ids/{sender_id}", headers=bearer(acme.live))
        assert (answer.status_code, answer.json()["code"]) == (404, "sender_id_not_found")


async def test_request_waits_for_a_decision(api: Any, acme: Any, bearer: Any) -> None:
    asked = await request(api, bearer(acme.live), uses=["transactional", "promotional"])
    again = await request(api, bearer(acme.live))
    read = await api.get(f"/v1/sender-ids/{asked['id']}", headers=bearer(acme.live))

    assert (asked["state"], asked["class"]) == ("requested", "promotional")
    assert (asked["reason"], asked["decided_at"]) == ("Weekly offers.", None)
    assert read.json() == again == asked


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"sender": "-?-"}, "/sender"),
        ({"uses": []}, "/uses"),
        ({"uses": ["both"]}, "/uses/0"),
        ({"reason": ""}, "/reason"),
        ({"opt_out_text": "STOP ŵ"}, "/opt_out_text"),
    ],
)
async def test_request_says_which_field_is_wrong(
    api: Any, acme: Any, bearer: Any, changes: dict[str, Any], pointer: str
) -> None:
    asked = {**WANTED, **changes}

    answer = await api.post("/v1/sender-ids", json=asked, headers=bearer(acme.live))

    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]


async def test_request_is_refused_to_test_keys_and_when_too_many_wait(
    api: Any, acme: Any, bearer: Any
) -> None:
    for number in range(WAITING_MAX):
        await request(api, bearer(acme.live), sender=f"OFFERS{number}")

    test = await api.post("/v1/sender-ids", json=WANTED, headers=bearer(acme.test))
    live = await api.post("/v1/sender-ids", json=WANTED, headers=bearer(acme.live))

    assert (test.status_code, test.json()["code"]) == (403, "forbidden")
    assert (live.status_code, live.json()["code"]) == (409, "too_many_sender_ids")


async def test_list_shows_page_by_page_what_fits(
    api: Any, platform: Any, acme: Any, bearer: Any
) -> None:
    for sender in ("ONE", "TWO"):
        platform.clock.pass_by(seconds=1)
        await request(api, bearer(acme.live), sender=sender)
    query = "?state=requested&class=promotional&limit=1"

    first = await api.get(f"/v1/sender-ids{query}", headers=bearer(acme.live))
    cursor = first.json()["next_cursor"]
    second = await api.get(f"/v1/sender-ids{query}&cursor={cursor}", headers=bearer(acme.live))
    every = await api.get("/v1/sender-ids", headers=bearer(acme.live))

    assert [one["sender"] for one in first.json()["items"]] == ["TWO"]
    assert "rel=" in first.headers["Link"]
    assert [one["sender"] for one in second.json()["items"]] == ["ONE"]
    assert second.json()["next_cursor"] is None
    assert [one["sender"] for one in every.json()["items"]] == ["TWO", "ONE", "ACME"]


async def test_operators_decide_and_the_account_reads_why(
    api: Any, admin: Any, acme: Any, admin_key: str, bearer: Any
) -> None:
    asked, operator = await request(api, bearer(acme.live)), bearer(admin_key)
    of_it = f"/admin/v1/sender-ids/{asked['id']}"

    waiting = await admin.get("/admin/v1/sender-ids?state=requested", headers=operator)
    approved = await admin.post(f"{of_it}/approve", json=LETTER, headers=operator)
    reclassed = await admin.put(
        f"{of_it}/class", json={**LETTER, "class": "transactional"}, headers=operator
    )
    withdrawn = await admin.post(
        f"{of_it}/withdraw", json={"reason": "Complaints."}, headers=operator
    )
    read = await api.get(f"/v1/sender-ids/{asked['id']}", headers=bearer(acme.live))

    assert [one["id"] for one in waiting.json()["items"]] == [asked["id"]]
    assert (approved.json()["state"], approved.json()["class"]) == ("approved", "promotional")
    assert reclassed.json()["class"] == "transactional"
    assert withdrawn.json() == read.json()
    assert (read.json()["state"], read.json()["reason"]) == ("withdrawn", "Complaints.")


async def test_decision_is_refused_in_another_state(
    api: Any, admin: Any, acme: Any, admin_key: str, bearer: Any
) -> None:
    asked, operator = await request(api, bearer(acme.live)), bearer(admin_key)
    of_it = f"/admin/v1/sender-ids/{asked['id']}"

    early = await admin.post(f"{of_it}/withdraw", json={"reason": "No."}, headers=operator)
    rejected = await admin.post(f"{of_it}/reject", json={"reason": "No."}, headers=operator)
    absent = await admin.post(
        f"/admin/v1/sender-ids/snd_{'0' * 32}/approve", json=LETTER, headers=operator
    )

    assert (early.status_code, early.json()["code"]) == (409, "sender_id_in_other_state")
    assert rejected.json()["state"] == "rejected"
    assert (absent.status_code, absent.json()["code"]) == (404, "sender_id_not_found")


async def test_operators_list_by_account_sender_and_class(
    api: Any, admin: Any, acme: Any, other: Any, admin_key: str, bearer: Any
) -> None:
    for tenant in (acme, other):
        await request(api, bearer(tenant.live))
    path, operator = "/admin/v1/sender-ids", bearer(admin_key)
    query = f"?account_id=acct_{acme.account_id.hex}&sender=OFFERS&class=promotional"

    found = await admin.get(f"{path}{query}", headers=operator)
    first = await admin.get(f"{path}?sender=OFFERS&limit=1", headers=operator)
    cursor = first.json()["next_cursor"]
    second = await admin.get(f"{path}?sender=OFFERS&limit=1&cursor={cursor}", headers=operator)

    assert [one["account_id"] for one in found.json()["items"]] == [f"acct_{acme.account_id.hex}"]
    owners = {page.json()["items"][0]["account_id"] for page in (first, second)}
    assert len(owners) == 2


async def test_auditors_read_and_do_not_decide(
    api: Any, admin: Any, platform: Any, acme: Any, bearer: Any
) -> None:
    asked = await request(api, bearer(acme.live))
    await platform.open_platform()
    _, key = await platform.issue(acme.account_id, "operator", ["auditor"])
    of_it = f"/admin/v1/sender-ids/{asked['id']}"

    read = await admin.get(of_it, headers=bearer(key))
    decided = await admin.post(f"{of_it}/approve", json=LETTER, headers=bearer(key))

    assert (read.status_code, decided.status_code) == (200, 403)


async def test_approve_is_refused_for_a_sender_id_that_all_accounts_share(
    api: Any, acme: Any, admin: Any, admin_key: str, bearer: Any
) -> None:
    operator = bearer(admin_key)
    asked = await request(api, bearer(acme.live), sender="SEMALINK")
    one = f"/admin/v1/sender-ids/{asked['id']}"
    of_acme = f"/admin/v1/accounts/{asked['account_id']}/senders"

    approved = await admin.post(f"{one}/approve", json=LETTER, headers=operator)
    classed = await admin.put(f"{one}/class", json=LETTER, headers=operator)
    unasked = await admin.post(of_acme, json={"sender": "semalink"}, headers=operator)

    for answer in (approved, classed, unasked):
        assert answer.status_code == 422
        assert [one["pointer"] for one in answer.json()["errors"]] == ["/sender"]
