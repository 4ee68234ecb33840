"""Celcom's answers to a send: their structs, their codes, and whose answer is whose."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import msgspec
import phonenumbers
import structlog

from semalink.application.ports import (
    FailureClass,
    OutcomeUnknown,
    Receipt,
    SendFailed,
    Submission,
)
from semalink_adapters.aggregators.batches import Batch, Outcome
from semalink_adapters.aggregators.exchange import Answer, unreadable
from semalink_adapters.aggregators.wording import (
    Amount,
    Scalar,
    Unreadable,
    decode,
    folded,
    parse_amount,
    plain,
    reference_of,
    scrub,
    scrub_code,
)

_log = structlog.get_logger()

ACCEPTED = "200"
INVALID_MOBILE = "1003"
LOW_CREDIT = "1004"
SENDER_UNKNOWN = "1001"
TOO_MANY_IN_LIST = "1012"
TOO_MANY_CONTACTS = "1104"

#: Refusals of a whole batch that a smaller one may escape.
SPLIT_CODES = frozenset({INVALID_MOBILE, TOO_MANY_IN_LIST, TOO_MANY_CONTACTS})

#: A Kenyan number without its country or its zero; long enough to tell two numbers apart.
_TAIL_LENGTH = 9
_FIGURES = re.compile(
    r"current balance\D{0,3}(-?[\d.,]*\d)\D+required\D{0,3}([\d.,]*\d)", re.IGNORECASE
)
_DESCRIPTION_MAX = 400
_ONE_UNIT_MICROS = 1_000_000


class _Verdict(NamedTuple):
    failure: FailureClass
    retryable: bool
    may_fail_over: bool


_PASSING = _Verdict(FailureClass.TRANSIENT, retryable=True, may_fail_over=True)
_OUR_SETTINGS = _Verdict(FailureClass.CONFIGURATION, retryable=False, may_fail_over=True)
_OUR_BUG = _Verdict(FailureClass.BUG, retryable=False, may_fail_over=False)
_NO_ROUTE = _Verdict(FailureClass.ROUTE, retryable=False, may_fail_over=True)
_NO_CREDIT = _Verdict(FailureClass.PROVIDER_CREDIT, retryable=True, may_fail_over=True)

#: 1003 and 1004 are decided by more than their code.
_VERDICTS: Mapping[str, _Verdict] = MappingProxyType(
    {
        SENDER_UNKNOWN: _OUR_SETTINGS,
        "1002": _NO_ROUTE,
        "1005": _PASSING,
        "1006": _OUR_SETTINGS,
        "1007": _PASSING,
        "1009": _OUR_BUG,
        "1010": _OUR_BUG,
        TOO_MANY_IN_LIST: _OUR_BUG,
        TOO_MANY_CONTACTS: _OUR_BUG,
        "4090": _PASSING,
        "4091": _OUR_SETTINGS,
        "4092": _OUR_SETTINGS,
        "4093": _Verdict(FailureClass.CONFIGURATION, retryable=False, may_fail_over=False),
    }
)


class Item(msgspec.Struct, frozen=True):
    """What Celcom says of one message, or of a whole request; everything may be missing."""

    response_code: Scalar = msgspec.field(name="response-code", default=None)
    #: The same, as the documented success answer spells it.
    respose_code: Scalar = msgspec.field(name="respose-code", default=None)
    response_description: Scalar = msgspec.field(name="response-description", default=None)
    mobile: Scalar = None
    messageid: Scalar = None
    clientsmsid: Scalar = None
    networkid: Scalar = None

    @property
    def code(self) -> str:
        """The response code, however it is spelt."""
        return plain(self.response_code) or plain(self.respose_code)

    @property
    def description(self) -> str:
        """The words beside the code, as far as they are looked at."""
        return plain(self.response_description)[:_DESCRIPTION_MAX]

    @property
    def is_addressed(self) -> bool:
        """Whether it says which message it is about."""
        return bool(plain(self.clientsmsid) or plain(self.mobile) or reference_of(self.messageid))


class _Body(Item, frozen=True):
    responses: list[Item] | None = None


class Reply(NamedTuple):
    """An answer, sorted into what concerns single messages and what concerns all of them."""

    items: Sequence[Item]
    #: Set when the request as a whole was answered.
    whole: Item | None


_DECODER = msgspec.json.Decoder(_Body | list[Item])


def read_reply(answer: Answer) -> Reply:
    """Read the answer to a send, whatever its HTTP status; raises CallFailed."""
    try:
        body = decode(_DECODER, answer.body)
    except Unreadable:
        raise unreadable(answer) from None
    if isinstance(body, _Body) and not body.responses:
        if not body.code:
            raise unreadable(answer)
        return Reply((), whole=body)
    items = body if isinstance(body, list) else body.responses or ()
    if not items:
        raise unreadable(answer)
    if len(items) == 1 and not items[0].is_addressed and items[0].code != ACCEPTED:
        return Reply((), whole=items[0])
    return Reply(items, whole=None)


def sole_item(submission: Submission, reply: Reply) -> Item | None:
    """Return what was answered for the only message of a call."""
    if reply.whole is not None:
        return reply.whole
    if len(reply.items) == 1:
        # One question, one answer: an echo that came back mangled changes nothing.
        return reply.items[0]
    return align((submission,), reply.items)[0]


def align(batch: Batch, items: Sequence[Item]) -> list[Item | None]:
    """Return each message's answer by our id, else by its number; None where that is not clear."""
    by_id: dict[str, list[Item]] = {}
    by_tail: dict[str, list[Item]] = {}
    for item in items:
        client_id = plain(item.clientsmsid).lower()
        if client_id:
            by_id.setdefault(client_id, []).append(item)
        else:
            # Samples of refusals carry the number and no id.
            by_tail.setdefault(_tail(plain(item.mobile)), []).append(item)
    tails = [_tail(submission.to) for submission in batch]
    aligned: list[Item | None] = []
    for submission, tail in zip(batch, tails, strict=True):
        found = by_id.get(submission.message_id.hex, [])
        if not found and tails.count(tail) == 1:
            found = by_tail.get(tail, [])
        aligned.append(found[0] if len(found) == 1 else None)
    return aligned


def needs_balance(items: Sequence[Item]) -> bool:
    """Say whether a refusal for lack of credit can only be judged with the balance."""
    return any(
        item.code == LOW_CREDIT and _stated_shortage(item.description) is None for item in items
    )


class Judge:
    """Turns an answer into an outcome, and hides what must not be kept."""

    def __init__(self, aggregator: str, secrets: tuple[str, ...]) -> None:
        self._aggregator = aggregator
        self._secrets = secrets

    def outcome(
        self, submission: Submission, item: Item | None, balance: Amount | None = None
    ) -> Outcome:
        """Return what became of one message."""
        if item is None or not item.code:
            return OutcomeUnknown("The provider's answer does not say what became of the message.")
        reference = reference_of(item.messageid)
        if item.code == ACCEPTED:
            if reference is None:
                return OutcomeUnknown("The provider accepted the message and named no id for it.")
            network = scrub(plain(item.networkid), secrets=self._secrets)
            return Receipt(reference, network=scrub_code(network) or None)
        return self._refusal(submission, item, reference, balance)

    def _refusal(
        self, submission: Submission, item: Item, reference: str | None, balance: Amount | None
    ) -> Outcome:
        # Whatever a provider echoes as its code: never our key, nor what the message says.
        code = scrub_code(scrub(item.code, text=submission.text, secrets=self._secrets))
        verdict = _verdict(submission, item, balance)
        if verdict is None:
            _log.error("provider_code_not_recognised", aggregator=self._aggregator, code=code)
            if reference is not None:
                # Only what is taken gets an id, so this may have been sent.
                return OutcomeUnknown(f"The provider named an id and a code we do not know: {code}")
            verdict = _OUR_BUG
        return SendFailed(
            verdict.failure,
            provider_code=code,
            detail=scrub(item.description, text=submission.text, secrets=self._secrets),
            retryable=verdict.retryable,
            may_fail_over=verdict.may_fail_over,
            of_sender=code == SENDER_UNKNOWN,
        )


def _verdict(submission: Submission, item: Item, balance: Amount | None) -> _Verdict | None:
    if item.code == INVALID_MOBILE:
        # Celcom answers this for prefixes that it does not serve, too.
        may_fail_over = _is_valid(submission.to)
        return _Verdict(FailureClass.RECIPIENT, retryable=False, may_fail_over=may_fail_over)
    if item.code == LOW_CREDIT:
        return _NO_CREDIT if _is_out_of_credit(item.description, balance) else _NO_ROUTE
    return _VERDICTS.get(item.code)


def _is_out_of_credit(description: str, balance: Amount | None) -> bool:
    """Tell an empty account from a number that Celcom cannot route: both are 1004."""
    stated = _stated_shortage(description)
    if stated is not None:
        return stated
    if balance is not None:
        return balance.micros < _ONE_UNIT_MICROS
    return "lowcreditunits" in folded(description)


def _stated_shortage(description: str) -> bool | None:
    match = _FIGURES.search(description)
    if match is None:
        return None
    current, required = map(parse_amount, match.groups())
    if current is None or required is None:
        return None
    return current.micros < required.micros


def _is_valid(number: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return False


def _tail(number: str) -> str:
    return "".join(char for char in number if char.isdecimal())[-_TAIL_LENGTH:]
