"""A campaign: one text to many, from its draft to the last credit given back."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from semalink.domain.campaign_errors import CampaignStateConflict
from semalink.domain.campaign_plan import Plan, Totals
from semalink.domain.cause import Cause

#: Public code of a campaign that an operator did not agree to.
APPROVAL_DECLINED = "approval_declined"


class CampaignState(StrEnum):
    """Where a campaign stands."""

    DRAFT = "draft"
    CHECKING = "checking"
    AWAITING_APPROVAL = "awaiting_approval"
    SCHEDULED = "scheduled"
    SENDING = "sending"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


_NOT_STARTED = frozenset(
    {
        CampaignState.DRAFT,
        CampaignState.CHECKING,
        CampaignState.AWAITING_APPROVAL,
        CampaignState.SCHEDULED,
    }
)
_UNDER_WAY = frozenset({CampaignState.SENDING, CampaignState.PAUSED})


class Campaign(Aggregate):
    """What is decided about a campaign; its recipients and messages are kept beside it."""

    TOPIC = "campaign"

    account_id: UUID
    billing_account_id: UUID
    mode: str
    plan: Plan
    state: CampaignState
    #: Raised by every edit: what was found for another revision is of no use.
    revision: int
    #: What the check of this revision found; None while it was not checked.
    totals: Totals | None = None
    checked_at: datetime | None = None
    #: Whether it is to be scheduled when the check is done.
    schedules_when_checked: bool = False
    is_approved: bool = False
    #: Whether an operator declined it or withdrew the approval, so that one must agree again.
    was_objected_to: bool = False
    start_at: datetime | None = None
    started_at: datetime | None = None
    is_settled: bool = False

    def __init__(self) -> None:
        """Start empty: the first event stands the campaign up."""

    class Event(Aggregate.Event):
        """A step of a campaign: who, in which request."""

        actor: str
        request_id: str

    class Created(Event, Aggregate.Created):
        """A draft was made."""

        TOPIC = "campaign.created.1"
        account_id: UUID
        billing_account_id: UUID
        mode: str
        plan: Plan

        def apply(self, campaign: "Campaign") -> None:
            """Stand the campaign up."""
            campaign.account_id = self.account_id
            campaign.billing_account_id = self.billing_account_id
            campaign.mode = self.mode
            campaign.plan = self.plan
            campaign.state = CampaignState.DRAFT
            campaign.revision = 1

    class Edited(Event):
        """It was changed before its start, and is a draft again."""

        TOPIC = "campaign.edited.1"
        plan: Plan
        revision: int

        def apply(self, campaign: "Campaign") -> None:
            """Take the new plan over; what was found and approved was about another."""
            campaign.plan = self.plan
            campaign.revision = self.revision
            campaign.state = CampaignState.DRAFT
            campaign.totals = None
            campaign.is_approved = False
            campaign.schedules_when_checked = False
            campaign.start_at = None

    class CheckStarted(Event):
        """Its recipients are looked at one by one."""

        TOPIC = "campaign.check_started.1"
        revision: int
        schedules_when_checked: bool

        def apply(self, campaign: "Campaign") -> None:
            """Wait for the check."""
            campaign.state = CampaignState.CHECKING
            campaign.totals = None
            campaign.schedules_when_checked = self.schedules_when_checked

    class Checked(Event):
        """Every recipient was looked at."""

        TOPIC = "campaign.checked.1"
        revision: int
        totals: Totals

        def apply(self, campaign: "Campaign") -> None:
            """Remember what was found."""
            campaign.totals = self.totals
            campaign.checked_at = self.timestamp
            campaign.state = CampaignState.DRAFT
            campaign.schedules_when_checked = False

    class SentBack(Event):
        """It is a draft again, because something stood in its way."""

        TOPIC = "campaign.sent_back.1"
        code: str
        detail: str

        def apply(self, campaign: "Campaign") -> None:
            """Wait for its owner."""
            campaign.state = CampaignState.DRAFT
            campaign.schedules_when_checked = False
            campaign.is_approved = False
            campaign.start_at = None
            campaign.was_objected_to |= self.code == APPROVAL_DECLINED

    class ApprovalRequested(Event):
        """An operator has to agree before it may start."""

        TOPIC = "campaign.approval_requested.1"
        start_at: datetime

        def apply(self, campaign: "Campaign") -> None:
            """Wait for an operator."""
            campaign.state = CampaignState.AWAITING_APPROVAL
            campaign.start_at = self.start_at

    class Approved(Event):
        """An operator agreed."""

        TOPIC = "campaign.approved.1"
        reason: str

        def apply(self, campaign: "Campaign") -> None:
            """Remember it."""
            campaign.is_approved = True
            campaign.was_objected_to = False

    class ApprovalWithdrawn(Event):
        """An operator agrees no more; nothing of it has left."""

        TOPIC = "campaign.approval_withdrawn.1"
        reason: str

        def apply(self, campaign: "Campaign") -> None:
            """Wait for an operator again."""
            campaign.is_approved = False
            campaign.was_objected_to = True
            campaign.state = CampaignState.AWAITING_APPROVAL

    class Scheduled(Event):
        """It starts by itself at that time."""

        TOPIC = "campaign.scheduled.1"
        start_at: datetime

        def apply(self, campaign: "Campaign") -> None:
            """Wait for the time."""
            campaign.state = CampaignState.SCHEDULED
            campaign.start_at = self.start_at

    class Started(Event):
        """Its whole cost is reserved, and its messages are accepted from now on."""

        TOPIC = "campaign.started.1"
        message_count: int
        reserved_micros: int

        def apply(self, campaign: "Campaign") -> None:
            """Begin."""
            campaign.state = CampaignState.SENDING
            campaign.started_at = self.timestamp

    class Paused(Event):
        """Nothing more is handed over for now."""

        TOPIC = "campaign.paused.1"
        reason: str = ""

        def apply(self, campaign: "Campaign") -> None:
            """Stand still."""
            campaign.state = CampaignState.PAUSED

    class Resumed(Event):
        """It goes on where it stood."""

        TOPIC = "campaign.resumed.1"

        def apply(self, campaign: "Campaign") -> None:
            """Go on."""
            campaign.state = CampaignState.SENDING

    class Cancelled(Event):
        """Nothing more of it is sent; what was handed over goes its way."""

        TOPIC = "campaign.cancelled.1"
        reason: str = ""

        def apply(self, campaign: "Campaign") -> None:
            """Close it."""
            campaign.state = CampaignState.CANCELLED

    class Completed(Event):
        """Nothing of it is left to be handed over."""

        TOPIC = "campaign.completed.1"

        def apply(self, campaign: "Campaign") -> None:
            """Close it."""
            campaign.state = CampaignState.COMPLETED

    class Settled(Event):
        """Nothing more can be charged, so that what was not spent went back."""

        TOPIC = "campaign.settled.1"
        released_micros: int

        def apply(self, campaign: "Campaign") -> None:
            """Remember that its money is at rest."""
            campaign.is_settled = True

    @classmethod
    def draft(
        cls,
        campaign_id: UUID,
        account_id: UUID,
        billing_account_id: UUID,
        mode: str,
        plan: Plan,
        cause: Cause,
    ) -> Self:
        """Make a draft, which sends and costs nothing."""
        return cls._create(
            cls.Created,
            id=campaign_id,
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            account_id=account_id,
            billing_account_id=billing_account_id,
            mode=mode,
            plan=plan,
        )

    @property
    def has_started(self) -> bool:
        """Whether its cost was reserved."""
        return self.started_at is not None

    def edit(self, plan: Plan, cause: Cause) -> None:
        """Change it before its start; it is a draft again, whatever was found or approved."""
        self._require(_NOT_STARTED, "edited")
        self._add(self.Edited, cause, plan=plan, revision=self.revision + 1)

    def start_check(self, cause: Cause, *, schedules: bool) -> None:
        """Have its recipients looked at, and schedule it afterwards when asked to."""
        self._require({CampaignState.DRAFT}, "checked")
        self._add(
            self.CheckStarted, cause, revision=self.revision, schedules_when_checked=schedules
        )

    def is_being_checked_by(self, check: int) -> bool:
        """Whether the check that began with this version of the campaign is still wanted."""
        return self.state is CampaignState.CHECKING and self.version == check

    def record_check(self, totals: Totals, cause: Cause) -> None:
        """Take note of what the check found."""
        self._require({CampaignState.CHECKING}, "found checked")
        self._add(self.Checked, cause, revision=self.revision, totals=totals)

    def send_back(self, code: str, detail: str, cause: Cause) -> None:
        """Make it a draft again, because something stood in its way."""
        self._require(_NOT_STARTED, "sent back")
        self._add(self.SentBack, cause, code=code, detail=detail)

    def schedule(self, start_at: datetime, cause: Cause, *, needs_approval: bool) -> None:
        """Let it start at that time, or ask an operator whether it may."""
        self._require({CampaignState.DRAFT}, "scheduled")
        assert self.totals is not None, "what was not checked is not scheduled"
        asks = (needs_approval or self.was_objected_to) and not self.is_approved
        self._add(self.ApprovalRequested if asks else self.Scheduled, cause, start_at=start_at)

    def approve(self, start_at: datetime, reason: str, cause: Cause) -> None:
        """Agree to it, so that it starts at that time."""
        self._require({CampaignState.AWAITING_APPROVAL}, "approved")
        self._add(self.Approved, cause, reason=reason)
        self._add(self.Scheduled, cause, start_at=start_at)

    def decline(self, reason: str, cause: Cause) -> None:
        """Do not agree to it; it is a draft again and says why."""
        self._require({CampaignState.AWAITING_APPROVAL}, "declined")
        self.send_back(APPROVAL_DECLINED, reason, cause)

    def withdraw_approval(self, reason: str, cause: Cause) -> None:
        """Agree to it no more, as long as it has not started."""
        self._require({CampaignState.SCHEDULED}, "unapproved")
        self._add(self.ApprovalWithdrawn, cause, reason=reason)

    def start(self, reserved_micros: int, cause: Cause) -> None:
        """Begin; its whole cost is reserved in the same decision."""
        self._require({CampaignState.SCHEDULED}, "started")
        assert self.totals is not None, "what was not checked is not started"
        self._add(
            self.Started,
            cause,
            message_count=self.totals.message_count,
            reserved_micros=reserved_micros,
        )

    def pause(self, reason: str, cause: Cause) -> None:
        """Stand still; twice is once."""
        if self.state is not CampaignState.PAUSED:
            self._require({CampaignState.SENDING}, "paused")
            self._add(self.Paused, cause, reason=reason)

    def resume(self, cause: Cause) -> None:
        """Go on; twice is once."""
        if self.state is not CampaignState.SENDING:
            self._require({CampaignState.PAUSED}, "resumed")
            self._add(self.Resumed, cause)

    def cancel(self, reason: str, cause: Cause) -> None:
        """Send nothing more of it; twice is once."""
        if self.state is not CampaignState.CANCELLED:
            self._require(_NOT_STARTED | _UNDER_WAY, "cancelled")
            self._add(self.Cancelled, cause, reason=reason)

    def complete(self, cause: Cause) -> None:
        """Take note that nothing of it is left to be handed over; twice is once."""
        if self.state in _UNDER_WAY:
            self._add(self.Completed, cause)

    def settle(self, released_micros: int, cause: Cause) -> None:
        """Take note that its money is at rest."""
        assert self.has_started, "what never started has no money to settle"
        assert not self.is_settled, "a campaign is settled once"
        self._add(self.Settled, cause, released_micros=released_micros)

    def require_revision(self, revision: int) -> None:
        """Raise CampaignStateConflict when it was edited since somebody read it."""
        if self.revision != revision:
            raise CampaignStateConflict(
                why=f"It was edited meanwhile: it has revision {self.revision}. Read that first."
            )

    def _require(self, states: set[CampaignState] | frozenset[CampaignState], wanted: str) -> None:
        if self.state not in states:
            raise CampaignStateConflict(state=self.state.value, wanted=wanted)

    def _add(self, step: type[Event], cause: Cause, **facts: Any) -> None:
        self.trigger_event(
            step, timestamp=cause.at, actor=cause.actor, request_id=cause.request_id, **facts
        )
