"""What campaigns promise on any ledger: recipients frozen, looked at once, and added up once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import psycopg
import pytest
from tests.contract.campaign_worlds import (
    NOW,
    PAGE_SIZE,
    RECIPIENTS_MAX,
    World,
    cause,
    in_memory,
    on_postgres,
    person,
)
from uuid_utils.compat import uuid7

from semalink.application.accounts import OpenAccount
from semalink.application.campaign_checking import PAGE_TASK, PAGES_AHEAD
from semalink.application.campaign_commands import (
    CampaignMove,
    EditCampaign,
    MoveCampaign,
    Owner,
    RequireCampaignApproval,
    ScheduleCampaign,
)
from semalink.application.campaign_reading import (
    CampaignFilter,
    InlineRecipient,
    Progress,
    RecipientFilter,
)
from semalink.application.opt_outs import RecordOptOuts
from semalink.application.tasks import Task
from semalink.domain.account import Kind, Tier
from semalink.domain.campaign_start import Circumstances
from semalink.domain.opt_out import OptOutSource, OptOutSubject
from semalink.domain.sending_window import ALWAYS_OPEN


@pytest.fixture(
    params=[pytest.param(in_memory, id="memory"), pytest.param(on_postgres, id="postgres")]
)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A ledger with one account."""
    async with request.param(request.getfixturevalue) as world:
        opened = OpenAccount(world.account_id, "Duka", Kind.DIRECT, Tier.STARTER, cause())
        await world.ledger.execute(opened)
        yield world


async def test_check_looks_at_every_recipient_once_and_adds_up(world: World) -> None:
    rubbish = InlineRecipient("07 not a number", None, None, {"name": "x"})
    campaign_id = await world.draft(
        person(1), rubbish, person(1), person(2, other="x"), person(3, name="send your pin")
    )
    await world.check(campaign_id)

    await world.work()

    record = await world.record(campaign_id)
    assert record.state == "draft"
    assert record.checked_at == NOW
    assert record.totals is not None
    assert (record.totals.recipient_count, record.totals.message_count) == (5, 1)
    assert record.totals.left_out == {
        "invalid_number": 1,
        "duplicate": 1,
        "missing_variable": 1,
        "content_blocked": 1,
    }
    assert record.totals.blocked_by_rule == {"pin_theft": 1}
    assert record.totals.by_country == {"KE": 1}
    assert record.totals.price_micros == record.totals.cost_micros == 800_000
    reasons = [None, "invalid_number", "duplicate", "missing_variable", "content_blocked"]
    assert await world.reasons(campaign_id) == reasons
    [sample] = await world.campaigns.samples(campaign_id, 5)
    assert (sample.to, sample.text, sample.segments) == ("+254712000001", "Habari Nr 1!", 1)
    assert await world.campaigns.progress(campaign_id) == Progress(5, 5)


async def test_check_counts_what_rules_in_shadow_mode_found(world: World) -> None:
    campaign_id = await world.draft(person(1), person(2, name="a loan, a bet"))
    await world.check(campaign_id)

    await world.work()

    totals = (await world.record(campaign_id)).totals
    assert totals is not None
    assert (totals.message_count, totals.shadow_count) == (2, 1)


async def test_check_stores_for_each_recipient_which_rules_found_something(
    request: pytest.FixtureRequest, database_url: str
) -> None:
    async with on_postgres(request.getfixturevalue) as world:
        opened = OpenAccount(world.account_id, "Duka", Kind.DIRECT, Tier.STARTER, cause())
        await world.ledger.execute(opened)
        campaign_id = await world.draft(person(1), person(2, name="a loan, a bet"))
        await world.check(campaign_id)

        await world.work()

    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        rows = await connection.execute(
            "SELECT shadow_rules FROM campaign_recipients WHERE campaign_id = %s ORDER BY place",
            (campaign_id,),
        )
        found = await rows.fetchall()
    assert found == [(None,), (["loans", "bets"],)]


async def test_check_keeps_no_variables_once_texts_are_written(
    request: pytest.FixtureRequest, database_url: str
) -> None:
    async with on_postgres(request.getfixturevalue) as world:
        opened = OpenAccount(world.account_id, "Duka", Kind.DIRECT, Tier.STARTER, cause())
        await world.ledger.execute(opened)
        campaign_id = await world.draft(person(1), person(1), person(2, other="x"))
        await world.check(campaign_id)

        await world.work()

    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        rows = await connection.execute(
            "SELECT state, variables FROM campaign_recipients WHERE campaign_id = %s",
            (campaign_id,),
        )
        found = await rows.fetchall()
    assert sorted(found) == [("left_out", None), ("left_out", None), ("ready", None)]


async def test_check_takes_lists_as_they_were_frozen(world: World) -> None:
    list_id = uuid7()
    await world.add_list(list_id, [person(1), person(2), person(3)])
    campaign_id = await world.draft(person(2, name="Ada"), list_ids=(list_id,))
    await world.check(campaign_id)

    await world.work()

    found = await world.campaigns.recipients(
        campaign_id, RecipientFilter("ready"), after=-1, limit=100
    )
    assert [one.number[-2:] for one in found] == ["02", "01", "03"]
    assert await world.reasons(campaign_id) == [None, None, "duplicate", None]


async def test_check_leaves_out_who_opted_out(world: World) -> None:
    subject = OptOutSubject(world.account_id, "acme", person(1).number)
    await world.ledger.execute(RecordOptOuts([subject], OptOutSource.API, "asked", cause()))
    campaign_id = await world.draft(person(1), person(2))
    await world.check(campaign_id)

    await world.work()

    assert await world.reasons(campaign_id) == ["opted_out", None]


async def test_check_prices_a_number_by_the_network_that_reports_told(world: World) -> None:
    await world.learn_network(person(1).number, "airtel")
    campaign_id = await world.draft(person(1))
    await world.check(campaign_id)

    await world.work()

    totals = (await world.record(campaign_id)).totals
    assert totals is not None
    assert totals.by_network == {"airtel": 1}
    assert totals.price_micros == 500_000


async def test_check_ends_once_though_workers_race(world: World) -> None:
    campaign_id = await world.draft(*[person(place) for place in range(1, 12)])
    await world.check(campaign_id)

    while tasks := await world.tasks():
        await asyncio.gather(*[
            world.checker.kinds[task.kind](task) for task in tasks for _ in range(2)
        ])  # fmt: skip

    record = await world.record(campaign_id)
    assert record.totals is not None
    assert record.totals.message_count == 11
    assert await world.campaigns.progress(campaign_id) == Progress(11, 11)


async def test_check_of_an_edited_campaign_changes_nothing(world: World) -> None:
    campaign_id = await world.draft(person(1), person(2))
    await world.check(campaign_id)
    old = list(await world.tasks())
    renamed = EditCampaign(
        campaign_id, world.owner, cause(), lambda plan: replace(plan, name="Else")
    )
    await world.ledger.execute(renamed)

    for task in old:
        await world.checker.kinds[task.kind](task)

    assert await world.tasks() == []
    record = await world.record(campaign_id)
    assert (record.state, record.totals, record.plan.name) == ("draft", None, "Else")
    assert await world.campaigns.progress(campaign_id) is None


async def test_check_that_is_overtaken_at_each_step_leaves_the_newer_one_alone(
    world: World,
) -> None:
    campaign_id = await world.draft(*[person(place) for place in range(1, 6)])
    edit = EditCampaign(campaign_id, world.owner, cause(), lambda plan: plan)
    await world.check(campaign_id)
    kept: list[Task] = []

    for _ in range(3):
        [task, *others] = await world.tasks()
        kept += [task, *others]
        await world.checker.kinds[task.kind](task)
        await world.ledger.execute(edit)
        await world.check(campaign_id)
    for task in kept:
        await world.checker.kinds[task.kind](task)
    await world.work()

    totals = (await world.record(campaign_id)).totals
    assert totals is not None
    assert totals.message_count == 5


async def test_check_fails_clearly_when_a_list_is_gone(world: World) -> None:
    campaign_id = await world.draft(person(1), list_ids=(uuid7(),))
    await world.check(campaign_id)

    await world.work()

    record = await world.record(campaign_id)
    assert (record.state, record.problem_code) == ("draft", "contact_list_not_found")
    assert await world.reasons(campaign_id) == []


async def test_check_fails_clearly_with_more_recipients_than_one_may_have(world: World) -> None:
    campaign_id = await world.draft(*[person(place) for place in range(RECIPIENTS_MAX + 1)])
    await world.check(campaign_id)

    await world.work()

    record = await world.record(campaign_id)
    assert (record.state, record.problem_code) == ("draft", "too_many_recipients")


async def test_check_writes_nobody_down_when_they_are_too_many(
    request: pytest.FixtureRequest, database_url: str
) -> None:
    async with on_postgres(request.getfixturevalue) as world:
        opened = OpenAccount(world.account_id, "Duka", Kind.DIRECT, Tier.STARTER, cause())
        await world.ledger.execute(opened)
        list_id = uuid7()
        await world.add_list(list_id, [person(place) for place in range(RECIPIENTS_MAX)])
        campaign_id = await world.draft(person(99), list_ids=(list_id,))
        await world.check(campaign_id)

        await world.work()

        assert (await world.record(campaign_id)).problem_code == "too_many_recipients"
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        # What is taken back leaves its space behind.
        rows = await connection.execute("SELECT pg_relation_size('campaign_recipients')")
        [(written_bytes,)] = await rows.fetchall()
    assert written_bytes == 0


async def test_check_has_few_pages_waiting_at_a_time(world: World) -> None:
    campaign_id = await world.draft(*[person(place) for place in range(RECIPIENTS_MAX)])
    await world.check(campaign_id)
    waiting: list[int] = []

    while tasks := await world.tasks():
        waiting.append(sum(task.kind == PAGE_TASK for task in tasks))
        await world.checker.kinds[tasks[0].kind](tasks[0])

    assert max(waiting) == PAGES_AHEAD < RECIPIENTS_MAX / PAGE_SIZE
    assert await world.campaigns.progress(campaign_id) == Progress(RECIPIENTS_MAX, RECIPIENTS_MAX)
    assert await world.reasons(campaign_id) == [None] * RECIPIENTS_MAX


async def test_check_of_an_empty_upload_finds_nobody(world: World) -> None:
    campaign_id = await world.draft(inline_count=1)
    await world.check(campaign_id, schedules=True)

    await world.work()

    record = await world.record(campaign_id)
    assert record.totals is not None
    assert record.totals.recipient_count == 0
    assert (record.state, record.problem_code) == ("draft", "no_recipients")


async def test_schedule_checks_first_and_then_schedules(world: World) -> None:
    campaign_id = await world.draft(person(1))
    command = ScheduleCampaign(
        campaign_id, world.owner, cause(), Circumstances(ALWAYS_OPEN, 10), world.account_id
    )

    await world.ledger.execute(command)
    assert (await world.record(campaign_id)).state == "checking"
    await world.work()

    record = await world.record(campaign_id)
    assert (record.state, record.start_at) == ("scheduled", NOW)


async def test_schedule_awaits_approval_where_the_account_needs_it(world: World) -> None:
    await world.ledger.execute(
        RequireCampaignApproval(world.account_id, is_required=True, cause=cause())
    )
    campaign_id = await world.draft(person(1))
    await world.check(campaign_id, schedules=True)

    await world.work()

    assert (await world.record(campaign_id)).state == "awaiting_approval"


async def test_campaigns_lists_newest_first_and_by_state(world: World) -> None:
    first, second = await world.draft(person(1)), await world.draft(person(2))
    cancel = MoveCampaign(first, world.owner, cause(), CampaignMove.CANCEL)
    await world.ledger.execute(cancel)

    async def listed(**wanted: Any) -> list[UUID]:
        found = await world.campaigns.campaigns(CampaignFilter(**wanted), before=None, limit=10)
        return [one.campaign_id for one in found]

    assert await listed(owner=world.owner) == [second, first]
    assert await listed(owner=world.owner, state="cancelled") == [first]
    assert await listed(owner=None, account_id=world.account_id) == [second, first]
    assert await listed(owner=Owner(world.account_id, "test")) == []
    [older] = await world.campaigns.campaigns(CampaignFilter(world.owner), before=second, limit=10)
    assert older.campaign_id == first


async def test_campaign_of_another_owner_is_not_found(world: World) -> None:
    campaign_id = await world.draft(person(1))

    assert await world.campaigns.campaign(campaign_id, Owner(uuid7(), "live")) is None
    assert await world.campaigns.campaign(campaign_id, Owner(world.account_id, "test")) is None
    assert await world.campaigns.campaign(uuid7(), None) is None
    assert await world.campaigns.campaign(campaign_id, None) is not None


async def test_missing_lists_names_those_that_the_account_does_not_have(world: World) -> None:
    own, other = uuid7(), uuid7()
    await world.add_list(own, [])

    assert await world.campaigns.missing_lists(world.account_id, [own, other]) == [other]
    assert await world.campaigns.missing_lists(uuid7(), [own]) == [own]


async def test_recipients_are_filtered_by_reason_and_go_on_behind_a_place(world: World) -> None:
    campaign_id = await world.draft(person(1), person(1), person(1), person(2))
    await world.check(campaign_id)
    await world.work()

    duplicates = await world.campaigns.recipients(
        campaign_id, RecipientFilter(reason="duplicate"), after=1, limit=5
    )

    assert [one.place for one in duplicates] == [2]


async def test_discarded_upload_counts_no_more(world: World) -> None:
    campaign_id = await world.draft(person(1))
    [upload_id] = (await world.record(campaign_id)).plan.uploads

    await world.campaigns.discard_upload(upload_id)
    await world.check(campaign_id)
    await world.work()

    assert await world.reasons(campaign_id) == []
