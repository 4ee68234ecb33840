from typing import Any

import pytest

from semalink.application.opt_outs import RecordOptOuts
from semalink.domain.ids import format_id
from semalink.domain.opt_out import OptOutSource, OptOutSubject
from semalink.web.opt_out_shapes import NUMBERS_MAX

PATH = "/v1/opt-outs"
ADMIN_PATH = "/admin/v1/opt-outs"
NUMBER = "+254712345678"


async def create(api: Any, headers: dict[str, str], **fields: Any) -> Any:
    return await api.post(PATH, json={"number": NUMBER, **fields}, headers=headers)


async def stop_by_recipient(platform: Any, account_id: Any) -> str:
    subject = OptOutSubject(account_id, "ACME", NUMBER)
    command = RecordOptOuts((subject,), OptOutSource.CALLBACK, "STOP", platform.cause)
    await platform.ledger.execute(command)
    return format_id("opt_", subject.opt_out_id)


async def test_create_opt_out_answers_what_can_be_read(api: Any, acme: Any, bearer: Any) -> None:
    answer = await create(api, bearer(acme.live), sender="ACME", how="asked by phone")

    made = answer.json()
    read = await api.get(answer.headers["location"], headers=bearer(acme.live))
    assert answer.status_code == 201
    assert (made["number"], made["sender"], made["source"]) == (NUMBER, "ACME", "api")
    assert (made["active"], made["how"]) == (True, "asked by phone")
    assert read.json() == made


async def test_create_opt_out_changes_nothing_when_it_is_repeated(
    api: Any, acme: Any, bearer: Any
) -> None:
    first = await create(api, bearer(acme.live), number="0712 345 678")

    again = await create(api, bearer(acme.test), how="asked again")

    assert again.json() == first.json()


async def test_create_opt_out_refuses_what_is_no_number(api: Any, acme: Any, bearer: Any) -> None:
    answer = await create(api, bearer(acme.live), number="+1")

    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_number"
    assert answer.json()["errors"][0]["pointer"] == "/number"


@pytest.mark.parametrize("mode", ["live", "test"])
async def test_send_is_refused_when_the_recipient_opted_out(
    api: Any, platform: Any, acme: Any, bearer: Any, message: Any, mode: str
) -> None:
    await create(api, bearer(acme.live))

    answer = await api.post(
        "/v1/messages", json=message, headers=bearer(acme.live if mode == "live" else acme.test)
    )

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "recipient_opted_out")
    assert problem["errors"][0]["pointer"] == "/to"
    assert NUMBER not in answer.text
    assert platform.ledger.balance(acme.account_id).reserved_micros == 0
    assert platform.ledger.refusals[-1].code == "recipient_opted_out"


async def test_send_is_taken_when_another_account_was_told_to_stop(
    api: Any, acme: Any, other: Any, bearer: Any, message: Any
) -> None:
    await create(api, bearer(other.live))

    answer = await api.post("/v1/messages", json=message, headers=bearer(acme.live))

    assert answer.status_code == 202


async def test_create_opt_outs_answers_for_each_number(api: Any, acme: Any, bearer: Any) -> None:
    await create(api, bearer(acme.live))
    numbers = ["+254712345679", "+1", NUMBER]

    answer = await api.post(f"{PATH}/batch", json={"numbers": numbers}, headers=bearer(acme.live))

    outcome = answer.json()
    counts = [outcome[f"{name}_count"] for name in ("recorded", "known", "refused")]
    new, refused, known = outcome["items"]
    assert (answer.status_code, counts) == (200, [1, 1, 1])
    assert (new["index"], new["opt_out"]["number"]) == (0, numbers[0])
    assert refused["refused"]["pointer"] == "/numbers/1"
    assert known["opt_out"]["number"] == NUMBER


@pytest.mark.parametrize(
    ("numbers", "status"), [(["+1"], 200), ([], 422), ([NUMBER] * (NUMBERS_MAX + 1), 422)]
)
async def test_create_opt_outs_bounds_how_many(
    api: Any, acme: Any, bearer: Any, numbers: list[str], status: int
) -> None:
    answer = await api.post(f"{PATH}/batch", json={"numbers": numbers}, headers=bearer(acme.live))

    assert answer.status_code == status


async def test_list_opt_outs_pages_and_filters(
    api: Any, acme: Any, other: Any, bearer: Any
) -> None:
    await create(api, bearer(other.live))
    for sender in ("ACME", "SHOP", "BANK"):
        await create(api, bearer(acme.live), sender=sender)
    headers = bearer(acme.live)

    first = (await api.get(f"{PATH}?limit=2", headers=headers)).json()
    cursor = first["next_cursor"]
    rest = (await api.get(f"{PATH}?limit=2&cursor={cursor}", headers=headers)).json()
    found = (await api.get(f"{PATH}?sender=shop&active=true&source=api", headers=headers)).json()
    of_number = (await api.get(f"{PATH}?number=0712345678", headers=headers)).json()
    with_others = await api.get(f"{PATH}?active=true&cursor={cursor}", headers=headers)

    assert [one["sender"] for one in (*first["items"], *rest["items"])] == ["BANK", "SHOP", "ACME"]
    assert rest["next_cursor"] is None
    assert [one["sender"] for one in found["items"]] == ["SHOP"]
    assert len(of_number["items"]) == 3
    assert with_others.json()["code"] == "invalid_cursor"


@pytest.mark.parametrize("path", [f"{PATH}/opt_{'0' * 32}", f"{PATH}/opt_1"])
async def test_read_opt_out_is_not_found_when_there_is_none(
    api: Any, acme: Any, bearer: Any, path: str
) -> None:
    answer = await api.get(path, headers=bearer(acme.live))

    assert (answer.status_code, answer.json()["code"]) == (404, "opt_out_not_found")


async def test_list_opt_outs_refuses_a_filter_of_nothing(api: Any, acme: Any, bearer: Any) -> None:
    answer = await api.get(f"{PATH}?active=null", headers=bearer(acme.live))

    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json()["errors"]] == ["/active"]


async def test_lift_opt_out_lets_messages_through(
    api: Any, acme: Any, bearer: Any, message: Any
) -> None:
    headers = bearer(acme.live)
    made = (await create(api, headers)).json()

    answer = await api.post(
        f"{PATH}/{made['id']}/lift", json={"reason": "a mistake"}, headers=headers
    )
    sent = await api.post("/v1/messages", json=message, headers=headers)

    assert answer.json()["active"] is False
    assert answer.json()["lift_reason"] == "a mistake"
    assert sent.status_code == 202


async def test_lift_opt_out_is_refused_to_test_keys(api: Any, acme: Any, bearer: Any) -> None:
    made = await create(api, bearer(acme.live))
    lifting = {"reason": "tried out"}

    answer = await api.post(
        f"{PATH}/{made.json()['id']}/lift", json=lifting, headers=bearer(acme.test)
    )
    read = await api.get(made.headers["location"], headers=bearer(acme.live))

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert read.json()["active"] is True


async def test_lift_opt_out_asks_for_consent_when_the_recipient_opted_out(
    api: Any, platform: Any, acme: Any, bearer: Any
) -> None:
    opt_out_id = await stop_by_recipient(platform, acme.account_id)
    path, headers = f"{PATH}/{opt_out_id}/lift", bearer(acme.live)

    refused = await api.post(path, json={"reason": "we want to"}, headers=headers)
    lifted = await api.post(
        path, json={"reason": "signed up", "consent": "form of today"}, headers=headers
    )

    assert (refused.status_code, refused.json()["code"]) == (422, "consent_required")
    assert refused.json()["errors"][0]["pointer"] == "/consent"
    assert lifted.json()["consent"] == "form of today"


async def test_opt_outs_of_another_account_are_not_found(
    api: Any, platform: Any, acme: Any, other: Any, bearer: Any
) -> None:
    of_acme = (await create(api, bearer(acme.live))).json()["id"]
    of_platform = await stop_by_recipient(platform, None)

    answers = [
        await api.post(f"{PATH}/{one}/lift", json={"reason": "x"}, headers=bearer(other.live))
        for one in (of_acme, of_platform)
    ]
    answers.append(await api.get(f"{PATH}/{of_acme}", headers=bearer(other.live)))

    assert {answer.status_code for answer in answers} == {404}


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", ""), ("POST", "/batch"), ("GET", "/opt_1"), ("POST", "/opt_1/lift")],
)
async def test_opt_outs_need_their_scopes(
    api: Any, platform: Any, acme: Any, bearer: Any, method: str, path: str
) -> None:
    _, key = await platform.issue(acme.account_id, "live", ["messages:send"])

    answer = await api.request(method, f"{PATH}{path}", headers=bearer(key))

    assert answer.status_code == 403


async def test_operators_stop_a_number_for_the_whole_platform(
    api: Any, admin: Any, acme: Any, admin_key: str, bearer: Any, message: Any
) -> None:
    body = {"number": NUMBER, "how": "letter of the regulator"}

    made = await admin.post(ADMIN_PATH, json=body, headers=bearer(admin_key))
    refused = await api.post("/v1/messages", json=message, headers=bearer(acme.live))
    lifted = await admin.post(
        f"{ADMIN_PATH}/{made.json()['id']}/lift",
        json={"reason": "letter withdrawn"},
        headers=bearer(admin_key),
    )

    assert (made.status_code, made.json()["account_id"]) == (201, None)
    assert refused.json()["code"] == "recipient_opted_out"
    assert lifted.json()["active"] is False


async def test_operators_record_and_list_for_any_account(
    admin: Any, acme: Any, other: Any, admin_key: str, bearer: Any
) -> None:
    headers = bearer(admin_key)
    ids = [format_id("acct_", one.account_id) for one in (acme, other)]
    for account_id in ids:
        body = {"account_id": account_id, "number": NUMBER}
        await admin.post(ADMIN_PATH, json=body, headers=headers)

    of_all = await admin.get(ADMIN_PATH, headers=headers)
    of_one = await admin.get(f"{ADMIN_PATH}?account_id={ids[0]}", headers=headers)
    nobody = {"account_id": f"acct_{'0' * 32}", "number": NUMBER}
    of_nobody = await admin.post(ADMIN_PATH, json=nobody, headers=headers)

    assert [one["account_id"] for one in of_all.json()["items"]] == ids[::-1]
    assert [one["source"] for one in of_one.json()["items"]] == ["operator"]
    assert of_nobody.json()["code"] == "account_not_found"
