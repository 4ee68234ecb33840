"""A recipient who asked not to hear of a sender: recorded, lifted with a reason, recorded again."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID, uuid5

from eventsourcing.domain import Aggregate

from semalink.domain.cause import Cause
from semalink.domain.opt_out_errors import ConsentRequired

#: The id of an opt-out is made from whom it concerns.
_OPT_OUTS = UUID("c3a5f2de-61d0-5b54-8f0c-5b1f0f6a2d38")


class OptOutSource(StrEnum):
    """Through whom the platform heard of it."""

    #: The customer said so.
    API = "api"
    #: An operator of the platform said so.
    OPERATOR = "operator"
    #: The recipient told the aggregator.
    CALLBACK = "aggregator_callback"
    #: A delivery report said that the recipient is on a blacklist.
    REPORT = "blacklisted_report"
    #: An aggregator refused a message because the recipient is on a blacklist.
    REFUSAL = "refused_submission"

    @property
    def is_recipients_own(self) -> bool:
        """Whether the recipient said so, and nobody for them."""
        return self not in (OptOutSource.API, OptOutSource.OPERATOR)


@dataclass(frozen=True, slots=True)
class OptOutSubject:
    """Who wants to hear nothing of whom."""

    #: None: no account of the platform may write.
    account_id: UUID | None
    #: "": under no sender id.
    sender: str
    #: E.164 with the plus sign.
    number: str

    @property
    def opt_out_id(self) -> UUID:
        """The id of the one opt-out of this subject; the case of a sender id is no difference."""
        owner = "" if self.account_id is None else self.account_id.hex
        return uuid5(_OPT_OUTS, f"{owner}|{self.sender.lower()}|{self.number}")

    def concerns(self, account_id: UUID, sender: str, number: str) -> bool:
        """Tell whether a message of this account, under this sender id, is not wanted."""
        return (
            self.number == number
            and self.account_id in (None, account_id)
            and self.sender.lower() in ("", sender.lower())
        )


class OptOut(Aggregate):
    """One recipient's wish; there is one for each account, sender id and number."""

    TOPIC = "opt_out"

    subject: OptOutSubject
    source: OptOutSource
    how: str
    recorded_at: datetime
    recorded_by: str
    is_active: bool = True
    lifted_at: datetime | None = None
    lifted_by: str | None = None
    lift_reason: str | None = None
    consent: str | None = None

    def __init__(self) -> None:
        """Start empty: the first event stands it up."""

    class Event(Aggregate.Event):
        """A change of the wish: who brought it, in which request."""

        actor: str
        request_id: str

    class Created(Event, Aggregate.Created):
        """The recipient is not to be messaged from now on."""

        TOPIC = "opt_out.recorded.1"
        account_id: UUID | None
        sender: str
        recipient: str
        source: str
        how: str

        def apply(self, opt_out: "OptOut") -> None:
            """Stand it up."""
            opt_out.subject = OptOutSubject(self.account_id, self.sender, self.recipient)
            opt_out.hear(self)

    class Renewed(Event):
        """The recipient opted out again, or by themselves what was said for them before."""

        TOPIC = "opt_out.renewed.1"
        account_id: UUID | None
        source: str
        how: str

        def apply(self, opt_out: "OptOut") -> None:
            """Hold again."""
            opt_out.hear(self)

    class Lifted(Event):
        """The recipient may be messaged again."""

        TOPIC = "opt_out.lifted.1"
        account_id: UUID | None
        reason: str
        #: How the recipient agreed to it, in words of whoever lifts it.
        consent: str | None

        def apply(self, opt_out: "OptOut") -> None:
            """Hold no more."""
            opt_out.is_active = False
            opt_out.lifted_at, opt_out.lifted_by = self.timestamp, self.actor
            opt_out.lift_reason, opt_out.consent = self.reason, self.consent

    @classmethod
    def record(cls, subject: OptOutSubject, source: OptOutSource, how: str, cause: Cause) -> Self:
        """Take note of a wish that is new."""
        return cls._create(
            cls.Created,
            id=subject.opt_out_id,
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            account_id=subject.account_id,
            sender=subject.sender,
            recipient=subject.number,
            source=source.value,
            how=how,
        )

    def renew(self, source: OptOutSource, how: str, cause: Cause) -> bool:
        """Hold again and return True; False when that says nothing new."""
        is_stronger = source.is_recipients_own and not self.source.is_recipients_own
        if self.is_active and not is_stronger:
            return False
        self._add(self.Renewed, cause, source=source.value, how=how)
        return True

    def lift(self, reason: str, consent: str | None, cause: Cause) -> None:
        """Hold no more; raises ConsentRequired where the recipient said so themselves."""
        if not self.is_active:
            return
        if self.source.is_recipients_own and consent is None:
            raise ConsentRequired
        self._add(self.Lifted, cause, reason=reason, consent=consent)

    def hear(self, event: Any) -> None:
        """Hold from this event on."""
        self.source, self.how = OptOutSource(event.source), event.how
        self.recorded_at, self.recorded_by = event.timestamp, event.actor
        self.is_active = True
        self.lifted_at = self.lifted_by = self.lift_reason = self.consent = None

    def _add(self, kind: type[Any], cause: Cause, **facts: Any) -> None:
        self.trigger_event(
            kind,
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            account_id=self.subject.account_id,
            **facts,
        )
