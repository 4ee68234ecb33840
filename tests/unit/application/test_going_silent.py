import asyncio
from collections.abc import Callable, Sequence

from semalink.application.route_watch import RouteWatch
from semalink.application.submission import Job, Policy, Wait
from semalink.application.submitting import Submitter
from semalink.domain.message import Message
from semalink.domain.route import route_id
from semalink.domain.status import Status
from semalink_adapters.memory_aggregator import MemoryAggregator
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger

Accept = Callable[..., Job]
See = Callable[[Job], Message]


async def hang(
    submitter: Submitter, watch: RouteWatch, clock: MemoryClock, jobs: Sequence[Job]
) -> list[asyncio.Future[Wait | None]]:
    """Submit to an aggregator that hangs, until that shows."""
    submitting = [asyncio.ensure_future(submitter.submit(job)) for job in jobs]
    for _ in range(6):
        for _ in range(5):
            await asyncio.sleep(0)
        await watch.beat()
        clock.advance(seconds=1)
    await watch.beat()
    for _ in range(5):
        await asyncio.sleep(0)
    return submitting


async def test_submit_gives_its_place_to_others_and_still_takes_a_late_receipt(
    submitter: Submitter,
    watch: RouteWatch,
    accept: Accept,
    celcom: MemoryAggregator,
    clock: MemoryClock,
    see: See,
) -> None:
    celcom.hangs = True
    jobs, began_at = [accept() for _ in range(12)], clock.now()
    submitting = await hang(submitter, watch, clock, jobs)
    waits = [each.result() for each in submitting if each.done()]

    celcom.wake()
    await submitter.drain(5)

    assert waits == [Wait(began_at + Policy().lease)] * 12
    assert [see(job).status for job in jobs] == [Status.SUBMITTED] * 12
    assert all(see(job).reference for job in jobs)


async def test_submit_waits_in_its_place_when_as_many_are_waited_for_as_may(
    new_submitter: Callable[..., Submitter],
    watch: RouteWatch,
    accept: Accept,
    celcom: MemoryAggregator,
    clock: MemoryClock,
) -> None:
    celcom.hangs = True
    submitter = new_submitter(beside_max=7)
    submitting = await hang(submitter, watch, clock, [accept() for _ in range(10)])
    kept = [each for each in submitting if not each.done()]

    celcom.wake()
    await submitter.drain(5)
    results = await asyncio.gather(*kept)

    assert results == [None] * 3


async def test_drain_cuts_off_what_is_not_answered_in_time(
    submitter: Submitter,
    watch: RouteWatch,
    accept: Accept,
    celcom: MemoryAggregator,
    clock: MemoryClock,
    see: See,
) -> None:
    celcom.hangs = True
    jobs = [accept() for _ in range(10)]
    await hang(submitter, watch, clock, jobs)

    await submitter.drain(0)
    await submitter.drain(0)

    # Another worker finds the call lost after its lease.
    assert all(see(job).in_submission for job in jobs)


async def test_submit_waits_for_the_answer_of_a_probe_however_slow(
    submitter: Submitter,
    rested: RouteWatch,
    accepted: Job,
    celcom: MemoryAggregator,
    clock: MemoryClock,
    ledger: MemoryLedger,
) -> None:
    celcom.hangs = True
    [probing] = await hang(submitter, rested, clock, [accepted])
    waited = not probing.done()

    celcom.wake()
    await probing

    assert waited
    steps = [type(event).__name__ for event in ledger.events_of(route_id("celcom"))]
    assert steps[2:] == ["ProbeStarted", "ProbePassed"]
