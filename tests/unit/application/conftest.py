"""A prepaid account beside a ledger in memory, and one-line ways to work with both."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.delivery_reports import RecordReport
from semalink.application.ports import (
    DeliveryReport,
    FailureClass,
    Receipt,
    ReportState,
    SendFailed,
)
from semalink.application.route_watch import RouteWatch
from semalink.application.routes import TripRoute
from semalink.application.sending import AcceptMessage
from semalink.application.submission import (
    ConcludeUnknown,
    ExpireInQueue,
    Job,
    Next,
    Policy,
    RecordReceipt,
    RecordRefusal,
    RecordUnknownOutcome,
    StartSubmission,
)
from semalink.application.submitting import Submitter
from semalink.domain.account import Kind, Tier
from semalink.domain.cause import Cause
from semalink.domain.draft import Draft, Lane, Mode
from semalink.domain.message import Message
from semalink.domain.route_health import EVERY_NETWORK, Diagnosis, Figures, TripCause
from semalink.domain.routing import DEFAULT_ORDER, Board, Routes, Wish
from semalink.domain.status import Status
from semalink_adapters.memory_aggregator import MemoryAggregator
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_observer import MemorySubmitObserver
from semalink_adapters.memory_routes import MemoryRoutes

ACCOUNT_ID = UUID(int=0xACC0)
CREDITS_MICROS = 10_000_000


@pytest.fixture
def clock() -> MemoryClock:
    """A clock that the test moves on."""
    return MemoryClock(datetime(2026, 11, 23, 9, tzinfo=UTC))


@pytest.fixture
def account_id() -> UUID:
    """The account that sends and pays."""
    return ACCOUNT_ID


@pytest.fixture
def new_id() -> Callable[[], UUID]:
    """Ids that grow."""
    numbers = count(1)
    return lambda: UUID(int=next(numbers))


@pytest.fixture
def cause(clock: MemoryClock) -> Callable[..., Cause]:
    """Causes of this moment."""

    def of(request_id: str = "job_1") -> Cause:
        return Cause("worker:sms", clock.now(), request_id)

    return of


@pytest.fixture
def ledger(clock: MemoryClock) -> MemoryLedger:
    """A ledger with one account that holds ten credits."""
    opened = MemoryLedger()
    operator = Cause("operator:1", clock.now(), "req_0")
    opened.decide(OpenAccount(ACCOUNT_ID, "Duka", Kind.DIRECT, Tier.STARTER, operator))
    opened.decide(TopUp(ACCOUNT_ID, CREDITS_MICROS, "payment-0", operator))
    return opened


@pytest.fixture
def book(ledger: MemoryLedger) -> MemoryRoutes:
    """What workers tell one another of routes."""
    return MemoryRoutes(ledger)


@pytest.fixture
def new_watch(
    ledger: MemoryLedger, book: MemoryRoutes, clock: MemoryClock
) -> Callable[..., RouteWatch]:
    """Makes the eye of one worker on these routes."""
    numbers = count(1)

    def of(
        *order: str, dedicated: Sequence[str] = (), trips: list[str] | None = None
    ) -> RouteWatch:
        return RouteWatch(
            book,
            ledger,
            wish_of=book.wish_of,
            order=order or DEFAULT_ORDER,
            dedicated=dedicated,
            now=clock.now,
            new_request_id=lambda: f"job_watch_{next(numbers)}",
            on_trip=lambda route, _: None if trips is None else trips.append(route),
        )

    return of


@pytest.fixture
def draft(clock: MemoryClock) -> Draft:
    """A message at the price of 0.80 credits, valid for an hour."""
    return Draft(
        account_id=ACCOUNT_ID,
        billing_account_id=ACCOUNT_ID,
        mode=Mode.LIVE,
        to="+254712345678",
        country="KE",
        network="safaricom",
        text="Karibu",
        sender="SEMA",
        lane=Lane.NORMAL,
        encoding="gsm-7",
        segments=1,
        price_micros=800_000,
        expires_at=clock.now() + timedelta(hours=1),
        metadata={},
    )


@pytest.fixture
def accept(
    ledger: MemoryLedger, cause: Callable[..., Cause], draft: Draft, new_id: Callable[[], UUID]
) -> Callable[..., Job]:
    """Accepts a message that differs from the draft as said, and returns its job."""

    def by(**changes: Any) -> Job:
        asked = replace(draft, **changes)
        command = AcceptMessage(new_id(), asked.billing_account_id, asked, cause("req_1"), None)
        ledger.decide(command)
        return Job(command.message_id, asked.account_id, asked.billing_account_id)

    return by


@pytest.fixture
def start(ledger: MemoryLedger, cause: Callable[..., Cause]) -> Callable[..., Next]:
    """Starts a submission."""

    def of(
        job: Job,
        *,
        preferred: str | None = None,
        request_id: str = "job_1",
        policy: Policy | None = None,
    ) -> Next:
        used = policy or Policy()
        routes = Routes(Board.untold(used.order), Wish(preferred=preferred))
        command = StartSubmission(job, routes, used, cause(request_id))
        return ledger.decide(command).value

    return of


@pytest.fixture
def take(ledger: MemoryLedger, cause: Callable[..., Cause]) -> Callable[..., Next]:
    """Records that an aggregator took the message."""

    def of(job: Job, *, attempt: int = 1, aggregator: str = "celcom") -> Next:
        receipt = Receipt(f"{aggregator}-{job.message_id.int}-{attempt}")
        return ledger.decide(RecordReceipt(job, attempt, aggregator, receipt, cause())).value

    return of


@pytest.fixture
def refuse(ledger: MemoryLedger, cause: Callable[..., Cause]) -> Callable[..., Next]:
    """Records that an aggregator refused the message."""

    def of(
        job: Job,
        *,
        attempt: int = 1,
        failure: FailureClass = FailureClass.ROUTE,
        retryable: bool = False,
        may_fail_over: bool = True,
        preferred: str | None = None,
    ) -> Next:
        refusal = SendFailed(
            failure,
            provider_code="",
            detail="no",
            retryable=retryable,
            may_fail_over=may_fail_over,
        )
        routes = Routes(wish=Wish(preferred=preferred))
        command = RecordRefusal(job, attempt, refusal, routes, Policy(), cause())
        return ledger.decide(command).value

    return of


@pytest.fixture
def lose(ledger: MemoryLedger, cause: Callable[..., Cause]) -> Callable[..., Next]:
    """Records that no readable answer came."""

    def of(job: Job, *, attempt: int = 1) -> Next:
        return ledger.decide(RecordUnknownOutcome(job, attempt, Policy(), cause())).value

    return of


@pytest.fixture
def expire(ledger: MemoryLedger, cause: Callable[..., Cause]) -> Callable[[Job], Next]:
    """Ends a message whose validity passed."""
    return lambda job: ledger.decide(ExpireInQueue(job, cause())).value


@pytest.fixture
def conclude(ledger: MemoryLedger, cause: Callable[..., Cause]) -> Callable[[Job], Next]:
    """Stops waiting for a report."""
    return lambda job: ledger.decide(ConcludeUnknown(job, cause())).value


@pytest.fixture
def accepted(accept: Callable[..., Job]) -> Job:
    """A message that waits for its submission."""
    return accept()


@pytest.fixture
def in_flight(accepted: Job, start: Callable[..., Next]) -> Job:
    """A message that an aggregator is being called for."""
    start(accepted)
    return accepted


@pytest.fixture
def submitted(in_flight: Job, take: Callable[..., Next]) -> Job:
    """A message that an aggregator took."""
    take(in_flight)
    return in_flight


@pytest.fixture
def lost(in_flight: Job, lose: Callable[..., Next]) -> Job:
    """A message whose answer was lost."""
    lose(in_flight)
    return in_flight


@pytest.fixture
def report(ledger: MemoryLedger, cause: Callable[..., Cause]) -> Callable[..., Status]:
    """Records a delivery report."""

    def of(
        job: Job,
        state: ReportState,
        *,
        description: str = "",
        failure_code: str | None = None,
        network: str | None = None,
    ) -> Status:
        said = DeliveryReport(
            f"celcom-{job.message_id.int}-1",
            state,
            description or state.value,
            failure_code=failure_code,
            network=network,
        )
        command = RecordReport(
            job.message_id, job.billing_account_id, "celcom", said, cause("rpt_1")
        )
        return ledger.decide(command).value

    return of


@pytest.fixture
def see(ledger: MemoryLedger) -> Callable[[Job], Message]:
    """Returns the message of a job."""

    def of(job: Job) -> Message:
        message = ledger.load(Message, job.message_id)
        assert message is not None, "the test accepted it"
        return message

    return of


@pytest.fixture
def steps(ledger: MemoryLedger) -> Callable[[Job], list[str]]:
    """Names the steps of the message of a job, without its acceptance."""

    def of(job: Job) -> list[str]:
        _, *later = ledger.events_of(job.message_id)
        return [type(event).__name__ for event in later]

    return of


@pytest.fixture
def entries(ledger: MemoryLedger) -> Callable[[], list[str]]:
    """Names the ledger entries of the account since it was opened and topped up."""

    def of() -> list[str]:
        _, _, _, *later = ledger.events_of(ACCOUNT_ID)
        return [type(event).__name__ for event in later]

    return of


@pytest.fixture
def celcom() -> MemoryAggregator:
    """The first route's aggregator."""
    return MemoryAggregator("celcom")


@pytest.fixture
def africastalking() -> MemoryAggregator:
    """The other route's aggregator."""
    return MemoryAggregator("africastalking")


@pytest.fixture
def watch(new_watch: Callable[..., RouteWatch]) -> RouteWatch:
    """The eye of the worker."""
    return new_watch()


@pytest.fixture
def new_submitter(
    ledger: MemoryLedger,
    watch: RouteWatch,
    celcom: MemoryAggregator,
    africastalking: MemoryAggregator,
    clock: MemoryClock,
) -> Callable[..., Submitter]:
    """Makes the submitter of one worker."""
    numbers = count(100)

    def of(beside_max: int = 32) -> Submitter:
        return Submitter(
            ledger,
            {"celcom": celcom, "africastalking": africastalking},
            watch,
            policy=Policy(),
            now=clock.now,
            new_request_id=lambda: f"job_{next(numbers)}",
            observer=MemorySubmitObserver(),
            record_seconds_max=0,
            beside_max=beside_max,
        )

    return of


@pytest.fixture
def submitter(new_submitter: Callable[..., Submitter]) -> Submitter:
    """A worker's submitter."""
    return new_submitter()


@pytest.fixture
async def rested(
    watch: RouteWatch, ledger: MemoryLedger, clock: MemoryClock, cause: Callable[..., Cause]
) -> RouteWatch:
    """The watch, after Celcom tripped and rested for long enough."""
    outage = Diagnosis(EVERY_NETWORK, TripCause.OUTAGE, Figures(10, 10, 10))
    ledger.decide(TripRoute("celcom", outage, cause()))
    clock.advance(seconds=15)
    await watch.beat()
    return watch
