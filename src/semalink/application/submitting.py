"""The SMS worker's use case: hand a message over, and record what came of it."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from semalink.application.choosing import MayProbe
from semalink.application.ledger import Command, Ledger, LedgerUnavailable
from semalink.application.opt_outs import RecordOptOuts, RejectUnwanted
from semalink.application.ports import Aggregator, FailureClass, OutcomeUnknown, Receipt, SendFailed
from semalink.application.recording import RECORD_SECONDS_MAX, Recorder
from semalink.application.route_watch import Call, RouteWatch
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
from semalink.application.unwanted import Unwanted
from semalink.domain.cause import Cause
from semalink.domain.errors import MessageNotFound
from semalink.domain.opt_out import OptOutSource, OptOutSubject
from semalink.domain.route_health import PROBE_LEASE
from semalink.domain.routing import Routes, Wish

#: Done, with the time when the call began, once its place is of use to other messages.
Freed = asyncio.Future[datetime]

T = TypeVar("T")

ACTOR = "worker:sms"

#: How long no other message of this worker asks whether it may probe a route.
ASK_ONCE_IN = timedelta(seconds=1)

#: Every route once, and once more after a lost answer.
HAND_OVERS_MAX = 4

#: Shorter than the lease, after which another worker takes the answer for lost.
SUBMIT_SECONDS_MAX = 17.0

#: Calls that are waited for beside the work, because their route is out of use.
BESIDE_MAX = 32


class SubmitObserver(Protocol):
    """What submissions tell whoever counts."""

    def handed_over(self, lane: str, seconds: float) -> None:
        """A message is about to leave, so long after it was accepted."""
        ...

    def submitted(self, aggregator: str, seconds: float, result: str) -> None:
        """A call ended: "accepted", a failure class, or "unknown"."""
        ...


@dataclass(frozen=True, slots=True)
class _Work:
    """What one message is brought on its way with."""

    job: Job
    wish: Wish
    request_id: str
    freed: Freed

    def free(self, began_at: datetime) -> None:
        if not self.freed.done():
            self.freed.set_result(began_at)


class Submitter:
    """Submits one message a call; every step is durable before the next is taken."""

    def __init__(  # noqa: PLR0913 - what a worker is made of
        self,
        ledger: Ledger,
        aggregators: Mapping[str, Aggregator],
        watch: RouteWatch,
        *,
        policy: Policy,
        now: Callable[[], datetime],
        new_request_id: Callable[[], str],
        observer: SubmitObserver,
        record_seconds_max: float = RECORD_SECONDS_MAX,
        submit_seconds_max: float = SUBMIT_SECONDS_MAX,
        beside_max: int = BESIDE_MAX,
    ) -> None:
        self._recorder = Recorder(ledger, now, seconds_max=record_seconds_max)
        self._aggregators = aggregators
        self._watch = watch
        self._policy = policy
        self._now = now
        self._new_request_id = new_request_id
        self._observer = observer
        self._submit_seconds_max = submit_seconds_max
        self._beside_max = beside_max
        self._beside: set[asyncio.Task[Wait | None]] = set()

    async def submit(self, job: Job) -> Wait | None:
        """Bring a message as far as it gets; a Wait when there is more to do, but not now.

        Raises NotReady while the ledger is away.
        """
        freed: Freed = asyncio.get_running_loop().create_future()
        bringing = asyncio.create_task(self._bring(job, freed))
        try:
            either: list[asyncio.Future[Any]] = [bringing, freed]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if bringing.done() or len(self._beside) >= self._beside_max:
                return await bringing
        except asyncio.CancelledError:
            bringing.cancel()
            await asyncio.wait([bringing])
            raise
        self._beside.add(bringing)
        bringing.add_done_callback(self._ended_beside)
        # When this worker dies meanwhile, another one finds the call lost after its lease.
        return Wait(freed.result() + self._policy.lease)

    async def drain(self, seconds_max: float) -> None:
        """Wait for the calls that are waited for beside the work, and cut off the rest."""
        if not self._beside:
            return
        _, late = await asyncio.wait(self._beside, timeout=max(0.0, seconds_max))
        for bringing in late:
            bringing.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _ended_beside(self, bringing: asyncio.Task[Wait | None]) -> None:
        self._beside.discard(bringing)
        if not bringing.cancelled():
            # Whoever is given the job next meets the same failure, and is heard.
            bringing.exception()

    async def _bring(self, job: Job, freed: Freed) -> Wait | None:
        wish = await self._watch.wish_of(job.account_id)
        request_id = self._new_request_id()
        for _ in range(HAND_OVERS_MAX):
            step = await self._start(job, wish, request_id)
            if isinstance(step, Ready):
                step = await self._hand_over(_Work(job, wish, request_id, freed), step)
            if isinstance(step, Overdue):
                step = await self._record(ExpireInQueue(job, self._cause(request_id)))
            if isinstance(step, Unwanted):
                step = await self._record(RejectUnwanted(job, self._cause(request_id)))
            if isinstance(step, Wait):
                return step
            if isinstance(step, Settled):
                return None
        # Whoever is given the job next goes on from here.
        return Wait(self._now())

    async def _start(self, job: Job, wish: Wish, request_id: str) -> Next:
        routes = Routes(self._watch.board, wish)
        command = StartSubmission(job, routes, self._policy, self._cause(request_id))
        try:
            step = await self._record(command)
        except MessageNotFound:
            # Its partition was archived, so it ended long ago.
            return Settled()
        if not isinstance(step, MayProbe):
            return step
        # The history of a route is long, and read for such a message only.
        self._watch.note_probe(step.route, step.probes, self._now() + ASK_ONCE_IN)
        return await self._record(replace(command, probing=step.route))

    async def _hand_over(self, work: _Work, ready: Ready) -> Next:
        started_at = self._now()
        self._observer.handed_over(ready.lane, (started_at - ready.accepted_at).total_seconds())
        call = self._watch.begin(
            ready.aggregator,
            ready.network,
            is_probe=ready.probes is not None,
            free=work.free,
        )
        if ready.probes is not None:
            self._watch.note_probe(ready.aggregator, ready.probes, started_at + PROBE_LEASE)
        try:
            outcome = await self._call(ready)
        except BaseException:
            # Cut off by us, which says nothing of the route.
            self._watch.forget(call)
            raise
        spoken = says_of_route(outcome)
        self._watch.end(call, spoken)
        seconds = (self._now() - started_at).total_seconds()
        self._observer.submitted(ready.aggregator, seconds, result_of(outcome))
        if isinstance(outcome, SendFailed) and outcome.failure is FailureClass.OPTED_OUT:
            # First, because whoever repeats the submission must not repeat the message.
            await self._record(self._opt_out(work, ready, outcome))
        step = await self._record(self._outcome(work, ready, outcome))
        if ready.probes is not None:
            await self._end_probe(work.job, ready.probes, call, spoken)
        return step

    async def _call(self, ready: Ready) -> Receipt | SendFailed | OutcomeUnknown:
        try:
            async with asyncio.timeout(self._submit_seconds_max):
                return await self._aggregators[ready.aggregator].submit(ready.submission)
        except (SendFailed, OutcomeUnknown) as outcome:
            return outcome
        except TimeoutError:
            return OutcomeUnknown()

    def _outcome(
        self, work: _Work, ready: Ready, outcome: Receipt | SendFailed | OutcomeUnknown
    ) -> RecordReceipt | RecordRefusal | RecordUnknownOutcome:
        job, cause = work.job, self._cause(work.request_id)
        if isinstance(outcome, Receipt):
            return RecordReceipt(job, ready.attempt, ready.aggregator, outcome, cause)
        if isinstance(outcome, SendFailed):
            routes = Routes(self._watch.board, work.wish)
            return RecordRefusal(job, ready.attempt, outcome, routes, self._policy, cause)
        return RecordUnknownOutcome(job, ready.attempt, self._policy, cause, outcome.answer)

    def _opt_out(self, work: _Work, ready: Ready, outcome: SendFailed) -> RecordOptOuts:
        submission = ready.submission
        subject = OptOutSubject(work.job.account_id, submission.sender, submission.to)
        how = f"{ready.aggregator}: {outcome.provider_code}"
        cause = self._cause(work.request_id)
        message_id = work.job.message_id
        return RecordOptOuts((subject,), OptOutSource.REFUSAL, how, cause, message_id)

    async def _end_probe(self, job: Job, probes: str, call: Call, result: str) -> None:
        # While the ledger is away nothing recovers; the lease of the probe ends by itself.
        with contextlib.suppress(LedgerUnavailable):
            await self._watch.end_probe(call, probes, job.message_id, result)

    async def _record(self, command: Command[T]) -> T:
        return await self._recorder.record(command)

    def _cause(self, request_id: str) -> Cause:
        return Cause(ACTOR, self._now(), request_id)


def result_of(outcome: Receipt | SendFailed | OutcomeUnknown) -> str:
    """Return what a call came to, in one word: "accepted", a failure class or "unknown"."""
    if isinstance(outcome, SendFailed):
        return outcome.failure.value
    return "accepted" if isinstance(outcome, Receipt) else "unknown"


def says_of_route(outcome: Receipt | SendFailed | OutcomeUnknown) -> str:
    """Return the result as it counts for the route: one sender id may be the only one at fault."""
    is_of_sender = isinstance(outcome, SendFailed) and outcome.of_sender
    return "sender" if is_of_sender else result_of(outcome)
