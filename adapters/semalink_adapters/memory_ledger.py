"""The ledger in memory: for tests and demonstrations, held to the same rules as the real one."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar, cast
from uuid import UUID

from eventsourcing.domain import Aggregate, AggregateEvent

from semalink.application.ledger import (
    Answer,
    Books,
    Command,
    Decisions,
    LedgerUnavailable,
    Needs,
    OutcomeInDoubt,
    Refusal,
    StoredOutcome,
    decide_batch,
)
from semalink.application.submission import Job
from semalink.domain import message_steps
from semalink.domain.account import Account
from semalink.domain.accounting_month import AccountingMonth
from semalink.domain.adjustment import Adjustment
from semalink.domain.archived_month import ArchivedMonth
from semalink.domain.campaign import Campaign
from semalink.domain.contact_import import ContactImport
from semalink.domain.contact_list import ContactList
from semalink.domain.content_rule import ContentRule
from semalink.domain.credit_account import CreditAccount, Spending
from semalink.domain.credit_entries import Reservation
from semalink.domain.dead_letter import DeadLetter
from semalink.domain.dead_letter_job import DeadLetterJob
from semalink.domain.errors import DomainError
from semalink.domain.message import Message
from semalink.domain.opt_out import OptOut
from semalink.domain.orphan_report import OrphanReport
from semalink.domain.recovery import Recovery
from semalink.domain.route import Route
from semalink.domain.sender_id import SenderId
from semalink.domain.sender_route import SenderRoute
from semalink.domain.webhook_delivery import WebhookDelivery
from semalink.domain.webhook_endpoint import WebhookEndpoint
from semalink_adapters.memory_awaited import Awaited, keep_awaited

T = TypeVar("T")

#: After these there is nothing left to submit.
_LAST_STEPS = (
    message_steps.Submitted,
    message_steps.Delivered,
    message_steps.Failed,
    message_steps.Rejected,
    message_steps.Expired,
    message_steps.Unknown,
    message_steps.Cancelled,
)

#: Kinds that are not in the log of settings.
_ELSEWHERE = (CreditAccount, Message, WebhookDelivery)

#: How entries count to what an agent's customer has spent.
_SPENDING: dict[type[Any], int] = {
    CreditAccount.Reserved: 1,
    CreditAccount.Released: -1,
    CreditAccount.ReservationExpired: -1,
    CreditAccount.Refunded: -1,
}


@dataclass(slots=True)
class Head:
    """What is known of a credit account without its entries."""

    version: int
    modified_at: datetime
    posted_micros: int
    reserved_micros: int
    credit_limit_micros: int
    is_low: bool = False

    @property
    def available_micros(self) -> int:
        """What may still be reserved."""
        return self.posted_micros - self.reserved_micros + self.credit_limit_micros


@dataclass(slots=True)
class Pending:
    """A message that is not done with submission."""

    job: Job
    lane: str
    recipient: str
    sender: str
    queued_at: datetime
    expires_at: datetime
    #: "queued", "postponed", "unknown", "parked" or, of a campaign, "held".
    state: str = "queued"
    due_at: datetime | None = None
    #: How often it was put off.
    round: int = 0
    #: How often it was put back because its queue was empty against the books.
    refills: int = 0
    #: Who may hold it while its state is unknown.
    aggregator: str | None = None


class MemoryLedger:
    """A Ledger without a database.

    It keeps events and what is derived from them, and reads them back for each batch, so that
    nothing lives on between decisions but what was recorded.
    """

    def __init__(self) -> None:
        #: False plays a database that is away.
        self.is_available = True
        #: True plays a connection that breaks at the next commit: decided, and nobody is told.
        self.loses_next_answer = False
        #: Whether the database is away at each of the next decisions, before ``is_available``.
        self.outages: deque[bool] = deque()
        #: Every event of each kind of aggregate, by the aggregate's id.
        self.streams: dict[type[Any], dict[UUID, list[Any]]] = {
            Account: {},
            AccountingMonth: {},
            Adjustment: {},
            Campaign: {},
            ArchivedMonth: {},
            ContentRule: {},
            CreditAccount: {},
            ContactImport: {},
            ContactList: {},
            DeadLetter: {},
            DeadLetterJob: {},
            Message: {},
            OrphanReport: {},
            Recovery: {},
            WebhookDelivery: {},
            WebhookEndpoint: {},
            Route: {},
            OptOut: {},
            SenderId: {},
            SenderRoute: {},
        }
        #: Every event, in the order of the commits.
        self.log: list[AggregateEvent] = []
        self.open_reservations: dict[UUID, tuple[UUID, Reservation]] = {}
        #: What customers have spent of their agent's credits, by customer and month.
        self.spent: dict[tuple[UUID, str], int] = {}
        #: Every refusal that auditors may ask for.
        self.refusals: list[Refusal] = []
        #: Whose reference it is: message and billing account, by (aggregator, reference).
        self.references: dict[tuple[str, str], tuple[UUID, UUID]] = {}
        #: Messages that an aggregator took and whose final report has not come.
        self.awaited: dict[UUID, Awaited] = {}
        self.stored: dict[tuple[UUID, str], StoredOutcome] = {}
        #: Secrets of endpoints, sealed, by their ids.
        self.sealed_secrets: dict[UUID, bytes] = {}
        self._heads: dict[UUID, Head] = {}
        self._pending: dict[UUID, Pending] = {}

    async def execute(self, command: Command[T]) -> Answer[T]:
        """Decide and record; raises DomainError when refused, LedgerUnavailable when away."""
        return self.decide(command)

    def decide(self, command: Command[T]) -> Answer[T]:
        """Do what ``execute`` does, at once."""
        [outcome] = self.decide_together([command])
        if self.loses_next_answer:
            self.loses_next_answer = False
            msg = "The connection broke at the commit."
            raise OutcomeInDoubt(msg)
        if isinstance(outcome, DomainError):
            raise outcome
        return cast("Answer[T]", outcome)

    def decide_together(self, commands: Sequence[Command[Any]]) -> Sequence[Any]:
        """Decide several commands in one batch; an Answer or a DomainError for each."""
        away = self.outages.popleft() if self.outages else not self.is_available
        if away:
            msg = "The database is away."
            raise LedgerUnavailable(msg)
        needs = Needs()
        for command in commands:
            command.needs(needs)
        decisions = decide_batch(commands, self._books(needs), self.stored)
        self._store(decisions)
        return decisions.outcomes

    def events_of(self, aggregate_id: UUID) -> Sequence[AggregateEvent]:
        """Return what is recorded under an id: settings, then ledger entries, then steps."""
        kinds = self.streams.values()
        return [event for streams in kinds for event in streams.get(aggregate_id, ())]

    def balance(self, account_id: UUID) -> Head:
        """Return the head of a credit account."""
        return self._heads[account_id]

    def pending(self) -> dict[UUID, Pending]:
        """Return the messages that are not done with submission, oldest first."""
        return self._pending

    def load(self, kind: type[T], aggregate_id: UUID) -> T | None:
        """Return an aggregate as its events tell it, or None when it has none."""
        aggregate: Any = None
        for event in self.streams[kind].get(aggregate_id, ()):
            aggregate = event.mutate(aggregate)
        return cast("T | None", aggregate)

    def ids(self, kind: type[Any]) -> Sequence[UUID]:
        """Return the ids of all aggregates of a kind, in order."""
        return sorted(self.streams[kind])

    def _books(self, needs: Needs) -> Books:
        credit_accounts = {
            account_id: self._restore(account_id, needs)
            for account_id in needs.credit_accounts & self._heads.keys()
        }
        return Books(
            credit_accounts=credit_accounts,
            messages=self._load_each(Message, needs.messages),
            others=self._load_others(needs.settings),
            deliveries=self._load_each(WebhookDelivery, needs.deliveries),
            opted_out=self._opted_out(needs),
        )

    def _load_each(self, kind: type[T], wanted: set[UUID]) -> dict[UUID, T]:
        found = {each: self.load(kind, each) for each in wanted}
        return {each: aggregate for each, aggregate in found.items() if aggregate is not None}

    def _load_others(self, wanted: set[UUID]) -> list[Aggregate]:
        kinds = [kind for kind in self.streams if kind not in _ELSEWHERE]
        found = [self.load(kind, each) for kind in kinds for each in wanted]
        return [aggregate for aggregate in found if aggregate is not None]

    def _opted_out(self, needs: Needs) -> set[tuple[UUID, str, str] | UUID]:
        loaded = [self.load(OptOut, one) for one in self.streams[OptOut]]
        held = [one.subject for one in loaded if one is not None and one.is_active]
        found: set[tuple[UUID, str, str] | UUID] = {
            asked for asked in needs.opt_outs if any(one.concerns(*asked) for one in held)
        }
        for message_id in needs.unsent & self._pending.keys():
            pending = self._pending[message_id]
            recipient = (pending.job.account_id, pending.sender, pending.recipient)
            if any(one.concerns(*recipient) for one in held):
                found.add(message_id)
        return found

    def _restore(self, account_id: UUID, needs: Needs) -> CreditAccount:
        head = self._heads[account_id]
        credit_account = CreditAccount.restore(
            account_id,
            head.version,
            head.modified_at,
            posted_micros=head.posted_micros,
            reserved_micros=head.reserved_micros,
            credit_limit_micros=head.credit_limit_micros,
            is_low=head.is_low,
        )
        for reservation_id in needs.reservations & self.open_reservations.keys():
            owner_id, reservation = self.open_reservations[reservation_id]
            if owner_id == account_id:
                credit_account.open_reservations[reservation_id] = reservation
        for sub_account_id, month in needs.spending:
            customer = self.load(Account, sub_account_id)
            if customer is not None and customer.billing_account_id == account_id:
                spent_micros = self.spent.get((sub_account_id, month), 0)
                credit_account.spending[sub_account_id, month] = Spending(
                    customer.spending_cap_micros, spent_micros
                )
        return credit_account

    def _store(self, decisions: Decisions) -> None:
        self.stored.update(decisions.stored)
        self.refusals += decisions.refusals
        self.sealed_secrets.update(decisions.sealed_secrets)
        for event in decisions.events:
            kind = next(kind for kind in self.streams if isinstance(event, kind.Event))
            stream = self.streams[kind].setdefault(event.originator_id, [])
            assert event.originator_version == len(stream) + 1, "a version is recorded once"
            stream.append(event)
            self.log.append(event)
            if isinstance(event, CreditAccount.Event):
                self._settle(event)
            elif isinstance(event, message_steps.Step):
                self._follow(event)
                keep_awaited(self.awaited, event, self.load(Message, event.originator_id))

    def _settle(self, entry: Any) -> None:
        account_id = entry.originator_id
        head = self._heads.setdefault(account_id, Head(0, entry.timestamp, 0, 0, 0))
        head.version, head.modified_at = entry.originator_version, entry.timestamp
        head.posted_micros = entry.posted_after_micros
        head.reserved_micros = entry.reserved_after_micros
        head.credit_limit_micros = entry.credit_limit_after_micros
        # The entry itself says what it does to whatever is open.
        reservation_id = getattr(entry, "reservation_id", None)
        touched = set() if reservation_id is None else {reservation_id}
        credit_account = self._restore(account_id, Needs(reservations=touched))
        entry.apply(credit_account)
        head.is_low = credit_account.is_low
        for one in touched:
            self.open_reservations.pop(one, None)
        for one, reservation in credit_account.open_reservations.items():
            self.open_reservations[one] = (account_id, reservation)
        if getattr(entry, "price_released_micros", 0):
            slot = entry.sub_account_id, entry.spending_month
            self.spent[slot] = self.spent.get(slot, 0) - entry.price_released_micros
        sign = _SPENDING.get(type(entry))
        if sign and entry.sub_account_id is not None:
            slot = entry.sub_account_id, entry.spending_month
            self.spent[slot] = self.spent.get(slot, 0) + sign * entry.price_micros
        assert head.available_micros >= 0, "a credit account is never overdrawn"
        assert head.reserved_micros >= 0, "less than nothing is never reserved"

    def _follow(self, step: message_steps.Step) -> None:
        message_id = step.originator_id
        pending = self._pending.get(message_id)
        match step:
            case Message.Created():
                job = Job(message_id, step.account_id, step.billing_account_id, step.campaign_id)
                is_single = step.campaign_id is None
                lane, state = (step.lane, "queued") if is_single else ("bulk", "held")
                self._pending[message_id] = Pending(
                    job, lane, step.to, step.sender, step.timestamp, step.expires_at, state
                )
            case (
                message_steps.SubmitRefused(retry_at=datetime() as retry_at)
                | message_steps.PutOff(retry_at=retry_at)
            ) if pending:
                pending.state, pending.due_at = "postponed", retry_at
                pending.round += 1
            case message_steps.OutcomeUnknown() if pending:
                pending.state, pending.due_at = "unknown", step.deadline_at
                pending.aggregator = step.aggregator
            case message_steps.Submitted():
                created = self.streams[Message][message_id][0]
                owner = (message_id, created.billing_account_id)
                self.references.setdefault((step.aggregator, step.reference), owner)
            case _:
                pass
        if isinstance(step, _LAST_STEPS):
            self._pending.pop(message_id, None)
