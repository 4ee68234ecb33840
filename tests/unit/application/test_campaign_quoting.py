from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from semalink.application.campaign_quoting import Credit, credit_of, quote_of
from semalink.application.campaign_reading import CampaignRecord, view_of
from semalink.application.credit_reading import BalanceView
from semalink.domain.campaign_plan import Plan, Totals
from semalink.domain.campaign_start import Circumstances
from semalink.domain.sending_window import ALWAYS_OPEN

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
ACCOUNT, AGENT = UUID(int=1), UUID(int=2)
TOTALS = Totals(
    recipient_count=3,
    message_count=2,
    left_out={"duplicate": 1},
    by_network={"safaricom": 1, "": 1},
    by_segments={"1": 2},
    segment_count=2,
    price_micros=100,
    cost_micros=80,
    by_country={"KE": 2},
)
RECORD = CampaignRecord(
    campaign_id=UUID(int=3),
    account_id=ACCOUNT,
    billing_account_id=ACCOUNT,
    mode="live",
    state="draft",
    plan=Plan("Offers", "ACME", "Habari!", list_ids=(UUID(int=4),)),
    revision=1,
    totals=TOTALS,
    problem_code=None,
    problem_detail=None,
    start_at=None,
    message_count=None,
    started_at=None,
    completed_at=None,
    settled_at=None,
    checked_at=None,
    created_by="key:1",
    created_at=NOW,
    changed_at=NOW,
)
OF_CUSTOMER = replace(RECORD, billing_account_id=AGENT)


def cover(available_micros: int | None, lacking_micros: int | None, *, enough: bool) -> Credit:
    return Credit(enough, available_micros, lacking_micros)


def balance(available_micros: int | None) -> BalanceView:
    return BalanceView("acct_1", "acct_1", 0, 0, 0, available_micros, NOW)


@pytest.mark.parametrize(
    ("record", "own", "paying", "wanted"),
    [
        (RECORD, balance(100), balance(100), cover(100, 0, enough=True)),
        (RECORD, balance(99), balance(99), cover(99, 1, enough=False)),
        (RECORD, None, None, cover(0, 100, enough=False)),
        (replace(RECORD, mode="test"), None, None, cover(None, 0, enough=True)),
        (OF_CUSTOMER, balance(None), balance(80), cover(None, None, enough=True)),
        (OF_CUSTOMER, balance(None), balance(79), cover(None, None, enough=False)),
        (OF_CUSTOMER, balance(100), balance(80), cover(100, 0, enough=True)),
        (OF_CUSTOMER, balance(90), balance(80), cover(90, 10, enough=False)),
        (OF_CUSTOMER, None, None, cover(None, None, enough=False)),
    ],
)
def test_credit_tells_an_owner_what_lacks_and_a_customer_nothing_of_its_agent(
    record: CampaignRecord, own: BalanceView | None, paying: BalanceView | None, wanted: Credit
) -> None:
    assert credit_of(record, TOTALS, own, paying) == wanted


def test_quote_warns_of_what_stands_in_the_way() -> None:
    record = replace(RECORD, plan=replace(RECORD.plan, validity_seconds=1))

    quote = quote_of(
        record,
        replace(TOTALS, message_count=100),
        now=NOW,
        platform=Circumstances(ALWAYS_OPEN, 10),
        credit=cover(0, 100, enough=False),
        samples=[],
    )

    assert [one.code for one in quote.warnings] == ["validity_too_short", "insufficient_credits"]
    assert quote.by_network == {"safaricom": 1, "unknown": 1}
    assert quote.checked_at == NOW


class Evenings:
    """Hours that begin at 18:00."""

    def is_open(self, now: datetime, country: str) -> bool:
        return now.hour >= 18

    def earliest_legal_start(self, now: datetime, country: str) -> datetime:
        return now if self.is_open(now, country) else now.replace(hour=18)


def test_quote_says_when_the_start_is_moved() -> None:
    quote = quote_of(
        RECORD,
        replace(TOTALS, sender_class="promotional"),
        now=NOW,
        platform=Circumstances(Evenings(), 10),
        credit=cover(100, 0, enough=True),
        samples=[],
    )

    assert [one.code for one in quote.warnings] == ["start_moved"]
    assert quote.earliest_legal_start_at == quote.forecast.start_at == NOW.replace(hour=18)


def test_view_tells_why_a_campaign_is_a_draft_again() -> None:
    failed = view_of(replace(RECORD, problem_code="approval_declined", problem_detail="No."))

    assert failed.problem is not None
    assert (failed.problem.code, failed.problem.detail) == ("approval_declined", "No.")
    assert view_of(replace(RECORD, totals=None)).price_micros is None
