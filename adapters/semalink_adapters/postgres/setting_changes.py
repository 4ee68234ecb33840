"""What events of the settings do to the tables that are kept in the same transaction."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from semalink.domain.account import Account
from semalink.domain.accounting_month import AccountingMonth
from semalink.domain.adjustment import Adjustment
from semalink.domain.orphan_report import OrphanReport
from semalink_adapters.postgres.campaign_changes import CAMPAIGN_CHANGES
from semalink_adapters.postgres.contact_changes import CONTACT_CHANGES
from semalink_adapters.postgres.content_changes import CONTENT_CHANGES
from semalink_adapters.postgres.dead_letter_changes import DEAD_LETTER_CHANGES
from semalink_adapters.postgres.opt_out_changes import OPT_OUT_CHANGES
from semalink_adapters.postgres.route_changes import ROUTE_CHANGES

#: SQL and its parameters.
Statement = tuple[str, tuple[Any, ...]]

INSERT_ACCOUNT = """
INSERT INTO accounts (account_id, billing_account_id, name, kind, tier, agent_id)
VALUES (%s, %s, %s, %s, %s, %s)"""

INSERT_KEY = """
INSERT INTO api_keys (key_hash, api_key_id, account_id, name, scopes, mode, last_four)
VALUES (decode(%s, 'hex'), %s, %s, %s, %s, %s, %s)"""

REVOKE_KEY = "UPDATE api_keys SET revoked_at = %s WHERE api_key_id = %s"

PREFER_ROUTE = "UPDATE accounts SET preferred_aggregator = %s WHERE account_id = %s"

REQUIRE_CAMPAIGN_APPROVAL = """
UPDATE accounts SET campaigns_need_approval = %s WHERE account_id = %s"""

SET_CAP = "UPDATE accounts SET spending_cap_micros = %s WHERE account_id = %s"

SET_PRICES = "UPDATE accounts SET price_list = %s::jsonb WHERE account_id = %s"

SET_LIMIT = """
UPDATE accounts SET tier = %s, rate_per_second = %s, burst = %s WHERE account_id = %s"""

SET_KEY_LIMIT = "UPDATE api_keys SET rate_per_second = %s, burst = %s WHERE api_key_id = %s"

SET_REFUND_RULE = "UPDATE accounts SET refunded_on = %s WHERE account_id = %s"

INSERT_ADJUSTMENT = """
INSERT INTO adjustments (
    adjustment_id, account_id, amount_micros, category, reason, state, proposed_by, proposed_at)
VALUES (%s, %s, %s, %s, %s, 'proposed', %s, %s)"""

DECIDE_ADJUSTMENT = """
UPDATE adjustments SET state = %s, decided_by = %s, decided_at = %s, entry_version = %s
WHERE adjustment_id = %s"""

INSERT_MONTH = """
INSERT INTO accounting_months (
    month, account_count, entry_count, posted_micros, reserved_micros, positions_sha256,
    closed_by, closed_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"""

UNSHELVE = "DELETE FROM report_shelf WHERE report_id = %s AND part = %s"


def _account_created(event: Account.Created) -> Sequence[Statement]:
    parameters = (
        event.originator_id,
        event.billing_account_id,
        event.name,
        event.kind,
        event.tier,
        event.agent_id,
    )
    return [(INSERT_ACCOUNT, parameters)]


def _key_issued(event: Account.ApiKeyIssued) -> Sequence[Statement]:
    parameters = (
        event.key_hash,
        event.api_key_id,
        event.originator_id,
        event.name,
        event.scopes,
        event.mode,
        event.last_four,
    )
    return [(INSERT_KEY, parameters)]


def _key_revoked(event: Account.ApiKeyRevoked) -> Sequence[Statement]:
    return [(REVOKE_KEY, (event.timestamp, event.api_key_id))]


def _campaign_approval_required(
    event: Account.CampaignApprovalRequired,
) -> Sequence[Statement]:
    return [(REQUIRE_CAMPAIGN_APPROVAL, (event.is_required, event.originator_id))]


def _route_preferred(event: Account.RoutePreferred) -> Sequence[Statement]:
    return [(PREFER_ROUTE, (event.aggregator, event.originator_id))]


def _cap_set(event: Account.SpendingCapSet) -> Sequence[Statement]:
    return [(SET_CAP, (event.cap_micros, event.originator_id))]


def _prices_set(event: Account.PriceListSet) -> Sequence[Statement]:
    prices = msgspec.json.encode(event.segment_micros).decode()
    return [(SET_PRICES, (prices, event.originator_id))]


def _refund_rule_set(event: Account.RefundRuleSet) -> Sequence[Statement]:
    return [(SET_REFUND_RULE, (event.refunded_on, event.originator_id))]


def _limit_set(event: Account.RateLimitSet) -> Sequence[Statement]:
    parameters = (event.tier, event.rate_per_second, event.burst, event.originator_id)
    return [(SET_LIMIT, parameters)]


def _key_limit_set(event: Account.ApiKeyLimited) -> Sequence[Statement]:
    return [(SET_KEY_LIMIT, (event.rate_per_second, event.burst, event.api_key_id))]


def _adjustment_proposed(event: Adjustment.Created) -> Sequence[Statement]:
    parameters = (
        event.originator_id,
        event.account_id,
        event.amount_micros,
        event.category,
        event.reason,
        event.actor,
        event.timestamp,
    )
    return [(INSERT_ADJUSTMENT, parameters)]


def _adjustment_applied(event: Adjustment.Applied) -> Sequence[Statement]:
    parameters = ("applied", event.actor, event.timestamp, event.entry_version, event.originator_id)
    return [(DECIDE_ADJUSTMENT, parameters)]


def _adjustment_rejected(event: Adjustment.Rejected) -> Sequence[Statement]:
    parameters = ("rejected", event.actor, event.timestamp, None, event.originator_id)
    return [(DECIDE_ADJUSTMENT, parameters)]


def _month_closed(event: AccountingMonth.Created) -> Sequence[Statement]:
    parameters = (
        event.month,
        event.account_count,
        event.entry_count,
        event.posted_micros,
        event.reserved_micros,
        event.positions_sha256,
        event.actor,
        event.timestamp,
    )
    return [(INSERT_MONTH, parameters)]


def _report_settled(event: OrphanReport.Created) -> Sequence[Statement]:
    return [(UNSHELVE, (event.report_id, event.part))]


#: The statements of each kind of event, in order.
SETTING_CHANGES: Mapping[type, Callable[[Any], Sequence[Statement]]] = {
    Account.Created: _account_created,
    Account.ApiKeyIssued: _key_issued,
    Account.ApiKeyRevoked: _key_revoked,
    Account.CampaignApprovalRequired: _campaign_approval_required,
    Account.RoutePreferred: _route_preferred,
    Account.SpendingCapSet: _cap_set,
    Account.PriceListSet: _prices_set,
    Account.RefundRuleSet: _refund_rule_set,
    Account.RateLimitSet: _limit_set,
    Account.ApiKeyLimited: _key_limit_set,
    Adjustment.Created: _adjustment_proposed,
    Adjustment.Applied: _adjustment_applied,
    Adjustment.Rejected: _adjustment_rejected,
    AccountingMonth.Created: _month_closed,
    **CAMPAIGN_CHANGES,
    **CONTACT_CHANGES,
    **DEAD_LETTER_CHANGES,
    **ROUTE_CHANGES,
    **OPT_OUT_CHANGES,
    **CONTENT_CHANGES,
    OrphanReport.Created: _report_settled,
}
