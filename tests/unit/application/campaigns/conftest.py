"""Campaigns that were checked, beside a ledger in memory."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from tests.unit.application.campaigns.bulk_broker import Broker

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.bundles import BundleSubmitter
from semalink.application.campaign_keeping import CampaignKeeper, Scheduler
from semalink.application.campaign_pieces import PieceAcceptor, PricedRecipient
from semalink.application.campaign_sending import CampaignRef
from semalink.application.dealing import Dealer
from semalink.application.ledger import Books, Needs, PlainCommand
from semalink.application.route_watch import RouteWatch
from semalink.application.submission import Job, Policy
from semalink.application.submitting import Submitter
from semalink.domain.account import Kind, Tier
from semalink.domain.campaign import Campaign
from semalink.domain.campaign_plan import Plan, Totals
from semalink.domain.cause import Cause
from semalink_adapters.memory_aggregator import MemoryAggregator
from semalink_adapters.memory_campaigns import MemoryCampaigns
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_observer import MemorySubmitObserver

COST_MICROS = 800_000


class Do(PlainCommand):
    """Changes a campaign in whichever way a test wants."""

    def __init__(self, campaign_id: UUID, cause: Cause, change: Callable[[Any], None]) -> None:
        self.campaign_id = campaign_id
        self.cause = cause
        self.change = change

    def needs(self, needs: Needs) -> None:
        needs.settings.add(self.campaign_id)

    def decide(self, books: Books) -> None:
        campaign = books.find(Campaign, self.campaign_id)
        self.change(books if campaign is None else campaign)


class Desk:
    """Makes campaigns and moves them on."""

    def __init__(
        self, ledger: MemoryLedger, campaigns: MemoryCampaigns, clock: MemoryClock
    ) -> None:
        self.ledger = ledger
        self.campaigns = campaigns
        self.clock = clock
        self._numbers = count(0xCA0001)

    def cause(self, actor: str = "key:duka") -> Cause:
        return Cause(actor, self.clock.now(), "req_campaign")

    def schedule(
        self,
        recipient_count: int,
        *,
        account_id: UUID,
        payer_id: UUID | None = None,
        mode: str = "live",
        start_in: timedelta = timedelta(),
        totals: dict[str, Any] | None = None,
        **plan: Any,
    ) -> CampaignRef:
        """Make a campaign that was checked and is to start."""
        ref = CampaignRef(UUID(int=next(self._numbers)), account_id, payer_id or account_id)
        cost = recipient_count * COST_MICROS
        found = Totals(
            recipient_count, recipient_count, {}, {}, {"1": recipient_count}, recipient_count,
            cost, cost,
        )  # fmt: skip
        found = replace(found, **(totals or {}))
        start_at = self.clock.now() + start_in

        def make(books: Books) -> None:
            campaign = Campaign.draft(
                ref.campaign_id, account_id, ref.billing_account_id, mode,
                Plan("Offer", "SEMA", "Karibu", **plan), self.cause(),
            )  # fmt: skip
            campaign.start_check(self.cause(), schedules=True)
            campaign.record_check(found, self.cause())
            campaign.schedule(start_at, self.cause(), needs_approval=False)
            books.add(campaign)

        self.ledger.decide(Do(ref.campaign_id, self.cause(), make))
        self.campaigns.recipients[ref.campaign_id] = [
            PricedRecipient(
                f"+2547{number:08d}", "Karibu", "KE", "safaricom", "gsm-7", 1, COST_MICROS,
                COST_MICROS,
            )
            for number in range(recipient_count)
        ]  # fmt: skip
        return ref

    def move(self, ref: CampaignRef, move: str, *words: Any) -> None:
        """Pause, resume or cancel."""
        self.ledger.decide(
            Do(
                ref.campaign_id,
                self.cause(),
                lambda each: getattr(each, move)(*words, self.cause()),
            )
        )

    def campaign(self, ref: CampaignRef) -> Campaign:
        found = self.ledger.load(Campaign, ref.campaign_id)
        assert found is not None, "the test made it"
        return found

    def open_customer(self) -> tuple[UUID, UUID]:
        """Open an agent with two credits, and a customer of it; return both ids."""
        agent_id, customer_id = UUID(int=0xA6E7), UUID(int=0xC057)
        for command in (
            OpenAccount(agent_id, "Agent", Kind.AGENT, Tier.STARTER, self.cause()),
            TopUp(agent_id, 2_000_000, "payment-agent", self.cause()),
            OpenAccount(
                customer_id, "Shop", Kind.CUSTOMER, Tier.STARTER, self.cause(), agent_id=agent_id
            ),
        ):
            self.ledger.decide(command)
        return agent_id, customer_id


@pytest.fixture
def campaigns(ledger: MemoryLedger, clock: MemoryClock) -> MemoryCampaigns:
    return MemoryCampaigns(ledger, clock.now)


@pytest.fixture
def desk(ledger: MemoryLedger, campaigns: MemoryCampaigns, clock: MemoryClock) -> Desk:
    return Desk(ledger, campaigns, clock)


@pytest.fixture
def request_ids() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"job_{next(numbers)}"


@pytest.fixture
def scheduler(
    campaigns: MemoryCampaigns, ledger: MemoryLedger, request_ids: Callable[[], str]
) -> Scheduler:
    return Scheduler(campaigns, ledger, new_request_id=request_ids)


@pytest.fixture
def keeper(
    campaigns: MemoryCampaigns,
    ledger: MemoryLedger,
    clock: MemoryClock,
    request_ids: Callable[[], str],
) -> CampaignKeeper:
    return CampaignKeeper(
        campaigns, ledger, now=clock.now, new_request_id=request_ids, policy=Policy()
    )


@pytest.fixture
def acceptor(
    campaigns: MemoryCampaigns,
    ledger: MemoryLedger,
    clock: MemoryClock,
    new_id: Callable[[], UUID],
) -> PieceAcceptor:
    return PieceAcceptor(campaigns, ledger, new_id=new_id, now=clock.now, record_seconds_max=0.01)


@pytest.fixture
def africastalking() -> MemoryAggregator:
    return MemoryAggregator("africastalking")


@pytest.fixture
def new_bundles(  # noqa: PLR0917 - what a worker is made of
    ledger: MemoryLedger,
    campaigns: MemoryCampaigns,
    celcom: MemoryAggregator,
    africastalking: MemoryAggregator,
    new_watch: Callable[..., RouteWatch],
    clock: MemoryClock,
    request_ids: Callable[[], str],
) -> Callable[..., BundleSubmitter]:
    def of(
        *more: MemoryAggregator,
        watch: RouteWatch | None = None,
        submit_seconds_max: float = 10.0,
        submit_one: Callable[[Job], Any] | None = None,
    ) -> BundleSubmitter:
        aggregators = {each.name: each for each in (celcom, africastalking, *more)}
        used = watch or new_watch(*aggregators)
        aggregators["sandbox"] = MemoryAggregator("sandbox")
        observer = MemorySubmitObserver()
        single = Submitter(
            ledger, aggregators, used, policy=Policy(), now=clock.now,
            new_request_id=request_ids, observer=observer,
        )  # fmt: skip
        return BundleSubmitter(
            ledger, aggregators, used, campaigns, policy=Policy(), now=clock.now,
            new_request_id=request_ids, observer=observer, submit_one=submit_one or single.submit,
            record_seconds_max=0.01, submit_seconds_max=submit_seconds_max,
        )  # fmt: skip

    return of


@pytest.fixture
def bundles(new_bundles: Callable[..., BundleSubmitter]) -> BundleSubmitter:
    return new_bundles()


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def new_dealer(campaigns: MemoryCampaigns, broker: Broker) -> Callable[..., Dealer]:
    numbers = count(1)

    def of(
        *,
        outstanding_max: int = 40,
        opens_at: Callable[[datetime, str], datetime] = lambda now, _: now,
    ) -> Dealer:
        return Dealer(
            campaigns,
            broker,  # type: ignore[arg-type]
            new_id=lambda: UUID(int=next(numbers)),
            opens_at=opens_at,
            count_outstanding=broker.count,
            outstanding_max=outstanding_max,
        )

    return of


@pytest.fixture
def dealer(new_dealer: Callable[..., Dealer]) -> Dealer:
    return new_dealer()


@pytest.fixture
def start_one(
    desk: Any, scheduler: Scheduler, acceptor: PieceAcceptor, account_id: UUID
) -> Callable[..., Any]:
    async def of(recipient_count: int, owner_id: UUID = account_id, **facts: Any) -> CampaignRef:
        facts.setdefault("mode", "test")
        ref: CampaignRef = desk.schedule(recipient_count, account_id=owner_id, **facts)
        await scheduler.start_due()
        for task in desk.campaigns.tasks(ref.campaign_id):
            await acceptor.accept(task)
        return ref

    return of
