"""Campaigns as their owners and operators see them, and the recipients that are kept beside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import msgspec

from semalink.application.campaign_commands import Owner
from semalink.domain.campaign_errors import RecipientsNoLongerKept
from semalink.domain.campaign_plan import Plan, Totals
from semalink.domain.ids import ACCOUNT_PREFIX, CAMPAIGN_PREFIX, CONTACT_LIST_PREFIX, format_id

#: How long numbers and texts are kept after a campaign was settled, or after the last change of
#: one that never started. A check is good for much less, so no campaign starts without them.
RECIPIENTS_KEPT = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class CampaignRecord:
    """One campaign, as the tables hold it."""

    campaign_id: UUID
    account_id: UUID
    billing_account_id: UUID
    mode: str
    state: str
    plan: Plan
    revision: int
    totals: Totals | None
    problem_code: str | None
    problem_detail: str | None
    start_at: datetime | None
    message_count: int | None
    started_at: datetime | None
    completed_at: datetime | None
    settled_at: datetime | None
    checked_at: datetime | None
    created_by: str
    created_at: datetime
    changed_at: datetime


class CampaignProblem(msgspec.Struct, frozen=True):
    """Why a campaign is a draft again."""

    code: str
    detail: str


class CampaignView(msgspec.Struct, frozen=True):
    """One campaign. Money is in micros of a credit: 1 credit = 1,000,000 micros."""

    id: str
    account_id: str
    #: draft, checking, awaiting_approval, scheduled, sending, paused, completed or cancelled.
    state: str
    mode: str
    name: str
    sender: str
    text: str
    contact_list_ids: list[str]
    #: Recipients that were given with the campaign itself, beside its lists.
    inline_recipient_count: int
    send_at: datetime | None
    time_zone: str
    rate_per_second: int | None
    finish_by: datetime | None
    validity_seconds: int
    replace_lookalikes: bool
    defaults: dict[str, str]
    metadata: dict[str, str]
    #: Raised by every edit.
    revision: int
    #: Why it is a draft again; null when nothing went wrong.
    problem: CampaignProblem | None
    #: Messages of it, once it was checked, and what they cost in all.
    message_count: int | None
    price_micros: int | None
    #: When it starts, once it is scheduled.
    start_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    #: When what was not spent went back.
    settled_at: datetime | None
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class CampaignFilter:
    """Which campaigns are listed."""

    #: None: those of every account.
    owner: Owner | None
    state: str | None = None
    account_id: UUID | None = None


class RecipientView(msgspec.Struct, frozen=True):
    """One recipient of a campaign, as the check found it."""

    #: In the order in which they are served, from 0.
    place: int
    #: As you wrote it when it is no number; E.164 otherwise.
    number: str
    country: str | None
    network: str | None
    #: unchecked, ready or left_out.
    state: str
    #: Why it gets nothing.
    reason: str | None
    #: The variable that is missing, or the rule that blocks.
    reason_detail: str | None
    segments: int | None
    price_micros: int | None


@dataclass(frozen=True, slots=True)
class RecipientFilter:
    """Which recipients are listed."""

    state: str | None = None
    reason: str | None = None


class Sample(msgspec.Struct, frozen=True):
    """A text as one recipient would get it."""

    to: str
    text: str
    segments: int
    encoding: str


@dataclass(frozen=True, slots=True)
class InlineRecipient:
    """A recipient that was given with a campaign: E.164, or as written when it is no number."""

    number: str = field(repr=False)
    #: None: it is no number.
    country: str | None
    network: str | None
    variables: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a check is."""

    checked_count: int
    recipient_count: int


class Campaigns(Protocol):
    """Campaigns; each method raises ReadsUnavailable while the database is away."""

    async def campaign(self, campaign_id: UUID, owner: Owner | None) -> CampaignRecord | None:
        """Return one campaign; None when there is none or it is another owner's."""
        ...

    async def campaigns(
        self, wanted: CampaignFilter, *, before: UUID | None, limit: int
    ) -> Sequence[CampaignRecord]:
        """Return campaigns, newest first, starting below the id ``before``."""
        ...

    async def progress(self, campaign_id: UUID) -> Progress | None:
        """Return how far the last check is; None while nobody was written down."""
        ...

    async def recipients(
        self, campaign_id: UUID, wanted: RecipientFilter, *, after: int, limit: int
    ) -> Sequence[RecipientView]:
        """Return recipients as the last check found them, behind the place ``after``."""
        ...

    async def samples(self, campaign_id: UUID, limit: int) -> Sequence[Sample]:
        """Return texts of the first recipients that get one."""
        ...

    async def missing_lists(self, account_id: UUID, list_ids: Sequence[UUID]) -> Sequence[UUID]:
        """Return those of the contact lists that the account does not have."""
        ...

    async def add_upload(self, upload_id: UUID, recipients: Sequence[InlineRecipient]) -> None:
        """Keep a batch of recipients, which counts once the plan of a campaign names it."""
        ...

    async def discard_upload(self, upload_id: UUID) -> None:
        """Forget a batch that no campaign was given."""
        ...


def view_of(record: CampaignRecord) -> CampaignView:
    """Return a campaign as it is shown."""
    plan, totals = record.plan, record.totals
    problem = None
    if record.problem_code is not None:
        problem = CampaignProblem(record.problem_code, record.problem_detail or "")
    return CampaignView(
        id=format_id(CAMPAIGN_PREFIX, record.campaign_id),
        account_id=format_id(ACCOUNT_PREFIX, record.account_id),
        state=record.state,
        mode=record.mode,
        name=plan.name,
        sender=plan.sender,
        text=plan.text,
        contact_list_ids=[format_id(CONTACT_LIST_PREFIX, one) for one in plan.list_ids],
        inline_recipient_count=plan.inline_count,
        send_at=plan.send_at,
        time_zone=plan.time_zone,
        rate_per_second=plan.rate_per_second,
        finish_by=plan.finish_by,
        validity_seconds=plan.validity_seconds,
        replace_lookalikes=plan.replace_lookalikes,
        defaults=plan.defaults,
        metadata=plan.metadata,
        revision=record.revision,
        problem=problem,
        message_count=None if totals is None else totals.message_count,
        price_micros=None if totals is None else totals.price_micros,
        start_at=record.start_at,
        started_at=record.started_at,
        completed_at=record.completed_at,
        settled_at=record.settled_at,
        created_at=record.created_at,
        changed_at=record.changed_at,
    )


def require_recipients_of(record: CampaignRecord, now: datetime) -> None:
    """Raise RecipientsNoLongerKept when those of a campaign have served their time."""
    never_started = record.started_at is None and record.state in ("draft", "cancelled")
    require_recipients(record.changed_at if never_started else record.settled_at, now)


def require_recipients(over_at: datetime | None, now: datetime) -> None:
    """Raise RecipientsNoLongerKept for a campaign that was over by then; None: it is not."""
    if over_at is not None and over_at <= now - RECIPIENTS_KEPT:
        raise RecipientsNoLongerKept
