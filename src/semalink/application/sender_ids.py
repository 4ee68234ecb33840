"""Sender ids: asked for by accounts, decided by operators."""

from dataclasses import dataclass
from uuid import UUID

from semalink.application.account_commands import AboutAccount
from semalink.application.ledger import Books, Needs, PlainCommand
from semalink.domain.cause import Cause
from semalink.domain.content_errors import (
    SenderIdInOtherState,
    SenderIdNotFound,
    TooManySenderIds,
)
from semalink.domain.sender_id import (
    WITHDRAW_INSTEAD,
    SenderClass,
    SenderId,
    SenderState,
    sender_id_of,
)

#: How many sender ids of one account may wait for their decision.
WAITING_MAX = 20
#: What the first release approved had no class: its messages went out at any hour.
_BEFORE_CLASSES = "approved before sender ids had classes"


class _OfSender(AboutAccount, PlainCommand):
    """A command about one sender id of an account."""

    __slots__ = ()

    account_id: UUID
    sender: str
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The sender id, and the account, whose older events approved some."""
        needs.settings.add(self.account_id)
        needs.settings.add(sender_id_of(self.account_id, self.sender))

    def _find(self, books: Books) -> SenderId | None:
        """Return the sender id; one that older events approved is stood up first."""
        account = books.account(self.account_id)
        found = books.find(SenderId, sender_id_of(self.account_id, self.sender))
        if found is None and self.sender in account.senders:
            found = self._stand_up(books, SenderClass.TRANSACTIONAL, _BEFORE_CLASSES, None)
            found.approve(SenderClass.TRANSACTIONAL, _BEFORE_CLASSES, self.cause, None)
        return found

    def _stand_up(
        self, books: Books, sender_class: SenderClass, reason: str, opt_out_text: str | None
    ) -> SenderId:
        made = SenderId.request(
            self.account_id,
            self.sender,
            sender_class,
            reason,
            self.cause,
            opt_out_text=opt_out_text,
        )
        books.add(made)
        return made


@dataclass(frozen=True, slots=True)
class RequestSenderId(_OfSender):
    """Ask for a sender id; asking twice changes nothing."""

    account_id: UUID
    sender: str
    sender_class: SenderClass
    reason: str
    cause: Cause
    opt_out_text: str | None = None
    #: How many of the account wait already, as whoever asks has counted.
    waiting_count: int = 0

    def decide(self, books: Books) -> UUID:
        """Note the request; raises TooManySenderIds."""
        found = books.find(SenderId, sender_id_of(self.account_id, self.sender))
        if found is None and self.waiting_count >= WAITING_MAX:
            raise TooManySenderIds(WAITING_MAX)
        found = self._find(books)
        if found is None:
            found = self._stand_up(books, self.sender_class, self.reason, self.opt_out_text)
        else:
            found.request_again(self.sender_class, self.reason, self.cause, self.opt_out_text)
        return found.id


@dataclass(frozen=True, slots=True)
class ApproveSender(_OfSender):
    """Let an account send under a sender id, whether it asked for it or not."""

    account_id: UUID
    sender: str
    cause: Cause
    sender_class: SenderClass = SenderClass.TRANSACTIONAL
    reason: str = ""
    opt_out_text: str | None = None

    def decide(self, books: Books) -> None:
        """Approve it."""
        found = self._find(books) or self._stand_up(
            books, self.sender_class, self.reason, self.opt_out_text
        )
        found.approve(self.sender_class, self.reason, self.cause, self.opt_out_text)


@dataclass(frozen=True, slots=True)
class RejectSender(_OfSender):
    """Say no to a sender id that an account asked for."""

    account_id: UUID
    sender: str
    reason: str
    cause: Cause

    def decide(self, books: Books) -> None:
        """Reject it; raises SenderIdNotFound, SenderIdInOtherState."""
        found = books.find(SenderId, sender_id_of(self.account_id, self.sender))
        if found is None and self.sender in books.account(self.account_id).senders:
            raise SenderIdInOtherState(SenderState.APPROVED, WITHDRAW_INSTEAD)
        _known(found).reject(self.reason, self.cause)


@dataclass(frozen=True, slots=True)
class WithdrawSender(_OfSender):
    """Stop an account from sending under a sender id."""

    account_id: UUID
    sender: str
    reason: str
    cause: Cause

    def decide(self, books: Books) -> None:
        """Withdraw it; raises SenderIdNotFound, SenderIdInOtherState."""
        _known(self._find(books)).withdraw(self.reason, self.cause)


@dataclass(frozen=True, slots=True)
class ChangeSenderClass(_OfSender):
    """Class an approved sender id anew."""

    account_id: UUID
    sender: str
    sender_class: SenderClass
    reason: str
    cause: Cause
    opt_out_text: str | None = None

    def decide(self, books: Books) -> None:
        """Class it; raises SenderIdNotFound, SenderIdInOtherState."""
        found = _known(self._find(books))
        found.change_class(self.sender_class, self.reason, self.cause, self.opt_out_text)


def _known(found: SenderId | None) -> SenderId:
    if found is None:
        raise SenderIdNotFound
    return found
