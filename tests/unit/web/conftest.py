"""A platform in memory: two accounts with keys, and the applications that serve them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from tests.unit.web.nothing_sent import NothingSent

from semalink.application.accounts import (
    IssueApiKey,
    IssuedKey,
    OpenAccount,
    TopUp,
)
from semalink.application.endpoint_address import why_unfit
from semalink.application.rate_limiting import RateLimiter
from semalink.application.reconciliation import Reconciliation
from semalink.application.report_intake import ReportStoreUnavailable
from semalink.application.route_reading import RouteReading
from semalink.application.sender_ids import ApproveSender
from semalink.application.sending import Sending
from semalink.domain.account import Kind, Tier
from semalink.domain.blocklist import Blocklist
from semalink.domain.campaign_start import Circumstances
from semalink.domain.cause import Cause
from semalink.domain.content_check import Rules
from semalink.domain.limit import NANOS
from semalink.domain.rate_card import RateCard
from semalink.domain.reconciliation import ProviderRates
from semalink.web.api_key import make_key
from semalink.web.app import create_admin, create_api, create_intake
from semalink.web.auth import KeyRing
from semalink.web.dependencies import (
    AdminDependencies,
    ApiDependencies,
    Edge,
    Health,
    IntakeDependencies,
    WebhookRules,
)
from semalink_adapters.memory import MemoryReads
from semalink_adapters.memory_buckets import MemoryBuckets
from semalink_adapters.memory_campaign_drafts import MemoryCampaignDrafts
from semalink_adapters.memory_campaign_results import MemoryCampaignResults
from semalink_adapters.memory_checkpoints import MemoryCheckpoints
from semalink_adapters.memory_contacts import MemoryContacts
from semalink_adapters.memory_content import MemoryContentRules, MemorySenderIdReads
from semalink_adapters.memory_dead_letters import MemoryDeadLetters
from semalink_adapters.memory_endpoints import MemoryEndpoints, MemoryFeed
from semalink_adapters.memory_history import MemoryHistory
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_months import MemoryMonths
from semalink_adapters.memory_opt_outs import MemoryOptOuts
from semalink_adapters.memory_recoveries import MemoryRecoveries
from semalink_adapters.memory_reports import MemoryReports
from semalink_adapters.memory_route_reads import MemoryRouteReads
from semalink_adapters.memory_routes import MemoryRoutes
from semalink_adapters.memory_usage import MemoryUsage
from semalink_adapters.webhooks.secret_making import SealedSecrets
from semalink_ops.key_issue import CUSTOMER_SCOPES

PEPPER = b"pepper of the tests, 32 bytes long"
START = datetime(2026, 11, 2, 8, 15, 4, tzinfo=UTC)
ROLES = ["admin", "auditor", "finance", "ops"]
INTAKE_SECRETS = {"celcom": ("old-secret", "new-secret"), "africastalking": ("at-secret",)}
RULES = Rules(
    senders=frozenset({"SemaLink"}),
    rate_card=RateCard.from_mapping(
        {"name": "tests", "version": 1, "prices": {"KE": {"default": "0.80"}}}
    ),
    blocklist=Blocklist.from_mapping({"rules": {"pin_theft": {"phrases": ["send your pin"]}}}),
)


class Clock:
    """Time that moves when a test says so."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return (self.now - START).total_seconds()

    def nanos(self) -> int:
        return int((self.now - START) / timedelta(microseconds=1)) * 1_000 + NANOS

    def pass_by(self, **span: float) -> None:
        self.now += timedelta(**span)


class Ids:
    """UUIDv7 of the given time, in strict order."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, at: datetime) -> UUID:
        self.count += 1
        stamp = int(at.timestamp() * 1000)
        return UUID(int=(stamp << 80) | (0x7 << 76) | (0b10 << 62) | self.count)


class Observer:
    """Remembers what was observed."""

    def __init__(self) -> None:
        self.ended: list[dict[str, Any]] = []

    def traceparent(self, token: Any) -> str:
        return "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    def begin(self, scope: Any) -> str:
        return "token"

    def end(self, token: Any, **seen: Any) -> None:
        assert token == "token"
        self.ended.append(seen)


@dataclass
class LimitObserver:
    """Remembers what the rate limit said, and how often it asked."""

    said: list[tuple[str, bool]] = field(default_factory=list)
    answered: list[bool] = field(default_factory=list)

    def rate_checked(self, tier: str, *, is_admitted: bool) -> None:
        self.said.append((tier, is_admitted))

    def leased(self, seconds: float, *, is_answered: bool) -> None:
        self.answered.append(is_answered)


@dataclass
class Reports:
    """A report store that can be away."""

    stored: list[tuple[str, str, bytes]] = field(default_factory=list)
    is_available: bool = True

    async def store(self, aggregator: str, content_type: str, body: bytes) -> None:
        if not self.is_available:
            raise ReportStoreUnavailable
        self.stored.append((aggregator, content_type, body))


@dataclass
class Tenant:
    """An account and its keys."""

    account_id: UUID
    live_key_id: UUID
    live: str
    test: str


class Platform:
    """Everything behind the edge, in memory."""

    circumstances = Circumstances(RULES.windows, messages_per_second=100)
    is_ready = True
    check_hangs = False

    def __init__(self) -> None:
        self.pepper = PEPPER
        self.clock = Clock()
        self.new_id = Ids()
        self.ledger = MemoryLedger()
        self.reads = MemoryReads(self.ledger)
        self.months = MemoryMonths(self.ledger, self.clock)
        self.checkpoints = MemoryCheckpoints()
        self.deliveries = MemoryRecoveries(self.ledger)
        self.dead_letters = MemoryDeadLetters(self.ledger)
        self.route_book = MemoryRoutes(self.ledger)
        self.endpoints = MemoryEndpoints(self.ledger, self.clock)
        self.opt_outs = MemoryOptOuts(self.ledger)
        self.feed = MemoryFeed(self.ledger)
        #: What a process that looks in time would hold contents to.
        self.rules = RULES
        self.found: list[tuple[str, str]] = []
        self.campaign_results = MemoryCampaignResults()
        self.usage = MemoryUsage(self.ledger, self.clock)
        self.campaigns = MemoryCampaignDrafts(self.ledger)
        #: None plays a platform without a key to seal secrets with.
        self.secrets: SealedSecrets | None = SealedSecrets(bytes(32))
        self.history = MemoryHistory(self.ledger, self.clock)
        self.observer = Observer()
        self.reports = Reports()
        self.shelf = MemoryReports(
            self.ledger, now=self.clock, new_id=lambda: self.new_id(self.clock.now)
        )
        self.key_ring = KeyRing(self.reads, PEPPER, self.clock.monotonic)
        self.revoked: list[UUID] = []
        self.buckets = MemoryBuckets(self.clock.nanos)
        self.limit_observer = LimitObserver()
        self.edge = Edge(
            clock=self.clock,
            new_id=self.new_id,
            health=Health(
                {"ledger": self._check}, lambda: (b"up 1\n", "text/plain; version=0.0.4")
            ),
            observer=self.observer,
        )

    @cached_property
    def contacts(self) -> MemoryContacts:
        return MemoryContacts(self.ledger, self.clock)

    async def _check(self) -> bool:
        if self.check_hangs:
            await asyncio.Event().wait()
        return self.is_ready

    @property
    def cause(self) -> Cause:
        return Cause("operator:tests", self.clock.now, "req_setup")

    async def open_tenant(
        self, name: str, *, credit_micros: int = 0, tier: Tier = Tier.STARTER
    ) -> Tenant:
        account_id = self.new_id(self.clock.now)
        await self.ledger.execute(OpenAccount(account_id, name, Kind.DIRECT, tier, self.cause))
        await self.ledger.execute(ApproveSender(account_id, "ACME", self.cause))
        if credit_micros:
            await self.ledger.execute(TopUp(account_id, credit_micros, f"pay {name}", self.cause))
        live_key_id, live = await self.issue(account_id, "live", [*CUSTOMER_SCOPES])
        _, test = await self.issue(account_id, "test", [*CUSTOMER_SCOPES])
        return Tenant(account_id, live_key_id, live, test)

    async def open_platform(self) -> str:
        """Open the platform's own account and return a key of its operators."""
        account_id = self.new_id(self.clock.now)
        await self.ledger.execute(
            OpenAccount(account_id, "Platform", Kind.PLATFORM, Tier.ENTERPRISE, self.cause)
        )
        _, key = await self.issue(account_id, "operator", ROLES)
        return key

    async def issue(self, account_id: UUID, mode: str, scopes: list[str]) -> tuple[UUID, str]:
        made = make_key(mode, PEPPER)
        api_key_id = self.new_id(self.clock.now)
        issued = IssuedKey(api_key_id, mode, scopes, mode, made.key_hash.hex(), made.last_four)
        await self.ledger.execute(IssueApiKey(account_id, issued, self.cause))
        return api_key_id, made.secret

    def api(self) -> Litestar:
        return create_api(
            ApiDependencies(
                edge=self.edge,
                reads=self.reads,
                sending=Sending(self.ledger, lambda: self.new_id(self.clock.now)),
                ledger=self.ledger,
                months=self.months,
                deliveries=self.deliveries,
                endpoints=self.endpoints,
                opt_outs=self.opt_outs,
                feed=self.feed,
                sender_ids=MemorySenderIdReads(self.ledger),
                campaign_results=self.campaign_results,
                usage=self.usage,
                contacts=self.contacts,
                webhooks=WebhookRules(self.secrets, why_unfit),
                campaigns=self.campaigns,
                platform=lambda: self.circumstances,
                key_ring=self.key_ring,
                rules=lambda: self.rules,
                on_rule=lambda rule, mode: self.found.append((rule, mode)),
                key_pepper=PEPPER,
                limiter=RateLimiter(self.buckets, self.clock.nanos, self.limit_observer),
            )
        )

    def admin(self) -> Litestar:
        return create_admin(
            AdminDependencies(
                edge=self.edge,
                reads=self.reads,
                history=self.history,
                usage=self.usage,
                ledger=self.ledger,
                key_ring=self.key_ring,
                key_pepper=PEPPER,
                aggregators=("celcom", "africastalking"),
                reconciliation=Reconciliation(NothingSent(), ProviderRates({})),
                months=self.months,
                deliveries=self.deliveries,
                endpoints=self.endpoints,
                opt_outs=self.opt_outs,
                checkpoints=self.checkpoints,
                dead_letters=self.dead_letters,
                routes=RouteReading(
                    MemoryRouteReads(self.route_book, self.ledger),
                    order=("celcom", "africastalking"),
                    dedicated=("celcom-acme",),
                ),
                orphans=self.shelf,
                sender_ids=MemorySenderIdReads(self.ledger),
                content_rules=MemoryContentRules(self.ledger),
                rules_of_file=RULES.blocklist.rules,
                shared_senders=("SemaLink",),
                campaigns=self.campaigns,
                platform=lambda: self.circumstances,
                on_key_revoked=self._revoke,
            )
        )

    def intake(self) -> Litestar:
        return create_intake(
            IntakeDependencies(edge=self.edge, store=self.reports, secrets=INTAKE_SECRETS)
        )

    def _revoke(self, api_key_id: UUID) -> None:
        self.revoked.append(api_key_id)
        self.key_ring.forget(api_key_id)


@pytest.fixture(scope="session")
def make_platform() -> type[Platform]:
    return Platform


@pytest.fixture
def platform() -> Platform:
    return Platform()


@pytest.fixture
async def acme(platform: Platform) -> Tenant:
    return await platform.open_tenant("Acme", credit_micros=10_000_000)


@pytest.fixture
async def other(platform: Platform) -> Tenant:
    return await platform.open_tenant("Other", credit_micros=10_000_000)


@pytest.fixture
async def admin_key(platform: Platform) -> str:
    return await platform.open_platform()


@pytest.fixture
async def api(platform: Platform) -> AsyncIterator[AsyncTestClient[Litestar]]:
    async with AsyncTestClient(platform.api(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
async def admin(platform: Platform) -> AsyncIterator[AsyncTestClient[Litestar]]:
    async with AsyncTestClient(platform.admin(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
async def intake(platform: Platform) -> AsyncIterator[AsyncTestClient[Litestar]]:
    async with AsyncTestClient(platform.intake(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def bearer() -> Callable[[str], dict[str, str]]:
    def headers(key: str, **more: str) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {key}",
            **{name.replace("_", "-"): value for name, value in more.items()},
        }

    return headers


@pytest.fixture
def message() -> dict[str, Any]:
    return {"to": "+254712345678", "text": "Karibu!", "sender": "ACME"}
