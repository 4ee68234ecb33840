from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from semalink.application.campaign_checking import AccountRules, CampaignChecker
from semalink.domain.campaign import Campaign
from semalink.domain.price_list import OWN_TERMS
from semalink.web.content import own_rules

Client = AsyncTestClient[Litestar]
Bearer = Callable[..., dict[str, str]]
PATH = "/v1/campaigns"
NEW = {
    "name": "Offers",
    "sender": "ACME",
    "text": "Habari {name}!",
    "recipients": [
        {"to": "+254712345678", "variables": {"name": "Ada"}},
        {"to": "0712 345 678", "variables": {"name": "Ada again"}},
        {"to": "0733123456"},
        {"to": "nobody"},
    ],
}


async def work(platform: Any) -> None:
    """Do what is asked of the worker of contents."""

    async def rules_of(_: UUID) -> AccountRules:
        return AccountRules(own_rules(frozenset({"ACME"}), {}, platform.rules), OWN_TERMS)

    checker = CampaignChecker(
        platform.campaigns,
        platform.ledger,
        rules_of,
        platform=lambda: platform.circumstances,
        now=platform.clock,
        on_tasks=lambda: None,
    )
    while tasks := platform.campaigns.tasks():
        for task in tasks:
            await checker.kinds[task.kind](task)


async def draft(api: Client, headers: dict[str, str], **changes: Any) -> str:
    answer = await api.post(PATH, json={**NEW, **changes}, headers=headers)
    assert answer.status_code == 201, answer.json()
    return str(answer.json()["id"])


def codes(problem: Any) -> Sequence[str]:
    return [problem["code"], *(one["pointer"] for one in problem["errors"])]


async def test_campaigns_ask_for_a_key_and_show_nobody_elses(
    api: Client, acme: Any, other: Any, bearer: Bearer
) -> None:
    campaign_id = await draft(api, bearer(acme.live))

    assert (await api.get(PATH)).status_code == 401
    for key in (other.live, acme.test):
        one = await api.get(f"{PATH}/{campaign_id}", headers=bearer(key))
        assert (one.status_code, one.json()["code"]) == (404, "campaign_not_found")
        listed = await api.get(PATH, headers=bearer(key))
        assert listed.json() == {"items": [], "next_cursor": None}
    none = await api.get(f"{PATH}/cmp_1", headers=bearer(acme.live))
    assert none.json()["code"] == "campaign_not_found"


async def test_create_answers_a_repeated_key_with_the_same_campaign(
    api: Client, acme: Any, bearer: Bearer, platform: Any
) -> None:
    headers = bearer(acme.live, Idempotency_Key="once")

    first = await api.post(PATH, json=NEW, headers=headers)
    again = await api.post(PATH, json=NEW, headers=headers)

    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert first.json()["state"] == "draft"
    assert first.json()["inline_recipient_count"] == 4
    assert first.headers["location"] == f"{PATH}/{first.json()['id']}"
    assert len(platform.campaigns.uploads) == 1


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"text": "Habari {name"}, ["invalid_template", "/text"]),
        ({"defaults": {"other": "x"}}, ["unused_default", "/defaults"]),
        ({"sender": "NOBODY"}, ["unknown_sender", "/sender"]),
        ({"time_zone": "Nairobi"}, ["unknown_time_zone", "/time_zone"]),
        ({"send_at": "soon"}, ["invalid_local_time", "/send_at"]),
        (
            {"send_at": "2026-03-29T02:30", "time_zone": "Europe/Berlin"},
            ["invalid_local_time", "/send_at"],
        ),
        ({"rate_per_second": 5, "finish_by": "2026-12-01"}, ["pace_given_twice", "/finish_by"]),
        ({"contact_list_ids": ["lst_1"]}, ["contact_list_not_found"]),
        ({"contact_list_ids": [f"lst_{7:032x}"]}, ["contact_list_not_found"]),
        ({"recipients": [{"to": "a\u0000"}]}, ["validation_failed", "/recipients/0/to"]),
    ],
)
async def test_create_refuses_a_plan_and_says_where_it_is_wrong(
    change: dict[str, Any], wanted: list[str], api: Client, acme: Any, bearer: Bearer
) -> None:
    answer = await api.post(PATH, json={**NEW, **change}, headers=bearer(acme.live))

    assert codes(answer.json()) == wanted


async def test_quote_checks_first_and_then_tells_what_it_comes_to(
    api: Client, acme: Any, bearer: Bearer, platform: Any
) -> None:
    headers = bearer(acme.live)
    path = f"{PATH}/{await draft(api, headers)}"

    under_way = await api.post(f"{path}/quote", headers=headers)
    still = await api.post(f"{path}/quote", headers=headers)
    await work(platform)
    quote = await api.post(f"{path}/quote", headers=headers)
    fresh = await api.post(f"{path}/quote?fresh=true", headers=headers)

    assert under_way.status_code == still.status_code == fresh.status_code == 202
    assert under_way.headers["retry-after"] == "1"
    assert under_way.json() == {
        "state": "checking",
        "checked_count": 0,
        "recipient_count": None,
    }
    found = quote.json()
    assert (found["recipient_count"], found["message_count"]) == (4, 1)
    assert found["left_out"] == {"duplicate": 1, "missing_variable": 1, "invalid_number": 1}
    assert found["price_micros"] == 800_000
    assert found["credit"]["is_enough"]
    assert found["samples"][0]["text"] == "Habari Ada!"


async def test_recipients_are_listed_page_by_page_and_downloaded_with_their_reasons(
    api: Client, acme: Any, bearer: Bearer, platform: Any
) -> None:
    headers = bearer(acme.live)
    path = f"{PATH}/{await draft(api, headers)}"
    await api.post(f"{path}/quote", headers=headers)
    await work(platform)

    first = (await api.get(f"{path}/recipients?limit=3", headers=headers)).json()
    link = f"{path}/recipients?limit=3&cursor={first['next_cursor']}"
    second = (await api.get(link, headers=headers)).json()
    file = await api.get(f"{path}/recipients.csv", headers=headers)

    assert [one["place"] for one in first["items"] + second["items"]] == [0, 1, 2, 3]
    assert second["next_cursor"] is None
    assert file.text.splitlines() == [
        "number,reason,detail",
        "+254712345678,duplicate,",
        "+254733123456,missing_variable,name",
        "nobody,invalid_number,",
    ]


@pytest.mark.parametrize("what", ["recipients", "recipients.csv"])
async def test_recipients_of_an_old_draft_are_refused_as_kept_no_longer(
    api: Client, acme: Any, bearer: Bearer, platform: Any, what: str
) -> None:
    headers = bearer(acme.live)
    path = f"{PATH}/{await draft(api, headers)}"
    young = await api.get(f"{path}/{what}", headers=headers)
    platform.clock.now += timedelta(days=90)

    old = await api.get(f"{path}/{what}", headers=headers)

    assert young.status_code == 200
    assert (old.status_code, old.json()["code"]) == (410, "recipients_no_longer_kept")


async def test_edit_changes_what_is_given_and_adds_or_replaces_recipients(
    api: Client, acme: Any, bearer: Bearer, platform: Any
) -> None:
    headers = bearer(acme.live)
    path = f"{PATH}/{await draft(api, headers)}"
    platform.campaigns.lists[acme.account_id, UUID(int=7)] = []
    more = {"recipients": NEW["recipients"][:1]}

    added = (await api.post(f"{path}/recipients", json=more, headers=headers)).json()
    change = {
        "sender": "SemaLink",
        "contact_list_ids": [f"lst_{7:032x}"],
        "send_at": "2026-12-01T09:00",
        "recipients": more["recipients"],
    }
    edited = (await api.patch(path, json=change, headers=headers)).json()
    reset = (await api.patch(path, json={"send_at": None}, headers=headers)).json()

    assert added["inline_recipient_count"] == 5
    assert (edited["inline_recipient_count"], edited["revision"]) == (1, 3)
    assert edited["send_at"] == "2026-12-01T06:00:00Z"
    assert edited["contact_list_ids"] == [f"lst_{7:032x}"]
    assert (reset["send_at"], reset["sender"]) == (None, "SemaLink")


async def test_schedule_pause_and_cancel_answer_with_the_campaign(
    api: Client, acme: Any, bearer: Bearer, platform: Any
) -> None:
    headers = bearer(acme.live)
    path = f"{PATH}/{await draft(api, headers)}"

    checking = await api.post(f"{path}/schedule", headers=headers)
    await work(platform)
    scheduled = await api.get(path, headers=headers)
    paused = await api.post(f"{path}/pause", headers=headers)
    cancelled = await api.post(f"{path}/cancel", headers=headers)
    deleted = await api.delete(path, headers=headers)

    assert (checking.status_code, checking.json()["state"]) == (202, "checking")
    assert scheduled.json()["state"] == "scheduled"
    assert scheduled.json()["start_at"] == scheduled.json()["changed_at"]
    assert (paused.status_code, paused.json()["code"]) == (409, "campaign_state_conflict")
    assert cancelled.json()["state"] == "cancelled"
    assert deleted.status_code == 204


async def test_schedule_of_a_checked_campaign_answers_at_once(
    api: Client, acme: Any, bearer: Bearer, platform: Any
) -> None:
    headers = bearer(acme.live)
    path = f"{PATH}/{await draft(api, headers)}"
    await api.post(f"{path}/quote", headers=headers)
    await work(platform)

    scheduled = await api.post(f"{path}/schedule", headers=headers)

    assert (scheduled.status_code, scheduled.json()["state"]) == (200, "scheduled")


async def test_list_filters_by_state_and_goes_on_behind_a_cursor(
    api: Client, acme: Any, bearer: Bearer
) -> None:
    headers = bearer(acme.live)
    ids = [await draft(api, headers, name=f"Nr {place}") for place in range(3)]
    await api.delete(f"{PATH}/{ids[0]}", headers=headers)

    first = await api.get(f"{PATH}?state=draft&limit=1", headers=headers)
    link = f"{PATH}?state=draft&limit=1&cursor={first.json()['next_cursor']}"
    second = await api.get(link, headers=headers)

    assert [one["id"] for one in first.json()["items"]] == [ids[2]]
    assert [one["id"] for one in second.json()["items"]] == [ids[1]]
    assert second.json()["next_cursor"] is None


async def test_operators_see_approve_and_decline_campaigns(
    api: Client, admin: Client, acme: Any, admin_key: str, bearer: Bearer, platform: Any
) -> None:
    ops, headers = bearer(admin_key), bearer(acme.live)
    account = f"acct_{acme.account_id.hex}"
    rule = await admin.put(
        f"/admin/v1/accounts/{account}/campaign-approval", json={"is_required": True}, headers=ops
    )
    campaign_id = await draft(api, headers)
    await api.post(f"{PATH}/{campaign_id}/schedule", headers=headers)
    await work(platform)
    one = f"/admin/v1/campaigns/{campaign_id}"
    why = {"reason": "looked at", "revision": 1}

    waiting = await admin.get(
        f"/admin/v1/campaigns?state=awaiting_approval&account_id={account}", headers=ops
    )
    samples = await admin.get(f"{one}/samples", headers=ops)
    unread = await admin.post(f"{one}/approve", json={**why, "revision": 2}, headers=ops)
    states = [
        (await admin.post(f"{one}/{step}", json=why, headers=ops)).json()["state"]
        for step in ("approve", "withdraw-approval", "decline")
    ]
    read = await admin.get(one, headers=ops)

    assert rule.json() == {"is_required": True}
    assert (unread.status_code, unread.json()["code"]) == (409, "campaign_state_conflict")
    assert [item["id"] for item in waiting.json()["items"]] == [campaign_id]
    assert samples.json()["samples"][0]["text"] == "Habari Ada!"
    assert states == ["scheduled", "awaiting_approval", "draft"]
    assert read.json()["problem"] == {"code": "approval_declined", "detail": "looked at"}


async def test_operators_cancel_any_campaign_and_say_why(
    api: Client, admin: Client, acme: Any, admin_key: str, bearer: Bearer, platform: Any
) -> None:
    campaign_id = await draft(api, bearer(acme.live))
    one, ops = f"/admin/v1/campaigns/{campaign_id}", bearer(admin_key)
    why = {"reason": "fraud"}

    early = [
        (await admin.post(f"{one}/{move}", json=why, headers=ops)).status_code
        for move in ("pause", "resume")
    ]
    unexplained = await admin.post(f"{one}/cancel", json={}, headers=ops)
    cancelled = await admin.post(f"{one}/cancel", json=why, headers=ops)

    assert early == [409, 409]
    assert unexplained.status_code == 422
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    [event] = [each for each in platform.ledger.log if isinstance(each, Campaign.Cancelled)]
    assert event.reason == "fraud"
