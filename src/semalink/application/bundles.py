"""Bundles: messages of one campaign that travel, are started, submitted and recorded together."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec

from semalink.application.campaign_sending import CampaignRef
from semalink.application.choosing import MayProbe
from semalink.application.ledger import Books, Ledger, Needs, PlainCommand
from semalink.application.opt_outs import RecordOptOuts, RejectUnwanted
from semalink.application.ports import (
    Aggregator,
    FailureClass,
    OutcomeUnknown,
    Receipt,
    SendFailed,
    Submission,
)
from semalink.application.recording import RECORD_SECONDS_MAX, Recorder
from semalink.application.route_watch import RouteWatch
from semalink.application.submission import (
    ExpireInQueue,
    Job,
    Overdue,
    Policy,
    Ready,
    RecordReceipt,
    RecordRefusal,
    RecordUnknownOutcome,
    StartSubmission,
    TryAgain,
    Wait,
)
from semalink.application.submitting import (
    ACTOR,
    ASK_ONCE_IN,
    HAND_OVERS_MAX,
    SUBMIT_SECONDS_MAX,
    SubmitObserver,
    result_of,
    says_of_route,
)
from semalink.application.together import Together
from semalink.application.unwanted import Unwanted
from semalink.domain.campaign import Campaign, CampaignState
from semalink.domain.cause import Cause
from semalink.domain.errors import DomainError
from semalink.domain.opt_out import OptOutSource, OptOutSubject
from semalink.domain.routing import Routes, Wish

BULK_QUEUE = "sms.bulk"
#: Messages of a bundle at most: what one bulk call of an aggregator takes, and one commit.
BUNDLE_SIZE = 100

Outcome = Receipt | SendFailed | OutcomeUnknown


class BundlePayload(msgspec.Struct, frozen=True):
    """What travels through the queue of bundles: ids only, never a text or a number."""

    campaign_id: UUID
    account_id: UUID
    billing_account_id: UUID
    message_ids: list[UUID]


class BundleBook(Protocol):
    """What becomes of messages that were dealt out and are not handed over now."""

    async def hold(self, message_ids: Sequence[UUID]) -> None:
        """Have them dealt out again when their campaign may send; raises NotReady."""
        ...

    async def put_off(self, message_ids: Sequence[UUID], until: datetime) -> None:
        """Have them dealt out again after that time; raises NotReady."""
        ...

    async def park(self, message_ids: Sequence[UUID]) -> None:
        """Have nobody deal them out again by themselves; raises NotReady."""
        ...


class Halted(msgspec.Struct, frozen=True):
    """The message stays: its campaign is paused, or over."""


@dataclass(frozen=True, slots=True)
class StartBundle(PlainCommand):
    """Begin the next attempt of each message of a bundle, as long as its campaign sends.

    What an aggregator may have is brought to its end however the campaign stands.
    """

    campaign_id: UUID
    jobs: Sequence[Job]
    routes: Routes
    policy: Policy
    cause: Cause

    @property
    def weight(self) -> int:  # type: ignore[override]
        """As many as it has messages."""
        return len(self.jobs)

    def needs(self, needs: Needs) -> None:
        """The campaign, and the messages."""
        needs.settings.add(self.campaign_id)
        for job in self.jobs:
            needs.messages.add(job.message_id)
            needs.unsent.add(job.message_id)

    def decide(self, books: Books) -> Any:
        """Return what follows for each message; Halted for those that wait for their campaign."""
        campaign = books.find(Campaign, self.campaign_id)
        is_halted = campaign is None or campaign.state is not CampaignState.SENDING
        routes, steps = self.routes, []
        for job in self.jobs:
            step = self._start(job, routes, books, is_halted=is_halted)
            if isinstance(step, MayProbe):
                # One message tries a route that rests; the others go elsewhere meanwhile.
                until = self.cause.at + ASK_ONCE_IN
                board = routes.board.with_probe(step.route, step.probes, until)
                routes = Routes(board, routes.wish)
            steps.append(step)
        return steps

    def _start(self, job: Job, routes: Routes, books: Books, *, is_halted: bool) -> Any:
        try:
            if is_halted and books.message(job.message_id).may_be_withheld:
                return Halted()
            return StartSubmission(job, routes, self.policy, self.cause).decide(books)
        except DomainError as refusal:
            # Its partition was archived, so it ended long ago.
            return refusal


@dataclass(frozen=True, slots=True)
class _Work:
    campaign: CampaignRef
    wish: Wish
    request_id: str


class BundleSubmitter:
    """Submits bundles; every step is durable for the whole bundle before the next is taken."""

    def __init__(  # noqa: PLR0913 - what a worker is made of
        self,
        ledger: Ledger,
        aggregators: Mapping[str, Aggregator],
        watch: RouteWatch,
        book: BundleBook,
        *,
        policy: Policy,
        now: Callable[[], datetime],
        new_request_id: Callable[[], str],
        observer: SubmitObserver,
        submit_one: Callable[[Job], Any],
        record_seconds_max: float = RECORD_SECONDS_MAX,
        submit_seconds_max: float = SUBMIT_SECONDS_MAX,
    ) -> None:
        self._recorder = Recorder(ledger, now, seconds_max=record_seconds_max)
        self._aggregators = aggregators
        self._watch = watch
        self._book = book
        self._policy = policy
        self._now = now
        self._new_request_id = new_request_id
        self._observer = observer
        self._submit_one = submit_one
        self._submit_seconds_max = submit_seconds_max

    async def submit(self, campaign: CampaignRef, message_ids: Sequence[UUID]) -> None:
        """Bring the messages as far as they get; raises NotReady while the ledger is away."""
        wish = await self._watch.wish_of(campaign.account_id)
        work = _Work(campaign, wish, self._new_request_id())
        jobs = [_job(campaign, message_id) for message_id in message_ids]
        for _ in range(HAND_OVERS_MAX):
            jobs = await self._round(work, jobs)
            if not jobs:
                return
        await self._book.hold([job.message_id for job in jobs])

    async def _round(self, work: _Work, jobs: Sequence[Job]) -> list[Job]:
        """Start and hand over; return those that another route may take at once."""
        routes = Routes(self._watch.board, work.wish)
        command = StartBundle(
            work.campaign.campaign_id, jobs, routes, self._policy, self._cause(work)
        )
        steps = await self._recorder.record(command)
        started = list(zip(jobs, steps, strict=True))
        ready = [(job, step) for job, step in started if isinstance(step, Ready)]
        again = await self._hand_over(work, ready)
        await self._end_unsent(work, started)
        halted = [job.message_id for job, step in started if isinstance(step, Halted)]
        if halted:
            await self._book.hold(halted)
        for job, step in started:
            if isinstance(step, MayProbe):
                await self._probe(job)
        return again + [job for job, step in started if isinstance(step, TryAgain)]

    async def _hand_over(self, work: _Work, ready: Sequence[tuple[Job, Ready]]) -> list[Job]:
        by_route: dict[str, list[tuple[Job, Ready]]] = {}
        for job, step in ready:
            by_route.setdefault(step.aggregator, []).append((job, step))
        calls = [self._submit(route, batch) for route, batch in by_route.items()]
        outcomes = [each for batch in await asyncio.gather(*calls) for each in batch]
        if not outcomes:
            return []
        opted_out = [
            _opt_out(job, step, outcome, self._cause(work))
            for job, step, outcome in outcomes
            if isinstance(outcome, SendFailed) and outcome.failure is FailureClass.OPTED_OUT
        ]
        if opted_out:
            # First, because whoever repeats the submission must not repeat the message.
            await self._recorder.record(Together(opted_out, self._cause(work)))
        commands = [self._outcome(work, *each) for each in outcomes]
        nexts = await self._recorder.record(Together(commands, self._cause(work)))
        return [
            job
            for (job, _, _), step in zip(outcomes, nexts, strict=True)
            if isinstance(step, TryAgain)
        ]

    async def _submit(
        self, route: str, batch: Sequence[tuple[Job, Ready]]
    ) -> list[tuple[Job, Ready, Outcome]]:
        started_at = self._now()
        for _, step in batch:
            waited = (started_at - step.accepted_at).total_seconds()
            self._observer.handed_over("bulk", waited)
        calls = [self._watch.begin(route, step.network) for _, step in batch]
        try:
            outcomes = await self._call(route, [step.submission for _, step in batch])
        except BaseException:
            # Cut off by us, which says nothing of the route.
            for call in calls:
                self._watch.forget(call)
            raise
        seconds = (self._now() - started_at).total_seconds()
        for call, outcome in zip(calls, outcomes, strict=True):
            self._watch.end(call, says_of_route(outcome))
            self._observer.submitted(route, seconds, result_of(outcome))
        return [(*each, outcome) for each, outcome in zip(batch, outcomes, strict=True)]

    async def _call(self, route: str, submissions: Sequence[Submission]) -> Sequence[Outcome]:
        try:
            async with asyncio.timeout(self._submit_seconds_max):
                return await self._aggregators[route].submit_many(submissions)
        except TimeoutError:
            return [OutcomeUnknown() for _ in submissions]

    async def _end_unsent(self, work: _Work, started: Sequence[tuple[Job, Any]]) -> None:
        commands: list[Any] = []
        waiting: list[tuple[UUID, datetime]] = []
        for job, step in started:
            if isinstance(step, Overdue):
                commands.append(ExpireInQueue(job, self._cause(work), self._policy))
            elif isinstance(step, Unwanted):
                commands.append(RejectUnwanted(job, self._cause(work)))
            elif isinstance(step, Wait):
                waiting.append((job.message_id, step.until))
        if commands:
            await self._recorder.record(Together(commands, self._cause(work)))
        if waiting:
            # Another worker may be in the middle of the call: not before that is over.
            until = max(until for _, until in waiting)
            await self._book.put_off([message_id for message_id, _ in waiting], until)

    async def _probe(self, job: Job) -> None:
        wait = await self._submit_one(job)
        if isinstance(wait, Wait):
            await self._book.put_off([job.message_id], wait.until)

    def _outcome(
        self, work: _Work, job: Job, ready: Ready, outcome: Outcome
    ) -> RecordReceipt | RecordRefusal | RecordUnknownOutcome:
        cause = self._cause(work)
        if isinstance(outcome, Receipt):
            return RecordReceipt(job, ready.attempt, ready.aggregator, outcome, cause)
        if isinstance(outcome, SendFailed):
            routes = Routes(self._watch.board, work.wish)
            return RecordRefusal(job, ready.attempt, outcome, routes, self._policy, cause)
        return RecordUnknownOutcome(job, ready.attempt, self._policy, cause, outcome.answer)

    def _cause(self, work: _Work) -> Cause:
        return Cause(ACTOR, self._now(), work.request_id)


def _job(campaign: CampaignRef, message_id: UUID) -> Job:
    return Job(message_id, campaign.account_id, campaign.billing_account_id, campaign.campaign_id)


def _opt_out(job: Job, ready: Ready, failed: SendFailed, cause: Cause) -> RecordOptOuts:
    submission = ready.submission
    subject = OptOutSubject(job.account_id, submission.sender, submission.to)
    how = f"{ready.aggregator}: {failed.provider_code}"
    return RecordOptOuts((subject,), OptOutSource.REFUSAL, how, cause, job.message_id)
