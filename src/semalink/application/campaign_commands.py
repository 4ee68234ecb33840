"""Campaigns: the commands of their owners, each a durable decision."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from semalink.application.account_commands import AboutAccount
from semalink.application.ledger import Books, Idempotency, Needs, PlainCommand
from semalink.domain.account import Account
from semalink.domain.campaign import Campaign, CampaignState
from semalink.domain.campaign_errors import (
    CampaignNotFound,
    NoRecipients,
    TooManyRecipients,
)
from semalink.domain.campaign_plan import Plan, Totals
from semalink.domain.campaign_start import Circumstances, decide_start
from semalink.domain.cause import Cause
from semalink.domain.refusal import DomainError

#: A campaign is given so many batches of recipients at most; lists hold more.
UPLOADS_MAX = 100
#: And so many recipients in all of them.
INLINE_RECIPIENTS_MAX = 200_000

#: A draft is scheduled by its check for so long: senders, rules and prices may change.
CHECK_GOOD_FOR = timedelta(hours=1)
_SCHEDULED = (CampaignState.SCHEDULED, CampaignState.AWAITING_APPROVAL)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose campaigns a caller may see: test keys see those of test keys only."""

    account_id: UUID
    mode: str


class Upload(msgspec.Struct, frozen=True):
    """A batch of recipients that was stored for a campaign."""

    upload_id: UUID
    count: int


class CampaignMove(StrEnum):
    """What an owner may do with a campaign that is under way."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class CreateCampaign(AboutAccount):
    """Make a draft, which sends and costs nothing."""

    campaign_id: UUID
    owner: Owner
    billing_account_id: UUID
    plan: Plan
    cause: Cause
    idempotency: Idempotency | None = None

    weight: ClassVar[int] = 1

    @property
    def subject(self) -> UUID:
        """The account."""
        return self.owner.account_id

    def needs(self, needs: Needs) -> None:
        """Nothing: it is new."""

    def decide(self, books: Books) -> UUID:
        """Make it."""
        campaign = Campaign.draft(
            self.campaign_id,
            self.owner.account_id,
            self.billing_account_id,
            self.owner.mode,
            self.plan,
            self.cause,
        )
        books.add(campaign)
        return self.campaign_id

    @staticmethod
    def encode(value: Any) -> bytes:
        """Write the id down."""
        return msgspec.json.encode(value)

    @staticmethod
    def decode(stored: bytes) -> UUID:
        """Read the id back."""
        return msgspec.json.decode(stored, type=UUID)


@dataclass(frozen=True, slots=True)
class _OfCampaign(PlainCommand):
    """What commands about one campaign share: refusals are kept under its account."""

    campaign_id: UUID
    #: None: an operator, who may see any.
    owner: Owner | None
    cause: Cause

    @property
    def subject(self) -> UUID | None:
        """The account."""
        return None if self.owner is None else self.owner.account_id

    def needs(self, needs: Needs) -> None:
        """The campaign."""
        needs.settings.add(self.campaign_id)


@dataclass(frozen=True, slots=True)
class EditCampaign(_OfCampaign):
    """Change a campaign before its start; what was found and approved holds no more."""

    #: Makes the new plan of the present one; must be pure, and may raise a DomainError.
    edit: Callable[[Plan], Plan]

    def decide(self, books: Books) -> None:
        """Change it."""
        campaign = owned_campaign(books, self.campaign_id, self.owner)
        campaign.edit(self.edit(campaign.plan), self.cause)


@dataclass(frozen=True, slots=True)
class CheckCampaign(_OfCampaign):
    """Have the recipients looked at one by one, and schedule it afterwards when asked to."""

    schedules: bool

    def decide(self, books: Books) -> None:
        """Start the check."""
        campaign = owned_campaign(books, self.campaign_id, self.owner)
        if not campaign.plan.list_ids and not campaign.plan.inline_count:
            raise NoRecipients(is_checked=False)
        campaign.start_check(self.cause, schedules=self.schedules)


@dataclass(frozen=True, slots=True)
class ScheduleCampaign(_OfCampaign):
    """Let a campaign start at its time; one that was not checked lately is checked first."""

    platform: Circumstances
    #: Needed to know whether an operator must agree.
    account_id: UUID

    def needs(self, needs: Needs) -> None:
        """The campaign and its account."""
        needs.settings.update((self.campaign_id, self.account_id))

    def decide(self, books: Books) -> None:
        """Schedule it, or begin to check it, once; raises why it may not be scheduled."""
        campaign = owned_campaign(books, self.campaign_id, self.owner)
        if campaign.schedules_when_checked or campaign.state in _SCHEDULED:
            # The first answer may have been lost; an edit would have made it a draft again.
            return
        is_old = (
            campaign.state is CampaignState.DRAFT
            and campaign.checked_at is not None
            and campaign.checked_at < self.cause.at - CHECK_GOOD_FOR
        )
        if campaign.totals is None or is_old:
            CheckCampaign(self.campaign_id, self.owner, self.cause, schedules=True).decide(books)
            return
        _schedule(books, campaign, campaign.totals, self.platform, self.cause)


@dataclass(frozen=True, slots=True)
class RecordCheck(PlainCommand):
    """Take note of what a check found, and schedule the campaign when that was asked for."""

    campaign_id: UUID
    account_id: UUID
    #: The version of the campaign with which the check began.
    check: int
    totals: Totals
    platform: Circumstances
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The campaign and its account."""
        needs.settings.update((self.campaign_id, self.account_id))

    def decide(self, books: Books) -> bool:
        """Record it; False when the check is wanted no more, which changes nothing."""
        campaign = books.find(Campaign, self.campaign_id)
        if campaign is None or not campaign.is_being_checked_by(self.check):
            return False
        schedules = campaign.schedules_when_checked
        campaign.record_check(self.totals, self.cause)
        if schedules:
            try:
                _schedule(books, campaign, self.totals, self.platform, self.cause)
            except DomainError as refusal:
                campaign.send_back(refusal.code, str(refusal), self.cause)
        return True


@dataclass(frozen=True, slots=True)
class FailCheck(PlainCommand):
    """Make a campaign a draft again whose recipients cannot be looked at."""

    campaign_id: UUID
    check: int
    refusal: DomainError
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The campaign."""
        needs.settings.add(self.campaign_id)

    def decide(self, books: Books) -> bool:
        """Send it back; False when the check is wanted no more."""
        campaign = books.find(Campaign, self.campaign_id)
        if campaign is None or not campaign.is_being_checked_by(self.check):
            return False
        campaign.send_back(self.refusal.code, str(self.refusal), self.cause)
        return True


@dataclass(frozen=True, slots=True)
class MoveCampaign(_OfCampaign):
    """Pause, resume or cancel; doing it twice is doing it once."""

    move: CampaignMove
    reason: str = ""

    def decide(self, books: Books) -> None:
        """Move it; what follows for its messages is worked off afterwards."""
        campaign = owned_campaign(books, self.campaign_id, self.owner)
        if self.move is CampaignMove.PAUSE:
            campaign.pause(self.reason, self.cause)
        elif self.move is CampaignMove.RESUME:
            campaign.resume(self.cause)
        else:
            campaign.cancel(self.reason, self.cause)


@dataclass(frozen=True, slots=True)
class ApproveCampaign(_OfCampaign):
    """Agree to a campaign, so that it starts at its time, or at once where that has passed."""

    #: What was read; an edit since then is not agreed to.
    revision: int
    reason: str
    platform: Circumstances

    def decide(self, books: Books) -> None:
        """Approve it; raises why it may not start any more, as when its time passed long ago."""
        campaign = owned_campaign(books, self.campaign_id, self.owner)
        campaign.require_revision(self.revision)
        plan, totals, now = campaign.plan, campaign.totals, self.cause.at
        # One without totals is not awaiting approval, and the aggregate says so.
        start_at = now if totals is None else decide_start(plan, totals, now, self.platform)
        campaign.approve(start_at, self.reason, self.cause)


@dataclass(frozen=True, slots=True)
class DeclineCampaign(_OfCampaign):
    """Do not agree to a campaign; its owner reads why, and may change it."""

    revision: int
    reason: str

    def decide(self, books: Books) -> None:
        """Decline it."""
        campaign = owned_campaign(books, self.campaign_id, self.owner)
        campaign.require_revision(self.revision)
        campaign.decline(self.reason, self.cause)


@dataclass(frozen=True, slots=True)
class WithdrawApproval(_OfCampaign):
    """Agree to a campaign no more, as long as it has not started."""

    revision: int
    reason: str

    def decide(self, books: Books) -> None:
        """Let it wait for an operator again."""
        campaign = owned_campaign(books, self.campaign_id, self.owner)
        campaign.require_revision(self.revision)
        campaign.withdraw_approval(self.reason, self.cause)


@dataclass(frozen=True, slots=True)
class RequireCampaignApproval(AboutAccount, PlainCommand):
    """Say whether an operator must agree to each campaign of an account."""

    account_id: UUID
    is_required: bool
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The account."""
        needs.settings.add(self.account_id)

    def decide(self, books: Books) -> None:
        """Set it; what is scheduled already stays so."""
        books.account(self.account_id).require_campaign_approval(
            self.cause, is_required=self.is_required
        )


def owned_campaign(books: Books, campaign_id: UUID, owner: Owner | None) -> Campaign:
    """Return a campaign of an account, or any for operators; raises CampaignNotFound."""
    campaign = books.find(Campaign, campaign_id)
    if campaign is None or owner not in (None, Owner(campaign.account_id, campaign.mode)):
        raise CampaignNotFound
    return campaign


def with_upload(plan: Plan, upload: Upload) -> Plan:
    """Return a plan with more recipients; raises TooManyRecipients."""
    count = plan.inline_count + upload.count
    if count > INLINE_RECIPIENTS_MAX or len(plan.uploads) >= UPLOADS_MAX:
        raise TooManyRecipients(INLINE_RECIPIENTS_MAX)
    return replace(plan, uploads=(*plan.uploads, upload.upload_id), inline_count=count)


def _schedule(
    books: Books, campaign: Campaign, totals: Totals, platform: Circumstances, cause: Cause
) -> None:
    start_at = decide_start(campaign.plan, totals, cause.at, platform)
    account = books.find(Account, campaign.account_id)
    is_needed = account is not None and account.campaigns_need_approval
    campaign.schedule(start_at, cause, needs_approval=is_needed and campaign.mode == "live")
