"""One message, from acceptance to its final state."""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from semalink.domain import message_steps as steps
from semalink.domain.cause import Cause
from semalink.domain.draft import Draft
from semalink.domain.status import FINAL_STATUSES, Status


class Message(Aggregate):
    """What was asked, what was tried, and what became of it."""

    TOPIC = "message"

    Event = steps.Step

    class Created(steps.Step, Aggregate.Created):
        """The platform took responsibility for the message."""

        TOPIC = "message.accepted.1"
        account_id: UUID
        billing_account_id: UUID
        mode: str
        to: str
        country: str
        network: str | None
        text: str
        sender: str
        lane: str
        encoding: str
        segments: int
        price_micros: int
        expires_at: datetime
        metadata: dict[str, str]
        #: W3C trace context of the request, for the work that follows; mostly "".
        traceparent: str
        #: What leaves the credits that pay; None: the price. It differs for an agent's customer.
        cost_micros: int | None = None
        #: Names the prices that were applied, with their version; "" in the first release.
        priced_by: str = ""
        #: Final states that give a charge back; None: as the platform does.
        refunded_on: tuple[str, ...] | None = None
        #: The campaign whose reservation pays for it; None: it has one of its own.
        campaign_id: UUID | None = None
        #: Content rules in shadow mode that would have blocked it.
        shadow_rules: tuple[str, ...] = ()
        #: The month in which its price was counted as spent when its campaign started; None: its
        #: own.
        spending_month: str | None = None

        def apply(self, message: "Message") -> None:
            """Stand the message up."""
            message.asked = self
            message.network = self.network

    #: What the customer asked for, checked and priced.
    asked: Created
    status: Status = Status.ACCEPTED
    #: Submissions begun so far; also the number of the last one.
    attempt: int = 0
    #: True from SubmitStarted until an answer, or the lack of one, is recorded.
    in_submission: bool = False
    #: True while an aggregator may hold the message and nobody can say.
    outcome_unknown: bool = False
    possible_duplicate: bool = False
    #: Routes that refused this message since it was last put off.
    refused_by: tuple[str, ...] = ()
    #: Whether one of those refusals may pass with time.
    worth_retrying: bool = False
    #: How often it was put off for a later attempt.
    postponed: int = 0
    #: Not before then, when it was put off.
    retry_at: datetime | None = None
    aggregator: str | None = None
    reference: str | None = None
    network: str | None = None
    charged_micros: int = 0
    charge_version: int | None = None
    refunded_micros: int = 0
    failure_code: str | None = None
    submit_started_at: datetime | None = None
    #: The unit of work that began the last submission.
    submit_request_id: str = ""
    submitted_at: datetime | None = None
    finished_at: datetime | None = None
    last_report: str = ""

    def __init__(self) -> None:
        """Start empty: the first event stands the message up."""

    SubmitStarted = steps.SubmitStarted
    Submitted = steps.Submitted
    SubmitRefused = steps.SubmitRefused
    PutOff = steps.PutOff
    OutcomeUnknown = steps.OutcomeUnknown
    ReportNoted = steps.ReportNoted
    Delivered = steps.Delivered
    Failed = steps.Failed
    Rejected = steps.Rejected
    Expired = steps.Expired
    Unknown = steps.Unknown
    Cancelled = steps.Cancelled

    @classmethod
    def accept(cls, message_id: UUID, draft: Draft, cause: Cause) -> Self:
        """Take responsibility for a checked and priced message."""
        return cls._create(
            cls.Created,
            id=message_id,
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            account_id=draft.account_id,
            billing_account_id=draft.billing_account_id,
            mode=draft.mode,
            to=draft.to,
            country=draft.country,
            network=draft.network,
            text=draft.text,
            sender=draft.sender,
            lane=draft.lane,
            encoding=draft.encoding,
            segments=draft.segments,
            price_micros=draft.price_micros,
            expires_at=draft.expires_at,
            metadata=draft.metadata,
            traceparent=cause.traceparent,
            cost_micros=draft.cost_micros,
            priced_by=draft.priced_by,
            refunded_on=draft.refunded_on,
            campaign_id=draft.campaign_id,
            shadow_rules=draft.shadow_rules,
            spending_month=draft.spending_month,
        )

    @property
    def is_final(self) -> bool:
        """True once nothing more is expected."""
        return self.status in FINAL_STATUSES

    @property
    def reservation_id(self) -> UUID:
        """What pays for it: a reservation of its own, or its campaign's."""
        return self.asked.campaign_id or self.id

    @property
    def is_waiting(self) -> bool:
        """True while the message waits for a submission that may be begun."""
        return self.status is Status.ACCEPTED and not self.in_submission

    @property
    def may_be_withheld(self) -> bool:
        """True while no aggregator may have the message and it can still be kept from all."""
        return self.is_waiting and not self.outcome_unknown

    def start_submission(
        self,
        aggregator: str,
        cause: Cause,
        *,
        reason: str = "",
        health: dict[str, dict[str, int | str]] | None = None,
    ) -> int:
        """Record that a call to ``aggregator`` is about to leave and return its number."""
        assert self.is_waiting, "only a waiting message is submitted"
        self._add(
            self.SubmitStarted,
            cause,
            attempt=self.attempt + 1,
            aggregator=aggregator,
            possible_duplicate=self.outcome_unknown,
            reason=reason,
            health=health,
        )
        return self.attempt

    def record_receipt(  # noqa: PLR0913 - what a receipt says
        self,
        attempt: int,
        aggregator: str,
        reference: str,
        cause: Cause,
        *,
        charged_micros: int,
        network: str | None,
        cost: str | None,
        charge_version: int | None = None,
        answer: str | None = None,
    ) -> None:
        """Record that the aggregator took the message."""
        self._add(
            self.Submitted,
            cause,
            attempt=attempt,
            aggregator=aggregator,
            reference=reference,
            charged_micros=charged_micros,
            network=network,
            cost=cost,
            charge_version=charge_version,
            answer=answer,
        )

    def record_refusal(  # noqa: PLR0913 - what a refusal says
        self,
        cause: Cause,
        *,
        failure_code: str,
        provider_code: str,
        detail: str,
        retryable: bool,
        retry_at: datetime | None,
        answer: str | None = None,
    ) -> None:
        """Record that the aggregator certainly did not take the message."""
        assert self.in_submission, "only a submission in flight can be refused"
        self._add(
            self.SubmitRefused,
            cause,
            attempt=self.attempt,
            aggregator=self.aggregator,
            failure_code=failure_code,
            provider_code=provider_code,
            detail=detail,
            retryable=retryable,
            retry_at=retry_at,
            answer=answer,
        )

    def put_off(self, retry_at: datetime, reason: str, cause: Cause) -> None:
        """Record that no route can be asked before then."""
        assert self.is_waiting, "only a waiting message is put off"
        self._add(self.PutOff, cause, reason=reason, retry_at=retry_at)

    def record_unknown_outcome(
        self, deadline_at: datetime, reason: str, cause: Cause, *, answer: str | None = None
    ) -> None:
        """Record that no readable answer came; the message waits for a report until then."""
        assert self.in_submission, "only a submission in flight can lose its answer"
        self._add(
            self.OutcomeUnknown,
            cause,
            attempt=self.attempt,
            aggregator=self.aggregator,
            deadline_at=deadline_at,
            reason=reason,
            answer=answer,
        )

    def note_report(self, state: str, description: str, cause: Cause) -> None:
        """Record a report that settles nothing, once; ignored after a final state."""
        if not self.is_final and description != self.last_report:
            self._add(self.ReportNoted, cause, state=state, description=description)

    def deliver(self, description: str, network: str | None, cause: Cause) -> None:
        """Record delivery, also after another final state; ignored when known already."""
        if self.status is not Status.DELIVERED:
            self._add(self.Delivered, cause, description=description, network=network)

    def cancel(self, cause: Cause) -> bool:
        """Give up on a message that no aggregator may have; False when one may, or it has ended."""
        if not self.may_be_withheld:
            return False
        self.end(self.Cancelled, "campaign_cancelled", cause)
        return True

    def may_end(self) -> bool:
        """Whether an end short of delivery would still be news."""
        return not self.is_final or self.status is Status.UNKNOWN

    def end(
        self,
        ending: "Ending",
        failure_code: str,
        cause: Cause,
        *,
        description: str = "",
        refunded_micros: int = 0,
    ) -> None:
        """Record an end short of delivery; only where ``may_end``."""
        assert self.may_end(), "a final state stands, but for unknown"
        self._add(
            ending,
            cause,
            failure_code=failure_code,
            description=description,
            refunded_micros=refunded_micros,
        )

    def _add(self, step: type[steps.Step], cause: Cause, **facts: Any) -> None:
        self.trigger_event(
            step, timestamp=cause.at, actor=cause.actor, request_id=cause.request_id, **facts
        )

    def finish(self, status: Status, failure_code: str | None, at: datetime) -> None:
        """Take over a final state; for the steps that end a message."""
        self.status = status
        self.failure_code = failure_code
        self.outcome_unknown = False
        self.in_submission = False
        self.finished_at = at


#: The five ends short of delivery.
Ending = type[steps.Failed | steps.Rejected | steps.Expired | steps.Unknown | steps.Cancelled]
