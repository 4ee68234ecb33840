"""The SMS worker's use case: hand a message over, and record what came of it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from semalink.application.bus import NotReady
from semalink.application.ledger import Answer, Ledger, LedgerUnavailable
from semalink.application.ports import Aggregator, OutcomeUnknown, Receipt, SendFailed
from semalink.application.submission import (
    ExpireInQueue,
    Job,
    Next,
    Overdue,
    Policy,
    Ready,
    RecordReceipt,
    RecordRefusal,
    RecordUnknownOutcome,
    Settled,
    StartSubmission,
    Wait,
)
from semalink.domain.cause import Cause
from semalink.domain.errors import MessageNotFound

_Caused = StartSubmission | RecordReceipt | RecordRefusal | RecordUnknownOutcome | ExpireInQueue

ACTOR = "worker:sms"

#: Every route once, and once more after a lost answer.
HAND_OVERS_MAX = 4

#: Shorter than the lease, after which another worker takes the answer for lost.
SUBMIT_SECONDS_MAX = 17.0

#: How long an outcome is held in memory while the database is away.
RECORD_SECONDS_MAX = 120.0


class SubmitObserver(Protocol):
    """What submissions tell whoever counts."""

    def handed_over(self, lane: str, seconds: float) -> None:
        """A message is about to leave, so long after it was accepted."""
        ...

    def submitted(self, aggregator: str, seconds: float, result: str) -> None:
        """A call ended: "accepted", a failure class, or "unknown"."""
        ...


class Submitter:
    """Submits one message a call; every step is durable before the next is taken."""

    def __init__(  # noqa: PLR0913 - what a worker is made of
        self,
        ledger: Ledger,
        aggregators: Mapping[str, Aggregator],
        preferred_route: Callable[[UUID], Awaitable[str | None]],
        *,
        policy: Policy,
        now: Callable[[], datetime],
        new_request_id: Callable[[], str],
        observer: SubmitObserver,
        record_seconds_max: float = RECORD_SECONDS_MAX,
        submit_seconds_max: float = SUBMIT_SECONDS_MAX,
    ) -> None:
        self._ledger = ledger
        self._aggregators = aggregators
        self._preferred_route = preferred_route
        self._policy = policy
        self._now = now
        self._new_request_id = new_request_id
        self._observer = observer
        self._record_seconds_max = record_seconds_max
        self._submit_seconds_max = submit_seconds_max

    async def submit(self, job: Job) -> Wait | None:
        """Bring a message as far as it gets; a Wait when there is more to do, but not now.

        Raises NotReady while the ledger is away.
        """
        preferred = await self._preferred_route(job.account_id)
        request_id = self._new_request_id()
        for _ in range(HAND_OVERS_MAX):
            step = await self._start(job, preferred, request_id)
            if isinstance(step, Ready):
                step = await self._hand_over(job, preferred, step, request_id)
            if isinstance(step, Overdue):
                step = await self._record(ExpireInQueue(job, self._cause(request_id)))
            if isinstance(step, Wait):
                return step
            if isinstance(step, Settled):
                return None
        # Whoever is given the job next goes on from here.
        return Wait(self._now())

    async def _start(self, job: Job, preferred: str | None, request_id: str) -> Next:
        command = StartSubmission(job, preferred, self._policy, self._cause(request_id))
        try:
            return await self._record(command)
        except MessageNotFound:
            # Its partition was archived, so it ended long ago.
            return Settled()

    async def _hand_over(
        self, job: Job, preferred: str | None, ready: Ready, request_id: str
    ) -> Next:
        started_at = self._now()
        self._observer.handed_over(ready.lane, (started_at - ready.accepted_at).total_seconds())
        outcome: Receipt | SendFailed | OutcomeUnknown
        try:
            async with asyncio.timeout(self._submit_seconds_max):
                outcome = await self._aggregators[ready.aggregator].submit(ready.submission)
            result = "accepted"
        except SendFailed as failure:
            outcome, result = failure, failure.failure.value
        except OutcomeUnknown as unknown:
            outcome, result = unknown, "unknown"
        except TimeoutError:
            outcome, result = OutcomeUnknown(), "unknown"
        seconds = (self._now() - started_at).total_seconds()
        self._observer.submitted(ready.aggregator, seconds, result)
        cause = self._cause(request_id)
        if isinstance(outcome, Receipt):
            return await self._record(
                RecordReceipt(job, ready.attempt, ready.aggregator, outcome, cause)
            )
        if isinstance(outcome, SendFailed):
            return await self._record(
                RecordRefusal(job, ready.attempt, outcome, preferred, self._policy, cause)
            )
        return await self._record(
            RecordUnknownOutcome(job, ready.attempt, self._policy, cause, outcome.answer)
        )

    async def _record(self, command: _Caused) -> Next:
        try:
            return (await self._ledger.execute(command)).value
        except LedgerUnavailable:
            return await self._record_later(command)

    async def _record_later(self, command: _Caused) -> Next:
        async def decide_now() -> Answer[Next]:
            # The clock goes on while the ledger is away, and validity is judged by it.
            cause = replace(command.cause, at=self._now())
            return await self._ledger.execute(replace(command, cause=cause))

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(LedgerUnavailable),
            wait=wait_random_exponential(multiplier=0.05, max=2.0),
            stop=stop_after_delay(self._record_seconds_max),
            reraise=True,
        )
        try:
            answer: Answer[Next] = await retrying(decide_now)
        except LedgerUnavailable as away:
            raise NotReady(str(away)) from away
        return answer.value

    def _cause(self, request_id: str) -> Cause:
        return Cause(ACTOR, self._now(), request_id)
