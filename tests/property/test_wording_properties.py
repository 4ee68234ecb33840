from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from semalink.domain.content_check import Content, Rules, check
from semalink.domain.lookalikes import replace_lookalikes
from semalink.domain.opt_out_text import with_opt_out
from semalink.domain.rate_card import RateCard
from semalink.domain.segments import Encoding, measure
from semalink.domain.sending_window import SendingWindows

LOOKALIKES = "\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u00a0\u0410\u0435\u043e\uff21\u200b\ufb01`"
TEXTS = st.text(alphabet=LOOKALIKES + "aeimo €[]ŵ\n", max_size=400)
OPT_OUT = "STOP*456*9*5#"
RULES = Rules(
    senders=frozenset({"OFFERS", "SEMALINK"}),
    rate_card=RateCard("standard", 1, {("KE", None): 800_000}),
    segments_max=1_000,
    promotional={"OFFERS": OPT_OUT},
)
HOURS = st.integers(min_value=0, max_value=24 * 60 - 1)
START = datetime(2026, 1, 1, tzinfo=UTC)
MOMENTS = st.integers(min_value=0, max_value=2 * 365 * 24 * 60 * 60).map(
    lambda seconds: START + timedelta(seconds=seconds)
)
ZONES = st.sampled_from(["Africa/Nairobi", "Africa/Kigali", "Europe/Berlin", "UTC"])


@settings(deadline=None)
@given(TEXTS)
def test_replace_lookalikes_never_takes_more_segments_and_ends_in_gsm_7(text: str) -> None:
    before = measure(text)

    replaced = replace_lookalikes(text, before)

    if replaced is not None:
        assert replaced.measure.encoding is Encoding.GSM_7
        assert replaced.measure == measure(replaced.text)
        assert before.segments - replaced.measure.segments == replaced.saved_segments >= 0
        assert replace_lookalikes(replaced.text, replaced.measure) is None


@settings(deadline=None)
@given(TEXTS.filter(lambda text: text.strip()), st.sampled_from(["OFFERS", "SEMALINK"]))
def test_check_never_charges_more_for_a_text_without_lookalikes(text: str, sender: str) -> None:
    content = Content("+254712345678", text + "a", sender)

    left = check(content, RULES)
    replaced = check(Content(content.to, content.text, sender, replace_lookalikes=True), RULES)

    assert replaced.price_micros <= left.price_micros
    assert left.segments == measure(left.text).segments
    assert replaced.segments == measure(replaced.text).segments


@settings(deadline=None)
@given(TEXTS)
def test_with_opt_out_adds_it_once(text: str) -> None:
    whole = with_opt_out(text, OPT_OUT)

    assert whole.startswith(text)
    assert OPT_OUT in whole
    assert with_opt_out(whole, OPT_OUT) == whole


@settings(deadline=None)
@given(MOMENTS, ZONES, HOURS, HOURS, st.integers(min_value=0, max_value=6))
def test_earliest_legal_start_is_the_first_open_moment(
    now: datetime, zone: str, first: int, last: int, closed: int
) -> None:
    opens, closes = min(first, last), max(first, last) + 1
    hours = f"{opens // 60:02}:{opens % 60:02}-{closes // 60:02}:{closes % 60:02}"
    days = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    table = {"zone": zone, "hours": hours, days[closed]: "closed"}
    windows = SendingWindows.from_mapping({"default": table}, ZoneInfo)

    earliest = windows.earliest_legal_start(now, "KE")

    assert now <= earliest <= now + timedelta(days=9)
    assert windows.is_open(earliest, "KE")
    assert earliest == now or not windows.is_open(now, "KE")
    # Just before it was closed, or it was asked for an hour at which it is open.
    moment = earliest - timedelta(microseconds=1)
    assert moment < now or not windows.is_open(moment, "KE")


@settings(deadline=None)
@given(MOMENTS, st.sampled_from(["Africa/Nairobi", "Asia/Kolkata", "UTC"]), HOURS, HOURS)
def test_closes_at_is_the_first_closed_moment(
    now: datetime, zone: str, first: int, last: int
) -> None:
    opens, closes = min(first, last), max(first, last) + 1
    hours = f"{opens // 60:02}:{opens % 60:02}-{closes // 60:02}:{closes % 60:02}"
    windows = SendingWindows.from_mapping({"default": {"zone": zone, "hours": hours}}, ZoneInfo)

    end = windows.closes_at(now, "KE")

    assert (end is None) == (hours == "00:00-24:00")
    assert end is None or not windows.is_open(end, "KE")
    moment = now if end is None else end - timedelta(microseconds=1)
    assert moment < now or windows.is_open(moment, "KE")
