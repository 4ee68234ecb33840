"""The one content checker: whom a message reaches, what it costs, why it is refused."""

import re
from collections.abc import Container
from dataclasses import dataclass, field

from semalink.domain.blocklist import Blocklist
from semalink.domain.errors import (
    ContentBlocked,
    DomainError,
    EmptyText,
    TextTooLong,
    UnknownSender,
)
from semalink.domain.phone_number import PhoneNumber, parse
from semalink.domain.rate_card import RateCard
from semalink.domain.segments import Encoding, Measure, measure

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


@dataclass(frozen=True, slots=True)
class CheckedContent:
    """A content that may be sent, and what it takes and costs."""

    number: PhoneNumber
    measure: Measure
    price_micros: int

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


def check(content: Content, rules: Rules) -> CheckedContent:
    """Return what the content takes and costs, or raise the refusal of highest precedence."""
    number, rate_micros = _check_destination(content, rules)
    _check_sender(content, rules)
    measured = _check_length(content, rules)
    _check_words(content, rules)
    return CheckedContent(number, measured, rate_micros * measured.segments)


def collect(content: Content, rules: Rules) -> list[DomainError]:
    """Return every refusal of the content by precedence; none when it may be sent."""
    refusals: list[DomainError] = []
    for step in (_check_destination, _check_sender, _check_length):
        try:
            step(content, rules)
        except DomainError as refusal:
            refusals.append(refusal)
    refusals += map(ContentBlocked, _broken_rules(content, rules))
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


def _check_length(content: Content, rules: Rules) -> Measure:
    if not content.text or content.text.isspace():
        raise EmptyText
    measured = measure(content.text)
    if measured.segments > rules.segments_max:
        raise TextTooLong(segments=measured.segments, segments_max=rules.segments_max)
    return measured


def _check_words(content: Content, rules: Rules) -> None:
    broken = _broken_rules(content, rules)
    if broken:
        raise ContentBlocked(broken[0])


def _broken_rules(content: Content, rules: Rules) -> list[str]:
    broken = rules.blocklist.broken_rules(content.text)
    return [UNSENDABLE_CHARACTERS, *broken] if _UNSENDABLE.search(content.text) else broken
