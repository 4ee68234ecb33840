from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

import pytest

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.fitting import FittingWindow
from semalink.application.outbox import PendingJob
from semalink.application.sharing_out import CROWD_SHARES, DEAL_MAX, Shares
from semalink.application.submission import ExpireInQueue, Job, Next
from semalink.domain.account import Account, Kind, Tier
from semalink.domain.cause import Cause
from semalink.domain.draft import Lane
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_outbox import MemoryOutbox
from semalink_adapters.memory_reports import MemoryReports
from semalink_adapters.memory_turns import MemoryTurns

SHARE = 4
LATE = datetime(2027, 1, 1, tzinfo=UTC)
CROWD, SMALL, OTHER = UUID(int=1), UUID(int=2), UUID(int=3)

Send = Callable[..., list[PendingJob]]


@pytest.fixture
def outbox(ledger: MemoryLedger, clock: MemoryClock, new_id: Callable[[], UUID]) -> MemoryOutbox:
    reports = MemoryReports(ledger, now=clock.now, new_id=new_id)
    return MemoryOutbox(ledger, reports, now=clock.now)


@pytest.fixture
def turns(ledger: MemoryLedger, outbox: MemoryOutbox, clock: MemoryClock) -> MemoryTurns:
    return MemoryTurns(ledger, outbox, now=clock.now)


@pytest.fixture
def shares(turns: MemoryTurns) -> Shares:
    return Shares(turns, FittingWindow(SHARE, now=lambda: 0.0))


@pytest.fixture
def send(accept: Callable[..., Job], ledger: MemoryLedger, cause: Callable[..., Cause]) -> Send:
    def by(account_id: UUID, count: int, lane: Lane = Lane.NORMAL) -> list[PendingJob]:
        if ledger.load(Account, account_id) is None:
            opening = OpenAccount(account_id, "Duka", Kind.DIRECT, Tier.STARTER, cause())
            ledger.decide(opening)
            ledger.decide(TopUp(account_id, 1_000, f"payment-{account_id}", cause()))
        whose = {"account_id": account_id, "billing_account_id": account_id}
        jobs = [accept(**whose, lane=lane, price_micros=1) for _ in range(count)]
        return [PendingJob(job, str(lane), 0) for job in jobs]

    return by


@pytest.fixture
def work_off(
    start: Callable[..., Next], take: Callable[..., Next]
) -> Callable[[Sequence[PendingJob]], None]:
    def those(jobs: Sequence[PendingJob]) -> None:
        for pending in jobs:
            start(pending.job)
            take(pending.job)

    return those


def states(ledger: MemoryLedger, jobs: Sequence[PendingJob]) -> list[str]:
    pending = ledger.pending()
    return [pending[one.job.message_id].state for one in jobs if one.job.message_id in pending]


def whose(jobs: Sequence[PendingJob]) -> list[UUID]:
    return [pending.job.account_id for pending in jobs]


async def test_admit_lets_in_all_of_an_account_within_its_share(
    shares: Shares, send: Send, ledger: MemoryLedger
) -> None:
    jobs = send(CROWD, SHARE)

    entering = await shares.admit(jobs)

    assert entering == jobs
    assert set(states(ledger, jobs)) == {"queued"}
    assert (shares.waiting_accounts, shares.share) == (0, SHARE)


async def test_admit_makes_wait_what_is_beyond_the_share(
    shares: Shares, send: Send, ledger: MemoryLedger
) -> None:
    jobs = send(CROWD, SHARE + 2)

    entering = await shares.admit(jobs)

    assert entering == jobs[:SHARE]
    assert states(ledger, jobs) == ["queued"] * SHARE + ["waiting"] * 2
    assert shares.waiting_accounts == 1


async def test_admit_lets_in_another_account_at_once_while_one_waits(
    shares: Shares, send: Send
) -> None:
    await shares.admit(send(CROWD, SHARE + 2))
    small = send(SMALL, 2)

    entering = await shares.admit(small)

    assert entering == small


async def test_admit_lets_in_what_is_urgent_whatever_waits(shares: Shares, send: Send) -> None:
    await shares.admit(send(CROWD, SHARE + 2))
    urgent = send(CROWD, SHARE + 2, Lane.PRIORITY)

    entering = await shares.admit(urgent)

    assert entering == urgent


async def test_admit_lets_in_more_when_others_of_the_account_have_left(
    shares: Shares, send: Send, work_off: Callable[[Sequence[PendingJob]], None]
) -> None:
    first = send(CROWD, SHARE)
    await shares.admit(first)
    work_off(first[:2])
    more = send(CROWD, 3)

    entering = await shares.admit(more)

    assert entering == more[:2]


async def test_admit_keeps_the_order_of_an_account_that_has_messages_waiting(
    shares: Shares, send: Send, work_off: Callable[[Sequence[PendingJob]], None]
) -> None:
    first = send(CROWD, SHARE + 1)
    await shares.admit(first)
    work_off(first[:SHARE])
    later = send(CROWD, 1)

    entering = await shares.admit(later)
    dealt = await shares.next_turns()

    assert entering == []
    assert dealt == [first[-1], *later]


async def test_admit_lets_in_again_what_is_read_again(
    shares: Shares, send: Send, ledger: MemoryLedger
) -> None:
    jobs = send(CROWD, SHARE + 1)
    await shares.admit(jobs)

    again = await shares.admit(jobs)

    assert again == jobs[:SHARE]
    assert states(ledger, jobs) == ["queued"] * SHARE + ["waiting"]


async def test_admit_makes_everybody_take_turns_in_a_crowd(
    shares: Shares, send: Send, work_off: Callable[[Sequence[PendingJob]], None]
) -> None:
    crowd = [send(UUID(int=100 + number), SHARE) for number in range(CROWD_SHARES)]
    for jobs in crowd:
        await shares.admit(jobs)
    small = send(SMALL, 1)

    entering = await shares.admit(small)
    dealt = await shares.next_turns()
    await shares.dealt_out(dealt)
    work_off(crowd[0])
    after = await shares.admit(send(OTHER, SHARE))

    assert entering == []
    assert dealt == small
    assert len(after) == SHARE - 1


async def test_next_turns_deals_nothing_when_nobody_waits(shares: Shares, send: Send) -> None:
    await shares.admit(send(SMALL, 1))

    dealt = await shares.next_turns()

    assert dealt == ()


async def test_next_turns_waits_until_there_is_room(
    shares: Shares,
    send: Send,
    ledger: MemoryLedger,
    work_off: Callable[[Sequence[PendingJob]], None],
) -> None:
    jobs = send(CROWD, SHARE + 3)
    await shares.admit(jobs)
    full = await shares.next_turns()
    work_off(jobs[:2])

    dealt = await shares.next_turns()
    await shares.dealt_out(dealt)

    assert full == ()
    assert dealt == jobs[SHARE : SHARE + 2]
    assert states(ledger, jobs) == ["queued"] * SHARE + ["waiting"]


async def test_next_turns_takes_one_of_each_account_after_another(
    shares: Shares, send: Send, work_off: Callable[[Sequence[PendingJob]], None]
) -> None:
    first = send(CROWD, SHARE + 5)
    second = send(OTHER, SHARE + 1)
    await shares.admit([*first, *second])
    work_off([*first[:SHARE], *second[:SHARE]])

    dealt = await shares.next_turns()
    await shares.dealt_out(dealt)

    assert whose(dealt) == [CROWD, OTHER, CROWD]
    assert shares.waiting_accounts == 1


async def test_next_turns_serves_first_who_has_the_fewest_in_the_queue(
    shares: Shares, send: Send, work_off: Callable[[Sequence[PendingJob]], None]
) -> None:
    first = send(CROWD, SHARE + 5)
    second = send(OTHER, SHARE + 5)
    await shares.admit([*first, *second])
    work_off([*first[:2], *second[:SHARE]])

    dealt = await shares.next_turns()

    assert whose(dealt) == [OTHER, OTHER]


async def test_next_turns_serves_everybody_when_more_wait_than_there_is_room(
    shares: Shares, send: Send, work_off: Callable[[Sequence[PendingJob]], None]
) -> None:
    accounts = [UUID(int=100 + number) for number in range(SHARE + 2)]
    shares_of_each = [send(account_id, SHARE + 2) for account_id in accounts]
    for jobs in shares_of_each:
        await shares.admit(jobs)
        work_off(jobs[:SHARE])

    first = await shares.next_turns()
    await shares.dealt_out(first)
    work_off(first)
    second = await shares.next_turns()

    assert whose(first) == accounts[:SHARE]
    assert whose(second)[:2] == accounts[SHARE:]


async def test_next_turns_deals_a_few_at_a_time(turns: MemoryTurns, send: Send) -> None:
    window = FittingWindow(DEAL_MAX * 2, now=lambda: 0.0, fewest=DEAL_MAX * 2)
    many = Shares(turns, window)
    jobs = send(CROWD, DEAL_MAX + 1)
    await turns.hold([pending.job.message_id for pending in jobs])

    dealt = await many.next_turns()

    assert dealt == jobs[:DEAL_MAX]


async def test_next_turns_deals_again_what_the_broker_did_not_take(
    shares: Shares, send: Send, work_off: Callable[[Sequence[PendingJob]], None]
) -> None:
    jobs = send(CROWD, SHARE + 1)
    await shares.admit(jobs)
    work_off(jobs[:SHARE])
    refused = await shares.next_turns()
    later = send(CROWD, 1)

    entering = await shares.admit(later)
    again = await shares.next_turns()

    assert entering == []
    assert refused == jobs[SHARE:]
    assert again == [*refused, *later]


async def test_next_turns_forgets_an_account_of_which_nothing_waits_any_more(
    shares: Shares, send: Send, work_off: Callable[..., None], ledger: MemoryLedger
) -> None:
    jobs = send(CROWD, SHARE + 1)
    await shares.admit(jobs)
    work_off(jobs[:SHARE])
    ledger.decide(ExpireInQueue(jobs[SHARE].job, Cause("worker:sms", LATE, "req_2")))

    dealt = await shares.next_turns()

    assert (dealt, shares.waiting_accounts) == ([], 0)


async def test_admit_counts_what_a_relay_before_left_in_the_queue(
    turns: MemoryTurns, outbox: MemoryOutbox, send: Send
) -> None:
    send(CROWD, SHARE)
    page = await outbox.next_jobs(100)
    assert page.end is not None
    await outbox.jobs_published(page.end)
    fresh = send(CROWD, 1)

    entering = await Shares(turns, FittingWindow(SHARE, now=lambda: 0.0)).admit(fresh)

    assert entering == []


async def test_look_again_counts_nothing_that_the_broker_lost(
    shares: Shares, send: Send, ledger: MemoryLedger
) -> None:
    lost = send(CROWD, SHARE)
    await shares.admit(lost)

    await shares.look_again(lost=True)
    entering = await shares.admit(lost)

    assert entering == lost
    assert set(states(ledger, lost)) == {"queued"}
