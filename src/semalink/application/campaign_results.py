"""What became of a campaign: counts, reasons, money, networks, and its curve over time."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol
from uuid import UUID

import msgspec

from semalink.application.left_out import reason_words
from semalink.domain.calendar import BUSINESS_TIME
from semalink.domain.failure_codes import describe
from semalink.domain.ids import CAMPAIGN_PREFIX, format_id

#: Widths of a point of the curve, by what the API calls them, in seconds.
BUCKETS: Mapping[str, int] = {"1m": 60, "5m": 300, "15m": 900, "1h": 3_600, "1d": 86_400}
#: The narrowest width with which a curve has no more points than this is chosen by itself.
POINTS_MAX = 120
#: The pace of so long decides when a campaign is through.
_PACE_MINUTES = 5
_MINUTE = timedelta(minutes=1)

_ENDS = ("delivered", "failed", "rejected", "expired", "cancelled", "unknown")


class ResultRow(NamedTuple):
    """Messages of one network that stand alike."""

    network: str
    status: str
    failure_code: str
    messages: int
    submitted: int
    segments: int
    price_micros: int
    charged_micros: int
    refunded_micros: int


class CurveRow(NamedTuple):
    """What happened in one minute."""

    minute: datetime
    accepted: int
    submitted: int
    delivered: int
    ended: int


@dataclass(frozen=True, slots=True)
class CampaignFacts:
    """What is known of a campaign, all of one instant."""

    campaign_id: UUID
    name: str
    state: str
    mode: str
    #: Everything that was recorded before this instant is counted.
    as_of: datetime
    #: Messages that it is to send; None while it was not checked.
    message_count: int | None
    #: Recipients that get none, by reason.
    left_out: Mapping[str, int]
    #: What was set aside for it, and what of that went back, in the owner's own prices.
    reserved_micros: int
    started_at: datetime | None
    completed_at: datetime | None
    settled_at: datetime | None
    #: Whether its messages were moved into the archive, so that only their sums are at hand.
    is_archived: bool = False
    #: Whether all messages that it made until it ended are in the read models.
    is_listed: bool = True
    results: Sequence[ResultRow] = field(default=(), repr=False)
    curve: Sequence[CurveRow] = field(default=(), repr=False)


class CampaignCounts(msgspec.Struct, frozen=True):
    """Messages by where they stand now.

    accepted = waiting + under_way + delivered + failed + rejected + expired + cancelled + unknown.
    """

    #: All that exist so far.
    accepted: int
    #: Those that an aggregator took, whatever became of them.
    submitted: int
    #: Not yet handed to an aggregator.
    waiting: int
    #: With an aggregator, and no final report yet.
    under_way: int
    delivered: int
    failed: int
    rejected: int
    expired: int
    cancelled: int
    unknown: int


class CampaignFailure(msgspec.Struct, frozen=True):
    """Messages that were not delivered for the same reason."""

    status: str
    code: str
    detail: str
    who_can_fix: str
    retryable: bool
    count: int


class CampaignLeftOut(msgspec.Struct, frozen=True):
    """Recipients that get no message for the same reason; they cost nothing."""

    reason: str
    detail: str
    count: int


class CampaignMoney(msgspec.Struct, frozen=True):
    """What the campaign costs, in micros of a credit; your own prices."""

    #: Of the messages that were accepted so far.
    price_micros: int
    charged_micros: int
    refunded_micros: int
    #: Charged less refunded.
    cost_micros: int
    #: Set aside at the start, for all of it.
    reserved_micros: int
    #: Of that, neither charged nor given back yet.
    still_reserved_micros: int
    #: Of that, given back because it was not spent.
    released_micros: int


class CampaignNetwork(msgspec.Struct, frozen=True):
    """What became of the messages to one network."""

    #: Null: nobody told which.
    network: str | None
    accepted: int
    submitted: int
    delivered: int
    #: Ended in another way.
    not_delivered: int
    segments: int
    charged_micros: int
    refunded_micros: int


class CurvePoint(msgspec.Struct, frozen=True):
    """What happened in a span of time that begins at ``at``."""

    at: datetime
    accepted: int
    submitted: int
    delivered: int
    #: Ended in another way.
    ended: int


class CampaignResults(msgspec.Struct, frozen=True):
    """What became of a campaign until ``as_of``."""

    campaign_id: str
    name: str
    state: str
    mode: str
    #: Everything that was recorded before this instant is counted.
    as_of: datetime
    #: Messages that it is to send; null before it was checked.
    message_count: int | None
    counts: CampaignCounts
    #: Messages that were handed over or have ended, in per cent of all; 100 only when all are.
    progress_percent: int
    #: When the last message is handed over at the pace of the last minutes; null while it cannot
    #: be said, and when nothing is left.
    forecast_finish_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    #: When what was not spent went back.
    settled_at: datetime | None
    segments: int
    money: CampaignMoney
    #: The commonest first.
    failures: list[CampaignFailure]
    left_out: list[CampaignLeftOut]
    #: The largest first.
    networks: list[CampaignNetwork]
    #: Width of a point of the curve.
    bucket_seconds: int
    #: In the order of time; spans in which nothing happened are left out.
    curve: list[CurvePoint]


class CampaignResultReads(Protocol):
    """Reads of results; raises ReadsUnavailable while the database is away."""

    async def facts(self, campaign_id: UUID, account_id: UUID, mode: str) -> CampaignFacts | None:
        """Return what is known of a campaign; None for another account's, or of another mode."""
        ...

    async def outcomes(
        self, campaign_id: UUID, account_id: UUID, *, after: int, limit: int
    ) -> Sequence["Outcome"]:
        """Return what became of its recipients, in their order, behind the place ``after``."""
        ...


class Sent(NamedTuple):
    """The message that a recipient was sent."""

    message_id: UUID
    status: str
    failure_code: str | None
    segments: int
    price_micros: int
    charged_micros: int
    refunded_micros: int
    network: str | None
    submitted_at: datetime | None
    finished_at: datetime | None


class Outcome(NamedTuple):
    """A recipient, and what became of it."""

    place: int
    number: str
    #: "unchecked", "ready" or "left_out".
    state: str
    reason: str | None
    sent: Sent | None


def results_of(facts: CampaignFacts, bucket: str) -> CampaignResults:
    """Return results as they are shown; the bucket is one of ``BUCKETS``, or "auto"."""
    counts = _counts(facts.results)
    handed_over = counts.accepted - counts.waiting
    seconds = BUCKETS.get(bucket) or _fitting(facts.curve)
    return CampaignResults(
        campaign_id=format_id(CAMPAIGN_PREFIX, facts.campaign_id),
        name=facts.name,
        state=facts.state,
        mode=facts.mode,
        as_of=facts.as_of,
        message_count=facts.message_count,
        counts=counts,
        progress_percent=_percent(facts, handed_over),
        forecast_finish_at=_forecast(facts, handed_over),
        started_at=facts.started_at,
        completed_at=facts.completed_at,
        settled_at=facts.settled_at,
        segments=sum(row.segments for row in facts.results),
        money=_money(facts),
        failures=_failures(facts.results),
        left_out=[
            CampaignLeftOut(reason, reason_words(reason), count)
            for reason, count in Counter(facts.left_out).most_common()
        ],
        networks=_networks(facts.results),
        bucket_seconds=seconds,
        curve=_curve(facts.curve, seconds),
    )


def _counts(results: Iterable[ResultRow]) -> CampaignCounts:
    by_status: Counter[str] = Counter()
    submitted = 0
    for row in results:
        by_status[row.status] += row.messages
        submitted += row.submitted
    return CampaignCounts(
        accepted=by_status.total(),
        submitted=submitted,
        waiting=by_status["accepted"],
        under_way=by_status["submitted"],
        **{end: by_status[end] for end in _ENDS},
    )


def _percent(facts: CampaignFacts, handed_over: int) -> int:
    if facts.state == "completed":
        # Who opted out since the check has no message, and none is waited for.
        return 100
    if not facts.message_count:
        return 0
    return min(100, handed_over * 100 // facts.message_count)


def _forecast(facts: CampaignFacts, handed_over: int) -> datetime | None:
    left = (facts.message_count or 0) - handed_over
    if facts.state != "sending" or facts.started_at is None or left <= 0:
        return None
    this_minute = facts.as_of.replace(second=0, microsecond=0)
    first = this_minute - (_PACE_MINUTES - 1) * _MINUTE
    count = sum(row.submitted for row in facts.curve if row.minute >= first)
    span = facts.as_of - max(first, facts.started_at)
    if not count or span <= timedelta():
        return None
    return facts.as_of + span * left / count


def _money(facts: CampaignFacts) -> CampaignMoney:
    charged = sum(row.charged_micros for row in facts.results)
    refunded = sum(row.refunded_micros for row in facts.results)
    # Nothing more is charged once it is settled, so that the rest is what went back.
    rest = max(0, facts.reserved_micros - charged)
    # Until what was charged before the end is counted, the rest is more than what went back.
    is_settled = facts.settled_at is not None and facts.settled_at < facts.as_of
    return CampaignMoney(
        price_micros=sum(row.price_micros for row in facts.results),
        charged_micros=charged,
        refunded_micros=refunded,
        cost_micros=charged - refunded,
        reserved_micros=facts.reserved_micros,
        still_reserved_micros=0 if is_settled else rest,
        released_micros=rest if is_settled else 0,
    )


def _failures(results: Iterable[ResultRow]) -> list[CampaignFailure]:
    counts: Counter[tuple[str, str]] = Counter()
    for row in results:
        if row.failure_code:
            counts[row.status, row.failure_code] += row.messages
    shown = []
    for (status, code), count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        known = describe(code)
        fixer = known.who_can_fix.value
        shown.append(CampaignFailure(status, code, known.detail, fixer, known.retryable, count))
    return shown


def _networks(results: Iterable[ResultRow]) -> list[CampaignNetwork]:
    by_network: dict[str, Counter[str]] = {}
    for row in results:
        counts = by_network.setdefault(row.network, Counter())
        counts["accepted"] += row.messages
        counts["submitted"] += row.submitted
        counts["delivered"] += row.messages if row.status == "delivered" else 0
        is_other_end = row.status in _ENDS and row.status != "delivered"
        counts["not_delivered"] += row.messages if is_other_end else 0
        counts["segments"] += row.segments
        counts["charged_micros"] += row.charged_micros
        counts["refunded_micros"] += row.refunded_micros
    return [
        CampaignNetwork(network or None, **counts)
        for network, counts in sorted(
            by_network.items(), key=lambda item: (-item[1]["accepted"], item[0])
        )
    ]


def _fitting(curve: Sequence[CurveRow]) -> int:
    widest = max(BUCKETS.values())
    if not curve:
        return BUCKETS["1m"]
    minutes = [row.minute for row in curve]
    span = (max(minutes) - min(minutes)).total_seconds() + 60
    return next((one for one in BUCKETS.values() if span / one <= POINTS_MAX), widest)


def _curve(curve: Iterable[CurveRow], seconds: int) -> list[CurvePoint]:
    points: dict[datetime, list[int]] = {}
    width = timedelta(seconds=seconds)
    for row in curve:
        # Days are those of East Africa Time; shorter spans begin alike in both.
        local = row.minute.astimezone(BUSINESS_TIME)
        midnight = local.replace(hour=0, minute=0)
        at = (midnight + (local - midnight) // width * width).astimezone(UTC)
        sums = points.setdefault(at, [0, 0, 0, 0])
        for place, count in enumerate(row[1:]):
            sums[place] += count
    return [CurvePoint(at, *sums) for at, sums in sorted(points.items())]
