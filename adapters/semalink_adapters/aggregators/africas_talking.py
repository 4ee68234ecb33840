"""Africa's Talking: settings, calls."""

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

import aiohttp
import msgspec
import structlog

from semalink.application.ports import (
    DeliveryReport,
    FetchedReport,
    OptOutNotice,
    Receipt,
    Submission,
)
from semalink.domain.ids import MessageId
from semalink_adapters.aggregators.africas_talking_answers import (
    Judge,
    is_worth_splitting,
    read_reply,
)
from semalink_adapters.aggregators.africas_talking_reports import parse_opt_outs, parse_reports
from semalink_adapters.aggregators.batches import (
    Batch,
    Outcome,
    halves,
    split_batches,
    submit_batches,
)
from semalink_adapters.aggregators.exchange import (
    Answer,
    CallFailed,
    Exchange,
    Timeouts,
    check_base_url,
)
from semalink_adapters.aggregators.kept_answers import keep_answer
from semalink_adapters.aggregators.wording import (
    Scalar,
    Unreadable,
    decode,
    parse_amount,
    plain,
)

_log = structlog.get_logger()

AFRICAS_TALKING_URL = "https://api.africastalking.com"
_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True, kw_only=True)
class AfricasTalkingSettings:
    """Our account at Africa's Talking, and the limits that it works under."""

    username: str
    api_key: str = field(repr=False)
    base_url: str = AFRICAS_TALKING_URL
    #: Recipients in one bulk call. 1 never makes one: their own sandbox has no bulk endpoint.
    bulk_limit: int = 100
    #: Batches under way at once; below the session's limit, for waiting counts as connecting.
    bulk_calls_at_once: int = 8
    #: Whether they may answer before they pass the message on.
    enqueue: bool = True
    timeouts: Timeouts = field(default_factory=Timeouts)
    connect_retry_seconds: float = 0.1

    def __post_init__(self) -> None:
        check_base_url(self.base_url)
        if self.bulk_limit < 1 or self.bulk_calls_at_once < 1:
            raise ValueError("A bulk call takes at least one message.")
        if not (self.api_key.isascii() and self.api_key.isprintable()):
            raise ValueError("The API key cannot travel in a header.")


class _Bulk(msgspec.Struct, frozen=True, rename="camel"):
    username: str
    message: str
    sender_id: str
    phone_numbers: list[str]
    enqueue: int


class _User(msgspec.Struct, frozen=True):
    balance: Scalar = None


class _Balance(msgspec.Struct, frozen=True):
    """Their page spells the key both ways."""

    user: _User | None = msgspec.field(name="userData", default=None)
    user_capitalised: _User | None = msgspec.field(name="UserData", default=None)


_encode = msgspec.json.Encoder().encode
_BALANCE_DECODER = msgspec.json.Decoder(_Balance)


class AfricasTalking:
    """Implements the port Aggregator over the form, the bulk and the user endpoint."""

    def __init__(
        self,
        settings: AfricasTalkingSettings,
        session: aiohttp.ClientSession,
        *,
        name: str = "africastalking",
    ) -> None:
        self._name = name
        self._settings = settings
        self._exchange = Exchange(
            session,
            headers={"Accept": _JSON, "apiKey": settings.api_key},
            timeouts=settings.timeouts,
            connect_retry_seconds=settings.connect_retry_seconds,
        )
        base = settings.base_url.rstrip("/") + "/version1"
        self._send_url = f"{base}/messaging"
        self._bulk_url = f"{base}/messaging/bulk"
        self._user_url = f"{base}/user?{urlencode({'username': settings.username})}"
        self._secrets = (settings.api_key, settings.username)
        self._judge = Judge(name, self._secrets)
        self._bulk_slots = asyncio.Semaphore(settings.bulk_calls_at_once)

    @property
    def name(self) -> str:
        """Stable name of this account, in events and callback paths."""
        return self._name

    async def submit(self, submission: Submission) -> Receipt:
        """Hand over one message with the form."""
        (outcome,) = await self._send(
            [submission], self._send_url, self._form_of(submission), _FORM
        )
        if not isinstance(outcome, Receipt):
            raise outcome
        return outcome

    async def submit_many(self, submissions: Sequence[Submission]) -> Sequence[Outcome]:
        """Hand over several messages: one bulk call for each text and sender."""
        batches = split_batches(
            submissions, key=_together(submissions), limit=self._settings.bulk_limit
        )
        return await submit_batches(submissions, batches, self._submit_batch, self._bulk_slots)

    async def fetch_report(self, reference: str) -> FetchedReport | None:
        """Answer None: no call of theirs tells the state of one message."""
        return None

    async def fetch_balance(self) -> str | None:
        """Ask what is left, e.g. "KES 1785.50"; an error is None, never zero."""
        try:
            answer = await self._exchange.get(self._user_url)
            body = decode(_BALANCE_DECODER, answer.body)
        except (CallFailed, Unreadable) as failed:
            _log.warning("balance_fetch_failed", aggregator=self._name, reason=str(failed))
            return None
        user = body.user or body.user_capitalised
        balance = plain(user.balance) if user else ""
        return balance if parse_amount(balance) is not None else None

    def parse_reports(self, body: bytes, content_type: str) -> Sequence[DeliveryReport]:
        """Read one pushed form."""
        return parse_reports(self._name, body)

    def parse_opt_outs(self, body: bytes, content_type: str) -> Sequence[OptOutNotice]:
        """Read a pushed opt-out; raises UnreadableReport."""
        return parse_opt_outs(body)

    async def _submit_batch(self, batch: Batch) -> Sequence[Outcome]:
        if len(batch) == 1:
            form = self._form_of(batch[0])
            return await self._send(batch, self._send_url, form, _FORM)
        return await self._send(batch, self._bulk_url, self._bulk_of(batch), _JSON)

    async def _send(
        self, batch: Batch, url: str, body: bytes, content_type: str
    ) -> Sequence[Outcome]:
        try:
            answer = await self._exchange.post(url, body, content_type)
        except CallFailed as failed:
            return [failed.outcome() for _ in batch]
        outcomes = await self._judged(batch, answer)
        if len(batch) > 1:
            return outcomes
        return [keep_answer(outcomes[0], answer.body, batch[0], self._secrets)]

    async def _judged(self, batch: Batch, answer: Answer) -> Sequence[Outcome]:
        try:
            reply = read_reply(answer)
        except CallFailed as failed:
            return [failed.outcome() for _ in batch]
        if len(batch) > 1 and is_worth_splitting(reply):
            left, right = halves(batch)
            return [*await self._submit_batch(left), *await self._submit_batch(right)]
        return self._judge.outcomes(batch, reply)

    def _form_of(self, submission: Submission) -> bytes:
        fields = {
            "username": self._settings.username,
            "to": submission.to,
            "message": submission.text,
            "from": submission.sender,
            "bulkSMSMode": "1",
            "enqueue": "1" if self._settings.enqueue else "0",
        }
        return urlencode(fields).encode()

    def _bulk_of(self, batch: Batch) -> bytes:
        first = batch[0]
        return _encode(
            _Bulk(
                username=self._settings.username,
                message=first.text,
                sender_id=first.sender,
                phone_numbers=[submission.to for submission in batch],
                enqueue=int(self._settings.enqueue),
            )
        )


def _together(submissions: Sequence[Submission]) -> Callable[[Submission], Hashable]:
    """Return a key by which one number comes once in a call: answers name only the number."""
    seen: Counter[Hashable] = Counter()
    keys: dict[MessageId, Hashable] = {}
    for submission in submissions:
        content = (submission.sender, submission.text)
        occurrence = seen[content, submission.to]
        seen[content, submission.to] += 1
        keys[submission.message_id] = (*content, occurrence)
    return lambda submission: keys[submission.message_id]
