"""A sender id of an account: asked for, decided by an operator, of a class."""

from collections.abc import Collection
from enum import StrEnum
from typing import Any, Self
from uuid import UUID, uuid5

from eventsourcing.domain import Aggregate

from semalink.domain.cause import Cause
from semalink.domain.content_errors import SenderIdInOtherState

SENDER_ID_PREFIX = "snd_"
WITHDRAW_INSTEAD = "Only one that waits for its decision is rejected; withdraw an approved one."
#: The id of an account's sender id is made from both.
_SENDER_IDS = UUID("0f4f1d5c-6a0e-5d6b-8a55-6c2d7f0b5a19")


class SenderClass(StrEnum):
    """What messages of a sender id are for."""

    #: They advertise: at certain hours only, and with a way out.
    PROMOTIONAL = "promotional"
    #: They are what the recipient waits for, such as codes and receipts.
    TRANSACTIONAL = "transactional"


class SenderState(StrEnum):
    """What was decided of a sender id."""

    REQUESTED = "requested"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class SenderId(Aggregate):
    """Whose it is, of which class, and whether messages may be sent under it."""

    TOPIC = "sender_id"

    account_id: UUID
    sender: str
    sender_class: SenderClass
    state: SenderState = SenderState.REQUESTED
    #: Added to promotional messages; None: what the platform adds.
    opt_out_text: str | None = None
    reason: str = ""

    def __init__(self) -> None:
        """Start empty: the first event stands it up."""

    class Event(Aggregate.Event):
        """A step of a sender id: who made it, in which request."""

        actor: str
        request_id: str

    class Created(Event, Aggregate.Created):
        """An account asked for the sender id, or was given it."""

        TOPIC = "sender_id.requested.1"
        account_id: UUID
        sender: str
        sender_class: str
        reason: str
        opt_out_text: str | None

        def apply(self, sender_id: "SenderId") -> None:
            """Stand it up, undecided."""
            sender_id.account_id = self.account_id
            sender_id.sender = self.sender
            sender_id.sender_class = SenderClass(self.sender_class)
            sender_id.opt_out_text = self.opt_out_text
            sender_id.reason = self.reason

    class RequestedAgain(Event):
        """The account asked once more after it was rejected or withdrawn."""

        TOPIC = "sender_id.requested_again.1"
        sender_class: str
        reason: str
        opt_out_text: str | None

        def apply(self, sender_id: "SenderId") -> None:
            """Let it be decided anew."""
            sender_id.state = SenderState.REQUESTED
            sender_id.sender_class = SenderClass(self.sender_class)
            sender_id.opt_out_text = self.opt_out_text
            sender_id.reason = self.reason

    class Approved(Event):
        """The account may send under it; also when its class or its text was changed."""

        TOPIC = "sender_id.approved.1"
        account_id: UUID
        sender: str
        sender_class: str
        reason: str
        opt_out_text: str | None

        def apply(self, sender_id: "SenderId") -> None:
            """Let it be used, as of this class."""
            sender_id.state = SenderState.APPROVED
            sender_id.sender_class = SenderClass(self.sender_class)
            sender_id.opt_out_text = self.opt_out_text
            sender_id.reason = self.reason

    class Rejected(Event):
        """An operator said no."""

        TOPIC = "sender_id.rejected.1"
        reason: str

        def apply(self, sender_id: "SenderId") -> None:
            """Keep it unused."""
            sender_id.state = SenderState.REJECTED
            sender_id.reason = self.reason

    class Withdrawn(Event):
        """The account may no longer send under it."""

        TOPIC = "sender_id.withdrawn.1"
        account_id: UUID
        sender: str
        reason: str

        def apply(self, sender_id: "SenderId") -> None:
            """Stop it."""
            sender_id.state = SenderState.WITHDRAWN
            sender_id.reason = self.reason

    @classmethod
    def request(
        cls,
        account_id: UUID,
        sender: str,
        sender_class: SenderClass,
        reason: str,
        cause: Cause,
        *,
        opt_out_text: str | None = None,
    ) -> Self:
        """Ask for a sender id."""
        return cls._create(
            cls.Created,
            id=sender_id_of(account_id, sender),
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            account_id=account_id,
            sender=sender,
            sender_class=str(sender_class),
            reason=reason,
            opt_out_text=opt_out_text,
        )

    def request_again(
        self, sender_class: SenderClass, reason: str, cause: Cause, opt_out_text: str | None
    ) -> None:
        """Ask once more; asking while it waits, or is approved, changes nothing."""
        if self.state in (SenderState.REJECTED, SenderState.WITHDRAWN):
            self._add(
                self.RequestedAgain,
                cause,
                sender_class=str(sender_class),
                reason=reason,
                opt_out_text=opt_out_text,
            )

    def approve(
        self, sender_class: SenderClass, reason: str, cause: Cause, opt_out_text: str | None
    ) -> None:
        """Let the account send under it, as of this class; approving twice changes nothing."""
        wanted = SenderState.APPROVED, sender_class, opt_out_text
        if wanted != (self.state, self.sender_class, self.opt_out_text):
            self._add(
                self.Approved,
                cause,
                account_id=self.account_id,
                sender=self.sender,
                sender_class=str(sender_class),
                reason=reason,
                opt_out_text=opt_out_text,
            )

    def reject(self, reason: str, cause: Cause) -> None:
        """Say no; saying it twice changes nothing."""
        if self.state is SenderState.REJECTED:
            return
        if self.state is not SenderState.REQUESTED:
            raise SenderIdInOtherState(self.state, WITHDRAW_INSTEAD)
        self._add(self.Rejected, cause, reason=reason)

    def withdraw(self, reason: str, cause: Cause) -> None:
        """Stop the account from sending under it; stopping it twice changes nothing."""
        if self.state is SenderState.WITHDRAWN:
            return
        if self.state is not SenderState.APPROVED:
            remedy = "Only an approved one is withdrawn; reject one that waits."
            raise SenderIdInOtherState(self.state, remedy)
        self._add(
            self.Withdrawn, cause, account_id=self.account_id, sender=self.sender, reason=reason
        )

    def change_class(
        self,
        sender_class: SenderClass,
        reason: str,
        cause: Cause,
        opt_out_text: str | None,
    ) -> None:
        """Class an approved sender id anew, and say what is added to its messages."""
        if self.state is not SenderState.APPROVED:
            raise SenderIdInOtherState(self.state, "Approve it; that says its class as well.")
        self.approve(sender_class, reason, cause, opt_out_text)

    def _add(self, change: type[Event], cause: Cause, **facts: Any) -> None:
        self.trigger_event(
            change, timestamp=cause.at, actor=cause.actor, request_id=cause.request_id, **facts
        )


def sender_id_of(account_id: UUID, sender: str) -> UUID:
    """Return the id of the stream of an account's sender id."""
    return uuid5(_SENDER_IDS, f"{account_id.hex}:{sender}")


def class_of_uses(uses: Collection[SenderClass]) -> SenderClass:
    """Return the class of a sender id that is used so: promotional if for anything promotional.

    Operators class a sender id as a whole, whatever else is sent under it.
    """
    if SenderClass.PROMOTIONAL in uses:
        return SenderClass.PROMOTIONAL
    return SenderClass.TRANSACTIONAL
