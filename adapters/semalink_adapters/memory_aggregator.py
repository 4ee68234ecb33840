"""An aggregator in memory that does what it is told; for tests."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from semalink.application.ports import (
    DeliveryReport,
    FetchedReport,
    OptOutNotice,
    OutcomeUnknown,
    Receipt,
    ReportNotFetched,
    SendFailed,
    Submission,
    UnreadableReport,
)

#: What one submission comes to.
Outcome = Receipt | SendFailed | OutcomeUnknown

_decoder = msgspec.json.Decoder(list[DeliveryReport])
_notices = msgspec.json.Decoder(list[OptOutNotice])


class MemoryAggregator:
    """Takes every message, unless outcomes are scripted; keeps what it was handed."""

    def __init__(self, name: str, outcomes: Iterable[Outcome] = ()) -> None:
        self._name = name
        #: What the next submissions come to, in order; after them, all are taken.
        self.outcomes = deque(outcomes)
        #: True: submissions reach it and are never answered.
        self.hangs = False
        self._woken = asyncio.Event()
        #: Every submission that reached this aggregator, in order.
        self.submissions: list[Submission] = []
        #: What can be asked for, by reference.
        self.reports: dict[str, DeliveryReport] = {}
        #: Every reference that was asked for, in order.
        self.questions: list[str] = []

    @property
    def name(self) -> str:
        """The name that events and callback paths carry."""
        return self._name

    async def submit(self, submission: Submission) -> Receipt:
        """Take one message, or do what the script says."""
        outcome = self._next(submission)
        if self.hangs:
            await self._woken.wait()
        if isinstance(outcome, Receipt):
            return outcome
        raise outcome

    def wake(self) -> None:
        """Answer now whatever was kept waiting."""
        self._woken.set()

    async def submit_many(self, submissions: Sequence[Submission]) -> Sequence[Outcome]:
        """Take several messages, or do what the script says of each."""
        outcomes = [self._next(submission) for submission in submissions]
        if self.hangs:
            await self._woken.wait()
        return outcomes

    async def fetch_report(self, reference: str) -> FetchedReport | None:
        """Return what was put into ``reports``; raises ReportNotFetched while it hangs."""
        self.questions.append(reference)
        if self.hangs:
            msg = "It hangs."
            raise ReportNotFetched(msg)
        report = self.reports.get(reference)
        if report is None:
            return None
        return FetchedReport(report, "application/json", write_reports(report))

    async def fetch_balance(self) -> str | None:
        """Return nothing: there is no money here."""
        return None

    def parse_reports(self, body: bytes, content_type: str) -> Sequence[DeliveryReport]:
        """Read what ``write_reports`` wrote; raises UnreadableReport."""
        try:
            return _decoder.decode(body)
        except msgspec.MsgspecError as unreadable:
            msg = "The report is not a list of reports."
            raise UnreadableReport(msg) from unreadable

    def parse_opt_outs(self, body: bytes, content_type: str) -> Sequence[OptOutNotice]:
        """Read what ``write_opt_outs`` wrote; raises UnreadableReport."""
        try:
            return _notices.decode(body)
        except msgspec.MsgspecError as unreadable:
            msg = "The body is not a list of opt-outs."
            raise UnreadableReport(msg) from unreadable

    def _next(self, submission: Submission) -> Outcome:
        self.submissions.append(submission)
        if self.outcomes:
            return self.outcomes.popleft()
        return Receipt(f"{self._name}-{len(self.submissions)}")


def write_reports(*reports: DeliveryReport) -> bytes:
    """Write reports as MemoryAggregator reads them."""
    return msgspec.json.encode(reports)


def write_opt_outs(*notices: OptOutNotice) -> bytes:
    """Write opt-outs as MemoryAggregator reads them."""
    return msgspec.json.encode(notices)
