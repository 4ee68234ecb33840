"""What was sent is counted for whoever may know, in pages and as a file."""

from typing import Any
from uuid import UUID

import pytest


async def _send(api: Any, key: str, bearer: Any, **changes: Any) -> None:
    body = {"to": "+254712345678", "text": "Karibu!", "sender": "ACME"} | changes
    answer = await api.post("/v1/messages", json=body, headers=bearer(key))
    assert answer.status_code == 202


@pytest.fixture
async def sent(api: Any, platform: Any, acme: Any, other: Any, bearer: Any) -> None:
    """Three messages on two days, one of a test key, and one of another account."""
    await _send(api, acme.live, bearer)
    await _send(api, acme.live, bearer)
    platform.clock.pass_by(days=1)
    await _send(api, acme.live, bearer)
    await _send(api, acme.test, bearer)
    await _send(api, other.live, bearer)


def _key(key_id: UUID) -> str:
    return f"key_{key_id.hex}"


@pytest.mark.usefixtures("sent")
async def test_usage_is_of_the_account_and_mode(api: Any, acme: Any, bearer: Any) -> None:
    answer = await api.get("/v1/usage", headers=bearer(acme.live))

    items = answer.json()["items"]
    assert [(one["day"], one["counts"]["accepted"]) for one in items] == [
        ("2026-11-03", 1),
        ("2026-11-02", 2),
    ]
    assert {one["key_id"] for one in items} == {_key(acme.live_key_id)}
    assert answer.json()["as_of"] == "2026-11-03T08:15:04Z"


@pytest.mark.usefixtures("sent")
async def test_usage_goes_on_where_a_page_ends(api: Any, acme: Any, bearer: Any) -> None:
    first = await api.get("/v1/usage?limit=1&sender=ACME", headers=bearer(acme.live))
    second = await api.get(first.links["next"]["url"], headers=bearer(acme.live))
    foreign = await api.get(
        f"/v1/usage?cursor={first.json()['next_cursor']}", headers=bearer(acme.live)
    )
    forged = await api.get("/v1/usage?cursor=AAAA", headers=bearer(acme.live))

    assert [one["day"] for one in second.json()["items"]] == ["2026-11-02"]
    assert second.json()["next_cursor"] is None
    assert foreign.json()["code"] == forged.json()["code"] == "invalid_cursor"


@pytest.mark.usefixtures("sent")
@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("day_from=2026-11-03", 1),
        ("day_before=2026-11-03", 2),
        ("network=", 0),
        ("network=safaricom", 3),
        ("sender=OTHER", 0),
        ("key=campaign", 0),
    ],
)
async def test_usage_counts_what_the_filter_asks_for(
    api: Any, acme: Any, bearer: Any, query: str, count: int
) -> None:
    answer = await api.get(f"/v1/usage?{query}", headers=bearer(acme.live))

    assert sum(one["counts"]["accepted"] for one in answer.json()["items"]) == count


@pytest.mark.usefixtures("sent")
async def test_usage_file_holds_every_row(api: Any, acme: Any, bearer: Any) -> None:
    answer = await api.get("/v1/usage.csv", headers=bearer(acme.live))

    lines = answer.text.splitlines()
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert [line.split(",")[0] for line in lines] == ["day", "2026-11-03", "2026-11-02"]


@pytest.mark.parametrize("path", ["/v1/usage", "/v1/usage.csv"])
async def test_usage_asks_for_a_key(api: Any, path: str) -> None:
    answer = await api.get(path)

    assert answer.status_code == 401


@pytest.mark.usefixtures("sent")
async def test_usage_of_all_accounts_is_for_operators(
    admin: Any, admin_key: str, acme: Any, bearer: Any
) -> None:
    everything = await admin.get("/admin/v1/usage", headers=bearer(admin_key))
    one = f"account_id=acct_{acme.account_id.hex}&mode=live&limit=1"
    first = await admin.get(f"/admin/v1/usage?{one}", headers=bearer(admin_key))
    second = await admin.get(first.links["next"]["url"], headers=bearer(admin_key))
    file = await admin.get("/admin/v1/usage.csv", headers=bearer(admin_key))
    wrong = await admin.get("/admin/v1/usage?account_id=acme", headers=bearer(admin_key))
    customer = await admin.get("/admin/v1/usage", headers=bearer(acme.live))

    assert sum(one["counts"]["accepted"] for one in everything.json()["items"]) == 5
    assert [one["counts"]["accepted"] for one in first.json()["items"]] == [1]
    assert [one["counts"]["accepted"] for one in second.json()["items"]] == [2]
    assert len(file.text.splitlines()) == 5
    assert wrong.json()["code"] == "account_not_found"
    assert customer.status_code == 403
