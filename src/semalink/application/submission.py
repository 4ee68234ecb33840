"""Handing accepted messages to aggregators: the commands, each one durable decision."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from semalink.application.choosing import (
    MayProbe,
    choose_for,
    has_other_routes,
    health_for,
    is_switched_off,
    rests_until,
)
from semalink.application.ledger import Books, Needs, PlainCommand
from semalink.application.message_money import end_unsent, take_receipt
from semalink.application.ports import Receipt, SendFailed, Submission
from semalink.application.unwanted import Unwanted
from semalink.domain import message_steps
from semalink.domain.cause import Cause
from semalink.domain.draft import Lane
from semalink.domain.failure_codes import submit_failure_code
from semalink.domain.ids import MessageId
from semalink.domain.message import Message
from semalink.domain.retry_schedule import postponement
from semalink.domain.route import route_id
from semalink.domain.routing import DEFAULT_ORDER, Board, Reason, Routes
from semalink.domain.status import Status


@dataclass(frozen=True, slots=True)
class Policy:
    """The times that submission keeps to."""

    #: Longer than any call to an aggregator may take; then its answer is lost.
    lease: timedelta = timedelta(seconds=25)
    #: How long a report is waited for when the answer was lost.
    unknown_after: timedelta = timedelta(hours=48)
    order: Sequence[str] = DEFAULT_ORDER


@dataclass(frozen=True, slots=True)
class Job:
    """What a work queue carries: whose message is to be submitted."""

    message_id: UUID
    account_id: UUID
    billing_account_id: UUID
    #: Whose reservation pays; None: the message has one of its own.
    campaign_id: UUID | None = None

    @property
    def reservation_id(self) -> UUID:
        """What pays for the message."""
        return self.campaign_id or self.message_id


@dataclass(frozen=True, slots=True)
class Ready:
    """The call may leave now: SubmitStarted is durable."""

    aggregator: str
    attempt: int
    submission: Submission
    lane: str
    accepted_at: datetime
    network: str | None = None
    #: The network whose rest this message is to end; None when it is no probe.
    probes: str | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet: another worker may be in the middle of the call, or the message was put off."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Overdue:
    """The validity passed before any aggregator had the message."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Another route is to be tried at once."""


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing more is to be done for now: ended, submitted, put off or waiting for a report."""


Next = Ready | MayProbe | Wait | Overdue | Unwanted | TryAgain | Settled


@dataclass(frozen=True, slots=True)
class StartSubmission(PlainCommand):
    """Begin the next attempt, if there is to be one."""

    job: Job
    #: What is known of the routes; None: nothing, so that the order of the policy holds.
    routes: Routes | None
    policy: Policy
    cause: Cause
    #: The route that it may probe, as said by a MayProbe before.
    probing: str | None = None

    def needs(self, needs: Needs) -> None:
        """Only the message, because starting costs nothing; and the route that it may probe."""
        needs.messages.add(self.job.message_id)
        needs.unsent.add(self.job.message_id)
        if self.probing is not None:
            needs.settings.add(route_id(self.probing))

    def decide(self, books: Books) -> Next:
        """Start a waiting message on the best route that has not refused it."""
        message = books.message(self.job.message_id)
        if message.status is not Status.ACCEPTED:
            return Settled()
        if message.in_submission:
            if message.submit_request_id == self.cause.request_id:
                # The answer to this very command was lost on its way here: no call has left yet.
                return Overdue() if self.cause.at >= message.asked.expires_at else _ready(message)
            return await_or_give_up(message, self.policy, self.cause)
        if message.outcome_unknown and not _may_risk_a_duplicate(message):
            return Settled()
        is_overdue = self.cause.at >= message.asked.expires_at
        if is_overdue or books.is_unwanted(message.id):
            unsent: Next = Overdue() if is_overdue else Unwanted()
            return Settled() if message.outcome_unknown else unsent
        return self._start(books, message)

    def _start(self, books: Books, message: Message) -> Next:
        if message.retry_at is not None and self.cause.at < message.retry_at:
            return Wait(message.retry_at)
        routes = _routes_of(self.routes, self.policy)
        choice = choose_for(message, routes, books, self.cause, self.probing)
        if isinstance(choice, MayProbe):
            return choice
        if choice is None:
            if is_switched_off(message, routes):
                self._put_off(message, "switched_off", self.cause.at)
            return Settled()
        burns = choice.reason is Reason.LEAST_BAD and not message.outcome_unknown
        if burns and message.refused_by:
            # Of the routes that are left none works: it would be lost there.
            until = rests_until(message, routes, self.cause.at) or self.cause.at
            self._put_off(message, "routes_rest", until)
            return Settled()
        health = health_for(message, routes, self.cause.at)
        reason = str(choice.reason)
        message.start_submission(choice.route, self.cause, reason=reason, health=health)
        return _ready(message, choice.probes)

    def _put_off(self, message: Message, reason: str, until: datetime) -> None:
        message.put_off(_later(message, self.cause, until), reason, self.cause)


@dataclass(frozen=True, slots=True)
class RecordReceipt(PlainCommand):
    """Charge for a message that an aggregator took."""

    job: Job
    attempt: int
    aggregator: str
    receipt: Receipt
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The message, and the credits that pay for it."""
        _need_all(self.job, needs)

    def decide(self, books: Books) -> Next:
        """Record and charge, once."""
        message = books.message(self.job.message_id)
        take_receipt(books, message, self.attempt, self.aggregator, self.receipt, self.cause)
        return Settled()


@dataclass(frozen=True, slots=True)
class RecordRefusal(PlainCommand):
    """Take note that an aggregator certainly did not take a message, and decide what follows."""

    job: Job
    attempt: int
    failure: SendFailed
    routes: Routes | None
    policy: Policy
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The message, and the credits that are released when nobody takes it."""
        _need_all(self.job, needs)

    def decide(self, books: Books) -> Next:
        """Try the next route, put the message off, or reject and release it."""
        message = books.message(self.job.message_id)
        if not message.in_submission or message.attempt != self.attempt:
            return self._answer_again(message)
        failure = self.failure
        routes = _routes_of(self.routes, self.policy)
        if failure.may_fail_over and has_other_routes(message, routes, self.cause.at):
            self._record(message, retry_at=None)
            return TryAgain()
        retry_at = self._retry_at(message, routes)
        self._record(message, retry_at=retry_at)
        if retry_at is None and not message.outcome_unknown:
            code = submit_failure_code(failure.failure, failure.provider_code)
            end_unsent(books, message, message_steps.Rejected, code, self.cause)
        return Settled()

    def _answer_again(self, message: Message) -> Next:
        # When the first answer was lost on its way here, the next route still has to be tried.
        again = message.is_waiting and message.attempt == self.attempt and message.refused_by
        return TryAgain() if again else Settled()

    def _retry_at(self, message: Message, routes: Routes) -> datetime | None:
        failure = self.failure
        if message.outcome_unknown:
            return None
        if failure.retryable or (failure.may_fail_over and message.worth_retrying):
            return _later(message, self.cause, self.cause.at)
        # What another route may take waits for it, however certain this one is.
        until = rests_until(message, routes, self.cause.at) if failure.may_fail_over else None
        return None if until is None else _later(message, self.cause, until)

    def _record(self, message: Message, *, retry_at: datetime | None) -> None:
        failure = self.failure
        message.record_refusal(
            self.cause,
            failure_code=submit_failure_code(failure.failure, failure.provider_code),
            provider_code=failure.provider_code,
            detail=failure.detail,
            retryable=failure.retryable,
            retry_at=retry_at,
            answer=failure.answer,
        )


@dataclass(frozen=True, slots=True)
class RecordUnknownOutcome(PlainCommand):
    """Take note that a call left and no readable answer came."""

    job: Job
    attempt: int
    policy: Policy
    cause: Cause
    #: What came, if anything did.
    answer: str | None = None

    def needs(self, needs: Needs) -> None:
        """Only the message: its money stays reserved."""
        needs.messages.add(self.job.message_id)

    def decide(self, books: Books) -> Next:
        """Wait for a report; the priority lane may try one other route."""
        message = books.message(self.job.message_id)
        if message.in_submission and message.attempt == self.attempt:
            deadline_at = self.cause.at + self.policy.unknown_after
            reason = "no_answer" if self.answer is None else "unreadable_answer"
            message.record_unknown_outcome(deadline_at, reason, self.cause, answer=self.answer)
        # Answered alike when repeated, because the first answer may have been lost.
        lost = message.is_waiting and message.attempt == self.attempt and message.outcome_unknown
        return TryAgain() if lost and _may_risk_a_duplicate(message) else Settled()


@dataclass(frozen=True, slots=True)
class ExpireInQueue(PlainCommand):
    """End a message whose validity passed before any aggregator had it."""

    job: Job
    cause: Cause
    policy: Policy = Policy()

    def needs(self, needs: Needs) -> None:
        """The message, and the credits to release."""
        _need_all(self.job, needs)

    def decide(self, books: Books) -> Next:
        """Expire and release; a call that left and was never answered is unknown instead."""
        message = books.message(self.job.message_id)
        is_overdue = self.cause.at >= message.asked.expires_at
        if not is_overdue or message.status is not Status.ACCEPTED or message.outcome_unknown:
            return Settled()
        if message.is_waiting or message.submit_request_id == self.cause.request_id:
            end_unsent(books, message, message_steps.Expired, "expired_in_queue", self.cause)
        else:
            await_or_give_up(message, self.policy, self.cause)
        return Settled()


@dataclass(frozen=True, slots=True)
class ConcludeUnknown(PlainCommand):
    """Stop waiting for a report on a message whose answer was lost."""

    job: Job
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The message, and the credits to release."""
        _need_all(self.job, needs)

    def decide(self, books: Books) -> Next:
        """End as unknown and release: what cannot be shown is not charged."""
        message = books.message(self.job.message_id)
        if message.status is Status.ACCEPTED and message.outcome_unknown:
            end_unsent(books, message, message_steps.Unknown, "outcome_unknown", self.cause)
        return Settled()


def await_or_give_up(message: Message, policy: Policy, cause: Cause) -> Next:
    """Wait while another worker may be in the middle of the call; then its answer is lost."""
    assert message.submit_started_at is not None, "a started submission has a time"
    until = message.submit_started_at + policy.lease
    if cause.at < until:
        return Wait(until)
    message.record_unknown_outcome(cause.at + policy.unknown_after, "worker_lost", cause)
    return TryAgain() if _may_risk_a_duplicate(message) else Settled()


def _ready(message: Message, probes: str | None = None) -> Ready:
    asked = message.asked
    assert message.aggregator is not None, "a started submission has a route"
    submission = Submission(MessageId(message.id), asked.to, asked.text, asked.sender)
    return Ready(
        message.aggregator,
        message.attempt,
        submission,
        asked.lane,
        message.created_on,
        message.network,
        probes,
    )


def _need_all(job: Job, needs: Needs) -> None:
    needs.messages.add(job.message_id)
    needs.credit_accounts.add(job.billing_account_id)
    needs.reservations.add(job.reservation_id)


def _may_risk_a_duplicate(message: Message) -> bool:
    return message.asked.lane == Lane.PRIORITY and not message.possible_duplicate


def _later(message: Message, cause: Cause, until: datetime) -> datetime:
    # Not beyond its validity, so that one that expires gives its credits back in time.
    return min(max(until, cause.at + postponement(message.postponed)), message.asked.expires_at)


def _routes_of(routes: Routes | None, policy: Policy) -> Routes:
    return Routes(Board.untold(policy.order)) if routes is None else routes
