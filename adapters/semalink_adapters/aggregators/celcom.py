"""Celcom Africa, and every sibling that speaks its format: settings, calls."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import aiohttp
import msgspec
import structlog

from semalink.application.ports import (
    DeliveryReport,
    FetchedReport,
    OptOutNotice,
    Receipt,
    ReportNotFetched,
    Submission,
    UnreadableReport,
)
from semalink_adapters.aggregators.batches import (
    Batch,
    Outcome,
    halves,
    split_batches,
    submit_batches,
)
from semalink_adapters.aggregators.celcom_answers import (
    SPLIT_CODES,
    Item,
    Judge,
    align,
    needs_balance,
    read_reply,
    sole_item,
)
from semalink_adapters.aggregators.celcom_reports import parse_pulled, parse_reports
from semalink_adapters.aggregators.exchange import (
    Answer,
    CallFailed,
    Exchange,
    Timeouts,
    check_base_url,
)
from semalink_adapters.aggregators.kept_answers import keep_answer
from semalink_adapters.aggregators.wording import (
    Amount,
    Scalar,
    Unreadable,
    decode,
    parse_amount,
    plain,
)

_log = structlog.get_logger()

CELCOM_URL = "https://isms.celcomafrica.com"
_JSON = "application/json"
#: The question was turned away before anybody looked the message up.
_NOT_LOOKED_AT = frozenset({401, 403, 429})
_CALLS = ("sendsms", "sendbulk", "getdlr", "getbalance")


@dataclass(frozen=True, slots=True, kw_only=True)
class CelcomSettings:
    """Our account at Celcom, and the limits that it works under."""

    partner_id: str
    api_key: str = field(repr=False)
    base_url: str = CELCOM_URL
    #: Whether paths end in a slash; getbalance answers nothing with one.
    trailing_slash: bool = False
    #: Messages in one sendbulk. The family documents between 20 and 1,000.
    bulk_limit: int = 20
    #: Calls of sendbulk at once; below the session's limit, for waiting counts as connecting.
    bulk_calls_at_once: int = 4
    timeouts: Timeouts = field(default_factory=Timeouts)
    connect_retry_seconds: float = 0.1

    def __post_init__(self) -> None:
        check_base_url(self.base_url)
        if self.bulk_limit < 1 or self.bulk_calls_at_once < 1:
            raise ValueError("A bulk call takes at least one message.")


class _Send(msgspec.Struct, frozen=True):
    partner_id: str = msgspec.field(name="partnerID")
    apikey: str
    #: Our id of the message, by which answers are told apart.
    clientsmsid: str
    #: Without the plus sign.
    mobile: str
    message: str
    shortcode: str
    encoding: str = msgspec.field(name="pass_type", default="plain")


class _SendBulk(msgspec.Struct, frozen=True):
    count: int
    smslist: list[_Send]


class _Balance(msgspec.Struct, frozen=True):
    credit: Scalar = None


_encode = msgspec.json.Encoder().encode
_BALANCE_DECODER = msgspec.json.Decoder(_Balance)


class Celcom:
    """Implements the port Aggregator over Celcom's JSON services."""

    def __init__(
        self, settings: CelcomSettings, session: aiohttp.ClientSession, *, name: str = "celcom"
    ) -> None:
        self._name = name
        self._settings = settings
        self._exchange = Exchange(
            session,
            headers={"Accept": _JSON},
            timeouts=settings.timeouts,
            connect_retry_seconds=settings.connect_retry_seconds,
        )
        self._urls = _urls(settings)
        self._credentials = {"apikey": settings.api_key, "partnerID": settings.partner_id}
        self._secrets = (settings.api_key, settings.partner_id)
        self._judge = Judge(name, self._secrets)
        self._bulk_slots = asyncio.Semaphore(settings.bulk_calls_at_once)

    @property
    def name(self) -> str:
        """Stable name of this account, in events and callback paths."""
        return self._name

    async def submit(self, submission: Submission) -> Receipt:
        """Hand over one message with sendsms."""
        outcome = await self._submit_one(submission)
        if not isinstance(outcome, Receipt):
            raise outcome
        return outcome

    async def submit_many(self, submissions: Sequence[Submission]) -> Sequence[Outcome]:
        """Hand over several messages with sendbulk, one sender a call."""
        batches = split_batches(
            submissions, key=lambda each: each.sender, limit=self._settings.bulk_limit
        )
        return await submit_batches(submissions, batches, self._submit_batch, self._bulk_slots)

    async def fetch_report(self, reference: str) -> FetchedReport | None:
        """Ask getdlr for the state of one message; None while there is none."""
        request = {**self._credentials, "messageID": reference}
        try:
            answer = await self._exchange.post(self._urls["getdlr"], _encode(request), _JSON)
        except CallFailed as failed:
            _log.warning("report_fetch_failed", aggregator=self._name, reason=str(failed))
            raise ReportNotFetched(str(failed)) from None
        report = parse_pulled(self._name, reference, answer.body)
        if report is not None:
            return FetchedReport(report, _JSON, answer.body)
        if answer.status in _NOT_LOOKED_AT or answer.status >= 500:
            _log.warning("report_fetch_failed", aggregator=self._name, status=answer.status)
            msg = f"The provider answered HTTP {answer.status}."
            raise ReportNotFetched(msg)
        return None

    async def fetch_balance(self) -> str | None:
        """Ask getbalance for the units that are left; an error is None, never zero."""
        body = _encode(self._credentials)
        try:
            answer = await self._exchange.post(self._urls["getbalance"], body, _JSON)
            credit = plain(decode(_BALANCE_DECODER, answer.body).credit)
        except (CallFailed, Unreadable) as failed:
            _log.warning("balance_fetch_failed", aggregator=self._name, reason=str(failed))
            return None
        return credit if parse_amount(credit) is not None else None

    def parse_reports(self, body: bytes, content_type: str) -> Sequence[DeliveryReport]:
        """Read a pushed report, of the shape of a push or of getdlr."""
        return parse_reports(self._name, body)

    def parse_opt_outs(self, body: bytes, content_type: str) -> Sequence[OptOutNotice]:
        """Read nothing: Celcom documents no such callback; raises UnreadableReport."""
        raise UnreadableReport("Celcom pushes no opt-outs that anybody documented.")

    async def _submit_batch(self, batch: Batch) -> Sequence[Outcome]:
        if len(batch) == 1:
            return [await self._submit_one(batch[0])]
        request = _SendBulk(len(batch), [self._body_of(submission) for submission in batch])
        try:
            reply = read_reply(await self._post("sendbulk", request))
        except CallFailed as failed:
            return [failed.outcome() for _ in batch]
        if reply.whole is not None and reply.whole.code in SPLIT_CODES:
            left, right = halves(batch)
            return [*await self._submit_batch(left), *await self._submit_batch(right)]
        items = [reply.whole] * len(batch) if reply.whole else align(batch, reply.items)
        balance = await self._balance_for([item for item in items if item])
        return [
            self._judge.outcome(submission, item, balance)
            for submission, item in zip(batch, items, strict=True)
        ]

    async def _submit_one(self, submission: Submission) -> Outcome:
        try:
            answer = await self._post("sendsms", self._body_of(submission))
        except CallFailed as failed:
            return failed.outcome()
        outcome = await self._judged(submission, answer)
        return keep_answer(outcome, answer.body, submission, self._secrets)

    async def _judged(self, submission: Submission, answer: Answer) -> Outcome:
        try:
            reply = read_reply(answer)
        except CallFailed as failed:
            return failed.outcome()
        item = sole_item(submission, reply)
        balance = await self._balance_for([item] if item else [])
        return self._judge.outcome(submission, item, balance)

    async def _post(self, call: str, request: _Send | _SendBulk) -> Answer:
        return await self._exchange.post(self._urls[call], _encode(request), _JSON)

    async def _balance_for(self, items: Sequence[Item]) -> Amount | None:
        if not needs_balance(items):
            return None
        balance = await self.fetch_balance()
        return None if balance is None else parse_amount(balance)

    def _body_of(self, submission: Submission) -> _Send:
        settings = self._settings
        return _Send(
            partner_id=settings.partner_id,
            apikey=settings.api_key,
            clientsmsid=submission.message_id.hex,
            mobile=submission.to.removeprefix("+"),
            message=submission.text,
            shortcode=submission.sender,
        )


def _urls(settings: CelcomSettings) -> Mapping[str, str]:
    base = settings.base_url.rstrip("/")
    slash = "/" if settings.trailing_slash else ""
    return MappingProxyType({call: f"{base}/api/services/{call}{slash}" for call in _CALLS})
