"""The list of messages says what replaying each message says, however the log is paged."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, create_engine, text
from uuid_utils.compat import uuid7

from semalink.application.message_view import MessageView, view_of
from semalink.domain.cause import Cause
from semalink.domain.draft import Draft
from semalink.domain.message import Message
from semalink.projections import messages
from semalink.projections.messages import MESSAGE_COLUMNS, view_from_row
from semalink.projections.projection import LIVE, Recorded
from semalink_adapters.postgres.migrate import sqlalchemy_url

START = datetime(2026, 11, 23, 9, tzinfo=UTC)
ROUTES = ("celcom", "africastalking")
ENDINGS = (Message.Failed, Message.Rejected, Message.Expired, Message.Unknown)
NETWORKS = (None, "safaricom", "airtel")

#: One way on for a message, and whether it is open to it.
Step = tuple[Callable[[Message], bool], Callable[[Message, random.Random, Cause], None]]


def _start(message: Message, dice: random.Random, cause: Cause) -> None:
    message.start_submission(dice.choice(ROUTES), cause)


def _take_receipt(message: Message, dice: random.Random, cause: Cause) -> None:
    message.record_receipt(
        message.attempt,
        dice.choice(ROUTES),
        f"ref-{dice.random()}",
        cause,
        charged_micros=dice.choice((0, 800_000)),
        network=dice.choice(NETWORKS),
        cost="KES 0.80",
    )


def _refuse(message: Message, dice: random.Random, cause: Cause) -> None:
    message.record_refusal(
        cause,
        failure_code="throttled",
        provider_code="429",
        detail="Too many",
        retryable=True,
        retry_at=dice.choice((None, cause.at + timedelta(seconds=5))),
    )


def _lose_answer(message: Message, dice: random.Random, cause: Cause) -> None:
    message.record_unknown_outcome(cause.at + timedelta(hours=48), "no_answer", cause)


def _note(message: Message, dice: random.Random, cause: Cause) -> None:
    message.note_report("queued", dice.choice(("Scheduled", "Sent")), cause)


def _deliver(message: Message, dice: random.Random, cause: Cause) -> None:
    message.deliver("DeliveredToTerminal", dice.choice(NETWORKS), cause)


def _end(message: Message, dice: random.Random, cause: Cause) -> None:
    left = message.charged_micros - message.refunded_micros
    refunded_micros = dice.choice((0, left))
    code = dice.choice(("absent_subscriber", "validity_expired"))
    message.end(dice.choice(ENDINGS), code, cause, refunded_micros=refunded_micros)


STEPS: Sequence[Step] = (
    (lambda message: message.is_waiting, _start),
    (lambda message: message.attempt > 0 and message.reference is None, _take_receipt),
    (lambda message: message.in_submission, _refuse),
    (lambda message: message.in_submission, _lose_answer),
    (lambda _: True, _note),
    (lambda _: True, _deliver),
    (lambda message: message.may_end(), _end),
)


def _draft(dice: random.Random, account_id: UUID) -> Draft:
    return Draft(
        account_id=account_id,
        billing_account_id=account_id,
        mode=dice.choice(("live", "test")),
        to=f"+2547{dice.randrange(10**8):08}",
        country="KE",
        network=dice.choice(NETWORKS),
        text="Hello",
        sender="DESK",
        lane=dice.choice(("normal", "priority")),
        encoding="GSM-7",
        segments=dice.randint(1, 6),
        price_micros=800_000,
        expires_at=START + timedelta(hours=24),
        metadata=dice.choice(({}, {"b": "2", "a": "1"}, {"a\0b": "\0", "quote": '"\\u0000'})),
    )


class _World:
    """Messages that live at the same time, and the log that they leave."""

    def __init__(self, dice: random.Random, message_count: int, step_count: int) -> None:
        self._dice = dice
        self._seconds = 0
        account_id = uuid7()
        self.messages = [
            Message.accept(uuid7(), _draft(dice, account_id), self._cause())
            for _ in range(message_count)
        ]
        self.log: list[Any] = []
        self._collect()
        for _ in range(step_count):
            message = dice.choice(self.messages)
            open_steps = [take for is_open, take in STEPS if is_open(message)]
            dice.choice(open_steps)(message, dice, self._cause())
            self._collect()

    def pages(self) -> Iterator[list[Any]]:
        """Cut the log anywhere."""
        rest = self.log
        while rest:
            size = self._dice.randint(1, 9)
            yield rest[:size]
            rest = rest[size:]

    def _cause(self) -> Cause:
        self._seconds += 1
        return Cause("worker:sms", START + timedelta(seconds=self._seconds), "job_1")

    def _collect(self) -> None:
        for message in self.messages:
            self.log += message.collect_events()


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
    world = _World(random.Random(seed), message_count, step_count)

    with engine.connect() as tx:
        for page in world.pages():
            project(page, tx)
        listed = _listed(tx)
        tx.rollback()

    assert listed == _replayed(world.log)


def test_project_changes_nothing_when_a_page_is_applied_again(engine: Engine) -> None:
    world = _World(random.Random(17), message_count=5, step_count=60)
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
    message = Message.accept(uuid7(), _draft(dice, uuid7()), Cause("key:1", START, "req_1"))
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
