"""The Celcom family's wire format, over HTTP."""

import pytest
from tests.integration.sandbox.conftest import Caller, Intake, StartSandbox

NUMBER = "+254711000001"


async def test_sendsms_answers_with_the_misspelt_key_and_a_numeric_id(
    caller: Caller, intake: Intake
):
    row = await caller.send_celcom(NUMBER, client_id="m1")

    assert row["respose-code"] == 200
    assert "response-code" not in row
    assert isinstance(row["messageid"], int)
    assert row["clientsmsid"] == "m1"
    path, report = await intake.next_report()
    assert path == "/dlr/celcom/celcom-secret"
    assert report.keys() == {"description", "messageid", "timeTaken", "timestamp"}
    assert report["description"] == "DeliveredToTerminal"
    assert report["messageid"] == str(row["messageid"])


async def test_sendsms_alternates_between_numbers_and_strings(caller: Caller):
    first = await caller.send_celcom(NUMBER)
    second = await caller.send_celcom(NUMBER)

    assert {type(first["mobile"]), type(second["mobile"])} == {int, str}
    assert {type(first["networkid"]), type(second["networkid"])} == {int, str}
    assert str(first["mobile"]) == str(second["mobile"]) == "254711000001"


async def test_sendsms_takes_each_number_of_a_comma_list_in_any_national_form(
    caller: Caller, intake: Intake
):
    answer = await caller.celcom("0711000001,711000002,254711000003")

    assert [row["respose-code"] for row in answer["responses"]] == [200, 200, 200]
    for number in ("+254711000001", "+254711000002", "+254711000003"):
        assert (await caller.control("GET", f"/handsets/{number}"))["count"] == 1
        await intake.next_report()


async def test_sendsms_is_refused_when_the_comma_list_is_too_long(start_sandbox: StartSandbox):
    async with start_sandbox(comma_list_max=2) as caller:
        answer = await caller.celcom("0711000001,0711000002,0711000003")

        assert answer["response-code"] == 1104
        assert (await caller.control("GET", "/handsets"))["messages_taken"] == 0


async def test_sendotp_answers_with_a_string_id(caller: Caller):
    body = {"partnerID": 100, "apikey": "celcom-key", "mobile": 254711000001}
    body |= {"message": "12345", "shortcode": "SEMALINK"}

    answer = await caller.post_json("/api/services/sendotp/", body)

    assert answer["responses"][0]["respose-code"] == 200
    assert isinstance(answer["responses"][0]["messageid"], str)
    assert "clientsmsid" not in answer["responses"][0]


def bulk_item(number: str, client_id: int, **more: str) -> dict[str, object]:
    item = {"partnerID": "100", "apikey": "celcom-key", "mobile": number, "message": "Habari"}
    return item | {"shortcode": "SEMALINK", "clientsmsid": client_id, "pass_type": "plain"} | more


async def test_sendbulk_answers_each_item_under_its_own_client_id(caller: Caller):
    items = [bulk_item("254711000001", 1), bulk_item("254700000112", 2)]

    answer = await caller.post_json("/api/services/sendbulk/", {"count": 2, "smslist": items})

    taken, refused = answer["responses"]
    assert (taken["response-code"], taken["clientsmsid"]) == (200, 1)
    assert isinstance(taken["messageid"], str)
    assert (refused["response-code"], refused["clientsmsid"]) == (1003, 2)
    assert "messageid" not in refused


async def test_sendbulk_uses_the_first_sender_for_all(caller: Caller):
    items = [bulk_item("254711000001", 1), bulk_item("254711000002", 2, shortcode="OTHER")]

    await caller.post_json("/api/services/sendbulk", {"count": 2, "smslist": items})

    received = await caller.control("GET", "/handsets/254711000002")
    assert received["items"][0]["sender"] == "SEMALINK"


async def test_sendbulk_is_refused_when_the_list_is_too_long(start_sandbox: StartSandbox):
    async with start_sandbox(bulk_max=1) as caller:
        items = [bulk_item("254711000001", 1), bulk_item("254711000002", 2)]

        answer = await caller.post_json("/api/services/sendbulk", {"count": 2, "smslist": items})

        assert answer["response-code"] == 1012


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"apikey": "wrong"}, 1006),
        ({"partnerID": "unheard-of"}, 1006),
        ({"partnerID": ""}, 4091),
        ({"apikey": ""}, 4092),
    ],
)
async def test_sendsms_is_refused_flat_when_the_credentials_are_wrong(
    caller: Caller, change: dict[str, object], code: int
):
    answer = await caller.celcom(NUMBER, **change)

    assert answer["response-code"] == code
    assert "responses" not in answer
    assert (await caller.control("GET", "/handsets"))["messages_taken"] == 0


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
@pytest.mark.parametrize("path", ["sendsms", "sendbulk", "sendotp", "getdlr", "getbalance"])
async def test_any_call_is_refused_when_its_body_is_unreadable(
    caller: Caller, path: str, body: bytes
):
    url = caller.url(f"/api/services/{path}")

    async with caller.session.post(url, data=body) as answer:
        assert (await answer.json())["response-code"] == 1010


@pytest.mark.parametrize(
    ("change", "code"), [({"shortcode": ""}, 1001), ({"message": ""}, 1009), ({"mobile": ""}, 1003)]
)
async def test_sendsms_refuses_the_item_when_a_field_is_missing(
    caller: Caller, change: dict[str, object], code: int
):
    answer = await caller.celcom(NUMBER, **change)

    assert answer["responses"][0]["response-code"] == code


async def test_getdlr_tells_scheduled_then_the_final_state_under_the_same_number(
    caller: Caller, intake: Intake
):
    await caller.switch("celcom", report_delay_ms=60_000)
    waiting = await caller.send_celcom(NUMBER)
    await caller.switch("celcom", report_delay_ms=0)
    reported = await caller.send_celcom(NUMBER)
    await intake.next_report()

    await caller.switch("celcom", report_delay_ms=3_600_000)
    early = await caller.report_of(waiting["messageid"])
    late = await caller.report_of(reported["messageid"])

    assert early["delivery-description"] == "Scheduled"
    assert early["delivery-time"] is None
    assert early["delivery-tat"] is None
    assert late["delivery-description"] == "DeliveredToTerminal"
    assert late["delivery-time"] is not None
    assert early["delivery-status"] == late["delivery-status"] == 32


async def test_getdlr_alternates_between_two_codes_when_the_id_is_unknown(caller: Caller):
    answers = [await caller.report_of(reference) for reference in ("1", "not-a-number", "9" * 30)]

    assert [answer["response-code"] for answer in answers] == [1008, 1009, 1008]


async def test_getdlr_knows_nothing_of_another_aggregators_message(caller: Caller):
    row = await caller.send_celcom(NUMBER, partnerID="tests", apikey="test-key")

    assert (await caller.report_of(row["messageid"]))["response-code"] == 1008


async def test_getbalance_answers_nothing_when_the_path_ends_in_a_slash(caller: Caller):
    body = {"partnerID": "100", "apikey": "celcom-key"}

    without = await caller.post_json("/api/services/getbalance", body)

    assert without == {"response-code": 200, "credit": "545.00", "partner-id": "100"}
    async with caller.session.post(caller.url("/api/services/getbalance/"), json=body) as answer:
        assert await answer.read() == b""


async def test_the_credential_decides_whose_path_the_report_takes(caller: Caller, intake: Intake):
    await caller.send_celcom(NUMBER, partnerID="tests", apikey="test-key")

    path, _ = await intake.next_report()
    assert path == "/dlr/sandbox/test-secret"
