"""The applications of the edge: the customers' API, the operators' API, the report intake."""

from typing import Any

from litestar.handlers import HTTPRouteHandler

from semalink.web.admin.accounts import account_routes
from semalink.web.admin.adjustments import adjustment_routes
from semalink.web.admin.api_keys import api_key_routes
from semalink.web.admin.campaigns import any_campaign_routes
from semalink.web.admin.checkpoints import checkpoint_routes
from semalink.web.admin.content_rules import content_rule_routes
from semalink.web.admin.credits import credit_routes
from semalink.web.admin.dead_letter_jobs import dead_letter_job_routes
from semalink.web.admin.dead_letters import dead_letter_routes
from semalink.web.admin.history import history_routes
from semalink.web.admin.ledger_entries import any_ledger_routes
from semalink.web.admin.messages import any_message_routes
from semalink.web.admin.months import month_routes
from semalink.web.admin.opt_outs import any_opt_out_routes
from semalink.web.admin.orphan_reports import orphan_routes
from semalink.web.admin.rate_limits import rate_limit_routes
from semalink.web.admin.reconciliation import reconciliation_routes
from semalink.web.admin.routes import route_routes
from semalink.web.admin.sender_ids import any_sender_id_routes
from semalink.web.admin.sending import sending_settings_routes
from semalink.web.admin.terms import term_routes
from semalink.web.admin.usage import any_usage_routes
from semalink.web.admin.webhook_endpoints import any_endpoint_routes
from semalink.web.admin.webhooks import any_webhook_routes
from semalink.web.balance import balance_routes
from semalink.web.batch import batch_routes
from semalink.web.campaign_moves import campaign_move_routes
from semalink.web.campaign_recipients import campaign_recipient_routes
from semalink.web.campaign_results import campaign_result_routes
from semalink.web.campaigns import campaign_routes
from semalink.web.contact_imports import contact_import_routes
from semalink.web.contact_lists import contact_list_routes
from semalink.web.contacts import contact_routes
from semalink.web.customers import customer_routes
from semalink.web.dependencies import AdminDependencies, ApiDependencies, IntakeDependencies
from semalink.web.edge_app import EdgeApp
from semalink.web.events import event_routes
from semalink.web.health import health_routes
from semalink.web.intake import intake_routes
from semalink.web.ledger_entries import ledger_routes
from semalink.web.message_explaining import explaining_routes
from semalink.web.message_reading import reading_routes
from semalink.web.messages import sending_routes
from semalink.web.openapi import describe
from semalink.web.operation import operations
from semalink.web.opt_outs import opt_out_routes
from semalink.web.pages import page_routes
from semalink.web.prices import price_routes
from semalink.web.quote import quote_routes
from semalink.web.recoveries import recovery_routes
from semalink.web.sender_ids import sender_id_routes
from semalink.web.statements import statement_routes
from semalink.web.usage import usage_routes
from semalink.web.webhook_deliveries import delivery_routes
from semalink.web.webhook_endpoints import endpoint_routes
from semalink.web.webhook_secrets import secret_routes


def create_api(deps: ApiDependencies) -> EdgeApp:
    """Return the customers' API."""
    routes = [
        *sending_routes(deps),
        *batch_routes(deps),
        *reading_routes(deps),
        *explaining_routes(deps),
        *campaign_result_routes(deps),
        *usage_routes(deps),
        *quote_routes(deps),
        *sender_id_routes(deps),
        *balance_routes(deps),
        *ledger_routes(deps),
        *customer_routes(deps),
        *contact_list_routes(deps),
        *contact_routes(deps),
        *contact_import_routes(deps),
        *price_routes(deps),
        *statement_routes(deps),
        *event_routes(deps),
        *endpoint_routes(deps),
        *secret_routes(deps),
        *delivery_routes(deps),
        *recovery_routes(deps),
        *campaign_routes(deps),
        *campaign_move_routes(deps),
        *campaign_recipient_routes(deps),
        *opt_out_routes(deps),
        *health_routes(deps.edge.health),
    ]
    pages = _pages(
        routes,
        title="SemaLink API",
        description=(
            "Send messages, follow them, know what they cost. Money is in micros of a credit: "
            "1 credit = 1,000,000 micros. Times are UTC."
        ),
        keys="A key of your account: sl_live_… to send, sl_test_… to try out for nothing.",
    )
    return EdgeApp(deps.edge, [*routes, *pages], key_ring=deps.key_ring, limiter=deps.limiter)


def create_admin(deps: AdminDependencies) -> EdgeApp:
    """Return the operators' API."""
    routes = [
        *account_routes(deps),
        *api_key_routes(deps),
        *credit_routes(deps),
        *adjustment_routes(deps),
        *term_routes(deps),
        *rate_limit_routes(deps),
        *any_ledger_routes(deps),
        *sending_settings_routes(deps),
        *any_sender_id_routes(deps),
        *content_rule_routes(deps),
        *route_routes(deps),
        *any_message_routes(deps),
        *any_usage_routes(deps),
        *reconciliation_routes(deps.reconciliation),
        *month_routes(deps),
        *checkpoint_routes(deps.checkpoints, deps.key_pepper),
        *dead_letter_routes(deps),
        *dead_letter_job_routes(deps),
        *history_routes(deps),
        *orphan_routes(deps),
        *any_endpoint_routes(deps),
        *any_webhook_routes(deps),
        *any_campaign_routes(deps),
        *any_opt_out_routes(deps),
        *health_routes(deps.edge.health),
    ]
    pages = _pages(
        routes,
        title="SemaLink admin API",
        description="Accounts, credits and the history of anything, for those who run SemaLink.",
        keys="A key of an operator: sl_admin_…, whose scopes are roles.",
    )
    return EdgeApp(deps.edge, [*routes, *pages], key_ring=deps.key_ring)


def create_intake(deps: IntakeDependencies) -> EdgeApp:
    """Return the intake of delivery reports."""
    routes = [*intake_routes(deps), *health_routes(deps.edge.health)]
    pages = _pages(
        routes,
        title="SemaLink report intake",
        description="Where aggregators hand in delivery reports and opt-outs.",
        keys="",
    )
    return EdgeApp(deps.edge, [*routes, *pages], key_ring=None)


def _pages(
    routes: list[HTTPRouteHandler], *, title: str, description: str, keys: str
) -> list[HTTPRouteHandler]:
    described: list[HTTPRouteHandler] = list(routes)

    def document() -> dict[str, Any]:
        return describe(operations(described), title=title, description=description, keys=keys)

    pages = page_routes(title, document)
    described += pages
    return pages
