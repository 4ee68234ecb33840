"""The check of campaigns, wired for the worker of contents, and what a forecast goes by."""

from collections.abc import Callable, Mapping
from uuid import UUID

from semalink.application.bus import NotReady
from semalink.application.campaign_checking import AccountRules, CampaignChecker
from semalink.application.reading import ReadsUnavailable
from semalink.application.tasks import TASK_POKE_SUBJECT, TaskWork
from semalink.domain.campaign_start import Circumstances
from semalink.domain.content_check import Rules
from semalink.web.content import own_rules
from semalink_adapters.postgres.account_terms import PostgresAccountTerms
from semalink_adapters.postgres.campaign_checks import PostgresCampaignChecks
from semalink_ops.bootstrap import Core, Poker
from semalink_ops.runtime import utc_now
from semalink_ops.settings import Settings


def campaign_kinds(core: Core, rules: Callable[[], Rules]) -> Mapping[str, TaskWork]:
    """Return what checks campaigns."""
    accounts = PostgresAccountTerms(core.pool)

    async def rules_of(account_id: UUID) -> AccountRules:
        try:
            found = await accounts.sending_terms(account_id)
            now = rules()
        except ReadsUnavailable as away:
            msg = "The database is away."
            raise NotReady(msg) from away
        return AccountRules(own_rules(found.senders, found.promotional, now), found.terms)

    return CampaignChecker(
        PostgresCampaignChecks(core.pool),
        core.ledger,
        rules_of,
        platform=lambda: circumstances(core.settings, rules()),
        now=utc_now,
        on_tasks=Poker(core.bus, TASK_POKE_SUBJECT).poke,
    ).kinds


def circumstances(settings: Settings, rules: Rules) -> Circumstances:
    """Return what the platform brings to the forecast of a campaign."""
    return Circumstances(rules.windows, settings.campaign_messages_per_second)
