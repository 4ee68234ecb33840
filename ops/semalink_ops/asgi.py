"""The three HTTP applications, wired: each opens its parts when it starts."""

import asyncio
import time
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

from uuid_utils.compat import uuid7

from semalink.application.endpoint_address import why_unfit
from semalink.application.reconciliation import Reconciliation
from semalink.application.report_intake import ReportIntake
from semalink.application.route_reading import RouteReading
from semalink.application.sending import Sending
from semalink.domain.contact_file import FileLimits
from semalink.domain.reconciliation import ProviderRates
from semalink.domain.routing import DEFAULT_ORDER, TEST_ROUTE
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
from semalink.web.upload_limits import UploadLimits
from semalink_adapters.jetstream.bus import JetStreamBus, Patience
from semalink_adapters.postgres.campaign_results import PostgresCampaignResults
from semalink_adapters.postgres.campaigns import PostgresCampaigns
from semalink_adapters.postgres.checkpoints import PostgresCheckpoints
from semalink_adapters.postgres.contacts import PostgresContacts
from semalink_adapters.postgres.content_reads import (
    PostgresContentRules,
    PostgresSenderIdReads,
)
from semalink_adapters.postgres.dead_letters import PostgresDeadLetters
from semalink_adapters.postgres.delivery_reads import PostgresDeliveryReads
from semalink_adapters.postgres.endpoint_reads import PostgresEndpointReads, PostgresFeedReads
from semalink_adapters.postgres.history import PostgresHistory
from semalink_adapters.postgres.months import PostgresMonths
from semalink_adapters.postgres.opt_outs import PostgresOptOuts
from semalink_adapters.postgres.orphan_reports import PostgresOrphans
from semalink_adapters.postgres.raw_reports import RawReportWriter
from semalink_adapters.postgres.reconciliation import PostgresReconciliation
from semalink_adapters.postgres.route_reads import PostgresRouteReads
from semalink_adapters.postgres.usage_reads import PostgresUsage
from semalink_adapters.webhooks.secret_making import SealedSecrets
from semalink_ops.archiving.reading import archived_events
from semalink_ops.bootstrap import Core, Poker, open_core
from semalink_ops.campaign_checking import circumstances
from semalink_ops.content_keeping import (
    load_rules,
    open_rule_book,
    read_toml,
    rule_counter,
)
from semalink_ops.dedicated_routes import load_dedicated_routes
from semalink_ops.limiting import open_limiter
from semalink_ops.observability.health import render_metrics
from semalink_ops.observability.request_observer import RequestTelemetry
from semalink_ops.runtime import IN_SERVICE, utc_now
from semalink_ops.settings import Settings

#: An aggregator waits for our answer: it hears within seconds that it must send a report again.
REPORT_PATIENCE = Patience(ack_seconds=2.0, total_seconds=4.0)

#: Carries the id of a revoked key to every process that may remember it.
KEY_REVOKED_SUBJECT = "keys.revoked"

Application = Any


@asynccontextmanager
async def build_api(settings: Settings, stop: asyncio.Event) -> AsyncIterator[Application]:
    """Yield the customers' API."""
    async with (
        open_core(settings, "api", makes_work=True) as core,
        open_limiter(core) as limiter,
        open_rule_book(core) as rule_book,
    ):
        key_ring = _key_ring(core)
        await core.bus.on_poke(KEY_REVOKED_SUBJECT, key_ring.forget_all)
        yield create_api(
            ApiDependencies(
                edge=_edge(core, ("database", "ledger"), stop),
                reads=core.reads,
                sending=Sending(core.ledger, uuid7),
                ledger=core.ledger,
                months=_months(core),
                deliveries=PostgresDeliveryReads(core.pool),
                endpoints=PostgresEndpointReads(core.pool),
                opt_outs=PostgresOptOuts(core.pool),
                feed=PostgresFeedReads(core.pool),
                sender_ids=PostgresSenderIdReads(core.pool),
                campaign_results=PostgresCampaignResults(core.pool),
                usage=PostgresUsage(core.pool),
                contacts=PostgresContacts(core.pool),
                campaigns=PostgresCampaigns(core.pool),
                platform=lambda: circumstances(settings, rule_book.rules()),
                webhooks=webhook_rules(settings),
                key_ring=key_ring,
                rules=rule_book.rules,
                key_pepper=_pepper(settings),
                default_ttl=timedelta(seconds=settings.default_ttl_seconds),
                limiter=limiter,
                on_rule=rule_counter(core.metrics),
                upload_limits=UploadLimits(
                    bytes_max=settings.contact_file_bytes_max,
                    file=FileLimits(rows_max=settings.contact_file_rows_max),
                ),
            )
        )


@asynccontextmanager
async def build_admin(settings: Settings, stop: asyncio.Event) -> AsyncIterator[Application]:
    """Yield the operators' API."""
    rules = load_rules(settings)
    async with open_core(settings, "admin") as core:
        revoked = Poker(core.bus, KEY_REVOKED_SUBJECT)
        yield create_admin(
            AdminDependencies(
                edge=_edge(core, ("database", "ledger"), stop),
                reads=core.reads,
                history=PostgresHistory(core.pool, archived=archived_events(settings, core.pool)),
                usage=PostgresUsage(core.pool),
                checkpoints=PostgresCheckpoints(core.pool),
                dead_letters=PostgresDeadLetters(core.pool),
                ledger=core.ledger,
                key_ring=_key_ring(core),
                key_pepper=_pepper(settings),
                aggregators=DEFAULT_ORDER,
                months=_months(core),
                deliveries=PostgresDeliveryReads(core.pool),
                endpoints=PostgresEndpointReads(core.pool),
                opt_outs=PostgresOptOuts(core.pool),
                orphans=PostgresOrphans(core.pool),
                sender_ids=PostgresSenderIdReads(core.pool),
                content_rules=PostgresContentRules(core.pool),
                rules_of_file=rules.blocklist.rules,
                shared_senders=(*settings.shared_senders, *settings.shared_promotional_senders),
                campaigns=PostgresCampaigns(core.pool),
                platform=lambda: circumstances(settings, rules),
                routes=_routes(core),
                on_key_revoked=lambda _: revoked.poke(),
                reconciliation=Reconciliation(
                    PostgresReconciliation(core.pool), load_provider_rates(settings)
                ),
            )
        )


@asynccontextmanager
async def build_intake(settings: Settings, stop: asyncio.Event) -> AsyncIterator[Application]:
    """Yield the intake of delivery reports."""
    async with open_core(settings, "dlr-intake") as core:
        intake = ReportIntake(
            RawReportWriter(core.pool, now=utc_now, new_id=core.new_id),
            JetStreamBus(core.connection, patience=REPORT_PATIENCE, observer=core.bus_metrics),
            now=utc_now,
            new_id=core.new_id,
            on_stored=Poker(core.bus).poke,
        )
        yield create_intake(
            IntakeDependencies(
                # Ready with either: a report can be stored in the database or in the broker.
                edge=_edge(core, ("database", "broker"), stop, any_of=True),
                store=intake,
                secrets=dlr_secrets(settings),
            )
        )


def _routes(core: Core) -> RouteReading:
    dedicated = [each.name for each in load_dedicated_routes(core.settings)]
    return RouteReading(PostgresRouteReads(core.pool), order=DEFAULT_ORDER, dedicated=dedicated)


def webhook_rules(settings: Settings) -> WebhookRules:
    """Return what registering an endpoint of webhooks needs."""
    key = settings.webhook_key
    return WebhookRules(
        secrets=None if key is None else SealedSecrets(b64decode(key.reveal())),
        why_unfit=partial(
            why_unfit,
            allows_private=settings.webhook_allow_private,
            extra_ports=frozenset(settings.webhook_ports),
            also_forbidden=[one.network for one in settings.webhook_forbidden_networks],
        ),
    )


def load_provider_rates(settings: Settings) -> ProviderRates:
    """Read what aggregators charge; raises what is wrong with it."""
    return ProviderRates.from_mapping(read_toml(settings.provider_rates_path))


def dlr_secrets(settings: Settings) -> Mapping[str, Sequence[str]]:
    """Return the secrets of the callback paths, by aggregator."""
    secrets = {
        "celcom": settings.celcom_dlr_secret,
        "africastalking": settings.africastalking_dlr_secret,
        TEST_ROUTE: settings.sandbox_dlr_secret,
    }
    own = {each.name: each.dlr_secret for each in load_dedicated_routes(settings)}
    known = {name: secret for name, secret in secrets.items() if secret is not None} | own
    return {name: (secret.reveal(),) for name, secret in known.items()}


def _pepper(settings: Settings) -> bytes:
    return settings.key_pepper.reveal().encode()


def _months(core: Core) -> PostgresMonths:
    return PostgresMonths(core.pool, core.ledger, core.settings.database_url.reveal())


def _key_ring(core: Core) -> KeyRing:
    return KeyRing(core.reads, _pepper(core.settings), time.monotonic)


def _edge(core: Core, needed: Sequence[str], stop: asyncio.Event, *, any_of: bool = False) -> Edge:
    def check(name: str) -> Callable[[], Awaitable[bool]]:
        async def answer() -> bool:
            checks = await core.check()
            return any(checks[one] for one in needed) if any_of else checks[name]

        return answer

    async def in_service() -> bool:
        return not stop.is_set()

    return Edge(
        clock=utc_now,
        new_id=lambda _: uuid7(),
        health=Health(
            checks={**{name: check(name) for name in needed}, IN_SERVICE: in_service},
            metrics=lambda: render_metrics(core.metrics.registry),
        ),
        observer=RequestTelemetry(core.metrics, core.tracing),
    )
