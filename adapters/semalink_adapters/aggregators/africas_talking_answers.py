"""Africa's Talking's answers to a send: their structs, their codes, and whose answer is whose."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import msgspec
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
    Scalar,
    Unreadable,
    decode,
    folded,
    plain,
    reference_of,
    scrub,
    scrub_code,
)

_log = structlog.get_logger()

_ACCEPTED_CODES = frozenset({"100", "101", "102"})
#: For answers without a statusCode, as older servers gave them.
_ACCEPTED_NAMES = frozenset({"processed", "sent", "success", "queued"})
_SENT_TO = re.compile(r"sent to\s+(\d{1,9})\s*/", re.IGNORECASE)


class _Verdict(NamedTuple):
    #: Their name for it, in the spelling of the send codes; what is stored as provider code.
    name: str
    failure: FailureClass
    retryable: bool
    may_fail_over: bool


def _verdict(
    name: str, failure: FailureClass, *, retryable: bool = False, may_fail_over: bool = False
) -> _Verdict:
    return _Verdict(name, failure, retryable, may_fail_over)


#: This sender id is not registered with them; others are.
_SENDER_UNKNOWN = "InvalidSenderId"

_VERDICTS: Mapping[str, _Verdict] = MappingProxyType(
    {
        "401": _verdict("RiskHold", FailureClass.HELD, may_fail_over=True),
        "402": _verdict(_SENDER_UNKNOWN, FailureClass.CONFIGURATION, may_fail_over=True),
        "403": _verdict("InvalidPhoneNumber", FailureClass.RECIPIENT),
        "404": _verdict("UnsupportedNumberType", FailureClass.RECIPIENT),
        "405": _verdict(
            "InsufficientBalance", FailureClass.PROVIDER_CREDIT, retryable=True, may_fail_over=True
        ),
        "406": _verdict("UserInBlacklist", FailureClass.OPTED_OUT),
        "407": _verdict("CouldNotRoute", FailureClass.ROUTE, may_fail_over=True),
        "409": _verdict("DoNotDisturbRejection", FailureClass.WINDOW, retryable=True),
        "500": _verdict(
            "InternalServerError", FailureClass.TRANSIENT, retryable=True, may_fail_over=True
        ),
        "501": _verdict("GatewayError", FailureClass.TRANSIENT, retryable=True, may_fail_over=True),
        # Practitioners disagree whether it passes; another route may know better than time.
        "502": _verdict("RejectedByGateway", FailureClass.ROUTE, may_fail_over=True),
    }
)
#: Refusals of a whole request carry the name alone.
_VERDICTS_BY_NAME = MappingProxyType({folded(each.name): each for each in _VERDICTS.values()})

#: Refusals that one recipient may have brought upon the others of a call.
_PERSONAL = frozenset({FailureClass.RECIPIENT, FailureClass.OPTED_OUT, FailureClass.WINDOW})


class Recipient(msgspec.Struct, frozen=True):
    """What is said of one recipient; everything may be missing."""

    status_code: Scalar = msgspec.field(name="statusCode", default=None)
    number: Scalar = None
    status: Scalar = None
    cost: Scalar = None
    message_id: Scalar = msgspec.field(name="messageId", default=None)

    @property
    def is_accepted(self) -> bool:
        """Whether the code says that the message was taken; the name only without a code."""
        code = plain(self.status_code)
        return code in _ACCEPTED_CODES if code else folded(self.words) in _ACCEPTED_NAMES

    @property
    def words(self) -> str:
        """The name beside the code."""
        return plain(self.status)


class Reply(msgspec.Struct, frozen=True):
    """What is said of one call."""

    message: Scalar = msgspec.field(name="Message", default=None)
    recipients: list[Recipient] | None = msgspec.field(name="Recipients", default=None)

    @property
    def reason(self) -> str:
        """Why the whole request was refused, when no recipient is named."""
        return plain(self.message)


class _Body(msgspec.Struct, frozen=True):
    reply: Reply | None = msgspec.field(name="SMSMessageData", default=None)


_DECODER = msgspec.json.Decoder(_Body)


def read_reply(answer: Answer) -> Reply:
    """Read the answer to a send, whatever its HTTP status; raises CallFailed."""
    try:
        reply = decode(_DECODER, answer.body).reply
    except Unreadable:
        raise unreadable(answer) from None
    if reply is None or not (reply.recipients or reply.reason):
        raise unreadable(answer)
    return reply


def is_worth_splitting(reply: Reply) -> bool:
    """Say whether a whole request was refused for what only one recipient can have caused."""
    verdict = _VERDICTS_BY_NAME.get(folded(reply.reason))
    return not reply.recipients and verdict is not None and verdict.failure in _PERSONAL


def align(batch: Batch, recipients: Sequence[Recipient]) -> list[Recipient | None]:
    """Return each message's answer by its number; None where that is not clear."""
    if len(batch) == len(recipients) == 1:
        return [recipients[0]]
    by_number: dict[str, list[Recipient]] = {}
    for recipient in recipients:
        by_number.setdefault(plain(recipient.number).removeprefix("+"), []).append(recipient)
    aligned: list[Recipient | None] = []
    for submission in batch:
        found = by_number.get(submission.to.removeprefix("+"), [])
        aligned.append(found[0] if len(found) == 1 else None)
    return aligned


class Judge:
    """Turns an answer into outcomes, and hides what must not be kept."""

    def __init__(self, aggregator: str, secrets: tuple[str, ...]) -> None:
        self._aggregator = aggregator
        self._secrets = secrets

    def outcomes(self, batch: Batch, reply: Reply) -> list[Outcome]:
        """Return what became of each message of one call, in order."""
        if not reply.recipients:
            return [self._whole_refused(submission, reply.reason) for submission in batch]
        aligned = align(batch, reply.recipients)
        return [
            self._outcome(submission, recipient)
            for submission, recipient in zip(batch, aligned, strict=True)
        ]

    def _whole_refused(self, submission: Submission, reason: str) -> Outcome:
        sent_to = _SENT_TO.match(reason)
        if sent_to is not None and int(sent_to[1]) > 0:
            return OutcomeUnknown("The provider says that it sent, and names no recipient.")
        return self._refused(submission, _VERDICTS_BY_NAME.get(folded(reason)), reason, reason)

    def _outcome(self, submission: Submission, recipient: Recipient | None) -> Outcome:
        if recipient is None:
            return OutcomeUnknown("The provider's answer does not say what became of the message.")
        reference = reference_of(recipient.message_id)
        code, words = plain(recipient.status_code), recipient.words
        if recipient.is_accepted:
            if reference is None:
                return OutcomeUnknown("The provider accepted the message and named no id for it.")
            return Receipt(reference, cost=scrub_code(plain(recipient.cost)) or None)
        if not code and not words:
            return OutcomeUnknown("The provider's answer does not say what became of the message.")
        verdict = _VERDICTS.get(code) if code else _VERDICTS_BY_NAME.get(folded(words))
        if verdict is None and reference is not None:
            self._shout(submission, code or words)
            # Only what is taken gets an id, so this may have been sent.
            return OutcomeUnknown("The provider named an id and a code that we do not know.")
        return self._refused(submission, verdict, code or words, words)

    def _refused(
        self, submission: Submission, verdict: _Verdict | None, code: str, words: str
    ) -> SendFailed:
        if verdict is None:
            verdict = _verdict(self._shout(submission, code), FailureClass.BUG)
        return SendFailed(
            verdict.failure,
            provider_code=verdict.name,
            detail=scrub(words, text=submission.text, secrets=self._secrets),
            retryable=verdict.retryable,
            may_fail_over=verdict.may_fail_over,
            of_sender=verdict.name == _SENDER_UNKNOWN,
        )

    def _shout(self, submission: Submission, code: str) -> str:
        """Log a code that we have no word for, and return it fit to be stored."""
        safe = scrub_code(scrub(code, text=submission.text, secrets=self._secrets))
        _log.error("provider_code_not_recognised", aggregator=self._aggregator, code=safe)
        return safe
