"""Africa's Talking's wire format, over HTTP."""

import pytest
from tests.integration.sandbox.conftest import Caller, Intake

NUMBER = "+254711000001"


async def test_the_form_is_answered_with_cost_and_id_and_reported_as_a_form(
    caller: Caller, intake: Intake
):
    answer = await caller.africas_talking(NUMBER)

    assert answer["Message"] == "Sent to 1/1 Total Cost: KES 0.8000"
    recipient = answer["Recipients"][0]
    assert (recipient["statusCode"], recipient["status"]) == (101, "Success")
    assert recipient["cost"] == "KES 0.8000"
    path, report = await intake.next_report()
    assert path == "/dlr/africastalking/at-secret"
    assert report == {
        "id": recipient["messageId"],
        "status": "Success",
        "phoneNumber": NUMBER,
        "networkCode": "63902",
    }


async def test_the_form_takes_a_comma_list_and_judges_each_recipient(caller: Caller):
    answer = await caller.africas_talking(f"{NUMBER},0711,+254700000114,+254711000002")

    assert answer["Message"] == "Sent to 2/4 Total Cost: KES 1.6000"
    assert [row["statusCode"] for row in answer["Recipients"]] == [101, 403, 402, 101]
    assert answer["Recipients"][1]["messageId"] == "None"
    assert answer["Recipients"][1]["cost"] == "0"


async def test_the_form_is_answered_queued_when_it_asks_for_the_queue(caller: Caller):
    recipient = await caller.send_africas_talking(NUMBER, enqueue="1")

    assert (recipient["statusCode"], recipient["status"]) == (102, "Queued")


@pytest.mark.parametrize(
    ("text", "cost"),
    [("a" * 160, "KES 0.8000"), ("a" * 161, "KES 1.6000"), ("ĩ" * 71, "KES 1.6000")],
)
async def test_the_form_is_charged_by_a_naive_count_of_parts(caller: Caller, text: str, cost: str):
    recipient = await caller.send_africas_talking(NUMBER, message=text)

    assert recipient["cost"] == cost


@pytest.mark.parametrize("change", [{"username": "unheard-of"}, {"username": "100"}])
async def test_the_form_is_refused_with_401_when_the_credentials_are_wrong(
    caller: Caller, change: dict[str, str]
):
    async with caller.post_form(NUMBER, **change) as answer:
        assert answer.status == 401
        assert await answer.text() == "The supplied authentication is invalid"
    assert (await caller.control("GET", "/handsets"))["messages_taken"] == 0


@pytest.mark.parametrize("field", ["username", "to", "message"])
async def test_the_form_is_refused_with_400_when_a_field_is_missing(caller: Caller, field: str):
    async with caller.post_form(**({"to": NUMBER} | {field: ""})) as answer:
        assert answer.status == 400
        assert field in await answer.text()


async def test_bulk_json_is_taken_with_the_sender_under_its_other_name(caller: Caller):
    body = {"username": "semalink", "message": "Habari", "senderId": "SEMALINK"}
    body |= {"phoneNumbers": [NUMBER], "enqueue": 1}

    async with caller.session.post(
        caller.url("/version1/messaging/bulk"), json=body, headers={"apiKey": "at-key"}
    ) as answer:
        recipients = (await answer.json())["SMSMessageData"]["Recipients"]

    assert recipients[0]["statusCode"] == 102
    received = await caller.control("GET", f"/handsets/{NUMBER}")
    assert received["items"][0]["sender"] == "SEMALINK"


async def test_bulk_json_is_refused_with_400_when_it_names_no_sender(caller: Caller):
    body = {"username": "semalink", "message": "Habari", "phoneNumbers": [NUMBER]}

    async with caller.session.post(
        caller.url("/version1/messaging/bulk"), json=body, headers={"apiKey": "at-key"}
    ) as answer:
        assert answer.status == 400


async def test_balance_is_told_under_either_spelling_in_turn(caller: Caller):
    url, headers = caller.url("/version1/user?username=semalink"), {"apiKey": "at-key"}

    answers = []
    for _ in range(2):
        async with caller.session.get(url, headers=headers) as answer:
            answers.append(await answer.json())

    assert answers == [
        {"userData": {"balance": "KES 1785.50"}},
        {"UserData": {"balance": "KES 1785.50"}},
    ]


async def test_balance_is_refused_with_401_when_the_key_is_wrong(caller: Caller):
    url = caller.url("/version1/user?username=semalink")

    async with caller.session.get(url, headers={"apiKey": "wrong"}) as answer:
        assert answer.status == 401
