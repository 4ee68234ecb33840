"""The one content checker: whom a message reaches, what it costs, why it is refused."""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from semalink.domain.blocklist import Blocklist, RuleMode
from semalink.domain.content_errors import OutsideSendingWindow
from semalink.domain.errors import (
    ContentBlocked,
    DomainError,
    EmptyText,
    TextTooLong,
    UnknownSender,
)
from semalink.domain.lookalikes import Replaced, replace_lookalikes
from semalink.domain.opt_out_text import with_opt_out
from semalink.domain.phone_number import PhoneNumber, parse
from semalink.domain.rate_card import RateCard
from semalink.domain.segments import Encoding, Measure, measure
from semalink.domain.sending_window import ALWAYS_OPEN, SendingWindows

SEGMENTS_MAX = 10
#: The rule that no blocklist can lift: what cannot be stored or put on the air as text.
UNSENDABLE_CHARACTERS = "unsendable_characters"

# Up to eleven characters with a letter among them, or a short code of the operators.
_SENDER_ID = re.compile(
    r"(?=.*[A-Za-z])[A-Za-z0-9](?:[A-Za-z0-9 ._&-]{0,9}[A-Za-z0-9])?|[0-9]{3,8}"
)
_UNSENDABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Content:
    """What a customer writes: to whom, which words, in whose name."""

    to: str = field(repr=False)
    text: str = field(repr=False)
    sender: str
    #: Whether characters that force UCS-2 may give way to those that look like them.
    replace_lookalikes: bool = field(default=False, repr=False)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a content is held to; built once an account, or once a page of a campaign."""

    #: The approved sender ids, case-sensitive; anything that answers ``in``.
    senders: Container[str]
    rate_card: RateCard
    blocklist: Blocklist = field(default_factory=Blocklist)
    segments_max: int = SEGMENTS_MAX
    #: The country of a number that is written without a calling code.
    default_country: str = "KE"
    #: The promotional ones among the sender ids, each with its opt-out text.
    promotional: Mapping[str, str] = field(default_factory=dict)
    #: When promotional messages may be sent.
    windows: SendingWindows = ALWAYS_OPEN
    #: What promotional sender ids have that have no opt-out text of their own.
    opt_out_text: str = ""


@dataclass(frozen=True, slots=True)
class CheckedContent:
    """A content that may be sent, and what it takes and costs."""

    number: PhoneNumber
    #: Of the text as it is sent.
    measure: Measure
    price_micros: int
    #: What is sent: without look-alikes if that was asked for, with the opt-out text.
    text: str = field(default="", repr=False, compare=False)
    is_promotional: bool = False
    #: What was added at the end; None: nothing.
    opt_out_text: str | None = None
    #: What was replaced; None: nothing.
    replaced: Replaced | None = None
    #: Rules in shadow mode that would have blocked it.
    shadow_rules: tuple[str, ...] = ()

    @property
    def to(self) -> str:
        """The number in E.164 with the plus sign."""
        return self.number.e164

    @property
    def country(self) -> str:
        """ISO 3166 code of two letters."""
        return self.number.country

    @property
    def network(self) -> str | None:
        """The network that the prefix suggests."""
        return self.number.network

    @property
    def encoding(self) -> Encoding:
        """How the text travels."""
        return self.measure.encoding

    @property
    def segments(self) -> int:
        """How many segments the text takes; each is paid for."""
        return self.measure.segments


@dataclass(frozen=True, slots=True)
class _Wording:
    """A text as it is sent, and what was done to it."""

    text: str
    measure: Measure
    opt_out_text: str | None = None
    replaced: Replaced | None = None


def check(content: Content, rules: Rules, now: datetime | None = None) -> CheckedContent:
    """Return what the content takes and costs, or raise the refusal of highest precedence.

    Without a time the hours of promotional messages are not looked at: whoever plans ahead does.
    """
    number, rate_micros = _check_destination(content, rules)
    _check_sender(content, rules)
    wording = _check_length(content, rules)
    shadow_rules = _check_words(wording.text, rules)
    is_promotional = content.sender in rules.promotional
    if is_promotional and now is not None:
        _check_hour(content.sender, number, rules, now)
    return CheckedContent(
        number,
        wording.measure,
        rate_micros * wording.measure.segments,
        wording.text,
        is_promotional,
        wording.opt_out_text,
        wording.replaced,
        shadow_rules,
    )


def collect(content: Content, rules: Rules, now: datetime | None = None) -> list[DomainError]:
    """Return every refusal of the content by precedence; none when it may be sent."""
    refusals: list[DomainError] = []
    for step in (_check_destination, _check_sender, _check_length):
        try:
            step(content, rules)
        except DomainError as refusal:
            refusals.append(refusal)
    blocks, _ = _faults_of(_word(content, rules).text, rules)
    refusals += blocks
    if not refusals and now is not None:
        # Only what might be sent at another hour is told of the hour.
        try:
            check(content, rules, now)
        except OutsideSendingWindow as refusal:
            refusals.append(refusal)
    return refusals


def is_sender_id(text: str) -> bool:
    """Whether a text can be a sender id at all; an account still needs its approval."""
    return _SENDER_ID.fullmatch(text) is not None


def _check_destination(content: Content, rules: Rules) -> tuple[PhoneNumber, int]:
    number = parse(content.to, rules.default_country)
    return number, rules.rate_card.rate_micros(number.country, number.network)


def _check_sender(content: Content, rules: Rules) -> None:
    if content.sender not in rules.senders or not is_sender_id(content.sender):
        raise UnknownSender(content.sender)


def _check_length(content: Content, rules: Rules) -> _Wording:
    if not content.text or content.text.isspace():
        raise EmptyText
    wording = _word(content, rules)
    segments = wording.measure.segments
    if segments > rules.segments_max:
        raise TextTooLong(segments=segments, segments_max=rules.segments_max)
    return wording


def _word(content: Content, rules: Rules) -> _Wording:
    text = content.text
    opt_out: str | None = rules.promotional.get(content.sender)
    if opt_out is not None:
        text = with_opt_out(text, opt_out)
        opt_out = None if text is content.text else opt_out
    measured = measure(text)
    # With the opt-out text, which counts as well: replaced, no message takes more segments.
    replaced = replace_lookalikes(text, measured) if content.replace_lookalikes else None
    if replaced is None:
        return _Wording(text, measured, opt_out, None)
    return _Wording(replaced.text, replaced.measure, opt_out, replaced)


def _check_words(text: str, rules: Rules) -> tuple[str, ...]:
    blocks, shadow_rules = _faults_of(text, rules)
    if blocks:
        raise blocks[0]
    return shadow_rules


def _check_hour(sender: str, number: PhoneNumber, rules: Rules, now: datetime) -> None:
    country = number.country
    if not rules.windows.is_open(now, country):
        earliest_at = rules.windows.earliest_legal_start(now, country)
        raise OutsideSendingWindow(sender, country, earliest_at)


def _faults_of(text: str, rules: Rules) -> tuple[list[ContentBlocked], tuple[str, ...]]:
    matches = rules.blocklist.matches(text)
    unsendable = [ContentBlocked(UNSENDABLE_CHARACTERS)] if _UNSENDABLE.search(text) else []
    if not matches:
        return unsendable, ()
    blocks = [
        ContentBlocked(rule.name, rule.reason) for rule in matches if rule.mode is RuleMode.BLOCK
    ]
    shadow_rules = tuple(rule.name for rule in matches if rule.mode is RuleMode.SHADOW)
    return unsendable + blocks, shadow_rules
