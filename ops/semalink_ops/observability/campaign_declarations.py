"""The metrics of campaigns: how they are scheduled and dealt out."""

from semalink_ops.observability.declared import Declared, Kind

SCHEDULER_QUERIES = Declared(
    "semalink_scheduler_queries_total",
    Kind.COUNTER,
    "Queries of the scheduler for what is due and under way; some a minute when nothing is.",
)
CAMPAIGNS_STARTED = Declared(
    "semalink_campaigns_started_total",
    Kind.COUNTER,
    "Campaigns that were due, by whether they `started` or were `sent_back`.",
    ("outcome",),
)
CAMPAIGNS_STUCK = Declared(
    "semalink_campaigns_stuck_total",
    Kind.COUNTER,
    "How often the start or the end of a campaign could not be decided; the log names it.",
)
CAMPAIGNS_UNDER_WAY = Declared(
    "semalink_campaigns_under_way",
    Kind.GAUGE,
    "Campaigns that started and whose money is not at rest.",
)
CAMPAIGN_MESSAGES_DEALT = Declared(
    "semalink_campaign_messages_dealt_total",
    Kind.COUNTER,
    "Messages of campaigns that were put into the queue of bundles.",
)
CAMPAIGN_BLOCKED_SECONDS = Declared(
    "semalink_campaign_blocked_seconds",
    Kind.GAUGE,
    "How long the campaign that waits longest has found no room in the queue of bundles.",
)
DECLARED = (
    SCHEDULER_QUERIES,
    CAMPAIGNS_STARTED,
    CAMPAIGNS_STUCK,
    CAMPAIGNS_UNDER_WAY,
    CAMPAIGN_MESSAGES_DEALT,
    CAMPAIGN_BLOCKED_SECONDS,
)
