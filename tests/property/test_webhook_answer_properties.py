"""What an endpoint answers, whatever its bytes: it is judged, and can be recorded."""

from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from semalink_adapters.webhooks.answers import judge, shown_body, shown_headers
from semalink_adapters.webhooks.guarded_client import Answer

NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)
ODD = st.sampled_from(
    [
        b"9" * 5_000,
        b"Mon, 01 Jan 0001 00:00:00 +2359",
        b"Fri, 31 Dec 9999 23:59:59 -2359",
        b"Wed, 21 Oct 99999999999999999999 07:28:00 GMT",
        b"Wed, 21 Oct 2026 07:28:00 +99999999",
        b"\x00",
        b"\xff\xfe",
    ]
)
# As the client reads headers: bytes that are no text become halves of characters.
VALUES = (st.binary(max_size=60) | ODD).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "webhook-delivery", "server", "date", "content-type"]), VALUES
)


@given(st.integers(100, 999), HEADERS, st.binary(max_size=200))
def test_judge_makes_of_any_answer_something_that_can_be_recorded(
    status: int, headers: dict[str, str], body: bytes
):
    verdict = judge(Answer(status, None, headers, body), NOW)
    text, _ = shown_body(body)

    recorded = msgspec.json.encode([verdict, shown_headers(headers), text])

    assert msgspec.json.decode(recorded)
    assert verdict.is_delivered == (200 <= status < 300)
    assert (verdict.retry_after_seconds or 0) >= 0
