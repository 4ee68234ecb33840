"""Usage adds up, and a file of it is no formula."""

from collections import Counter
from datetime import date

from semalink.application.usage_reading import (
    AccountUsageView,
    UsagePlace,
    UsageRow,
    UsageView,
    account_usage_view,
    counts_of,
    usage_header,
    usage_lines,
    usage_view,
)

DAY = date(2026, 11, 2)
KEY = "key_" + "0" * 31 + "b"
COUNTS = counts_of(Counter(accepted=10, submitted=9, delivered=5, failed=1, cancelled=2))


def test_counts_add_up() -> None:
    assert COUNTS.under_way == 2
    assert (COUNTS.accepted, COUNTS.delivered, COUNTS.unknown) == (10, 5, 0)


def test_row_of_key_names_it() -> None:
    row = UsageRow(DAY, {"network": "airtel", "sender": "ACME", "api_key": KEY}, COUNTS)

    view = usage_view(row)

    assert (view.network, view.source, view.key_id) == ("airtel", "api", KEY)
    assert row.place == UsagePlace(DAY, ("airtel", "ACME", KEY))


def test_row_of_campaign_names_no_key() -> None:
    view = usage_view(
        UsageRow(DAY, {"network": "", "sender": "ACME", "api_key": "campaign"}, COUNTS)
    )

    assert (view.network, view.source, view.key_id) == (None, "campaign", None)


def test_row_for_finance_names_the_account() -> None:
    kind = {
        "account_id": "00000000-0000-0000-0000-00000000000c",
        "mode": "live",
        "network": "",
        "sender": "ACME",
        "aggregator": "",
        "api_key": "",
    }

    view = account_usage_view(UsageRow(DAY, kind, COUNTS))

    assert view.account_id == "acct_" + "0" * 31 + "c"
    assert (view.aggregator, view.source, view.key_id) == (None, "api", None)


def test_file_has_a_line_for_each_row() -> None:
    view = usage_view(
        UsageRow(DAY, {"network": "=x()", "sender": "ACME", "api_key": "campaign"}, COUNTS)
    )

    lines = (usage_header(UsageView) + usage_lines([view])).decode().split("\r\n")

    assert lines[0].startswith("day,network,sender,source,key_id,accepted,submitted,under_way")
    assert lines[1] == "2026-11-02,'=x(),ACME,campaign,,10,9,2,5,1,0,0,2,0,0,0,0,0"
    assert usage_header(AccountUsageView).startswith(b"day,account_id,mode,network,sender,agg")
