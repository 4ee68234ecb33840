"""The list of messages says what replaying each message says, however the log is paged."""

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, create_engine, text
from tests.integration.projections.worlds import START, MessageWorld, draft_of
from uuid_utils.compat import uuid7

from semalink.application.message_view import MessageView, view_of
from semalink.domain.cause import Cause
from semalink.domain.message import Message
from semalink.projections import messages
from semalink.projections.messages import MESSAGE_COLUMNS, view_from_row
from semalink.projections.projection import LIVE, Recorded
from semalink_adapters.postgres.migrate import sqlalchemy_url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A fresh database."""
    engine = create_engine(sqlalchemy_url(database_url))
    yield engine
    engine.dispose()


def project(events: Iterable[Any], tx: Connection) -> None:
    """Apply a page as the runner would."""
    page = [
        Recorded(event.originator_id, event.originator_version, START, event) for event in events
    ]
    messages.project(page, tx, LIVE)


def _listed(tx: Connection) -> dict[str, MessageView]:
    rows = tx.execute(text(f"SELECT {MESSAGE_COLUMNS} FROM messages")).all()
    return {view.id: view for view in map(view_from_row, rows)}


def _replayed(log: Sequence[Any]) -> dict[str, MessageView]:
    messages: dict[UUID, Any] = {}
    for event in log:
        messages[event.originator_id] = event.mutate(messages.get(event.originator_id))
    return {view.id: view for view in map(view_of, messages.values())}


# Shrinking would ask the database a thousand times; the seed says enough.
@settings(
    max_examples=40,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    seed=st.integers(0, 2**32),
    message_count=st.integers(1, 5),
    step_count=st.integers(0, 30),
)
def test_project_equals_replay(
    engine: Engine, seed: int, message_count: int, step_count: int
) -> None:
    world = MessageWorld(random.Random(seed), message_count, step_count)

    with engine.connect() as tx:
        for page in world.pages():
            project(page, tx)
        listed = _listed(tx)
        tx.rollback()

    assert listed == _replayed(world.log)


def test_project_changes_nothing_when_a_page_is_applied_again(engine: Engine) -> None:
    world = MessageWorld(random.Random(17), message_count=5, step_count=60)
    pages = list(world.pages())

    with engine.begin() as tx:
        for page in pages:
            project(page, tx)
        once = _listed(tx)
        for page in pages:
            project(page, tx)

        assert _listed(tx) == once == _replayed(world.log)


def test_project_stores_a_network_that_no_text_column_can_hold(engine: Engine) -> None:
    dice = random.Random(1)
    message = Message.accept(uuid7(), draft_of(dice, uuid7()), Cause("key:1", START, "req_1"))
    message.start_submission("celcom", Cause("worker:sms", START, "job_1"))
    message.deliver("Delivered", "safari\0com", Cause("aggregator:celcom", START, "rpt_1"))

    with engine.begin() as tx:
        project(message.collect_events(), tx)
        [listed] = _listed(tx).values()

    assert listed.network == "safari\ufffdcom"
    assert listed.status == "delivered"


def test_project_does_nothing_with_foreign_events(engine: Engine) -> None:
    with engine.begin() as tx:
        messages.project([Recorded(uuid7(), 1, START, object())], tx, LIVE)

        assert _listed(tx) == {}


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        ("KES 0.8000", ("KES", 800_000)),
        ("USD 12", ("USD", 12_000_000)),
        ("KES 0.123456000", ("KES", 123_456)),
        ("KES 0.1234567", None),
        ("KES 1234567890120", None),
        ("0.80", None),
        ("KES -1", None),
        ("", None),
        (None, None),
    ],
)
def test_parse_provider_cost_is_exact_or_nothing(
    cost: str | None, expected: tuple[str, int] | None
) -> None:
    assert messages.parse_provider_cost(cost) == expected
