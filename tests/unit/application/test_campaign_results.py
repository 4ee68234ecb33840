"""What is shown of a campaign adds up, and says no more than is known."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from semalink.application.campaign_csv import outcome_lines
from semalink.application.campaign_results import (
    CampaignFacts,
    CurvePoint,
    CurveRow,
    Outcome,
    ResultRow,
    Sent,
    results_of,
)
from semalink.application.csv_cells import csv_lines, text_cell
from semalink.application.left_out import reason_words

START = datetime(2026, 11, 25, 9, tzinfo=UTC)
PRICE = 800_000


def _row(network: str, status: str, code: str, count: int, *, refunded: int = 0) -> ResultRow:
    taken = 0 if status in ("accepted", "cancelled") else count
    return ResultRow(
        network, status, code, count, taken, count, count * PRICE, taken * PRICE, refunded * PRICE
    )


FACTS = CampaignFacts(
    UUID(int=7),
    "Offer",
    "sending",
    "live",
    START + timedelta(seconds=90),
    message_count=1_000,
    left_out={"duplicate": 1, "opted_out": 3},
    reserved_micros=1_000 * PRICE,
    started_at=START,
    completed_at=None,
    settled_at=None,
    results=[
        _row("safaricom", "accepted", "", 700),
        _row("safaricom", "submitted", "", 50),
        _row("safaricom", "delivered", "", 200),
        _row("airtel", "failed", "absent_subscriber", 30, refunded=30),
        _row("", "expired", "validity_expired", 15),
        _row("", "rejected", "absent_subscriber", 5),
    ],
    curve=[
        CurveRow(START, 1_000, 200, 180, 20),
        CurveRow(START + timedelta(minutes=1), 0, 100, 20, 30),
    ],
)


def test_results_of_sending_campaign_add_up() -> None:
    results = results_of(FACTS, "auto")

    counts = results.counts
    assert counts.accepted == 1_000
    assert counts.accepted == (
        counts.waiting + counts.under_way + counts.delivered + counts.failed + counts.rejected
        + counts.expired + counts.cancelled + counts.unknown
    )  # fmt: skip
    assert results.progress_percent == 30
    assert sum(one.accepted for one in results.networks) == 1_000
    assert [one.network for one in results.networks] == ["safaricom", "airtel", None]
    assert [(one.code, one.count) for one in results.failures] == [
        ("absent_subscriber", 30),
        ("validity_expired", 15),
        ("absent_subscriber", 5),
    ]
    assert [one.reason for one in results.left_out] == ["opted_out", "duplicate"]


def test_results_tell_where_the_reservation_went() -> None:
    money = results_of(FACTS, "auto").money
    settled = results_of(replace(FACTS, settled_at=START, state="completed"), "auto").money

    assert money.cost_micros == money.charged_micros - money.refunded_micros == 270 * PRICE
    assert (money.still_reserved_micros, money.released_micros) == (700 * PRICE, 0)
    assert (settled.still_reserved_micros, settled.released_micros) == (0, 700 * PRICE)


def test_forecast_follows_the_pace_of_the_last_minutes() -> None:
    # 300 messages in the 90 seconds since the start, and 700 are left.
    forecast = results_of(FACTS, "auto").forecast_finish_at
    later = replace(FACTS, as_of=START + timedelta(minutes=30))

    assert forecast == FACTS.as_of + timedelta(seconds=210)
    assert results_of(later, "auto").forecast_finish_at is None


@pytest.mark.parametrize(
    "facts",
    [
        replace(FACTS, state="paused"),
        replace(FACTS, started_at=None),
        replace(FACTS, started_at=FACTS.as_of),
        replace(FACTS, message_count=300),
        replace(FACTS, message_count=None),
    ],
)
def test_forecast_is_silent_where_nothing_can_be_said(facts: CampaignFacts) -> None:
    assert results_of(facts, "auto").forecast_finish_at is None


def test_progress_of_campaign_that_was_not_checked_is_nothing() -> None:
    draft = replace(FACTS, state="draft", message_count=None, results=(), curve=(), left_out={})

    results = results_of(draft, "auto")

    assert (results.progress_percent, results.counts.accepted, results.curve) == (0, 0, [])


def test_progress_of_completed_campaign_is_whole() -> None:
    # Two opted out after the check, so that two messages were never made.
    completed = replace(FACTS, state="completed", message_count=1_002)

    assert results_of(completed, "auto").progress_percent == 100


def test_curve_is_summed_by_the_width_that_is_asked_for() -> None:
    results = results_of(FACTS, "1h")

    assert results.bucket_seconds == 3_600
    assert results.curve == [CurvePoint(START, 1_000, 300, 200, 50)]


def test_curve_of_days_begins_at_midnight_of_east_africa() -> None:
    evening = datetime(2026, 11, 25, 21, 30, tzinfo=UTC)
    facts = replace(FACTS, curve=[CurveRow(evening, 1, 0, 0, 0)])

    [point] = results_of(facts, "1d").curve

    assert point.at == datetime(2026, 11, 25, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("minutes", "seconds"), [(100, 60), (500, 300), (1_500, 900), (5_000, 3_600), (999_999, 86_400)]
)
def test_curve_has_the_narrowest_width_that_fits(minutes: int, seconds: int) -> None:
    curve = [CurveRow(START + timedelta(minutes=one), 1, 0, 0, 0) for one in (0, minutes)]

    assert results_of(replace(FACTS, curve=curve), "auto").bucket_seconds == seconds


def test_file_has_a_line_for_every_recipient() -> None:
    sent = Sent(
        UUID(int=9), "failed", "absent_subscriber", 1, PRICE, PRICE, PRICE, "safaricom", START, None
    )
    plain = sent._replace(status="delivered", failure_code=None, network=None)
    outcomes = [
        Outcome(0, "+254712345678", "ready", None, sent),
        Outcome(1, "+254712345679", "ready", None, plain),
        Outcome(2, '=HYPERLINK("x")', "left_out", "invalid_number", None),
        Outcome(3, "+254712345670", "ready", None, None),
    ]

    lines = outcome_lines(FACTS, outcomes).decode().split("\r\n")

    assert lines[0].startswith("+254712345678,failed,absent_subscriber,\"The recipient's phone")
    assert lines[0].endswith("safaricom,2026-11-25T09:00:00Z,,msg_" + "0" * 31 + "9")
    assert lines[1].startswith("+254712345679,delivered,,,1,800000")
    assert lines[2].startswith('"\'=HYPERLINK(""x"")",left_out,invalid_number,The number is not')
    assert lines[3] == "+254712345670,waiting,,,,,,,,,,"


@pytest.mark.parametrize(
    ("state", "reason"), [("cancelled", "campaign_cancelled"), ("completed", "opted_out")]
)
def test_file_says_why_a_recipient_was_not_sent_to(state: str, reason: str) -> None:
    outcome = Outcome(0, "+254712345678", "ready", None, None)

    line = outcome_lines(replace(FACTS, state=state), [outcome]).decode()

    assert line.startswith(f"+254712345678,not_sent,{reason},")


@pytest.mark.parametrize("state", ["cancelled", "completed"])
def test_file_says_nothing_of_who_opted_out_while_messages_are_not_listed_yet(state: str) -> None:
    outcome = Outcome(0, "+254712345678", "ready", None, None)

    line = outcome_lines(replace(FACTS, state=state, is_listed=False), [outcome]).decode()

    assert line.startswith("+254712345678,waiting,")


def test_results_release_nothing_before_the_end_is_counted() -> None:
    settled = replace(FACTS, state="completed", settled_at=FACTS.as_of)

    money = results_of(settled, "auto").money

    assert (money.still_reserved_micros, money.released_micros) == (700 * PRICE, 0)


def test_file_of_archived_campaign_says_so_instead_of_guessing() -> None:
    outcomes = [
        Outcome(0, "+254712345678", "ready", None, None),
        Outcome(1, "+254712345678", "left_out", "duplicate", None),
    ]

    lines = outcome_lines(replace(FACTS, state="completed", is_archived=True), outcomes).decode()

    assert [line.split(",")[1] for line in lines.splitlines()] == ["archived", "left_out"]


@pytest.mark.parametrize("text", ["=1+1", "+1;cmd", "-x", "@SUM(A1)", "\tx", "\rx"])
def test_cell_is_no_formula(text: str) -> None:
    assert text_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "+254712345678", "-5", "Amina", "a=b"])
def test_cell_stays_as_it_is_where_it_is_harmless(text: str) -> None:
    assert text_cell(text) == text


def test_lines_quote_what_would_break_them() -> None:
    assert csv_lines([('a,"b"', "c\nd", 1)]) == b'"a,""b""","c\nd",1\r\n'


def test_reason_nobody_listed_has_words_too() -> None:
    assert reason_words("something_new").startswith("The recipient gets no message")
