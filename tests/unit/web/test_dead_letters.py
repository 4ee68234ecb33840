import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from semalink.application.dead_letter_reading import StoredReport
from semalink.application.dead_letters import Burial, BuryDeadLetter, about_of, letter_uuid
from semalink.domain.dead_letter import DeadLetter
from semalink.domain.ids import format_id

PATH = "/admin/v1/dead-letters"
JOBS = "/admin/v1/dead-letter-jobs"


@pytest.fixture
def ops(admin_key: str, bearer: Callable[..., dict[str, str]]) -> dict[str, str]:
    return bearer(admin_key)


async def bury(
    platform: Any, payload: bytes, *, queue: str = "sms.normal", minutes: int = 0
) -> str:
    at = platform.clock.now - timedelta(minutes=minutes)
    buried_as = f"dlq:{len(platform.dead_letters.stored)}"
    letter_id = letter_uuid(buried_as, at)
    about = about_of(queue, payload)
    platform.dead_letters.stored[letter_id] = Burial(
        letter_id, buried_as, queue, queue, "E", "why", 5, at, at, "id", 0, about, payload, {}
    )
    await platform.ledger.execute(
        BuryDeadLetter(letter_id, queue, "E", "why", 5, buried_as, about, platform.cause)
    )
    return format_id("dlq_", letter_id)


async def test_list_pages_and_filters_dead_letters(
    platform: Any, admin: Any, ops: dict[str, str]
) -> None:
    oldest = await bury(platform, b"1", minutes=30)
    await bury(platform, b"2", minutes=20)
    await bury(platform, b"3", queue="dlr.inbound")

    first = await admin.get(PATH, headers=ops, params={"limit": 2})
    rest = await admin.get(
        PATH, headers=ops, params={"limit": 2, "cursor": first.json()["next_cursor"]}
    )
    old = await admin.get(PATH, headers=ops, params={"older_than_seconds": 1_500})
    wrong = await admin.get(
        PATH, headers=ops, params={"queue": "x", "cursor": first.json()["next_cursor"]}
    )

    assert [one["queue"] for one in first.json()["items"]] == ["dlr.inbound", "sms.normal"]
    assert [one["id"] for one in rest.json()["items"]] == [oldest]
    assert [one["id"] for one in old.json()["items"]] == [oldest]
    assert wrong.json()["code"] == "invalid_cursor"


async def test_groups_count_what_waits(platform: Any, admin: Any, ops: dict[str, str]) -> None:
    await bury(platform, b"1")
    await bury(platform, b"2")

    answer = await admin.get(f"{PATH}/groups", headers=ops)

    [group] = answer.json()["items"]
    assert (group["queue"], group["error_type"], group["count"]) == ("sms.normal", "E", 2)


async def test_read_shows_payload_and_the_steps_of_its_message(
    platform: Any,
    admin: Any,
    api: Any,
    *,
    acme: Any,
    ops: dict[str, str],
    message: Any,
    bearer: Any,
) -> None:
    sent = await api.post(
        "/v1/messages", json=message, headers=bearer(acme.live, Idempotency_Key="k")
    )
    payload = b'{"message_id": "%s"}' % sent.json()["id"].removeprefix("msg_").encode()
    letter_id = await bury(platform, payload)

    answer = await admin.get(f"{PATH}/{letter_id}", headers=ops)

    detail = answer.json()
    assert detail["letter"]["about"] == sent.json()["id"]
    assert detail["payload"] == {"encoding": "text", "content": payload.decode()}
    assert detail["message_events"][0]["name"] == "message.accepted"
    assert [action["name"] for action in detail["actions"]] == ["dead_letter.buried"]


async def test_read_shows_what_is_no_text_in_base64_and_a_stored_report(
    platform: Any, admin: Any, ops: dict[str, str]
) -> None:
    letter_id = await bury(platform, b"\xff", queue="dlr.inbound")
    report_id = await bury(
        platform, b'{"report_id": "01a21f3c5b0a7c3f9d0e1f2a3b4c5d6e"}', queue="dlr.inbound"
    )
    platform.dead_letters.reports["rpt_01a21f3c5b0a7c3f9d0e1f2a3b4c5d6e"] = StoredReport(
        "celcom", "text/plain", b"as it came", platform.clock.now
    )

    binary = (await admin.get(f"{PATH}/{letter_id}", headers=ops)).json()
    report = (await admin.get(f"{PATH}/{report_id}", headers=ops)).json()

    assert binary["payload"] == {"encoding": "base64", "content": "/w=="}
    assert report["report"]["body"] == {"encoding": "text", "content": "as it came"}


@pytest.mark.parametrize(
    ("edit", "published"),
    [
        ({}, None),
        ({"payload": "mended"}, b"mended"),
        ({"payload_base64": base64.b64encode(b"\xff").decode()}, b"\xff"),
    ],
)
async def test_republish_records_who_and_what(
    platform: Any,
    admin: Any,
    ops: dict[str, str],
    edit: dict[str, Any],
    published: bytes | None,
) -> None:
    letter_id = await bury(platform, b"broken")

    answer = await admin.post(f"{PATH}/{letter_id}/republish", headers=ops, json=edit)
    twice = await admin.post(f"{PATH}/{letter_id}/republish", headers=ops, json=edit)
    again = await admin.post(
        f"{PATH}/{letter_id}/republish", headers=ops, json={**edit, "again": True}
    )

    [*_, event] = [
        event
        for stream in platform.ledger.streams[DeadLetter].values()
        for event in stream
        if isinstance(event, DeadLetter.Republished)
    ]
    assert answer.json()["state"] == "republishing"
    assert (twice.status_code, twice.json()["code"]) == (409, "dead_letter_settled")
    assert again.json()["republished_count"] == 2
    assert event.payload == published
    assert event.actor.startswith("operator:key_")


async def test_republish_mends_a_stored_report(
    platform: Any, admin: Any, ops: dict[str, str]
) -> None:
    letter_id = await bury(
        platform, b'{"report_id": "01a21f3c5b0a7c3f9d0e1f2a3b4c5d6e"}', queue="dlr.inbound"
    )
    platform.dead_letters.reports["rpt_01a21f3c5b0a7c3f9d0e1f2a3b4c5d6e"] = StoredReport(
        "celcom", "text/plain", b"broken", platform.clock.now
    )

    await admin.post(f"{PATH}/{letter_id}/republish", headers=ops, json={"report_body": "mended"})
    detail = (await admin.get(f"{PATH}/{letter_id}", headers=ops)).json()

    assert '"body":"bWVuZGVk"' in detail["edited_payload"]["content"]


@pytest.mark.parametrize(
    ("edit", "pointer"),
    [
        ({"payload": "a", "payload_base64": "YQ=="}, "/payload"),
        ({"payload_base64": "not base64!"}, "/payload_base64"),
        ({"report_body": "a"}, "/report_body"),
        ({"payload": "a" * 20_000}, "/payload"),
    ],
)
async def test_republish_refuses_an_edit_that_cannot_be(
    platform: Any, admin: Any, ops: dict[str, str], edit: dict[str, Any], pointer: str
) -> None:
    letter_id = await bury(platform, b"broken")

    answer = await admin.post(f"{PATH}/{letter_id}/republish", headers=ops, json=edit)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_discard_needs_a_reason_and_settles(
    platform: Any, admin: Any, ops: dict[str, str]
) -> None:
    letter_id = await bury(platform, b"broken")

    silent = await admin.post(f"{PATH}/{letter_id}/discard", headers=ops, json={})
    answer = await admin.post(f"{PATH}/{letter_id}/discard", headers=ops, json={"reason": "old"})

    assert silent.status_code == 422
    assert (answer.json()["state"], answer.json()["reason"]) == ("discarded", "old")


@pytest.mark.parametrize("path", [f"{PATH}/dlq_1", f"{PATH}/dlq_{'0' * 32}"])
async def test_read_answers_404_for_what_is_no_dead_letter(
    admin: Any, ops: dict[str, str], path: str
) -> None:
    answer = await admin.get(path, headers=ops)

    assert (answer.status_code, answer.json()["code"]) == (404, "dead_letter_not_found")


async def test_job_is_started_listed_followed_and_cancelled(
    platform: Any, admin: Any, ops: dict[str, str]
) -> None:
    await bury(platform, b"1")
    asked = {"action": "republish", "filter": {"queue": "sms.normal"}, "rate_per_second": 2}

    started = (await admin.post(JOBS, headers=ops, json=asked)).json()
    await admin.post(JOBS, headers=ops, json=asked)
    listed = (await admin.get(JOBS, headers=ops, params={"limit": 1})).json()
    rest = await admin.get(JOBS, headers=ops, params={"cursor": listed["next_cursor"]})
    followed = (await admin.get(f"{JOBS}/{started['id']}", headers=ops)).json()
    cancelled = await admin.post(f"{JOBS}/{started['id']}/cancel", headers=ops)
    twice = await admin.post(f"{JOBS}/{started['id']}/cancel", headers=ops)

    assert (started["state"], started["total_count"]) == ("running", 1)
    assert [one["id"] for one in rest.json()["items"]] == [started["id"]]
    assert followed == started
    assert cancelled.json()["state"] == "cancelled"
    assert (twice.status_code, twice.json()["code"]) == (409, "dead_letter_job_ended")


async def test_job_that_discards_needs_a_reason(admin: Any, ops: dict[str, str]) -> None:
    answer = await admin.post(JOBS, headers=ops, json={"action": "discard", "filter": {}})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/reason"


@pytest.mark.parametrize("job_id", ["dlj_1", f"dlj_{'0' * 32}"])
async def test_job_answers_404_for_what_is_none(
    admin: Any, ops: dict[str, str], job_id: str
) -> None:
    read = await admin.get(f"{JOBS}/{job_id}", headers=ops)
    cancelled = await admin.post(f"{JOBS}/{job_id}/cancel", headers=ops)

    assert read.json()["code"] == "dead_letter_job_not_found"
    assert cancelled.json()["code"] == "dead_letter_job_not_found"


@pytest.mark.parametrize(
    ("role", "reads", "writes"), [("auditor", 200, 403), ("finance", 403, 403), ("ops", 200, 404)]
)
async def test_roles_decide_who_reads_and_who_acts(
    platform: Any,
    admin: Any,
    bearer: Any,
    *,
    acme: Any,
    role: str,
    reads: int,
    writes: int,
) -> None:
    await platform.open_platform()
    _, key = await platform.issue(acme.account_id, "operator", [role])

    read = await admin.get(PATH, headers=bearer(key))
    wrote = await admin.post(f"{PATH}/dlq_{'0' * 32}/republish", headers=bearer(key), json={})

    assert (read.status_code, wrote.status_code) == (reads, writes)
