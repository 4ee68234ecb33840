from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semalink_adapters.webhooks.answers import (
    Verdict,
    judge,
    read_retry_after,
    shown_body,
    shown_headers,
)
from semalink_adapters.webhooks.guarded_client import Answer

TAKEN, REFUSED = True, False
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (Answer(200, None), Verdict(TAKEN, None)),
        (Answer(204, None), Verdict(TAKEN, None)),
        (Answer(301, None), Verdict(REFUSED, "redirect")),
        (Answer(404, None), Verdict(REFUSED, "status")),
        (Answer(410, None), Verdict(REFUSED, "status", disables="gone")),
        (Answer(503, None, {"retry-after": "7"}), Verdict(REFUSED, "status", 7)),
        (
            Answer(500, None, {"webhook-delivery": " Abort-Message"}),
            Verdict(REFUSED, "status", aborts=True),
        ),
        (
            Answer(500, None, {"webhook-delivery": "disable"}),
            Verdict(REFUSED, "status", disables="asked"),
        ),
        (
            Answer(200, None, {"webhook-delivery": "disable"}),
            Verdict(TAKEN, None, disables="asked"),
        ),
        (Answer(500, None, {"webhook-delivery": "dance"}), Verdict(REFUSED, "status")),
        (Answer(None, "dns"), Verdict(REFUSED, "dns")),
    ],
)
def test_judge_goes_by_status_and_header(answer: Answer, verdict: Verdict):
    assert judge(answer, NOW) == verdict


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("9" * 5_000, 864_000),
        ("999999999", 864_000),
        ("Wed, 25 Nov 2026 12:02:00 GMT", 120),
        ("Wed, 25 Nov 2026 12:02:00", 120),
        ("Wed, 25 Nov 2020 12:02:00 GMT", 0),
        ("Wed, 25 Nov 2126 12:02:00 GMT", 864_000),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2020 00:00:00 +999999999999999", None),
        ("\udcff", None),
        ("٣", None),
    ],
)
def test_read_retry_after_reads_seconds_and_dates(text: str, seconds: int | None):
    assert read_retry_after(text, NOW) == seconds


def test_shown_headers_are_few_and_short():
    headers = {"server": "x" * 1_000, "set-cookie": "session=1", "date": "today"}

    assert shown_headers(headers) == {"server": "x" * 256, "date": "today"}


def test_shown_headers_can_be_stored_whatever_bytes_they_were():
    assert shown_headers({"server": "caf\udce9"}) == {"server": "caf?"}


@given(st.text(st.sampled_from("0123456789 :,+-MonJaGT\udcff"), max_size=60))
def test_read_retry_after_survives_any_text(text: str):
    seconds = read_retry_after(text, NOW)

    assert seconds is None or 0 <= seconds <= 864_000


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"", ("", "text")),
        ("habari ũ".encode(), ("habari ũ", "text")),
        ("habari ũ".encode()[:-1], ("habari ", "text")),
        (b"\xff\x00", ("/wA=", "base64")),
    ],
)
def test_shown_body_is_text_where_it_can_be(body: bytes, shown: tuple[str, str]):
    assert shown_body(body) == shown
