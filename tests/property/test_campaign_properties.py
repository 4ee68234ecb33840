"""Whatever interleaves and crashes: each recipient at most once, and money exact to the micro."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.bundles import BundlePayload, BundleSubmitter
from semalink.application.bus import NotReady
from semalink.application.campaign_keeping import CampaignKeeper, Scheduler
from semalink.application.campaign_pieces import PieceAcceptor, PricedRecipient
from semalink.application.campaign_sending import CampaignRef
from semalink.application.dealing import Dealer
from semalink.application.ledger import Books, LedgerUnavailable, Needs, PlainCommand
from semalink.application.ports import FailureClass, OutcomeUnknown, SendFailed
from semalink.application.route_watch import RouteWatch
from semalink.application.submission import ConcludeUnknown, Policy
from semalink.domain import message_steps
from semalink.domain.account import Kind, Tier
from semalink.domain.campaign import Campaign, CampaignState
from semalink.domain.campaign_plan import Plan, Totals
from semalink.domain.cause import Cause
from semalink.domain.credit_account import CreditAccount
from semalink.domain.message import Message
from semalink_adapters.jetstream.streams import SMS_BULK
from semalink_adapters.memory_aggregator import MemoryAggregator
from semalink_adapters.memory_bus import MemoryBus
from semalink_adapters.memory_campaigns import MemoryCampaigns
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_observer import MemorySubmitObserver
from semalink_adapters.memory_routes import MemoryRoutes

ACCOUNT_ID = UUID(int=0xACC0)
REF = CampaignRef(UUID(int=0xCA), ACCOUNT_ID, ACCOUNT_ID)
RECIPIENTS = 7
COST_MICROS = 800_000
CREDITS_MICROS = 10_000_000

NO_ROUTE = SendFailed(
    FailureClass.ROUTE, provider_code="", detail="", retryable=False, may_fail_over=True
)
BUSY = SendFailed(
    FailureClass.TRANSIENT, provider_code="", detail="", retryable=True, may_fail_over=False
)
OUTCOMES: dict[str, Any] = {"no route": NO_ROUTE, "busy": BUSY, "lost": OutcomeUnknown()}
STEPS = st.one_of(
    st.sampled_from(["start", "accept", "deal", "work", "work twice", "keep", "wait", "die"]),
    st.sampled_from(["pause", "resume", "cancel", "ledger away", "answer lost", *OUTCOMES]),
)


class Move(PlainCommand):
    """Changes the campaign."""

    def __init__(self, change: Callable[[Any], None], cause: Cause) -> None:
        self.change, self.cause = change, cause

    def needs(self, needs: Needs) -> None:
        needs.settings.add(REF.campaign_id)

    def decide(self, books: Books) -> None:
        self.change(books.find(Campaign, REF.campaign_id) or books)


class World:
    """One campaign, and everything that works on it."""

    def __init__(self) -> None:
        self.clock = MemoryClock(datetime(2026, 11, 23, 9, tzinfo=UTC))
        self.ledger = MemoryLedger()
        self.campaigns = MemoryCampaigns(self.ledger, self.clock.now)
        self.bus = MemoryBus()
        self.routes = [MemoryAggregator("celcom"), MemoryAggregator("africastalking")]
        self.payloads: list[BundlePayload] = []
        ids, requests = count(1), count(1)
        self._new_id = lambda: UUID(int=next(ids))
        self._request_id = lambda: f"job_{next(requests)}"
        for command in (
            OpenAccount(ACCOUNT_ID, "Duka", Kind.DIRECT, Tier.STARTER, self.cause()),
            TopUp(ACCOUNT_ID, CREDITS_MICROS, "payment-0", self.cause()),
            Move(self._draft, self.cause()),
        ):
            self.ledger.decide(command)
        self.campaigns.recipients[REF.campaign_id] = [
            PricedRecipient(f"+2547{n:08d}", "Hi", "KE", None, "gsm-7", 1, COST_MICROS, COST_MICROS)
            for n in range(RECIPIENTS)
        ]

    def cause(self) -> Cause:
        return Cause("key:duka", self.clock.now(), "req_1")

    async def take(self, step: str) -> None:
        if step in OUTCOMES:
            self.routes[0].outcomes.append(OUTCOMES[step])
        elif step in {"pause", "resume", "cancel"}:
            with suppress(LedgerUnavailable):
                self._move(step)
        elif step == "wait":
            self.clock.advance(seconds=26)
        elif step == "ledger away":
            self.ledger.outages.extend([True] * 3)
        elif step == "answer lost":
            self.ledger.loses_next_answer = True
        else:
            await self._work(step)

    async def _work(self, step: str) -> None:
        doing: dict[str, Callable[[], Awaitable[Any]]] = {
            "start": self._scheduler().start_due,
            "accept": self._accept,
            "deal": self._deal,
            "work": self._submit,
            "work twice": lambda: asyncio.gather(self._submit(), self._submit()),
            "keep": self._keeper().step,
            "die": self._die,
        }
        try:
            await doing[step]()
        except (NotReady, LedgerUnavailable):
            return

    async def finish(self) -> None:
        """Let everything come to its end: nothing fails any more."""
        self.ledger.outages.clear()
        self.ledger.loses_next_answer = False
        for route in self.routes:
            route.outcomes.clear()
        if self.campaign().state is CampaignState.PAUSED:
            self._move("resume")
        for _ in range(40):
            for step in ("start", "accept", "deal", "work", "keep"):
                await self._work(step)
            self.clock.advance(minutes=10)
            for pending in list(self.ledger.pending().values()):
                if pending.state == "unknown":
                    self.ledger.decide(ConcludeUnknown(pending.job, self.cause()))

    def campaign(self) -> Campaign:
        found = self.ledger.load(Campaign, REF.campaign_id)
        assert found is not None, "it was made"
        return found

    def _draft(self, books: Any) -> None:
        campaign = Campaign.draft(
            REF.campaign_id, ACCOUNT_ID, ACCOUNT_ID, "live", Plan("Offer", "SEMA", "Hi"),
            self.cause(),
        )  # fmt: skip
        cost = RECIPIENTS * COST_MICROS
        found = Totals(RECIPIENTS, RECIPIENTS, {}, {}, {}, RECIPIENTS, cost, cost)
        campaign.start_check(self.cause(), schedules=True)
        campaign.record_check(found, self.cause())
        campaign.schedule(self.clock.now(), self.cause(), needs_approval=False)
        books.add(campaign)

    def _move(self, move: str) -> None:
        state = self.campaign().state
        allowed = {
            "pause": {CampaignState.SENDING},
            "resume": {CampaignState.PAUSED},
            "cancel": {CampaignState.SENDING, CampaignState.PAUSED, CampaignState.SCHEDULED},
        }
        words = () if move == "resume" else ("said so",)
        if state in allowed[move]:
            change = Move(lambda each: getattr(each, move)(*words, self.cause()), self.cause())
            self.ledger.decide(change)

    def _scheduler(self) -> Scheduler:
        return Scheduler(self.campaigns, self.ledger, new_request_id=self._request_id)

    def _keeper(self) -> CampaignKeeper:
        return CampaignKeeper(
            self.campaigns,
            self.ledger,
            now=self.clock.now,
            new_request_id=self._request_id,
            policy=Policy(),
        )

    async def _accept(self) -> None:
        acceptor = PieceAcceptor(
            self.campaigns, self.ledger, new_id=self._new_id, now=self.clock.now,
            record_seconds_max=0.0,
        )  # fmt: skip
        for task in self.campaigns.tasks(REF.campaign_id):
            await acceptor.accept(task)

    async def _deal(self) -> None:
        async def nothing() -> int:
            return 0

        dealer = Dealer(
            self.campaigns, self.bus, new_id=self._new_id, opens_at=lambda now, _: now,
            count_outstanding=nothing,
        )  # fmt: skip
        await dealer.step()
        for delivery in await self.bus.source(SMS_BULK).fetch(9, 0.0):
            self.payloads.append(msgspec.json.decode(delivery.payload, type=BundlePayload))
            await delivery.ack()

    async def _submit(self) -> None:
        # Never taken away: whatever was published once may be delivered again at any time.
        for payload in self.payloads:
            await self._worker().submit(REF, payload.message_ids)

    async def _die(self) -> None:
        """Begin the calls of a bundle and never hear what they came to."""
        for payload in self.payloads:
            for route in self.routes:
                route.hangs = True
            dying = asyncio.create_task(self._worker().submit(REF, payload.message_ids))
            for _ in range(30):
                await asyncio.sleep(0)
            dying.cancel()
            await asyncio.wait([dying])
            for route in self.routes:
                route.hangs = False

    def _worker(self) -> BundleSubmitter:
        book = MemoryRoutes(self.ledger)
        watch = RouteWatch(
            book, self.ledger, wish_of=book.wish_of, order=("celcom", "africastalking"),
            now=self.clock.now, new_request_id=self._request_id, on_trip=lambda *_: None,
        )  # fmt: skip
        return BundleSubmitter(
            self.ledger, {each.name: each for each in self.routes}, watch, self.campaigns,
            policy=replace(Policy(), unknown_after=timedelta(hours=1)), now=self.clock.now,
            new_request_id=self._request_id, observer=MemorySubmitObserver(),
            submit_one=self._never, record_seconds_max=0.0,
        )  # fmt: skip

    async def _never(self, _: Any) -> None:
        raise AssertionError("no route trips here")


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_campaign_sends_at_most_once_and_settles_exactly(steps: list[str]) -> None:
    world = World()

    asyncio.run(_live_through(world, steps))

    _assert_once(world)
    _assert_money(world)
    _assert_nothing_after_cancel(world)


async def _live_through(world: World, steps: list[str]) -> None:
    for step in steps:
        await world.take(step)
    await world.finish()


def _assert_once(world: World) -> None:
    accepted = [each.to for each in world.ledger.log if isinstance(each, Message.Created)]
    assert max(Counter(accepted).values(), default=1) == 1
    # The first route may refuse certainly, and then the second is asked.
    for route in world.routes:
        sent = Counter(each.message_id for each in route.submissions)
        refusals = Counter(
            each.originator_id
            for each in world.ledger.log
            if isinstance(each, message_steps.SubmitRefused) and each.aggregator == route.name
        )
        assert all(sent[each] <= refusals[each] + 1 for each in sent)
    taken = Counter(
        each.originator_id for each in world.ledger.log if isinstance(each, message_steps.Submitted)
    )
    assert max(taken.values(), default=1) == 1


def _assert_money(world: World) -> None:
    reserved, charged, released = [
        sum(each.amount_micros for each in world.ledger.log if isinstance(each, kind))
        for kind in (CreditAccount.Reserved, CreditAccount.Charged, CreditAccount.Released)
    ]
    taken = sum(isinstance(each, message_steps.Submitted) for each in world.ledger.log)
    campaign = world.campaign()
    assert reserved == charged + released
    assert charged == taken * COST_MICROS
    assert campaign.is_settled == campaign.has_started
    assert world.ledger.open_reservations == {}
    assert world.ledger.balance(ACCOUNT_ID).posted_micros == CREDITS_MICROS - charged


def _assert_nothing_after_cancel(world: World) -> None:
    log = world.ledger.log
    at = next((n for n, each in enumerate(log) if isinstance(each, Campaign.Cancelled)), len(log))
    assert not any(isinstance(each, message_steps.SubmitStarted) for each in log[at:])
    assert not any(isinstance(each, Message.Created) for each in log[at:])
