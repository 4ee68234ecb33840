"""Why a message went as it did: each attempt with its answer, what it cost, what was reported."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import msgspec

from semalink.application.event_view import Reader, history_of
from semalink.application.message_view import Failure, failure_of
from semalink.application.provider_words import hide_amounts
from semalink.application.reading import EventView, Reads
from semalink.domain import message_steps as steps
from semalink.domain.ids import MESSAGE_PREFIX, format_id
from semalink.domain.message import Message
from semalink.domain.refunds import REFUNDED
from semalink.domain.segments import measure

_MILLISECOND = timedelta(milliseconds=1)
_ENDINGS = (steps.Failed, steps.Rejected, steps.Expired, steps.Unknown, steps.Cancelled)


class Forced(msgspec.Struct, frozen=True):
    """A character outside GSM-7, for which the whole text travels in UCS-2."""

    character: str
    #: Every index of it in the text, counted in code points from 0.
    positions: tuple[int, ...]


class TextFacts(msgspec.Struct, frozen=True):
    """What the text takes on the air, and which characters set its encoding."""

    encoding: str
    #: Septets in GSM-7, UTF-16 code units in UCS-2.
    units: int
    segments: int
    forcing_characters: list[Forced]


class PriceFacts(msgspec.Struct, frozen=True):
    """What was agreed at acceptance. Money is in micros."""

    price_micros: int
    #: What leaves the credits that pay; null where they are another's.
    cost_micros: int | None
    #: The prices that were applied, with their version; null where they are another's.
    priced_by: str | None
    #: Final states after which a charge is given back.
    refunded_on: list[str]


class Attempt(msgspec.Struct, frozen=True):
    """One call to an aggregator: why this one, and what came of it."""

    number: int
    aggregator: str
    #: Why this route was chosen; null in messages of before this was kept.
    reason: str | None
    #: The figures of the routes at that instant; null as above.
    health: dict[str, dict[str, int | str]] | None
    possible_duplicate: bool
    started_at: datetime
    #: "accepted", "refused", "unknown" or "in_flight".
    outcome: str
    ended_at: datetime | None
    #: From the start of the call to its recorded end.
    milliseconds: int | None
    #: What the aggregator answered, without keys, phone numbers and the text, up to 2 KiB; null
    #: when nothing came, or nothing was kept. Only operators read sums of money in it.
    answer: str | None
    #: The aggregator's id of the message.
    reference: str | None
    #: What the aggregator says it charged the platform; null but for operators.
    provider_cost: str | None
    failure: Failure | None
    provider_code: str | None
    provider_detail: str | None
    #: When the message was offered again, after every route refused it for now.
    retry_at: datetime | None
    #: Until when a report was waited for, after an answer was lost.
    waits_until: datetime | None


class Report(msgspec.Struct, frozen=True):
    """A delivery report that changed something."""

    at: datetime
    #: In our words: a final state, or one on the way to it.
    state: str
    #: In the provider's words.
    description: str
    failure: Failure | None
    reported_by: str
    #: Where the report is kept as it came.
    request_id: str


class Timing(msgspec.Struct, frozen=True):
    """When a step was taken."""

    step: str
    at: datetime
    #: Since the step before, and since acceptance.
    milliseconds: int
    total_milliseconds: int


class Explanation(msgspec.Struct, frozen=True):
    """Everything that was decided about one message, and why."""

    id: str
    status: str
    text: TextFacts
    price: PriceFacts
    attempts: list[Attempt]
    #: What was reserved, charged, released and refunded.
    credits: list[EventView]
    reports: list[Report]
    timing: list[Timing]


class ExplainingReads(Reads, Protocol):
    """Reads that also explain."""

    async def explanation(self, message_id: UUID, account_id: UUID | None) -> Explanation | None:
        """Return why a message went as it did; None and hidden figures as for ``history``."""
        ...


def explain(events: Sequence[Any], reader: Reader) -> Explanation:
    """Explain a message from its steps and the entries of its credits, oldest first."""
    asked = next(event for event in events if type(event) is Message.Created)
    message: Any = None
    for step in events:
        if isinstance(step, steps.Step):
            message = step.mutate(message)
    hides_provider = reader is not Reader.OPERATOR
    history = history_of(events, reader)
    return Explanation(
        id=format_id(MESSAGE_PREFIX, asked.originator_id),
        status=message.status.value,
        text=_text_of(asked),
        price=_price_of(asked, hides_payer=reader is Reader.SPONSORED),
        attempts=_attempts_of(events, hides_provider=hides_provider),
        credits=[view for view in history if view.name.startswith("credit.")],
        reports=[
            _report(step, hides_provider=hides_provider) for step in events if _is_report(step)
        ],
        timing=_timing_of(history),
    )


def _text_of(asked: Message.Created) -> TextFacts:
    measured = measure(asked.text)
    forcing = [Forced(one.character, one.positions) for one in measured.forcing_characters]
    return TextFacts(asked.encoding, measured.units, asked.segments, forcing)


def _price_of(asked: Message.Created, *, hides_payer: bool) -> PriceFacts:
    rule = REFUNDED if asked.refunded_on is None else asked.refunded_on
    cost = asked.price_micros if asked.cost_micros is None else asked.cost_micros
    return PriceFacts(
        price_micros=asked.price_micros,
        cost_micros=None if hides_payer else cost,
        priced_by=None if hides_payer else asked.priced_by or None,
        refunded_on=sorted(rule),
    )


def _attempts_of(events: Iterable[Any], *, hides_provider: bool) -> list[Attempt]:
    attempts: dict[int, Attempt] = {}
    for step in events:
        if isinstance(step, steps.SubmitStarted):
            attempts[step.attempt] = _started(step)
        elif isinstance(step, steps.Submitted | steps.SubmitRefused | steps.OutcomeUnknown):
            begun = attempts[step.attempt]
            facts = _outcome(step, hides_provider=hides_provider)
            attempts[step.attempt] = msgspec.structs.replace(begun, **_ended(begun, step), **facts)
    return list(attempts.values())


def _started(step: steps.SubmitStarted) -> Attempt:
    return Attempt(
        number=step.attempt,
        aggregator=step.aggregator,
        reason=step.reason or None,
        health=step.health,
        possible_duplicate=step.possible_duplicate,
        started_at=step.timestamp,
        outcome="in_flight",
        ended_at=None,
        milliseconds=None,
        answer=None,
        reference=None,
        provider_cost=None,
        failure=None,
        provider_code=None,
        provider_detail=None,
        retry_at=None,
        waits_until=None,
    )


def _ended(
    begun: Attempt, step: steps.Submitted | steps.SubmitRefused | steps.OutcomeUnknown
) -> dict[str, Any]:
    milliseconds = (step.timestamp - begun.started_at) // _MILLISECOND
    return {"ended_at": step.timestamp, "milliseconds": milliseconds}


def _outcome(
    step: steps.Submitted | steps.SubmitRefused | steps.OutcomeUnknown, *, hides_provider: bool
) -> dict[str, Any]:
    facts: dict[str, Any] = {"answer": _words(step.answer, hides_provider=hides_provider)}
    if isinstance(step, steps.Submitted):
        return facts | {
            "outcome": "accepted",
            "reference": step.reference,
            "provider_cost": None if hides_provider else step.cost,
        }
    if isinstance(step, steps.SubmitRefused):
        return facts | {
            "outcome": "refused",
            "failure": failure_of(step.failure_code),
            "provider_code": step.provider_code,
            "provider_detail": _words(step.detail, hides_provider=hides_provider),
            "retry_at": step.retry_at,
        }
    return facts | {
        "outcome": "unknown",
        "provider_detail": step.reason,
        "waits_until": step.deadline_at,
    }


def _words(words: str | None, *, hides_provider: bool) -> str | None:
    return hide_amounts(words) if words and hides_provider else words


def _is_report(step: Any) -> bool:
    if isinstance(step, steps.ReportNoted | steps.Delivered):
        return True
    # An end that no report told has no words of a provider.
    return isinstance(step, _ENDINGS) and bool(step.description)


def _report(step: Any, *, hides_provider: bool) -> Report:
    state = step.state if isinstance(step, steps.ReportNoted) else step.TOPIC.split(".")[1]
    return Report(
        at=step.timestamp,
        state=state,
        description=hide_amounts(step.description) if hides_provider else step.description,
        failure=failure_of(getattr(step, "failure_code", None)),
        reported_by=step.actor,
        request_id=step.request_id,
    )


def _timing_of(history: Sequence[EventView]) -> list[Timing]:
    first = before = history[0].at
    timing = []
    for view in history:
        since = (view.at - before) // _MILLISECOND
        timing.append(Timing(view.name, view.at, since, (view.at - first) // _MILLISECOND))
        before = view.at
    return timing
