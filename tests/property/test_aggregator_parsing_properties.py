"""Whatever bytes a stranger sends, only the documented exceptions come out."""

import json
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import structlog
from hypothesis import example, given
from hypothesis import strategies as st

from semalink.application.ports import (
    DeliveryReport,
    OutcomeUnknown,
    Receipt,
    SendFailed,
    Submission,
    UnreadableReport,
)
from semalink.domain.failure_codes import FAILURES, submit_failure_code
from semalink.domain.ids import MessageId
from semalink_adapters.aggregators import (
    africas_talking_answers,
    africas_talking_reports,
    celcom_answers,
    celcom_reports,
)
from semalink_adapters.aggregators.exchange import Answer, CallFailed
from semalink_adapters.aggregators.kept_answers import KEPT_BYTES_MAX, keep_answer

BATCH = [
    Submission(MessageId(UUID(int=n)), f"+25471200000{n}", "Your parcel is here", "S")
    for n in (1, 2)
]
KEY = "k3y-0f-nobody"

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from([*(each.message_id.hex for each in BATCH), "254712000001", "None", KEY])
)
codes = scalars | st.sampled_from([200, "200", 101, 1003, 1004, 1012, 406, "9999", ""])


def objects(*names: str, code: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={code: codes} | dict.fromkeys(names, scalars))


celcom_items = objects(
    "respose-code",
    "response-description",
    "mobile",
    "messageid",
    "clientsmsid",
    "networkid",
    code="response-code",
)
celcom_bodies = (
    celcom_items
    | st.lists(celcom_items, max_size=3)
    | st.fixed_dictionaries({"responses": st.lists(celcom_items, max_size=3) | scalars})
)
recipients = objects("number", "status", "cost", "messageId", code="statusCode")
africas_talking_bodies = st.fixed_dictionaries(
    {
        "SMSMessageData": st.fixed_dictionaries(
            {"Message": scalars, "Recipients": st.lists(recipients, max_size=3) | scalars}
        )
    }
)
reports = objects(
    "description",
    "timestamp",
    "message-id",
    "delivery-description",
    "delivery-time",
    "delivery-networkid",
    code="messageid",
)
statuses = st.sampled_from([200, 201, 204, 302, 400, 401, 429, 500, 504])


def bodies(structured: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    return st.binary(max_size=200) | structured.map(lambda value: json.dumps(value).encode())


def check_outcomes(outcomes: list[Any]) -> None:
    assert len(outcomes) == len(BATCH)
    for outcome in outcomes:
        assert isinstance(outcome, Receipt | SendFailed | OutcomeUnknown)
        if isinstance(outcome, Receipt):
            assert outcome.reference.isprintable()
            assert outcome.reference
        elif isinstance(outcome, SendFailed):
            assert submit_failure_code(outcome.failure, outcome.provider_code) in FAILURES
            assert KEY not in str(outcome)
            str(outcome).encode()


def check_kept(outcome: Any, body: bytes) -> None:
    kept = keep_answer(outcome, body, BATCH[0], (KEY,)).answer
    assert kept is not None
    assert len(kept.encode()) <= KEPT_BYTES_MAX
    assert not [private for private in (KEY, BATCH[0].text, BATCH[0].to[1:]) if private in kept]


def check_reports(found: list[DeliveryReport]) -> None:
    for report in found:
        assert report.reference
        assert report.description is not None
        assert report.failure_code is None or report.failure_code in FAILURES
        f"{report.reference}{report.description}{report.network}{report.to}".encode()


@given(body=bodies(celcom_bodies), status=statuses)
@example(body=json.dumps({"response-code": KEY}).encode(), status=200)
def test_celcom_answer_becomes_an_outcome_whatever_it_is(body: bytes, status: int):
    judge = celcom_answers.Judge("celcom", (KEY,))
    with structlog.testing.capture_logs() as logs:
        try:
            reply = celcom_answers.read_reply(Answer(status, body))
            celcom_answers.needs_balance(reply.items)
            items = (
                [reply.whole] * len(BATCH)
                if reply.whole
                else celcom_answers.align(BATCH, reply.items)
            )
            outcomes = [
                judge.outcome(submission, item)
                for submission, item in zip(BATCH, items, strict=True)
            ]
            judge.outcome(BATCH[0], celcom_answers.sole_item(BATCH[0], reply))
        except CallFailed as failed:
            outcomes = [failed.outcome() for _ in BATCH]

    check_outcomes(outcomes)
    check_kept(outcomes[0], body)
    assert KEY not in repr(logs)


@given(body=bodies(africas_talking_bodies), status=statuses)
def test_africas_talking_answer_becomes_an_outcome_whatever_it_is(body: bytes, status: int):
    judge = africas_talking_answers.Judge("africastalking", (KEY,))
    with structlog.testing.capture_logs() as logs:
        try:
            reply = africas_talking_answers.read_reply(Answer(status, body))
            africas_talking_answers.is_worth_splitting(reply)
            outcomes = judge.outcomes(BATCH, reply)
        except CallFailed as failed:
            outcomes = [failed.outcome() for _ in BATCH]

    check_outcomes(outcomes)
    check_kept(outcomes[0], body)
    assert KEY not in repr(logs)


@given(body=bodies(reports | st.lists(reports, max_size=3)))
def test_celcom_report_is_read_or_unreadable_whatever_it_is(body: bytes):
    with structlog.testing.capture_logs():
        try:
            found = list(celcom_reports.parse_reports("celcom", body))
        except UnreadableReport:
            found = []
        pulled = celcom_reports.parse_pulled("celcom", "1", body)

    check_reports([*found, *([pulled] if pulled else [])])


@given(
    body=st.binary(max_size=200)
    | st.dictionaries(
        st.sampled_from(["id", "status", "phoneNumber", "networkCode", "failureReason"]),
        st.text(max_size=30) | st.sampled_from(["Failed", "Success", "UserInBlackList"]),
    ).map(lambda fields: urlencode(fields).encode())
)
def test_africas_talking_report_is_read_or_unreadable_whatever_it_is(body: bytes):
    with structlog.testing.capture_logs():
        try:
            found = list(africas_talking_reports.parse_reports("africastalking", body))
        except UnreadableReport:
            found = []

    check_reports(found)
