"""The quote of a campaign: what its check found, what it costs, when it would be through."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from semalink.application.campaign_reading import CampaignRecord, Sample
from semalink.application.credit_reading import BalanceView
from semalink.domain.campaign_plan import Totals
from semalink.domain.campaign_start import Circumstances, decide_start, earliest_start, forecast
from semalink.domain.ids import CAMPAIGN_PREFIX, format_id
from semalink.domain.refusal import DomainError

SAMPLES_MAX = 5
UNKNOWN = "unknown"


class Credit(msgspec.Struct, frozen=True):
    """Whether the credits cover the whole price, which is reserved before anything is sent."""

    is_enough: bool
    #: Null where an agent pays: its credits are not yours to see.
    available_micros: int | None
    lacking_micros: int | None


class ForecastView(msgspec.Struct, frozen=True):
    """When a campaign would begin and be through."""

    start_at: datetime
    finish_at: datetime
    messages_per_second: int


class QuoteWarning(msgspec.Struct, frozen=True):
    """What stands in the way, or may surprise."""

    code: str
    detail: str


class CampaignQuote(msgspec.Struct, frozen=True):
    """What a campaign comes to. Money is in micros: 1 credit = 1,000,000 micros."""

    campaign_id: str
    revision: int
    checked_at: datetime
    #: Of every source, whatever becomes of them.
    recipient_count: int
    #: Those that get a message.
    message_count: int
    #: Those that get none, by reason.
    left_out: dict[str, int]
    #: Those of them that a content rule stopped, by the rule.
    blocked_by_rule: dict[str, int]
    by_country: dict[str, int]
    by_network: dict[str, int]
    #: Messages by the number of their segments.
    by_segments: dict[str, int]
    segment_count: int
    price_micros: int
    #: "promotional" or "transactional", by the sender id.
    sender_class: str
    credit: Credit
    earliest_legal_start_at: datetime
    forecast: ForecastView
    samples: list[Sample]
    warnings: list[QuoteWarning]


class CheckProgress(msgspec.Struct, frozen=True):
    """A check that is under way."""

    state: str
    checked_count: int
    #: Null until all recipients are written down.
    recipient_count: int | None


def quote_of(
    record: CampaignRecord,
    totals: Totals,
    *,
    now: datetime,
    platform: Circumstances,
    credit: Credit,
    samples: Sequence[Sample],
) -> CampaignQuote:
    """Return the quote of a campaign that was checked."""
    expected = forecast(record.plan, totals, now, platform)
    return CampaignQuote(
        campaign_id=format_id(CAMPAIGN_PREFIX, record.campaign_id),
        revision=record.revision,
        checked_at=record.checked_at or record.changed_at,
        recipient_count=totals.recipient_count,
        message_count=totals.message_count,
        left_out=dict(totals.left_out),
        blocked_by_rule=dict(totals.blocked_by_rule),
        by_country=_named(totals.by_country),
        by_network=_named(totals.by_network),
        by_segments=dict(totals.by_segments),
        segment_count=totals.segment_count,
        price_micros=totals.price_micros,
        sender_class=totals.sender_class,
        credit=credit,
        earliest_legal_start_at=earliest_start(record.plan, totals, now, platform.hours),
        forecast=ForecastView(expected.start_at, expected.finish_at, expected.pace_per_second),
        samples=list(samples),
        warnings=list(_warnings(record, totals, now, platform, credit)),
    )


def credit_of(
    record: CampaignRecord, totals: Totals, own: BalanceView | None, paying: BalanceView | None
) -> Credit:
    """Return whether the credits that pay, and a cap on them, cover a campaign."""
    if record.mode != "live":
        return Credit(is_enough=True, available_micros=None, lacking_micros=0)
    if record.account_id == record.billing_account_id:
        available = 0 if own is None else own.available_micros or 0
        lacking = max(totals.price_micros - available, 0)
        return Credit(not lacking, available, lacking)
    left = None if own is None else own.available_micros
    lacking = 0 if left is None else max(totals.price_micros - left, 0)
    has_cover = paying is not None and (paying.available_micros or 0) >= totals.cost_micros
    return Credit(has_cover and not lacking, left, lacking if left is not None else None)


def _warnings(
    record: CampaignRecord,
    totals: Totals,
    now: datetime,
    platform: Circumstances,
    credit: Credit,
) -> Iterator[QuoteWarning]:
    try:
        decide_start(record.plan, totals, now, platform)
    except DomainError as refusal:
        yield QuoteWarning(refusal.code, str(refusal))
    if not credit.is_enough:
        yield QuoteWarning(
            "insufficient_credits",
            "The credits do not cover the whole price, which is reserved before anything is "
            "sent: as it is, nothing of it would be.",
        )
    start_at = earliest_start(record.plan, totals, now, platform.hours)
    if start_at > max(record.plan.send_at or now, now):
        yield QuoteWarning(
            "start_moved",
            "Promotional messages may not be sent at the time that was asked for: it starts when "
            "the hours for them begin.",
        )


def _named(counts: Mapping[str, int]) -> dict[str, int]:
    return {name or UNKNOWN: count for name, count in counts.items()}
