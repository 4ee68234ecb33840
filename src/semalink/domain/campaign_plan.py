"""What a campaign is to send, to whom, when and how fast; and what a check found of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from semalink.domain.campaign_errors import PaceGivenTwice, UnusedDefault
from semalink.domain.template import Template


@dataclass(frozen=True, slots=True)
class Plan:
    """A campaign as its owner wrote it."""

    name: str
    sender: str
    #: The template; variables stand in braces.
    text: str = field(repr=False)
    list_ids: tuple[UUID, ...] = ()
    #: Batches of recipients that were given with the campaign itself; they are kept beside it.
    uploads: tuple[UUID, ...] = ()
    #: How many recipients those are.
    inline_count: int = 0
    #: When it is to start; None: as soon as it may.
    send_at: datetime | None = None
    #: IANA name of the zone in which the time was meant, e.g. "Africa/Nairobi".
    time_zone: str = "Africa/Nairobi"
    #: Messages a second at most; None: as fast as it goes.
    rate_per_second: int | None = None
    #: When the last message should have left; sets the pace where no rate does.
    finish_by: datetime | None = None
    #: How long after the start a message is still worth sending.
    validity_seconds: int = 86_400
    replace_lookalikes: bool = False
    #: What stands for a variable that a recipient lacks, by its name.
    defaults: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Totals:
    """What a check found: recipients by what becomes of them, and what they take and cost."""

    #: Of every source, whatever becomes of them.
    recipient_count: int
    #: Those that get a message.
    message_count: int
    #: Those that get none, by reason: "invalid_number", "duplicate", "opted_out", ...
    left_out: Mapping[str, int]
    #: Messages by network; "" where it is not known.
    by_network: Mapping[str, int]
    #: Messages by the number of their segments, as text.
    by_segments: Mapping[str, int]
    segment_count: int
    #: What the owner pays in all, and what leaves the credits that pay; in micros.
    price_micros: int
    cost_micros: int
    #: "promotional" or "transactional", by its sender.
    sender_class: str = "transactional"
    #: Messages by country.
    by_country: Mapping[str, int] = field(default_factory=dict)
    #: Those left out that a rule of the blocklist stopped, by the rule.
    blocked_by_rule: Mapping[str, int] = field(default_factory=dict)
    #: Messages that rules in shadow mode would have stopped.
    shadow_count: int = 0


def check_plan(plan: Plan) -> None:
    """Raise what is wrong with a plan by itself: its template, its defaults, its pace."""
    template = Template.parse(plan.text)
    for name in plan.defaults:
        if name not in template.variables:
            raise UnusedDefault(name)
    if plan.rate_per_second is not None and plan.finish_by is not None:
        raise PaceGivenTwice
