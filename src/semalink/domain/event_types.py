"""What customers may be told of: the names of public events, and patterns over them."""

import re

#: What may happen to a message, in the order of its life.
MESSAGE_EVENTS = (
    "message.accepted",
    "message.submitted",
    "message.delivered",
    "message.failed",
    "message.rejected",
    "message.expired",
    "message.unknown",
    "message.cancelled",
)
#: What may happen to credits.
CREDIT_EVENTS = (
    "credit.topped_up",
    "credit.adjusted",
    "credit.limit_set",
    "credit.transferred_out",
    "credit.transferred_in",
    "credit.limit_neared",
    "credit.reserved",
    "credit.charged",
    "credit.released",
    "credit.reservation_expired",
    "credit.refunded",
)
#: What may happen to a campaign, from when it has a time to when its money is at rest.
CAMPAIGN_EVENTS = (
    "campaign.scheduled",
    "campaign.sent_back",
    "campaign.started",
    "campaign.paused",
    "campaign.resumed",
    "campaign.cancelled",
    "campaign.completed",
    "campaign.settled",
)
#: What may happen to an endpoint itself.
ENDPOINT_EVENTS = (
    "webhook_endpoint.warned",
    "webhook_endpoint.disabled",
)
EVENT_TYPES = (*MESSAGE_EVENTS, *CREDIT_EVENTS, *CAMPAIGN_EVENTS, *ENDPOINT_EVENTS)

#: What a test event is called; it is in no feed, and no pattern chooses it.
TEST_EVENT = "webhook.test"

_PATTERN = re.compile(r"\*|[a-z]+(_[a-z]+)*\.(\*|[a-z]+(_[a-z]+)*)", re.ASCII)


def matches(pattern: str, name: str) -> bool:
    """Tell whether a pattern ("*", "message.*", "message.delivered") chooses an event."""
    if pattern == "*":
        return True
    if pattern.endswith(".*"):
        return name.startswith(pattern[:-1])
    return pattern == name


def is_known(pattern: str) -> bool:
    """Tell whether a pattern is well formed and chooses at least one public event."""
    return bool(_PATTERN.fullmatch(pattern)) and any(matches(pattern, one) for one in EVENT_TYPES)
