"""What each recorded delivery report means, for both providers, in one harness."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from semalink.application.ports import DeliveryReport, ReportState, UnreadableReport
from semalink.domain.failure_codes import FAILURES
from semalink_adapters.aggregators import africas_talking_reports, celcom_reports

RECORDINGS = Path(__file__).parents[2] / "recordings"
S = ReportState

PUSHED = DeliveryReport(
    reference="1889191",
    state=S.DELIVERED,
    description="DeliveredToTerminal",
    reported_at=datetime(2025, 9, 12, 7, 16, 10, tzinfo=UTC),
)
FORM = DeliveryReport(
    reference="ATPid_SampleTxnId123",
    state=S.DELIVERED,
    description="Success",
    to="+254712345678",
    network="63902",
)
PULLED = DeliveryReport(
    reference="810668705",
    state=S.DELIVERED,
    description="DeliveredToTerminal",
    network="1",
    reported_at=datetime(2026, 8, 14, 9, 57, 42, tzinfo=UTC),
)


def pushed(state: S, words: str, code: str | None = None, *, out: bool = False) -> DeliveryReport:
    return replace(PUSHED, state=state, description=words, failure_code=code, opted_out=out)


def form(state: S, words: str, code: str | None = None, *, out: bool = False) -> DeliveryReport:
    return replace(FORM, state=state, description=words, failure_code=code, opted_out=out)


def failed(reason: str, code: str) -> DeliveryReport:
    return form(S.FAILED, f"Failed: {reason}", code)


UNREADABLE = None

CASES: list[tuple[str, str, DeliveryReport | None]] = [
    ("on the handset", "celcom/push_delivered.json", PUSHED),
    ("the id is a number", "celcom/push_number_id.json", PUSHED),
    ("the shape of getdlr", "celcom/getdlr_delivered.json", PULLED),
    (
        "32 and not delivered",
        "celcom/getdlr_scheduled.json",
        DeliveryReport("821169663", S.QUEUED, "Scheduled", network="1"),
    ),
    (
        "delivered at no time",
        "celcom/getdlr_delivered_without_time.json",
        replace(PULLED, state=S.SUBMITTED, reported_at=None),
    ),
    ("short for delivered", "celcom/push_delivrd.json", pushed(S.DELIVERED, "DELIVRD")),
    ("on its way", "celcom/push_sent.json", pushed(S.SUBMITTED, "SentToNetwork")),
    ("at the network", "celcom/push_at_network.json", pushed(S.SUBMITTED, "DeliveredToNetwork")),
    ("submitted", "celcom/push_submitted.json", pushed(S.SUBMITTED, "Submitted")),
    ("waiting", "celcom/push_scheduled.json", pushed(S.QUEUED, "Scheduled")),
    (
        "absent",
        "celcom/push_absent.json",
        pushed(S.FAILED, "AbsentSubscriber", "absent_subscriber"),
    ),
    (
        "impossible",
        "celcom/push_impossible.json",
        pushed(S.FAILED, "DeliveryImpossible", "delivery_impossible"),
    ),
    (
        "impossible, with a space",
        "celcom/push_impossible_spaced.json",
        pushed(S.FAILED, "Delivery Impossible", "delivery_impossible"),
    ),
    (
        "opted out",
        "celcom/push_blacklisted.json",
        pushed(S.REJECTED, "SenderName Blacklisted", "opted_out", out=True),
    ),
    (
        "opted out, in lower case",
        "celcom/push_blacklisted_lower.json",
        pushed(S.REJECTED, "Sendername blacklisted", "opted_out", out=True),
    ),
    (
        "nobody knows",
        "celcom/push_unknown.json",
        pushed(S.UNKNOWN, "Unknown", "status_unknown_to_operator"),
    ),
    (
        "sender",
        "celcom/push_invalid_source.json",
        pushed(S.REJECTED, "Invalid Source Address", "sender_not_registered"),
    ),
    (
        "number",
        "celcom/push_invalid_msisdn.json",
        pushed(S.REJECTED, "InvalidMsisdn", "invalid_number"),
    ),
    ("expired", "celcom/push_expired.json", pushed(S.EXPIRED, "Expired", "validity_expired")),
    ("rejected", "celcom/push_rejectd.json", pushed(S.REJECTED, "REJECTD", "rejected_by_operator")),
    (
        "undelivered holds delivered",
        "celcom/push_undelivered.json",
        pushed(S.FAILED, "Undelivered", "delivery_failed"),
    ),
    ("new", "celcom/push_unrecognised.json", pushed(S.UNRECOGNISED, "HandsetMemoryFull")),
    (
        "not delivered, in words that nobody knows",
        "celcom/push_nearly_delivered.json",
        pushed(S.UNRECOGNISED, "Not delivered to terminal"),
    ),
    ("no id", "celcom/push_without_id.json", UNREADABLE),
    ("no description", "celcom/push_without_description.json", UNREADABLE),
    ("no report yet", "celcom/getdlr_1008.json", UNREADABLE),
    ("a form", "africas_talking/push_success.form.txt", UNREADABLE),
    ("success", "africas_talking/push_success.form.txt", FORM),
    ("more fields", "africas_talking/push_retry_count.form.txt", FORM),
    ("a plus that was not escaped", "africas_talking/push_unescaped_plus.form.txt", FORM),
    ("sent", "africas_talking/push_sent.form.txt", form(S.SUBMITTED, "Sent")),
    ("submitted", "africas_talking/push_submitted.form.txt", form(S.SUBMITTED, "Submitted")),
    ("buffered", "africas_talking/push_buffered.form.txt", form(S.SUBMITTED, "Buffered")),
    (
        "absent",
        "africas_talking/push_absentsubscriber.form.txt",
        form(S.FAILED, "AbsentSubscriber", "absent_subscriber"),
    ),
    (
        "discarded",
        "africas_talking/push_expired.form.txt",
        form(S.REJECTED, "Expired", "discarded_by_operator"),
    ),
    (
        "rejected for no reason",
        "africas_talking/push_rejected.form.txt",
        form(S.REJECTED, "Rejected", "rejected_by_operator"),
    ),
    (
        "rejected for an opt-out",
        "africas_talking/push_rejected_userinblacklist.form.txt",
        form(S.REJECTED, "Rejected: UserInBlackList", "opted_out", out=True),
    ),
    (
        "failed for an opt-out",
        "africas_talking/push_failed_userinblacklist.form.txt",
        form(S.REJECTED, "Failed: UserInBlackList", "opted_out", out=True),
    ),
    (
        "failed for no reason",
        "africas_talking/push_failed.form.txt",
        form(S.FAILED, "Failed", "delivery_failed"),
    ),
    (
        "failed for a new reason",
        "africas_talking/push_failed_new_reason.form.txt",
        failed("PhoneEatenByGoat", "delivery_failed"),
    ),
    (
        "new",
        "africas_talking/push_unrecognised.form.txt",
        form(S.UNRECOGNISED, "HandsetMemoryFull"),
    ),
    ("no id", "africas_talking/push_without_id.form.txt", UNREADABLE),
    ("no status", "africas_talking/push_without_status.form.txt", UNREADABLE),
    ("JSON", "celcom/push_delivered.json", UNREADABLE),
    *(
        (
            "failed for a reason",
            f"africas_talking/push_failed_{reason.lower()}.form.txt",
            failed(reason, code),
        )
        for reason, code in (
            ("InsufficientCredit", "subscriber_out_of_credit"),
            ("InvalidLinkId", "invalid_link"),
            ("UserIsInactive", "subscriber_inactive"),
            ("UserAccountSuspended", "subscriber_suspended"),
            ("NotNetworkSubcriber", "wrong_network"),
            ("UserNotSubscribedToProduct", "not_subscribed"),
            ("UserDoesNotExist", "subscriber_unknown"),
            ("DeliveryFailure", "delivery_failed"),
            ("DoNotDisturbRejection", "do_not_disturb"),
        )
    ),
]

#: A body of the other provider is read by the wrong parser, to see that it refuses.
CROSSED = {"a form": "celcom", "JSON": "africas_talking"}
PARSERS: dict[str, Callable[[str, bytes], Sequence[DeliveryReport]]] = {
    "celcom": celcom_reports.parse_reports,
    "africas_talking": africas_talking_reports.parse_reports,
}


@pytest.mark.parametrize(
    ("label", "recorded", "expected"),
    [pytest.param(*case, id=f"{case[1]}: {case[0]}") for case in CASES],
)
def test_parse_reports_reads_the_recorded_report(
    label: str, recorded: str, expected: DeliveryReport | None
):
    kind = CROSSED.get(label, recorded.split("/", maxsplit=1)[0])
    body = (RECORDINGS / recorded).read_bytes()

    try:
        reports = list(PARSERS[kind](kind, body))
    except UnreadableReport:
        reports = []

    assert reports == ([] if expected is None else [expected])


def test_parse_reports_names_only_listed_failure_codes():
    codes = {expected.failure_code for *_, expected in CASES if expected is not None}

    assert codes - {None} <= FAILURES.keys()


@pytest.mark.parametrize(
    ("kind", "recorded", "event"),
    [
        ("celcom", "celcom/push_unrecognised.json", "delivery_status_not_recognised"),
        (
            "africas_talking",
            "africas_talking/push_unrecognised.form.txt",
            "delivery_status_not_recognised",
        ),
        (
            "africas_talking",
            "africas_talking/push_failed_new_reason.form.txt",
            "failure_reason_not_recognised",
        ),
    ],
)
def test_parse_reports_is_loud_about_words_that_it_does_not_know(
    kind: str, recorded: str, event: str
):
    body = (RECORDINGS / recorded).read_bytes()

    with capture_logs() as logs:
        PARSERS[kind]("sandbox", body)

    assert [(log["event"], log["aggregator"], log["log_level"]) for log in logs] == [
        (event, "sandbox", "error")
    ]
    assert "254712345678" not in repr(logs)


def test_parse_reports_reads_every_report_of_a_list():
    body = b'[{"description":"Sent","messageid":1},{"description":"Expired","messageid":"2"}]'

    reports = celcom_reports.parse_reports("celcom", body)

    assert [report.reference for report in reports] == ["1", "2"]


@pytest.mark.parametrize("bad", ['{"description":"Sent"}', "7", '{"messageid":{"x":1}}'])
def test_parse_reports_is_loud_about_a_bad_report_and_reads_the_others(bad: str):
    body = f'[{bad},{{"description":"Sent","messageid":2}}]'.encode()

    with capture_logs() as logs:
        reports = celcom_reports.parse_reports("sandbox", body)

    assert [report.reference for report in reports] == ["2"]
    assert [(log["event"], log["log_level"], log["count"]) for log in logs] == [
        ("delivery_reports_skipped", "error", 1)
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"[" + b",".join([b'{"description":"Sent","messageid":1}'] * 1001) + b"]",
        b'[{"description":"Sent"},{"messageid":1},7]',
        b'[{"description":"Sent","messageid":1},{"description":"Sent"]',
        b'{"description":"Sent","messageid":"' + b"9" * 129 + b'"}',
        b'{"description":"Sent","messageid":"a\\u0000b"}',
        b'{"description":"Sent","messageid":{"$ne":1}}',
        b"[" * 100_000,
        b'{"x":' * 100_000,
        b'{"description":"Sent","messageid":"\xff"}',
    ],
)
def test_parse_reports_refuses_what_no_report_can_be_made_of(body: bytes):
    for kind, parse in PARSERS.items():
        with pytest.raises(UnreadableReport):
            parse(kind, body)


def test_parse_reports_refuses_a_form_of_far_too_many_fields():
    body = b"id=1&status=Success&" + b"&".join(b"a=1" for _ in range(60))

    with pytest.raises(UnreadableReport):
        africas_talking_reports.parse_reports("africastalking", body)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2025-09-12 10:16:10", datetime(2025, 9, 12, 7, 16, 10, tzinfo=UTC)),
        ("2025-09-12T10:16:10Z", datetime(2025, 9, 12, 10, 16, 10, tzinfo=UTC)),
        ("0001-01-01 00:00:00", None),
        ("12/09/2025 10:16", None),
        ("", None),
    ],
)
def test_parse_reports_takes_times_without_zone_as_nairobi(written: str, expected: datetime | None):
    body = f'{{"description":"Sent","messageid":1,"timestamp":"{written}"}}'.encode()

    (report,) = celcom_reports.parse_reports("celcom", body)

    assert report.reported_at == expected


@pytest.mark.parametrize("number", ["", "ABC", "+254711XXXYYY", "0712345678", "+" + "1" * 16])
def test_parse_reports_names_no_recipient_when_the_number_is_none(number: str):
    body = f"id=1x&status=Success&phoneNumber={number}".encode()

    (report,) = africas_talking_reports.parse_reports("africastalking", body)

    assert report.to is None
