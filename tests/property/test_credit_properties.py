"""Every verb of the ledger, in any order, repeated, crashed and together with others."""

from collections import Counter
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.credits import (
    ApproveAdjustment,
    ExpireReservation,
    ProposeAdjustment,
    RejectAdjustment,
    SetCreditLimit,
    TransferCredits,
)
from semalink.application.ledger import Books, Command, LedgerUnavailable, Needs, PlainCommand
from semalink.application.terms import SetSpendingCap
from semalink.domain.account import Account, Kind, Tier
from semalink.domain.adjustment import Adjustment, Category
from semalink.domain.calendar import month_of
from semalink.domain.cause import Cause
from semalink.domain.credit_account import CreditAccount
from semalink.domain.credit_entries import OnBehalf
from semalink.domain.errors import DomainError
from semalink_adapters.memory_ledger import MemoryLedger

AGENT, PAYING, DIRECT, PAID = (UUID(int=number) for number in (0xA, 0xB, 0xC, 0xD))
PAYERS = (AGENT, PAYING, DIRECT)

#: What each kind of entry does to posted and reserved, told without the aggregate.
POSTED = {"ToppedUp": 1, "Charged": -1, "Refunded": 1, "Adjusted": 1}
POSTED |= {"TransferredOut": -1, "TransferredIn": 1}
RESERVED = {"Reserved": 1, "Charged": -1, "Released": -1, "ReservationExpired": -1}
SPENT = {"Reserved": 1, "Released": -1, "ReservationExpired": -1, "Refunded": -1}

ACCOUNTS = st.sampled_from(PAYERS)
AMOUNTS = st.integers(1, 40)


@dataclass(frozen=True, slots=True)
class Touch(PlainCommand):
    """Does one thing with one reservation, as a message or a campaign would."""

    verb: str
    account_id: UUID
    reservation_id: UUID
    cause: Cause
    amount: int = 0
    on_behalf: OnBehalf | None = None
    expires_at: datetime | None = None
    charge_version: int | None = None

    def needs(self, needs: Needs) -> None:
        needs.credit_accounts.add(self.account_id)
        needs.reservations.add(self.reservation_id)
        if self.on_behalf is not None:
            needs.spending.add((self.on_behalf.sub_account_id, self.on_behalf.month))

    def decide(self, books: Books) -> None:
        account = books.credit_account(self.account_id)
        match self.verb:
            case "reserve" if self.reservation_id not in account.open_reservations:
                account.reserve(
                    self.reservation_id,
                    self.amount,
                    self.cause,
                    expires_at=self.expires_at,
                    on_behalf=self.on_behalf,
                )
            case "charge":
                price = self.amount if self.on_behalf else None
                account.charge(
                    self.reservation_id, self.cause, amount_micros=self.amount, price_micros=price
                )
            case "release":
                account.release(self.reservation_id, self.cause)
            case "refund":
                account.refund(
                    self.reservation_id,
                    self.amount,
                    self.cause,
                    charge_version=self.charge_version,
                    on_behalf=self.on_behalf,
                )
            case _:
                pass


class CreditMachine(RuleBasedStateMachine):
    """An agent, two customers of it, one account of its own, and all that can happen to them."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = MemoryLedger()
        self.at = datetime(2026, 11, 30, 20, tzinfo=UTC)
        self.last_number = 0
        self.commands: list[Command[Any]] = []
        self.reservations: list[tuple[UUID, UUID]] = []
        self.refunded: set[tuple[UUID, int]] = set()

    @initialize()
    def open(self) -> None:
        for account_id, kind in ((AGENT, Kind.AGENT), (DIRECT, Kind.DIRECT)):
            self.do(OpenAccount(account_id, "A", kind, Tier.STARTER, self.cause()))
        for account_id, pays_itself in ((PAYING, True), (PAID, False)):
            self.do(
                OpenAccount(
                    account_id,
                    "A",
                    Kind.CUSTOMER,
                    Tier.STARTER,
                    self.cause(),
                    agent_id=AGENT,
                    pays_itself=pays_itself,
                )
            )
        self.do(TopUp(AGENT, 60, "opening", self.cause()))

    @rule(account_id=ACCOUNTS, amount=AMOUNTS, reference=st.sampled_from("pqrs"))
    def top_up(self, account_id: UUID, amount: int, reference: str) -> None:
        self.do(TopUp(account_id, amount, reference, self.cause()))

    @rule(account_id=ACCOUNTS, amount=AMOUNTS, hours=st.sampled_from([None, 1, 24]))
    def reserve(self, account_id: UUID, amount: int, hours: int | None) -> None:
        expires_at = None if hours is None else self.at + timedelta(hours=hours)
        reservation_id = self.new_id()
        self.reservations.append((account_id, reservation_id))
        self.do(
            Touch(
                "reserve", account_id, reservation_id, self.cause(), amount, expires_at=expires_at
            )
        )

    @rule(cost=AMOUNTS, margin=st.integers(0, 10))
    def reserve_for_customer(self, cost: int, margin: int) -> None:
        reservation_id = self.new_id()
        self.reservations.append((AGENT, reservation_id))
        on_behalf = OnBehalf(PAID, cost + margin, month_of(self.at))
        self.do(Touch("reserve", AGENT, reservation_id, self.cause(), cost, on_behalf))

    @precondition(lambda self: self.reservations)
    @rule(data=st.data(), verb=st.sampled_from(["charge", "charge", "release"]), amount=AMOUNTS)
    def resolve(self, data: st.DataObject, verb: str, amount: int) -> None:
        account_id, reservation_id = data.draw(st.sampled_from(self.reservations))
        open_one = self.ledger.open_reservations.get(reservation_id)
        on_behalf = open_one[1].on_behalf if open_one else None
        if on_behalf is not None:
            # A part at a price of its own would be a campaign's rule; here price and cost part.
            assert open_one is not None
            amount = open_one[1].amount_micros
            self.do(
                _ChargeAll(account_id, reservation_id, self.cause())
                if verb == "charge"
                else Touch(verb, account_id, reservation_id, self.cause())
            )
            return
        self.do(Touch(verb, account_id, reservation_id, self.cause(), amount))

    @precondition(lambda self: self.reservations)
    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        account_id, reservation_id = data.draw(st.sampled_from(self.reservations))
        self.do(ExpireReservation(reservation_id, account_id, self.cause()))

    @precondition(lambda self: self.charges())
    @rule(data=st.data())
    def refund(self, data: st.DataObject) -> None:
        account_id, charge = data.draw(st.sampled_from(self.charges()))
        # The message that was charged decides once; here the machine does.
        self.refunded.add((account_id, charge.originator_version))
        on_behalf = None
        if charge.sub_account_id is not None:
            on_behalf = OnBehalf(charge.sub_account_id, charge.price_micros, month_of(self.at))
        self.do(
            Touch(
                "refund",
                account_id,
                charge.reservation_id,
                self.cause(),
                charge.amount_micros,
                on_behalf,
                charge_version=charge.originator_version,
            )
        )

    @rule(account_id=ACCOUNTS, limit=st.integers(0, 80))
    def set_limit(self, account_id: UUID, limit: int) -> None:
        self.do(SetCreditLimit(account_id, limit, "contract", self.cause()))

    @rule(cap=st.one_of(st.none(), st.integers(0, 60)))
    def set_cap(self, cap: int | None) -> None:
        self.do(SetSpendingCap(PAID, AGENT, cap, self.cause()))

    @rule(account_id=ACCOUNTS, amount=st.integers(-40, 40).filter(bool), by=st.sampled_from("12"))
    def propose(self, account_id: UUID, amount: int, by: str) -> None:
        self.do(
            ProposeAdjustment(
                self.new_id(), account_id, amount, Category.CORRECTION, "why", self.cause(by)
            )
        )

    @precondition(lambda self: self.ledger.ids(Adjustment))
    @rule(data=st.data(), by=st.sampled_from("12"), approve=st.booleans())
    def decide_adjustment(self, data: st.DataObject, by: str, *, approve: bool) -> None:
        adjustment_id = data.draw(st.sampled_from(list(self.ledger.ids(Adjustment))))
        adjustment = self.ledger.load(Adjustment, adjustment_id)
        assert adjustment is not None
        account_id = adjustment.account_id
        if approve:
            self.do(ApproveAdjustment(adjustment_id, account_id, self.cause(by)))
        else:
            self.do(RejectAdjustment(adjustment_id, account_id, "no", self.cause(by)))

    @rule(giver=ACCOUNTS, taker=ACCOUNTS, amount=AMOUNTS)
    def transfer(self, giver: UUID, taker: UUID, amount: int) -> None:
        self.do(TransferCredits(self.new_id(), giver, taker, amount, "June", self.cause()))

    @rule(hours=st.sampled_from([1, 2, 24]))
    def wait(self, hours: int) -> None:
        self.at += timedelta(hours=hours)

    @rule()
    def break_the_connection_at_the_next_commit(self) -> None:
        self.ledger.loses_next_answer = True

    @precondition(lambda self: self.commands)
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        self.do(data.draw(st.sampled_from(self.repeatable()), label="command"))

    @precondition(lambda self: self.commands)
    @rule(data=st.data())
    def two_writers_in_one_batch(self, data: st.DataObject) -> None:
        several = st.lists(st.sampled_from(self.repeatable()), min_size=2, max_size=5)
        self.ledger.decide_together(data.draw(several, label="commands"))

    @invariant()
    def money_is_conserved(self) -> None:
        for account_id in self.opened():
            entries = self.entries(account_id)
            head = self.ledger.balance(account_id)
            assert head.posted_micros == moved(entries, POSTED)
            assert head.reserved_micros == moved(entries, RESERVED)

    @invariant()
    def nothing_is_negative_and_no_limit_is_passed(self) -> None:
        for account_id in self.opened():
            for entry in self.entries(account_id):
                assert entry.reserved_after_micros >= 0
                left = entry.posted_after_micros - entry.reserved_after_micros
                assert left + entry.credit_limit_after_micros >= 0

    @invariant()
    def replay_comes_to_the_heads(self) -> None:
        for account_id in self.opened():
            head, told = self.ledger.balance(account_id), self.told(account_id)
            assert (head.version, head.posted_micros, head.reserved_micros) == (
                told.version,
                told.posted_micros,
                told.reserved_micros,
            )
            assert (head.credit_limit_micros, head.is_low) == (
                told.credit_limit_micros,
                told.is_low,
            )

    @invariant()
    def reserved_is_the_sum_of_the_open_reservations(self) -> None:
        for account_id in self.opened():
            open_ones = {
                key: reservation
                for key, (owner, reservation) in self.ledger.open_reservations.items()
                if owner == account_id
            }
            assert open_ones == self.told(account_id).open_reservations
            assert self.ledger.balance(account_id).reserved_micros == sum(
                reservation.amount_micros for reservation in open_ones.values()
            )

    @invariant()
    def a_reservation_resolves_at_most_once(self) -> None:
        for account_id in self.opened():
            ends: Counter[UUID] = Counter()
            for entry in self.entries(account_id):
                name = type(entry).__name__
                if name in ("Released", "ReservationExpired") or (
                    name == "Charged" and entry.remaining_micros == 0
                ):
                    ends[entry.reservation_id] += 1
            assert all(count == 1 for count in ends.values())

    @invariant()
    def a_customer_spends_what_its_entries_say(self) -> None:
        if AGENT not in self.opened():
            return
        spent: Counter[tuple[UUID, str]] = Counter()
        for entry in self.entries(AGENT):
            sign = SPENT.get(type(entry).__name__)
            if sign and entry.sub_account_id is not None:
                spent[entry.sub_account_id, entry.spending_month] += sign * entry.price_micros
        assert spent == self.ledger.spent

    @invariant()
    def transfers_leave_nothing_between_accounts(self) -> None:
        kinds = {"TransferredOut": -1, "TransferredIn": 1}
        assert sum(moved(self.entries(one), kinds) for one in self.opened()) == 0

    def do(self, command: Command[Any]) -> None:
        """Decide a command; a refusal must leave everything as it was."""
        self.commands.append(command)
        before = self.state()
        try:
            self.ledger.decide(command)
        except LedgerUnavailable:
            return
        except DomainError:
            assert self.state() == before

    def repeatable(self) -> list[Command[Any]]:
        return [one for one in self.commands if not _is_charge(one)] or self.commands[:1]

    def state(self) -> Any:
        heads = {one: self.ledger.balance(one) for one in self.opened()}
        return deepcopy(
            (len(self.ledger.log), heads, self.ledger.open_reservations, self.ledger.spent)
        )

    def charges(self) -> list[tuple[UUID, Any]]:
        return [
            (account_id, entry)
            for account_id in self.opened()
            for entry in self.entries(account_id)
            if isinstance(entry, CreditAccount.Charged)
            and (account_id, entry.originator_version) not in self.refunded
        ]

    def opened(self) -> list[UUID]:
        return list(self.ledger.ids(Account))

    def entries(self, account_id: UUID) -> list[Any]:
        return self.ledger.streams[CreditAccount].get(account_id, [])

    def told(self, account_id: UUID) -> CreditAccount:
        account = self.ledger.load(CreditAccount, account_id)
        assert account is not None
        return account

    def cause(self, by: str = "0") -> Cause:
        return Cause(f"operator:{by}", self.at, "req_0")

    def new_id(self) -> UUID:
        self.last_number += 1
        return UUID(int=0x1000 + self.last_number)


@dataclass(frozen=True, slots=True)
class _ChargeAll(PlainCommand):
    account_id: UUID
    reservation_id: UUID
    cause: Cause

    def needs(self, needs: Needs) -> None:
        needs.credit_accounts.add(self.account_id)
        needs.reservations.add(self.reservation_id)

    def decide(self, books: Books) -> None:
        books.credit_account(self.account_id).charge(self.reservation_id, self.cause)


def _is_charge(command: Command[Any]) -> bool:
    # Asked again, a part of a reservation is another part; messages see to it that it is not.
    return isinstance(command, Touch | _ChargeAll) and getattr(command, "verb", "") != "release"


def moved(entries: list[Any], signs: dict[str, int]) -> int:
    return sum(
        signs[type(entry).__name__] * entry.amount_micros
        for entry in entries
        if type(entry).__name__ in signs
    )


def test_any_interleaving_of_every_verb_keeps_the_books() -> None:
    bounded = settings(max_examples=120, stateful_step_count=40, deadline=None)

    run_state_machine_as_test(CreditMachine, settings=bounded)
