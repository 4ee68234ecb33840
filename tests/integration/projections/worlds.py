"""Messages and credit accounts that live through anything, and the logs that they leave."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from uuid_utils.compat import uuid7

from semalink.domain.cause import Cause
from semalink.domain.credit_account import CreditAccount
from semalink.domain.draft import Draft
from semalink.domain.message import Message
from semalink_adapters.postgres.mapper import EventMapper

START = datetime(2026, 11, 23, 9, tzinfo=UTC)
ROUTES = ("celcom", "africastalking")
ENDINGS = (Message.Failed, Message.Rejected, Message.Expired, Message.Unknown)
ACTORS = ("key:key_0198c0de5ca17000800000000000000b", "worker:fan-out")
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


def _cancel(message: Message, _: random.Random, cause: Cause) -> None:
    message.cancel(cause)


STEPS: Sequence[Step] = (
    (lambda message: message.is_waiting, _start),
    (lambda message: message.attempt > 0 and message.reference is None, _take_receipt),
    (lambda message: message.in_submission, _refuse),
    (lambda message: message.in_submission, _lose_answer),
    (lambda _: True, _note),
    (lambda _: True, _deliver),
    (lambda message: message.may_end(), _end),
    (lambda message: message.is_waiting, _cancel),
)


def draft_of(dice: random.Random, account_id: UUID, campaign_id: UUID | None = None) -> Draft:
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
        campaign_id=campaign_id,
    )


class MessageWorld:
    """Messages that live at the same time, and the log that they leave."""

    def __init__(self, dice: random.Random, message_count: int, step_count: int) -> None:
        self._dice = dice
        self._seconds = 0
        account_id = uuid7()
        campaigns = (None, uuid7(), uuid7())
        self.messages = [
            Message.accept(
                uuid7(),
                draft_of(dice, account_id, dice.choice(campaigns)),
                replace(self._cause(), actor=dice.choice(ACTORS)),
            )
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
        self._seconds += 13
        return Cause("worker:sms", START + timedelta(seconds=self._seconds), "job_1")

    def _collect(self) -> None:
        for message in self.messages:
            self.log += message.collect_events()


class LedgerWorld:
    """Credit accounts that live at the same time, and the log that they leave."""

    def __init__(self, dice: random.Random, account_count: int, step_count: int) -> None:
        self._dice = dice
        self.log: list[Any] = []
        self.accounts = [
            CreditAccount.open(uuid7(), self._cause(), credit_limit_micros=dice.choice((0, 100)))
            for _ in range(account_count)
        ]
        for account in self.accounts:
            account.top_up(1_000, f"p-{account.id}", self._cause())
        for number in range(step_count):
            self._move(dice.choice(self.accounts), number)
            for account in self.accounts:
                self.log += account.collect_events()

    def _move(self, account: CreditAccount, number: int) -> None:
        cause = self._cause()
        held = next(iter(account.open_reservations), None)
        match self._dice.randrange(6):
            case 0 if account.available_micros >= 50:
                account.reserve(uuid7(), 50, cause)
            case 1 if held is not None:
                account.charge(held, cause)
            case 2 if held is not None:
                account.release(held, cause)
            case 3:
                account.set_limit(account.credit_limit_micros + 500, "Trust", cause)
            case 4:
                account.refund(uuid7(), 7, cause)
            case _:
                account.top_up(10, f"p-{number}", cause)

    def _cause(self) -> Cause:
        return Cause("key:desk", START, "req_1")


INSERT = """
INSERT INTO {log} (originator_id, originator_version, topic, state{more})
VALUES (%s, %s, %s, %s{values})"""


def record(database_url: str, log: str, events: Sequence[Any]) -> None:
    """Write events into a log, a few in each transaction."""
    mapper = EventMapper()
    is_ledger = log == "ledger_entries"
    statement = INSERT.format(
        log=log,
        more=", entry_hash" if is_ledger else "",
        values=", decode(repeat('00', 32), 'hex')" if is_ledger else "",
    )
    with psycopg.connect(database_url) as connection:
        for start in range(0, len(events), 7):
            for event in events[start : start + 7]:
                stored = mapper.to_stored_event(event)
                row = stored.originator_id, stored.originator_version, stored.topic, stored.state
                connection.execute(statement, row)
            connection.commit()
