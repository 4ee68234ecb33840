"""The calls that change nothing: the state of a message, and the balance."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from semalink.application.ports import (
    Aggregator,
    DeliveryReport,
    ReportNotFetched,
    ReportState,
)
from semalink_adapters.aggregators.exchange import Timeouts

DELIVERED = DeliveryReport(
    reference="810668705",
    state=ReportState.DELIVERED,
    description="DeliveredToTerminal",
    network="1",
    reported_at=datetime(2026, 8, 14, 9, 57, 42, tzinfo=UTC),
)


@pytest.mark.parametrize(
    ("recorded", "reference", "expected"),
    [
        ("getdlr_delivered", "810668705", DELIVERED),
        (
            "getdlr_scheduled",
            "821169663",
            DeliveryReport("821169663", ReportState.QUEUED, "Scheduled", network="1"),
        ),
        (
            "getdlr_delivered_without_time",
            "810668705",
            DeliveryReport("810668705", ReportState.SUBMITTED, "DeliveredToTerminal", network="1"),
        ),
        ("getdlr_delivered", "1", None),
        ("getdlr_1008", "1", None),
        ("getdlr_1009", "1", None),
        ("getdlr_4093", "1", None),
    ],
)
async def test_fetch_report_goes_by_the_description(
    recorded: str,
    reference: str,
    expected: DeliveryReport | None,
    provider: Any,
    celcom: Callable[..., Aggregator],
    recording: Callable[[str], bytes],
):
    provider.answer("getdlr", recording(f"celcom/{recorded}.json"))

    fetched = await celcom().fetch_report(reference)

    assert (fetched and fetched.report) == expected
    assert fetched is None or fetched.body == recording(f"celcom/{recorded}.json")
    assert msgspec.json.decode(provider.requests[0].body) == {
        "apikey": "k3y-0f-c3lcom",
        "partnerID": "4455",
        "messageID": reference,
    }


@pytest.mark.parametrize("body", ["", "<html>", "[]", "null", "{}"])
async def test_fetch_report_is_none_when_the_answer_is_unreadable(
    body: str, provider: Any, celcom: Callable[..., Aggregator]
):
    provider.answer("getdlr", body)

    assert await celcom().fetch_report("1") is None


@pytest.mark.parametrize("status", [401, 429, 500, 503])
async def test_fetch_report_fails_when_the_question_is_turned_away(
    status: int, provider: Any, celcom: Callable[..., Aggregator]
):
    provider.answer("getdlr", "", status=status)

    with pytest.raises(ReportNotFetched):
        await celcom().fetch_report("1")


async def test_fetch_report_fails_when_no_answer_comes(
    provider: Any, impatient: Timeouts, celcom: Callable[..., Aggregator]
):
    provider.is_answering.clear()

    with pytest.raises(ReportNotFetched):
        await celcom(timeouts=impatient).fetch_report("1")


async def test_fetch_report_asks_nobody_where_no_call_exists(
    provider: Any, africas_talking: Callable[..., Aggregator]
):
    assert await africas_talking().fetch_report("ATPid_1") is None
    assert provider.requests == []


@pytest.mark.parametrize(
    ("kind", "recorded", "expected"),
    [
        ("celcom", "celcom/balance.json", "545.00"),
        ("celcom", "celcom/balance_refused.json", None),
        ("africas_talking", "africas_talking/balance.json", "KES 1785.50"),
        ("africas_talking", "africas_talking/balance_capitalised.json", "KES 1785.50"),
        ("africas_talking", "africas_talking/unauthorised.txt", None),
        ("africas_talking", "celcom/balance.json", None),
    ],
)
async def test_fetch_balance_is_in_the_words_of_the_provider(
    kind: str,
    recorded: str,
    expected: str | None,
    provider: Any,
    build_adapter: Callable[..., Aggregator],
    recording: Callable[[str], bytes],
):
    provider.answer("getbalance", recording(recorded))
    provider.answer("user", recording(recorded))

    balance = await build_adapter(kind).fetch_balance()

    assert balance == expected


@pytest.mark.parametrize("kind", ["celcom", "africas_talking"])
async def test_fetch_balance_is_none_when_the_provider_is_not_reached(
    kind: str, closed_url: str, build_adapter: Callable[..., Aggregator]
):
    assert await build_adapter(kind, base_url=closed_url).fetch_balance() is None


async def test_fetch_balance_keeps_the_key_out_of_the_address(
    provider: Any, africas_talking: Callable[..., Aggregator], recording: Callable[[str], bytes]
):
    provider.answer("user", recording("africas_talking/balance.json"))

    await africas_talking().fetch_balance()

    (request,) = provider.requests
    assert (request.method, request.path, request.query) == (
        "GET",
        "/version1/user",
        "username=semalink",
    )
    assert request.headers["apiKey"] == "k3y-0f-africa"


async def test_name_tells_accounts_of_one_format_apart(
    celcom: Callable[..., Aggregator], africas_talking: Callable[..., Aggregator]
):
    adapters = [celcom(), celcom(name="sandbox"), africas_talking()]

    assert [adapter.name for adapter in adapters] == ["celcom", "sandbox", "africastalking"]
