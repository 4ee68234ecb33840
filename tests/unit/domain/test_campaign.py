from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from semalink.domain.campaign import Campaign, CampaignState
from semalink.domain.campaign_errors import CampaignStateConflict
from semalink.domain.campaign_plan import Plan, Totals
from semalink.domain.cause import Cause

AT = datetime(2026, 11, 25, 9, tzinfo=UTC)
CAUSE = Cause("key:1", AT, "req_1")
PLAN = Plan("Offers", "DUKA", "Hello {first_name}", list_ids=(UUID(int=7),))
TOTALS = Totals(
    recipient_count=3,
    message_count=2,
    left_out={"duplicate": 1},
    by_network={"safaricom": 2},
    by_segments={"1": 2},
    segment_count=2,
    price_micros=1_600_000,
    cost_micros=1_600_000,
)


def drafted() -> Campaign:
    campaign = Campaign.draft(UUID(int=1), UUID(int=2), UUID(int=3), "live", PLAN, CAUSE)
    campaign.collect_events()
    return campaign


def checked() -> Campaign:
    campaign = drafted()
    campaign.start_check(CAUSE, schedules=True)
    campaign.record_check(TOTALS, CAUSE)
    campaign.collect_events()
    return campaign


def scheduled() -> Campaign:
    campaign = checked()
    campaign.schedule(AT + timedelta(hours=1), CAUSE, needs_approval=False)
    campaign.collect_events()
    return campaign


def awaiting() -> Campaign:
    campaign = checked()
    campaign.schedule(AT + timedelta(hours=1), CAUSE, needs_approval=True)
    campaign.collect_events()
    return campaign


def sending() -> Campaign:
    campaign = scheduled()
    campaign.start(1_600_000, CAUSE)
    campaign.collect_events()
    return campaign


def names(campaign: Campaign) -> list[str]:
    return [type(event).__name__ for event in campaign.collect_events()]


def test_draft_records_the_plan() -> None:
    campaign = Campaign.draft(UUID(int=1), UUID(int=2), UUID(int=3), "live", PLAN, CAUSE)

    [created] = campaign.collect_events()
    again = created.mutate(None)
    assert isinstance(again, Campaign)
    assert (again.plan, again.mode, again.revision) == (PLAN, "live", 1)
    assert again.state is CampaignState.DRAFT
    assert not again.has_started


def test_check_remembers_what_was_found() -> None:
    campaign = drafted()

    campaign.start_check(CAUSE, schedules=True)
    while_checking = campaign.state
    campaign.record_check(TOTALS, CAUSE)

    assert while_checking is CampaignState.CHECKING
    assert names(campaign) == ["CheckStarted", "Checked"]
    assert campaign.totals == TOTALS
    assert not campaign.schedules_when_checked


@pytest.mark.parametrize("before", [checked, scheduled, awaiting])
def test_edit_makes_it_a_draft_that_nobody_checked_or_approved(
    before: Callable[[], Campaign],
) -> None:
    campaign = before()

    campaign.edit(Plan("Other", "DUKA", "Hi"), CAUSE)

    assert campaign.state is CampaignState.DRAFT
    assert (campaign.plan.name, campaign.revision) == ("Other", 2)
    assert campaign.totals is None
    assert not campaign.is_approved
    assert campaign.start_at is None


def test_schedule_waits_for_an_operator_where_one_has_to_agree() -> None:
    campaign = awaiting()

    campaign.approve(AT + timedelta(hours=2), "looks good", CAUSE)

    assert names(campaign) == ["Approved", "Scheduled"]
    assert campaign.state is CampaignState.SCHEDULED
    assert campaign.start_at == AT + timedelta(hours=2)


def test_decline_makes_it_a_draft_again_and_says_why() -> None:
    campaign = awaiting()

    campaign.decline("a prize without a giver", CAUSE)

    [sent_back] = campaign.collect_events()
    assert isinstance(sent_back, Campaign.SentBack)
    assert (sent_back.code, sent_back.detail) == ("approval_declined", "a prize without a giver")
    assert campaign.state is CampaignState.DRAFT


def test_schedule_asks_again_for_what_was_declined_though_edited() -> None:
    campaign = awaiting()
    campaign.decline("a prize without a giver", CAUSE)
    campaign.edit(PLAN, CAUSE)
    campaign.start_check(CAUSE, schedules=False)
    campaign.record_check(TOTALS, CAUSE)

    campaign.schedule(AT, CAUSE, needs_approval=False)

    assert campaign.state is CampaignState.AWAITING_APPROVAL


def test_schedule_asks_again_for_what_was_withdrawn_until_it_is_approved() -> None:
    campaign = awaiting()
    campaign.approve(AT, "looks good", CAUSE)
    campaign.withdraw_approval("on second thought", CAUSE)
    campaign.edit(PLAN, CAUSE)
    campaign.start_check(CAUSE, schedules=False)
    campaign.record_check(TOTALS, CAUSE)
    campaign.schedule(AT, CAUSE, needs_approval=False)
    asked = campaign.state

    campaign.approve(AT, "looks good again", CAUSE)

    assert asked is CampaignState.AWAITING_APPROVAL
    assert not campaign.was_objected_to


def test_check_is_wanted_no_more_once_the_campaign_moved_on() -> None:
    campaign = drafted()
    campaign.start_check(CAUSE, schedules=False)
    check = campaign.version
    was_wanted = campaign.is_being_checked_by(check)

    campaign.edit(PLAN, CAUSE)
    campaign.start_check(CAUSE, schedules=False)

    assert was_wanted
    assert not campaign.is_being_checked_by(check)
    assert campaign.is_being_checked_by(campaign.version)


def test_withdrawn_approval_keeps_it_from_starting() -> None:
    campaign = awaiting()
    campaign.approve(AT, "looks good", CAUSE)

    campaign.withdraw_approval("on second thought", CAUSE)

    assert campaign.state is CampaignState.AWAITING_APPROVAL
    with pytest.raises(CampaignStateConflict):
        campaign.start(1_600_000, CAUSE)


def test_sent_back_waits_for_its_owner() -> None:
    campaign = scheduled()

    campaign.send_back("insufficient_credits", "Top up.", CAUSE)

    assert names(campaign) == ["SentBack"]
    assert campaign.state is CampaignState.DRAFT
    assert not campaign.schedules_when_checked


def test_pause_and_resume_change_the_state_once() -> None:
    campaign = sending()

    campaign.resume(CAUSE)
    campaign.pause("", CAUSE)
    campaign.pause("", CAUSE)
    paused = campaign.state
    campaign.resume(CAUSE)

    assert paused is CampaignState.PAUSED
    assert names(campaign) == ["Paused", "Resumed"]
    assert campaign.state is CampaignState.SENDING


def test_complete_and_settle_end_it() -> None:
    campaign = sending()

    campaign.complete(CAUSE)
    campaign.complete(CAUSE)
    campaign.settle(400_000, CAUSE)

    assert names(campaign) == ["Completed", "Settled"]
    assert campaign.is_settled
    with pytest.raises(AssertionError, match="settled once"):
        campaign.settle(0, CAUSE)


def test_cancel_stops_it_wherever_it_stands_and_twice_is_once() -> None:
    for campaign in (drafted(), awaiting(), scheduled(), sending()):
        campaign.cancel("changed our mind", CAUSE)
        campaign.cancel("changed our mind", CAUSE)

        assert names(campaign) == ["Cancelled"]
        assert campaign.state is CampaignState.CANCELLED


@pytest.mark.parametrize(
    "ask",
    [
        lambda one: one.pause("", CAUSE),
        lambda one: one.resume(CAUSE),
        lambda one: one.approve(AT, "", CAUSE),
        lambda one: one.withdraw_approval("", CAUSE),
        lambda one: one.start(1, CAUSE),
        lambda one: one.record_check(TOTALS, CAUSE),
    ],
)
def test_what_a_draft_cannot_be_is_refused_and_changes_nothing(
    ask: Callable[[Campaign], None],
) -> None:
    campaign = drafted()

    with pytest.raises(CampaignStateConflict, match="A campaign that is draft cannot be"):
        ask(campaign)

    assert campaign.collect_events() == []


def test_completed_campaign_is_neither_edited_nor_cancelled() -> None:
    campaign = sending()
    campaign.complete(CAUSE)
    campaign.collect_events()

    with pytest.raises(CampaignStateConflict):
        campaign.edit(PLAN, CAUSE)
    with pytest.raises(CampaignStateConflict):
        campaign.cancel("", CAUSE)

    assert campaign.collect_events() == []
