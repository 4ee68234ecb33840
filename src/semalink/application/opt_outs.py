"""Opt-outs: recorded, lifted, and what becomes of messages that wait when one is recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from semalink.application.ledger import Books, Needs, PlainCommand
from semalink.application.message_money import end_unsent
from semalink.application.opt_out_reading import OptOutView, view_of
from semalink.application.submission import Job, Next, Settled
from semalink.domain import message_steps
from semalink.domain.cause import Cause
from semalink.domain.draft import Mode
from semalink.domain.opt_out import OptOut, OptOutSource, OptOutSubject
from semalink.domain.opt_out_errors import OptOutNotFound


@dataclass(frozen=True, slots=True)
class RecordedOptOut:
    """An opt-out that holds, and whether it is new."""

    view: OptOutView
    is_new: bool


@dataclass(frozen=True, slots=True)
class RecordOptOuts(PlainCommand):
    """Take note of what recipients asked for; what holds already changes nothing."""

    subjects: Sequence[OptOutSubject]
    source: OptOutSource
    #: How the recipient said so, in words of whoever tells it.
    how: str
    cause: Cause
    #: The message that told it. One of a test key was for nobody, and tells nothing.
    of_message: UUID | None = None

    @property
    def weight(self) -> int:  # type: ignore[override]
        """As many as there are."""
        return len(self.subjects)

    def needs(self, needs: Needs) -> None:
        """What is known of each subject."""
        needs.settings.update(subject.opt_out_id for subject in self.subjects)
        if self.of_message is not None:
            needs.messages.add(self.of_message)

    def decide(self, books: Books) -> list[RecordedOptOut]:
        """Return each opt-out as it holds now, in order."""
        told_by = None if self.of_message is None else books.message(self.of_message)
        if told_by is not None and told_by.asked.mode == Mode.TEST:
            return []
        return [self._record(books, subject) for subject in self.subjects]

    def _record(self, books: Books, subject: OptOutSubject) -> RecordedOptOut:
        opt_out = books.find(OptOut, subject.opt_out_id)
        if opt_out is None:
            opt_out = OptOut.record(subject, self.source, self.how, self.cause)
            books.add(opt_out)
            return RecordedOptOut(view_of(opt_out), is_new=True)
        is_new = opt_out.renew(self.source, self.how, self.cause)
        return RecordedOptOut(view_of(opt_out), is_new)


@dataclass(frozen=True, slots=True)
class LiftOptOut(PlainCommand):
    """Let a recipient be messaged again."""

    opt_out_id: UUID
    #: Whose it must be; None: an operator may lift any.
    account_id: UUID | None
    reason: str
    #: How the recipient agreed.
    consent: str | None
    cause: Cause

    @property
    def subject(self) -> UUID | None:
        """The account."""
        return self.account_id

    def needs(self, needs: Needs) -> None:
        """The opt-out."""
        needs.settings.add(self.opt_out_id)

    def decide(self, books: Books) -> OptOutView:
        """Lift it; lifting it twice changes nothing."""
        opt_out = books.find(OptOut, self.opt_out_id)
        if opt_out is None or self.account_id not in (None, opt_out.subject.account_id):
            raise OptOutNotFound
        opt_out.lift(self.reason, self.consent, self.cause)
        return view_of(opt_out)


@dataclass(frozen=True, slots=True)
class RejectUnwanted(PlainCommand):
    """End a message whose recipient opted out before any aggregator had it."""

    job: Job
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The message, the credits to release, and whether the opt-out holds still."""
        needs.messages.add(self.job.message_id)
        needs.credit_accounts.add(self.job.billing_account_id)
        needs.reservations.add(self.job.reservation_id)
        needs.unsent.add(self.job.message_id)

    def decide(self, books: Books) -> Next:
        """Reject and release; what an aggregator has, or may have, is left to its reports."""
        message = books.message(self.job.message_id)
        if message.is_waiting and not message.outcome_unknown and books.is_unwanted(message.id):
            end_unsent(books, message, message_steps.Rejected, "opted_out", self.cause)
        return Settled()


@dataclass(frozen=True, slots=True)
class NameRecipient(PlainCommand):
    """Say whom a message is for and under which sender id; changes nothing."""

    message_id: UUID
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The message."""
        needs.messages.add(self.message_id)

    def decide(self, books: Books) -> OptOutSubject:
        """Return what an opt-out of this message's recipient is about; raises MessageNotFound."""
        asked = books.message(self.message_id).asked
        return OptOutSubject(asked.account_id, asked.sender, asked.to)
