"""What customers ask to be sent, and its check: a draft that may be accepted, or a refusal."""

from collections.abc import Container
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

import msgspec

from semalink.application.reading import Caller
from semalink.application.sending import Checked
from semalink.domain.content_check import CheckedContent, Content, Rules, check, collect
from semalink.domain.draft import Draft
from semalink.domain.errors import DomainError
from semalink.domain.price_list import Price, price_message
from semalink.web.arrival import Arrival
from semalink.web.dependencies import ApiDependencies

#: Codes of what the check of a content can refuse.
CONTENT_PROBLEMS = (
    "invalid_number",
    "unsupported_destination",
    "unknown_sender",
    "empty_text",
    "text_too_long",
    "content_blocked",
)
TTL_SECONDS_MIN = 30
TTL_SECONDS_MAX = 259_200
_NO_NUL = r"^[^\u0000]*$"

MetadataKey = Annotated[str, msgspec.Meta(min_length=1, max_length=40, pattern=_NO_NUL)]
MetadataValue = Annotated[str, msgspec.Meta(max_length=500, pattern=_NO_NUL)]


class Quote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message to be priced and not sent."""

    to: Annotated[str, msgspec.Meta(max_length=64, description="Mobile number, best in E.164.")]
    text: Annotated[str, msgspec.Meta(max_length=1_530, description="What the handset shows.")]
    sender: Annotated[
        str, msgspec.Meta(min_length=1, max_length=64, description="An approved sender id.")
    ]


class SendMessage(Quote, frozen=True, forbid_unknown_fields=True):
    """A message to be sent."""

    lane: Annotated[
        Literal["priority", "normal"],
        msgspec.Meta(description="Priority is for what cannot wait, such as one-time passwords."),
    ] = "normal"
    ttl_seconds: (
        Annotated[
            int,
            msgspec.Meta(
                ge=TTL_SECONDS_MIN,
                le=TTL_SECONDS_MAX,
                description="How long the message is worth sending; a day unless given.",
            ),
        ]
        | None
    ) = None
    metadata: (
        Annotated[
            dict[MetadataKey, MetadataValue],
            msgspec.Meta(max_length=20, description="Yours; it comes back with the message."),
        ]
        | None
    ) = None


@dataclass(frozen=True, slots=True)
class EitherSenders:
    """Sender ids that everyone may use, and those of one account."""

    shared: Container[str]
    own: frozenset[str]

    def __contains__(self, sender: object) -> bool:
        return sender in self.own or sender in self.shared


def rules_for(caller: Caller, rules: Rules) -> Rules:
    """Return the rules with the account's own senders beside the shared ones."""
    if not caller.senders:
        return rules
    return Rules(
        EitherSenders(rules.senders, caller.senders),
        rules.rate_card,
        rules.blocklist,
        rules.segments_max,
        rules.default_country,
    )


def price_of(checked: CheckedContent, caller: Caller, rules: Rules) -> Price:
    """Return what a checked content is sold to this caller for, and what it costs who pays."""
    return price_message(
        rules.rate_card, caller.terms, checked.country, checked.network, checked.segments
    )


def check_message(asked: SendMessage, arrival: Arrival, deps: ApiDependencies) -> Checked:
    """Return a draft that may be accepted, or why it may not; the arrival learns every reason."""
    content = Content(asked.to, asked.text, asked.sender)
    rules = rules_for(arrival.caller, deps.rules())
    checked = draft_of(asked, content, rules, arrival, deps.default_ttl)
    if isinstance(checked, DomainError):
        arrival.refusals = collect(content, rules)
    return checked


def draft_of(
    asked: SendMessage, content: Content, rules: Rules, arrival: Arrival, default_ttl: timedelta
) -> Checked:
    """Return the draft of a message, or the refusal that counts."""
    try:
        checked = check(content, rules)
    except DomainError as refusal:
        return refusal
    caller = arrival.caller
    price = price_of(checked, caller, rules)
    seconds = asked.ttl_seconds
    ttl = default_ttl if seconds is None else timedelta(seconds=seconds)
    return Draft(
        account_id=caller.account_id,
        billing_account_id=caller.billing_account_id,
        mode=caller.mode,
        to=checked.to,
        country=checked.country,
        network=checked.network,
        text=asked.text,
        sender=asked.sender,
        lane=asked.lane,
        encoding=checked.encoding.value,
        segments=checked.segments,
        price_micros=price.price_micros,
        expires_at=arrival.at + ttl,
        metadata=asked.metadata or {},
        cost_micros=price.cost_micros,
        priced_by=price.priced_by,
        refunded_on=caller.terms.refunded_on,
    )
