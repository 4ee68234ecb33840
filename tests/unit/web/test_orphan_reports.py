from typing import Any
from urllib.parse import urlencode

import pytest

from semalink.application.ports import DeliveryReport, ReportState
from semalink.application.relaying import ReportPayload
from semalink.application.reporting import ReportProcessor
from semalink.application.submission import Job, Policy, Receipt, RecordReceipt, StartSubmission
from semalink.domain.ids import parse_id
from semalink_adapters.memory_aggregator import MemoryAggregator, write_reports

PATH = "/admin/v1/reports/orphans"
WHY = {"reason": "on their page"}


@pytest.fixture
def operator(admin_key: str, bearer: Any) -> Any:
    return bearer(admin_key)


@pytest.fixture
async def shelved(platform: Any) -> list[str]:
    """The ids of three reports on the shelf, a minute apart."""
    aggregators = {name: MemoryAggregator(name) for name in ("celcom", "africastalking")}
    processor = ReportProcessor(
        platform.ledger, platform.shelf, aggregators, now=platform.clock, observe=lambda _, __: None
    )
    for number, name in enumerate(("celcom", "africastalking", "celcom")):
        report = DeliveryReport(
            f"orphan-{number}", ReportState.DELIVERED, "Delivered", to="+254712345678"
        )
        await platform.shelf.store_raw(name, "application/json", write_reports(report))
        platform.clock.pass_by(minutes=1)
    ids = list(platform.shelf.raw)
    await processor.process([ReportPayload(one) for one in ids])
    return [f"rpt_{one.hex}" for one in ids]


@pytest.fixture
async def submitted(api: Any, platform: Any, acme: Any, bearer: Any, message: Any) -> str:
    answer = await api.post("/v1/messages", json=message, headers=bearer(acme.live))
    message_id = parse_id("msg_", answer.json()["id"])
    assert message_id is not None
    job = Job(message_id, acme.account_id, acme.account_id)
    await platform.ledger.execute(StartSubmission(job, None, Policy(), platform.cause))
    receipt = RecordReceipt(job, 1, "celcom", Receipt("taken-1"), platform.cause)
    await platform.ledger.execute(receipt)
    return str(answer.json()["id"])


@pytest.mark.parametrize(
    ("query", "places"),
    [({}, [0, 1, 2]), ({"aggregator": "celcom"}, [0, 2]), ({"aggregator": "nobody"}, [])],
)
async def test_list_shows_the_shelf(
    admin: Any, operator: Any, shelved: list[str], query: Any, places: list[int]
) -> None:
    answer = await admin.get(f"{PATH}?{urlencode(query)}", headers=operator)

    items = answer.json()["items"]
    assert [item["id"] for item in items] == [shelved[place] for place in places]
    assert all(item["to"] == "+254******678" for item in items)
    assert "12345" not in answer.text


async def test_list_shows_what_has_lain_there_for_long(
    admin: Any, platform: Any, operator: Any, shelved: list[str]
) -> None:
    none = await admin.get(f"{PATH}?min_age_seconds=3600", headers=operator)
    platform.clock.pass_by(hours=1)
    all_of_it = await admin.get(f"{PATH}?min_age_seconds=3600", headers=operator)

    assert none.json()["items"] == []
    assert len(all_of_it.json()["items"]) == len(shelved)


async def test_list_goes_on_with_its_cursor(admin: Any, operator: Any, shelved: list[str]) -> None:
    first = await admin.get(f"{PATH}?limit=2", headers=operator)
    target, _ = first.headers["Link"].split("; ")
    second = await admin.get(target.strip("<>"), headers=operator)
    other = await admin.get(
        f"{PATH}?limit=2&aggregator=celcom&cursor={first.json()['next_cursor']}", headers=operator
    )

    assert [item["id"] for item in first.json()["items"]] == shelved[:2]
    assert [item["id"] for item in second.json()["items"]] == shelved[2:]
    assert other.json()["code"] == "invalid_cursor"


async def test_show_brings_the_body(admin: Any, operator: Any, shelved: list[str]) -> None:
    answer = await admin.get(f"{PATH}/{shelved[0]}", headers=operator)

    assert answer.json()["content_type"] == "application/json"
    assert "+254712345678" in answer.json()["body"]


async def test_attach_gives_the_report_to_its_message(
    admin: Any, operator: Any, shelved: list[str], submitted: str
) -> None:
    path = f"{PATH}/{shelved[0]}/attach"

    answer = await admin.post(path, json={"message_id": submitted, **WHY}, headers=operator)
    again = await admin.post(path, json={"message_id": submitted, **WHY}, headers=operator)

    assert (answer.json()["id"], answer.json()["status"]) == (submitted, "delivered")
    assert again.json()["code"] == "orphan_report_not_found"


async def test_attach_refuses_a_message_that_does_not_fit(
    *, admin: Any, api: Any, acme: Any, operator: Any, bearer: Any, shelved: list[str], message: Any
) -> None:
    accepted = await api.post("/v1/messages", json=message, headers=bearer(acme.live))
    codes = []
    for message_id in (accepted.json()["id"], "msg_" + "0" * 32, "nonsense"):
        answer = await admin.post(
            f"{PATH}/{shelved[0]}/attach", json={"message_id": message_id, **WHY}, headers=operator
        )
        codes.append(answer.json()["code"])

    assert codes == ["report_does_not_fit", "message_not_found", "message_not_found"]


async def test_discard_takes_the_report_off_the_shelf(
    admin: Any, platform: Any, operator: Any, shelved: list[str]
) -> None:
    path = f"{PATH}/{shelved[1]}"

    answer = await admin.post(f"{path}/discard", json=WHY, headers=operator)
    missing = await admin.get(path, headers=operator)
    listed = await admin.get(PATH, headers=operator)

    assert answer.status_code == 204
    assert missing.json()["code"] == "orphan_report_not_found"
    assert [item["id"] for item in listed.json()["items"]] == [shelved[0], shelved[2]]


async def test_shelf_is_for_operations(
    admin: Any, platform: Any, bearer: Any, shelved: list[str], acme: Any
) -> None:
    _, key = await platform.issue(acme.account_id, "operator", ["finance"])
    headers = bearer(key)

    listed = await admin.get(PATH, headers=headers)
    shown = await admin.get(f"{PATH}/{shelved[0]}", headers=headers)
    discarded = await admin.post(f"{PATH}/{shelved[0]}/discard", json=WHY, headers=headers)

    assert (listed.status_code, shown.status_code, discarded.status_code) == (200, 403, 403)
