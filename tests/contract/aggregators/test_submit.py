"""What each recorded answer to a send means, for both providers, in one harness."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from semalink.application.ports import (
    Aggregator,
    FailureClass,
    OutcomeUnknown,
    Receipt,
    SendFailed,
    Submission,
)
from semalink.domain.failure_codes import FAILURES, submit_failure_code
from semalink.domain.ids import MessageId

MESSAGE_ID = MessageId(UUID("01890a5d-ac96-774b-bcce-b302099a8057"))
SUBMISSION = Submission(MESSAGE_ID, "+254712345678", "Your parcel has arrived", "SEMALINK")
SEND = {"celcom": "sendsms", "africas_talking": "messaging"}

UNKNOWN = "unknown"


def refused(
    failure: FailureClass, code: str, *, retryable: bool = False, may_fail_over: bool = False
) -> tuple[object, ...]:
    return (failure, code, retryable, may_fail_over)


F = FailureClass
CELCOM_RECEIPT = Receipt("8290842", network="1")
AFRICAS_TALKING_RECEIPT = Receipt("ATPid_SampleTxnId123", cost="KES 0.8000")

CASES: list[tuple[str, str, object]] = [
    ("the key is misspelt and ids are numbers", "celcom/send_accepted_misspelt", CELCOM_RECEIPT),
    ("everything is a string", "celcom/send_accepted_strings", CELCOM_RECEIPT),
    ("a list without its wrapping", "celcom/send_accepted_bare_list", CELCOM_RECEIPT),
    ("success without an id", "celcom/send_accepted_without_id", UNKNOWN),
    ("a list of nothing", "celcom/send_empty_list", UNKNOWN),
    ("sender", "celcom/send_refused_1001", refused(F.CONFIGURATION, "1001", may_fail_over=True)),
    ("network", "celcom/send_refused_1002", refused(F.ROUTE, "1002", may_fail_over=True)),
    ("number", "celcom/send_refused_1003", refused(F.RECIPIENT, "1003", may_fail_over=True)),
    (
        "the figures say that the account is empty",
        "celcom/send_refused_1004_figures",
        refused(F.PROVIDER_CREDIT, "1004", retryable=True, may_fail_over=True),
    ),
    (
        "the figures say that there is credit to spare",
        "celcom/send_refused_1004_credit_to_spare",
        refused(F.ROUTE, "1004", may_fail_over=True),
    ),
    (
        "system error",
        "celcom/send_refused_1005",
        refused(F.TRANSIENT, "1005", retryable=True, may_fail_over=True),
    ),
    (
        "credentials",
        "celcom/send_refused_1006",
        refused(F.CONFIGURATION, "1006", may_fail_over=True),
    ),
    (
        "system error again",
        "celcom/send_refused_1007",
        refused(F.TRANSIENT, "1007", retryable=True, may_fail_over=True),
    ),
    ("data type", "celcom/send_refused_1009", refused(F.BUG, "1009")),
    ("request type", "celcom/send_refused_1010", refused(F.BUG, "1010")),
    ("too many messages", "celcom/send_refused_1012", refused(F.BUG, "1012")),
    ("too many contacts", "celcom/send_refused_1104", refused(F.BUG, "1104")),
    (
        "internal error",
        "celcom/send_refused_4090",
        refused(F.TRANSIENT, "4090", retryable=True, may_fail_over=True),
    ),
    ("partner", "celcom/send_refused_4091", refused(F.CONFIGURATION, "4091", may_fail_over=True)),
    ("key", "celcom/send_refused_4092", refused(F.CONFIGURATION, "4092", may_fail_over=True)),
    ("details", "celcom/send_refused_4093", refused(F.CONFIGURATION, "4093")),
    ("a code that nobody knows", "celcom/send_unknown_code", refused(F.BUG, "1077")),
    ("an unknown code beside an id", "celcom/send_unknown_code_with_id", UNKNOWN),
    ("processed", "africas_talking/send_accepted_100", AFRICAS_TALKING_RECEIPT),
    ("sent", "africas_talking/send_accepted_101", AFRICAS_TALKING_RECEIPT),
    (
        "queued, and the code is a string",
        "africas_talking/send_accepted_102",
        Receipt("ATXid_SampleTxnId123", cost="KES 0.8000"),
    ),
    ("no code", "africas_talking/send_accepted_without_code", AFRICAS_TALKING_RECEIPT),
    ("success without an id", "africas_talking/send_accepted_without_id", UNKNOWN),
    (
        "risk",
        "africas_talking/send_refused_401",
        refused(F.HELD, "RiskHold", may_fail_over=True),
    ),
    (
        "sender",
        "africas_talking/send_refused_402",
        refused(F.CONFIGURATION, "InvalidSenderId", may_fail_over=True),
    ),
    ("number", "africas_talking/send_refused_403", refused(F.RECIPIENT, "InvalidPhoneNumber")),
    (
        "number type",
        "africas_talking/send_refused_404",
        refused(F.RECIPIENT, "UnsupportedNumberType"),
    ),
    (
        "balance",
        "africas_talking/send_refused_405",
        refused(F.PROVIDER_CREDIT, "InsufficientBalance", retryable=True, may_fail_over=True),
    ),
    ("opt-out", "africas_talking/send_refused_406", refused(F.OPTED_OUT, "UserInBlacklist")),
    (
        "route",
        "africas_talking/send_refused_407",
        refused(F.ROUTE, "CouldNotRoute", may_fail_over=True),
    ),
    (
        "do not disturb",
        "africas_talking/send_refused_409",
        refused(F.WINDOW, "DoNotDisturbRejection", retryable=True),
    ),
    (
        "server error",
        "africas_talking/send_refused_500",
        refused(F.TRANSIENT, "InternalServerError", retryable=True, may_fail_over=True),
    ),
    (
        "gateway error",
        "africas_talking/send_refused_501",
        refused(F.TRANSIENT, "GatewayError", retryable=True, may_fail_over=True),
    ),
    (
        "rejected by the gateway",
        "africas_talking/send_refused_502",
        refused(F.ROUTE, "RejectedByGateway", may_fail_over=True),
    ),
    (
        "the request was refused",
        "africas_talking/send_refused_whole",
        refused(F.CONFIGURATION, "InvalidSenderId", may_fail_over=True),
    ),
    (
        "the request was refused for an opt-out, spelt as in reports",
        "africas_talking/send_refused_whole_blacklist",
        refused(F.OPTED_OUT, "UserInBlacklist"),
    ),
    (
        "the request was refused for a reason that nobody knows",
        "africas_talking/send_refused_whole_unknown",
        refused(F.BUG, "SomethingNew"),
    ),
    ("a code that nobody knows", "africas_talking/send_unknown_code", refused(F.BUG, "417")),
    ("an unknown code beside an id", "africas_talking/send_unknown_code_with_id", UNKNOWN),
    ("sent to one and named none", "africas_talking/send_contradiction", UNKNOWN),
]


async def outcome_of(adapter: Aggregator) -> object:
    try:
        return await adapter.submit(SUBMISSION)
    except SendFailed as failed:
        return (failed.failure, failed.provider_code, failed.retryable, failed.may_fail_over)
    except OutcomeUnknown:
        return UNKNOWN


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        pytest.param(recorded, expected, id=f"{recorded}: {label}")
        for label, recorded, expected in CASES
    ],
)
async def test_submit_reads_the_recorded_answer(
    recorded: str,
    expected: object,
    provider: Any,
    build_adapter: Callable[..., Aggregator],
    recording: Callable[[str], bytes],
):
    kind = recorded.split("/", maxsplit=1)[0]
    provider.answer(SEND[kind], recording(f"{recorded}.json"))

    outcome = await outcome_of(build_adapter(kind))

    assert outcome == expected
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    ("recorded", "of_sender"),
    [
        ("celcom/send_refused_1001", True),
        ("celcom/send_refused_1006", False),
        ("africas_talking/send_refused_402", True),
        ("africas_talking/send_refused_405", False),
    ],
)
async def test_submit_tells_one_sender_id_from_the_route(
    recorded: str,
    of_sender: bool,  # noqa: FBT001
    provider: Any,
    build_adapter: Callable[..., Aggregator],
    recording: Callable[[str], bytes],
):
    kind = recorded.split("/", maxsplit=1)[0]
    provider.answer(SEND[kind], recording(f"{recorded}.json"))

    with pytest.raises(SendFailed) as refusal:
        await build_adapter(kind).submit(SUBMISSION)

    assert refusal.value.of_sender is of_sender


@pytest.mark.parametrize("status", [200, 201, 400, 409, 500, 504])
async def test_submit_believes_the_body_whatever_the_http_status(
    status: int,
    provider: Any,
    build_adapter: Callable[..., Aggregator],
    recording: Callable[[str], bytes],
):
    provider.answer("messaging", recording("africas_talking/send_refused_406.json"), status=status)
    provider.answer("sendsms", recording("celcom/send_accepted_misspelt.json"), status=status)

    outcomes = [await outcome_of(build_adapter(kind)) for kind in ("africas_talking", "celcom")]

    assert outcomes == [refused(F.OPTED_OUT, "UserInBlacklist"), CELCOM_RECEIPT]


@pytest.mark.parametrize(
    ("number", "may_fail_over"), [("+254712345678", True), ("+254212345678", False)]
)
async def test_submit_fails_over_an_invalid_mobile_only_when_its_number_is_valid(
    number: str,
    may_fail_over: bool,  # noqa: FBT001
    provider: Any,
    celcom: Callable[..., Aggregator],
    recording: Callable[[str], bytes],
):
    provider.answer("sendsms", recording("celcom/send_refused_1003.json"))

    with pytest.raises(SendFailed) as refusal:
        await celcom().submit(Submission(MESSAGE_ID, number, "Habari", "SEMALINK"))

    assert refusal.value.may_fail_over is may_fail_over


@pytest.mark.parametrize(
    ("balance", "failure"),
    [
        ("balance", F.ROUTE),
        ("balance_spent", F.PROVIDER_CREDIT),
        ("balance_refused", F.ROUTE),
    ],
)
async def test_submit_asks_for_the_balance_when_low_credit_comes_without_figures(
    balance: str,
    failure: FailureClass,
    provider: Any,
    celcom: Callable[..., Aggregator],
    recording: Callable[[str], bytes],
):
    provider.answer("sendsms", recording("celcom/send_refused_1004_no_figures.json"))
    provider.answer("getbalance", recording(f"celcom/{balance}.json"))

    with pytest.raises(SendFailed) as refusal:
        await celcom().submit(SUBMISSION)

    assert refusal.value.failure is failure
    assert [request.path for request in provider.requests] == [
        "/api/services/sendsms",
        "/api/services/getbalance",
    ]


@pytest.mark.parametrize(
    ("kind", "key"), [("celcom", "k3y-0f-c3lcom"), ("africas_talking", "k3y-0f-africa")]
)
async def test_submit_hides_key_number_and_text_that_the_provider_echoes(
    kind: str,
    key: str,
    provider: Any,
    build_adapter: Callable[..., Aggregator],
    recording: Callable[[str], bytes],
):
    provider.answer(SEND[kind], recording(f"{kind}/send_refused_echo.json"))

    with pytest.raises(SendFailed) as refusal:
        await build_adapter(kind).submit(SUBMISSION)

    said = f"{refusal.value} {refusal.value.detail} {refusal.value.provider_code}"
    assert not [word for word in (key, "254712345678", "parcel", "arrived") if word in said]


def test_submit_failure_code_is_listed_for_every_refusal():
    refusals = [expected for _, _, expected in CASES if isinstance(expected, tuple)]

    codes = {submit_failure_code(str(failure), str(code)) for failure, code, *_ in refusals}

    assert codes <= FAILURES.keys()
    assert {"no_route", "sender_not_registered", "provider_out_of_credit", "opted_out"} <= codes
