from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from semalink.application.ledger import Needs
from semalink.application.months import (
    GRACE,
    FrozenPosition,
    JournalBalance,
    RecordClosing,
    TrialBalance,
    check_may_close,
    closing_of,
)
from semalink.application.statements import NOTHING, Position
from semalink.domain.accounting_month import AccountingMonth, accounting_month_id
from semalink.domain.calendar import month_bounds
from semalink.domain.cause import Cause
from semalink.domain.errors import MonthNotFinished, MonthOutOfOrder
from semalink_adapters.memory_ledger import MemoryLedger

END = month_bounds("2026-11")[1]
CAUSE = Cause("cli:finance", END + timedelta(hours=1), "req_1")
POSITION = FrozenPosition(UUID(int=1), Position(2, 5, 0, 0), Position(6, 90, 10, 100), bytes(32))
OTHER = FrozenPosition(UUID(int=2), NOTHING, Position(1, 7, 0, 0), bytes(32))


def test_closing_of_adds_up_the_positions() -> None:
    command = closing_of("2026-11", [POSITION, OTHER], CAUSE)

    assert (command.account_count, command.entry_count) == (2, 5)
    assert (command.posted_micros, command.reserved_micros) == (97, 10)


@pytest.mark.parametrize(
    "changed",
    [
        replace(POSITION, account_id=UUID(int=3)),
        replace(POSITION, opening=Position(2, 6, 0, 0)),
        replace(POSITION, closing=Position(6, 91, 10, 100)),
        replace(POSITION, entry_hash=bytes(31) + b"\1"),
    ],
)
def test_closing_of_seals_every_fact_of_a_position(changed: FrozenPosition) -> None:
    one = closing_of("2026-11", [POSITION], CAUSE)
    other = closing_of("2026-11", [changed], CAUSE)

    assert one.positions_sha256 != other.positions_sha256
    assert one == closing_of("2026-11", iter([POSITION]), CAUSE)


def test_record_closing_closes_a_month_once() -> None:
    ledger = MemoryLedger()
    first = closing_of("2026-11", [POSITION], CAUSE)
    second = closing_of("2026-11", [OTHER], CAUSE)

    closed = ledger.decide(first)
    again = ledger.decide(second)

    assert again.value == closed.value
    assert closed.value.posted_micros == 90
    assert closed.value.closed_by == "cli:finance"
    month = ledger.load(AccountingMonth, accounting_month_id("2026-11"))
    assert month is not None
    assert (month.month, month.version) == ("2026-11", 1)


def test_record_closing_needs_its_month_only() -> None:
    needs = Needs()

    RecordClosing("2026-11", 0, 0, 0, 0, "", CAUSE).needs(needs)

    assert needs == Needs(settings={accounting_month_id("2026-11")})


def test_check_refuses_a_month_until_it_is_over() -> None:
    with pytest.raises(MonthNotFinished):
        check_may_close("2026-11", END + GRACE - timedelta(seconds=1), "2026-10", None)

    check_may_close("2026-11", END + GRACE, "2026-10", None)


@pytest.mark.parametrize(
    ("last_closed", "first_entry_at"),
    [
        ("2026-11", None),
        ("2026-09", None),
        (None, datetime(2026, 9, 3, tzinfo=UTC)),
        (None, None),
    ],
)
def test_check_refuses_a_month_before_its_turn(
    last_closed: str | None, first_entry_at: datetime | None
) -> None:
    with pytest.raises(MonthOutOfOrder):
        check_may_close("2026-11", END + GRACE, last_closed, first_entry_at)


def test_check_begins_with_the_month_of_the_first_entry() -> None:
    check_may_close("2026-11", END + GRACE, None, datetime(2026, 10, 31, 21, tzinfo=UTC))


@pytest.mark.parametrize(
    ("sum_micros", "differing", "is_sound"),
    [(0, [], True), (1, [], False), (0, ["acct_1"], False)],
)
def test_trial_balance_is_sound_when_it_adds_up_and_nothing_differs(
    sum_micros: int, differing: list[str], *, is_sound: bool
) -> None:
    found = TrialBalance(
        None, [JournalBalance("payments", 0, sum_micros)], sum_micros, 0, 0, 0, differing
    )

    assert found.is_sound is is_sound
