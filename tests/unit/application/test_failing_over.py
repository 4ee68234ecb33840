import asyncio
from collections.abc import Callable
from uuid import UUID

import pytest

from semalink.application.ports import FailureClass, OutcomeUnknown, SendFailed
from semalink.application.route_watch import RouteWatch
from semalink.application.routes import OverrideRoute, TripRoute
from semalink.application.submission import Job, Policy, Ready, StartSubmission, Wait
from semalink.application.submitting import Submitter
from semalink.domain import message_steps
from semalink.domain.cause import Cause
from semalink.domain.draft import Lane
from semalink.domain.message import Message
from semalink.domain.route import Route, route_id
from semalink.domain.route_health import EVERY_NETWORK, Diagnosis, Figures, TripCause
from semalink.domain.routing import Board, Circuit, RouteMode, Routes, RouteStanding
from semalink.domain.status import Status
from semalink_adapters.memory_aggregator import MemoryAggregator
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger

Accept = Callable[..., Job]
See = Callable[[Job], Message]
Causes = Callable[..., Cause]

OUTAGE = Diagnosis(EVERY_NETWORK, TripCause.OUTAGE, Figures(10, 10, 10))
DOWN = SendFailed(
    FailureClass.TRANSIENT, provider_code="500", detail="", retryable=True, may_fail_over=True
)

NO_SUCH_SENDER = SendFailed(
    FailureClass.CONFIGURATION,
    provider_code="1001",
    detail="",
    retryable=False,
    may_fail_over=True,
    of_sender=True,
)


def choices(ledger: MemoryLedger, job: Job) -> list[tuple[str, str]]:
    return [
        (step.aggregator, step.reason)
        for step in ledger.events_of(job.message_id)
        if isinstance(step, message_steps.SubmitStarted)
    ]


def probes(ledger: MemoryLedger) -> list[str]:
    return [type(event).__name__ for event in ledger.events_of(route_id("celcom"))][2:]


async def test_submit_leaves_a_route_that_fails_and_says_why(
    submitter: Submitter,
    watch: RouteWatch,
    accept: Accept,
    celcom: MemoryAggregator,
    ledger: MemoryLedger,
) -> None:
    celcom.outcomes.extend([DOWN] * 10)
    for _ in range(10):
        await submitter.submit(accept())
    await watch.beat()
    job = accept()

    await submitter.submit(job)

    assert choices(ledger, job) == [("africastalking", "failed_over")]
    started = ledger.events_of(job.message_id)[1]
    assert isinstance(started, message_steps.SubmitStarted)
    assert started.health == {
        "celcom": {"state": "open", "attempts": 10, "errors": 10},
        "africastalking": {"state": "closed", "attempts": 10, "errors": 0},
    }


async def test_submit_stays_with_a_route_that_does_not_know_one_sender_id(
    submitter: Submitter,
    watch: RouteWatch,
    accept: Accept,
    celcom: MemoryAggregator,
    ledger: MemoryLedger,
) -> None:
    celcom.outcomes.extend([NO_SUCH_SENDER] * 10)
    for _ in range(10):
        await submitter.submit(accept())
    await watch.beat()
    job = accept()

    await submitter.submit(job)

    assert choices(ledger, job) == [("celcom", "default")]
    assert watch.board.standings["celcom"].figures == Figures(10, 0, 0)


async def test_submit_tries_a_route_that_rested_with_one_message_after_another(
    submitter: Submitter, rested: RouteWatch, accept: Accept, ledger: MemoryLedger
) -> None:
    jobs = [accept() for _ in range(4)]

    for job in jobs:
        await submitter.submit(job)
        await rested.beat()

    assert [choices(ledger, job) for job in jobs] == [[("celcom", "probe")]] * 3 + [
        [("celcom", "default")]
    ]
    assert probes(ledger) == ["ProbeStarted", "ProbePassed"] * 3 + ["Recovered"]


async def test_submit_sends_the_message_of_a_failed_probe_on_the_other_route(
    submitter: Submitter,
    rested: RouteWatch,
    accepted: Job,
    celcom: MemoryAggregator,
    ledger: MemoryLedger,
) -> None:
    celcom.outcomes.append(DOWN)

    await submitter.submit(accepted)

    assert choices(ledger, accepted) == [("celcom", "probe"), ("africastalking", "next_route")]
    assert probes(ledger) == ["ProbeStarted", "ProbeFailed"]


async def test_submit_ends_a_probe_by_its_lease_when_the_ledger_is_away(
    submitter: Submitter, rested: RouteWatch, accepted: Job, ledger: MemoryLedger
) -> None:
    # Started, charged, and then away.
    ledger.outages.extend([False, False, True])

    await submitter.submit(accepted)

    assert probes(ledger) == ["ProbeStarted"]


def test_start_probes_with_one_of_two_messages_that_ask_at_once(
    accept: Accept, ledger: MemoryLedger, clock: MemoryClock, cause: Causes
) -> None:
    ledger.decide(TripRoute("celcom", OUTAGE, cause()))
    clock.advance(seconds=15)
    board = _due(clock)
    starts = [
        StartSubmission(accept(), Routes(board), Policy(), cause(f"job_{number}"))
        for number in range(2)
    ]

    first, second = [answer.value for answer in ledger.decide_together(starts)]

    assert isinstance(first, Ready)
    assert isinstance(second, Ready)
    assert (first.aggregator, first.probes) == ("celcom", EVERY_NETWORK)
    assert (second.aggregator, second.probes) == ("africastalking", None)


def test_start_probes_nothing_when_the_route_was_never_recorded(
    accepted: Job, ledger: MemoryLedger, clock: MemoryClock, cause: Causes
) -> None:
    ready = ledger.decide(StartSubmission(accepted, Routes(_due(clock)), Policy(), cause())).value

    assert isinstance(ready, Ready)
    assert (ready.aggregator, ready.probes) == ("africastalking", None)


def _due(clock: MemoryClock) -> Board:
    circuit = Circuit(since=clock.now(), probe_at=clock.now())
    rested = RouteStanding(circuits={EVERY_NETWORK: circuit})
    return Board({"celcom": rested, "africastalking": RouteStanding()})


async def test_submit_puts_a_message_off_while_every_route_is_switched_off(
    *,
    submitter: Submitter,
    watch: RouteWatch,
    accepted: Job,
    ledger: MemoryLedger,
    clock: MemoryClock,
    cause: Causes,
    see: See,
) -> None:
    for route in ("celcom", "africastalking"):
        ledger.decide(OverrideRoute(route, RouteMode.DISABLE, "maintenance", None, cause()))
    await watch.beat()

    put_off = await submitter.submit(accepted)
    early = await submitter.submit(accepted)
    ledger.decide(OverrideRoute("celcom", RouteMode.AUTO, "done", None, cause()))
    await watch.beat()
    clock.advance(seconds=5)
    done = await submitter.submit(accepted)

    # Its job is done with: the work list offers it again.
    assert (put_off, early, done) == (None, Wait(clock.now()), None)
    assert see(accepted).aggregator == "celcom"


@pytest.fixture
async def silenced(
    watch: RouteWatch, ledger: MemoryLedger, africastalking: MemoryAggregator, cause: Causes
) -> RouteWatch:
    """The watch, after Celcom tripped, and Africa's Talking does not know the sender id."""
    ledger.decide(TripRoute("celcom", OUTAGE, cause()))
    await watch.beat()
    africastalking.outcomes.append(NO_SUCH_SENDER)
    return watch


async def test_submit_puts_a_message_off_when_only_a_route_that_rests_may_take_it(
    *,
    submitter: Submitter,
    silenced: RouteWatch,
    accepted: Job,
    celcom: MemoryAggregator,
    clock: MemoryClock,
    ledger: MemoryLedger,
    see: See,
) -> None:
    wait = await submitter.submit(accepted)
    submissions, retry_at = len(celcom.submissions), see(accepted).retry_at
    clock.advance(seconds=15)
    await silenced.beat()
    await submitter.submit(accepted)

    assert wait is None
    assert (submissions, retry_at) == (0, clock.now())
    assert choices(ledger, accepted) == [("africastalking", "failed_over"), ("celcom", "probe")]
    assert see(accepted).status is Status.SUBMITTED


async def test_submit_puts_a_message_off_when_another_one_tries_the_route_that_rested(
    *,
    submitter: Submitter,
    silenced: RouteWatch,
    accepted: Job,
    africastalking: MemoryAggregator,
    celcom: MemoryAggregator,
    clock: MemoryClock,
    ledger: MemoryLedger,
    see: See,
    cause: Causes,
) -> None:
    clock.advance(seconds=15)
    await silenced.beat()
    route = ledger.load(Route, route_id("celcom"))
    assert route is not None
    route.start_probe(EVERY_NETWORK, UUID(int=1), cause())
    ledger.streams[Route][route.id] += route.collect_events()

    await submitter.submit(accepted)

    assert choices(ledger, accepted) == [("africastalking", "failed_over")]
    assert celcom.submissions == []
    assert see(accepted).postponed == 1
    assert isinstance(ledger.events_of(accepted.message_id)[-1], message_steps.PutOff)


async def test_submit_of_a_lost_answer_waits_for_its_report_when_the_rest_is_switched_off(
    submitter: Submitter,
    watch: RouteWatch,
    accept: Accept,
    celcom: MemoryAggregator,
    ledger: MemoryLedger,
    cause: Causes,
) -> None:
    job = accept(lane=Lane.PRIORITY)
    ledger.decide(OverrideRoute("africastalking", RouteMode.DISABLE, "", None, cause()))
    await watch.beat()
    celcom.outcomes.append(OutcomeUnknown("timed out"))

    wait = await submitter.submit(job)

    assert wait is None
    assert len(celcom.submissions) == 1


async def test_submit_that_is_cut_off_says_nothing_of_the_route(
    submitter: Submitter, watch: RouteWatch, accepted: Job, celcom: MemoryAggregator
) -> None:
    celcom.hangs = True
    submitting = asyncio.ensure_future(submitter.submit(accepted))
    for _ in range(10):
        await asyncio.sleep(0)

    submitting.cancel()
    await asyncio.wait([submitting])
    await watch.beat()

    assert watch.board.standings["celcom"].figures == Figures()
