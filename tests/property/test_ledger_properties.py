from collections import Counter
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from semalink.application.accounts import TopUp
from semalink.application.delivery_reports import RecordReport
from semalink.application.ledger import (
    Books,
    Command,
    Idempotency,
    LedgerUnavailable,
    Needs,
    PlainCommand,
)
from semalink.application.ports import (
    DeliveryReport,
    FailureClass,
    Receipt,
    ReportState,
    SendFailed,
)
from semalink.application.sending import AcceptBatch, AcceptMessage
from semalink.application.submission import (
    ConcludeUnknown,
    ExpireInQueue,
    Job,
    Policy,
    Ready,
    RecordReceipt,
    RecordRefusal,
    RecordUnknownOutcome,
    StartSubmission,
)
from semalink.domain.cause import Cause
from semalink.domain.credit_account import CreditAccount
from semalink.domain.draft import Draft, Lane, Mode
from semalink.domain.errors import DomainError
from semalink.domain.message import Message
from semalink_adapters.memory_ledger import MemoryLedger

PREPAID_ID, POSTPAID_ID = UUID(int=0xA), UUID(int=0xB)
LIMITS_MICROS = {PREPAID_ID: 0, POSTPAID_ID: 40}

MESSAGES_MAX = 4

ACCOUNTS = st.sampled_from([PREPAID_ID, POSTPAID_ID])
PRICES = st.integers(min_value=1, max_value=30)
#: Few, so that they meet.
KEYS = st.sampled_from([None, None, "a", "b"])
FINGERPRINTS = st.sampled_from([b"1", b"2"])

#: What a call comes to; "nothing" plays a worker that dies in the middle.
Outcome = SendFailed | str
REFUSALS = st.builds(
    SendFailed,
    st.sampled_from(FailureClass),
    provider_code=st.just(""),
    detail=st.just(""),
    retryable=st.booleans(),
    may_fail_over=st.booleans(),
)
OUTCOMES = st.one_of(st.sampled_from(["taken", "lost", "lost", "nothing"]), REFUSALS)


@dataclass(frozen=True, slots=True)
class OpenCredits(PlainCommand):
    """Opens a credit account with a limit."""

    account_id: UUID
    cause: Cause

    def needs(self, needs: Needs) -> None:
        pass

    def decide(self, books: Books) -> None:
        limit_micros = LIMITS_MICROS[self.account_id]
        books.add(CreditAccount.open(self.account_id, self.cause, credit_limit_micros=limit_micros))


def books_of(ledger: MemoryLedger) -> Any:
    """Everything that a refusal must leave as it was."""
    heads = {account_id: ledger.balance(account_id) for account_id in LIMITS_MICROS}
    reserved = deepcopy(ledger.open_reservations)
    return len(ledger.log), deepcopy(heads), reserved, deepcopy(ledger.pending())


def total(entries: Iterable[Any], *kinds: type[Any]) -> int:
    return sum(entry.amount_micros for entry in entries if isinstance(entry, kinds))


def has_room(machine: "LedgerMachine") -> bool:
    """Few messages, so that much happens to each."""
    return len(machine.ledger.ids(Message)) < MESSAGES_MAX


class LedgerMachine(RuleBasedStateMachine):
    """Two accounts, and all that can happen to them, in any order and any number of times."""

    jobs = Bundle("jobs")
    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.ledger = MemoryLedger()
        self.at = datetime(2026, 11, 23, 9, tzinfo=UTC)
        self.last_number = 0
        self.commands: list[Command[Any]] = []
        self.first_outcomes: dict[tuple[UUID, str], Any] = {}

    @initialize(target=jobs, account_id=ACCOUNTS, lane=st.sampled_from(Lane))
    def open(self, account_id: UUID, lane: Lane) -> Any:
        for each_id in LIMITS_MICROS:
            self.ledger.decide(OpenCredits(each_id, self.cause()))
        self.ledger.decide(TopUp(PREPAID_ID, 60, "o", self.cause()))
        message_id = self.new_id()
        draft = self.draft(account_id, 10, lane, Mode.LIVE)
        self.do(AcceptMessage(message_id, account_id, draft, self.cause(), None))
        return self.jobs_of(account_id, [message_id])

    @rule(account_id=ACCOUNTS, amount=st.integers(1, 60), reference=st.sampled_from("pqrs"))
    def top_up(self, account_id: UUID, amount: int, reference: str) -> None:
        self.do(TopUp(account_id, amount, reference, self.cause()))

    @precondition(has_room)
    @rule(
        target=jobs,
        account_id=ACCOUNTS,
        price=PRICES,
        lane=st.sampled_from(Lane),
        mode=st.sampled_from([Mode.LIVE, Mode.LIVE, Mode.LIVE, Mode.TEST]),
        key=KEYS,
        fingerprint=FINGERPRINTS,
    )
    def accept(
        self,
        *,
        account_id: UUID,
        price: int,
        lane: Lane,
        mode: Mode,
        key: str | None,
        fingerprint: bytes,
    ) -> Any:
        draft = self.draft(account_id, price, lane, mode)
        idempotency = Idempotency(account_id, key, fingerprint) if key else None
        message_id = self.new_id()
        self.do(AcceptMessage(message_id, account_id, draft, self.cause(), idempotency))
        return self.jobs_of(account_id, [message_id])

    @precondition(has_room)
    @rule(
        target=jobs,
        account_id=ACCOUNTS,
        prices=st.lists(PRICES, min_size=1, max_size=3),
        key=KEYS,
        fingerprint=FINGERPRINTS,
    )
    def accept_batch(
        self, account_id: UUID, prices: list[int], key: str | None, fingerprint: bytes
    ) -> Any:
        drafts = [self.draft(account_id, price, Lane.NORMAL, Mode.LIVE) for price in prices]
        # The edge keeps the keys of its routes apart, and so their answers.
        idempotency = Idempotency(account_id, f"batch-{key}", fingerprint) if key else None
        message_ids = [self.new_id() for _ in drafts]
        self.do(AcceptBatch(message_ids, account_id, drafts, self.cause(), idempotency))
        return self.jobs_of(account_id, message_ids)

    @rule(
        target=calls,
        job=jobs,
        request_id=st.sampled_from(["job_1", "job_2"]),
        outcomes=st.lists(OUTCOMES, min_size=1, max_size=3),
    )
    def attempt(self, job: Job, request_id: str, outcomes: list[Outcome]) -> Any:
        """Start submissions one after the other and let each come to its outcome, or to none."""
        calls = []
        for outcome in outcomes:
            step = self.do(StartSubmission(job, None, Policy(), self.cause(request_id)))
            if isinstance(step, Ready):
                calls.append((job, step.aggregator, step.attempt))
                self.come_to(outcome, calls[-1])
        return multiple(*calls)

    @rule(call=calls, outcome=OUTCOMES)
    def come_to(self, outcome: Outcome, call: tuple[Job, str, int]) -> None:
        """Record what a call came to, however late and however often."""
        job, aggregator, attempt = call
        if isinstance(outcome, SendFailed):
            self.do(RecordRefusal(job, attempt, outcome, None, Policy(), self.cause()))
        elif outcome == "taken":
            receipt = Receipt(f"{job.message_id.int}-{attempt}")
            self.do(RecordReceipt(job, attempt, aggregator, receipt, self.cause()))
        elif outcome == "lost":
            self.do(RecordUnknownOutcome(job, attempt, Policy(), self.cause()))

    @rule(job=jobs, end=st.sampled_from([ExpireInQueue, ConcludeUnknown]))
    def give_up(self, job: Job, end: type[ExpireInQueue | ConcludeUnknown]) -> None:
        self.do(end(job, self.cause()))

    @rule(
        call=calls,
        too_late=st.booleans(),
        states=st.lists(st.sampled_from(ReportState), min_size=1, max_size=3),
    )
    def report(
        self, call: tuple[Job, str, int], states: list[ReportState], *, too_late: bool
    ) -> None:
        message_id, payer_id = call[0].message_id, call[0].billing_account_id
        if too_late:
            self.give_up(call[0], ConcludeUnknown)
        for state in states:
            said = DeliveryReport(f"{message_id.int}-1", state, state.value)
            self.do(RecordReport(message_id, payer_id, "celcom", said, self.cause()))

    @rule(seconds=st.sampled_from([1, 10, 30, 2_000]))
    def wait(self, seconds: int) -> None:
        self.at += timedelta(seconds=seconds)

    @rule()
    def break_the_connection_at_the_next_commit(self) -> None:
        self.ledger.loses_next_answer = True

    @precondition(lambda self: self.commands)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        self.do(data.draw(st.sampled_from(self.commands), label="command"))

    @precondition(lambda self: self.commands)
    @rule(data=st.data())
    def repeat_several_in_one_batch(self, data: st.DataObject) -> None:
        several = st.lists(st.sampled_from(self.commands), min_size=2, max_size=5)
        self.ledger.decide_together(data.draw(several, label="commands"))

    @invariant()
    def credits_are_conserved(self) -> None:
        for account_id in LIMITS_MICROS:
            entries, head = self.entries(account_id), self.ledger.balance(account_id)
            gained = total(entries, CreditAccount.ToppedUp, CreditAccount.Refunded)
            assert gained == head.posted_micros + total(entries, CreditAccount.Charged)
            resolved = total(entries, CreditAccount.Charged, CreditAccount.Released)
            assert total(entries, CreditAccount.Reserved) == head.reserved_micros + resolved

    @invariant()
    def nothing_is_negative_and_no_limit_is_passed(self) -> None:
        for account_id, limit_micros in LIMITS_MICROS.items():
            for entry in self.entries(account_id):
                assert getattr(entry, "amount_micros", 1) > 0
                assert entry.reserved_after_micros >= 0
                assert entry.posted_after_micros - entry.reserved_after_micros + limit_micros >= 0

    @invariant()
    def what_is_derived_is_what_the_entries_tell(self) -> None:
        for account_id in LIMITS_MICROS:
            head = self.ledger.balance(account_id)
            told = self.ledger.load(CreditAccount, account_id)
            assert told is not None
            assert head.version == told.version == len(self.entries(account_id))
            assert head.posted_micros == told.posted_micros
            assert head.reserved_micros == told.reserved_micros
            assert head.available_micros == told.available_micros
            told_amounts = {key: one.amount_micros for key, one in told.open_reservations.items()}
            assert self.open_amounts(account_id) == told_amounts

    @invariant()
    def reserved_is_the_sum_of_the_open_reservations(self) -> None:
        for account_id in LIMITS_MICROS:
            reserved_micros = self.ledger.balance(account_id).reserved_micros
            assert reserved_micros == sum(self.open_amounts(account_id).values())

    @invariant()
    def each_message_pays_at_most_once_and_for_what_it_says(self) -> None:
        by_message = self.entries_by_message()
        for message_id in self.ledger.ids(Message):
            message = self.ledger.load(Message, message_id)
            assert message is not None
            entries = by_message.get(message_id, [])
            counts = Counter(type(entry).__name__ for entry in entries)
            assert counts["Reserved"] == (message.asked.mode == Mode.LIVE)
            assert counts["Charged"] + counts["Released"] <= counts["Reserved"]
            assert counts["Refunded"] <= counts["Charged"]
            assert message.charged_micros == total(entries, CreditAccount.Charged)
            assert message.refunded_micros == total(entries, CreditAccount.Refunded)
            is_open = message_id in self.ledger.open_reservations
            gone = message.is_final or message.reference is not None
            assert is_open == (message.asked.mode == Mode.LIVE and not gone)

    @invariant()
    def nothing_is_sent_again_but_a_priority_message_once(self) -> None:
        for message_id in self.ledger.ids(Message):
            steps = self.ledger.streams[Message][message_id]
            risked = [
                step
                for step in steps
                if isinstance(step, Message.SubmitStarted) and step.possible_duplicate
            ]
            assert len(risked) <= (steps[0].lane == Lane.PRIORITY)

    def do(self, command: Command[Any]) -> Any:
        """Decide a command; a refusal must leave everything as it was."""
        # Without a key, a message that is asked for again is another message.
        if command.idempotency or isinstance(command, PlainCommand):
            self.commands.append(command)
        before = books_of(self.ledger)
        try:
            value = self.ledger.decide(command).value
        except LedgerUnavailable:
            return None
        except DomainError as refusal:
            assert books_of(self.ledger) == before
            self.compare(command.idempotency, refusal.code)
            return None
        self.compare(command.idempotency, value)
        return value

    def compare(self, idempotency: Idempotency | None, outcome: Any) -> None:
        """See that a key has one outcome for ever, and belongs to one request."""
        if idempotency is None:
            return
        slot = (idempotency.scope, idempotency.key)
        if self.ledger.stored[slot].fingerprint == idempotency.fingerprint:
            assert outcome == self.first_outcomes.setdefault(slot, outcome)
        else:
            assert outcome == idempotency.reused.code

    def entries(self, account_id: UUID) -> Sequence[Any]:
        return self.ledger.streams[CreditAccount].get(account_id, [])

    def entries_by_message(self) -> dict[UUID, list[Any]]:
        found: dict[UUID, list[Any]] = {}
        for account_id in LIMITS_MICROS:
            for entry in self.entries(account_id):
                if hasattr(entry, "reservation_id"):
                    found.setdefault(entry.reservation_id, []).append(entry)
        return found

    def open_amounts(self, account_id: UUID) -> dict[UUID, int]:
        return {
            reservation_id: reservation.amount_micros
            for reservation_id, (owner_id, reservation) in self.ledger.open_reservations.items()
            if owner_id == account_id
        }

    def jobs_of(self, account_id: UUID, message_ids: Iterable[UUID]) -> Any:
        known = self.ledger.streams[Message]
        return multiple(
            *(Job(each, account_id, account_id) for each in message_ids if each in known)
        )

    def draft(self, account_id: UUID, price_micros: int, lane: Lane, mode: Mode) -> Draft:
        return Draft(
            account_id=account_id,
            billing_account_id=account_id,
            mode=mode,
            to="+254712345678",
            country="KE",
            network=None,
            text="Karibu",
            sender="SEMA",
            lane=lane,
            encoding="gsm-7",
            segments=1,
            price_micros=price_micros,
            expires_at=self.at + timedelta(hours=1),
            metadata={},
        )

    def cause(self, request_id: str = "job_0") -> Cause:
        return Cause("worker:sms", self.at, request_id)

    def new_id(self) -> UUID:
        self.last_number += 1
        return UUID(int=self.last_number)


def test_any_interleaving_keeps_the_books() -> None:
    bounded = settings(max_examples=150, stateful_step_count=50, deadline=None)

    run_state_machine_as_test(LedgerMachine, settings=bounded)
