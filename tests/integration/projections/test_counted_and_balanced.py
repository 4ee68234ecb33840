"""Usage, balances and entries say what a replay says, however the log is cut into pages."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from tests.integration.projections.worlds import START, LedgerWorld, MessageWorld

from semalink.domain.calendar import BUSINESS_TIME
from semalink.domain.credit_account import CreditAccount
from semalink.domain.message import Message
from semalink.projections import balances, entries, usage
from semalink.projections.projection import Project, Recorded, Target

ANY_SPLIT = settings(
    max_examples=30,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
SEEDS = st.integers(0, 2**32)
ENDS = ("delivered", "failed", "rejected", "expired", "cancelled", "unknown")


def _pages(dice: random.Random, log: Sequence[Any]) -> Iterator[list[Recorded]]:
    rest = [Recorded(one.originator_id, one.originator_version, START, one) for one in log]
    while rest:
        size = dice.randint(1, 9)
        yield rest[:size]
        rest = rest[size:]


def _projected(
    engine: Engine, project: Project, dice: random.Random, log: Sequence[Any], query: str
) -> list[dict[str, Any]]:
    """Apply the log in pages of any size and return the rows."""
    before: list[Recorded] = []

    def earlier(_: Any, versions: Any) -> list[Recorded]:
        return [one for one in before if one.version < versions.get(one.originator_id, 0)]

    with engine.connect() as tx:
        for page in _pages(dice, log):
            project(page, tx, Target(earlier=earlier))
            before += page
        rows = [dict(row) for row in tx.execute(text(query)).mappings()]
        tx.rollback()
    return rows


def _replayed(log: Sequence[Any]) -> dict[Any, Any]:
    replayed: dict[Any, Any] = {}
    for event in log:
        replayed[event.originator_id] = event.mutate(replayed.get(event.originator_id))
    return replayed


def _key_of(message: Message, actors: Mapping[UUID, str]) -> str:
    if message.asked.campaign_id is not None:
        return "campaign"
    return actors[message.id].removeprefix("key:") if "key:" in actors[message.id] else ""


def _usage_of(
    messages: Sequence[Message], keys: Mapping[UUID, str]
) -> dict[tuple[Any, ...], Counter[str]]:
    expected: dict[tuple[Any, ...], Counter[str]] = {}
    for message in messages:
        asked = message.asked
        slot = (
            asked.account_id,
            message.created_on.astimezone(BUSINESS_TIME).date(),
            asked.mode,
            asked.country,
            message.network or "",
            asked.sender,
            message.aggregator or "",
            _key_of(message, keys),
        )
        counts = expected.setdefault(slot, Counter())
        counts["accepted"] += 1
        counts["submitted"] += message.submitted_at is not None
        counts[message.status.value] += message.status.value in ENDS
        counts["segments"] += asked.segments
        counts["price_micros"] += asked.price_micros
        counts["charged_micros"] += message.charged_micros
        counts["refunded_micros"] += message.refunded_micros
    return expected


@ANY_SPLIT
@given(seed=SEEDS, message_count=st.integers(1, 6), step_count=st.integers(0, 40))
def test_usage_equals_replay(
    engine: Engine, seed: int, message_count: int, step_count: int
) -> None:
    dice = random.Random(seed)
    world = MessageWorld(dice, message_count, step_count)

    rows = _projected(engine, usage.project, dice, world.log, "SELECT * FROM usage")

    listed = {tuple(row.pop(name) for name in usage.Slot._fields): Counter(row) for row in rows}
    actors = {one.originator_id: one.actor for one in world.log if type(one) is Message.Created}
    assert listed == _usage_of(list(_replayed(world.log).values()), actors)
    for counts in listed.values():
        assert counts["accepted"] >= sum(counts[end] for end in ENDS)


@ANY_SPLIT
@given(seed=SEEDS, account_count=st.integers(1, 4), step_count=st.integers(1, 60))
def test_balances_equal_replay(
    engine: Engine, seed: int, account_count: int, step_count: int
) -> None:
    dice = random.Random(seed)
    world = LedgerWorld(dice, account_count, step_count)

    rows = _projected(engine, balances.project, dice, world.log, "SELECT * FROM balances")

    accounts: dict[Any, CreditAccount] = _replayed(world.log)
    assert {row["account_id"]: row for row in rows} == {
        account.id: {
            "account_id": account.id,
            "version": account.version,
            "posted_micros": account.posted_micros,
            "reserved_micros": account.reserved_micros,
            "credit_limit_micros": account.credit_limit_micros,
            "is_low": account.is_low,
            "recorded_at": START,
        }
        for account in accounts.values()
    }


@ANY_SPLIT
@given(seed=SEEDS, account_count=st.integers(1, 4), step_count=st.integers(1, 60))
def test_entries_hold_everything_that_the_log_says(
    engine: Engine, seed: int, account_count: int, step_count: int
) -> None:
    dice = random.Random(seed)
    world = LedgerWorld(dice, account_count, step_count)

    query = "SELECT * FROM entries ORDER BY account_id, version"
    rows = _projected(engine, entries.project, dice, world.log, query)

    in_order = sorted(world.log, key=lambda one: (one.originator_id, one.originator_version))
    assert [(row["account_id"], row["version"], row["name"]) for row in rows] == [
        (one.originator_id, one.originator_version, "credit." + one.TOPIC.split(".")[1])
        for one in in_order
    ]
    for row, entry in zip(rows, in_order, strict=True):
        for name, value in vars(entry).items():
            if name not in ("originator_id", "originator_version", "timestamp", "originator_topic"):
                held = row.get(name, row["facts"].get(name))
                assert held == value or str(held) == str(value)
