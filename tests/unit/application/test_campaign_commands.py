from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from semalink.application.accounts import OpenAccount
from semalink.application.campaign_commands import (
    INLINE_RECIPIENTS_MAX,
    UPLOADS_MAX,
    ApproveCampaign,
    CampaignMove,
    CheckCampaign,
    CreateCampaign,
    DeclineCampaign,
    EditCampaign,
    FailCheck,
    MoveCampaign,
    Owner,
    RecordCheck,
    RequireCampaignApproval,
    ScheduleCampaign,
    Upload,
    WithdrawApproval,
    with_upload,
)
from semalink.application.ledger import Idempotency
from semalink.domain.account import Account, Kind, Tier
from semalink.domain.campaign import Campaign, CampaignState
from semalink.domain.campaign_errors import (
    CampaignNotFound,
    CampaignStateConflict,
    NoRecipients,
    TooManyRecipients,
)
from semalink.domain.campaign_plan import Plan, Totals
from semalink.domain.campaign_start import Circumstances
from semalink.domain.cause import Cause
from semalink.domain.sending_window import ALWAYS_OPEN
from semalink_adapters.memory_ledger import MemoryLedger

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
CAUSE = Cause("key:1", NOW, "req_1")
ACCOUNT, CAMPAIGN = UUID(int=1), UUID(int=2)
OWNER = Owner(ACCOUNT, "live")
PLATFORM = Circumstances(ALWAYS_OPEN, 10)
PLAN = Plan("Offers", "ACME", "Habari!", list_ids=(UUID(int=9),))
TOTALS = Totals(
    recipient_count=2,
    message_count=2,
    left_out={},
    by_network={},
    by_segments={},
    segment_count=2,
    price_micros=2,
    cost_micros=2,
)


class World:
    def __init__(self) -> None:
        self.ledger = MemoryLedger()

    @property
    def campaign(self) -> Campaign:
        found = self.ledger.load(Campaign, CAMPAIGN)
        assert found is not None
        return found

    async def do(self, command: Any) -> Any:
        return (await self.ledger.execute(command)).value

    async def record(self, totals: Totals = TOTALS) -> bool:
        check = self.campaign.version
        found = await self.do(RecordCheck(CAMPAIGN, ACCOUNT, check, totals, PLATFORM, CAUSE))
        return bool(found)


@pytest.fixture
async def world() -> World:
    world = World()
    await world.do(OpenAccount(ACCOUNT, "Duka", Kind.DIRECT, Tier.STARTER, CAUSE))
    await world.do(CreateCampaign(CAMPAIGN, OWNER, ACCOUNT, PLAN, CAUSE))
    return world


def schedule() -> ScheduleCampaign:
    return ScheduleCampaign(CAMPAIGN, OWNER, CAUSE, PLATFORM, ACCOUNT)


async def test_create_answers_a_repeated_key_with_the_same_campaign() -> None:
    ledger = MemoryLedger()
    key = Idempotency(ACCOUNT, "k", b"f")
    first = CreateCampaign(CAMPAIGN, OWNER, ACCOUNT, PLAN, CAUSE, key)
    again = replace(first, campaign_id=UUID(int=3))

    answers = [await ledger.execute(first), await ledger.execute(again)]

    assert [one.value for one in answers] == [CAMPAIGN, CAMPAIGN]
    assert first.subject == ACCOUNT
    assert answers[1].replayed


@pytest.mark.parametrize("owner", [Owner(UUID(int=8), "live"), Owner(ACCOUNT, "test")])
async def test_no_command_touches_a_campaign_of_another_owner(world: World, owner: Owner) -> None:
    for command in (
        EditCampaign(CAMPAIGN, owner, CAUSE, lambda plan: plan),
        CheckCampaign(CAMPAIGN, owner, CAUSE, schedules=False),
        ScheduleCampaign(CAMPAIGN, owner, CAUSE, PLATFORM, ACCOUNT),
        MoveCampaign(CAMPAIGN, owner, CAUSE, CampaignMove.CANCEL),
    ):
        with pytest.raises(CampaignNotFound):
            await world.do(command)

    assert world.campaign.version == 1


async def test_check_refuses_a_campaign_to_nobody(world: World) -> None:
    await world.do(EditCampaign(CAMPAIGN, OWNER, CAUSE, lambda plan: replace(plan, list_ids=())))

    with pytest.raises(NoRecipients):
        await world.do(CheckCampaign(CAMPAIGN, OWNER, CAUSE, schedules=False))


async def test_schedule_of_a_checked_campaign_starts_it_at_its_time(world: World) -> None:
    await world.do(CheckCampaign(CAMPAIGN, OWNER, CAUSE, schedules=False))
    await world.record()

    await world.do(schedule())

    assert (world.campaign.state, world.campaign.start_at) == (CampaignState.SCHEDULED, NOW)


async def test_schedule_checks_again_what_was_not_checked_lately(world: World) -> None:
    await world.do(CheckCampaign(CAMPAIGN, OWNER, CAUSE, schedules=False))
    await world.record()
    late = replace(CAUSE, at=NOW + timedelta(days=31))

    await world.do(replace(schedule(), cause=late))

    assert world.campaign.state is CampaignState.CHECKING
    assert world.campaign.schedules_when_checked


async def test_record_check_changes_nothing_when_the_check_is_wanted_no_more(
    world: World,
) -> None:
    await world.do(schedule())
    old = RecordCheck(CAMPAIGN, ACCOUNT, world.campaign.version, TOTALS, PLATFORM, CAUSE)
    failing = FailCheck(CAMPAIGN, old.check, NoRecipients(is_checked=True), CAUSE)
    await world.do(EditCampaign(CAMPAIGN, OWNER, CAUSE, lambda plan: plan))
    version = world.campaign.version

    assert not await world.do(old)
    assert not await world.do(failing)
    assert not await world.do(replace(old, campaign_id=UUID(int=99)))
    assert not await world.do(replace(failing, campaign_id=UUID(int=99)))
    assert world.campaign.version == version


async def test_record_check_sends_back_what_may_not_be_scheduled(world: World) -> None:
    await world.do(schedule())

    assert await world.record(replace(TOTALS, message_count=0))

    events = world.ledger.events_of(CAMPAIGN)
    assert [type(one).__name__ for one in events[-2:]] == ["Checked", "SentBack"]
    assert world.campaign.state is CampaignState.DRAFT


async def test_fail_check_says_why_it_is_a_draft_again(world: World) -> None:
    await world.do(schedule())

    assert await world.do(FailCheck(CAMPAIGN, world.campaign.version, TooManyRecipients(5), CAUSE))

    assert world.campaign.state is CampaignState.DRAFT


async def test_schedule_twice_is_scheduling_once(world: World) -> None:
    await world.do(schedule())
    await world.do(schedule())
    checking = world.campaign.version
    await world.record()
    scheduled = world.campaign.version

    await world.do(schedule())

    assert world.campaign.state is CampaignState.SCHEDULED
    assert (checking, world.campaign.version) == (scheduled - 2, scheduled)


@pytest.mark.parametrize(
    ("minutes", "state"), [(60, CampaignState.SCHEDULED), (61, CampaignState.CHECKING)]
)
async def test_schedule_checks_again_what_was_checked_over_an_hour_ago(
    world: World, minutes: int, state: CampaignState
) -> None:
    await world.do(CheckCampaign(CAMPAIGN, OWNER, CAUSE, schedules=False))
    await world.record()
    later = replace(CAUSE, at=NOW + timedelta(minutes=minutes))

    await world.do(ScheduleCampaign(CAMPAIGN, OWNER, later, PLATFORM, ACCOUNT))

    assert world.campaign.state is state
    assert world.campaign.schedules_when_checked is (state is CampaignState.CHECKING)


async def test_approval_is_asked_for_given_withdrawn_and_declined(world: World) -> None:
    await world.do(RequireCampaignApproval(ACCOUNT, is_required=True, cause=CAUSE))
    await world.do(RequireCampaignApproval(ACCOUNT, is_required=True, cause=CAUSE))
    await world.do(schedule())
    await world.record()
    states = [world.campaign.state]
    later = replace(CAUSE, at=NOW + timedelta(hours=1))

    await world.do(ApproveCampaign(CAMPAIGN, None, later, 1, "fine", PLATFORM))
    states.append(world.campaign.state)
    start_at = world.campaign.start_at
    await world.do(WithdrawApproval(CAMPAIGN, None, later, 1, "not fine"))
    states.append(world.campaign.state)
    await world.do(DeclineCampaign(CAMPAIGN, None, later, 1, "no"))
    states.append(world.campaign.state)

    assert states == ["awaiting_approval", "scheduled", "awaiting_approval", "draft"]
    assert start_at == later.at
    account = world.ledger.load(Account, ACCOUNT)
    assert account is not None
    assert account.campaigns_need_approval
    set_once = [
        one
        for one in world.ledger.events_of(ACCOUNT)
        if isinstance(one, Account.CampaignApprovalRequired)
    ]
    assert len(set_once) == 1


@pytest.mark.parametrize(
    "decision",
    [
        ApproveCampaign(CAMPAIGN, None, CAUSE, 1, "fine", PLATFORM),
        DeclineCampaign(CAMPAIGN, None, CAUSE, 1, "no"),
        WithdrawApproval(CAMPAIGN, None, CAUSE, 1, "no"),
    ],
)
async def test_decision_is_refused_when_another_revision_was_read(
    world: World, decision: Any
) -> None:
    await world.do(RequireCampaignApproval(ACCOUNT, is_required=True, cause=CAUSE))
    await world.do(schedule())
    await world.record()
    await world.do(EditCampaign(CAMPAIGN, OWNER, CAUSE, lambda plan: plan))
    await world.do(schedule())
    await world.record()

    with pytest.raises(CampaignStateConflict, match="revision 2"):
        await world.do(decision)

    assert world.campaign.state is CampaignState.AWAITING_APPROVAL


async def test_approve_refuses_what_does_not_wait_for_it(world: World) -> None:
    with pytest.raises(CampaignStateConflict):
        await world.do(ApproveCampaign(CAMPAIGN, None, CAUSE, 1, "fine", PLATFORM))


async def test_move_pauses_and_resumes_only_what_is_under_way(world: World) -> None:
    for move in (CampaignMove.PAUSE, CampaignMove.RESUME):
        with pytest.raises(CampaignStateConflict):
            await world.do(MoveCampaign(CAMPAIGN, OWNER, CAUSE, move))

    await world.do(MoveCampaign(CAMPAIGN, OWNER, CAUSE, CampaignMove.CANCEL))

    assert world.campaign.state is CampaignState.CANCELLED


def test_with_upload_bounds_recipients_and_batches() -> None:
    full = with_upload(PLAN, Upload(UUID(int=5), INLINE_RECIPIENTS_MAX))
    many = replace(PLAN, uploads=(UUID(int=5),) * UPLOADS_MAX)

    assert (full.uploads, full.inline_count) == ((UUID(int=5),), INLINE_RECIPIENTS_MAX)
    for plan in (full, many):
        with pytest.raises(TooManyRecipients):
            with_upload(plan, Upload(UUID(int=6), 1))
