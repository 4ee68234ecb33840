import asyncio
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from uuid import UUID

import pytest

from semalink.application.bus import NotReady
from semalink.application.ledger import LedgerUnavailable
from semalink.application.ports import FailureClass, OutcomeUnknown, Receipt, SendFailed
from semalink.application.route_watch import RouteWatch
from semalink.application.submission import Job, Next, Policy, Wait
from semalink.application.submitting import Submitter
from semalink.domain.draft import Lane, Mode
from semalink.domain.message import Message
from semalink.domain.status import Status
from semalink_adapters.memory_aggregator import MemoryAggregator
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_observer import MemorySubmitObserver

Accept = Callable[..., Job]
Do = Callable[..., Next]
See = Callable[[Job], Message]
Names = Callable[..., list[str]]

NO_ROUTE = SendFailed(
    FailureClass.ROUTE, provider_code="", detail="no", retryable=False, may_fail_over=True
)
NO_ANSWER = OutcomeUnknown("timed out")


@pytest.fixture
def celcom() -> MemoryAggregator:
    return MemoryAggregator("celcom")


@pytest.fixture
def africastalking() -> MemoryAggregator:
    return MemoryAggregator("africastalking")


@pytest.fixture
def observer() -> MemorySubmitObserver:
    return MemorySubmitObserver()


@pytest.fixture
def new_submitter(
    ledger: MemoryLedger,
    celcom: MemoryAggregator,
    africastalking: MemoryAggregator,
    new_watch: Callable[..., RouteWatch],
    clock: MemoryClock,
    observer: MemorySubmitObserver,
) -> Callable[..., Submitter]:
    numbers = count(100)

    def of(
        *more: MemoryAggregator, record_seconds_max: float = 10, submit_seconds_max: float = 10
    ) -> Submitter:
        aggregators = (celcom, africastalking, MemoryAggregator("sandbox"), *more)
        return Submitter(
            ledger,
            {aggregator.name: aggregator for aggregator in aggregators},
            new_watch("celcom", "africastalking", *(each.name for each in more)),
            policy=Policy(),
            now=clock.now,
            new_request_id=lambda: f"job_{next(numbers)}",
            observer=observer,
            record_seconds_max=record_seconds_max,
            submit_seconds_max=submit_seconds_max,
        )

    return of


@pytest.fixture
def submitter(new_submitter: Callable[..., Submitter]) -> Submitter:
    return new_submitter()


async def test_submit_hands_over_and_charges(
    submitter: Submitter, accepted: Job, celcom: MemoryAggregator, steps: Names, entries: Names
) -> None:
    wait = await submitter.submit(accepted)

    assert wait is None
    assert [each.message_id for each in celcom.submissions] == [accepted.message_id]
    assert steps(accepted) == ["SubmitStarted", "Submitted"]
    assert entries() == ["Reserved", "Charged"]


async def test_submit_calls_nobody_twice_for_a_message_that_left(
    submitter: Submitter, accepted: Job, celcom: MemoryAggregator
) -> None:
    await submitter.submit(accepted)

    wait = await submitter.submit(accepted)

    assert wait is None
    assert len(celcom.submissions) == 1


async def test_submit_fails_over(
    submitter: Submitter,
    accepted: Job,
    celcom: MemoryAggregator,
    africastalking: MemoryAggregator,
    see: See,
) -> None:
    celcom.outcomes.append(NO_ROUTE)

    await submitter.submit(accepted)

    assert len(africastalking.submissions) == 1
    assert see(accepted).status is Status.SUBMITTED
    assert see(accepted).aggregator == "africastalking"


async def test_submit_rejects_when_every_route_refused(
    submitter: Submitter,
    accepted: Job,
    celcom: MemoryAggregator,
    africastalking: MemoryAggregator,
    entries: Names,
) -> None:
    celcom.outcomes.append(NO_ROUTE)
    africastalking.outcomes.append(NO_ROUTE)

    wait = await submitter.submit(accepted)

    assert wait is None
    assert entries() == ["Reserved", "Released"]


async def test_submit_sends_a_normal_message_once_when_the_answer_was_lost(
    submitter: Submitter,
    accepted: Job,
    celcom: MemoryAggregator,
    africastalking: MemoryAggregator,
    see: See,
) -> None:
    celcom.outcomes.append(NO_ANSWER)

    await submitter.submit(accepted)
    await submitter.submit(accepted)

    assert len(celcom.submissions) == 1
    assert africastalking.submissions == []
    assert see(accepted).outcome_unknown


async def test_submit_sends_a_priority_message_once_more_and_says_so(
    submitter: Submitter,
    accept: Accept,
    celcom: MemoryAggregator,
    africastalking: MemoryAggregator,
    see: See,
) -> None:
    job = accept(lane=Lane.PRIORITY)
    celcom.outcomes.append(NO_ANSWER)
    africastalking.outcomes.append(NO_ANSWER)

    await submitter.submit(job)
    await submitter.submit(job)

    assert (len(celcom.submissions), len(africastalking.submissions)) == (1, 1)
    assert see(job).possible_duplicate


async def test_submit_expires_an_overdue_message_without_a_call(
    submitter: Submitter,
    accepted: Job,
    clock: MemoryClock,
    celcom: MemoryAggregator,
    see: See,
) -> None:
    clock.advance(hours=1)

    wait = await submitter.submit(accepted)

    assert wait is None
    assert celcom.submissions == []
    assert see(accepted).status is Status.EXPIRED


async def test_submit_waits_for_another_worker(
    submitter: Submitter, in_flight: Job, clock: MemoryClock, celcom: MemoryAggregator
) -> None:
    wait = await submitter.submit(in_flight)

    assert wait == Wait(clock.now() + timedelta(seconds=25))
    assert celcom.submissions == []


async def test_submit_uses_the_sandbox_alone_in_test_mode(
    submitter: Submitter, accept: Accept, celcom: MemoryAggregator, see: See, entries: Names
) -> None:
    job = accept(mode=Mode.TEST)

    await submitter.submit(job)

    assert see(job).aggregator == "sandbox"
    assert celcom.submissions == []
    assert entries() == []


async def test_submit_has_nothing_to_do_for_a_message_that_was_archived(
    submitter: Submitter, account_id: UUID
) -> None:
    wait = await submitter.submit(Job(UUID(int=404), account_id, account_id))

    assert wait is None


async def test_submit_hands_the_job_back_when_there_are_more_routes_than_it_tries(
    new_submitter: Callable[..., Submitter],
    accepted: Job,
    celcom: MemoryAggregator,
    africastalking: MemoryAggregator,
    clock: MemoryClock,
    see: See,
) -> None:
    more = [MemoryAggregator(name, [NO_ROUTE]) for name in ("third", "fourth")]
    last = MemoryAggregator("last")
    celcom.outcomes.append(NO_ROUTE)
    africastalking.outcomes.append(NO_ROUTE)
    submitter = new_submitter(*more, last)
    wait = await submitter.submit(accepted)

    last_wait = await submitter.submit(accepted)

    assert wait == Wait(clock.now())
    assert last_wait is None
    assert see(accepted).aggregator == "last"


async def test_submit_tells_the_observer_what_became_of_each_call(
    submitter: Submitter,
    accept: Accept,
    celcom: MemoryAggregator,
    africastalking: MemoryAggregator,
    clock: MemoryClock,
    observer: MemorySubmitObserver,
) -> None:
    jobs = [accept(), accept(lane=Lane.PRIORITY)]
    clock.advance(seconds=2)
    celcom.outcomes.extend([NO_ROUTE, NO_ANSWER])

    for job in jobs:
        await submitter.submit(job)

    assert [lane for lane, _ in observer.hand_overs] == ["normal"] * 2 + ["priority"] * 2
    assert {seconds for _, seconds in observer.hand_overs} == {2.0}
    assert [(name, result) for name, _, result in observer.submissions] == [
        ("celcom", "route"),
        ("africastalking", "accepted"),
        ("celcom", "unknown"),
        ("africastalking", "accepted"),
    ]


async def test_submit_is_not_ready_while_the_ledger_is_away(
    new_submitter: Callable[..., Submitter],
    accepted: Job,
    ledger: MemoryLedger,
    celcom: MemoryAggregator,
) -> None:
    ledger.is_available = False

    with pytest.raises(NotReady) as away:
        await new_submitter(record_seconds_max=0).submit(accepted)

    assert isinstance(away.value.__cause__, LedgerUnavailable)
    assert celcom.submissions == []


async def test_submit_calls_once_when_the_answer_of_the_ledger_was_in_doubt(
    new_submitter: Callable[..., Submitter],
    accepted: Job,
    ledger: MemoryLedger,
    celcom: MemoryAggregator,
    clock: MemoryClock,
    see: See,
) -> None:
    ledger.loses_next_answer = True
    ledger.outages.extend([False, True])
    with pytest.raises(NotReady):
        await new_submitter(record_seconds_max=0).submit(accepted)
    submitter = new_submitter()

    early = await submitter.submit(accepted)
    clock.advance(seconds=25)
    late = await submitter.submit(accepted)

    assert isinstance(early, Wait)
    assert late is None
    assert celcom.submissions == []
    assert see(accepted).outcome_unknown


async def test_submit_records_the_receipt_when_the_ledger_comes_back(
    submitter: Submitter,
    accepted: Job,
    ledger: MemoryLedger,
    celcom: MemoryAggregator,
    observer: MemorySubmitObserver,
    see: See,
) -> None:
    ledger.outages.extend([False, True])
    celcom.outcomes.append(Receipt("c-1", "63902", "KES 0.80"))

    await submitter.submit(accepted)

    assert see(accepted).reference == "c-1"
    assert see(accepted).charged_micros == 800_000
    assert len(celcom.submissions) == 1


async def test_submit_goes_on_when_an_answer_of_the_ledger_is_lost(
    submitter: Submitter, accepted: Job, ledger: MemoryLedger, celcom: MemoryAggregator, see: See
) -> None:
    ledger.loses_next_answer = True

    await submitter.submit(accepted)

    assert len(celcom.submissions) == 1
    assert see(accepted).status is Status.SUBMITTED


async def test_submit_takes_the_answer_for_lost_when_none_comes_in_time(
    new_submitter: Callable[..., Submitter], accepted: Job, celcom: MemoryAggregator, see: See
) -> None:
    celcom.hangs = True

    await new_submitter(submit_seconds_max=0.01).submit(accepted)

    assert len(celcom.submissions) == 1
    assert see(accepted).outcome_unknown


async def test_submit_sends_nothing_late_when_the_ledger_comes_back_after_the_time_to_live(
    submitter: Submitter,
    accepted: Job,
    ledger: MemoryLedger,
    celcom: MemoryAggregator,
    clock: MemoryClock,
    see: See,
) -> None:
    ledger.is_available = False
    waiting = asyncio.ensure_future(submitter.submit(accepted))
    await asyncio.sleep(0)
    clock.advance(hours=2)
    ledger.is_available = True

    await waiting

    assert celcom.submissions == []
    assert see(accepted).status is Status.EXPIRED
