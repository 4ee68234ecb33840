from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from semalink.application.history import (
    CLOCKS_APART,
    DEFAULT_SPAN,
    KINDS,
    REPORT_SPAN,
    REQUEST_SPAN,
    HistoryFilter,
    Place,
    has_name,
    recorded_event,
    request_made_at,
    time_in,
    window_of,
)
from semalink.domain.accounting_month import AccountingMonth
from semalink.domain.cause import Cause
from semalink_adapters.postgres.mapper import AGGREGATES

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
MADE = datetime(2026, 11, 2, 8, 15, 4, tzinfo=UTC)
MADE_ID = UUID(int=(int(MADE.timestamp() * 1000) << 80) | (0x7 << 76) | (0b10 << 62) | 1)
LATEST_ID = UUID(int=((2**48 - 1) << 80) | (0x7 << 76) | (0b10 << 62))
RANDOM_ID = UUID("b2f7c5f0-7a34-4c1b-9f5e-0d9b1c0a7e11")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, (NOW - DEFAULT_SPAN, NOW)),
        ({"actor": "key:a", "before_at": MADE}, (MADE - DEFAULT_SPAN, MADE)),
        ({"from_at": MADE}, (MADE, NOW)),
        ({"account_id": MADE_ID}, (MADE - CLOCKS_APART, NOW)),
        ({"account_id": RANDOM_ID}, (NOW - DEFAULT_SPAN, NOW)),
        ({"subject_id": MADE_ID, "before_at": MADE}, (MADE - CLOCKS_APART, MADE)),
        ({"request_id": f"req_{MADE_ID.hex}"}, (MADE - CLOCKS_APART, MADE + REQUEST_SPAN)),
        ({"request_id": f"rpt_{MADE_ID.hex}"}, (MADE - CLOCKS_APART, MADE + REPORT_SPAN)),
        ({"request_id": "their-own"}, (NOW - DEFAULT_SPAN, NOW)),
        ({"from_at": MADE, "before_at": NOW + timedelta(days=1)}, (MADE, NOW)),
        ({"from_at": datetime.min.replace(tzinfo=UTC)}, (datetime(2000, 1, 1, tzinfo=UTC), NOW)),
    ],
)
def test_window_is_what_was_asked_or_what_ids_lead_to(asked: Any, expected: Any) -> None:
    assert window_of(HistoryFilter(**asked), NOW) == expected


@pytest.mark.parametrize("request_id", ["req_", "req_nothing", f"abc_{MADE_ID.hex}", "x"])
def test_request_of_a_client_tells_no_time(request_id: str) -> None:
    assert request_made_at(request_id) is None


def test_id_that_tells_no_possible_time_tells_none() -> None:
    assert time_in(LATEST_ID) is None


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (None, True),
        ("credit", True),
        ("credit.limit_set", True),
        ("credit.limit", False),
        ("cred", False),
    ],
)
def test_name_fits_itself_and_its_first_part(wanted: str | None, *, fits: bool) -> None:
    assert has_name("credit.limit_set", wanted) is fits


def test_every_kind_of_event_has_a_name() -> None:
    assert set(KINDS) == {aggregate.TOPIC for aggregate in AGGREGATES}


def test_close_of_a_month_belongs_to_no_account() -> None:
    month = AccountingMonth.close(
        "2026-10",
        Cause("cli:ann", NOW, "req_1"),
        account_count=2,
        entry_count=3,
        posted_micros=4,
        reserved_micros=0,
        positions_sha256="00",
    )
    [event] = month.collect_events()

    row = recorded_event(event, Place(NOW, 3, month.id, 1), owner_id=None)

    assert (row.name, row.account_id, row.facts["month"]) == ("month.closed", None, "2026-10")
