"""Each magic number, in both wire formats."""

import asyncio
from pathlib import Path

import aiohttp
import phonenumbers
import pytest
from tests.integration.sandbox.conftest import Caller, ExpectQuiet, Intake, StartSandbox

from semalink_ops.sandbox.magic_numbers import ACT_BY_ENDING, ACT_BY_NUMBER, Act

MAGIC = "+254700000"
GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "sandbox.md"


@pytest.mark.parametrize("number", ACT_BY_NUMBER)
def test_a_magic_number_is_a_valid_mobile_number(number: str):
    parsed = phonenumbers.parse(number)

    assert phonenumbers.is_valid_number(parsed)
    assert phonenumbers.number_type(parsed) == phonenumbers.PhoneNumberType.MOBILE


@pytest.mark.parametrize(("ending", "act"), ACT_BY_ENDING.items())
def test_a_magic_number_has_its_line_in_the_guide(ending: str, act: Act):
    lines = GUIDE.read_text(encoding="utf-8").splitlines()

    assert any(f"`…{ending}`" in line and f"`{act}`" in line for line in lines)


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("101", "DeliveredToTerminal"),
        ("102", "AbsentSubscriber"),
        ("103", "SenderName Blacklisted"),
        ("104", "REJECTD"),
        ("105", "Expired"),
        ("106", "Scheduled"),
        ("111", "HandsetMemoryFull"),
        ("115", "DeliveryImpossible"),
        ("117", "Unknown"),
    ],
)
async def test_celcom_reports_once_what_the_number_acts_out(
    caller: Caller, intake: Intake, expect_quiet: ExpectQuiet, ending: str, status: str
):
    row = await caller.send_celcom(MAGIC + ending)

    assert row["respose-code"] == 200
    assert await intake.next_status() == status
    assert (await caller.report_of(row["messageid"]))["delivery-description"] == status
    await expect_quiet()


@pytest.mark.parametrize(
    ("ending", "status", "reason"),
    [
        ("101", "Success", None),
        ("102", "AbsentSubscriber", None),
        ("104", "Rejected", "UserAccountSuspended"),
        ("105", "Expired", None),
        ("106", "Buffered", None),
        ("111", "HandsetMemoryFull", None),
        ("115", "Failed", "DeliveryFailure"),
        ("117", "Sent", None),
        ("119", "Success", None),
    ],
)
async def test_africas_talking_reports_once_what_the_number_acts_out(
    caller: Caller,
    intake: Intake,
    expect_quiet: ExpectQuiet,
    ending: str,
    status: str,
    reason: str | None,
):
    recipient = await caller.send_africas_talking(MAGIC + ending)

    assert recipient["statusCode"] == 101
    _, report = await intake.next_report()
    assert (report["status"], report.get("failureReason")) == (status, reason)
    await expect_quiet()


@pytest.mark.parametrize(
    ("ending", "code"), [("112", 1003), ("113", 1004), ("114", 1001), ("119", 1002), ("120", 1005)]
)
async def test_celcom_refuses_what_the_number_acts_out(
    caller: Caller, expect_quiet: ExpectQuiet, ending: str, code: int
):
    row = await caller.send_celcom(MAGIC + ending)

    assert row["response-code"] == code
    assert row["mobile"] == "0700000" + ending
    assert "messageid" not in row
    assert (await caller.control("GET", f"/handsets/{MAGIC}{ending}"))["count"] == 0
    await expect_quiet()


@pytest.mark.parametrize(
    ("ending", "code", "status"),
    [
        ("103", 406, "UserInBlacklist"),
        ("112", 403, "InvalidPhoneNumber"),
        ("113", 405, "InsufficientBalance"),
        ("120", 500, "InternalServerError"),
    ],
)
async def test_africas_talking_refuses_what_the_number_acts_out(
    caller: Caller, expect_quiet: ExpectQuiet, ending: str, code: int, status: str
):
    recipient = await caller.send_africas_talking(MAGIC + ending)

    assert (recipient["statusCode"], recipient["status"]) == (code, status)
    assert (recipient["cost"], recipient["messageId"]) == ("0", "None")
    assert (await caller.control("GET", f"/handsets/{MAGIC}{ending}"))["count"] == 0
    await expect_quiet()


async def test_africas_talking_refuses_the_whole_request_when_the_sender_is_invalid(caller: Caller):
    answer = await caller.africas_talking(MAGIC + "114")

    assert answer == {"Message": "InvalidSenderId", "Recipients": []}


async def test_a_duplicate_report_comes_twice_with_the_same_words(
    caller: Caller, intake: Intake, expect_quiet: ExpectQuiet
):
    await caller.send_celcom(MAGIC + "107")

    assert await intake.next_report() == await intake.next_report()
    await expect_quiet()


async def test_a_report_comes_before_the_answer(caller: Caller, intake: Intake):
    # The long delay of other reports does not count for this one.
    await caller.switch("celcom", report_delay_ms=60_000)

    row = await caller.send_celcom(MAGIC + "108")

    _, report = intake.received.get_nowait()
    assert report["messageid"] == str(row["messageid"])


async def test_the_answer_comes_without_its_report_when_the_intake_does_not_take_it(
    start_sandbox: StartSandbox, intake: Intake
):
    intake.answers.extend([503] * 1_000)
    async with start_sandbox(report_first_limit_seconds=0.05) as caller:
        row = await caller.send_celcom(MAGIC + "108")

        assert row["respose-code"] == 200


async def test_an_older_report_comes_after_the_final_one(
    caller: Caller, intake: Intake, expect_quiet: ExpectQuiet
):
    row = await caller.send_celcom(MAGIC + "109")

    assert await intake.next_status() == "DeliveredToTerminal"
    assert await intake.next_status() == "SentToNetwork"
    state = await caller.report_of(row["messageid"])
    assert state["delivery-description"] == "DeliveredToTerminal"
    await expect_quiet()


async def test_delivered_comes_after_failed(
    caller: Caller, intake: Intake, expect_quiet: ExpectQuiet
):
    row = await caller.send_celcom(MAGIC + "116")

    assert await intake.next_status() == "AbsentSubscriber"
    assert await intake.next_status() == "DeliveredToTerminal"
    state = await caller.report_of(row["messageid"])
    assert state["delivery-description"] == "DeliveredToTerminal"
    await expect_quiet()


async def test_a_report_comes_only_after_the_client_has_given_up(caller: Caller, intake: Intake):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(caller.send_celcom(MAGIC + "110"), 0.3)

    assert await intake.next_status() == "DeliveredToTerminal"
    assert (await caller.control("GET", f"/handsets/{MAGIC}110"))["count"] == 1


async def test_the_answer_is_cut_off_when_the_client_never_gives_up(
    start_sandbox: StartSandbox, intake: Intake
):
    async with start_sandbox(hang_limit_seconds=0) as caller:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await caller.send_africas_talking(MAGIC + "110")

        assert await intake.next_status() == "Success"


async def test_no_report_ever_comes(caller: Caller, expect_quiet: ExpectQuiet):
    await caller.switch("celcom", report_delay_ms=0)
    row = await caller.send_celcom(MAGIC + "118")

    await expect_quiet()

    state = await caller.report_of(row["messageid"])
    assert state["delivery-description"] == "SentToNetwork"


async def test_a_taken_message_is_answered_unreadably(caller: Caller, intake: Intake):
    async with caller.post_form(MAGIC + "121") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/html"

    assert await intake.next_status() == "Success"


@pytest.mark.parametrize("number", ["+256770000102", "+255754000102"])
async def test_a_magic_ending_works_in_the_other_countries(
    caller: Caller, intake: Intake, number: str
):
    await caller.send_africas_talking(number)

    assert await intake.next_status() == "AbsentSubscriber"
