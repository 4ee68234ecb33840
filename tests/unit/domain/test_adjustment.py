from datetime import UTC, datetime
from uuid import UUID

import pytest

from semalink.domain.adjustment import Adjustment, AdjustmentState, Category
from semalink.domain.cause import Cause
from semalink.domain.errors import AdjustmentDecided, SamePerson

AT = datetime(2026, 11, 23, 9, tzinfo=UTC)
WANJIRU, OTIENO = Cause("operator:1", AT, "req_1"), Cause("operator:2", AT, "req_2")


def proposed() -> Adjustment:
    adjustment = Adjustment.propose(
        UUID(int=1), UUID(int=2), -5, WANJIRU, category=Category.GOODWILL, reason="Outage"
    )
    adjustment.collect_events()
    return adjustment


def test_propose_records_who_asked_for_what_and_why() -> None:
    adjustment = proposed()

    assert adjustment.state is AdjustmentState.PROPOSED
    assert (adjustment.amount_micros, adjustment.reason) == (-5, "Outage")
    assert adjustment.proposed_by == "operator:1"


def test_propose_is_a_bug_for_nothing() -> None:
    with pytest.raises(AssertionError, match="of nothing"):
        Adjustment.propose(
            UUID(int=1), UUID(int=2), 0, WANJIRU, category=Category.GOODWILL, reason=""
        )


def test_approval_is_another_persons() -> None:
    adjustment = proposed()

    with pytest.raises(SamePerson):
        adjustment.check_approval(WANJIRU.actor)

    adjustment.check_approval(OTIENO.actor)
    assert adjustment.collect_events() == []


def test_apply_records_the_approval_and_the_entry() -> None:
    adjustment = proposed()

    adjustment.apply_with(7, OTIENO)

    approved, applied = adjustment.collect_events()
    assert isinstance(approved, Adjustment.Approved)
    assert isinstance(applied, Adjustment.Applied)
    assert (applied.entry_version, applied.actor) == (7, "operator:2")
    assert adjustment.state is AdjustmentState.APPLIED


def test_reject_closes_it_also_for_whoever_proposed_it() -> None:
    adjustment = proposed()

    adjustment.reject("typo", WANJIRU)

    assert adjustment.state is AdjustmentState.REJECTED


def test_nothing_is_decided_twice() -> None:
    adjustment = proposed()
    adjustment.reject("typo", WANJIRU)
    adjustment.collect_events()

    with pytest.raises(AdjustmentDecided):
        adjustment.check_approval(OTIENO.actor)
    with pytest.raises(AdjustmentDecided):
        adjustment.reject("again", OTIENO)

    assert adjustment.collect_events() == []
