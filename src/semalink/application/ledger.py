"""The one way to change money and messages: commands, decided in order, committed together."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Protocol, TypeVar
from uuid import UUID

from eventsourcing.domain import Aggregate, AggregateEvent

from semalink.domain.account import Account
from semalink.domain.cause import Cause
from semalink.domain.credit_account import CreditAccount
from semalink.domain.errors import (
    AccountNotFound,
    DomainError,
    IdempotencyKeyReused,
    MessageNotFound,
    WebhookDeliveryNotFound,
)
from semalink.domain.message import Message
from semalink.domain.webhook_delivery import WebhookDelivery

T = TypeVar("T", bound=Aggregate)
T_co = TypeVar("T_co", covariant=True)


class LedgerUnavailable(Exception):
    """Nothing was decided: the database is away, or too much waits. Retry later."""


class OutcomeInDoubt(LedgerUnavailable):
    """The connection broke at the commit and nobody can be asked; the command may have counted."""


class Undecidable(Exception):
    """The books cannot store what a command decided: a bug, or books that were tampered with."""


class StoredRefusal(DomainError):
    """A refusal of before, given again because its idempotency key was."""

    code: str  # type: ignore[misc]

    def __init__(self, code: str, detail: str, pointer: str | None) -> None:
        self.code = code
        self._pointer = pointer
        super().__init__(detail)

    @property
    def pointer(self) -> str | None:
        """RFC 6901 pointer to the field at fault."""
        return self._pointer


@dataclass(frozen=True, slots=True)
class Idempotency:
    """What makes two requests one: a key within a scope, and a hash of what was asked."""

    #: The account, or a fixed namespace such as that of payment references.
    scope: UUID
    key: str
    #: SHA-256 of what was asked.
    fingerprint: bytes
    #: Raised when the key comes again for something else.
    reused: type[DomainError] = IdempotencyKeyReused
    #: Whether a refusal uses the key up. A payment that was refused can still be credited.
    keeps_refusals: bool = True


@dataclass(frozen=True, slots=True)
class StoredOutcome:
    """What was answered when an idempotency key was first used."""

    fingerprint: bytes
    #: The answer in the command's own encoding; None for a refusal.
    answer: bytes | None
    #: (code, detail, pointer) of a refusal.
    refusal: tuple[str, str, str | None] | None


@dataclass(frozen=True, slots=True)
class Answer(Generic[T_co]):
    """What a command returned, and whether it was decided now or long ago."""

    value: T_co
    replayed: bool = False
    #: The value as it was written down under its idempotency key; None without one.
    written: bytes | None = field(default=None, compare=False)


class Command(Protocol[T_co]):
    """One decision. What it needs is loaded first; ``decide`` must be pure and may run again."""

    @property
    def cause(self) -> Cause:
        """Who asked, when and in which request."""
        ...

    @property
    def subject(self) -> UUID | None:
        """The account that it is about, under which a refusal is kept; None keeps none."""
        ...

    @property
    def idempotency(self) -> Idempotency | None:
        """Decides one thing at most once, however often it is asked."""
        ...

    @property
    def weight(self) -> int:
        """How many messages it is about; what is committed together is bounded by it."""
        ...

    def needs(self, needs: "Needs") -> None:
        """Name what must be loaded and, for credit accounts, locked."""
        ...

    def decide(self, books: "Books") -> T_co:
        """Change the aggregates in the books, or raise a DomainError and change nothing."""
        ...

    @staticmethod
    def encode(value: Any) -> bytes:
        """Write an answer down for a later repetition of its idempotency key."""
        ...

    @staticmethod
    def decode(stored: bytes) -> Any:
        """Read an answer back."""
        ...


@dataclass(slots=True)
class Needs:
    """What a batch of commands must have loaded."""

    #: Locked, in id order, until the commit.
    credit_accounts: set[UUID] = field(default_factory=set)
    reservations: set[UUID] = field(default_factory=set)
    messages: set[UUID] = field(default_factory=set)
    #: Accounts and whatever else is configured, decided or noted in the log of settings.
    settings: set[UUID] = field(default_factory=set)
    #: Deliveries of webhooks.
    deliveries: set[UUID] = field(default_factory=set)
    #: Customers of agents, with the months whose spending counts. Their payer must be locked.
    spending: set[tuple[UUID, str]] = field(default_factory=set)
    #: Of which (account, sender id, number) to say whether the recipient opted out.
    opt_outs: set[tuple[UUID, str, str]] = field(default_factory=set)
    #: Of which messages that wait for submission to say so.
    unsent: set[UUID] = field(default_factory=set)


class Books:
    """The aggregates of one batch, as loaded and as changed by the commands so far."""

    __slots__ = (
        "_credit_accounts",
        "_deliveries",
        "_messages",
        "_opted_out",
        "_others",
        "_touched",
        "parts_refused",
        "sealed_secrets",
    )

    def __init__(
        self,
        *,
        credit_accounts: dict[UUID, CreditAccount],
        messages: dict[UUID, Message],
        others: Iterable[Aggregate] = (),
        deliveries: dict[UUID, WebhookDelivery] | None = None,
        opted_out: Container[tuple[UUID, str, str] | UUID] = frozenset(),
    ) -> None:
        self._credit_accounts = credit_accounts
        self._messages = messages
        self._others = {aggregate.id: aggregate for aggregate in others}
        self._deliveries = {} if deliveries is None else deliveries
        self._opted_out = opted_out
        self._touched: list[Aggregate] = []
        #: What the command in hand refused of itself without being refused, by place.
        self.parts_refused: list[tuple[int, DomainError]] = []
        #: What no event may hold: secrets of endpoints that were added, sealed, by their ids.
        self.sealed_secrets: dict[UUID, bytes] = {}

    def credit_account(self, account_id: UUID) -> CreditAccount:
        """Return the credits of a billing account; raises AccountNotFound."""
        credit_account = self._credit_accounts.get(account_id)
        if credit_account is None:
            raise AccountNotFound
        self._touched.append(credit_account)
        return credit_account

    def message(self, message_id: UUID) -> Message:
        """Return a message; raises MessageNotFound."""
        message = self._messages.get(message_id)
        if message is None:
            raise MessageNotFound
        self._touched.append(message)
        return message

    def delivery(self, delivery_id: UUID) -> WebhookDelivery:
        """Return a delivery of a webhook; raises WebhookDeliveryNotFound."""
        delivery = self._deliveries.get(delivery_id)
        if delivery is None:
            raise WebhookDeliveryNotFound
        self._touched.append(delivery)
        return delivery

    def has_delivery(self, delivery_id: UUID) -> bool:
        """Tell whether the delivery was made before."""
        return delivery_id in self._deliveries

    def is_opted_out(self, account_id: UUID, sender: str, number: str) -> bool:
        """Tell whether the recipient asked not to hear of this sender id of this account."""
        return (account_id, sender, number) in self._opted_out

    def is_unwanted(self, message_id: UUID) -> bool:
        """Tell whether the recipient of a message that waits for submission opted out of it."""
        return message_id in self._opted_out

    def find(self, kind: type[T], aggregate_id: UUID) -> T | None:
        """Return an aggregate of any other kind; None when there is none of that kind."""
        aggregate = self._others.get(aggregate_id)
        if not isinstance(aggregate, kind):
            return None
        self._touched.append(aggregate)
        return aggregate

    def account(self, account_id: UUID) -> Account:
        """Return an account; raises AccountNotFound."""
        account = self.find(Account, account_id)
        if account is None:
            raise AccountNotFound
        return account

    def has_account(self, account_id: UUID) -> bool:
        """Tell whether the account was opened before."""
        return isinstance(self._others.get(account_id), Account)

    def add(self, aggregate: Aggregate) -> None:
        """Take a new aggregate into the books."""
        if isinstance(aggregate, Message):
            self._messages[aggregate.id] = aggregate
        elif isinstance(aggregate, CreditAccount):
            self._credit_accounts[aggregate.id] = aggregate
        elif isinstance(aggregate, WebhookDelivery):
            self._deliveries[aggregate.id] = aggregate
        else:
            self._others[aggregate.id] = aggregate
        self._touched.append(aggregate)

    def collect(self) -> list[AggregateEvent]:
        """Return the events since the last call, each aggregate's in order."""
        events: list[AggregateEvent] = []
        for aggregate in self._touched:
            if aggregate.pending_events:
                events.extend(aggregate.collect_events())  # type: ignore[arg-type]
        self._touched.clear()
        return events


@dataclass(frozen=True, slots=True)
class Refusal:
    """A command, or a part of one, that was refused: for auditors."""

    account_id: UUID
    cause: Cause
    #: What was asked, as "accept_message".
    command: str
    code: str
    #: The sentence that was answered; it names no number and no text.
    detail: str
    #: Place of the part in a command about many; None for the whole.
    part: int | None = None


@dataclass(slots=True)
class Decisions:
    """What a batch came to: an outcome for each command, and what must be stored."""

    #: An Answer or a DomainError for each command, in order.
    outcomes: list[Any]
    events: list[AggregateEvent]
    stored: dict[tuple[UUID, str], StoredOutcome]
    refusals: list[Refusal] = field(default_factory=list)
    #: Secrets that were added, sealed, by their ids.
    sealed_secrets: dict[UUID, bytes] = field(default_factory=dict)


def decide_batch(
    commands: Sequence[Command[Any]],
    books: Books,
    known: dict[tuple[UUID, str], StoredOutcome],
) -> Decisions:
    """Decide commands in order; a repeated idempotency key is answered before any other rule."""
    decisions = Decisions(outcomes=[], events=[], stored={}, sealed_secrets=books.sealed_secrets)
    for command in commands:
        idempotency = command.idempotency
        if idempotency is None:
            decisions.outcomes.append(_decide(command, books, decisions))
            continue
        slot = (idempotency.scope, idempotency.key)
        before = known.get(slot) or decisions.stored.get(slot)
        if before is not None:
            decisions.outcomes.append(_repeat(command, idempotency, before))
            continue
        outcome = _decide(command, books, decisions)
        if idempotency.keeps_refusals or not isinstance(outcome, DomainError):
            stored = _to_store(command, idempotency, outcome)
            decisions.stored[slot] = stored
            if stored.answer is not None:
                outcome = Answer(outcome.value, written=stored.answer)
        decisions.outcomes.append(outcome)
    return decisions


def _decide(command: Command[Any], books: Books, decisions: Decisions) -> Any:
    try:
        value = command.decide(books)
    except DomainError as refusal:
        assert not books.collect(), "a refused command must not have changed anything"
        books.parts_refused.clear()
        _note(command, decisions, refusal)
        return refusal
    for part, refused in books.parts_refused:
        _note(command, decisions, refused, part)
    books.parts_refused.clear()
    decisions.events.extend(books.collect())
    return Answer(value)


def _note(
    command: Command[Any], decisions: Decisions, refusal: DomainError, part: int | None = None
) -> None:
    if command.subject is not None:
        name = _snake_case(type(command).__name__)
        decisions.refusals.append(
            Refusal(command.subject, command.cause, name, refusal.code, str(refusal), part)
        )


def _snake_case(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def _repeat(command: Command[Any], idempotency: Idempotency, before: StoredOutcome) -> Any:
    if before.fingerprint != idempotency.fingerprint:
        return idempotency.reused()
    if before.refusal is not None:
        return StoredRefusal(*before.refusal)
    assert before.answer is not None, "a stored outcome is an answer or a refusal"
    return Answer(command.decode(before.answer), replayed=True, written=before.answer)


def _to_store(command: Command[Any], idempotency: Idempotency, outcome: Any) -> StoredOutcome:
    if isinstance(outcome, DomainError):
        refusal = (outcome.code, str(outcome), outcome.pointer)
        return StoredOutcome(idempotency.fingerprint, None, refusal)
    return StoredOutcome(idempotency.fingerprint, command.encode(outcome.value), None)


class Ledger(Protocol):
    """Executes commands, each in a transaction that it may share with others."""

    async def execute(self, command: Command[T_co]) -> Answer[T_co]:
        """Decide and commit; raises DomainError when refused, LedgerUnavailable when not decided.

        OutcomeInDoubt is the one case in which the command may have counted.
        """
        ...


class PlainCommand:
    """A command that needs no idempotency key, because repeating it changes nothing."""

    __slots__ = ()

    idempotency: ClassVar[Idempotency | None] = None
    weight: ClassVar[int] = 1

    @property
    def subject(self) -> UUID | None:
        """Nobody's: what workers are refused is no news to an auditor."""
        return None

    @staticmethod
    def encode(value: Any) -> bytes:
        """Never called: there is no key to store an answer under."""
        raise AssertionError(value)

    @staticmethod
    def decode(stored: bytes) -> Any:
        """Never called: there is no key to find an answer under."""
        raise AssertionError(stored)
