import csv
import io
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from semalink.application.statement_rendering import FORMATS
from semalink.application.statements import (
    NOTHING,
    CampaignLine,
    Position,
    Statement,
    StatementBuilder,
    decode_statement,
    encode_statement,
)
from semalink.domain.cause import Cause
from semalink.domain.credit_account import CreditAccount, Spending
from semalink.domain.credit_entries import OnBehalf

AGENT, CUSTOMER, OTHER = (UUID(int=number) for number in (1, 2, 3))
#: 21:30 in UTC is half past midnight of the next day in East Africa.
AT = datetime(2026, 11, 1, 21, 30, tzinfo=UTC)
CAUSE = Cause("operator:1", AT, "req_1")
MONTH = "2026-11"
ON_BEHALF = OnBehalf(CUSTOMER, 800, MONTH)


@pytest.fixture
def account() -> CreditAccount:
    """An agent's account after every verb of the ledger."""
    account = CreditAccount.open(AGENT, CAUSE)
    account.spending[CUSTOMER, MONTH] = Spending(None, 0)
    account.top_up(10_000_000, "=1+1 <b>", CAUSE)
    for number in range(10, 13):
        account.reserve(UUID(int=number), 500, CAUSE, on_behalf=ON_BEHALF)
    account.charge(UUID(int=10), CAUSE)
    account.charge(UUID(int=11), CAUSE)
    account.release(UUID(int=12), CAUSE)
    account.refund(UUID(int=11), 500, CAUSE, charge_version=7, on_behalf=ON_BEHALF)
    account.reserve(UUID(int=13), 900, CAUSE)
    account.expire(UUID(int=13), CAUSE)
    transfer = {"transfer_id": OTHER, "counterpart_id": CUSTOMER, "reason": "June"}
    account.send_transfer(2_000, CAUSE, **transfer)
    account.receive_transfer(1_000, CAUSE, **transfer)
    facts = {"adjustment_id": OTHER, "category": "goodwill", "proposed_by": "operator:2"}
    account.adjust(-700, CAUSE, reason="outage", **facts)
    account.set_limit(5_000, "contract", CAUSE)
    return account


@pytest.fixture
def statements(account: CreditAccount) -> dict[UUID, Statement]:
    builder = StatementBuilder(MONTH, AGENT, NOTHING)
    for entry in account.collect_events():
        builder.add(entry.originator_version, AT, entry)
    closing = Position(
        account.version,
        account.posted_micros,
        account.reserved_micros,
        account.credit_limit_micros,
    )
    return builder.build(closing, bytes(32))


def test_build_shows_single_entries_each_and_the_many_by_day(
    statements: dict[UUID, Statement],
) -> None:
    own = statements[AGENT]

    kinds = [one.kind for one in own.singles]
    days = {(day.day, day.kind): (day.count, day.amount_micros) for day in own.days}

    assert kinds == ["topped_up", "transferred_out", "transferred_in", "adjusted", "limit_set"]
    assert days == {
        ("2026-11-02", "reserved"): (4, 2_400),
        ("2026-11-02", "charged"): (2, 1_000),
        ("2026-11-02", "released"): (1, 500),
        ("2026-11-02", "reservation_expired"): (1, 900),
        ("2026-11-02", "refunded"): (1, 500),
    }


def test_build_comes_from_the_opening_to_the_closing_balance(
    statements: dict[UUID, Statement],
) -> None:
    own = statements[AGENT]
    totals = {total.kind: total.amount_micros for total in own.totals}
    singles = sum(one.amount_micros for one in own.singles if one.kind != "limit_set")

    assert own.opening is not None
    assert own.closing is not None
    moved = singles - totals["charged"] + totals["refunded"]
    assert own.opening.posted_micros + moved == own.closing.posted_micros
    assert totals["limit_set"] == 0


def test_build_shows_the_agent_price_cost_and_margin_of_a_customer(
    statements: dict[UUID, Statement],
) -> None:
    [line] = statements[AGENT].customers

    assert (line.charged_count, line.refunded_count) == (2, 1)
    assert (line.price_micros, line.cost_micros, line.margin_micros) == (800, 500, 300)


def test_build_shows_a_customer_its_own_prices_only(statements: dict[UUID, Statement]) -> None:
    customer = statements[CUSTOMER]

    totals = {total.kind: (total.count, total.amount_micros) for total in customer.totals}

    assert totals == {
        "charged": (2, 1_600),
        "refunded": (1, 800),
        "released": (1, 800),
        "reserved": (3, 2_400),
    }
    assert customer.opening is customer.closing is customer.closing_entry_hash is None
    assert customer.singles == customer.customers == []


def test_build_shows_what_a_campaign_came_to_in_one_line_a_kind(account: CreditAccount) -> None:
    # As many charges as there are messages, and still one line.
    account.collect_events()
    account.reserve(
        OTHER, 2_000, CAUSE, on_behalf=OnBehalf(CUSTOMER, 3_200, MONTH), campaign_id=OTHER
    )
    for number in (21, 22, 23):
        account.charge(
            OTHER, CAUSE, amount_micros=500, price_micros=800, message_id=UUID(int=number)
        )
    of_message = {"message_id": UUID(int=23), "campaign_id": OTHER}
    account.refund(OTHER, 500, CAUSE, on_behalf=ON_BEHALF, **of_message)
    account.release(OTHER, CAUSE)
    builder = StatementBuilder(MONTH, AGENT, NOTHING)
    for entry in account.collect_events():
        builder.add(entry.originator_version, AT, entry)

    built = builder.build(NOTHING, bytes(32))

    name = "cmp_" + OTHER.hex
    assert built[AGENT].campaigns == [
        CampaignLine(name, "charged", 3, 1_500),
        CampaignLine(name, "refunded", 1, 500),
        CampaignLine(name, "released", 1, 500),
        CampaignLine(name, "reserved", 1, 2_000),
    ]
    assert [(one.kind, one.amount_micros) for one in built[CUSTOMER].campaigns] == [
        ("charged", 2_400),
        ("refunded", 800),
        ("released", 800),
        ("reserved", 3_200),
    ]
    assert {one.kind: one.amount_micros for one in built[AGENT].days} == {
        one.kind: one.amount_micros for one in built[AGENT].campaigns
    }
    document = encode_statement(built[AGENT])
    rows = csv.DictReader(io.StringIO(FORMATS["csv"][1](document).decode()))
    assert [row["amount_micros"] for row in rows if row["section"] == "campaign"] == [
        "1500", "500", "500", "2000",
    ]  # fmt: skip
    assert name in FORMATS["html"][1](document).decode()


def test_build_of_an_open_month_says_as_of_when_and_that_it_is_not_final() -> None:
    builder = StatementBuilder(MONTH, AGENT, NOTHING)

    document = encode_statement(builder.build(NOTHING, bytes(32), as_of=AT)[AGENT])

    assert b'"closed":false,"as_of":"2026-11-01T21:30:00Z"' in document
    page = FORMATS["html"][1](document).decode()
    assert "<h1>Statement of 2026-11 so far</h1>" in page
    assert "Not final: the month is not closed. As of 2026-11-02 00:30." in page
    assert ">So far</th>" in page
    [row, *_] = csv.DictReader(io.StringIO(FORMATS["csv"][1](document).decode()))
    assert (row["section"], row["day"]) == ("so_far", "2026-11-02")


def test_document_of_a_closed_month_does_not_say_that_it_is_final(
    statements: dict[UUID, Statement],
) -> None:
    document = encode_statement(statements[AGENT])

    assert b'"closed"' not in document
    assert b'"as_of"' not in document
    assert b"ot final" not in FORMATS["html"][1](document) + FORMATS["csv"][1](document)


def test_document_of_a_month_without_campaigns_is_written_as_before(
    statements: dict[UUID, Statement],
) -> None:
    document = encode_statement(statements[AGENT])

    assert b"campaigns" not in document
    assert decode_statement(document).campaigns == []


def test_build_takes_the_amount_where_an_entry_names_no_price() -> None:
    facts = {"originator_id": AGENT, "originator_version": 2, "timestamp": AT, "actor": "a"}
    after = {"request_id": "r", "posted_after_micros": 0, "reserved_after_micros": 0}
    entry = CreditAccount.Charged(
        **facts, **after, reservation_id=OTHER, amount_micros=500, sub_account_id=CUSTOMER
    )
    builder = StatementBuilder(MONTH, AGENT, NOTHING)

    builder.add(2, AT, entry)

    [line] = builder.build(NOTHING, bytes(32))[AGENT].customers
    assert (line.price_micros, line.margin_micros) == (500, 0)


def test_a_stored_document_is_read_as_it_was_written(statements: dict[UUID, Statement]) -> None:
    document = encode_statement(statements[AGENT])

    assert decode_statement(document) == statements[AGENT]
    assert encode_statement(decode_statement(document)) == document


@pytest.mark.parametrize("wanted", ["json", "csv", "html"])
@pytest.mark.parametrize("account_id", [AGENT, CUSTOMER])
def test_render_gives_the_same_bytes_every_time(
    statements: dict[UUID, Statement], account_id: UUID, wanted: str
) -> None:
    document = encode_statement(statements[account_id])
    _, render = FORMATS[wanted]

    assert render(document) == render(bytes(document))
    assert account_id.hex in render(document).decode() or wanted == "csv"


def test_render_json_is_the_document_itself(statements: dict[UUID, Statement]) -> None:
    document = encode_statement(statements[AGENT])

    assert FORMATS["json"][1](document) == document


def test_render_csv_has_a_row_for_everything(statements: dict[UUID, Statement]) -> None:
    shown = FORMATS["csv"][1](encode_statement(statements[AGENT])).decode()

    rows = list(csv.DictReader(io.StringIO(shown)))

    sections = [row["section"] for row in rows]
    assert sections.count("opening") == sections.count("closing") == 3
    assert sections.count("entry") == sections.count("day") == 5
    assert sections.count("customer") == 1
    assert rows[-3]["amount_micros"] == "9997800"


def test_render_csv_disarms_what_a_spreadsheet_would_compute(
    statements: dict[UUID, Statement],
) -> None:
    shown = FORMATS["csv"][1](encode_statement(statements[AGENT])).decode()

    assert "'=1+1" in shown


def test_render_html_escapes_what_people_wrote_and_runs_nothing(
    statements: dict[UUID, Statement],
) -> None:
    shown = FORMATS["html"][1](encode_statement(statements[AGENT])).decode()

    assert "=1+1 &lt;b&gt;" in shown
    assert "<b>" not in shown
    assert "<script" not in shown
    assert "http" not in shown
    assert "@media print" in shown
    assert "<h2>Customers</h2>" in shown


def test_render_html_leaves_out_what_a_customer_has_not(
    statements: dict[UUID, Statement],
) -> None:
    shown = FORMATS["html"][1](encode_statement(statements[CUSTOMER])).decode()

    assert "Balance" not in shown
    assert "<h2>Customers</h2>" not in shown
    assert "<h2>Messages by day</h2>" in shown


def test_render_csv_of_a_customer_has_no_balance(statements: dict[UUID, Statement]) -> None:
    shown = FORMATS["csv"][1](encode_statement(statements[CUSTOMER])).decode()

    assert "opening" not in shown
    assert "closing" not in shown


def test_every_kind_of_entry_has_a_word_on_the_page(statements: dict[UUID, Statement]) -> None:
    shown = FORMATS["html"][1](encode_statement(statements[AGENT])).decode()

    for word in ("Top-up", "Adjustment", "Transfer in", "Credit limit set", "Released"):
        assert f">{word}<" in shown
    assert msgspec.json.decode(encode_statement(statements[AGENT]))["form"].endswith(".1")
