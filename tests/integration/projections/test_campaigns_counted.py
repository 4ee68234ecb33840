"""Results of campaigns equal a recount of their messages, however the log is cut into pages."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text
from tests.integration.projections.worlds import START, MessageWorld

from semalink.domain.message import Message
from semalink.projections import campaign_results, usage
from semalink.projections.projection import Recorded, Target

ANY_SPLIT = settings(
    max_examples=40,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
RESULTS = "SELECT * FROM campaign_results"
CURVE = "SELECT * FROM campaign_curve"


def _apply(tx: Connection, dice: random.Random, log: Sequence[Any]) -> None:
    """Apply the log in pages of any size."""
    rest = [Recorded(one.originator_id, one.originator_version, START, one) for one in log]
    before: list[Recorded] = []

    def earlier(_: Any, versions: Any) -> list[Recorded]:
        return [one for one in before if one.version < versions.get(one.originator_id, 0)]

    while rest:
        size = dice.randint(1, 9)
        page, rest = rest[:size], rest[size:]
        usage.project(page, tx, Target(earlier=earlier))
        before += page


def _rows(tx: Connection, query: str, key: Sequence[str]) -> dict[tuple[Any, ...], Counter[str]]:
    rows = [dict(row) for row in tx.execute(text(query)).mappings()]
    return {tuple(row.pop(name) for name in key): +Counter(row) for row in rows}


def _messages(log: Sequence[Any]) -> list[Message]:
    replayed: dict[UUID, Any] = {}
    for event in log:
        replayed[event.originator_id] = event.mutate(replayed.get(event.originator_id))
    return [one for one in replayed.values() if one.asked.campaign_id is not None]


def _results_of(messages: Sequence[Message]) -> dict[tuple[Any, ...], Counter[str]]:
    expected: dict[tuple[Any, ...], Counter[str]] = {}
    for one in messages:
        campaign_id, code = one.asked.campaign_id, one.failure_code or ""
        counts = expected.setdefault(
            (campaign_id, one.network or "", one.status.value, code), Counter()
        )
        counts["messages"] += 1
        counts["submitted"] += one.submitted_at is not None
        counts["segments"] += one.asked.segments
        counts["price_micros"] += one.asked.price_micros
        counts["charged_micros"] += one.charged_micros
        counts["refunded_micros"] += one.refunded_micros
    return {slot: +counts for slot, counts in expected.items()}


def _happenings(message: Message) -> Iterator[tuple[str, Any]]:
    yield "accepted", message.created_on
    if message.submitted_at is not None:
        yield "submitted", message.submitted_at
    if message.finished_at is not None:
        yield "delivered" if message.status == "delivered" else "ended", message.finished_at


def _curve_of(messages: Sequence[Message]) -> dict[tuple[Any, ...], Counter[str]]:
    expected: dict[tuple[Any, ...], Counter[str]] = {}
    for message in messages:
        for name, at in _happenings(message):
            slot = message.asked.campaign_id, at.replace(second=0, microsecond=0)
            expected.setdefault(slot, Counter())[name] += 1
    return expected


@ANY_SPLIT
@given(seed=st.integers(0, 2**32), step_count=st.integers(0, 60))
def test_results_and_curve_equal_a_recount(engine: Engine, seed: int, step_count: int) -> None:
    dice = random.Random(seed)
    world = MessageWorld(dice, message_count=8, step_count=step_count)

    with engine.connect() as tx:
        _apply(tx, dice, world.log)
        results = _rows(tx, RESULTS, campaign_results.Result._fields)
        curve = _rows(tx, CURVE, campaign_results.Minute._fields)
        tx.rollback()

    messages = _messages(world.log)
    assert results == _results_of(messages)
    assert curve == _curve_of(messages)
    assert sum(one["messages"] for one in results.values()) == len(messages)
