"""What customers ask to be sent, and its check: a draft that may be accepted, or a refusal."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec

from semalink.application.reading import Caller
from semalink.application.sending import Checked
from semalink.domain.blocklist import RuleMode
from semalink.domain.content_check import CheckedContent, Content, Rules, check, collect
from semalink.domain.draft import Alteration, Draft, Mode
from semalink.domain.errors import ContentBlocked, DomainError
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
#: Codes of what the check of a message can refuse that is to be sent now.
SENDING_PROBLEMS = (*CONTENT_PROBLEMS, "outside_sending_window")
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
    # Unset it is no part of what a request is recognised by: one of before it was known, and
    # repeated now, gets its first answer.
    replace_lookalikes: (
        Annotated[
            bool,
            msgspec.Meta(
                description=(
                    "Whether characters that force UCS-2 give way to those that look like them."
                )
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET


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
                description=(
                    "How long the message is worth sending; a day unless given. A promotional "
                    "one expires when the hours end in which it was accepted."
                ),
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
    return own_rules(caller.senders, caller.promotional, rules)


def own_rules(
    senders: frozenset[str], own_promotional: Mapping[str, str | None], rules: Rules
) -> Rules:
    """Return the rules with senders of an account beside the shared ones."""
    if not senders:
        return rules
    promotional = rules.promotional
    if own_promotional:
        own = {sender: text or rules.opt_out_text for sender, text in own_promotional.items()}
        promotional = {**promotional, **own}
    return Rules(
        EitherSenders(rules.senders, senders),
        rules.rate_card,
        rules.blocklist,
        rules.segments_max,
        rules.default_country,
        promotional,
        rules.windows,
        rules.opt_out_text,
    )


def content_of(asked: Quote) -> Content:
    """Return what is to be checked of a request."""
    return Content(asked.to, asked.text, asked.sender, asked.replace_lookalikes is True)


def price_of(checked: CheckedContent, caller: Caller, rules: Rules) -> Price:
    """Return what a checked content is sold to this caller for, and what it costs who pays."""
    return price_segments(checked, checked.segments, caller, rules)


def price_segments(checked: CheckedContent, segments: int, caller: Caller, rules: Rules) -> Price:
    """Return what so many segments are sold for where a checked content goes."""
    return price_message(rules.rate_card, caller.terms, checked.country, checked.network, segments)


def check_message(asked: SendMessage, arrival: Arrival, deps: ApiDependencies) -> Checked:
    """Return a draft that may be accepted, or why it may not; the arrival learns every reason."""
    content = content_of(asked)
    rules = rules_for(arrival.caller, deps.rules())
    checked = draft_of(asked, content, rules, arrival, deps.default_ttl)
    if isinstance(checked, DomainError):
        arrival.refusals = collect(content, rules, _hour_for(arrival))
        if isinstance(checked, ContentBlocked):
            deps.on_rule(checked.rule, RuleMode.BLOCK)
    else:
        for rule in checked.shadow_rules:
            deps.on_rule(rule, RuleMode.SHADOW)
    return checked


def draft_of(
    asked: SendMessage, content: Content, rules: Rules, arrival: Arrival, default_ttl: timedelta
) -> Checked:
    """Return the draft of a message, or the refusal that counts."""
    try:
        checked = check(content, rules, _hour_for(arrival))
    except DomainError as refusal:
        return refusal
    caller = arrival.caller
    price = price_of(checked, caller, rules)
    seconds = asked.ttl_seconds
    ttl = default_ttl if seconds is None else timedelta(seconds=seconds)
    is_plain = not checked.is_promotional and checked.replaced is None
    return Draft(
        account_id=caller.account_id,
        billing_account_id=caller.billing_account_id,
        mode=caller.mode,
        to=checked.to,
        country=checked.country,
        network=checked.network,
        text=checked.text,
        sender=asked.sender,
        lane=asked.lane,
        encoding=checked.encoding.value,
        segments=checked.segments,
        price_micros=price.price_micros,
        expires_at=_expiry_of(checked, arrival, ttl, rules),
        metadata=asked.metadata or {},
        cost_micros=price.cost_micros,
        priced_by=price.priced_by,
        refunded_on=caller.terms.refunded_on,
        alteration=None if is_plain else alteration_of(checked, rules, arrival),
        shadow_rules=checked.shadow_rules,
    )


def alteration_of(checked: CheckedContent, rules: Rules, arrival: Arrival) -> Alteration | None:
    """Return what was done to a content, and what that saves; None when nothing was."""
    replaced = checked.replaced
    is_late = checked.is_promotional and not rules.windows.is_open(arrival.at, checked.country)
    saved = 0 if replaced is None else replaced.saved_segments
    alteration = Alteration(
        checked.opt_out_text,
        () if replaced is None else replaced.replacements,
        saved,
        price_segments(checked, saved, arrival.caller, rules).price_micros,
        is_late,
    )
    return None if alteration == Alteration() else alteration


def _expiry_of(checked: CheckedContent, arrival: Arrival, ttl: timedelta, rules: Rules) -> datetime:
    """Return until when a message may be sent: a promotional one not after the hours of today."""
    expires_at = arrival.at + ttl
    if not checked.is_promotional or arrival.caller.mode == Mode.TEST:
        return expires_at
    closes_at = rules.windows.closes_at(arrival.at, checked.country)
    return expires_at if closes_at is None else min(expires_at, closes_at)


def _hour_for(arrival: Arrival) -> datetime | None:
    # Whoever tries things out at night reaches nobody's telephone.
    return None if arrival.caller.mode == Mode.TEST else arrival.at
