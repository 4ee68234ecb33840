import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from semalink.application.choosing import MayProbe
from semalink.application.ledger import Needs
from semalink.application.ports import FailureClass, OutcomeUnknown, SendFailed
from semalink.application.route_watch import RouteWatch
from semalink.application.routes import OverrideRoute, TripRoute
from semalink.application.submission import Job, Policy, Ready, RecordRefusal, StartSubmission, Wait
from semalink.application.submitting import Submitter
from semalink.domain import message_steps
from semalink.domain.cause import Cause
from semalink.domain.draft import Lane
from semalink.domain.message import Message
from semalink.domain.route import route_id
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
    # Asked, started, charged, and then away.
    ledger.outages.extend([False, False, False, True])

    await submitter.submit(accepted)

    assert probes(ledger) == ["ProbeStarted"]


def test_start_probes_with_one_of_two_messages_that_ask_at_once(
    accept: Accept, ledger: MemoryLedger, clock: MemoryClock, cause: Causes
) -> None:
    ledger.decide(TripRoute("celcom", OUTAGE, cause()))
    clock.advance(seconds=15)
    board = _due(clock)
    starts = [
        StartSubmission(accept(), Routes(board), Policy(), cause(f"job_{number}"), "celcom")
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
    start = StartSubmission(accepted, Routes(_due(clock)), Policy(), cause(), "celcom")
    ready = ledger.decide(start).value

    assert isinstance(ready, Ready)
    assert (ready.aggregator, ready.probes) == ("africastalking", None)


@pytest.mark.parametrize("mode", [RouteMode.DISABLE, RouteMode.ENABLE, RouteMode.PREFER])
def test_start_reads_no_history_of_a_route_that_it_cannot_probe(
    accepted: Job, ledger: MemoryLedger, clock: MemoryClock, cause: Causes, mode: RouteMode
) -> None:
    board = _due(clock)
    standings = {**board.standings, "celcom": replace(board.standings["celcom"], mode=mode)}

    start = StartSubmission(
        accepted, Routes(replace(board, standings=standings)), Policy(), cause()
    )
    needs = Needs()
    start.needs(needs)

    assert needs.settings == set()
    assert isinstance(ledger.decide(start).value, Ready)


def test_start_asks_for_the_route_that_it_would_probe(
    accepted: Job, ledger: MemoryLedger, clock: MemoryClock, cause: Causes
) -> None:
    start = StartSubmission(accepted, Routes(_due(clock)), Policy(), cause())

    assert ledger.decide(start).value == MayProbe("celcom", EVERY_NETWORK)
    assert len(ledger.events_of(accepted.message_id)) == 1


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


def test_start_puts_a_message_off_when_the_route_that_is_left_went_out_of_use_meanwhile(
    accepted: Job, ledger: MemoryLedger, clock: MemoryClock, cause: Causes, see: See
) -> None:
    circuit = Circuit(since=clock.now(), probe_at=clock.now() + timedelta(seconds=40))
    resting = RouteStanding(circuits={EVERY_NETWORK: circuit})
    routes = Routes(Board({"celcom": resting, "africastalking": RouteStanding()}))
    ledger.decide(StartSubmission(accepted, routes, Policy(), cause("job_1")))
    ledger.decide(RecordRefusal(accepted, 1, NO_SUCH_SENDER, None, Policy(), cause()))

    ledger.decide(StartSubmission(accepted, routes, Policy(), cause("job_2")))

    last = ledger.events_of(accepted.message_id)[-1]
    assert isinstance(last, message_steps.PutOff)
    assert (last.reason, last.retry_at) == ("routes_rest", circuit.probe_at)
    assert see(accepted).postponed == 1


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
