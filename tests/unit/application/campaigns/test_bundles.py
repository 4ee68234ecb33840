"""Bundles: started, submitted and recorded together, and never sent twice."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from semalink.application.bundles import BundleSubmitter, StartBundle
from semalink.application.bus import NotReady
from semalink.application.campaign_keeping import Scheduler
from semalink.application.campaign_pieces import PieceAcceptor
from semalink.application.campaign_sending import CampaignRef, CancelMessages
from semalink.application.opt_outs import RecordOptOuts
from semalink.application.ports import FailureClass, OutcomeUnknown, Receipt, SendFailed
from semalink.application.route_watch import RouteWatch
from semalink.application.submission import ExpireInQueue, Job, Policy, Wait
from semalink.application.together import Together
from semalink.domain.errors import MessageNotFound
from semalink.domain.message import Message
from semalink.domain.opt_out import OptOut, OptOutSource, OptOutSubject
from semalink.domain.routing import Routes
from semalink.domain.status import Status
from semalink_adapters.memory_aggregator import MemoryAggregator
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger

NO_ROUTE = SendFailed(
    FailureClass.ROUTE, provider_code="", detail="no", retryable=False, may_fail_over=True
)
BUSY = SendFailed(
    FailureClass.TRANSIENT, provider_code="", detail="", retryable=True, may_fail_over=False
)
OPTED_OUT = SendFailed(
    FailureClass.OPTED_OUT, provider_code="1", detail="", retryable=False, may_fail_over=False
)


class Bundle:
    """A campaign whose messages were dealt out."""

    def __init__(self, ref: CampaignRef, ids: list[UUID], ledger: MemoryLedger) -> None:
        self.ref, self.ids, self.ledger = ref, ids, ledger

    def statuses(self) -> list[Status]:
        return [self._message(each).status for each in self.ids]

    def _message(self, message_id: UUID) -> Message:
        found = self.ledger.load(Message, message_id)
        assert found is not None, "it was accepted"
        return found


@pytest.fixture
def deal(
    desk: Any,
    scheduler: Scheduler,
    acceptor: PieceAcceptor,
    ledger: MemoryLedger,
    account_id: UUID,
) -> Callable[..., Any]:
    async def of(count: int = 2, **facts: Any) -> Bundle:
        ref = desk.schedule(count, account_id=account_id, **facts)
        await scheduler.start_due()
        for task in desk.campaigns.tasks(ref.campaign_id):
            await acceptor.accept(task)
        ids = list(await desk.campaigns.held(ref.campaign_id, count))
        await desk.campaigns.dealt_out(ids)
        return Bundle(ref, ids, ledger)

    return of


async def test_submit_hands_all_over_in_one_call_and_charges_each(
    deal: Any, bundles: BundleSubmitter, celcom: MemoryAggregator, ledger: MemoryLedger
) -> None:
    bundle = await deal(3)

    await bundles.submit(bundle.ref, bundle.ids)

    assert bundle.statuses() == [Status.SUBMITTED] * 3
    assert len(celcom.submissions) == 3
    assert ledger.balance(bundle.ref.account_id).posted_micros == 10_000_000 - 2_400_000


async def test_submit_twice_sends_once(
    deal: Any, bundles: BundleSubmitter, celcom: MemoryAggregator
) -> None:
    bundle = await deal()

    await bundles.submit(bundle.ref, bundle.ids)
    await bundles.submit(bundle.ref, bundle.ids)

    assert len(celcom.submissions) == 2


async def test_submit_knows_nothing_of_messages_that_were_archived(
    deal: Any, bundles: BundleSubmitter, celcom: MemoryAggregator
) -> None:
    bundle = await deal(1)

    await bundles.submit(bundle.ref, [UUID(int=404), *bundle.ids])

    assert len(celcom.submissions) == 1


async def test_submit_tries_the_other_route_for_those_that_the_first_refused(
    deal: Any,
    bundles: BundleSubmitter,
    celcom: MemoryAggregator,
    africastalking: MemoryAggregator,
) -> None:
    celcom.outcomes.extend([NO_ROUTE, Receipt("celcom-2")])
    bundle = await deal()

    await bundles.submit(bundle.ref, bundle.ids)

    assert bundle.statuses() == [Status.SUBMITTED] * 2
    assert len(africastalking.submissions) == 1


async def test_submit_ends_what_every_route_refuses_and_charges_nothing(
    deal: Any,
    bundles: BundleSubmitter,
    celcom: MemoryAggregator,
    africastalking: MemoryAggregator,
    ledger: MemoryLedger,
) -> None:
    celcom.outcomes.append(NO_ROUTE)
    africastalking.outcomes.append(NO_ROUTE)
    bundle = await deal(1)

    await bundles.submit(bundle.ref, bundle.ids)

    assert bundle.statuses() == [Status.REJECTED]
    assert ledger.balance(bundle.ref.account_id).posted_micros == 10_000_000


async def test_submit_puts_off_what_may_be_taken_later(
    deal: Any, desk: Any, bundles: BundleSubmitter, celcom: MemoryAggregator
) -> None:
    celcom.outcomes.append(BUSY)
    bundle = await deal(1)

    await bundles.submit(bundle.ref, bundle.ids)

    assert desk.campaigns.states(bundle.ref.campaign_id) == ["postponed"]


async def test_submit_waits_for_reports_of_what_was_not_answered(
    deal: Any, desk: Any, bundles: BundleSubmitter, celcom: MemoryAggregator
) -> None:
    celcom.outcomes.append(OutcomeUnknown(answer="?"))
    bundle = await deal(1)

    await bundles.submit(bundle.ref, bundle.ids)

    assert desk.campaigns.states(bundle.ref.campaign_id) == ["unknown"]


async def test_submit_takes_a_call_without_end_for_unanswered(
    deal: Any,
    desk: Any,
    new_bundles: Callable[..., BundleSubmitter],
    celcom: MemoryAggregator,
) -> None:
    celcom.hangs = True
    bundle = await deal(2)

    await new_bundles(submit_seconds_max=0.01).submit(bundle.ref, bundle.ids)

    assert desk.campaigns.states(bundle.ref.campaign_id) == ["unknown", "unknown"]


@pytest.mark.parametrize(("move", "words"), [("pause", ["wait"]), ("cancel", ["mistake"])])
async def test_submit_holds_everything_of_a_campaign_that_was_halted(
    deal: Any,
    desk: Any,
    bundles: BundleSubmitter,
    celcom: MemoryAggregator,
    move: str,
    words: list[str],
) -> None:
    bundle = await deal()
    desk.move(bundle.ref, move, *words)

    await bundles.submit(bundle.ref, bundle.ids)

    assert celcom.submissions == []
    assert desk.campaigns.states(bundle.ref.campaign_id) == ["held", "held"]


@pytest.mark.parametrize(("move", "words"), [("pause", ["wait"]), ("cancel", ["mistake"])])
async def test_submit_gives_up_what_a_lost_worker_had_in_hand_when_it_was_halted(  # noqa: PLR0917
    deal: Any,
    desk: Any,
    bundles: BundleSubmitter,
    celcom: MemoryAggregator,
    clock: MemoryClock,
    start: Callable[..., Any],
    move: str,
    words: list[str],
) -> None:
    bundle = await deal()
    account_id = bundle.ref.account_id
    start(Job(bundle.ids[0], account_id, account_id, bundle.ref.campaign_id), request_id="job_x")
    desk.move(bundle.ref, move, *words)

    await bundles.submit(bundle.ref, bundle.ids)
    early = desk.campaigns.states(bundle.ref.campaign_id)
    clock.advance(seconds=25)
    await bundles.submit(bundle.ref, bundle.ids)

    assert early == ["postponed", "held"]
    assert desk.campaigns.states(bundle.ref.campaign_id) == ["unknown", "held"]
    assert celcom.submissions == []


async def test_submit_expires_what_is_overdue(
    deal: Any, bundles: BundleSubmitter, celcom: MemoryAggregator, clock: MemoryClock
) -> None:
    bundle = await deal(1)
    clock.advance(days=1)

    await bundles.submit(bundle.ref, bundle.ids)

    assert (bundle.statuses(), celcom.submissions) == ([Status.EXPIRED], [])


async def test_submit_rejects_who_opted_out_meanwhile(
    deal: Any, desk: Any, bundles: BundleSubmitter, celcom: MemoryAggregator, ledger: MemoryLedger
) -> None:
    bundle = await deal(1)
    subject = OptOutSubject(bundle.ref.account_id, "SEMA", "+254700000000")
    ledger.decide(RecordOptOuts((subject,), OptOutSource.API, "asked", desk.cause()))

    await bundles.submit(bundle.ref, bundle.ids)

    assert (bundle.statuses(), celcom.submissions) == ([Status.REJECTED], [])


async def test_submit_remembers_who_the_aggregator_says_opted_out(
    deal: Any, bundles: BundleSubmitter, celcom: MemoryAggregator, ledger: MemoryLedger
) -> None:
    celcom.outcomes.append(OPTED_OUT)
    bundle = await deal(1)

    await bundles.submit(bundle.ref, bundle.ids)

    assert bundle.statuses() == [Status.REJECTED]
    assert len(ledger.ids(OptOut)) == 1


async def test_submit_leaves_what_another_worker_has_in_hand_until_its_lease_ends(
    deal: Any,
    desk: Any,
    bundles: BundleSubmitter,
    celcom: MemoryAggregator,
    clock: MemoryClock,
    start: Callable[..., Any],
) -> None:
    bundle = await deal(1)
    account_id = bundle.ref.account_id
    start(Job(bundle.ids[0], account_id, account_id, bundle.ref.campaign_id), request_id="job_x")

    await bundles.submit(bundle.ref, bundle.ids)
    states = desk.campaigns.states(bundle.ref.campaign_id)
    clock.advance(seconds=25)
    await desk.campaigns.take_up_due()
    await desk.campaigns.dealt_out(bundle.ids)
    await bundles.submit(bundle.ref, bundle.ids)

    assert states == ["postponed"]
    assert celcom.submissions == []
    assert desk.campaigns.states(bundle.ref.campaign_id) == ["unknown"]


async def test_submit_is_not_ready_while_the_ledger_is_away(
    deal: Any, bundles: BundleSubmitter, celcom: MemoryAggregator, ledger: MemoryLedger
) -> None:
    bundle = await deal(1)
    ledger.is_available = False

    with pytest.raises(NotReady):
        await bundles.submit(bundle.ref, bundle.ids)

    assert celcom.submissions == []


async def test_submit_records_when_the_ledger_was_away_for_a_moment(
    deal: Any, bundles: BundleSubmitter, ledger: MemoryLedger
) -> None:
    bundle = await deal(1)
    ledger.outages.extend([False, True, False])

    await bundles.submit(bundle.ref, bundle.ids)

    assert bundle.statuses() == [Status.SUBMITTED]


async def test_submit_lets_one_message_try_a_route_that_rested(
    deal: Any,
    new_bundles: Callable[..., BundleSubmitter],
    rested: RouteWatch,
    celcom: MemoryAggregator,
    africastalking: MemoryAggregator,
) -> None:
    bundle = await deal(3)

    await new_bundles(watch=rested).submit(bundle.ref, bundle.ids)

    assert bundle.statuses() == [Status.SUBMITTED] * 3
    assert (len(celcom.submissions), len(africastalking.submissions)) == (1, 2)


async def test_submit_leaves_the_try_of_a_route_that_somebody_else_is_at(
    deal: Any,
    desk: Any,
    new_bundles: Callable[..., BundleSubmitter],
    rested: RouteWatch,
    clock: MemoryClock,
) -> None:
    bundle = await deal(1)

    async def wait(_: Job) -> Wait:
        return Wait(clock.now())

    await new_bundles(watch=rested, submit_one=wait).submit(bundle.ref, bundle.ids)

    assert desk.campaigns.states(bundle.ref.campaign_id) == ["postponed"]


async def test_submit_holds_what_went_through_too_many_routes(
    deal: Any,
    desk: Any,
    new_bundles: Callable[..., BundleSubmitter],
    celcom: MemoryAggregator,
    africastalking: MemoryAggregator,
) -> None:
    more = [MemoryAggregator(f"route{number}", [NO_ROUTE]) for number in range(3)]
    for each in (celcom, africastalking):
        each.outcomes.append(NO_ROUTE)
    bundle = await deal(1)

    await new_bundles(*more).submit(bundle.ref, bundle.ids)

    assert desk.campaigns.states(bundle.ref.campaign_id) == ["held"]
    assert more[-1].submissions == []


async def test_submit_that_is_cut_off_says_nothing_of_the_route(
    deal: Any, new_bundles: Callable[..., BundleSubmitter], celcom: MemoryAggregator
) -> None:
    celcom.hangs = True
    bundle = await deal(1)
    working = asyncio.create_task(new_bundles().submit(bundle.ref, bundle.ids))
    for _ in range(20):
        await asyncio.sleep(0)

    assert len(celcom.submissions) == 1
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working

    assert bundle.statuses() == [Status.ACCEPTED]


async def test_bundles_weigh_as_much_as_they_have_messages(
    deal: Any, desk: Any, ledger: MemoryLedger
) -> None:
    bundle = await deal(2)
    account_id = bundle.ref.account_id
    jobs = [Job(each, account_id, account_id, bundle.ref.campaign_id) for each in bundle.ids]
    expiring = [ExpireInQueue(job, desk.cause()) for job in jobs]
    start = StartBundle(bundle.ref.campaign_id, jobs, Routes(), Policy(), desk.cause())

    together = Together(expiring, desk.cause())
    cancel = CancelMessages(bundle.ref, bundle.ids, Policy(), desk.cause())

    assert [each.weight for each in (start, together, cancel)] == [2, 2, 2]


async def test_together_is_not_stopped_by_one_that_is_refused(
    deal: Any, desk: Any, ledger: MemoryLedger, clock: MemoryClock
) -> None:
    bundle = await deal(1)
    account_id = bundle.ref.account_id
    clock.advance(days=1)
    jobs = [
        Job(each, account_id, account_id, bundle.ref.campaign_id)
        for each in (UUID(int=404), bundle.ids[0])
    ]

    commands = [ExpireInQueue(job, desk.cause()) for job in jobs]
    outcomes = ledger.decide(Together(commands, desk.cause())).value

    assert isinstance(outcomes[0], MessageNotFound)
    assert bundle.statuses() == [Status.EXPIRED]
