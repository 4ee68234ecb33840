"""What the outside must satisfy: aggregators, the ledger, the bus, clocks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from semalink.domain.ids import MessageId


class FailureClass(StrEnum):
    """Who can mend a refused submission, in one word; decides fail-over, alarm and final state."""

    #: The recipient's number cannot receive messages; never fails over.
    RECIPIENT = "recipient"
    #: The recipient opted out of this sender; recorded, never fails over.
    OPTED_OUT = "opted_out"
    #: Outside the permitted hours; never fails over.
    WINDOW = "window"
    #: The content was refused; never fails over.
    CONTENT = "content"
    #: This route does not serve the number.
    ROUTE = "route"
    #: Held by the provider for review.
    HELD = "held"
    #: Our settings at the provider are wrong: credentials, sender id.
    CONFIGURATION = "configuration"
    #: Our money at the provider is used up; pages ops.
    PROVIDER_CREDIT = "provider_credit"
    #: A passing fault of the provider, or throttling.
    TRANSIENT = "transient"
    #: Our request was wrong in a way that only a new release mends.
    BUG = "bug"


class SendFailed(Exception):
    """An aggregator certainly did not take the message."""

    def __init__(  # noqa: PLR0913 - what a refusal says
        self,
        failure: FailureClass,
        *,
        provider_code: str,
        detail: str,
        retryable: bool,
        may_fail_over: bool,
        answer: str | None = None,
        of_sender: bool = False,
    ) -> None:
        self.failure = failure
        #: Whether it concerns this sender id alone, so that it says nothing of the route.
        self.of_sender = of_sender
        #: The whole answer without keys, phone numbers or the text; None when there was none.
        self.answer = answer
        #: The provider's own code, e.g. "1004" or "UserInBlacklist"; "" when there is none.
        self.provider_code = provider_code
        #: The provider's own words, without numbers or text of the message.
        self.detail = detail
        self.retryable = retryable
        self.may_fail_over = may_fail_over
        super().__init__(f"{failure}: {provider_code} {detail}".strip())


class OutcomeUnknown(Exception):
    """The request left and no readable answer came: it was neither sent nor refused."""

    def __init__(self, *words: str, answer: str | None = None) -> None:
        #: What came, as in a SendFailed.
        self.answer = answer
        super().__init__(*words)


@dataclass(frozen=True, slots=True)
class Submission:
    """One message as an aggregator takes it."""

    message_id: MessageId
    #: E.164 with the plus sign.
    to: str
    text: str
    sender: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """An aggregator took the message; not yet delivery."""

    #: The provider's id of the message; its reports carry it.
    reference: str
    #: The provider's network code of the recipient, when it says one.
    network: str | None = None
    #: What the provider says it charged, verbatim, e.g. "KES 0.8000".
    cost: str | None = None
    #: The whole answer without keys, phone numbers or the text; it says nothing else.
    answer: str | None = field(default=None, compare=False)


class ReportState(StrEnum):
    """What a delivery report says, in our words."""

    #: The provider has it and waits (Celcom "Scheduled"); feeds the stall detector.
    QUEUED = "queued"
    #: On its way; not final.
    SUBMITTED = "submitted"
    DELIVERED = "delivered"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    #: The provider says that it does not know; final after a wait.
    UNKNOWN = "unknown"
    #: A status that we have no word for: stored, alarmed, never guessed.
    UNRECOGNISED = "unrecognised"


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """One delivery report of an aggregator, parsed."""

    reference: str
    state: ReportState
    #: The provider's own words for the state, e.g. "DeliveredToTerminal".
    description: str
    #: Stable snake_case code for what went wrong, e.g. "absent_subscriber"; None when nothing did.
    failure_code: str | None = None
    #: The recipient in E.164, when the report names it (Africa's Talking does, Celcom does not).
    to: str | None = None
    network: str | None = None
    opted_out: bool = False
    reported_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OptOutNotice:
    """A recipient told an aggregator not to hear of a sender id any more."""

    sender: str
    #: E.164 with the plus sign.
    number: str


class UnreadableReport(Exception):
    """A delivery report that lacks what any report must have; it stays stored as it came."""


@dataclass(frozen=True, slots=True)
class FetchedReport:
    """A report that was asked for: as it came, and what it says."""

    report: DeliveryReport
    content_type: str
    body: bytes


class ReportNotFetched(Exception):
    """The provider could not be asked, or gave no answer; nothing is known."""


class Aggregator(Protocol):
    """An SMS provider. ``submit`` raises SendFailed or OutcomeUnknown, and nothing else."""

    @property
    def name(self) -> str:
        """Stable name, e.g. "celcom"; stored in events and used in callback paths."""
        ...

    async def submit(self, submission: Submission) -> Receipt:
        """Hand over one message."""
        ...

    async def submit_many(
        self, submissions: Sequence[Submission]
    ) -> Sequence[Receipt | SendFailed | OutcomeUnknown]:
        """Hand over several messages in as few calls as the provider allows, in order."""
        ...

    async def fetch_report(self, reference: str) -> FetchedReport | None:
        """Ask for the state of one message; None when there is none yet or no call tells it.

        Raises ReportNotFetched.
        """
        ...

    async def fetch_balance(self) -> str | None:
        """What is left at the provider in its own words, e.g. "KES 1785.50"; None when unknown."""
        ...

    def parse_reports(self, body: bytes, content_type: str) -> Sequence[DeliveryReport]:
        """Read a pushed report; raises UnreadableReport."""
        ...

    def parse_opt_outs(self, body: bytes, content_type: str) -> Sequence[OptOutNotice]:
        """Read a pushed opt-out; raises UnreadableReport, also where the provider pushes none."""
        ...
